#!/usr/bin/env bash
# Keeps a test bed up for as long as standard input is open, and takes it down
# when that closes: whoever holds the other end may end in any way.
# Prints "up KUBECONFIG" when the API server answers; a line "node" on standard input
# adds the node and is answered by "node". All else goes to standard error.
set -euo pipefail
. "$(dirname "$0")/env.sh"
mkdir -p "$KTB_CACHE"
# One at a time for each place of programs; the bed's servers don't get the lock.
exec 9>"$KTB_CACHE/lock"
flock -w 600 9 || die "another test bed has been up for ten minutes"
# What a run that was killed has left.
"$KTB_DIR/down.sh" 9>&- >&2
trap '"$KTB_DIR/down.sh" 9>&- >&2' EXIT
trap 'exit 130' INT TERM HUP
"$KTB_DIR/up.sh" 9>&- >&2
echo "up $KUBECONFIG"
while read -r line; do
  [ "$line" = node ] || die "unknown: $line"
  "$KTB_DIR/node.sh" 9>&- >&2
  echo node
done
