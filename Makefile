# Every command works from a fresh clone: it first makes .venv from the hashed lock files, then does its work.
# Needs Python 3.11 or newer and make, nothing else. Variables may follow: make run PORT=8100 SANDBOX=0

PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test lint format bench bench-pages screenshots messages lock clean need-python

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

need-python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "There is no $(PYTHON) on this machine. opsportal needs Python 3.11 or newer:" >&2; \
	  echo "  Debian, Ubuntu: apt-get install python3 python3-venv   (elsewhere: https://www.python.org/downloads/)" >&2; \
	  echo "Is it under another name? make run PYTHON=/path/to/python3" >&2; exit 1; }

setup: need-python ## Make .venv with what the portal needs
	@$(PYTHON) scripts/bootstrap.py

setup-dev: need-python ## Make .venv with what tests and checks need too
	@$(PYTHON) scripts/bootstrap.py --dev

run: setup ## Run the portal with its sandbox (SANDBOX=0 without; PORT=8100, DATA_DIR=...)
	@exec $(VENV_PYTHON) -m scripts.run

test: setup-dev ## Run every test on SQLite and on PostgreSQL (ARGS="tests/core -k env")
	@exec $(VENV_PYTHON) -m scripts.test $(ARGS)

lint: setup-dev ## Check style, types, layers, templates, migrations, deployment settings, lock files
	@exec $(VENV_PYTHON) -m scripts.lint $(ARGS)

format: setup-dev ## Bring code and templates into the house form
	@.venv/bin/ruff check --fix --exit-zero --quiet .
	@.venv/bin/ruff format .
	@find templates apps -name '*.html' -exec .venv/bin/djade --target-version 5.2 {} +

bench: setup-dev ## Measure the engine beside its peers; writes docs/reference/benchmarks.md
	@exec $(VENV_PYTHON) -m bench $(ARGS)

bench-pages: setup-dev ## Measure every page with a million messages; writes docs/reference/page-benchmarks.md
	@exec $(VENV_PYTHON) -m bench.pages $(ARGS)

screenshots: setup-dev ## Take the pictures of docs/screenshots: each page, light, dark and on a phone
	@exec $(VENV_PYTHON) -m scripts.screenshots $(ARGS)

messages: setup-dev ## Find every text of the pages, merge it into locale/ and compile it (ARGS=--check)
	@exec $(VENV_PYTHON) -m scripts.messages $(ARGS)

lock: setup-dev ## Compile requirements*.in into the hashed lock files (ARGS=--upgrade for newer versions)
	@exec $(VENV_PYTHON) -m scripts.lock $(ARGS)

clean: ## Remove what can be made again; var/ with its data stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
	@echo "Removed .venv and caches. The data in var/ is kept."
