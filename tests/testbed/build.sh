#!/usr/bin/env bash
# Builds kubebox from the Go modules that kubebox/go.sum pins, and unpacks
# (without installing) the Debian packages that a node needs. Does nothing
# where the result is there already. Everything goes to $KTB_CACHE.
# KTB_TRIM=1: drop the Go caches after a build and keep only the programs.
set -euo pipefail
. "$(dirname "$0")/env.sh"
mkdir -p "$bin" "$KTB_CACHE/deb"

export GOPATH=$KTB_CACHE/go GOMODCACHE=$KTB_CACHE/go/mod GOCACHE=$KTB_CACHE/go-build
export GOFLAGS="-modcacherw -buildvcs=false -trimpath" GOWORK=off GOTOOLCHAIN=local CGO_ENABLED=0
cd "$KTB_DIR/kubebox"
wanted=$(awk '$1 == "go" { print $2 }' go.mod)
command -v go >/dev/null || die "Go $wanted or newer is needed to build the test bed: https://go.dev/dl"
have=$(go env GOVERSION) have=${have#go}
[ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ] || die "Go $wanted or newer is needed, this is $have"
grep -q "k8s.io/kubernetes $KTB_KUBERNETES$" go.mod || die "go.mod does not require $KTB_KUBERNETES"
stamp=$(cat go.mod go.sum ./*.go relay/*.go | sha256sum; go env GOVERSION; echo "$KTB_KUBERNETES")
if [ ! -x "$bin/kubebox" ] || [ "$(cat "$bin/kubebox.stamp" 2>/dev/null)" != "$stamp" ]; then
  minor=${KTB_KUBERNETES#v1.} minor=${minor%%.*}
  v=k8s.io/component-base/version
  flags="-s -w"
  for p in $v k8s.io/client-go/pkg/version; do
    flags="$flags -X $p.gitVersion=$KTB_KUBERNETES -X $p.gitMajor=1 -X $p.gitMinor=$minor -X $p.gitTreeState=clean"
  done
  begin=$SECONDS
  go mod download
  echo "modules: $((SECONDS - begin)) s"
  begin=$SECONDS
  go build -mod=readonly -ldflags="-s -w" -o "$bin/relay" ./relay
  go build -mod=readonly -ldflags="$flags" -o "$bin/kubebox.new" .
  mv "$bin/kubebox.new" "$bin/kubebox"
  echo "$stamp" >"$bin/kubebox.stamp"
  echo "kubebox: $((SECONDS - begin)) s"
  [ -z "${KTB_TRIM-}" ] || rm -rf "$KTB_CACHE/go" "$KTB_CACHE/go-build"
fi

packages="containerd runc containernetworking-plugins busybox-static"
if [ "$(cat "$KTB_CACHE/deb/stamp" 2>/dev/null)" != "$packages" ]; then
  cd "$KTB_CACHE/deb"
  rm -rf root ./*.deb
  apt-get -qq -o APT::Sandbox::User=root download $packages 2>/dev/null || {
    apt-get -qq update
    apt-get -qq -o APT::Sandbox::User=root download $packages
  }
  for f in ./*.deb; do dpkg -x "$f" root; done
  rm -f ./*.deb
  echo "$packages" >stamp
fi
"$bin/kubebox" kube-apiserver --version
