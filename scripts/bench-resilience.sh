#!/usr/bin/env bash
# Measures the resilience crate, beside other crates in the same run, and prints the
# tables of BENCHMARKS.md about it to standard output.
#
# A figure is the median of the rounds, each of which is a median itself.
#
#   ROUNDS  how often everything is repeated [default: 3]
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

rounds=${ROUNDS:-3}
figures=$(mktemp)
trap 'rm -f "$figures"' EXIT

# Reads what divan prints: a tree of names, and in the same line the fastest, the
# slowest and the median time. Below that, where they are counted, are the allocations.
# Writes lines `path nanoseconds` and `path.allocations number`.
read_tree() {
  awk '
    function nanoseconds(text, parts) {
      split(text, parts, " ")
      if (parts[2] == "ps") return parts[1] / 1000
      if (parts[2] == "ns") return parts[1]
      if (parts[2] == "\302\265s") return parts[1] * 1000
      if (parts[2] == "ms") return parts[1] * 1000000
      return parts[1] * 1000000000
    }
    function trimmed(text) {
      gsub(/^ +| +$/, "", text)
      return text
    }
    / fastest +│/ { path[0] = $1; next }
    {
      line = $0
      depth = 0
      while (line ~ /^(│  |   )/) {
        sub(/^(│  |   )/, "", line)
        depth++
      }
      if (sub(/^(├─|╰─) /, "", line)) {
        name = line
        sub(/ .*/, "", name)
        path[depth + 1] = name
        full = path[0]
        for (i = 1; i <= depth + 1; i++) full = full "." path[i]
        if (split(line, columns, "│") >= 4) {
          sub(/^[^ ]+ +/, "", columns[1])
          if (columns[1] ~ /[0-9]/) print full, nanoseconds(trimmed(columns[3]))
        }
        is_counted = 0
      } else if (line ~ /^ *alloc:/) {
        is_counted = 1
      } else if (is_counted) {
        split(line, columns, "│")
        print full ".allocations", trimmed(columns[3]) + 0
        is_counted = 0
      }
    }'
}

median() {
  awk -v name="$1" '$1 == name { print $2 }' "$figures" | sort -g |
    awk '{ value[NR] = $1 } END { if (NR == 0) exit 1; print value[int((NR + 1) / 2)] }'
}

# A time with three digits.
shown() {
  awk -v ns="$1" 'BEGIN {
    if (ns < 10) printf "%.1f ns", ns
    else if (ns < 1000) printf "%.0f ns", ns
    else if (ns < 10000) printf "%.2f µs", ns / 1000
    else printf "%.1f µs", ns / 1000
  }'
}

ratio() {
  awk -v a="$1" -v b="$2" 'BEGIN { printf a < 10 * b ? "%.1f" : "%.0f", a / b }'
}

# row WHAT PATH OURS: with the ratio to ours, if that is another path. What was not
# measured is empty. Where there was one thread only, its line has no name of its own.
row() {
  local threads value allocations line="| $1 "
  for threads in 1 2; do
    value=$(median "$2.t=$threads" || { [ $threads = 1 ] && median "$2"; } || true)
    line+="| ${value:+$(shown "$value")} | "
    if [ -n "$value" ] && [ "$2" != "$3" ]; then
      line+="$(ratio "$value" "$(median "$3.t=$threads")") "
    fi
  done
  allocations=$(median "$2.t=1.allocations" || median "$2.allocations" || echo 0)
  printf '%s| %.0f |\n' "$line" "$allocations"
}

header() {
  printf '\n| %s | 1 thread | × ours | 2 threads | × ours | allocations |\n|---|---|---|---|---|---|\n' "$1"
}

breakers() {
  local of=breaker_peers
  header 'a call through a closed breaker'
  row 'Trellis, the clock read twice' $of.closed.trellis $of.closed.trellis
  row 'Trellis, the caller knows the time' $of.closed.trellis_with_shared_timestamps $of.closed.trellis
  row 'failsafe, consecutive failures' $of.closed.failsafe_consecutive $of.closed.trellis
  row 'failsafe, its default' $of.closed.failsafe_default $of.closed.trellis
  row 'recloser' $of.closed.recloser $of.closed.trellis
  row 'Trellis, around a service' $of.closed_service.trellis $of.closed_service.trellis
  row 'tower-resilience, window of calls' $of.closed_service.tower_resilience_count $of.closed_service.trellis
  row 'tower-resilience, window of time' $of.closed_service.tower_resilience_time $of.closed_service.trellis
  header 'a call rejected by an open breaker'
  row 'Trellis, the clock read' $of.rejected.trellis $of.rejected.trellis
  row 'Trellis, the caller knows the time' $of.rejected.trellis_with_shared_timestamps $of.rejected.trellis
  row 'failsafe, consecutive failures' $of.rejected.failsafe_consecutive $of.rejected.trellis
  row 'recloser' $of.rejected.recloser $of.rejected.trellis
  row 'tower-resilience' $of.rejected.tower_resilience $of.rejected.trellis
}

