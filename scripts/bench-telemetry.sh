#!/usr/bin/env bash
# Measures what telemetry costs a whole shop, and prints the table of BENCHMARKS.md
# about it to standard output.
#
# Every round starts a new process for each way of telemetry, one at a time and in
# another order, on the same products; two processes of the same program differ by more
# than what is measured here. A figure is the median of the rounds, and so is a ratio,
# each of which is that of one round. The collector takes what it gets and looks at none
# of it. The processor's time is that of the server alone, without callers and collector;
# it says more than the throughput of a machine that is busy with other work as well.
#
#   BENCH_DIR  a folder on the disk to measure [default: the target folder]
#   ROUNDS     how often everything is repeated [default: 24]
#   DURATION   seconds of each load [default: 1]
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
target=${CARGO_TARGET_DIR:-$PWD/target}
work_parent=${BENCH_DIR:-$target}
mkdir -p "$work_parent"
. scripts/processes.sh
. scripts/figures.sh

rounds=${ROUNDS:-24}
duration=${DURATION:-1}
modes=(off default tenth all)
declare -A means=(
  [off]='nothing: no log of calls, no spans, no metrics shown'
  [default]='as it comes: a line of the log for each call, no collector'
  [tenth]='the same, and one trace in ten goes to a collector'
  [all]='the same, and every trace goes to a collector'
)

collector() {
  "$target/release/examples/collector" 127.0.0.1:0 >"$work/collector.out" 2>"$work/collector.log" &
  pids[collector]=$!
  local tries
  for tries in {1..100}; do
    endpoint=http://$(sed -n 's/^collector ready on //p' "$work/collector.out")
    [ "$endpoint" = http:// ] || return 0
    sleep 0.1
  done
  fail "the collector is not ready after $((tries / 10)) s"
}

# shop MODE: starts a shop with a thousand products of which there are plenty.
shop() {
  local settings=(TRELLIS_DATA_DIR="$work/$1" TRELLIS_SAMPLE_CATALOGUE=false)
  case $1 in
  off)
    settings+=(OTEL_SDK_DISABLED=true OTEL_METRICS_EXPORTER=none TRELLIS_TRACE=off
      TRELLIS_LOG=trellis_trellis=info)
    ;;
  tenth)
    settings+=(OTEL_EXPORTER_OTLP_ENDPOINT="$endpoint"
      OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0.1)
    ;;
  all) settings+=(OTEL_EXPORTER_OTLP_ENDPOINT="$endpoint") ;;
  esac
  export "${settings[@]}"
  start "$1"
  unset "${settings[@]%%=*}"
  [ -e "$work/$1.stocked" ] ||
    TRELLIS_DATA_DIR=$work/$1 timeout 300 "$binary" import "$work/retail.csv" \
      --stock 1000000000 --endpoint "http://${address[$1]}" >&2
  touch "$work/$1.stocked"
}

# Ticks of a hundredth of a second that a process has had of the processor, every 50 ms,
# each with the time.
watch_processor() {
  local pid=$1 stat
  while read -r -a stat <"/proc/$pid/stat"; do
    printf '%s %s\n' "$EPOCHREALTIME" $((stat[13] + stat[14]))
    sleep 0.05
  done
}

# used RATE END: microseconds of processor for a call, at so many calls a second, in the
# time of measurement, which ended at END.
used() {
  awk -v rate="$1" -v end="$2" -v duration="$duration" '
    end - duration <= $1 && $1 <= end {
      if (!first++) { begin = $1; before = $2 }
      now = $1; ticks = $2
    }
    END { if (now == begin) exit 1; print (ticks - before) * 10000 / (now - begin) / rate }
  ' "$work/ticks"
}

# load MODE SCENARIO ROUND
load() {
  local name=$1.$2 json end rate processor
  watch_processor "${pids[$1]}" >"$work/ticks" 2>/dev/null &
  pids[watch]=$!
  json=$(timeout 300 "$binary" load "$2" --concurrency 32 --duration "$duration" --json \
    --endpoint "http://${address[$1]}")
  end=$EPOCHREALTIME
  kill "${pids[watch]}"
  wait "${pids[watch]}" || true
  unset 'pids[watch]'
  rate=$(number per_second <<<"$json")
  processor=$(used "$rate" "$end")
  note "$name.processor" "$processor"
  note "$name.per_second" "$(number per_second <<<"$json")"
  note "$name.p99_ms" "$(number p99_ms <<<"$json")"
  note "$name.errors" "$(number errors <<<"$json")"
  note "$3.$name" "$(number per_second <<<"$json")"
}

# What did not get out, by /metrics.
lost() {
  timeout 10 "$binary" healthcheck --address "${admin[$1]}" >/dev/null
  exec 3<>"/dev/tcp/${admin[$1]%:*}/${admin[$1]##*:}"
  printf 'GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n' >&3
  sed -n 's/^trellis_telemetry_dropped_total{signal="spans"} //p' <&3 | tr -d '\r'
  exec 3<&-
}

row() {
  local mode=$1 scenario=$2 what=$3
  printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$what" "${means[$mode]}" \
    "$(median "$mode.$scenario.per_second")" "$(median "$mode.$scenario.ratio" 3)" \
    "$(median "$mode.$scenario.processor")" \
    "$(median "$mode.$scenario.p99_ms" 1)" \
    "$(median "$mode.$scenario.errors")"
}

report() {
  local model mode
  model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  printf -- '- %s cores of %s; %s\n' "$(nproc)" "${model:-an unnamed processor}" "$(uname -srm)"
  printf -- '- %s; Trellis at %s\n' "$(rustc --version)" \
    "$(git describe --always --dirty 2>/dev/null || echo 'an unknown commit')"
  printf -- '- %s rounds of %s s each, 32 callers on the same machine; load at the end: %s\n' \
    "$rounds" "$duration" "$(cut -d ' ' -f 1-3 /proc/loadavg)"
  printf -- '- spans lost in a round: %s of one in ten, %s of all\n' "$(median tenth.lost)" "$(median all.lost)"
  printf '\n| what | telemetry | a second | of nothing | processor, µs a call | p99 ms | errors |\n'
  printf '|---|---|---|---|---|---|---|\n'
  for mode in "${modes[@]}"; do row "$mode" product 'product pages'; done
  for mode in "${modes[@]}"; do row "$mode" checkout 'checkouts'; done
}

{
  build
  [ -n "${BINARY:-}" ] || cargo build --release -p trellis-telemetry --example collector
  scripts/made-up-retail.sh 2000 1000 >"$work/retail.csv"
  collector
  for number in $(seq "$rounds"); do
    say "round $number of $rounds"
    for mode in "${modes[@]}"; do
      shop "$mode"
      for scenario in product checkout; do load "$mode" "$scenario" "$number"; done
      lost=$(lost "$mode")
      note "$mode.lost" "${lost:-0}"
      stop "$mode"
    done
    for scenario in product checkout; do
      for mode in "${modes[@]}"; do
        note "$mode.$scenario.ratio" "$(awk -v round="$number" -v name="$mode.$scenario" \
          -v bare="off.$scenario" '
          $1 == round "." name { a = $2 }
          $1 == round "." bare { b = $2 }
          END { print a / b }' "$work/figures")"
      done
    done
    modes=("${modes[@]:1}" "${modes[0]}")
  done
} >&2
modes=(off default tenth all)
report
