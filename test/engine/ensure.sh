#!/usr/bin/env bash
# Makes sure that a Docker engine answers where DOCKER_HOST, or else the docker
# command's context, points. On Debian, root gets one installed and started;
# elsewhere it says what is missing.
set -eu

who=engine
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/engine/lib.sh
. "$here/lib.sh"

command -v docker >/dev/null && engine_version "${DOCKER_HOST:-}" >/dev/null && exit 0

if [ -n "${DOCKER_HOST:-}" ]; then
	command -v docker >/dev/null || die "the docker command is missing; install docker.io (Debian 13: docker-cli)"
	die "no engine answers at $DOCKER_HOST (DOCKER_HOST); start it, or unset DOCKER_HOST to use the machine's own"
fi
if ! is_debian; then
	die "no Docker engine answers here; install and start Docker Desktop, or your system's Docker packages, then try again"
fi
if ! is_root; then
	die "no Docker engine answers here; start it, or install it: sudo apt-get install docker.io"
fi

if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
	say "there is no Docker on this machine: installing Debian's and starting it"
	install_packages docker.io iptables ca-certificates
	need_docker
else
	say "Docker is installed but does not run: starting it"
fi

log=/var/log/stackctl-dockerd.log
pid=
if [ -d /run/systemd/system ]; then
	systemctl start docker
else
	need_cgroups
	setsid dockerd </dev/null >"$log" 2>&1 &
	pid=$!
fi

deadline=$((SECONDS + 60))
until found=$(engine_version "${DOCKER_HOST:-}"); do
	if [ "$SECONDS" -ge "$deadline" ] || { [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; }; then
		last_words "$log"
		die "the engine did not start; see $log, or: journalctl -u docker"
	fi
	sleep 0.3
done
say "version $found runs"
