#!/usr/bin/env bash
# Builds stand-ins for the images that the stack and its tests name, from
# Debian's packages, for machines that reach no image registry.
#
#   test/images/build.sh [postgres] [redis] [nginx] [alpine] [golang]     default: all
#
# The engine is the one that DOCKER_HOST names (default: the local socket).
# An image that the engine has already is left alone, unless FORCE=1; only a
# stand-in of ours that an older version of these scripts made is replaced.
#
# An image is written as one layer in the `docker load` format, so neither a
# builder nor a base image is needed, and a second engine loads the cached
# file. Everything is cached in ${XDG_CACHE_HOME:-~/.cache}/stackctl-test.
#
#   test/images/build.sh --tag NAME    only prints the reference
set -eu

who=images
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/engine/lib.sh
. "$here/../engine/lib.sh"

suite=bookworm # the Debian release that has PostgreSQL 15 and Redis 7
go_version=1.26
cache=$user_cache
label='"io.stackctl.standin":"debian"'

# tag_of NAME prints the reference that stands for NAME.
tag_of() {
	case $1 in
	postgres) echo postgres:15-alpine ;;
	redis) echo redis:7-alpine ;;
	nginx) echo nginx:1-alpine ;;
	alpine) echo alpine:latest ;;
	golang) echo "golang:$go_version-alpine" ;;
	*) return 1 ;;
	esac
}

if [ "${1:-}" = --tag ]; then
	tag_of "${2:-}" || die "no image is called \"${2:-}\" here; there are: postgres redis nginx alpine golang"
	exit
