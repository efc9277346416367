#!/bin/sh
# before_passive, at a switchover: nothing is taken from clients any more. Shuts the server down, so that it
# hands all that it ever acknowledged to the standby, and starts it again as a standby.
. "$(dirname "$0")/pair.sh"

# A server that does not run has nothing to hand over; demote.sh will make its data a standby's.
state=$(ask "select pg_is_in_recovery(), (select count(*) from pg_stat_replication where state = 'streaming')") ||
    exit 0
case "$state" in
"t|"*) ;; # It was shut down already, and is a standby by now.
"f|0") fail "no standby is connected" ;;
*)
    touch "$PGDATA/standby.signal"
    mark again
    shut_down
    ;;
esac
# The last record that a primary writes is that of its shutdown.
last=$(pg_controldata | sed -n 's/^Latest checkpoint location: *//p')
[ "$(ask_peer "select pg_last_wal_receive_lsn() > '$last'")" = t ] || fail "the standby has not got all"
say "the standby has all up to $last"
