#!/usr/bin/env bash
# Runs a command once for every engine named, with DOCKER_HOST, COMPOSE (a Docker
# Compose 2), COMPOSE_SAME (one with our compose-go) and ENGINE set, and with the
# images that tests use on the engine.
# Stops the engines that it started itself, unless KEEP=1.
#
#   test/engine/each.sh "default|20.10|26.1|newest ..." COMMAND...
set -eu

who='tests'
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/engine/lib.sh
. "$here/lib.sh"

[ $# -ge 2 ] || die "usage: $0 \"default|20.10|26.1|newest ...\" COMMAND..."
engines=$1
shift

started=
stop_started() {
	local engine
	for engine in $started; do "$here/stop.sh" "$engine"; done
}
trap stop_started EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

COMPOSE=$("$here/compose.sh")
COMPOSE_SAME=$("$here/compose-same.sh")
export COMPOSE COMPOSE_SAME

# All start before the first test: an engine that starts while containers of
# another run is what production has not.
for engine in $engines; do
	there=$([ -e "/run/stackctl-test/engine-$engine/docker.sock" ] && echo yes || echo no)
	"$here/start.sh" "$engine" >/dev/null
	if [ "$there" = no ] && [ -e "/run/stackctl-test/engine-$engine/docker.sock" ] && [ -z "${KEEP:-}" ]; then
		started="$started $engine"
	fi
done

failed=
for engine in $engines; do
	address=$("$here/start.sh" "$engine" 2>/dev/null)
	export "${address?}" ENGINE="$engine"
	"$here/../images/ensure.sh" postgres redis nginx alpine golang
	facts=$(docker version --format 'version {{.Server.Version}}, API {{.Server.APIVersion}}')
	say "== engine $engine: $facts, $DOCKER_HOST, compose $("$COMPOSE" version --short 2>/dev/null || echo '?')"
	began=$SECONDS
	if "$@"; then
		say "== engine $engine: passed in $((SECONDS - began)) s"
	else
		say "== engine $engine: FAILED after $((SECONDS - began)) s"
		failed="$failed $engine"
	fi
done
[ -z "$failed" ] || die "failed on:$failed"
