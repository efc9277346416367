#!/bin/sh
# on_passive: the other one serves, or will. A server that was a primary until now may have rows that the
# other has not, so its data is made a copy of the other's; serve.sh does it.
. "$(dirname "$0")/pair.sh"

if [ -e "$PGDATA/standby.signal" ]; then exit 0; fi
mark rejoin
mark again
say "was a primary until now: its data becomes a copy of $PEER's"
shut_down
