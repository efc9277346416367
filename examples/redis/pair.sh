#!/bin/sh
# pair.sh WHAT OWN PEER: keeps one of two Redis servers, each given as HOST:PORT, a copy of the other.
#
# The data tell themselves how new they are. The key bstar:epoch is the epoch of the activation that wrote
# them, bstar:beat the second in which that still wrote. Newer data never give way to older ones.
own=$2 peer=$3
limit=30 # so many seconds of writes may be missing in a copy that takes over, at most

fail() {
    echo "$1" && exit 1
}
ask() { # HOST:PORT COMMAND...
    at=$1 && shift
    timeout --foreground 0.4 redis-cli -h "${at%:*}" -p "${at##*:}" --no-raw "$@" 2>&1 | tr -d '"\r'
}
number() { # HOST:PORT KEY: 0 if there is no such key; fails if there is no answer
    value=$(ask "$1" GET "$2")
    case $value in
    '(nil)') echo 0 ;;
    '' | *[!0-9]*) return 1 ;;
    *) echo "$value" ;;
    esac
}
field() { # HOST:PORT NAME: what it says of its replication
    ask "$1" --raw INFO replication | sed -n "s/^$2://p"
}
# Whether our data are newer than theirs: of a later epoch, or of one in which we were active. The primary's
# are odd; 0 is none.
are_newer() {
    case $BSTAR_ROLE in primary) odd=1 ;; *) odd=0 ;; esac
    [ "$ours" -gt 0 ] || return 1
    [ "$ours" -gt "$theirs" ] || { [ "$ours" -eq "$theirs" ] && [ "$((ours % 2))" -eq "$odd" ]; }
}

follow() { # Becomes a replica of the peer, once its data are the newer ones.
    [ "$(field "$own" role)" = master ] || return 0
    theirs=$(number "$peer" bstar:epoch) && [ "$theirs" -gt 0 ] || return 1
    (
        flock 9 # a promotion is not undone by one who looked before it
        ours=$(number "$own" bstar:epoch) && ! are_newer || exit 1
        [ "$(ask "$own" REPLICAOF "${peer%:*}" "${peer##*:}")" = OK ]
    ) 9<"$0"
}

case $1 in
check) # [[health]]: it answers. While passive it is made a replica again if it has been restarted.
    [ "$(ask "$own" PING)" = PONG ] || fail "Redis does not answer"
    if [ "$BSTAR_STATE" = passive ]; then
        follow
    elif [ "$BSTAR_STATE" = active ] && [ "$(number "$own" bstar:epoch)" = "$BSTAR_EPOCH" ]; then
        ask "$own" SET bstar:beat "$(date +%s)" >/dev/null
    fi
    exit 0
    ;;
ready) # before_active: are the data here good enough to be served?
    [ "$BSTAR_CAUSE" != promote ] || exit 0 # an operator knows better
    ours=$(number "$own" bstar:epoch) && beat=$(number "$own" bstar:beat) || fail "Redis does not answer"
    if theirs=$(number "$peer" bstar:epoch); then
        are_newer && exit 0
        if [ "$BSTAR_STATE" = passive ]; then
            [ "$(field "$own" master_link_status)" = up ] || fail "it is being copied"
        else
            [ "$theirs" -eq 0 ] || fail "the peer's data are newer"
        fi
    elif [ "$BSTAR_CAUSE" = peer-initial ] && [ "$(field "$own" role)" = master ]; then
        fail "the peer's Redis does not answer" # both have just been started, and its data may be newer
    fi
    if [ "$BSTAR_STATE" = passive ]; then
        [ "$ours" -ge "$BSTAR_EPOCH" ] || fail "the data are of epoch $ours, not $BSTAR_EPOCH"
    elif [ "$ours" -eq 0 ]; then
        exit 0 # a first start
    fi
    missing=$(($(date +%s) - ${BSTAR_SILENT_MS:-0} / 1000 - beat))
    [ "$missing" -le "$limit" ] || fail "the last $missing s are missing"
    ;;
promote) # on_active
    exec 9<"$0" && flock 9
    ours=$(number "$own" bstar:epoch) || fail "Redis does not answer"
    [ "$ours" -le "$BSTAR_EPOCH" ] || fail "the data are of epoch $ours already"
    [ "$(ask "$own" REPLICAOF NO ONE)" = OK ] || fail "Redis stays a replica"
    [ "$(ask "$own" MSET bstar:epoch "$BSTAR_EPOCH" bstar:beat "$(date +%s)")" = OK ] || fail "Redis cannot write"
    ;;
drain) # before_passive: no client's write is under way any more. Waits until the peer has them all.
    end=$(field "$own" master_repl_offset)
    # Once more: it may only have been slow.
    [ -n "$end" ] || end=$(field "$own" master_repl_offset)
    [ -n "$end" ] || { echo "Redis does not answer: nothing more is to be had of it" && exit 0; }
    id=$(field "$own" master_replid)
    until [ "$(field "$peer" master_replid)" = "$id" ] && [ "$(field "$peer" slave_repl_offset)" -ge "$end" ]; do
        sleep 0.02
    done
    ;;
follow) # on_passive. Does not fail: what cannot be done yet is done by a later check.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        follow && exit 0
        sleep 0.1
    done
    ;;
esac
