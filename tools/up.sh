#!/usr/bin/env bash
# From nothing to an app that answers: an engine if there is none, the images,
# the stack. Run by `make up`, which builds bin/stackctl first.
set -eu

cd "$(dirname "$0")/.."
say() { echo "up: $*" >&2; }

test/engine/ensure.sh
test/images/ensure.sh postgres redis

status=0
bin/stackctl --builtin up "$@" || status=$?
[ "$status" = 0 ] || exit "$status"

# The port, from where stackctl takes it: the environment, .env, the default.
port=${WEBAPP_PORT:-}
if [ -z "$port" ] && [ -r .env ]; then
	port=$(sed -n 's/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}WEBAPP_PORT[[:space:]]*=[[:space:]]*["'\'']\{0,1\}\([0-9]*\).*/\2/p' .env | tail -n 1)
fi
port=${port:-5003}

# answers speaks HTTP by itself, so that neither curl nor wget is needed. A
# connection alone proves nothing: the engine's proxy accepts before the app.
answers() (
	exec 3<>"/dev/tcp/localhost/$port" || exit 1
	printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
	read -r -t 5 line <&3 || exit 1
	[[ $line == HTTP/1.*' 200 '* ]]
) 2>/dev/null

deadline=$((SECONDS + ${UP_DEADLINE:-60}))
until answers; do
	if [ "$SECONDS" -ge "$deadline" ]; then
		say "the stack is up, but http://localhost:$port/health does not answer with 200; see: bin/stackctl status, bin/stackctl logs webapp"
		exit 1
	fi
	sleep 0.2
done
say "the app answers on http://localhost:$port"
