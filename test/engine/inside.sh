#!/bin/sh
# Started by start.sh as the first process of new mount and pid namespaces: puts
# the root in place and runs the engine in it.
#
#   inside.sh ROOT DATA RUN COMMAND...
set -eu

root=$1 data=$2 run=$3
shift 3

mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/engine var/lib/docker
mount --bind "$run" run/engine
mount --bind "$data" var/lib/docker

# Everything that is no part of a system is there under the same path, so that
# bind mounts of a test's files mean the same to every engine.
for path in /*; do
	case ${path#/} in
	bin | boot | dev | etc | lib* | proc | run | sbin | sys | usr | var | lost+found) continue ;;
	esac
	if [ ! -d "$path" ] || [ -L "$path" ]; then continue; fi
	mkdir -p ".$path"
	mount --rbind "$path" ".$path"
done

mkdir -p .old
pivot_root . .old
cd /
umount -l /.old

env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@" &
engine=$!
# The first process of a pid namespace gets only the signals that it handles.
trap 'kill -TERM $engine 2>/dev/null || :' TERM INT HUP
while kill -0 $engine 2>/dev/null; do
	wait $engine || :
done
