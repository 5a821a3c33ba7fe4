#!/usr/bin/env bash
# kubectl.sh ARGUMENTS...: kubectl as the cluster's admin.
set -euo pipefail
. "$(dirname "$0")/env.sh"
no_proxies
exec "$bin/kubebox" kubectl "$@"
