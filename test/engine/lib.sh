# shellcheck shell=bash
# What the scripts of test/ share. Sourced, never run; who is set before.
: "${who:=test}"

# The cache of what anybody may build, and of what only root can.
# shellcheck disable=SC2034 # used by those who source this
user_cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/stackctl-test
# shellcheck disable=SC2034
root_cache=/var/cache/stackctl-test

say() { echo "$who: $*" >&2; }
die() {
	say "$@"
	exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }
is_debian() { [ -e /etc/debian_version ] && command -v apt-get >/dev/null; }

# install_packages PACKAGE... installs Debian packages, and starts none of the
# services in them.
install_packages() {
	is_debian || die "missing: $*; install what provides them on this system and try again"
	is_root || die "missing: $*; as root: apt-get install $*"
	say "installing with apt-get: $*"
	local log policy=
	log=$(mktemp)
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	local status=0
	# Fetch the lists only if the ones that are there do not suffice.
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null >"$log" 2>&1 || {
		apt-get update -q </dev/null >>"$log" 2>&1 || :
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null >>"$log" 2>&1 || status=$?
	}
	[ -z "$policy" ] || rm -f "$policy"
	[ "$status" = 0 ] || tail -n 20 "$log" >&2
	rm -f "$log"
	[ "$status" = 0 ] || die "apt-get install $* did not work"
}

# need COMMAND PACKAGE makes sure that a command is there.
need() {
	command -v "$1" >/dev/null || install_packages "$2"
}

# need_docker makes sure of the docker command, which has a package of its own
# from Debian 13 on.
need_docker() {
	command -v docker >/dev/null || install_packages docker.io
	command -v docker >/dev/null || install_packages docker-cli
}

# debian_mirror prints the mirror that this machine takes Debian from, and
# nothing on a machine that has none: debootstrap knows a default then.
debian_mirror() {
	# shellcheck disable=SC2016 # a field name for apt-get
	apt-get indextargets 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' --format '$(REPO_URI)' 2>/dev/null | head -n 1
}

# bootstrap SUITE DIR makes a minimal Debian in DIR: no documentation, and no
# service starts in it.
bootstrap() {
	need debootstrap debootstrap
	local log
	log=$(mktemp)
	# shellcheck disable=SC2046 # no mirror, no argument
	debootstrap --variant=minbase "$1" "$2" $(debian_mirror) >"$log" 2>&1 </dev/null || {
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "debootstrap $1 did not work"
	}
	rm -f "$log"
	cat >"$2/etc/dpkg/dpkg.cfg.d/stackctl-test" <<-END
		force-unsafe-io
		path-exclude=/usr/share/doc/*
		path-exclude=/usr/share/man/*
		path-exclude=/usr/share/info/*
		path-exclude=/usr/share/locale/*
		path-exclude=/usr/share/lintian/*
	END
	# A mirror may be behind with sid, whose lists are good for a week.
	[ "$1" != sid ] || echo 'Acquire::Check-Valid-Until "false";' >"$2/etc/apt/apt.conf.d/stackctl-test"
	printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
	chmod 755 "$2/usr/sbin/policy-rc.d"
}

# install_in DIR PACKAGE... installs packages in such a root.
install_in() {
	local dir=$1 log
	shift
	log=$(mktemp)
	cp -L --remove-destination /etc/resolv.conf "$dir/etc/resolv.conf"
	{
		in_root "$dir" apt-get install -y -q --no-install-recommends "$@" ||
			{ in_root "$dir" apt-get update -q && in_root "$dir" apt-get install -y -q --no-install-recommends "$@"; }
	} >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "installing $* in $dir did not work"
	}
	rm -f "$log"
}

# in_root DIR COMMAND... runs a command in a root, in an environment of its own.
in_root() {
	local dir=$1
	shift
	chroot "$dir" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
		${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} "$@" </dev/null
}

# engine_version HOST prints the version of the engine that answers there; an
# empty HOST is the docker command's own default.
engine_version() {
	docker ${1:+--host "$1"} version --format '{{.Server.Version}}' 2>/dev/null
}

# need_cgroups mounts the control groups where nothing has done so: no engine
# starts without them.
need_cgroups() {
	if [ -e /sys/fs/cgroup/cgroup.controllers ] || [ -e /sys/fs/cgroup/devices ]; then return; fi
	need cgroupfs-mount cgroupfs-mount
	say "mounting the control groups"
	cgroupfs-mount
}

# last_words LOG prints what an engine that ended had to complain about.
last_words() {
	[ -s "$1" ] || return 0
	grep -v 'level=\(info\|debug\)' "$1" | tail -n 5 >&2 || :
}
