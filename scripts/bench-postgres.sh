#!/usr/bin/env bash
# Measures what needs a Postgres server, and prints the table of BENCHMARKS.md about it
# to standard output.
#
#   BENCH_DIR  a folder on the disk to measure [default: the target folder]
#   ROUNDS     how often everything is repeated [default: 3]
#   DURATION   seconds of each load [default: 10]
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
target=${CARGO_TARGET_DIR:-$PWD/target}
work_parent=${BENCH_DIR:-$target}
mkdir -p "$work_parent"
. scripts/processes.sh
. scripts/postgres.sh
. scripts/figures.sh

rounds=${ROUNDS:-3}
duration=${DURATION:-10}

hot_sku() {
  local number json database
  for number in $(seq "$rounds"); do
    say "one product that everybody wants, round $number of $rounds"
    database=hot_sku_$number
    postgres_database "$database"
    json=$("$target/release/examples/hot_sku" \
      "postgres://postgres@127.0.0.1:$postgres_port/$database" "$duration" 512)
    say "$json"
    note batched "$(number batched_per_second <<<"$json")"
    note plain "$(number plain_per_second <<<"$json")"
    note ratio "$(number ratio <<<"$json")"
    note oversold "$(($(number sold <<<"$json") - $(number stock <<<"$json")))"
  done
}

report() {
  local model
  model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  printf -- '- %s cores of %s; %s; %s\n' "$(nproc)" "${model:-an unnamed processor}" \
    "$(uname -srm)" "$("$postgres_programs/postgres" --version)"
  printf -- '- %s; Trellis at %s\n' "$(rustc --version)" \
    "$(git describe --always --dirty 2>/dev/null || echo 'an unknown commit')"
  printf -- '- medians of %s rounds of %s s; callers, service and server share the machine; load at the end: %s\n' \
    "$rounds" "$duration" "$(cut -d ' ' -f 1-3 /proc/loadavg)"
  printf '\n| one product, 512 callers, 10 connections | a second |\n|---|---|\n'
  printf '| reservations by the service, many in a statement | %s |\n' "$(median batched)"
  printf '| reservations by a conditional update each | %s |\n' "$(median plain)"
  printf '| ratio | %s |\n' "$(median ratio 1)"
  printf '| held beyond the stock when it was sold out | %s |\n' "$(median oversold)"
}

{
  say 'build the benchmark'
  cargo build --release -p trellis-inventory --example hot_sku
  postgres_start
  hot_sku
} >&2
report
