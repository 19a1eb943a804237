# Starts a fleet on all engines: ten processes, two of each service that can have more
# than one, on a Postgres primary with a replica and two databases for customers and for
# orders, NATS and Redis.
#
# Sourced by the other scripts, after processes.sh, postgres.sh, nats.sh and redis.sh.
#
# shellcheck shell=bash
# shellcheck disable=SC2154  # `work`, `pids`, `address` and `binary` come from processes.sh

# Those that call come before those that they call.
fleet_processes=(gateway user2 user1 order2 order1 recommendation2 recommendation1 payment1
  inventory2 inventory1)

fleet_start() {
  local role number peers urls
  export TRELLIS_ADMIN_TOKEN TRELLIS_NATS TRELLIS_REDIS
  TRELLIS_ADMIN_TOKEN=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
  postgres_start
  for role in user order; do
    postgres_database "${role}_1"
    urls=TRELLIS_${role^^}_DATABASE
    export "$urls=${!urls} postgres://postgres@127.0.0.1:$postgres_port/${role}_1"
  done
  postgres_replica
  nats_start
  redis_start
  TRELLIS_NATS=nats://127.0.0.1:$nats_port
  TRELLIS_REDIS=redis://127.0.0.1:$redis_port
  timeout 60 "$binary" migrate
  for role in inventory payment recommendation order user; do
    peers=()
    for number in 1 2; do
      # Only the sandbox, which plays a company outside, keeps a file; it has one counter.
      [ "$role$number" != payment2 ] || continue
      start "$role$number" "$role"
      peers+=("http://${address[$role$number]}")
    done
    export "TRELLIS_PEERS_${role^^}=$(IFS=,; echo "${peers[*]}")"
  done
  start gateway gateway
}

# Stops those that still run, in good order. The engines stay.
fleet_stop() {
  local name
  for name in "${fleet_processes[@]}"; do
    [ -z "${pids[$name]:-}" ] || stop "$name"
  done
}

# end_at_once NAME: as a crash would.
end_at_once() {
  kill -KILL "${pids[$1]}"
  wait "${pids[$1]}" 2>/dev/null || true
  unset "pids[$1]"
}
