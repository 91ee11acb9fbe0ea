# The verbs of the README. Everything runs from .venv, which `setup` makes from the locks.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: setup demo test lint bench compiled serve lock clean
# What tests, lint and measurements need on top of what the program needs.
setup: .venv/.dev

.venv/.dev: requirements/dev.txt .venv/.run
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

.venv/.run: requirements/run.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv/.run
	$(BIN)/concordat demo

# Two at a time, a file of tests in one process: much of it waits for other processes. In
# the order of the folders, so that no long file is left for the end, to run by itself.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: compiled
	$(BIN)/concordat bench

# Optional, and used by everything once it is there: without a C compiler it says so.
compiled: setup
	$(BIN)/python deploy/compile.py

# A scheme of its own in ./scheme, made at the first start; see docs/operating/running.md.
serve: .venv/.run
	@test -f scheme/concordat.toml || $(BIN)/concordat init scheme
	$(BIN)/concordat run --dir scheme

# Hashes, no addresses: the locks name no registry. Needs uv on the path.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group build --output-file requirements/run.txt pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group dev --output-file requirements/dev.txt pyproject.toml

clean:
	rm -rf .venv .cache demo-data
