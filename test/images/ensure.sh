#!/usr/bin/env bash
# Makes sure that an engine has images: what it lacks is pulled, as anyone would;
# only where no registry answers, stand-ins are built from Debian's packages.
#
#   test/images/ensure.sh [postgres] [redis] [nginx] [alpine] [golang]    default: all
#
# PULL_DEADLINE is how many seconds a registry has to answer (20).
set -eu

who=images
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/engine/lib.sh
. "$here/../engine/lib.sh"

[ $# -gt 0 ] || set -- postgres redis nginx alpine golang

need_docker
engine_version "${DOCKER_HOST:-}" >/dev/null || die "no engine answers at ${DOCKER_HOST:-the default socket}; start it, or set DOCKER_HOST"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# pull TAG pulls an image. 0: done; 1: no registry answered; it ends the script
# when a registry answered, but not with the image.
pull() {
	: >"$work/out"
	docker pull "$1" >"$work/out" 2>"$work/err" </dev/null &
	local pid=$! deadline=$((SECONDS + ${PULL_DEADLINE:-20}))
	while kill -0 "$pid" 2>/dev/null; do
		# The first line comes when the registry has told what there is;
		# from then on it may take as long as it takes.
		if [ ! -s "$work/out" ] && [ "$SECONDS" -ge "$deadline" ]; then
			kill "$pid" 2>/dev/null || :
			wait "$pid" 2>/dev/null || :
			echo "no answer in ${PULL_DEADLINE:-20} s" >"$work/err"
			return 1
		fi
		sleep 0.1
	done
	wait "$pid" && return
	# The docker command has one exit code for all, so its words must tell.
	grep -Eqi 'no such host|dial tcp|lookup |connection (refused|reset)|unreachable|timeout|deadline exceeded|proxyconnect|server misbehaving|EOF' "$work/err" && return 1
	cat "$work/err" >&2
	die "a registry answered, but $1 could not be pulled"
}

registry=yes
absent=() ours=()
for name in "$@"; do
	tag=$("$here/build.sh" --tag "$name")
	if standin=$(docker image inspect --format '{{index .Config.Labels "io.stackctl.standin"}}' "$tag" 2>/dev/null); then
		[ -z "$standin" ] || ours+=("$name")
		continue
	fi
	if [ $registry = yes ]; then
		say "pulling $tag"
		pull "$tag" && continue
		registry=no
	fi
	absent+=("$name")
done

# Stand-ins of an older version are made anew; the others stay as they are.
if [ ${#ours[@]} -gt 0 ] && is_root; then "$here/build.sh" "${ours[@]}" 2> >(grep -v ' is there$' >&2); fi

[ ${#absent[@]} -gt 0 ] || exit 0

is_debian || die "no image registry answers ($(head -n 1 "$work/err")), and stand-ins can be built on Debian only; connect to a network, or load the images"
say "no image registry answers: building stand-ins from Debian's packages (real PostgreSQL 15 and Redis 7)"
exec "$here/build.sh" "${absent[@]}"
