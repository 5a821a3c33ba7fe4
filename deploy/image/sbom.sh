#!/usr/bin/env bash
# sbom.sh ARCHIVE OUT: writes the list of everything in an image (an OCI archive), in CycloneDX' JSON.
#
# The crates are those that the build has written into the program (cargo-auditable): all that are in it, and a few that an unused
# feature of another crate names. Scanners such as trivy, grype and osv-scanner read the same from the image.
#   SYFT  the program syft (default: the tests' own, see tests/install.sh)
set -euo pipefail
[ $# = 2 ] || { echo "usage: sbom.sh ARCHIVE OUT" >&2; exit 2; }
. "$(dirname "$0")/../../tests/env.sh"
: "${SYFT:=$syft}"
SYFT_CHECK_FOR_APP_UPDATE=false "$SYFT" scan --quiet "oci-archive:$1" --source-name flyte-secrets --output "cyclonedx-json=$2"
