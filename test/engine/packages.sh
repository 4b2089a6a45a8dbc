#!/usr/bin/env bash
# Makes sure of the programs that the tests drive. On Debian, root gets them
# installed, none of them started as a service; elsewhere it says what is
# missing, and the tests that need it say so again.
set -eu

who='tests'
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/engine/lib.sh
. "$here/lib.sh"

missing=()
lacks() { missing+=("$1"); }

has() { command -v "$1" >/dev/null; }
{ has gcc && [ -e /usr/include/stdlib.h ]; } || lacks gcc # for go test -race
has git || lacks git
has chromium || has chromium-browser || has google-chrome || lacks chromium
has redis-server || lacks redis-server
[ "$(uname)" != Linux ] || has docker-registry || lacks docker-registry
has initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || lacks postgresql
[ "$(uname)" != Linux ] || has ip || lacks iproute2
[ "$(uname)" != Linux ] || has debootstrap || lacks debootstrap
has shellcheck || lacks shellcheck
[ ${#missing[@]} -gt 0 ] || exit 0

if ! is_debian || ! is_root; then
	say "missing here: ${missing[*]} (the names are Debian's packages); what needs them is skipped or fails"
	exit 0
fi

packages=()
for name in "${missing[@]}"; do
	case $name in
	gcc) packages+=(gcc libc6-dev) ;;
	*) packages+=("$name") ;;
	esac
done
install_packages "${packages[@]}"
