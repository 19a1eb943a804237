#!/bin/bash
# Copies the primary when the volume is empty, and then follows it.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # What a copy that was interrupted has left.
  rm -rf "${PGDATA:?}"
  pg_basebackup --dbname="host=$PRIMARY user=replicator password=$POSTGRES_PASSWORD" \
    --pgdata="$PGDATA" --slot="$REPLICA_SLOT" --write-recovery-conf --checkpoint=fast
  chmod 700 "$PGDATA"
fi
exec docker-entrypoint.sh postgres "$@"