fi
[ $# -gt 0 ] || set -- postgres redis nginx alpine golang
for name in "$@"; do
	tag_of "$name" >/dev/null || die "no image is called \"$name\" here; there are: postgres redis nginx alpine golang"
done

command -v docker >/dev/null || die "the docker command is missing; install docker.io (Debian 13: docker-cli) and try again"
engine_version "${DOCKER_HOST:-}" >/dev/null ||
	die "no engine answers at ${DOCKER_HOST:-the default socket}; start it, or set DOCKER_HOST"

# recipe_of NAME prints a key of all that NAME is made by.
recipe_of() {
	(cd "$here" && find build.sh "$1" -type f 2>/dev/null | LC_ALL=C sort | xargs cat) | sha256sum | cut -c1-12
}

# What the engine lacks. Stand-ins of another recipe are made anew, images
# without our label (pulled ones) are left alone.
todo=
for name in "$@"; do
	tag=$(tag_of "$name")
	recipe=$(recipe_of "$name")
	# <standin>/<recipe> of the image that is there; "/" for a pulled one.
	have=$(docker image inspect --format '{{index .Config.Labels "io.stackctl.standin"}}/{{index .Config.Labels "io.stackctl.standin.recipe"}}' "$tag" 2>/dev/null) || have=absent
	case $have in
	absent) ;;
	debian/"$recipe" | /)
		if [ -z "${FORCE:-}" ]; then
			say "$tag is there"
			continue
		fi
		;;
	debian/*) say "$tag is a stand-in of another version" ;;
	esac
	todo="$todo $name"
done
[ -n "$todo" ] || exit 0

mkdir -p "$cache/images"
exec 9>"$cache/lock"
flock -n 9 || {
	say "another build is under way, waiting for it"
	flock 9
}

work=$(mktemp -d "$cache/work.XXXXXX")
cleanup() {
	# A mount that is still there must not be deleted through.
	if ! grep -q " $work/" /proc/mounts; then
		rm -rf --one-file-system "$work"
	fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

need_root() {
	is_root || die "building $1 needs root (file owners, debootstrap); as root: $0 $1"
	is_debian || die "building $1 needs Debian (apt-get, debootstrap)"
}

# base leaves the shared base at $cache/base-$suite.tar.
base() {
	[ ! -s "$cache/base-$suite.tar" ] || return 0
	say "making the Debian $suite base with debootstrap (half a minute, once)"
	local began=$SECONDS
	bootstrap "$suite" "$work/base"
	tar -C "$work/base" --numeric-owner -cf "$work/base.tar" .
	mv "$work/base.tar" "$cache/base-$suite.tar"
	rm -rf "$work/base"
	say "base made in $((SECONDS - began)) s"
}

# debian_root DIR PACKAGE... unpacks the base and installs packages in it.
debian_root() {
	local dir=$1
	shift
	base
	mkdir -p "$dir"
	tar -C "$dir" -xf "$cache/base-$suite.tar"
	# The server's package must not make a cluster of its own.
	mkdir -p "$dir/etc/postgresql-common"
	echo 'create_main_cluster = false' >"$dir/etc/postgresql-common/createcluster.conf"
	# The base keeps apt's lists; they are fetched anew only if the packages
	# in them have left the mirror.
	install_in "$dir" "$@"
	# What nothing in a running container reads.
	rm -rf "$dir"/etc/postgresql-common/createcluster.conf "$dir"/etc/resolv.conf "$dir"/usr/sbin/policy-rc.d \
		"$dir"/var/lib/apt/lists "$dir"/var/cache/apt "$dir"/var/cache/debconf "$dir"/var/log/* \
		"$dir"/usr/share/doc "$dir"/usr/share/man "$dir"/usr/share/locale "$dir"/usr/share/info "$dir"/usr/share/lintian \
		"$dir"/usr/share/perl "$dir"/usr/lib/*-linux-gnu/perl "$dir"/usr/lib/*-linux-gnu/gconv \
		"$dir"/usr/lib/*-linux-gnu/libLLVM* "$dir"/usr/lib/llvm* "$dir"/usr/lib/*-linux-gnu/libz3* \
		"$dir"/usr/lib/postgresql/*/lib/llvmjit* "$dir"/usr/lib/postgresql/*/lib/bitcode
	: >"$dir/etc/resolv.conf"
	mkdir -p "$dir/var/lib/apt/lists/partial" "$dir/var/cache/apt/archives/partial"
}

# busybox_root DIR makes a root of a static busybox and its applet links.
busybox_root() {
	mkdir -p "$1"/bin "$1"/sbin "$1"/usr/bin "$1"/usr/sbin "$1"/usr/local/bin "$1"/etc "$1"/dev "$1"/proc "$1"/sys \
		"$1"/run "$1"/var/log "$1"/home "$1"/opt "$1"/srv "$1"/mnt
	install -d -m 700 "$1/root"
	install -d -m 1777 "$1/tmp" "$1/var/tmp"
	if [ ! -s "$cache/busybox" ]; then
		mkdir "$work/bb"
		chmod 755 "$work" "$work/bb"
		(cd "$work/bb" && { apt-get download -qq busybox-static || { apt-get update -qq && apt-get download -qq busybox-static; }; }) >"$work/apt.log" 2>&1 </dev/null || {
			cat "$work/apt.log" >&2
			die "apt-get download busybox-static did not work"
		}
		dpkg-deb -x "$work"/bb/busybox-static_*.deb "$work/bb/x"
		find "$work/bb/x" -name busybox -type f -perm -u+x -exec cp {} "$cache/busybox.new" \;
		mv "$cache/busybox.new" "$cache/busybox"
	fi
	install -m 755 "$cache/busybox" "$1/bin/busybox"
	"$1/bin/busybox" --list | while read -r applet; do
		case $applet in busybox | dpkg | dpkg-deb | rpm) continue ;; esac
		ln -s busybox "$1/bin/$applet"
	done
	ln -s /bin/env "$1/usr/bin/env"
	cat >"$1/etc/passwd" <<-END
		root:x:0:0:root:/root:/bin/sh
		nobody:x:65534:65534:nobody:/:/bin/false
	END
	printf 'root:x:0:\nnobody:x:65534:\n' >"$1/etc/group"
	printf 'root:*::0:::::\nnobody:!::0:::::\n' >"$1/etc/shadow"
	chmod 640 "$1/etc/shadow"
	printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' >"$1/etc/hosts"
	echo 'hosts: files dns' >"$1/etc/nsswitch.conf"
	printf 'NAME="stackctl stand-in"\nID=standin\nPRETTY_NAME="busybox stand-in for alpine"\n' >"$1/etc/os-release"
}

# pack NAME DIR CONFIG writes DIR as a one-layer image into the cache. CONFIG is
# the members of the image's "config" object, as JSON.
pack() {
	out=$work/pack-$1
	mkdir -p "$out/layer"
	tar -C "$2" --numeric-owner --sort=name --exclude=./dev/* -cf "$out/layer/layer.tar" .
	layer=$(sha256sum "$out/layer/layer.tar" | cut -d' ' -f1)
	mv "$out/layer" "$out/$layer"
	created=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	printf '{"architecture":"%s","os":"linux","created":"%s","config":{%s,"Labels":{%s,"io.stackctl.standin.recipe":"%s"}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"%s","created_by":"stackctl test/images/build.sh %s"}]}' \
		"$arch" "$created" "$3" "$label" "$recipe" "$layer" "$created" "$1" >"$out/config"
	config=$(sha256sum "$out/config" | cut -d' ' -f1)
	mv "$out/config" "$out/$config.json"
	printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s/layer.tar"]}]' \
		"$config" "$(tag_of "$1")" "$layer" >"$out/manifest.json"
	tar -C "$out" -cf "$out.tar" manifest.json "$config.json" "$layer"
	rm -f "$cache/images/$1"-*.tar
	mv "$out.tar" "$cache/images/$1-$key.tar"
	rm -rf "$out" "$2"
}

make_postgres() {
	need_root postgres
	dir=$work/postgres
	debian_root "$dir" postgresql-15 gosu libnss-wrapper
	install -m 755 "$here/postgres/entrypoint.sh" "$dir/usr/local/bin/docker-entrypoint.sh"
	# The package's cluster manager is not used: one server, one directory.
	rm -rf "$dir/etc/postgresql" "$dir/var/lib/postgresql"
	sed -i "s/^#\{0,1\}listen_addresses = .*/listen_addresses = '*'/" "$dir/usr/share/postgresql/15/postgresql.conf.sample"
	grep -q "^listen_addresses = '\*'" "$dir/usr/share/postgresql/15/postgresql.conf.sample" || die "postgresql.conf.sample has no listen_addresses"
	mkdir -p "$dir/docker-entrypoint-initdb.d"
	# Writable for any user, as docker run --user may name one.
	install -d -m 1777 -o "$(uid_in "$dir" postgres)" -g "$(gid_in "$dir" postgres)" "$dir/var/lib/postgresql" "$dir/var/lib/postgresql/data"
	install -d -m 3777 -o "$(uid_in "$dir" postgres)" -g "$(gid_in "$dir" postgres)" "$dir/run/postgresql"
	pack postgres "$dir" '"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin","LANG=C.UTF-8","PG_MAJOR=15","PGDATA=/var/lib/postgresql/data"],"Entrypoint":["docker-entrypoint.sh"],"Cmd":["postgres"],"ExposedPorts":{"5432/tcp":{}},"Volumes":{"/var/lib/postgresql/data":{}},"StopSignal":"SIGINT"'
}

