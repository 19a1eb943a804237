# Adds instances of two services under load, and takes them away again.
#
# Sourced by fleet-test.sh.
#
# shellcheck shell=bash
# shellcheck disable=SC2154  # `work` and `pids` come from those before it

# Seconds of load, callers that leave the machine something for those that start, and seconds
# from the health of the new instances until they are counted: in as many more, each is to get
# its part. Callers look names up every 5 s, and let what is new start slowly for as long.
scale_load=75 scale_callers=2 settle_time=5
scaled=(inventory order)

# calls_served CONTAINER: since it was started.
calls_served() {
  curl -fsS --max-time 5 "http://$(address "$1"):9464/metrics" |
    awk '/^rpc_server_call_duration_seconds_count/ { sum += $NF } END { printf "%d\n", sum }'
}

# spread NUMBER SECONDS: the calls of each instance in so many seconds. Fails when there is
# another number of any service, or when one instance is more than a fifth off the mean.
spread() {
  local service instances=() before=() after=() index
  for service in "${scaled[@]}"; do
    mapfile -t -O ${#instances[@]} instances < <(containers "$service" | sed "s/^/$service /")
  done
  ((${#instances[@]} == $1 * ${#scaled[@]})) ||
    fail "there are not $1 of each: ${instances[*]}"
  for index in "${!instances[@]}"; do before[index]=$(calls_served "${instances[$index]#* }"); done
  sleep "$2"
  for index in "${!instances[@]}"; do
    after[index]="${instances[$index]% *} $(($(calls_served "${instances[$index]#* }") - before[index]))"
  done
  printf '%s\n' "${after[@]}" | awk '
    { calls[NR] = $2; service[NR] = $1; sum[$1] += $2; count[$1]++ }
    END {
      for (i = 1; i <= NR; i++) {
        share = calls[i] * count[service[i]] / sum[service[i]]
        printf "   %s: %d calls (%+.0f %%)\n", service[i], calls[i], (share - 1) * 100
        if (share < 0.8 || 1.2 < share) off = 1
      }
      exit off
    }' || fail 'the calls are not spread evenly'
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
  within 90 is_well || fail 'the shop does not come to rest'
  start_load
  sleep 5
  scale_to 3
  sleep $settle_time
  say "of three instances each, from $settle_time s after their health"
  spread 3 5
  scale_to 1
  sleep 3
  say 'and of one'
  spread 1 2
  wait "${pids[load]}" || fail "$(cat "$work/load.log" "$work/load.json")"
  unset 'pids[load]'
  jq -e '.errors == 0 and .operations > 0' "$work/load.json" >/dev/null ||
    fail "calls failed while instances came and went: $(cat "$work/load.json")"
  say "$(jq -r '"\(.operations) purchases meanwhile, \(.errors) failed, the slowest took \(.max_ms) ms"' "$work/load.json")"
}
