# `make demo` and `make test` create the environment in .venv first.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCRIPTS := scripts/distillery $(wildcard scripts/*.sh scripts/*/*.sh) download_requirements.sh rundocker.sh .ci/run

.PHONY: help install install-dev demo demo-seeds bench bench-cold bench-growth bench-inference size scripts \
  test test-docker test-gpu test-kill test-fuzz lint clean

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 25

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "venv is missing: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# --no-compile: Python compiles a module when it is first imported, and most never are.
PIP := -m pip install --quiet --no-compile --disable-pip-version-check

$(VENV)/.installed-train: requirements.txt pyproject.toml $(VENV)/.made
	$(BIN)/python $(PIP) --constraint requirements.txt --editable '.[train]'
	@touch $@

$(VENV)/.installed: $(VENV)/.installed-train
	$(BIN)/python $(PIP) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python $(PIP) -r requirements-dev.txt
	@touch $@

install: $(VENV)/.installed ## creates the environment in .venv

install-dev: $(VENV)/.installed-dev ## creates it with the tools for tests and lint

demo: $(VENV)/.installed-train ## the whole pipeline on generated reviews: distilled and compressed students, table and plot
	scripts/run_all.sh demo

demo-seeds: $(VENV)/.installed-train ## the demo with 3 seeds; writes docs/demo.md and docs/demo.png
	scripts/run_all.sh demo --seeds 3
	mkdir -p docs
	cp results/local/demo.png docs/demo.png
	sed -n '/^## demo/,/^## /{ /^## [^d]/!p }' results/local/README.md > docs/demo.md

bench: install ## training beside the usual ways to write it (half an hour): benchmarks/training.md
	$(BIN)/python -m benchmarks.training $(ARGS)

bench-growth: install ## time and memory of recording and distilling as rows grow: benchmarks/growth.md
	$(BIN)/python -m benchmarks.growth $(ARGS)

bench-cold: install ## CPU time and memory of a process that labels two texts (2 minutes): benchmarks/cold.md
	$(BIN)/python -m benchmarks.cold $(ARGS)

bench-inference: install ## all IMDB models beside bert-base (25 minutes): benchmarks/inference.md
	scripts/distillery bench inference --task imdb $(ARGS)

REV ?= b2d7de9
size: $(VENV)/.installed-train ## lines, files and the path to the optimizer step, beside revision REV (b2d7de9)
	$(BIN)/python -m benchmarks.size $(REV) $(ARGS)

scripts: install ## writes the script of every experiment; run it after adding a task or a student
	scripts/distillery scripts

JOBS ?= 2
test: install-dev ## the whole suite in JOBS (2) processes, a few minutes
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --durations 20 $(ARGS)

test-docker: install-dev ## builds and runs the image; needs a Docker daemon
	$(BIN)/python -m pytest -m docker -s tests/docker $(ARGS)

test-gpu: install-dev ## compares a CUDA GPU with the CPU; needs one
	$(BIN)/python -m pytest -m gpu tests/gpu $(ARGS)

RUNS ?= 30
SEED ?= 0
test-kill: install-dev ## kills the stages of smoke RUNS (30) times at random moments and compares the results
	$(BIN)/python -m tests.faults.kill --runs $(RUNS) --seed $(SEED) $(ARGS)

test-fuzz: install-dev ## 10,000 damaged files for every reader of outside files
	$(BIN)/python -m pytest tests/faults/test_fuzz_*.py --hypothesis-profile fuzz $(ARGS)

lint: install-dev ## ruff, mypy, import-linter, shellcheck, shfmt, hadolint
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports
	@$(BIN)/shellcheck $(SCRIPTS)
	@$(BIN)/shfmt -i 2 -ci -d $(SCRIPTS)
	@if [ -f docker/Dockerfile ]; then $(BIN)/hadolint docker/Dockerfile; fi

clean: ## removes the environment, not the data
	rm -rf $(VENV)