make_redis() {
	need_root redis
	dir=$work/redis
	debian_root "$dir" redis-server gosu
	install -m 755 "$here/redis/entrypoint.sh" "$dir/usr/local/bin/docker-entrypoint.sh"
	# Without a configuration file the server's defaults hold, as upstream.
	rm -rf "$dir/etc/redis" "$dir/var/lib/redis"
	install -d -m 755 -o "$(uid_in "$dir" redis)" -g "$(gid_in "$dir" redis)" "$dir/data"
	pack redis "$dir" '"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Entrypoint":["docker-entrypoint.sh"],"Cmd":["redis-server"],"ExposedPorts":{"6379/tcp":{}},"Volumes":{"/data":{}},"WorkingDir":"/data"'
}

make_nginx() {
	need_root nginx
	dir=$work/nginx
	# busybox for the wget that the official image has from its base.
	debian_root "$dir" nginx-light busybox
	install -m 755 "$here/nginx/entrypoint.sh" "$dir/docker-entrypoint.sh"
	ln -sf /bin/busybox "$dir/usr/bin/wget"
	rm -rf "$dir"/etc/nginx/sites-* "$dir"/etc/nginx/modules-enabled "$dir"/etc/nginx/snippets "$dir/var/www"
	sed -i -e '/sites-enabled/d' -e '/modules-enabled/d' -e '/^user /s/www-data/nginx/' "$dir/etc/nginx/nginx.conf"
	grep -q '^user nginx;' "$dir/etc/nginx/nginx.conf" || die "nginx.conf names no user"
	sed -i 's/^www-data:/nginx:/' "$dir/etc/passwd" "$dir/etc/shadow" "$dir/etc/group"
	mkdir -p "$dir/etc/nginx/conf.d" "$dir/usr/share/nginx/html" "$dir/var/log/nginx"
	cp "$here/nginx/default.conf" "$dir/etc/nginx/conf.d/"
	echo '<h1>Welcome to nginx!</h1>' >"$dir/usr/share/nginx/html/index.html"
	ln -sf /dev/stdout "$dir/var/log/nginx/access.log"
	ln -sf /dev/stderr "$dir/var/log/nginx/error.log"
	pack nginx "$dir" '"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Entrypoint":["/docker-entrypoint.sh"],"Cmd":["nginx","-g","daemon off;"],"ExposedPorts":{"80/tcp":{}},"StopSignal":"SIGQUIT"'
}

