FROM alpine:latest AS base
ARG GREETING=none
ARG FROM_SHELL
ENV GREETING=$GREETING FROM_SHELL=$FROM_SHELL

FROM base AS chosen
RUN echo "$GREETING" >/chosen
LABEL com.example.in=dockerfile

FROM base
RUN false
