#!/usr/bin/env bash
# Stops an engine that start.sh started, and takes away what it set up. Engines
# that were there before are not touched; the cached root and images stay.
#
#   test/engine/stop.sh 20.10|26.1|newest
set -eu

who=engine
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/engine/lib.sh
. "$here/lib.sh"

[ $# = 1 ] || die "usage: $0 20.10|26.1|newest"
version=$1
case $version in
default) exit 0 ;; # never ours
20.10) bridge=stackctl20 net=10.220 ;;
26.1) bridge=stackctl26 net=10.226 ;;
newest) bridge=stackctlsid net=10.228 ;;
*) die "no engine is called \"$version\" here; there are: 20.10 26.1 newest" ;;
esac

dir=$root_cache/engine-$version
run=/run/stackctl-test/engine-$version
[ -d "$run" ] || exit 0
is_root || die "stopping engine $version needs root; as root: $0 $version"

# ours PID tells whether a process is the one that start.sh started: ids are
# used again.
ours() { [ -r "/proc/$1/cmdline" ] && tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -qF " $run "; }

pid=$(cat "$run/pid" 2>/dev/null || echo none)
if ours "$pid"; then
	say "stopping $version"
	first=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null || :)
	# The engine stops its containers, then ends.
	# shellcheck disable=SC2086 # one id
	kill -TERM ${first:-$pid} 2>/dev/null || :
	deadline=$((SECONDS + 30))
	while ours "$pid" && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.1; done
	# The end of the first process is the end of all in its namespace.
	! ours "$pid" || kill -KILL "$pid"
fi

# Bridges of networks that were still there.
ip -o -4 addr show 2>/dev/null | awk -v net="$net." 'index($4, net) == 1 { print $2 }' | while read -r link; do
	ip link delete "$link" 2>/dev/null || :
done
ip link delete "$bridge" 2>/dev/null || :

ipt() {
	if command -v iptables >/dev/null; then
		iptables -w "$@" 2>/dev/null || :
	elif [ -d "$dir/root" ]; then
		in_root "$dir/root" iptables -w "$@" 2>/dev/null || :
	fi
}
rules=$(printf '%s' "$bridge" | tr '[:lower:]' '[:upper:]')
ipt -D FORWARD -j "$rules"
ipt -F "$rules"
ipt -X "$rules"
ipt -t nat -D POSTROUTING -j "$rules"
ipt -t nat -F "$rules"
ipt -t nat -X "$rules"

rm -rf "$run"
