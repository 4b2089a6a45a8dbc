package image

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

func TestBases(t *testing.T) {
	for name, test := range map[string]struct {
		text, target string
		want         []string
	}{
		"one stage": {text: "FROM alpine\nRUN true\n", want: []string{"alpine"}},
		"nothing":   {text: "FROM scratch\nCOPY . /\n"},
		"stages": {
			text: "FROM golang:1 AS Build\nRUN go build\nFROM build as test\nFROM alpine:3\nCOPY --from=build /app /app\nCOPY --from=0 /x /x\nCOPY --from=nginx:1 /etc/nginx /etc/nginx\n",
			want: []string{"alpine:3", "golang:1", "nginx:1"},
		},
		"a target needs no more than its own": {
			text: "FROM golang:1 AS build\nFROM node AS page\nFROM alpine\n", target: "build", want: []string{"golang:1"},
		},
		"variables": {
			text: "ARG GO=1.20\nARG KIND=alpine\nARG TARGETARCH\nFROM --platform=$BUILDPLATFORM golang:${GO}-${KIND:-bookworm}\nFROM example/$TARGETARCH:${NONE:-7}\nCOPY --from=0 / /\n",
			want: []string{"example/arm64:7", "golang:1.26-alpine"},
		},
		"syntax and escape": {
			text: "# syntax = docker/dockerfile:1\n# escape=`\n# a comment\nFROM `\n  # not the end\n  alpine\n", want: []string{"docker/dockerfile:1", "alpine"},
		},
		"here-documents and mounts": {
			text: "FROM alpine\nRUN <<EOF\nFROM nowhere\nEOF\nRUN --mount=type=bind,from=tools:2,source=/bin,target=/tools make\n", want: []string{"alpine", "tools:2"},
		},
		"a context by name": {text: "FROM base\nCOPY --from=alpine / /\n", want: []string{"alpine"}},
	} {
		go126 := "1.26"
		b := &Builder{OS: "linux", Arch: "arm64"}
		var service types.ServiceConfig
		service.Build = &types.BuildConfig{
			DockerfileInline: test.text, Target: test.target, Args: types.MappingWithEquals{"GO": &go126, "EMPTY": nil},
			AdditionalContexts: types.Mapping{"base": "./base"},
		}
		got, err := b.Bases(t.Context(), service)
		if err != nil || !cmp.Equal(test.want, got) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, test.want)
		}
	}
}
