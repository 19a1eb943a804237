# Breaks one container after the other while customers buy, and audits.
#
# Sourced by fleet-test.sh.
#
# shellcheck shell=bash
# shellcheck disable=SC2154  # `work`, `pids`, `shop` and `roles` come from those before it

# The fault begins at this moment of a round, lasts so long, and customers buy on after it.
fault_begin=2 fault_lasts=3 fault_seconds=8

container_faults=(
  gateway-killed user-killed inventory-killed payment-killed order-killed recommendation-killed
  inventory-paused payment-cut-off order-cut-off
  postgres-stopped postgres-shard-stopped postgres-replica-stopped
  nats-killed redis-cache-stopped redis-sessions-stopped
)

# kill_process SERVICE: as a crash would, so that the engine restarts it.
kill_process() {
  kill -KILL "$(docker inspect --format '{{.State.Pid}}' "$(containers "$1")")"
}

fleet_network=
network() {
  docker inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}' \
    "$(containers "$1")"
}

# break_container SERVICE HOW, mend_container SERVICE HOW
break_container() {
  case $2 in
    killed) kill_process "$1" ;;
    stopped) docker compose stop --timeout 10 "$1" 2>/dev/null ;;
    paused) docker compose pause "$1" 2>/dev/null ;;
    cut-off)
      fleet_network=$(network "$1")
      docker network disconnect "$fleet_network" "$(containers "$1")"
      ;;
    *) fail "how is a container $2?" ;;
  esac
}

mend_container() {
  case $2 in
    killed) ;;
    stopped) docker compose start "$1" 2>/dev/null ;;
    paused) docker compose unpause "$1" 2>/dev/null ;;
    cut-off) docker network connect --alias "$1" "$fleet_network" "$(containers "$1")" ;;
  esac
}

# round FAULT SKU: customers buy, and meanwhile it breaks and is mended.
round() {
  local fault=$1 service answer=$work/answer.json how
  case $fault in
    *-cut-off) how=cut-off ;;
    *) how=${fault##*-} ;;
  esac
  service=${fault%-"$how"}
  rm -f "$work/healed"
  python3 scripts/faults_probe.py "http://$shop" "$2" $fault_seconds "$work/healed" \
    "$work/acknowledged" >"$answer" &
  pids[probe]=$!
  sleep $fault_begin
  break_container "$service" "$how"
  sleep $fault_lasts
  mend_container "$service" "$how"
  : >"$work/healed"
  wait "${pids[probe]}"
  unset 'pids[probe]'
  jq -e '.bought > 0 and .given_up == 0 and (.refused | length) == 0' "$answer" >/dev/null ||
    fail "$fault: $(cat "$answer")"
  jq -r --arg fault "${fault//-/ }" '"| \($fault) | \(.bought) | \(.later) | \(.longest_gap_seconds) s | \(
    if .back_after_seconds == null then "-" else "\(.back_after_seconds) s" end) |"' "$answer"
}

# The ids of all confirmed orders, as the outboxes of both databases have told of them.
confirmed() {
  local server
  for server in postgres postgres-shard; do
    in_service "$server" psql --username=postgres --dbname=order -tAqc \
      "SELECT subject FROM outbox WHERE kind = 'order.confirmed'"
  done
}

faults() {
  local fault sku lost
  : >"$work/acknowledged"
  # Of what the replay has imported, there is enough.
  [ -e "$work/retail.csv" ] || replay
  sku=$(awk -F, 'NR == 2 { print $2 }' "$work/retail.csv")
  say "customers buy for $fault_seconds s around each fault, which lasts for $fault_lasts s"
  echo '| fault | bought | told to repeat | longest gap | back after |'
  echo '|---|---|---|---|---|'
  for fault in "${container_faults[@]}"; do
    round "$fault" "$sku"
  done
  docker compose up --detach --wait 2>/dev/null || fail 'not everything is healthy again'
  audit
  lost=$(comm -23 <(sort "$work/acknowledged") <(confirmed | sort) | wc -l)
  say "$(wc -l <"$work/acknowledged") purchases acknowledged, $lost of them lost"
  [ "$lost" = 0 ] || fail 'orders were lost'
}
