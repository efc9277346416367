#!/bin/sh
# The server's command: runs PostgreSQL in the role that its data has, and makes the data that of a standby
# when demote.sh says so.
. "$(dirname "$0")/pair.sh"

child=
watcher=
# SIGTERM alone would have PostgreSQL wait until its last client has gone: SIGINT is its fast shutdown.
stop() {
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
    [ -z "$child" ] || kill -INT "$child" 2>/dev/null || true
    [ -z "$child" ] || wait "$child" || true
    exit 0
}
trap stop TERM INT

# Runs a command so that the trap is not kept waiting.
run() {
    "$@" &
    child=$!
    status=0
    wait "$child" || status=$?
    child=
    return "$status"
}

fresh_copy() {
    say "taking a fresh copy of $PEER"
    rm -rf "$DIR/data.new"
    run pg_basebackup --pgdata="$DIR/data.new" --host="$PEER" --username=replicator \
        --wal-method=stream --checkpoint=fast || return 1
    rm -rf "$DIR/data.old"
    [ ! -e "$PGDATA" ] || mv "$PGDATA" "$DIR/data.old"
    mv "$DIR/data.new" "$PGDATA"
    rm -rf "$DIR/data.old"
}

rewind() {
    # Until its first checkpoint after a promotion the other does not tell of its new timeline.
    ask_peer checkpoint &&
        run pg_rewind --target-pgdata="$PGDATA" \
            --source-server="host=$PEER port=$PGPORT user=replicator dbname=postgres"
}

# Makes this node's data a copy of the other's.
rejoin() {
    mark behind
    # Data that was half copied when this was killed cannot be rewound.
    whole=true
    if marked copying; then whole=false; fi
    mark copying
    if { "$whole" && rewind; } || fresh_copy; then
        touch "$PGDATA/standby.signal"
        unmark copying
        unmark rejoin
    fi
}

# Shuts the server down as soon as its data is to become a copy of the other's, and can.
watch() {
    while :; do
        if marked rejoin && peer_is_primary; then
            mark again
            shut_down
        fi
        sleep 0.2
    done
}

while :; do
    # Whole data serves as it is until the other one is a primary; half copied data does not serve at all.
    while marked copying || { marked rejoin && peer_is_primary; }; do
        if peer_is_primary; then rejoin; fi
        if marked copying; then run sleep 0.2; fi
    done
    unmark again
    watch &
    watcher=$!
    # What differs between the two machines stands here: a copy of the data has the other's files.
    status=0
    run postgres -c listen_addresses="$LISTEN" -c port="$PGPORT" \
        -c unix_socket_directories="$DIR" -c hba_file="$DIR/pg_hba.conf" \
        -c primary_conninfo="host=$PEER port=$PGPORT user=replicator passfile=$DIR/passfile" ||
        status=$?
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" || true
    watcher=
    marked again || exit "$status"
done
