#!/bin/sh
# on_active: makes the server a primary.
. "$(dirname "$0")/pair.sh"

if marked copying; then fail "the data is half copied: it cannot serve"; fi
unmark rejoin
until state=$(ask "select pg_is_in_recovery()" 2>/dev/null); do sleep 0.1; done
if [ "$state" = t ]; then
    [ "$(ask "select pg_promote(true, 25)")" = t ] || fail "not promoted"
    say "promoted, epoch ${BSTAR_EPOCH:-unknown}"
fi
unmark behind
