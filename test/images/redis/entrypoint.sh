#!/bin/sh
# Entrypoint of the stand-in for redis:7-alpine. It keeps the contract of the
# official image: options alone are given to redis-server, the server does not
# run as root, and it accepts connections from other containers.
set -e

case ${1:-} in
-* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1:-}" = redis-server ]; then
	if [ "$(id -u)" = 0 ]; then
		# Volumes may come with files of another owner.
		find . ! -user redis -exec chown redis:redis {} +
		exec gosu redis "$0" "$@"
	fi
	shift
	# The official build has protected mode off unless it is asked for; the
	# one from Debian has it on. Say so first, so that what follows wins.
	case ${1:-} in
	-h | --help | -v | --version | --check-system | --test-memory | -) ;;
	-* | '') set -- --protected-mode no "$@" ;;
	*)
		if ! grep -qsi '^[[:space:]]*protected-mode' "$1"; then
			conf=$1
			shift
			set -- "$conf" --protected-mode no "$@"
		fi
		;;
	esac
	set -- redis-server "$@"
	# Files of the database are nobody else's business, unless somebody
	# chose a umask.
	[ "$(umask)" != 0022 ] || umask 0077
fi

exec "$@"
