#!/bin/sh
# on_passive: this node has ended to serve. If the other one serves, a server that was a primary until now may
# have rows that the other has not: serve.sh is told to make its data a copy of the other's.
. "$(dirname "$0")/pair.sh"

# Nobody serves yet if this node has only resigned: its data may be the latest that there is.
[ "$BSTAR_STATE" = passive ] || exit 0
if [ -e "$PGDATA/standby.signal" ]; then exit 0; fi
mark rejoin
say "was a primary until now: its data becomes a copy of $PEER's"
