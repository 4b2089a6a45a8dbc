#!/usr/bin/env bash
# Makes sure that an engine to test on runs, and prints DOCKER_HOST=... for it.
#
#   test/engine/start.sh default    whatever DOCKER_HOST names
#   test/engine/start.sh 20.10      Debian bookworm's: the machine's own engine
#                                   if it is that version, else one as below
#   test/engine/start.sh 26.1       Debian trixie's
#   test/engine/start.sh newest     Debian sid's, which moves: to try by hand, with
#                                   make test ENGINES=newest
#
# An engine that the machine does not have is Debian's docker.io, run as root
# from a debootstrapped root beside whatever else runs. It has of its own: the
# mount namespace (pivot_root, not chroot: under a chroot, exec lands outside
# the container), the pid namespace (so that stopping it leaves no process),
# the data root, the socket, the bridge and the address range. It shares the
# network namespace, so published ports are there on 127.0.0.1, and it leaves
# the iptables of the machine alone (--iptables=false): two engines that both
# write the DOCKER chains take each other's rules away whenever one starts.
# Published ports on the loopback go through docker-proxy in either case.
#
# test/engine/stop.sh stops it. The root and the images stay in the cache.
set -eu

who=engine
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/engine/lib.sh
. "$here/lib.sh"

machine=unix:///var/run/docker.sock

[ $# = 1 ] || die "usage: $0 default|20.10|26.1|newest"
version=$1
case $version in
default)
	"$here/ensure.sh"
	found=$(engine_version "${DOCKER_HOST:-}") || die "no engine answers at ${DOCKER_HOST:-$machine}; start it, or set DOCKER_HOST, or name 20.10 or 26.1"
	say "the default engine is version $found"
	echo "DOCKER_HOST=${DOCKER_HOST:-$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || echo "$machine")}"
	exit
	;;
20.10) suite=bookworm bridge=stackctl20 net=10.220 ;;
26.1) suite=trixie bridge=stackctl26 net=10.226 ;;
newest) suite=sid bridge=stackctlsid net=10.228 ;;
*) die "no engine is called \"$version\" here; there are: default 20.10 26.1 newest" ;;
esac

dir=$root_cache/engine-$version
run=/run/stackctl-test/engine-$version
host=unix://$run/docker.sock

if [ "$version" = 20.10 ] && [ ! -e "$run/docker.sock" ]; then
	if [ ! -S /var/run/docker.sock ] && is_root && is_debian &&
		apt-cache policy docker.io 2>/dev/null | grep -q 'Candidate: 20\.10\.'; then
		"$here/ensure.sh"
	fi
	if found=$(engine_version $machine); then
		case $found in
		20.10 | 20.10[.+]*)
			say "20.10 is the machine's own engine, version $found"
			echo "DOCKER_HOST=$machine"
			exit
			;;
		esac
		say "the machine's own engine is version $found, so 20.10 is started beside it"
	fi
fi

is_root || die "starting engine $version needs root; as root: $0 $version"
need_docker

mkdir -p "$dir"
exec 8>"$dir/lock"
flock 8

if found=$(engine_version "$host"); then
	say "$version runs already, version $found"
	echo "DOCKER_HOST=$host"
	exit
fi
"$here/stop.sh" "$version" # what is left of one that ended by itself

need ip iproute2
need_cgroups
began=$SECONDS
if [ ! -e "$dir/root/etc/debian_version" ]; then
	say "making a Debian $suite root in $dir (a minute or two, once)"
	rm -rf --one-file-system "$dir/root.new"
	bootstrap "$suite" "$dir/root.new"
	install_in "$dir/root.new" docker.io containerd runc iptables fuse-overlayfs ca-certificates procps
	in_root "$dir/root.new" apt-get clean
	rm -rf "$dir"/root.new/var/lib/apt/lists/* "$dir"/root.new/usr/share/doc/* "$dir"/root.new/usr/share/locale/*
	mv "$dir/root.new" "$dir/root"
	say "root made in $((SECONDS - began)) s"
fi

# The bridge, and an address range that no other engine gives out.
ip link show "$bridge" >/dev/null 2>&1 || ip link add name "$bridge" type bridge
ip addr replace "$net.0.1/24" dev "$bridge"
ip link set "$bridge" up

# What the engine would write itself, in a chain that nobody else empties. Where
# the machine's own engine has set the FORWARD policy to DROP, this has to be
# in the same tables, so the machine's iptables is asked first.
rules=$(printf '%s' "$bridge" | tr '[:lower:]' '[:upper:]')
ipt() {
	if command -v iptables >/dev/null; then
		iptables -w "$@"
	else
		in_root "$dir/root" iptables -w "$@"
	fi
}
if ! ipt -n -L "$rules" >/dev/null 2>&1; then
	ipt -N "$rules"
	ipt -A "$rules" -s "$net.0.0/16" -j ACCEPT
	ipt -A "$rules" -d "$net.0.0/16" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
	ipt -t nat -N "$rules"
	ipt -t nat -A "$rules" -s "$net.0.0/16" ! -d "$net.0.0/16" -j MASQUERADE
fi
ipt -C FORWARD -j "$rules" 2>/dev/null || ipt -I FORWARD -j "$rules"
ipt -t nat -C POSTROUTING -j "$rules" 2>/dev/null || ipt -t nat -A POSTROUTING -j "$rules"

# Packets must not be larger than the way out takes.
mtu=$(cat "/sys/class/net/$(ip -o -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)/mtu" 2>/dev/null || echo 1500)

mkdir -p "$dir/data" "$run"
# An engine that has --default-address-pool and remembers a bridge network
# deletes the link docker0 when it starts, whoever's that is: let it forget.
rm -rf "$dir/data/network"
cp -L --remove-destination /etc/resolv.conf "$dir/root/etc/resolv.conf"
[ ! -s /etc/ssl/certs/ca-certificates.crt ] || cp -L --remove-destination /etc/ssl/certs/ca-certificates.crt "$dir/root/etc/ssl/certs/"

say "starting $version"
setsid unshare --mount --pid --fork --kill-child --propagation private \
	sh "$here/inside.sh" "$dir/root" "$dir/data" "$run" \
	dockerd --host "unix:///run/engine/docker.sock" --group root \
	--bridge "$bridge" --default-address-pool "base=$net.128.0/17,size=24" --mtu "$mtu" \
	--iptables=false --ip6tables=false --pidfile /run/dockerd.pid \
	</dev/null >"$dir/dockerd.log" 2>&1 8>&- &
echo $! >"$run/pid"

deadline=$((SECONDS + 60))
until found=$(engine_version "$host"); do
	if [ "$SECONDS" -ge "$deadline" ] || ! kill -0 "$(cat "$run/pid")" 2>/dev/null; then
		last_words "$dir/dockerd.log"
		"$here/stop.sh" "$version"
		die "engine $version did not start; its log is $dir/dockerd.log"
	fi
	sleep 0.2
done
say "$version runs, version $found, API $(docker --host "$host" version --format '{{.Server.APIVersion}}'), storage $(docker --host "$host" info --format '{{.Driver}}'), $((SECONDS - began)) s"
echo "DOCKER_HOST=$host"
