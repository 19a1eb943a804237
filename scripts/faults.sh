#!/usr/bin/env bash
# Breaks one engine of a fleet after the other while customers buy, and audits the
# records at the end: nothing may be lost, oversold or charged twice. Prints the table
# of docs/reliability.md.
#
#   scripts/faults.sh [FAULT]...
#
#   SECONDS_EACH  how long customers buy around each fault [default: 12]
#
# Needs Postgres, NATS and Redis on the machine (Debian: postgresql, nats-server,
# redis-server).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/processes.sh
. scripts/postgres.sh
. scripts/nats.sh
. scripts/redis.sh
. scripts/fleet.sh
. scripts/buyers.sh

seconds=${SECONDS_EACH:-12}
# The fault begins at this moment of a round, and lasts so long.
begin=3
lasts=3
# What the disk of the primary holds, where it is one of its own.
disk=3g

all=(
  none
  order-process-killed
  recommendation-process-killed
  event-poisoned
  postgres-connections-cut
  stock-locked
  postgres-killed
  replica-stopped
  replica-paused
  replica-lags-5-s
  postgres-paused
  nats-killed
  nats-wiped
  redis-killed
  redis-flushed
  redis-paused
  primary-lost-and-replica-promoted
)
# Only root may mount a disk to fill. It is that of the primary, which is lost at the end.
[ "$(id -u)" != 0 ] || all=(postgres-disk-full "${all[@]}")

# break_it FAULT, mend FAULT: what happens at the two moments.
break_it() {
  case $1 in
    none) ;;
    order-process-killed) end_at_once order1 ;;
    recommendation-process-killed) end_at_once recommendation1 ;;
    event-poisoned) poison ;;
    postgres-connections-cut)
      postgres_ask "$postgres_port" "SELECT count(pg_terminate_backend(pid))
        FROM pg_stat_activity WHERE application_name = 'trellis'" >/dev/null
      ;;
    # Whoever wants stock waits, until no connection is left for anybody.
    stock-locked)
      postgres_ask "$postgres_port" "BEGIN; LOCK TABLE stock; SELECT pg_sleep($lasts); COMMIT" \
        inventory >/dev/null &
      pids[locker]=$!
      ;;
    postgres-killed) postgres_kill postgres ;;
    postgres-paused) postgres_signal STOP ;;
    postgres-disk-full) fill_disk ;;
    replica-stopped) postgres_kill replica ;;
    replica-paused) postgres_ask "$postgres_replica_port" 'SELECT pg_wal_replay_pause()' ;;
    replica-lags-5-s)
      postgres_ask "$postgres_replica_port" "ALTER SYSTEM SET recovery_min_apply_delay = '5s'"
      postgres_ask "$postgres_replica_port" 'SELECT pg_reload_conf()' >/dev/null
      ;;
    nats-killed) end_at_once nats ;;
    nats-wiped)
      end_at_once nats
      rm -rf "$work/nats"
      ;;
    redis-killed) end_at_once redis ;;
    redis-flushed) redis-cli -p "$redis_port" flushall >/dev/null ;;
    redis-paused) kill -STOP "${pids[redis]}" ;;
    primary-lost-and-replica-promoted) postgres_kill postgres ;;
    *) fail "what is $1? One of: ${all[*]}" ;;
  esac
}

mend() {
  case $1 in
    none | postgres-connections-cut | redis-flushed) ;;
    # Another of its kind goes on with what it had.
    order-process-killed | recommendation-process-killed) ;;
    event-poisoned) unpoison ;;
    stock-locked)
      wait "${pids[locker]}"
      unset 'pids[locker]'
      ;;
    postgres-disk-full)
      rm "$work/postgres/data/filler"
      # It may have given up, with nowhere to write its log.
      kill -0 "${pids[postgres]}" 2>/dev/null ||
        postgres_run postgres "$work/postgres/data" "$postgres_port"
      ;;
    postgres-killed) postgres_run postgres "$work/postgres/data" "$postgres_port" ;;
    postgres-paused) postgres_signal CONT ;;
    replica-stopped) postgres_run replica "$work/postgres/replica" "$postgres_replica_port" ;;
    replica-paused) postgres_ask "$postgres_replica_port" 'SELECT pg_wal_replay_resume()' ;;
    replica-lags-5-s)
      postgres_ask "$postgres_replica_port" 'ALTER SYSTEM RESET recovery_min_apply_delay'
      postgres_ask "$postgres_replica_port" 'SELECT pg_reload_conf()' >/dev/null
      ;;
    nats-killed | nats-wiped) nats_start ;;
    redis-killed) redis_start ;;
    redis-paused) kill -CONT "${pids[redis]}" ;;
    primary-lost-and-replica-promoted)
      postgres_ask "$postgres_replica_port" 'SELECT pg_promote()' >/dev/null
      ;;
  esac
}

