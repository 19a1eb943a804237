#!/usr/bin/env bash
# Measures the road of events, from an outbox in Postgres over NATS JetStream to a consumer
# with an inbox in Postgres, and prints the table of BENCHMARKS.md about it to standard
# output.
#
#   BENCH_DIR  a folder on the disk to measure [default: the target folder]
#   ROUNDS     how often everything is repeated [default: 3]
#   EVENTS     how many wait for the relay [default: 100000]
#   RATE       events a second of the moderate load [default: 500]
#   DURATION   seconds of that load [default: 10]
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
target=${CARGO_TARGET_DIR:-$PWD/target}
work_parent=${BENCH_DIR:-$target}
mkdir -p "$work_parent"
. scripts/processes.sh
. scripts/postgres.sh
. scripts/nats.sh
. scripts/figures.sh

rounds=${ROUNDS:-3}
events=${EVENTS:-100000}
rate=${RATE:-500}
duration=${DURATION:-10}

road() {
  local number json name url=postgres://postgres@127.0.0.1:$postgres_port
  for number in $(seq "$rounds"); do
    say "the road of events, round $number of $rounds"
    postgres_database "teller_$number"
    postgres_database "reader_$number"
    nats_start
    json=$("$target/release/examples/throughput" "$url/teller_$number" "$url/reader_$number" \
      "nats://127.0.0.1:$nats_port" "$events" "$rate" "$duration")
    nats_stop
    say "$json"
    for name in relayed_per_second heard_per_second delay_p50_ms delay_p99_ms; do
      note "$name" "$(number "$name" <<<"$json")"
    done
  done
}

report() {
  local model
  model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  printf -- '- %s cores of %s; %s; %s; %s\n' "$(nproc)" "${model:-an unnamed processor}" \
    "$(uname -srm)" "$("$postgres_programs/postgres" --version)" "$("$nats_program" --version)"
  printf -- '- %s; Trellis at %s\n' "$(rustc --version)" \
    "$(git describe --always --dirty 2>/dev/null || echo 'an unknown commit')"
  printf -- '- medians of %s rounds; both servers, relay and consumer share the machine; load at the end: %s\n' \
    "$rounds" "$(cut -d ' ' -f 1-3 /proc/loadavg)"
  printf '\n| the road of events | |\n|---|---|\n'
  printf '| relayed by one relay, %s events that waited | %s a second |\n' "$events" \
    "$(median relayed_per_second)"
  printf '| applied by one process, each in a unit of work with its inbox | %s a second |\n' \
    "$(median heard_per_second)"
  printf '| from the commit of an event to that of its effect, %s a second: p50 / p99 | %s / %s ms |\n' \
    "$rate" "$(median delay_p50_ms 1)" "$(median delay_p99_ms 1)"
}

{
  say 'build the benchmark'
  cargo build --release -p trellis-events --example throughput
  postgres_start
  road
} >&2
report
