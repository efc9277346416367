#!/bin/sh
# Writes who may connect. Clients come through the pair, and so from this machine itself.
. "$(dirname "$0")/pair.sh"

cat >"$DIR/pg_hba.conf" <<END
local all         all                      peer
host  all         all         samehost     scram-sha-256
host  replication replicator  samehost     scram-sha-256
host  replication replicator  $PEER/32     scram-sha-256
host  postgres    replicator  $PEER/32     scram-sha-256
END
