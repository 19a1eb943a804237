#!/usr/bin/env bash
# Measures what BENCHMARKS.md holds, and prints its tables to standard output.
#
# Everything is measured in one run on one disk, the bare inserts right before
# each load, so that the ratio means something on a machine whose speed changes.
# The callers run on the same machine, and take their share of it.
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
. scripts/figures.sh

rounds=${ROUNDS:-3}
duration=${DURATION:-10}
starts=11

# Rows a second of SQLite alone. What the shop has left to do ends before it.
bare() {
  sleep 2
  timeout 60 "$target/release/examples/bare_inserts" "$work" 5
}

# load SCENARIO CONCURRENCY [BARE]: notes what was measured, and its ratio to bare inserts.
load() {
  local name=$1.$2 json key
  json=$(timeout 300 "$binary" load "$1" --concurrency "$2" --duration "$duration" --json \
    --endpoint "http://${address[shop]}")
  for key in per_second p50_ms p95_ms p99_ms errors; do
    note "$name.$key" "$(number $key <<<"$json")"
  done
  if [ -n "${3:-}" ]; then
    note "$name.ratio" "$(awk -v a="$(number per_second <<<"$json")" -v b="$3" 'BEGIN { print a / b }')"
  fi
}

# kib NAME KEY: a line of the process's status, in KiB.
kib() {
  awk -v key="$2:" '$1 == key { print $2 }' "/proc/${pids[$1]}/status"
}

mib() {
  awk -v kib="$1" 'BEGIN { printf "%.1f", kib / 1024 }'
}

# One round: a new shop with a thousand products, of which there are plenty.
round() {
  local concurrency rows
  export TRELLIS_DATA_DIR=$work/loaded
  rm -rf "$TRELLIS_DATA_DIR"
  TRELLIS_SAMPLE_CATALOGUE=false start shop
  timeout 300 "$binary" import "$work/retail.csv" --stock 1000000000 \
    --endpoint "http://${address[shop]}" >&2
  for concurrency in 1 32 128; do
    rows=$(bare)
    note bare "$rows"
    load checkout "$concurrency" "$rows"
  done
  load product 32
  note busy.mib "$(mib "$(kib shop VmHWM)")"
  stop shop
}

# What a shop needs that has just been started and is left alone.
idle() {
  export TRELLIS_DATA_DIR=$work/idle
  rm -rf "$TRELLIS_DATA_DIR"
  start shop
  sleep 5
  note idle.mib "$(mib "$(kib shop VmRSS)")"
  stop shop
}

# Notes the milliseconds from the start of a process to the line that says it is ready.
time_start() {
  local name=$1 begin end out line ready=no
  begin=$EPOCHREALTIME
  exec {out}< <(
    export TRELLIS_LISTEN=127.0.0.1:0 TRELLIS_ADMIN_LISTEN=127.0.0.1:0
    exec "$binary" 2>"$work/starting.log"
  )
  pids[starting]=$!
  while read -r -t 30 line <&"$out"; do
    if [[ $line == *' is ready'* ]]; then
      ready=yes
      break
    fi
  done
  end=$EPOCHREALTIME
  [ $ready = yes ] || fail 'the shop did not start'
  stop starting
  exec {out}<&-
  note "$name" "$(awk -v a="$begin" -v b="$end" 'BEGIN { print (b - a) * 1000 }')"
}

start_up() {
  local _
  for _ in $(seq "$starts"); do
    export TRELLIS_DATA_DIR=$work/fresh
    rm -rf "$TRELLIS_DATA_DIR"
    time_start start.fresh
    time_start start.again
    # The shop that has just sold for all of a round.
    TRELLIS_DATA_DIR=$work/loaded time_start start.loaded
  done
}

machine() {
  local model memory
  model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  memory=$(awk '$1 == "MemTotal:" { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
  printf -- '- %s cores of %s, %s; %s\n' "$(nproc)" "${model:-an unnamed processor}" "$memory" "$(uname -srm)"
  printf -- '- disk: %s\n' "$(df -h --output=fstype,source,size "$work" | tail -n 1 | tr -s ' ')"
  printf -- '- %s; Trellis %s at %s\n' "$(rustc --version)" "$("$binary" --version | cut -d ' ' -f 2)" \
    "$(git describe --always --dirty 2>/dev/null || echo 'an unknown commit')"
  printf -- '- %s rounds of %s s each, medians; the callers are on the same machine\n' "$rounds" "$duration"
}

row() {
  local name=$1.$2
  printf '| %s, %s at once | %s | %s | %s | %s | %s | %s |\n' "$3" "$2" "$(median "$name.per_second")" \
    "$(median "$name.p50_ms" 1)" "$(median "$name.p95_ms" 1)" "$(median "$name.p99_ms" 1)" \
    "$(median "$name.errors")" "$(median "$name.ratio" 2 || true)"
}

report() {
  machine
  printf '\n| what | a second | p50 ms | p95 ms | p99 ms | errors | over bare inserts |\n'
  printf '|---|---|---|---|---|---|---|\n'
  printf '| bare SQLite, inserts of one row, one after another | %s | | | | | 1 |\n' "$(median bare)"
  row checkout 1 checkouts
  row checkout 32 checkouts
  row checkout 128 checkouts
  row product 32 'product pages'
  printf '\n| what | figure |\n|---|---|\n'
  printf '| start to ready, no records yet | %s ms |\n' "$(median start.fresh)"
  printf '| start to ready, sample catalogue | %s ms |\n' "$(median start.again)"
  printf '| start to ready, after the load above | %s ms |\n' "$(median start.loaded)"
  printf '| resident memory, idle for 5 s | %s MiB |\n' "$(median idle.mib 1)"
  printf '| resident memory, peak under the load above | %s MiB |\n' "$(median busy.mib 1)"
}

{
  build
  cargo build --release -p trellis-storage --example bare_inserts
  scripts/made-up-retail.sh 2000 1000 >"$work/retail.csv"
  for number in $(seq "$rounds"); do
    say "round $number of $rounds"
    round
    idle
  done
  say 'start-up'
  start_up
} >&2
report
