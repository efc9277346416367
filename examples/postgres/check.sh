#!/bin/sh
# The check of health, and what must hold before this node takes over: it answers, and has what the other one
# has told its clients, as far as that can be known.
. "$(dirname "$0")/pair.sh"

state=$(ask "select pg_is_in_recovery(), exists (select from pg_stat_wal_receiver where status = 'streaming')")
if [ "${BSTAR_HOOK:-}" = before-active ]; then
    # An operator knows better.
    if [ "$BSTAR_CAUSE" = promote ]; then exit 0; fi
elif [ "${BSTAR_STATE:-}" = active ]; then
    unmark rejoin
    exit 0
fi
if [ "$state" = "t|t" ]; then
    unmark behind
    exit 0
fi
peer=$(look_at_peer)
# A standby that gets nothing from a primary that is there, and may write what this one never sees.
if [ "$state" = "t|f" ] && is_primary "$peer"; then mark behind; fi
if is_newer "$peer"; then mark behind; fi
if [ "$state" = "f|f" ] && [ "${BSTAR_STATE:-}" = passive ]; then mark rejoin; fi
if marked behind; then fail "$PEER has what is missing here"; fi
if marked rejoin && is_primary "$peer"; then fail "$PEER serves older data than these: an operator has to choose"; fi
# Both machines were started anew, and the other's data may be newer.
if [ "${BSTAR_HOOK:-} ${BSTAR_CAUSE:-}" = "before-active peer-initial" ] && [ -z "$peer" ]; then
    fail "the server at $PEER does not answer yet"
fi
