#!/usr/bin/env bash
# Ends the API server of a bed that is up (TERM, as an upgrade does) and starts it again; prints how long it was away.
# etcd and everything else go on.
set -euo pipefail
. "$(dirname "$0")/env.sh"
alive kube-apiserver || die "run up.sh first"
no_proxies
umask 077
begin=$(date +%s.%N)
stop kube-apiserver
start_apiserver
echo "away for $(awk "BEGIN{print $(date +%s.%N)-$begin}") s"
