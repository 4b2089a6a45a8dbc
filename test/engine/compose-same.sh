#!/usr/bin/env bash
# Prints the path of a Docker Compose with the compose-go of this project, to take
# turns with: $COMPOSE_SAME if it is set, else the release that compose-same/go.mod
# pins, built from its Go module into the cache.
set -eu

who=compose
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/engine/lib.sh
. "$here/lib.sh"

if [ -n "${COMPOSE_SAME:-}" ]; then
	command -v "$COMPOSE_SAME" >/dev/null || die "COMPOSE_SAME names $COMPOSE_SAME, which is not there"
	echo "$COMPOSE_SAME"
	exit
fi

command -v go >/dev/null || die "missing: go, to build Docker Compose; or set COMPOSE_SAME to the path of one"
module=github.com/docker/compose/v5
version=$(sed -n "s|^.*$module \(v[^ ]*\).*\$|\1|p" "$here/compose-same/go.mod")
[ -n "$version" ] || die "compose-same/go.mod names no release of $module"
cached=$user_cache/compose/docker-compose-$version

if [ ! -x "$cached" ]; then
	say "building Docker Compose $version"
	mkdir -p "$(dirname "$cached")"
	new=$cached.new.$$
	trap 'rm -f "$new"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	# In a place of its own: what the surroundings say of Go is about this project.
	(cd "$here/compose-same" && CGO_ENABLED=0 GOFLAGS='' GOWORK=off go build -trimpath \
		-ldflags "-s -w -X $module/internal.Version=$version" -o "$new" "$module/cmd") >&2 ||
		die "building Docker Compose $version did not work"
	mv "$new" "$cached"
fi
echo "$cached"
