#!/usr/bin/env bash
# The load test of the web app: an engine if there is none, the images of PostgreSQL
# and Redis, their own benchmarks, then bin/bench-webapp with the arguments given. Run
# by `make bench-webapp`, which builds it and bin/webapp first.
set -eu

cd "$(dirname "$0")/.."
# shellcheck disable=SC2034 # for lib.sh
who=bench-webapp
# shellcheck source=test/engine/lib.sh
. test/engine/lib.sh

need redis-benchmark redis-tools
command -v pgbench >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/pgbench' >/dev/null || install_packages postgresql-contrib
address=$(test/engine/start.sh default)
export "${address?}"
test/images/ensure.sh postgres redis
exec bin/bench-webapp "$@"
