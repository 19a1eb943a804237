#!/bin/bash
# Copies the primary when the volume is empty, and then follows it.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # Beside its place until it is whole: a copy that is interrupted looks like a database.
  copy=$PGDATA.new
  rm -rf "${PGDATA:?}" "$copy"
  pg_basebackup --dbname="host=$PRIMARY user=replicator password=$POSTGRES_PASSWORD" \
    --pgdata="$copy" --slot="$REPLICA_SLOT" --write-recovery-conf --checkpoint=fast
  chmod 700 "$copy"
  mv "$copy" "$PGDATA"
fi
exec docker-entrypoint.sh postgres "$@"
