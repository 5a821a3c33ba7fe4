#!/usr/bin/env bash
# ca-bundle.sh: prints the path of a file with the authorities that Mozilla trusts, in PEM.
#
# They come from Debian's package, not from this machine's own bundle, which may trust a company's proxy too: what one machine
# trusts must not get into an image.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../tests/env.sh"
bundle=$FLYTE_SECRETS_CACHE/ca-bundle.crt
if [ ! -s "$bundle" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  apt-get -qq -o APT::Sandbox::User=root download ca-certificates 2>/dev/null || {
    apt-get -qq update >&2
    apt-get -qq -o APT::Sandbox::User=root download ca-certificates >&2
  }
  dpkg -x ca-certificates_*.deb root
  # In the order of their names, so that the same package gives the same file.
  find root/usr/share/ca-certificates/mozilla -name '*.crt' | LC_ALL=C sort | xargs -d '\n' cat >"$work/bundle"
  [ "$(grep -c 'BEGIN CERTIFICATE' "$work/bundle")" -gt 100 ] || { echo "$0: too few certificates" >&2; exit 1; }
  mkdir -p "$FLYTE_SECRETS_CACHE"
  mv "$work/bundle" "$bundle"
fi
echo "$bundle"
