#!/bin/sh
# Copies the cluster to the second machine, once, while the first one's server runs.
. "$(dirname "$0")/pair.sh"

umask 077
mkdir -p "$DIR"
echo "*:*:*:replicator:$REPLICATION_PASSWORD" >"$DIR/passfile"
pg_basebackup --pgdata="$PGDATA" --host="$PEER" --username=replicator \
    --wal-method=stream --checkpoint=fast
touch "$PGDATA/standby.signal"
"$(dirname "$0")/hba.sh" "$1"
say "made $PGDATA"
