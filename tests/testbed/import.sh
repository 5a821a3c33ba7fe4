#!/usr/bin/env bash
# import.sh ARCHIVE: gives the images of an OCI archive to the node. Pods: imagePullPolicy: Never.
set -euo pipefail
. "$(dirname "$0")/env.sh"
[ $# = 1 ] || die "usage: import.sh ARCHIVE"
"$deb/usr/bin/ctr" -a "$KTB_STATE/containerd.sock" -n k8s.io images import "$1"
