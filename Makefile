# Targets do their own set-up: a virtual environment with the locked versions first, then what each needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD_TOOLS := tools/hatch_build.py $(wildcard tools/extract_*.py tools/compile_*.py) $(wildcard src/podium/node/runtime/*.proto src/podium/telemetry/metrics/*/*.proto)

.PHONY: help venv system demo test test-go check chaos fuzz fuzz-openapi fuzz-metrics bench bench-metrics conformance format lock
help:
	@echo "make demo           a cluster with the example shop in it (CHECK=1: end it, and fail unless nothing is left)"
	@echo "make test           all tests (ARGS='-k name' for some)"
	@echo "make check          format, lint, types, architecture, lengths"
	@echo "make chaos          kill -9 of 20 processes of a cluster under load (KILLS=n, SEED=n to repeat), with processes, with containers"
	@echo "make fuzz           100,000 random requests against the API (SEED=s to repeat, REQUESTS=n)"
	@echo "make fuzz-openapi   requests that schemathesis makes from our OpenAPI documents (ARGS='apis/apps/v1 --examples 20')"
	@echo "make fuzz-metrics   mutated input for all that reads metrics, queries, configurations; every step of the store's disk (SEED=n, ROUNDS=n)"
	@echo "make conformance    docs/conformance.md: which certified behaviours our tests show"
	@echo "make bench          what operations cost, as JSON"
	@echo "make bench-metrics  the metrics server side by side with Debian's Prometheus, six minutes"

# Debian keeps venv in a package of its own: as root it is installed, otherwise venv itself says what to do.
$(VENV)/.ready: pyproject.toml requirements.lock $(BUILD_TOOLS)
	@$(PYTHON) -m venv $(VENV) || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -qq -y python3-venv \
	  && $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

venv: $(VENV)/.ready

system: $(VENV)/.ready
	@$(BIN)/python tools/setup_system.py $(if $(FOR_TESTS),--tests)

demo: system
	@$(BIN)/python examples/shop/demo.py $(if $(filter-out 0,$(CHECK)),--check)

test: FOR_TESTS := 1
test: system
	@PATH="$$PATH:$(CURDIR)/.tools" $(BIN)/python tools/run_tests.py $(ARGS)

# A Go operator's own suite on `podium envtest`: downloads and builds controller-runtime at first. Skipped where there is no Go.
test-go: $(VENV)/.ready
	@$(BIN)/python -m pytest -q -m golang tests/e2e/test_envtest.py

check: $(VENV)/.ready
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --quiet || { echo "not formatted: make format"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/python tools/check_layers.py
	@$(BIN)/python tools/check_lengths.py

conformance: $(VENV)/.ready
	@$(BIN)/python tools/conformance.py

format: $(VENV)/.ready
	@$(BIN)/ruff format --quiet
	@$(BIN)/ruff check --fix --quiet

chaos: system
	@for runtime in process $$(test "$$(id -u)" = 0 && command -v containerd >/dev/null && echo cri); do \
	  RUNTIME=$$runtime KILLS=$${KILLS:-20} $(BIN)/python -m pytest -q -s tests/e2e/test_processes_killed.py || exit 1; done

fuzz: $(VENV)/.ready
	@$(BIN)/python -m tests.api.fuzzing $(if $(SEED),--seed $(SEED)) --requests $${REQUESTS:-100000}

fuzz-openapi: $(VENV)/.ready
	@$(BIN)/python tools/try_openapi.py $(ARGS)

# A minute of mutated input, then some five minutes in which a store is killed, or out of space, at each step of the disk in turn (every EVERYth).
fuzz-metrics: $(VENV)/.ready
	@$(BIN)/python -m tests.telemetry.metrics.fuzz $(if $(SEED),--seed $(SEED)) --rounds $${ROUNDS:-10000}
	@for mode in kill torn full; do \
	  $(BIN)/python -m tests.telemetry.metrics.tsdb.disk_story $$mode --every $${EVERY:-1} || exit 1; done

bench: $(VENV)/.ready
	@for script in bench/*_bench.py; do $(BIN)/python $$script || exit 1; done

bench-metrics: $(VENV)/.ready
	@$(BIN)/python bench/metrics_peers.py $(ARGS)

# Needs uv (https://docs.astral.sh/uv/) on PATH.
lock:
	uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 --quiet --upgrade --output-file requirements.lock
