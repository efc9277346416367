#!/bin/sh
# on_passive: the other one serves. A server that was a primary until now may have rows that the other has not:
# serve.sh makes its data a copy of the other's, as soon as those are newer. check.sh sees to it as well.
. "$(dirname "$0")/pair.sh"

# Nobody serves yet if this node has only resigned.
[ "$BSTAR_STATE" = passive ] || exit 0
if [ -e "$PGDATA/standby.signal" ]; then exit 0; fi
mark rejoin
say "a primary until now: its data give way to those of $PEER"
