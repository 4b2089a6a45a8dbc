#!/usr/bin/env bash
# Runs the fuzz targets one after the other: fuzz.sh TIME [NAME]. Only those whose name
# holds NAME are run. It goes on after a failure, and ends with 1 then.
set -euo pipefail

time=${1:?usage: fuzz.sh TIME [NAME]} name=${2:-}
cd "$(dirname "$0")/.."

failed=()
while IFS=: read -r file target; do
	folder=./$(dirname "$file")
	echo "== $target ($folder)"
	# Minimising what is only new, not wrong, would take most of the time.
	"${GO:-go}" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 5s -timeout 0 "$folder" </dev/null || failed+=("$target")
done < <(grep -rHoP --include='*_test.go' "^func \KFuzz\w*(?=\()" cmd internal pkg webapp | grep "$name" | sort)

if ((${#failed[@]})); then
	echo "failed: ${failed[*]}; see testdata/fuzz of their packages" >&2
	exit 1
fi