make_alpine() {
	need_root alpine
	busybox_root "$work/alpine"
	pack alpine "$work/alpine" '"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":["/bin/sh"]'
}

make_golang() {
	need_root golang
	dir=$work/golang
	busybox_root "$dir"
	say "copying the Go toolchain from $goroot"
	mkdir -p "$dir/usr/local/go" "$dir/etc/ssl/certs"
	# Without what no build reads.
	tar -C "$goroot" --exclude=./test --exclude=./api --exclude=./doc --exclude=./misc --exclude=./.git \
		--exclude='*_test.go' --exclude=testdata -cf - . | tar -C "$dir/usr/local/go" -xf - --no-same-owner
	# The certificates that this machine trusts: a build fetches modules.
	need update-ca-certificates ca-certificates
	cp -L /etc/ssl/certs/ca-certificates.crt "$dir/etc/ssl/certs/"
	install -d -m 777 "$dir/go" "$dir/go/src" "$dir/go/bin"
	pack golang "$dir" '"Env":["PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","GOLANG_VERSION='"$goversion"'","GOTOOLCHAIN=local","GOPATH=/go"],"Cmd":["/bin/sh"],"WorkingDir":"/go"'
}

uid_in() { awk -F: -v u="$2" '$1 == u { print $3 }' "$1/etc/passwd"; }
gid_in() { awk -F: -v u="$2" '$1 == u { print $3 }' "$1/etc/group"; }

case $(uname -m) in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) die "no stand-ins for machines of type $(uname -m)" ;;
esac

for name in $todo; do
	tag=$(tag_of "$name")
	recipe=$(recipe_of "$name")
	key=$recipe-$arch
	if [ "$name" = golang ]; then
		command -v go >/dev/null || die "the go command is missing: $tag is made from the Go toolchain of this machine"
		goroot=$(cd / && GOTOOLCHAIN=local go env GOROOT)
		goversion=$(cd / && GOTOOLCHAIN=local go env GOVERSION)
		goversion=${goversion#go}
		case $goversion in
		"$go_version" | "$go_version".*) ;;
		*) die "$tag needs Go $go_version, this machine has $goversion" ;;
		esac
		key=$recipe-$arch-$goversion
	fi
	file=$cache/images/$name-$key.tar
	began=$SECONDS
	if [ ! -s "$file" ]; then
		say "building a stand-in for $tag from Debian's packages"
		"make_$name"
	fi
	docker load -q -i "$file" >/dev/null
	docker image prune -f --filter label=io.stackctl.standin=debian >/dev/null # the version before
	say "$tag is there now ($(($(stat -c %s "$file") / 1000000)) MB, $((SECONDS - began)) s)"
done