# over WHAT PATH BARE OURS OUR_BARE: what it adds to the bare call.
over() {
  local threads value ours line="| $1 "
  for threads in 1 2; do
    value=$(difference "$2.t=$threads" "$3.t=$threads")
    ours=$(difference "$4.t=$threads" "$5.t=$threads")
    line+="| $(shown "$value") | $([ "$2" = "$4" ] || ratio "$value" "$ours") "
  done
  printf '%s| %s |\n' "$line" "$(difference "$2.t=1.allocations" "$3.t=1.allocations")"
}

difference() {
  awk -v a="$(median "$1" || echo 0)" -v b="$(median "$2" || echo 0)" 'BEGIN { printf "%.1f", a - b }' | sed 's/\.0$//'
}

clients() {
  local of=client
  header 'a whole unary call, of a service that answers at once'
  row 'bare, gRPC' $of.grpc.bare $of.grpc.bare
  row 'Trellis, may be repeated' $of.grpc.trellis_repeatable $of.grpc.trellis_repeatable
  row 'Trellis, sent once' $of.grpc.trellis_once $of.grpc.trellis_repeatable
  row 'bare, a request that can be cloned' $of.layers.bare $of.layers.bare
  row 'tower-resilience, four layers' $of.layers.tower_resilience $of.grpc.trellis_repeatable
  header 'what that adds to the bare call'
  over 'Trellis, may be repeated' $of.grpc.trellis_repeatable $of.grpc.bare $of.grpc.trellis_repeatable $of.grpc.bare
  over 'Trellis, sent once' $of.grpc.trellis_once $of.grpc.bare $of.grpc.trellis_repeatable $of.grpc.bare
  over 'tower-resilience, four layers' $of.layers.tower_resilience $of.layers.bare $of.grpc.trellis_repeatable $of.grpc.bare
  header 'a whole unary call, over loopback'
  row 'Trellis' $of.loopback.trellis $of.loopback.trellis
  row 'bare channel of tonic' $of.loopback.bare_channel $of.loopback.trellis
}

# goal WHAT FIGURE GOAL
goal() {
  printf '| %s | %s | %s |\n' "$1" "$(shown "$2")" "$3"
}

goals() {
  printf '\n| one thread | measured | goal |\n|---|---|---|\n'
  goal 'breaker, asked and told' "$(median breaker_peers.closed.trellis.t=1)" '30 ns'
  goal 'the same, the caller knows the time' "$(median breaker_peers.closed.trellis_with_shared_timestamps.t=1)" '10 ns'
  goal 'breaker, rejection' "$(median breaker_peers.rejected.trellis_with_shared_timestamps.t=1)" '15 ns'
  goal 'retry budget, a deposit' "$(median decisions.budget_deposit_when_full.t=1)" '10 ns'
  goal 'limiter, a slot taken and given back' "$(median limiter.acquire_and_finish.t=1)" '25 ns'
  goal 'balancer, one of 16 chosen' "$(median balancer.pick.16)" '60 ns'
  goal 'client, over the bare call' "$(difference client.grpc.trellis_repeatable.t=1 client.grpc.bare.t=1)" '400 ns'
}

version() {
  printf '%s %s' "$1" "$(sed -n "/^name = \"$1\"\$/{n;s/^version = \"\(.*\)\"/\1/p;}" Cargo.lock)"
}

machine() {
  local model
  model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  printf -- '- %s cores of %s; %s\n' "$(nproc)" "${model:-an unnamed processor}" "$(uname -srm)"
  printf -- '- %s; Trellis at %s\n' "$(rustc --version)" \
    "$(git describe --always --dirty 2>/dev/null || echo 'an unknown commit')"
  printf -- '- %s, %s, %s\n' "$(version failsafe)" "$(version recloser)" "$(version tower-resilience-circuitbreaker)"
  printf -- '- %s rounds, medians; load at the end: %s\n' "$rounds" "$(cut -d ' ' -f 1-3 /proc/loadavg)"
}

for number in $(seq "$rounds"); do
  printf '==> the resilience crate, round %s of %s\n' "$number" "$rounds" >&2
  cargo bench -p trellis-resilience | tee /dev/stderr | read_tree >>"$figures"
done
machine
breakers
clients
goals
