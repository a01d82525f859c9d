# Everything a person does with this repository. `make` alone prints what there is.

TARGET := $(abspath target)
TOOLS  := integration/tools
export MAINSHEET_ENVOY  := $(TARGET)/envoy/envoy
export MAINSHEET_PYTHON := $(TARGET)/python/bin/python
export MAINSHEET_KUBE   := $(TARGET)/kube
# Here nothing is skipped: a test whose outside program is absent fails.
export MAINSHEET_REQUIRE_ENVOY := 1
# Nodes are made by root only, with cgroups of version 1: elsewhere tests with whole clusters are skipped by name, but never where CI is set.
export MAINSHEET_REQUIRE_CLUSTER := $(if $(or $(CI),$(and $(filter 0,$(shell id -u)),$(wildcard /sys/fs/cgroup/memory))),1)
# Of `make cluster`; 0 is the API server alone, which needs no root.
NODES := 2

.PHONY: help demo test soak bench cluster cluster-shell cluster-down golden envoy python kube packages tools
.DEFAULT_GOAL := help

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: envoy ## Bookinfo on six real Envoys; ARGS=--tour walks the scenarios
	@cargo build --workspace --bins
	@$(TARGET)/debug/demo $(ARGS)

test: envoy python packages ## every check and every test, with real Envoys and a real Kubernetes
	@python3 $(TOOLS)/test.py $(TARGET)

soak: envoy ## steady load during edits and restarts, for long; ARGS are passed on
	@cargo build --workspace --bins
	@$(TARGET)/debug/soak $(ARGS)

bench: tools ## the push path against the raw floor (release build); ARGS are passed on
	@cargo build --release --workspace --bins
	@$(TARGET)/release/bench $(ARGS)

cluster: kube packages ## a real Kubernetes in the background, without Docker; NODES=0 is its API server alone
	@cargo build --workspace --bins
	@$(TARGET)/debug/cluster --state $(TARGET)/cluster up --nodes $(NODES)

cluster-shell: ## a shell in the network of the nodes of make cluster, where pods can be reached
	@$(TARGET)/debug/cluster --state $(TARGET)/cluster shell

cluster-down: ## end what make cluster started, and leave nothing
	@test ! -x $(TARGET)/debug/cluster || $(TARGET)/debug/cluster --state $(TARGET)/cluster down

golden: kube ## rewrite the golden files and manifests/install.yaml from what the code and the chart give; review the diff
	@UPDATE_GOLDEN=1 cargo test --workspace golden

envoy: tools ## fetch the real Envoy into target/envoy/
	@python3 $(TOOLS)/fetch.py envoy $(TARGET)

python: tools ## fetch a Python with a gRPC client into target/python/
	@python3 $(TOOLS)/fetch.py python $(TARGET)

kube: tools ## build the real Kubernetes and Helm into target/kube/ (minutes the first time)
	@python3 $(TOOLS)/kube.py $(TARGET)

# Root installs what Debian has of the nodes; anybody else is told how.
packages:
	@python3 $(TOOLS)/packages.py

# Each thing that is missing is named with the command that installs it.
tools:
	@command -v cargo >/dev/null || { echo "missing: cargo (Rust); install it: curl --proto '=https' -sSf https://sh.rustup.rs | sh" >&2; exit 1; }
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || \
	  { echo "missing: rustfmt or clippy; install them: rustup component add rustfmt clippy" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "missing: a C compiler; install it: sudo apt-get install build-essential" >&2; exit 1; }
	@command -v python3 >/dev/null || { echo "missing: python3; install it: sudo apt-get install python3 python3-venv python3-pip" >&2; exit 1; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "missing: Python's venv; install it: sudo apt-get install python3-venv python3-pip" >&2; exit 1; }
