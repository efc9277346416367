#!/bin/sh
# on_active: makes the server a primary, and has its data tell whose they are from now on.
. "$(dirname "$0")/pair.sh"

if marked copy; then fail "the data are half copied: they cannot be served"; fi
until state=$(ask "select pg_is_in_recovery()" 2>/dev/null); do sleep 0.1; done
epoch=$(own_epoch)
[ "$epoch" -le "$BSTAR_EPOCH" ] || fail "the data are of epoch $epoch, later than $BSTAR_EPOCH"
if [ "$state" = t ]; then
    [ "$(ask "select pg_promote(true, 25)")" = t ] || fail "not promoted"
    say "promoted, epoch $BSTAR_EPOCH"
fi
# There may be no standby that could confirm it.
ask "set synchronous_commit = local; update pair_epoch set epoch = $BSTAR_EPOCH where epoch < $BSTAR_EPOCH"
unmark rejoin
unmark behind
