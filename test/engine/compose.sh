#!/usr/bin/env bash
# Prints the path of a Docker Compose to test against: $COMPOSE if it is set,
# else Debian trixie's (2.26, one Go binary, which runs on other releases as it
# is), unpacked into the cache; else, where that cannot be had, the one on PATH.
set -eu

who=compose
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/engine/lib.sh
. "$here/lib.sh"

suite=trixie
cached=$user_cache/compose/docker-compose

if [ -n "${COMPOSE:-}" ]; then
	command -v "$COMPOSE" >/dev/null || die "COMPOSE names $COMPOSE, which is not there"
	echo "$COMPOSE"
	exit
fi

if [ ! -x "$cached" ] && is_debian; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	chmod 755 "$work"
	mirror=$(debian_mirror)
	say "fetching docker-compose from Debian $suite"
	# A set of apt lists of its own, so that the machine's stay as they are.
	mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/parts"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-$(sed -n 's/^DEF_MIRROR="\(.*\)"$/\1/p' /usr/sbin/debootstrap 2>/dev/null)} $suite main" >"$work/sources.list"
	apt=(apt-get -q -o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/parts"
		-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives"
		-o Acquire::Languages=none -o APT::Sandbox::User=root)
	if (cd "$work" && "${apt[@]}" update && "${apt[@]}" download docker-compose) >"$work/log" 2>&1 </dev/null; then
		dpkg-deb -x "$work"/docker-compose_*.deb "$work/x"
		found=$(find "$work/x/usr" -name docker-compose -type f -perm -u+x | head -n 1)
		[ -n "$found" ] || die "the package docker-compose of $suite has no such command"
		mkdir -p "$(dirname "$cached")"
		cp "$found" "$cached.new.$$"
		mv "$cached.new.$$" "$cached"
	else
		tail -n 5 "$work/log" >&2
	fi
fi

if [ -x "$cached" ]; then
	echo "$cached"
elif docker-compose version --short 2>/dev/null | grep -q '^v\{0,1\}[2-9]'; then
	command -v docker-compose # the Python one, version 1, does not count
else
	die "no Docker Compose 2 here; set COMPOSE to the path of one"
fi
