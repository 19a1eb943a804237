# Starts a Postgres server in the folder of this run, with a database for each service.
#
# Sourced by the other scripts, after processes.sh, which ends it. Needs Debian's package
# `postgresql`, or a `postgres` in the path.
#
# shellcheck shell=bash
# shellcheck disable=SC2154  # `work` and `pids` come from processes.sh

# Answers on `postgres_port`, by the programs of `postgres_programs`, and tells every process that is started from here on where
# its records are.
postgres_start() {
  local programs as=() data=$work/postgres role tries setting settings=()
  programs=$(find /usr/lib/postgresql/*/bin -name postgres 2>/dev/null | sort -V | tail -n 1)
  programs=$(dirname "${programs:-$(command -v postgres || true)}")
  postgres_programs=$programs
  [ -x "$programs/initdb" ] || fail 'there is no Postgres here: install postgresql'
  mkdir -p "$data"
  # It refuses to be run by root, who may become somebody else.
  if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    chown postgres: "$data"
    chmod a+x "$work"
  fi
  (cd "$data" && "${as[@]}" "$programs/initdb" --username=postgres --auth=trust \
    --encoding=UTF8 --locale=C --no-sync -D "$data/data" >"$work/initdb.log")
  postgres_port=$(python3 -c 'import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])')
  for setting in listen_addresses=127.0.0.1 unix_socket_directories="$data" \
    max_connections=300 shared_buffers=256MB max_wal_size=2GB; do
    settings+=(-c "$setting")
  done
  (cd "$data" && exec "${as[@]}" "$programs/postgres" -D "$data/data" -p "$postgres_port" \
    "${settings[@]}") >"$work/postgres.log" 2>&1 &
  pids[postgres]=$!
  for tries in {1..300}; do
    "$programs/pg_isready" -q -h 127.0.0.1 -p "$postgres_port" && break
    kill -0 "${pids[postgres]}" 2>/dev/null || break
    sleep 0.1
  done
  "$programs/pg_isready" -q -h 127.0.0.1 -p "$postgres_port" ||
    fail "Postgres does not answer after $((tries / 10)) s"
  for role in user inventory payment order recommendation; do
    postgres_database "$role"
    export "TRELLIS_${role^^}_DATABASE=postgres://postgres@127.0.0.1:$postgres_port/$role"
  done
}

# postgres_database NAME: makes an empty database.
postgres_database() {
  "$postgres_programs/createdb" -h 127.0.0.1 -p "$postgres_port" -U postgres "$1"
}

# Asks it to end in good order.
postgres_stop() {
  kill -INT "${pids[postgres]}"
  wait "${pids[postgres]}" || true
  unset 'pids[postgres]'
}
