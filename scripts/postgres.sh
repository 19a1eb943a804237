# Starts a Postgres server in the folder of this run, with a database for each service.
#
# Sourced by the other scripts, after processes.sh, which ends it. Needs Debian's package
# `postgresql`, or a `postgres` in the path.
#
# shellcheck shell=bash
# shellcheck disable=SC2154  # `work` and `pids` come from processes.sh

# Answers on `postgres_port`, by the programs of `postgres_programs` and as whom
# `postgres_as` says, and tells every process that is started from here on where its
# records are.
postgres_start() {
  local programs data=$work/postgres role setting
  postgres_as=() postgres_settings=()
  programs=$(find /usr/lib/postgresql/*/bin -name postgres 2>/dev/null | sort -V | tail -n 1)
  programs=$(dirname "${programs:-$(command -v postgres || true)}")
  postgres_programs=$programs
  [ -x "$programs/initdb" ] || fail 'there is no Postgres here: install postgresql'
  mkdir -p "$data"
  # It refuses to be run by root, who may become somebody else.
  if [ "$(id -u)" = 0 ]; then
    postgres_as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    chown postgres: "$data"
    chmod a+x "$work"
    "${postgres_as[@]}" test -x "$work" ||
      fail "the user postgres cannot enter $work: set BENCH_DIR or TMPDIR to a folder it can"
  fi
  (cd "$data" && "${postgres_as[@]}" "$programs/initdb" --username=postgres --auth=trust \
    --encoding=UTF8 --locale=C --no-sync -D "$data/data" >"$work/initdb.log")
  postgres_port=$(free_port)
  for setting in listen_addresses=127.0.0.1 unix_socket_directories="$data" \
    max_connections=300 shared_buffers=256MB max_wal_size=2GB; do
    postgres_settings+=(-c "$setting")
  done
  postgres_run postgres "$data/data" "$postgres_port"
  for role in user inventory payment order recommendation; do
    postgres_database "$role"
    export "TRELLIS_${role^^}_DATABASE=postgres://postgres@127.0.0.1:$postgres_port/$role"
  done
}

# postgres_run NAME FOLDER PORT: runs a server, as often as it is called.
postgres_run() {
  local name=$1 folder=$2 port=$3 tries
  (cd "$work/postgres" && exec "${postgres_as[@]}" "$postgres_programs/postgres" -D "$folder" \
    -p "$port" "${postgres_settings[@]}") >>"$work/$name.log" 2>&1 &
  pids["$name"]=$!
  for tries in {1..300}; do
    "$postgres_programs/pg_isready" -q -h 127.0.0.1 -p "$port" && return
    kill -0 "${pids[$name]}" 2>/dev/null || break
    sleep 0.1
  done
  fail "Postgres does not answer after $((tries / 10)) s"
}

# Adds a replica on `postgres_replica_port`, and tells every process of it.
postgres_replica() {
  local role urls
  postgres_replica_port=$(free_port)
  (cd "$work/postgres" && "${postgres_as[@]}" "$postgres_programs/pg_basebackup" -h 127.0.0.1 \
    -p "$postgres_port" -U postgres -D "$work/postgres/replica" -R -c fast --no-sync)
  postgres_run replica "$work/postgres/replica" "$postgres_replica_port"
  for role in user inventory payment order recommendation; do
    urls=TRELLIS_${role^^}_DATABASE
    export "$urls=${!urls//127.0.0.1:$postgres_port/127.0.0.1:$postgres_port,127.0.0.1:$postgres_replica_port}"
  done
}

# postgres_ask PORT STATEMENT [DATABASE]: runs a statement, and prints what it answers.
postgres_ask() {
  "$postgres_programs/psql" -h 127.0.0.1 -p "$1" -U postgres -d "${3:-postgres}" -tAqc "$2"
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
