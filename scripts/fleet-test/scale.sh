# Adds instances of two services under load, and takes them away again.
#
# Sourced by fleet-test.sh.
#
# shellcheck shell=bash
# shellcheck disable=SC2154  # `work` and `pids` come from those before it

# Seconds of load, callers that leave the machine something for those that start, and seconds
# from the health of a new instance until it has its share of the calls: callers look names up
# every 5 s, and let it start slowly for 10 s.
scale_load=110 scale_callers=4 settle_time=10
scaled=(inventory order)

# calls_served CONTAINER: since it was started.
calls_served() {
  curl -fsS --max-time 5 "http://$(address "$1"):9464/metrics" |
    awk '/^rpc_server_call_duration_seconds_count/ { sum += $NF } END { printf "%d\n", sum }'
}

# spread SERVICE SECONDS: the calls of each instance in so many seconds, and fails when one
# is more than a fifth off the mean. With few calls in few seconds one is at times, and nobody
# knows why yet: BENCHMARKS.md has the figures.
spread() {
  local service=$1 instances before=() after=() index
  mapfile -t instances < <(containers "$service")
  for index in "${!instances[@]}"; do before[index]=$(calls_served "${instances[$index]}"); done
  sleep "$2"
  for index in "${!instances[@]}"; do
    after[index]=$(($(calls_served "${instances[$index]}") - before[index]))
  done
  printf '%s\n' "${after[@]}" | awk -v service="$service" '
    { calls[NR] = $1; sum += $1 }
    END {
      for (i = 1; i <= NR; i++) {
        share = calls[i] * NR / sum
        shares = shares sprintf(" %d (%+.0f %%)", calls[i], (share - 1) * 100)
        if (share < 0.8 || 1.2 < share) off = 1
      }
      printf "   %s:%s\n", service, shares
      exit off
    }' || fail "the calls to $service are not spread evenly"
}

# scale_to NUMBER
scale_to() {
  local service instances=()
  for service in "${scaled[@]}"; do instances+=(--scale "$service=$1"); done
  docker compose up --detach --wait --no-recreate "${instances[@]}" 2>"$work/scale.log" ||
    { cat "$work/scale.log" >&2 && fail "there are not $1 of ${scaled[*]}"; }
}

# is_well: somebody can buy, and no breaker of the gateway is open. An audit right before is
# more work than two cores have time for, and opens some.
is_well() {
  local breakers
  curl -fsS --max-time 5 --output /dev/null "http://$shop/v1/products/MUG-350ML-BLUE" &&
    scripts/fleet-test/buy.sh "$shop" >/dev/null 2>&1 &&
    breakers=$(in_service gateway trellis admin debug/resilience/breakers) &&
    ! grep -q '"state": ".*open"' <<<"$breakers"
}

# start_load: in a container beside the fleet.
start_load() {
  docker compose --progress quiet run --rm --no-TTY --no-deps --entrypoint trellis load \
    load checkout --json --concurrency $scale_callers --duration $scale_load \
    --endpoint http://gateway:8080 </dev/null >"$work/load.json" 2>"$work/load.log" &
  pids[load]=$!
}

scale() {
  local service
  within 90 is_well || fail 'the shop does not come to rest'
  start_load
  sleep 5
  scale_to 3
  sleep $settle_time
  say "of three instances each, after $settle_time s"
  for service in "${scaled[@]}"; do spread "$service" 15; done
  scale_to 1
  sleep 3
  say "and of one"
  for service in "${scaled[@]}"; do spread "$service" 2; done
  wait "${pids[load]}" || fail "$(cat "$work/load.log" "$work/load.json")"
  unset 'pids[load]'
  jq -e '.errors == 0 and .operations > 0' "$work/load.json" >/dev/null ||
    fail "calls failed while instances came and went: $(cat "$work/load.json")"
  say "$(jq -r '"\(.operations) purchases meanwhile, \(.errors) failed, the slowest took \(.max_ms) ms"' "$work/load.json")"
}
