# What the scripts share: each has the file of settings as its first argument, and sources this.
set -eu

# PostgreSQL refuses to run as root.
if [ "$(id -u)" = 0 ]; then
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- sh "$0" "$@"
fi

. "$1"

# The local server is asked through its socket, as the user that owns it.
export PGDATA="$DIR/data" PGHOST="$DIR" PGPORT PGDATABASE=postgres
export PGCONNECT_TIMEOUT=2 PGPASSFILE="$DIR/passfile" PGAPPNAME=pair HOME="$DIR"
PATH="$PGBIN:$PATH"

# Marks, which outlive a crash:
#   again    the server was stopped on purpose, and is to be started once more
#   rejoin   the other was active since this one was: its data is to become a copy of the other's
#   copying  it is being made one, and is of no use until that is done
#   behind   the other has rows that this one has not
mark() { touch "$DIR/$1"; }
marked() { [ -e "$DIR/$1" ]; }
unmark() { rm -f "$DIR/$1"; }

say() { echo "$(basename "$0"): $*"; }
fail() {
    say "$*" >&2
    exit 1
}

ask() { psql -XAtqc "$1"; }
ask_peer() { psql -XAtqc "$1" -h "$PEER" -U replicator; }
# A machine without power does not answer, and a check of health has a second.
peer_is_primary() { [ "$(timeout 0.7 psql -XAtqc 'select pg_is_in_recovery()' -h "$PEER" -U replicator 2>&1)" = f ]; }

# Shuts the server down and waits until it is gone. serve.sh may start it again at once, so pg_ctl, which
# looks for the file of the server's process, would wait for ever.
shut_down() {
    process=$(head -n 1 "$PGDATA/postmaster.pid" 2>/dev/null) || return 0
    kill -INT "$process" 2>/dev/null || return 0
    while kill -0 "$process" 2>/dev/null; do sleep 0.02; done
}
