#!/bin/sh
# As the official image's: what is to be started is started.
set -e
exec "$@"
