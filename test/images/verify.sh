#!/usr/bin/env bash
# Checks that the images postgres:15-alpine, redis:7-alpine and nginx:1-alpine of
# an engine keep the contract of the official ones, as far as the stack and its tests rely on
# it. Works on pulled images and on the stand-ins alike.
set -eu

pg=postgres:15-alpine
redis=redis:7-alpine
nginx=nginx:1-alpine
id=imagecheck-$$
work=$(mktemp -d)
chmod 755 "$work"

cleanup() {
	docker rm -f -v "$id" >/dev/null 2>&1 || :
	docker volume rm -f "$id" >/dev/null 2>&1 || :
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

passed=0
ok() {
	passed=$((passed + 1))
	echo "ok: $*" >&2
}
fail() {
	echo "FAIL: $*" >&2
	docker logs "$id" 2>&1 | tail -n 20 >&2 || :
	exit 1
}

# wait_for COMMAND... tries for 30 s, and gives up when the container is gone.
wait_for() {
	local deadline=$((SECONDS + 30))
	while [ "$SECONDS" -lt "$deadline" ]; do
		docker exec "$id" "$@" >/dev/null 2>&1 && return
		[ "$(docker inspect -f '{{.State.Running}}' "$id")" = true ] || fail "the container ended while waiting for: $*"
		sleep 0.1
	done
	fail "not ready in time: $*"
}
run() { docker run -d --name "$id" "$@" >/dev/null; }
gone() {
	docker rm -f -v "$id" >/dev/null
	docker volume rm -f "$id" >/dev/null
}
equal() { # equal WHAT GOT WANT
	[ "$2" = "$3" ] || fail "$1: got \"$2\", want \"$3\""
	ok "$1"
}
sql() { docker exec -e PGPASSWORD=s3cret "$id" psql -h 127.0.0.1 -U "${user:-postgres}" -d "${db:-postgres}" -Atc "$1"; }

# PostgreSQL
out=$(docker run --rm --name "$id" $pg 2>&1) && fail 'starts without a password'
case $out in *POSTGRES_PASSWORD*) ok 'no password: refused, and the variable is named' ;; *) fail "no password: said \"$out\"" ;; esac

run -v "$id:/var/lib/postgresql/data" -e POSTGRES_PASSWORD=s3cret -e POSTGRES_USER=ann -e POSTGRES_DB=shop $pg
user=ann db=shop
wait_for pg_isready -h 127.0.0.1 -U ann -d shop
equal 'user and database' "$(sql "select current_user || '/' || current_database() || '/' || current_setting('server_version_num')::int / 10000")" ann/shop/15
equal 'created as utf-8' "$(sql 'show server_encoding')" UTF8
docker exec -e PGPASSWORD=wrong "$id" psql -h "$(docker inspect -f '{{.NetworkSettings.IPAddress}}' "$id")" -U ann -d shop -c 'select 1' >/dev/null 2>&1 && fail 'a wrong password gets in'
ok 'a wrong password is refused'
equal 'the server is process 1 and not root' "$(docker exec "$id" sh -c 'stat -c %U /proc/1; cat /proc/1/comm' | tr '\n' ' ')" 'postgres postgres '
sql 'create table t(x int); insert into t values (42)' >/dev/null
docker stop -t 20 "$id" >/dev/null
equal 'stops cleanly' "$(docker inspect -f '{{.State.ExitCode}}' "$id")" 0
docker start "$id" >/dev/null
wait_for pg_isready -h 127.0.0.1 -U ann -d shop
equal 'data outlives a restart' "$(sql 'select x from t')" 42
docker rm -f "$id" >/dev/null
run -v "$id:/var/lib/postgresql/data" $pg
wait_for pg_isready -h 127.0.0.1 -U ann -d shop
equal 'data outlives the container; no password asked again' "$(sql 'select x from t')" 42
gone

printf 's3cret\n' >"$work/password"
mkdir "$work/init"
echo 'create table one(n int);' >"$work/init/1.sql"
echo 'insert into one values (7);' | gzip >"$work/init/2.sql.gz"
# shellcheck disable=SC2016 # expanded in the container
echo 'psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "insert into one values (8)"' >"$work/init/3.sh"
run -v "$work/password:/run/secrets/password:ro" -v "$work/init:/docker-entrypoint-initdb.d:ro" -e POSTGRES_PASSWORD_FILE=/run/secrets/password \
	-e POSTGRES_INITDB_ARGS='--data-checksums --lc-collate=C' $pg -c max_connections=17
user=postgres db=postgres
wait_for pg_isready -h 127.0.0.1 -U postgres
equal 'password from a file; *.sql, *.sql.gz, *.sh run once, in order' "$(sql 'select string_agg(n::text, chr(43)) from one')" 7+8
equal 'initdb arguments and server options' "$(sql "select current_setting('data_checksums') || current_setting('max_connections')")" on17
gone

