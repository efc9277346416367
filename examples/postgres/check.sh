#!/bin/sh
# The check of health, and what must hold before this node takes over: it answers, and has what the
# other one has told its clients, as far as that can be known.
. "$(dirname "$0")/pair.sh"

state=$(ask "select pg_is_in_recovery(), exists (select from pg_stat_wal_receiver where status = 'streaming')")
case "$state" in
"t|t") unmark behind ;;
# Not streaming: from a primary that is there, and writes what this one does not get? Or is the other gone?
"t|f") if peer_is_primary; then mark behind; fi ;;
# A primary that is to become a copy of another one.
"f|f") if marked rejoin && peer_is_primary; then mark behind; fi ;;
*) fail "the server says '$state'" ;;
esac
if marked behind; then fail "behind $PEER"; fi
