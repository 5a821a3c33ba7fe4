#!/usr/bin/env bash
# build.sh PROGRAM ARCHIVE [NAME:TAG]: makes the image of a static program, as an OCI archive, and prints its digest.
#
# The same program, authorities, revision and buildah give the same digest on any day:
#   SOURCE_DATE_EPOCH  the time in the image, in seconds since 1970 (default: that of the last commit, or 0)
#   REVISION           the commit in its labels (default: the last one, or "unknown")
#   CA_BUNDLE          the authorities of public certificates, in PEM (default: see ca-bundle.sh)
#   STRIP              the program that takes symbols out (default: strip)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { echo "usage: build.sh PROGRAM ARCHIVE [NAME:TAG]" >&2; exit 2; }
program=$1 archive=$2 name=${3-localhost/flyte-secrets:latest}
git() { command git -C "$here" "$@" 2>/dev/null; }
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct || echo 0)}"
: "${REVISION:=$(git rev-parse HEAD || echo unknown)}"
: "${CA_BUNDLE:=$("$here/ca-bundle.sh")}"
: "${STRIP:=strip}"

# Another libc in the image would be a second thing to keep up to date; there is none.
if readelf -lW "$program" | grep -q INTERP; then
  echo "build.sh: $program is not static: build it with \`make image\`" >&2
  exit 1
fi
version=$("$program" --version)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
mkdir -p "$work/root/bin" "$work/root/etc/ssl/certs"
"$STRIP" --strip-all -o "$work/root/bin/flyte-secrets" "$program"
chmod 755 "$work/root/bin/flyte-secrets"
# What Flyte 1's manifests run; by this name the program behaves as Flyte 1 does.
ln -s flyte-secrets "$work/root/bin/flytepropeller"
install -m 644 "$CA_BUNDLE" "$work/root/etc/ssl/certs/ca-certificates.crt"
# Names are looked for as everywhere: in the pod's /etc/hosts, then by DNS. The libc in the program reads it.
echo "hosts: files dns" >"$work/root/etc/nsswitch.conf"
chmod 644 "$work/root/etc/nsswitch.conf"
cp "$here/Containerfile" "$work/"

buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
buildah bud --quiet --isolation chroot --format oci --layers=false --timestamp "$SOURCE_DATE_EPOCH" \
  --build-arg "VERSION=${version##* }" --build-arg "REVISION=$REVISION" \
  --tag "$name" "$work" >/dev/null
mkdir -p "$(dirname "$archive")"
rm -f "$archive"
buildah push --quiet --digestfile "$work/digest" "$name" "oci-archive:$archive:$name"
cat "$work/digest"
echo
