#!/usr/bin/env bash
# Replays real orders against the shop, looks whether the dashboards have something to
# show, and audits its records: once with every service in one process, once as a fleet
# of six processes, and once as a fleet of ten on Postgres with a replica and shards, NATS
# and Redis, while customers and their orders move from shard to shard.
#
#   scripts/replay-check.sh [one|fleet|servers]
#
#   RETAIL_CSV  the "Online Retail" data set as .csv or .csv.xz; without it a
#               small file of the same form is made
#   LIMIT       how many invoices are replayed [default: 1500]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/processes.sh
. scripts/retail.sh
. scripts/postgres.sh
. scripts/nats.sh
. scripts/redis.sh
. scripts/fleet.sh

limit=${LIMIT:-1500}
csv=$work/retail.csv

# Fills the shop at an address and buys in it.
trade() {
  timeout 300 "$binary" import "$csv" --endpoint "http://$1"
  timeout 900 "$binary" replay "$csv" --limit "$limit" --concurrency 32 --endpoint "http://$1"
}

# dashboards ADDRESS JOB=HOST:PORT...: looks at them while somebody buys at an address,
# and looks at products, over gRPC and over HTTP.
dashboards() {
  local endpoint=http://$1 name
  shift
  say 'the dashboards'
  for name in checkout product; do
    "$binary" load $name --concurrency 2 --duration 120 --endpoint "$endpoint" >/dev/null &
    pids[$name]=$!
  done
  while curl -fsS --max-time 10 -o "$work/page.json" "$endpoint/v1/products?query=a"; do
    sleep 0.5
  done &
  pids[browser]=$!
  STRICT=yes scripts/observability-check.sh live "$@"
  for name in checkout product browser; do
    kill -TERM "${pids[$name]}"
    wait "${pids[$name]}" || true
    unset "pids[$name]"
  done
}

audit() {
  timeout 300 "$binary" audit
}

one_process() {
  say "one process, $limit invoices"
  start shop
  trade "${address[shop]}"
  dashboards "${address[shop]}" "trellis=${admin[shop]}"
  stop shop
  audit
}

fleet() {
  local role targets=()
  say "a fleet of six processes, $limit invoices"
  export TRELLIS_ADMIN_TOKEN
  TRELLIS_ADMIN_TOKEN=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
  # Each is started after those that it calls, and stopped before them.
  for role in inventory payment recommendation order user gateway; do
    start "$role" "$role"
    targets+=("$role=${admin[$role]}")
    [ "$role" = gateway ] || export "TRELLIS_PEERS_${role^^}=http://${address[$role]}"
  done
  trade "${address[gateway]}"
  dashboards "${address[gateway]}" "${targets[@]}"
  for role in gateway user order recommendation payment inventory; do
    stop "$role"
  done
  audit
}

# There, and a part of it back.
move_buckets() {
  exec >"$work/mover.log" 2>&1
  sleep 2
  timeout 200 "$binary" shard move --bucket 1000..2047 --to 1
  timeout 200 "$binary" shard move --bucket 1500..1999 --to 0
}

# The dashboards show what files do, and there are none here.
fleet_on_servers() {
  say "a fleet of ten processes on servers, $limit invoices"
  fleet_start
  timeout 300 "$binary" import "$csv" --endpoint "http://${address[gateway]}"
  move_buckets &
  pids[mover]=$!
  timeout 900 "$binary" replay "$csv" --limit "$limit" --concurrency 32 \
    --endpoint "http://${address[gateway]}"
  wait "${pids[mover]}" || fail 'buckets could not be moved'
  unset 'pids[mover]'
  "$binary" shard status
  fleet_stop
  audit
  end_at_once redis
  nats_stop
  end_at_once replica
  postgres_stop
}

build
retail_data "$csv"
case ${1:-all} in
  one) one_process ;;
  fleet) fleet ;;
  servers) fleet_on_servers ;;
  all)
    one_process
    rm -rf "$TRELLIS_DATA_DIR"
    fleet
    rm -rf "$TRELLIS_DATA_DIR"
    fleet_on_servers
    ;;
  *) fail "what is $1? one, fleet, servers, or nothing for all" ;;
esac
say 'the records agree'
