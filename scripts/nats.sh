# Starts a NATS server with JetStream in the folder of this run.
#
# Sourced by the other scripts, after processes.sh, which ends it. Needs Debian's package
# `nats-server`.
#
# shellcheck shell=bash
# shellcheck disable=SC2154  # `work` and `pids` come from processes.sh

# Answers on `nats_port`, which stays when it is started again, by `nats_program`.
nats_start() {
  local tries
  nats_program=$(command -v nats-server || echo /usr/sbin/nats-server)
  [ -x "$nats_program" ] || fail 'there is no NATS here: install nats-server'
  nats_port=${nats_port:-$(free_port)}
  "$nats_program" -a 127.0.0.1 -p "$nats_port" -js -sd "$work/nats" >"$work/nats.log" 2>&1 &
  pids[nats]=$!
  for tries in {1..300}; do
    grep -q 'Server is ready' "$work/nats.log" && return
    kill -0 "${pids[nats]}" 2>/dev/null || break
    sleep 0.1
  done
  fail "NATS does not answer after $((tries / 10)) s"
}

# Asks it to end, with all that it keeps.
nats_stop() {
  kill -TERM "${pids[nats]}"
  wait "${pids[nats]}" || true
  unset 'pids[nats]'
  rm -rf "$work/nats"
}
