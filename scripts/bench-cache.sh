#!/usr/bin/env bash
# Measures what caches are worth to products that a shop on Postgres shows, and prints the
# tables of BENCHMARKS.md about it to standard output.
#
# First the reads alone, by calls of the service in one process; then whole pages: every
# round starts a new process without Redis, which then keeps nothing, and one with it, one
# at a time, on the same products and the same server. At last what a hit costs.
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

reads() {
  local number json way database
  for number in $(seq "$rounds"); do
    say "reads, round $number of $rounds"
    database=reads_$number
    postgres_database "$database"
    json=$("$target/release/examples/product_reads" \
      "postgres://postgres@127.0.0.1:$postgres_port/$database" \
      "redis://127.0.0.1:$redis_port" "$duration" 32)
    say "$json"
    for way in uncached cached; do
      note "read.$way.per_second" "$(number "${way}_per_second" <<<"$json")"
      note "read.$way.p50_ms" "$(number "${way}_p50_ms" <<<"$json")"
      note "read.$way.p99_ms" "$(number "${way}_p99_ms" <<<"$json")"
    done
  done
}

pages() {
  local number
  for number in $(seq "$rounds"); do
    say "pages, round $number of $rounds"
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
  printf '\n| reads of 100 products, by the service | a second | p50, ms | p99, ms |\n|---|---|---|---|\n'
  for name in uncached cached; do
    printf '| %s | %s | %s | %s |\n' "$name" "$(median "read.$name.per_second")" \
      "$(median "read.$name.p50_ms" 3)" "$(median "read.$name.p99_ms" 3)"
  done
  printf '\n| product pages, by the gateway | a second | p50, ms | p99, ms | errors |\n|---|---|---|---|---|\n'
  for name in uncached cached; do
    printf '| %s | %s | %s | %s | %s |\n' "$name" "$(median "$name.per_second")" \
      "$(median "$name.p50_ms" 2)" "$(median "$name.p99_ms" 2)" "$(median "$name.errors")"
  done
}

{
  build
  say 'build the benchmark'
  cargo build --release -p trellis-inventory --example product_reads
  postgres_start
  redis_start
  reads
  pages
} >&2
report
say 'what a hit costs'
cargo bench -p trellis-cache --bench hit
