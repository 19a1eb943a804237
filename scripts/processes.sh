# Starts `trellis` processes on free ports, and ends those that it started.
#
# Sourced by the other scripts. Needs bash 5 and GNU coreutils.
#
#   BINARY  the `trellis` to run [default: the release binary, which is built]
#
# shellcheck shell=bash
# shellcheck disable=SC2034  # `address` is for those who source this

# Where everything of this run is kept; removed at the end.
work=$(mktemp -d "${work_parent:-${TMPDIR:-/tmp}}/trellis.XXXXXX")
binary=${BINARY:-${CARGO_TARGET_DIR:-target}/release/trellis}
# Whoever runs this may have settings of their own, such as a database.
for variable in "${!TRELLIS_@}"; do
  unset "$variable"
done
export TRELLIS_DATA_DIR=$work/data
# Nothing balances over these processes, so nobody needs time to look away.
export TRELLIS_LEAVE_SECONDS=0

# By the name of the process.
declare -A pids=() address=() admin=()

say() {
  printf '\n-- %s\n' "$*"
}

fail() {
  printf 'error: %s\n' "$*" >&2
  return 1
}

# One that was free a moment ago.
free_port() {
  python3 -c 'import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])'
}

# Builds the release binary, as `cargo run --release` does.
build() {
  [ -z "${BINARY:-}" ] || return 0
  say 'build the release binary'
  cargo build --release
}

# start NAME [ROLE]...: starts a process and waits until it is ready.
start() {
  local name=$1
  shift
  : >"$work/$name.log"
  TRELLIS_LISTEN=127.0.0.1:0 TRELLIS_ADMIN_LISTEN=127.0.0.1:0 \
    "$binary" "$@" >"$work/$name.out" 2>"$work/$name.log" &
  pids[$name]=$!
  await "$name"
}

# Waits for the line of the log that says where the process answers.
await() {
  local name=$1 line tries
  for tries in {1..600}; do
    line=$(grep -m 1 '"message":"ready"' "$work/$name.log" || true)
    if [ -n "$line" ]; then
      address[$name]=$(value address <<<"$line")
      admin[$name]=$(value admin <<<"$line")
      timeout 10 "$binary" healthcheck --address "${admin[$name]}" >/dev/null
      return
    fi
    kill -0 "${pids[$name]}" 2>/dev/null || break
    sleep 0.1
  done
  fail "$name is not ready after $((tries / 10)) s"
}

# The text of a key in a line of JSON.
value() {
  sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

# stop NAME: asks a process to end, which it must do within 30 s and with success.
stop() {
  local name=$1 pid=${pids[$1]} status=0
  kill -TERM "$pid"
  timeout 30 tail --pid="$pid" -f /dev/null || fail "$name did not stop within 30 s"
  wait "$pid" || status=$?
  unset "pids[$name]"
  [ "$status" = 0 ] || {
    tail -n 20 "$work/$name.log" >&2
    fail "$name ended with $status"
  }
}

# Whatever happens, nothing is left behind, even when nobody reads any more.
clean_up() {
  local status=$? name
  set +e
  trap '' HUP INT PIPE TERM
  for name in "${!pids[@]}"; do
    kill -KILL "${pids[$name]}" 2>/dev/null
    wait "${pids[$name]}" 2>/dev/null
    if [ "$status" != 0 ]; then
      printf '\n-- the last lines of the log of %s\n' "$name" >&2
      tail -n 20 "$work/$name.log" >&2
    fi
  done
  rm -rf "$work"
}
trap clean_up EXIT
# A signal ends a script through its clean-up, also that of a closed pipe.
trap 'exit 1' HUP INT PIPE TERM
