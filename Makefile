# The commands that people and .ci/run call.
#   make run       the webhook with example pods, no cluster needed
#   make test      everything: installs what the tests need, then lint, unit, image, benchmarks in short, end to end, in a cluster
#   make lint      formatting, clippy, licences and sources of dependencies
#   make unit      unit, vector, property, router and documentation tests; no cluster
#   make charts    the Helm chart and the kustomize overlays, without a cluster; `make charts-update` writes what is made of others
#   make e2e       against a real API server and a real kubelet
#   make cluster   the image in pods of a real node, as users install it
#   make image     the image, as an OCI archive, from the release build
#   make sbom      the list of everything in that image
#   make bench     the benchmarks in full
#   make figures   the figures of the last `make test` and `make bench`
#   make clean-bed takes a test bed down that was left behind
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := test
.ONESHELL:
.NOTPARALLEL:
.PHONY: run test install lint unit build charts charts-update e2e release image sbom cluster bench bench-short figures clean-bed

# One set of packages and features for every build, so that each thing is built once: all stores, traces, and the tests
# that run them for real.
BUILD := --workspace --locked --features flyte-secrets/all-stores,flyte-secrets/otel,flyte-secrets-stores/real-stores,flyte-secrets-sdk/real-databases
# The end-to-end tests are behind this feature: they need the test bed.
BED := --features flyte-secrets-e2e/bed
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
LOGS := $(TARGET)/logs
# One release build, for the image and the benchmarks: static, so that the image needs no libc. With a target given, the flags do
# not reach the programs of the build itself, which cannot be static.
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
RELEASE := $(TARGET)/$(HOST)/release
IMAGE := $(TARGET)/image
# What a stage prints is kept for `make figures`.
LOG = { mkdir -p $(LOGS); tee $(LOGS)/$@.log; }

run:
	cargo run -- dev

test: install lint unit charts image sbom bench-short e2e cluster

install:
	tests/install.sh

lint:
	tests/install.sh lint
	source tests/env.sh
	cargo fmt --all --check
	cargo clippy $(BUILD) $(BED) --all-targets -- -D warnings
	"$$deny" --workspace check licenses bans sources

unit:
	source tests/env.sh
	export FLYTE_SECRETS_STORES_VENV=$$stores_venv
	cargo test $(BUILD) 2>&1 | $(LOG)

build:
	cargo build $(BUILD) --bins --examples

charts charts-update: build
	source tests/env.sh
	export HELM=$$helm KUBECTL="$$KTB_CACHE/bin/kubebox kubectl" FLYTE_SECRETS_BIN=$(TARGET)/debug/flyte-secrets PYTHONDONTWRITEBYTECODE=1
	$(if $(findstring update,$@),"$$charts_venv/bin/python" tests/charts/generate.py && export UPDATE_GOLDEN=1)
	"$$charts_venv/bin/python" tests/charts/check.py $(TEST)

e2e: build
	source tests/env.sh
	export FLYTE_SECRETS_BIN=$(TARGET)/debug/flyte-secrets FLYTE_SECRETS_VENV=$$venv FLYTE_SECRETS_STORES_VENV=$$stores_venv
	export FLYTE_SECRETS_FLYTE2_VENV=$$flyte2_venv
	export FLYTE_SECRETS_HELM=$$helm FLYTE_SECRETS_CRDS=$$crds
	export FLYTE_SECRETS_PROMETHEUS=$$prometheus
	cargo test $(BUILD) $(BED) --test e2e -- --show-output $(TEST) 2>&1 | $(LOG)

# cargo-auditable writes the list of crates into the program; the SBOM is read from there.
release:
	tests/install.sh auditable
	source tests/env.sh
	export PATH="$${auditable%/*}:$$PATH" RUSTFLAGS="$${RUSTFLAGS-} -C target-feature=+crt-static"
	cargo auditable build --release --locked --target $(HOST) -p flyte-secrets -p flyte-secrets-benches \
	  --features flyte-secrets/all-stores,flyte-secrets/otel

image: release
	deploy/image/build.sh $(RELEASE)/flyte-secrets $(IMAGE)/flyte-secrets.tar localhost/flyte-secrets:test

sbom: image
	deploy/image/sbom.sh $(IMAGE)/flyte-secrets.tar $(IMAGE)/sbom.cdx.json

# Everything in pods of a real node. One test at a time: some of them disturb the whole cluster.
cluster: sbom
	source tests/env.sh
	export FLYTE_SECRETS_IMAGE=$(IMAGE) FLYTE_SECRETS_RELEASE=$(RELEASE)/flyte-secrets FLYTE_SECRETS_HELM=$$helm
	export FLYTE_SECRETS_VENV=$$venv
	cargo test $(BUILD) $(BED) --test cluster -- --show-output --test-threads=1 $(TEST) 2>&1 | $(LOG)

# The server and the load come from the release build; what is measured is the program that ships.
bench bench-short: release
	$(RELEASE)/admissions $(if $(findstring short,$@),--short) 2>&1 | $(LOG)

figures:
	@tests/figures.sh $(LOGS)

clean-bed:
	source tests/env.sh
	tests/testbed/down.sh
