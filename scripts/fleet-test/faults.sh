# Breaks one container after the other while customers buy, and audits.
#
# Sourced by fleet-test.sh.
#
# shellcheck shell=bash
# shellcheck disable=SC2154  # `work` and `shop` come from those before it

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

# how FAULT: the last word of its name, or the last two.
how() {
  case $1 in
    *-cut-off) echo cut-off ;;
    *) echo "${1##*-}" ;;
  esac
}

# break_it FAULT, mend FAULT: as SERVICE-HOW.
break_it() {
  local how service
  how=$(how "$1")
  service=${1%-"$how"}
  case $how in
    killed) kill_process "$service" ;;
    stopped) docker compose stop --timeout 10 "$service" 2>/dev/null ;;
    paused) docker compose pause "$service" 2>/dev/null ;;
    cut-off)
      fleet_network=$(network "$service")
      docker network disconnect "$fleet_network" "$(containers "$service")"
      ;;
    *) fail "how is a container $how?" ;;
  esac
}

mend() {
  local how service
  how=$(how "$1")
  service=${1%-"$how"}
  case $how in
    killed) ;;
    stopped) docker compose start "$service" 2>/dev/null ;;
    paused) docker compose unpause "$service" 2>/dev/null ;;
    cut-off)
      docker network connect --alias "$service" "$fleet_network" "$(containers "$service")"
      ;;
  esac
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
  local fault sku
  # Of what the replay has imported, there is enough.
  [ -e "$work/retail.csv" ] || replay
  sku=$(awk -F, 'NR == 2 { print $2 }' "$work/retail.csv")
  say "customers buy for $fault_seconds s around each fault, which lasts for $fault_lasts s"
  table
  for fault in "${container_faults[@]}"; do
    round "$shop" "$sku" "$fault" $fault_begin $fault_lasts $fault_seconds
  done
  docker compose up --detach --wait 2>/dev/null || fail 'not everything is healthy again'
  audit
  none_lost
}
