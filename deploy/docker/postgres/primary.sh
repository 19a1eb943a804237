#!/bin/bash
# Run once by the image of Postgres, when its volume is empty: makes the role of the shop,
# one for replicas if there may be any, and the databases that are named in DATABASES.
set -euo pipefail

sql() {
  psql --set=ON_ERROR_STOP=1 --no-psqlrc --quiet --username="$POSTGRES_USER" --dbname=postgres \
    --set=password="$POSTGRES_PASSWORD" "$@"
}

# It has to see how far replicas are.
sql <<'SQL'
CREATE ROLE trellis LOGIN PASSWORD :'password';
GRANT pg_read_all_stats TO trellis;
SQL
for database in $DATABASES; do
  sql --set=database="$database" <<<'CREATE DATABASE :"database" OWNER trellis;'
done

if [ -n "${REPLICA_SLOT:-}" ]; then
  sql --set=slot="$REPLICA_SLOT" <<'SQL'
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'password';
SELECT pg_create_physical_replication_slot(:'slot') \g /dev/null
SQL
  echo 'host replication replicator all scram-sha-256' >>"$PGDATA/pg_hba.conf"
fi
