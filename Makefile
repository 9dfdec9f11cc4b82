# `make help` lists the targets. Every target sets .venv up first and keeps it until pyproject.toml changes.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PYTEST_WORKERS ?= 2
JOBS ?= 2
ARGS ?=
BIN := .venv/bin
STAMP := .venv/.stamp-$(shell sha256sum pyproject.toml | cut -c1-16)
# pip takes torch and triton: it knows the machine's own builds (a CPU wheel, say), which uv may not see
PINNED := $(shell grep -oE '(torch|triton)==[0-9.]+' pyproject.toml)

.PHONY: help setup demo test lint gallery gallery-check bench bench-cpu bench-plans bench-tuned fit fit-cpu sweeps fuzz fuzz-cpu fuzz-san mutants versions test-gpu bench-gpu docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(STAMP) ## make .venv with everything that the other targets need
	@:

$(STAMP):
	@echo "setting up .venv (once per change of pyproject.toml)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "attngen needs Python 3.11 or newer: make setup PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check $(PINNED)
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python -e '.[dev]'; \
	else $(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'; fi
	@rm -f .venv/.stamp-*
	@touch $@

demo: setup ## three real models: explain, emit, check, draw, tune one (build/demo/)
	@$(BIN)/python examples/demo.py

test: lint gallery-check ## everything CI runs
	@$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) --dist worksteal tests

lint: setup ## ruff and mypy --strict
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary

gallery: setup ## write generated/ anew
	@$(BIN)/attngen generate --all

gallery-check: setup
	@$(BIN)/attngen generate --all --check

bench: setup ## time of each stage from spec to source
	@$(BIN)/python -m tests.project.bench

bench-cpu: setup ## native kernels beside SDPA, eager and FlexAttention; writes docs/benchmarks.md (BENCH="--rounds 3")
	@$(BIN)/python -m benchmarks.cpu --write $(BENCH)

bench-plans: setup ## untuned CPU plans beside the best of a recorded sweep; writes docs/plans.md (BENCH="--rounds 3")
	@$(BIN)/python -m benchmarks.plans --write $(BENCH)

bench-tuned: setup ## quick tunes of ten examples, both plans timed anew; writes docs/tuning.md (BENCH="--rounds 3")
	@$(BIN)/python -m benchmarks.tuned --write $(BENCH)

fit-cpu: setup ## the constants of CPU plans anew from tests/planner/cpu_sweep.csv
	@$(BIN)/python -m tests.planner.cpu_fit

fit: setup ## the cost model's constants anew from published timings, with the table of devices left out
	@$(BIN)/python -m tests.planner.published.main

sweeps: setup ## plans made without a compiler beside the best of compiled sweeps, and tiles of others; writes docs/cost-model.md
	@$(BIN)/python -m tests.planner.sweeps.compare

fuzz: setup ## random cases of the whole language for an hour (FUZZ_MINUTES=60 FUZZ_SEED=1)
	@$(BIN)/attngen fuzz --minutes $${FUZZ_MINUTES:-60} --seed $${FUZZ_SEED:-1} --jobs $(JOBS) --resume

fuzz-cpu: setup ## the same cases of native kernels, larger and far more of them (FUZZ_MINUTES, FUZZ_SEED)
	@$(BIN)/attngen fuzz --backend cpu --only kernels --minutes $${FUZZ_MINUTES:-60} --seed $${FUZZ_SEED:-1} --jobs $(JOBS) --resume

fuzz-san: setup ## native kernels under AddressSanitizer and UndefinedBehaviorSanitizer (FUZZ_CASES=2000)
	@$(BIN)/attngen fuzz --backend cpu --sanitize --only kernels --cases $${FUZZ_CASES:-2000} --seed $${FUZZ_SEED:-1} --jobs $(JOBS)

mutants: setup ## deliberate faults in copies of the code: does some test notice each?
	@$(BIN)/python -m tests.mutants.run

versions: setup ## the core of the tests and builds on Triton 3.6 to 3.9, an environment each (ARGS="3.8.0 3.9.0")
	@$(BIN)/python -m tests.versions.run --jobs $(JOBS) $(ARGS)

test-gpu: setup ## kernels on the GPU of this machine against the oracle (ARGS=--dry-run: all but the launches)
	@ATTNGEN_TEST_ON=gpu $(BIN)/python -m pytest -q tests/gpu/test_oracle.py $(ARGS)

bench-gpu: setup ## beside SDPA, FlexAttention and FlashAttention on that GPU (ARGS=--dry-run: all but the launches)
	@$(BIN)/python -m tests.gpu.bench $(ARGS)

docs: setup ## re-make what is generated in README.md and docs/
	@$(BIN)/python docs/make_errors.py
	@$(BIN)/python docs/make_readme.py
	@$(BIN)/attngen show examples/mistral_7b.toml --q-tile 128 --kv-tile 128 -o docs/images/mistral_tiles.png

clean: ## remove .venv and everything that was built
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
