#!/usr/bin/env bash
# Makes the Python with the servers that the tests of stores ask (moto for AWS,
# drongo for GCP) and prints its folder: one for each content of
# stores-requirements.txt, kept in the cache.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
if [ ! -e "$stores_venv/complete" ]; then
  begin=$SECONDS
  rm -rf "$stores_venv"
  python3 -m venv "$stores_venv"
  "$stores_venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$stores_requirements" >&2
  touch "$stores_venv/complete"
  echo "servers of stores: $((SECONDS - begin)) s" >&2
fi
echo "$stores_venv"
