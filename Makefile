# One recipe for each thing one does here. Hook, CI and human call the same ones.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

UV := scripts/uv
RUN := $(UV) run --no-sync
BUF := node_modules/.bin/buf
# The generator runs in an environment of its own: its protobuf must not become ours.
GEN := $(UV) run --quiet --no-project --isolated --python 3.11 --with grpcio-tools==1.71.2 python scripts/gen_proto.py
STAMP := .venv/.synced
BUF_STAMP := node_modules/.synced
IMAGE := proto/agentgateway.binpb
PROTOS = $(shell find proto/agentgateway -name '*.proto' 2>/dev/null)
# Passed on to pytest: make test ARGS='-k cancel -x'
ARGS ?=
# Test files run side by side in this many processes; 0 is one after the other, in this one (for pdb).
WORKERS ?= 2

# A process starts in two seconds with bytecode and in six without, and tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 18

.PHONY: setup
setup: $(STAMP) $(BUF_STAMP) ## Install everything the other targets need; does nothing when nothing changed

$(STAMP): uv.lock pyproject.toml
	$(UV) sync --frozen --all-extras
	@touch $@

# `npm install`, as `npm ci` insists on lock entries for buf's binaries of every platform.
$(BUF_STAMP): package.json package-lock.json
	@if command -v npm >/dev/null; then \
		npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@; \
	else \
		echo "setup: no npm here, so no buf: \`make check\` cannot check proto/" >&2; \
	fi

.PHONY: run
run: $(STAMP) ## Serve on 127.0.0.1:8080 (REST) and :50051 (gRPC)
	$(RUN) agent-gateway serve

.PHONY: test
test: $(STAMP) ## Every test that needs no extra server; what cannot run here is named at the end
	$(RUN) pytest -m "not slow and not bench" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-slow
test-slow: $(STAMP) ## The tests that take minutes
	$(RUN) pytest -m slow --timeout 900 $(ARGS)

.PHONY: check
check: setup format-check lint types imports house proto-check gen-check openapi-check docs-check ## Every gate but the tests

.PHONY: format
format: setup ## Rewrite the sources in the house's format
	$(RUN) ruff format
	$(RUN) ruff check --fix --exit-zero --quiet
	@if [[ -x $(BUF) && -n "$(PROTOS)" ]]; then $(BUF) format --write; fi

.PHONY: format-check
format-check: $(STAMP)
	$(RUN) ruff format --check

.PHONY: lint
lint: $(STAMP)
	$(RUN) ruff check

.PHONY: types
types: $(STAMP)
	$(RUN) pyright --warnings

.PHONY: imports
imports: $(STAMP)
	$(RUN) lint-imports

.PHONY: house
house: $(STAMP)
	$(RUN) pytest -q tests/unit/test_house.py

.PHONY: proto-check
proto-check: $(BUF_STAMP)
	@if [[ -z "$(PROTOS)" ]]; then echo "proto-check: nothing in proto/agentgateway yet"; \
	elif [[ -x $(BUF) ]]; then \
		$(BUF) lint && $(BUF) format --diff --exit-code && \
		if [[ -f $(IMAGE) ]]; then $(BUF) breaking --against $(IMAGE); \
		else echo "proto-check: no $(IMAGE), so nothing to break yet"; fi; \
	elif [[ "$${CI:-}" == true ]]; then echo "proto-check: buf is missing and CI=true" >&2; exit 1; \
	else echo "proto-check: SKIPPED, buf is missing (install npm, then make setup)" >&2; fi

.PHONY: proto-image
proto-image: setup ## Make today's contract the one that `buf breaking` compares with (at a release)
	$(BUF) build -o $(IMAGE)

.PHONY: gen
gen: $(STAMP) ## Generate grpc_service/gen from proto/
	$(GEN)

.PHONY: gen-check
gen-check: $(STAMP)
	$(GEN) --check

.PHONY: openapi
openapi: $(STAMP) ## Export openapi/openapi.json
	$(RUN) python -m scripts.export_openapi

.PHONY: openapi-check
openapi-check: $(STAMP)
	$(RUN) python -m scripts.export_openapi --check

.PHONY: docs
docs: $(STAMP) ## Write what docs/ repeats of the code: the settings, the reasons of errors
	$(RUN) python -m scripts.export_docs

.PHONY: docs-check
docs-check: $(STAMP)
	$(RUN) python -m scripts.export_docs --check

.PHONY: bench
bench: $(STAMP) ## Measure against bare baselines of the same stack
	$(RUN) python -m tests.bench $(ARGS)

.PHONY: image
image: ## Build the container image
	docker build -t agent-gateway .

.PHONY: clean
clean: ## Remove everything that can be made again
	rm -rf .venv .tools node_modules dist build bench-results .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