# postgres_signal SIGNAL [NAME]: to a server and all that it has started.
postgres_signal() {
  local pid=${pids[${2:-postgres}]} family
  mapfile -t family < <(pgrep -P "$pid")
  kill "-$1" "$pid" "${family[@]}" 2>/dev/null || true
}

# All of it at once, as with the machine.
postgres_kill() {
  postgres_signal KILL "$1"
  wait "${pids[$1]}" 2>/dev/null || true
  unset "pids[$1]"
}

# An event of a kind that others wait for, and that no consumer can read.
poison() {
  postgres_ask "$postgres_port" "
    INSERT INTO outbox
           (bucket, event_id, kind, subject, payload, headers, create_time, next_attempt_time)
    VALUES (0, gen_random_uuid(), 'order.confirmed', 'poison', '\xff', '{}', now(), now())" order
}

# It has become a dead letter, which would be found by the audit.
unpoison() {
  local tries deleted
  for tries in {1..100}; do
    deleted=$(postgres_ask "$postgres_port" \
      "DELETE FROM dead_letters WHERE subject = 'poison' RETURNING 1" recommendation)
    [ "$deleted" != 1 ] || return 0
    sleep 0.1
  done
  fail "there is no dead letter after $((tries / 10)) s"
}

# Gives the primary a disk that can be filled without harm to anybody else, for which one
# has to be root.
disk_start() {
  mkdir -p "$work/postgres/data"
  mount -t tmpfs -o "size=$disk,mode=0700" tmpfs "$work/postgres/data" ||
    fail 'a full disk can be tried by root alone, who may mount one: name the other faults'
  trap 'disk_end; clean_up' EXIT
  chown postgres: "$work/postgres/data"
}

# Leaves it to `clean_up` how this run has ended.
disk_end() {
  local status=$?
  set +e
  umount --lazy "$work/postgres/data"
  return "$status"
}

# To the last byte: dd ends when it is refused one. Most of it is taken at once.
fill_disk() {
  local filler=$work/postgres/data/filler free
  free=$(df --output=avail -B 1M "$work/postgres/data" | tail -n 1)
  fallocate -l "$((free - 8))MiB" "$filler"
  dd if=/dev/zero bs=1M 2>/dev/null >>"$filler" || true
}

# Every order that somebody was told of is there, and the books agree.
settle() {
  fleet_stop
  timeout 300 "$binary" audit
  none_lost
}

# The ids of all confirmed orders, as the outbox has told of them.
confirmed() {
  local database port=$postgres_port
  [ -n "${pids[postgres]:-}" ] || port=$postgres_replica_port
  for database in order order_1; do
    postgres_ask "$port" "SELECT subject FROM outbox WHERE kind = 'order.confirmed'" "$database"
  done
}

build
for tool in redis-cli jq pgrep python3; do
  command -v $tool >/dev/null || fail "there is no $tool here: install it"
done
if [ $# = 0 ]; then set -- "${all[@]}"; fi
[[ " $* " != *' postgres-disk-full '* ]] || disk_start
say 'a fleet on Postgres with a replica and two shards, NATS and Redis'
fleet_start
scripts/made-up-retail.sh >"$work/retail.csv"
timeout 120 "$binary" import "$work/retail.csv" --endpoint "http://${address[gateway]}"
sku=$(awk -F, 'NR == 2 { print $2 }' "$work/retail.csv")
say "customers buy for $seconds s around each fault, which lasts for $lasts s"
table
for fault in "$@"; do
  # It has to last for longer than it lags.
  more=0
  [ "$fault" != replica-lags-5-s ] || more=5
  round "${address[gateway]}" "$sku" "$fault" "$begin" $((lasts + more)) $((seconds + more))
done
settle
