#!/bin/sh
# The server's command: runs PostgreSQL in the role that its data has, and makes the data that of a standby
# when demote.sh asks for it.
. "$(dirname "$0")/pair.sh"

child=
# SIGTERM alone would have PostgreSQL wait until its last client has gone: SIGINT is its fast shutdown.
stop() {
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

# Makes this node's data a copy of the other's, as soon as the other is a primary. Ends early when
# promote.sh takes the mark away: then this node is to serve with what it has.
rejoin() {
    while marked rejoin; do
        if peer_is_primary; then
            mark behind
            # Data that was half copied when this was killed cannot be rewound.
            whole=true
            marked copying && whole=false
            mark copying
            if { "$whole" && rewind; } || fresh_copy; then
                touch "$PGDATA/standby.signal"
                unmark copying
                unmark rejoin
                return
            fi
        fi
        run sleep 0.2
    done
}

while :; do
    if marked rejoin || marked copying; then
        mark rejoin
        rejoin
    fi
    unmark again
    # What differs between the two machines stands here: a copy of the data has the other's files.
    status=0
    run postgres -c listen_addresses="$LISTEN" -c port="$PGPORT" \
        -c unix_socket_directories="$DIR" -c hba_file="$DIR/pg_hba.conf" \
        -c primary_conninfo="host=$PEER port=$PGPORT user=replicator passfile=$DIR/passfile" ||
        status=$?
    marked again || exit "$status"
done
