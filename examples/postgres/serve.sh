#!/bin/sh
# The server's command: runs PostgreSQL in the role that its data has, and makes the data that of a standby
# when the other one has newer ones.
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
    # Data that were half copied when this was killed cannot be rewound.
    whole=true
    if marked copying; then whole=false; fi
    mark copying
    if { "$whole" && rewind; } || fresh_copy; then
        touch "$PGDATA/standby.signal"
        for done in copying copy rejoin; do unmark "$done"; done
    fi
}

# Shuts the server down when its data are to become a copy of the other's.
watch() {
    while :; do
        if marked rejoin; then
            peer=$(look_at_peer)
            if is_primary "$peer" && is_newer "$peer"; then
                for wanted in behind copy again; do mark "$wanted"; done
                shut_down
            fi
        fi
        sleep 0.2
    done
}

while :; do
    while marked copy; do
        if is_primary "$(look_at_peer)"; then rejoin; fi
        if marked copy; then run sleep 0.2; fi
    done
    unmark again
    # What an earlier life left behind may take a moment to be gone.
    left=$(head -n 1 "$PGDATA/postmaster.pid" 2>/dev/null || true)
    tries=0
    while [ -n "$left" ] && kill -0 "$left" 2>/dev/null && [ "$tries" -lt 50 ]; do
        run sleep 0.1
        tries=$((tries + 1))
    done
    watch &
    watcher=$!
    # What differs between the two machines stands here: a copy of the data has the other's files.
    status=0
    run postgres -c listen_addresses="$LISTEN" -c port="$PGPORT" \
        -c unix_socket_directories="$DIR" -c hba_file="$DIR/pg_hba.conf" \
        -c primary_conninfo="host=$PEER port=$PGPORT user=replicator passfile=$DIR/passfile" ||
        status=$?
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    watcher=
    marked again || exit "$status"
done
