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
#   rejoin   this node is passive, and its server is a primary still
#   behind   the other has rows that this one has not
#   copy     this node's data are to become a copy of the other's
#   copying  they are in the midst of that, and of no use until it is done
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

# The data tell themselves how new they are: by the epoch of the activation that wrote them. Older data give way to
# newer ones, and never the other way round.
own_epoch() { ask 'select epoch from pair_epoch'; }
# Whether the other's server is a standby, and the epoch of its data, as in "f|3"; nothing if it does not answer. A
# machine without power does not, and a check of health has two seconds.
look_at_peer() {
    timeout 0.7 psql -XAtqc 'select pg_is_in_recovery(), epoch from pair_epoch' -h "$PEER" -U replicator \
        2>/dev/null || true
}
is_primary() { [ "${1%|*}" = f ]; }
# Whether what look_at_peer saw is newer than this node's data.
is_newer() { [ -n "$1" ] && own=$(own_epoch 2>/dev/null) && [ "${1#*|}" -gt "$own" ]; }

# Shuts the server down and waits until it is gone. serve.sh may start it again at once, so pg_ctl, which
# looks for the file of the server's process, would wait for ever.
shut_down() {
    process=$(head -n 1 "$PGDATA/postmaster.pid" 2>/dev/null) || return 0
    kill -INT "$process" 2>/dev/null || return 0
    while kill -0 "$process" 2>/dev/null; do sleep 0.02; done
}