# In a folder of its own below the volume, as its owner is another.
run -e POSTGRES_PASSWORD=s3cret -e PGDATA=/var/lib/postgresql/data/own --user 1234:1234 $pg
wait_for pg_isready -h 127.0.0.1 -U postgres
equal 'runs as any user' "$(docker exec "$id" stat -c %u /proc/1)" 1234
gone

# As the stack runs it: with no right to spare, on a new volume and on one that a
# server which began as root has used.
locked='--read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp'
printf 's3cret' >"$work/locked"
chmod 444 "$work/locked"
for before in new used; do
	if [ $before = used ]; then
		run -v "$id:/var/lib/postgresql/data" -e POSTGRES_PASSWORD=s3cret $pg
		wait_for pg_isready -h 127.0.0.1 -U postgres
		sql 'create table t(x int); insert into t values (42)' >/dev/null
		docker stop -t 20 "$id" >/dev/null
		docker rm -f "$id" >/dev/null
	fi
	# shellcheck disable=SC2086 # words
	run $locked --tmpfs /var/run/postgresql --user postgres -v "$work/locked:/run/secrets/password:ro" \
		-e POSTGRES_PASSWORD_FILE=/run/secrets/password -v "$id:/var/lib/postgresql/data" $pg
	wait_for pg_isready -h 127.0.0.1 -U postgres
	[ $before = new ] || equal 'locked down, on a used volume' "$(sql 'select x from t')" 42
	[ $before = used ] || equal 'locked down, on a new volume' "$(docker exec "$id" psql -U postgres -Atc 'select 1')" 1
	docker exec "$id" sh -c ': >/etc/x' 2>/dev/null && fail 'the root can be written to'
	gone
done

run -e POSTGRES_HOST_AUTH_METHOD=trust $pg
wait_for pg_isready -h 127.0.0.1 -U postgres
equal 'trust needs no password' "$(docker exec "$id" psql -h 127.0.0.1 -U postgres -Atc 'select 1')" 1
gone

# Redis
run -v "$id:/data" $redis redis-server --appendonly yes
wait_for redis-cli -e ping
equal 'set' "$(docker exec "$id" redis-cli set k v)" OK
equal 'not as root' "$(docker exec "$id" stat -c %U /proc/1)" redis
docker rm -f "$id" >/dev/null
run -v "$id:/data" $redis --appendonly yes
wait_for redis-cli -e ping
equal 'append-only file outlives the container; options alone' "$(docker exec "$id" redis-cli get k)" v
equal 'protected mode is off' "$(docker exec "$id" redis-cli config get protected-mode | tail -n 1)" no
docker stop -t 10 "$id" >/dev/null
equal 'stops cleanly' "$(docker inspect -f '{{.State.ExitCode}}' "$id")" 0
gone

run -v "$id:/data" $redis redis-server --appendonly yes
wait_for redis-cli -e ping
docker exec "$id" redis-cli set k v >/dev/null
docker rm -f "$id" >/dev/null
# shellcheck disable=SC2086 # words
run $locked --user redis -v "$id:/data" $redis redis-server --appendonly yes
wait_for redis-cli -e ping
equal 'locked down, on a used volume' "$(docker exec "$id" redis-cli get k)" v
equal 'locked down, it writes' "$(docker exec "$id" redis-cli bgrewriteaof)" 'Background append only file rewriting started'
gone

printf 'port 7000\nmaxmemory 9mb\n' >"$work/redis.conf"
run -v "$work/redis.conf:/etc/redis.conf:ro" $redis /etc/redis.conf
wait_for redis-cli -e -p 7000 ping
equal 'a configuration file' "$(docker exec "$id" redis-cli -p 7000 config get maxmemory | tail -n 1)" 9437184
gone

case $(docker run --rm --name "$id" $redis redis-server --version) in *v=7.*) ok 'version' ;; *) fail 'not Redis 7' ;; esac

# nginx
run $nginx
wait_for wget -q -O /dev/null http://127.0.0.1/
case $(docker exec "$id" wget -q -O - http://127.0.0.1/) in *'Welcome to nginx!'*) ok 'a page of its own' ;; *) fail 'no page of its own' ;; esac
case $(docker logs "$id") in *'GET /'*) ok 'requests are logged to the standard output' ;; *) fail 'no access log' ;; esac
docker stop -t 10 "$id" >/dev/null
equal 'stops cleanly' "$(docker inspect -f '{{.State.ExitCode}}' "$id")" 0
gone

printf 'server { listen 8000; return 200 "mine"; }\n' >"$work/default.conf"
chmod 644 "$work/default.conf"
run -v "$work/default.conf:/etc/nginx/conf.d/default.conf:ro" $nginx
wait_for wget -q -O /dev/null http://127.0.0.1:8000/
equal 'a server of the user' "$(docker exec "$id" wget -q -O - http://127.0.0.1:8000/)" mine
gone

echo "$passed passed, 0 failed" >&2
