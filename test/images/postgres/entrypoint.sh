#!/bin/bash
# Entrypoint of the stand-in for postgres:15-alpine. It keeps the contract of
# the official image, which its documentation states: the variables POSTGRES_*
# and their _FILE forms, /docker-entrypoint-initdb.d, PGDATA, root or any user.
set -Eeo pipefail

initdb_dir=/docker-entrypoint-initdb.d

note() { printf '%s [entrypoint] %s\n' "$(date -u +%H:%M:%S)" "$*"; }
fail() {
	printf 'Error: %s\n' "$1" >&2
	shift
	[ $# -eq 0 ] || printf '       %s\n' "$@" >&2
	exit 1
}

# setting NAME [DEFAULT] gives NAME its value: NAME itself, or the content of
# the file that NAME_FILE names, or DEFAULT. Both at once is an error.
setting() {
	local name=$1 file_var=$1_FILE value=${2:-}
	if [ -n "${!name:-}" ] && [ -n "${!file_var:-}" ]; then
		fail "both $name and $file_var are set (but are exclusive)"
	fi
	if [ -n "${!name:-}" ]; then
		value=${!name}
	elif [ -n "${!file_var:-}" ]; then
		[ -r "${!file_var}" ] || fail "$file_var names ${!file_var}, which cannot be read"
		value=$(<"${!file_var}")
	fi
	export "$name=$value"
	unset "$file_var"
}

# A server that only prints something needs no database.
prints_only() {
	local arg
	for arg; do
		case $arg in
		-'?' | --help | --version | -V | --describe-config | -C) return 0 ;;
		esac
	done
	return 1
}

make_directories() {
	mkdir -p "$PGDATA"
	chmod 700 "$PGDATA" 2>/dev/null || :
	mkdir -p /var/run/postgresql 2>/dev/null || :
	chmod 3777 /var/run/postgresql 2>/dev/null || :
	if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
		mkdir -p "$POSTGRES_INITDB_WALDIR"
		chmod 700 "$POSTGRES_INITDB_WALDIR"
	fi
	if [ "$(id -u)" = 0 ]; then
		find "$PGDATA" ! -user postgres -exec chown postgres {} +
		find /var/run/postgresql ! -user postgres -exec chown postgres {} +
		if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
			find "$POSTGRES_INITDB_WALDIR" ! -user postgres -exec chown postgres {} +
		fi
	fi
}

require_password() {
	if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
		fail 'Database is uninitialized and superuser password is not specified.' \
			'Set POSTGRES_PASSWORD to a non-empty value, for example with' \
			'"-e POSTGRES_PASSWORD=password" on "docker run".' \
			'POSTGRES_HOST_AUTH_METHOD=trust allows all connections without a password;' \
			'that is not recommended.'
	fi
	if [ "$POSTGRES_HOST_AUTH_METHOD" = trust ]; then
		note 'POSTGRES_HOST_AUTH_METHOD=trust: anyone who reaches the port gets in without a password' >&2
	fi
}

run_initdb() {
	# initdb asks who the user is, and an arbitrary one has no name.
	if ! getent passwd "$(id -u)" >/dev/null; then
		local lib
		for lib in /usr/lib/*/libnss_wrapper.so; do
			[ -s "$lib" ] || continue
			NSS_WRAPPER_PASSWD=$(mktemp)
			NSS_WRAPPER_GROUP=$(mktemp)
			export LD_PRELOAD=$lib NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
			printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" >"$NSS_WRAPPER_PASSWD"
			printf 'postgres:x:%s:\n' "$(id -g)" >"$NSS_WRAPPER_GROUP"
			break
		done
	fi
	local options=(--username="$POSTGRES_USER")
	if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
		options+=(--waldir="$POSTGRES_INITDB_WALDIR")
	fi
	# The arguments are one string, written as for a shell.
	eval 'initdb "${options[@]}" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"
	if [ -n "${NSS_WRAPPER_PASSWD:-}" ]; then
		rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
		unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
	fi
	printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
}

# The temporary server listens on the unix socket alone, so nobody outside
# takes it for the real one.
start_temporary() {
	set -- "$@" -c listen_addresses= -p "${PGPORT:-5432}"
	PGUSER=${PGUSER:-$POSTGRES_USER} pg_ctl -D "$PGDATA" -w -o "$(printf '%q ' "$@")" start
}
stop_temporary() {
	PGUSER=${PGUSER:-postgres} pg_ctl -D "$PGDATA" -m fast -w stop
}

# For scripts in the init directory too, which may be sourced.
docker_process_sql() {
	PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc --dbname "$POSTGRES_DB" "$@"
}

create_database() {
	[ "$POSTGRES_DB" != postgres ] || return 0
	local sql=(docker_process_sql --dbname postgres --set db="$POSTGRES_DB") there
	there=$("${sql[@]}" --tuples-only --no-align <<<"SELECT 1 FROM pg_database WHERE datname = :'db';")
	[ -n "$there" ] || "${sql[@]}" <<<'CREATE DATABASE :"db";'
}

run_init_files() {
	local file
	for file in "$initdb_dir"/*; do
		case $file in
		*.sh)
			if [ -x "$file" ]; then
				note "running $file"
				"$file"
			else
				note "sourcing $file"
				# shellcheck source=/dev/null
				. "$file"
			fi
			;;
		*.sql)
			note "running $file"
			docker_process_sql -f "$file"
			;;
		*.sql.gz)
			note "running $file"
			gunzip -c "$file" | docker_process_sql
			;;
		"$initdb_dir/*") ;;
		*) note "ignoring $file" ;;
		esac
	done
}

main() {
	case ${1:-} in
	-*) set -- postgres "$@" ;;
	esac
	if [ "${1:-}" != postgres ] || prints_only "${@:2}"; then
		exec "$@"
	fi

	setting POSTGRES_PASSWORD
	setting POSTGRES_USER postgres
	setting POSTGRES_DB "$POSTGRES_USER"
	setting POSTGRES_INITDB_ARGS
	: "${POSTGRES_HOST_AUTH_METHOD:=}"
	make_directories
	if [ "$(id -u)" = 0 ]; then
		exec gosu postgres "$0" "$@"
	fi

	if [ -s "$PGDATA/PG_VERSION" ]; then
		note 'the database directory is there already, skipping initialization'
	else
		require_password
		# Fail before initdb if the files cannot be read.
		ls "$initdb_dir/" >/dev/null
		run_initdb
		export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
		start_temporary "${@:2}"
		create_database
		run_init_files
		stop_temporary
		unset PGPASSWORD
		note 'initialization complete, starting the server'
	fi
	exec "$@"
}

main "$@"
