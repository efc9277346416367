#!/bin/sh
# Makes the cluster, on the first machine, once.
. "$(dirname "$0")/pair.sh"

umask 077
mkdir -p "$DIR"
echo "*:*:*:replicator:$REPLICATION_PASSWORD" >"$DIR/passfile"
initdb --pgdata="$PGDATA" --data-checksums --auth-local=peer --auth-host=scram-sha-256 >/dev/null
cat >>"$PGDATA/postgresql.conf" <<END
wal_level = replica
hot_standby = on
max_wal_senders = 10
# A standby that was away for less than this catches up by itself.
wal_keep_size = 1GB
wal_retrieve_retry_interval = 500ms
# A standby notices within this that the other machine is gone.
wal_receiver_timeout = 10s
wal_sender_timeout = 10s
END
"$(dirname "$0")/hba.sh" "$1"

# The users, while nobody can connect by the network.
pg_ctl start --wait --silent --log="$DIR/setup.log" \
    --options="-c listen_addresses='' -c unix_socket_directories='$DIR' -c port=$PGPORT"
ask "create role replicator login replication password '$REPLICATION_PASSWORD'"
# What pg_rewind reads the other's files by.
ask "grant execute on function pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean),
     pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean) to replicator;
     grant pg_checkpoint to replicator"
# What the data tell of how new they are.
ask "create table pair_epoch (epoch bigint not null); insert into pair_epoch values (0);
     grant select on pair_epoch to replicator"
pg_ctl stop --wait --silent --mode=fast
say "made $PGDATA"
