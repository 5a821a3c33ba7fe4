# The commands that people and .ci/run call.
#   make run       the webhook with example pods, no cluster needed
#   make test      everything: installs what the tests need, then lint, unit, benchmarks in short, end to end
#   make lint      formatting, clippy, licences and sources of dependencies
#   make unit      unit, vector, property, router and documentation tests; no cluster
#   make e2e       against a real API server and a real kubelet
#   make bench     the benchmarks in full
#   make figures   the figures of the last `make test` and `make bench`
#   make clean-bed takes a test bed down that was left behind
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := test
.ONESHELL:
.NOTPARALLEL:
.PHONY: run test install lint unit build e2e bench bench-short figures clean-bed

# One set of packages and features for every build, so that each thing is built once: all stores, traces, and the tests
# that run them for real.
BUILD := --workspace --locked --features flyte-secrets/all-stores,flyte-secrets/otel,flyte-secrets-stores/real-stores
# The end-to-end tests are behind this feature: they need the test bed.
BED := --features flyte-secrets-e2e/bed
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
LOGS := $(TARGET)/logs
# What a stage prints is kept for `make figures`.
LOG = { mkdir -p $(LOGS); tee $(LOGS)/$@.log; }

run:
	cargo run -- dev

test: install lint unit bench-short e2e

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

e2e: build
	source tests/env.sh
	export FLYTE_SECRETS_BIN=$(TARGET)/debug/flyte-secrets FLYTE_SECRETS_VENV=$$venv FLYTE_SECRETS_STORES_VENV=$$stores_venv
	export FLYTE_SECRETS_PROMETHEUS=$$prometheus
	cargo test $(BUILD) $(BED) --test e2e -- --show-output $(TEST) 2>&1 | $(LOG)

# The server and the load come from one release build; what is measured is the program that ships.
bench bench-short:
	cargo build --release --locked -p flyte-secrets -p flyte-secrets-benches
	$(TARGET)/release/admissions $(if $(findstring short,$@),--short) 2>&1 | $(LOG)

figures:
	@tests/figures.sh $(LOGS)

clean-bed:
	source tests/env.sh
	tests/testbed/down.sh
