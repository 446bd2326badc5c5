# Buildbell. `make` lists the targets; everything installs itself into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := bot commands playground tests bench docs

.PHONY: help setup demo test check format lint types layers dead docs pictures lock wheel image bench audit torture clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-9s %s\n", $$1, $$2}'

setup: $(VENV)/.ready playground/page/dist/index.html ## install everything into .venv and build the page

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Buildbell needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

PAGE := $(wildcard playground/page/src/*) playground/page/package-lock.json playground/page/package.json playground/page/index.html playground/page/build.py
playground/page/dist/index.html: $(VENV)/.ready $(PAGE)
	$(BIN)/python playground/page/build.py
	touch $@

demo: setup ## play: a local Slack in the browser, local CI systems, the bot
	$(BIN)/buildbell demo

test: setup ## run the tests (PostgreSQL and Chromium tests run where those are installed)
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -q -n auto --dist worksteal # bytecode is kept: each worker imports the whole suite

check: setup format lint types layers dead test ## what CI runs: format, lint, types, layers, dead code, tests

format: $(VENV)/.ready
	$(BIN)/ruff format --check --quiet $(SOURCES)

lint: $(VENV)/.ready
	$(BIN)/ruff check --quiet $(SOURCES)

types: $(VENV)/.ready
	$(BIN)/mypy --no-error-summary bot commands playground tests bench

layers: $(VENV)/.ready
	$(BIN)/lint-imports

dead: $(VENV)/.ready
	$(BIN)/vulture

docs: setup ## write the pages that are made from the code
	$(BIN)/python docs/build.py

pictures: setup ## take the pictures of the README in Chromium, light and dark
	PYTHONPATH=. $(BIN)/python docs/pictures.py

wheel: setup ## build dist/*.whl, the page included
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

image: ## build the container image
	docker build --tag buildbell:$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) .

LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header
lock: $(VENV)/.ready ## write the lock files again after a change of pyproject.toml
	$(LOCK) --group dev pyproject.toml -o requirements.lock
	$(LOCK) -c requirements.lock --extra mcp --extra postgres pyproject.toml -o deploy/runtime.lock
	$(LOCK) -c requirements.lock --group build -o deploy/build.lock

bench: setup ## measure speed and size against floors of the same run
	$(BIN)/python -m bench
	$(BIN)/python -m bench.store

audit: $(VENV)/.ready ## look for known weaknesses of the locked packages (needs the network, else it is skipped)
	$(BIN)/python .ci/audit

TORTURE ?=
torture: setup ## kill the bot a hundred times among failing systems and count what was lost or done twice
	$(BIN)/python -m tests.torture $(TORTURE)

clean: ## remove what setup made
	rm -rf $(VENV) playground/page/dist playground/page/node_modules .mypy_cache .ruff_cache .pytest_cache
