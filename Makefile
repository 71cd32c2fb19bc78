# ei-deepstream: what a person types. `make` alone lists the targets.
#
#   make setup                         .venv with the command: .venv/bin/ei-deepstream
#   make demo                          convert the samples into demo/, to look at
#   make convert EXPORT=x.zip OUT=dir  one conversion (OPTIONS="--target 6.2 ...")
#   make check CONFIG=dir              pre-deployment check of configs or bundles
#   make test                          everything CI runs
#   make quick                         the tests that take seconds
#   make bench                         speed and memory, beside the guide's recipe
#   make bench-gpu MODELS=x.onnx       images/s of engines on a GPU (TensorRT-RTX)

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= bundle
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev clients demo convert check test quick lint bench bench-gpu clean

help:
	@sed -n 's/^#   //p' Makefile

# A stamp is touched last, so that an interrupted installation is done again.
$(VENV)/.setup: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; say which: make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv"; exit 1; }
	$(PIP) --editable .
	@touch $@

$(VENV)/.setup-dev: $(VENV)/.setup
	$(PIP) --editable '.[dev,tensorflow,tensorrt,distributed,video]'
	@touch $@

setup: $(VENV)/.setup
setup-dev: $(VENV)/.setup-dev

demo: setup
	@PATH="$(abspath $(BIN)):$$PATH" sh samples/demo.sh demo

convert: setup
	@test -n "$(EXPORT)" || { echo "say which: make convert EXPORT=my-project.zip OUT=bundle"; exit 2; }
	$(BIN)/ei-deepstream convert "$(EXPORT)" -o "$(OUT)" $(OPTIONS)

check: setup
	$(BIN)/ei-deepstream check $(or $(CONFIG),demo) $(OPTIONS)

# Edge Impulse's official clients, for the tests of `eim`; those tests are skipped without them. PyAudio, which the
# Python one wants, needs a C compiler and portaudio's headers (Debian: portaudio19-dev).
clients: setup-dev
	$(PIP) -r tests/eim/requirements.txt
	npm install --prefix tests/eim/node --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error

lint: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Two processes: the machines this runs on have two cores.
PYTEST := $(BIN)/python -m pytest -n 3 --dist worksteal

test: lint
	$(PYTEST)

quick: setup-dev
	$(PYTEST) -m "not slow"

bench: setup-dev
	$(BIN)/python -m tests.benchmarks

bench-gpu: setup-dev
	$(BIN)/python tests/benchmarks/bench_gpu.py $(MODELS)

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
