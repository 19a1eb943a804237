#!/usr/bin/env bash
# Measures what caches are worth to product pages of a shop on Postgres, and prints the
# table of BENCHMARKS.md about it to standard output.
#
# Every round starts a new process without Redis, which then keeps nothing, and one with
# it, one at a time, on the same products and the same server.
#
#   BENCH_DIR  a folder on the disk to measure [default: the target folder]
#   ROUNDS     how often everything is repeated [default: 5]
#   DURATION   seconds of each load [default: 5]
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
target=${CARGO_TARGET_DIR:-$PWD/target}
work_parent=${BENCH_DIR:-$target}
mkdir -p "$work_parent"
. scripts/processes.sh
. scripts/postgres.sh
. scripts/redis.sh
. scripts/figures.sh

rounds=${ROUNDS:-5}
duration=${DURATION:-5}

# load NAME: product pages for 32 callers.
load() {
  local json
  json=$(timeout 300 "$binary" load product --concurrency 32 --duration "$duration" --json \
    --endpoint "http://${address[$1]}")
  for figure in per_second p50_ms p99_ms errors; do
    note "$1.$figure" "$(number "$figure" <<<"$json")"
  done
}

measure() {
  local number
  for number in $(seq "$rounds"); do
    say "round $number of $rounds"
    start uncached
    load uncached
    stop uncached
    export TRELLIS_REDIS=redis://127.0.0.1:$redis_port
    start cached
    load cached
    stop cached
    unset TRELLIS_REDIS
  done
}

report() {
  local model name
  model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  printf -- '- %s cores of %s; %s; %s; Redis %s\n' "$(nproc)" "${model:-an unnamed processor}" \
    "$(uname -srm)" "$("$postgres_programs/postgres" --version)" \
    "$(redis-server --version | sed -n 's/.* v=\([^ ]*\).*/\1/p')"
  printf -- '- %s; Trellis at %s\n' "$(rustc --version)" \
    "$(git describe --always --dirty 2>/dev/null || echo 'an unknown commit')"
  printf -- '- medians of %s rounds of %s s; 32 callers, shop and servers share the machine; load at the end: %s\n' \
    "$rounds" "$duration" "$(cut -d ' ' -f 1-3 /proc/loadavg)"
  printf '\n| product pages | a second | p50, ms | p99, ms | errors |\n|---|---|---|---|---|\n'
  for name in uncached cached; do
    printf '| %s | %s | %s | %s | %s |\n' "$name" "$(median "$name.per_second")" \
      "$(median "$name.p50_ms" 2)" "$(median "$name.p99_ms" 2)" "$(median "$name.errors")"
  done
}

{
  build
  postgres_start
  redis_start
  measure
} >&2
report
