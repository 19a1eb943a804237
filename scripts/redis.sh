# Starts a Redis server that keeps nothing on disk.
#
# Sourced by the other scripts, after processes.sh, which ends it. Needs Debian's package
# `redis-server`.
#
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # `work` and `pids` are those of processes.sh

# Answers on `redis_port`, which stays when it is started again.
redis_start() {
  local tries
  command -v redis-server >/dev/null || fail 'there is no Redis here: install redis-server'
  redis_port=${redis_port:-$(free_port)}
  redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --appendonly no \
    --dir "$work" >>"$work/redis.log" 2>&1 &
  pids[redis]=$!
  for tries in {1..100}; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$redis_port") 2>/dev/null; then return 0; fi
    sleep 0.1
  done
  fail "Redis does not answer after $((tries / 10)) s"
}
