#!/usr/bin/env bash
# Starts docker-compose.yml from nothing, buys in it, breaks it, scales it, and ends it.
# Prints what BENCHMARKS.md and docs/reliability.md say of it.
#
#   scripts/fleet-test.sh [STAGE]...
#
#   STAGE   lint, up, session, trace, idle, replay, watch, demo, faults, scale, down; without any,
#           all of them, in this order: traces are looked for while there are few, and what
#           breaks something is after `watch`, which wants no alert. `up` builds the image and
#           begins anew; whatever happens, the fleet is ended at the end, unless KEEP is set
#   LIMIT   how many invoices are replayed [default: 1500]
#   KEEP    leaves the fleet running
#   FLEET_BINARIES=prebuilt   takes deploy/docker/prebuilt/trellis instead of compiling
#
# Needs Docker with Compose v2, grpcurl, hadolint, jq, curl and python3.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/processes.sh
. scripts/retail.sh
. scripts/containers.sh
. scripts/buyers.sh
. scripts/fleet-test/scale.sh
. scripts/fleet-test/faults.sh

# Beside a fleet that somebody has.
export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-trellis-test}
limit=${LIMIT:-1500}
# In megabytes.
most_idle=120 most_busy=300 most_limits=1500
# In bytes, compressed.
largest_image=60000000
# In seconds. The goal for `up` is 30 s, on a machine that has nothing else to do.
longest_up=60 longest_trace=5 longest_down=5

lint() {
  local sum
  docker compose --profile '*' config --quiet
  hadolint deploy/docker/Dockerfile
  sum=$(docker compose config --format json | jq '[.services[].mem_limit | tonumber] | add / 1e6 | ceil')
  say "the limits of all containers: $sum MB"
  [ "$sum" -le $most_limits ] || fail "they are over $most_limits MB"
}

up() {
  local begin image bytes
  docker compose --profile '*' down --volumes --timeout 5 2>/dev/null
  say 'build the image'
  begin=$EPOCHREALTIME
  docker compose build --quiet gateway
  say "built in $(seconds_since "$begin") s"
  image=$(docker compose config --format json | jq -r .services.gateway.image)
  bytes=$(docker save "$image" | gzip -6 | wc -c)
  say "the image, compressed: $((bytes / 1000000)) MB"
  [ "$bytes" -le $largest_image ] || fail "it is over $((largest_image / 1000000)) MB"
  begin=$EPOCHREALTIME
  timeout 300 docker compose up --detach --wait --quiet-pull 2>"$work/up.log" ||
    { cat "$work/up.log" >&2 && fail 'the fleet is not healthy'; }
  say "all healthy after $(seconds_since "$begin") s"
  ((${EPOCHREALTIME%.*} - ${begin%.*} <= longest_up)) || fail "that is over $longest_up s"
}

session() {
  scripts/readme-session.sh "$shop"
}

# has_all_services TRACE
has_all_services() {
  local found
  found=$(services_of_trace "$1")
  [ "$found" = 'gateway inventory order payment recommendation user' ]
}

trace() {
  local id begin
  id=$(scripts/fleet-test/buy.sh "$shop")
  begin=$EPOCHREALTIME
  within $longest_trace has_all_services "$id" ||
    fail "after $longest_trace s Jaeger knows of the trace $id only: $(services_of_trace "$id")"
  say "a checkout is in Jaeger with all services $(seconds_since "$begin") s later: $jaeger/trace/$id"
}

idle() {
  local used
  used=$(memory)
  say "the six services use $used MB, idle"
  [ "$used" -le $most_idle ] || fail "that is over $most_idle MB"
}

replay() {
  local most=0 used replayed
  retail_data "$work/retail.csv"
  # The file is read by another user, in a container.
  chmod a+rx "$work"
  export RETAIL_CSV=$work/retail.csv INVOICES=$limit
  docker compose --progress quiet run --rm --no-TTY load-catalogue </dev/null
  timeout 900 docker compose --progress quiet run --rm --no-TTY load </dev/null &
  replayed=$!
  pids[replay]=$replayed
  while kill -0 "$replayed" 2>/dev/null; do
    used=$(memory)
    [ "$used" -le "$most" ] || most=$used
  done
  wait "$replayed" || fail 'the replay did not end well'
  unset 'pids[replay]'
  say "the six services used up to $most MB under the replay"
  [ "$most" -le $most_busy ] || fail "that is over $most_busy MB"
  audit
}

# quiet_and_up: every target of Prometheus answers, and nothing fires.
quiet_and_up() {
  curl -fsS --max-time 10 "$prometheus/api/v1/targets?state=active" |
    jq -e '[.data.activeTargets[] | {job: .labels.job, health}]
      | length >= 6 and all(.health == "up")' >/dev/null &&
    curl -fsS --max-time 10 "$prometheus/api/v1/alerts" |
    jq -e '[.data.alerts[] | select(.state == "firing")] == []' >/dev/null
}

watch() {
  within 30 quiet_and_up || {
    curl -fsS "$prometheus/api/v1/targets?state=active" | jq -c '.data.activeTargets[] | [.labels.job, .health, .lastError]'
    curl -fsS "$prometheus/api/v1/alerts" | jq -c '.data.alerts[].labels'
    fail 'Prometheus misses a target, or an alert fires'
  }
  say 'every target of Prometheus is up, and no alert fires'
}

demo() {
  scripts/fleet-demo.sh
}

down() {
  local begin left
  begin=$EPOCHREALTIME
  docker compose down --volumes 2>"$work/down.log"
  say "ended in $(seconds_since "$begin") s"
  ((${EPOCHREALTIME/./} - ${begin/./} < longest_down * 1000000)) ||
    fail "that is over $longest_down s"
  left=$(for kind in container volume network; do
    docker "$kind" ls $([ $kind != container ] || echo --all) --quiet \
      --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME"
  done)
  [ -z "$left" ] || fail "something is left: $left"
}

# Whatever happens, and after the log of what failed.
end_fleet() {
  local status=$?
  set +e
  if [ "$status" != 0 ]; then
    docker compose --profile '*' ps --all >&2
    docker compose --profile '*' logs --no-color --tail 15 "${roles[@]}" >&2
  fi
  [ -n "${KEEP:-}" ] || docker compose --profile '*' down --volumes --timeout 5 2>/dev/null
  return "$status"
}

need jq curl python3 grpcurl hadolint
trap 'end_fleet; clean_up' EXIT
if [ $# = 0 ]; then set -- lint up session trace idle replay watch demo faults scale down; fi
for stage in "$@"; do
  case $stage in
    lint | up | session | trace | idle | replay | watch | demo | faults | scale | down) ;;
    *) fail "there is no stage $stage; see the head of $0" ;;
  esac
  begin=$SECONDS
  $stage
  say "$stage: $((SECONDS - begin)) s"
done
