# Runs docker-compose.yml, and looks at what runs.
#
# Sourced by the other scripts, after processes.sh. Needs Docker with Compose v2.
#
#   COMPOSE_PROJECT_NAME   other than `trellis`, if that is in use
#
# shellcheck shell=bash
# shellcheck disable=SC2034  # the addresses are for those who source this

roles=(gateway user inventory payment order recommendation)
shop=127.0.0.1:${GATEWAY_PORT:-8080}
jaeger=http://127.0.0.1:${JAEGER_PORT:-16686}
prometheus=http://127.0.0.1:${PROMETHEUS_PORT:-9090}

need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || fail "there is no $tool here: install it"
  done
  docker info >/dev/null 2>&1 || fail 'no Docker engine answers: start it, or see whether you may use it'
  docker compose version >/dev/null 2>&1 || fail 'docker compose is missing: install the plugin of Compose v2'
}

# The ids of the running containers of a service.
containers() {
  docker compose ps --quiet "$@"
}

# in_service SERVICE COMMAND...: runs a command of its image where it runs.
in_service() {
  docker compose exec --no-TTY "$@"
}

audit() {
  in_service gateway trellis audit --endpoint http://127.0.0.1:8080
}

# address CONTAINER: where this machine reaches it.
address() {
  docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"
}

# Megabytes in use by the six services together.
memory() {
  local ids=() role
  for role in "${roles[@]}"; do
    mapfile -t -O "${#ids[@]}" ids < <(containers "$role")
  done
  docker stats --no-stream --format '{{.MemUsage}}' "${ids[@]}" | awk '
    { number = $1 + 0 }
    $1 ~ /KiB/ { number /= 1024 }
    $1 ~ /GiB/ { number *= 1024 }
    { sum += number }
    END { printf "%.0f\n", sum * 1.048576 }'
}

# within SECONDS COMMAND...: until the command succeeds; fails after so many seconds.
within() {
  local limit=$1 begin=${EPOCHREALTIME/./}
  shift
  until "$@"; do
    ((${EPOCHREALTIME/./} - begin < limit * 1000000)) || return 1
    sleep 0.2
  done
}

# seconds_since MOMENT: with a tenth; the moment is a reading of EPOCHREALTIME.
seconds_since() {
  awk -v now="$EPOCHREALTIME" -v since="$1" 'BEGIN { printf "%.1f\n", now - since }'
}

# The names of the services that a trace has come through, as far as Jaeger has it.
services_of_trace() {
  curl -fsS --max-time 10 "$jaeger/api/traces/$1" 2>/dev/null |
    jq -r '[.data[0] | .processes as $processes | .spans[] | $processes[.processID].serviceName]
      | unique | join(" ")' 2>/dev/null
}
