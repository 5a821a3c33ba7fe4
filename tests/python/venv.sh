#!/usr/bin/env bash
# Makes the Python that the tests run Flyte's own SDK with and prints its
# folder: one for each content of requirements.txt, kept in the cache.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
if [ ! -e "$venv/complete" ]; then
  begin=$SECONDS
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$requirements" >&2
  touch "$venv/complete"
  echo "flytekit: $((SECONDS - begin)) s" >&2
fi
echo "$venv"
