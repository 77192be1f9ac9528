# Every target sets up what it needs. A machine with Python 3.11 or newer, pip and make is enough.

# The first interpreter on the path that is new enough; `make PYTHON=...` chooses another.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
PIP := $(VENV_PYTHON) -m pip --quiet --disable-pip-version-check
ARGS ?=

# pip installs into one place, and benchmarks want the machine to themselves.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test check format bench bench-ledger chaos changelog clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## run the example pipeline over the standard library's sources
	$(VENV_PYTHON) examples/stdlib_survey.py $(ARGS)

test: $(VENV)/.installed-dev  ## run the tests (ARGS="-k folder" for some of them)
	$(VENV_PYTHON) -m pytest $(ARGS)

check: $(VENV)/.installed-dev  ## lint, formatting and types
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

format: $(VENV)/.installed-dev  ## mend what the linter and the formatter can mend by themselves
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

bench: $(VENV)/.installed-bench  ## measure ours beside the peer's; writes bench/RESULTS.md
	$(VENV_PYTHON) bench/run.py $(ARGS)

bench-ledger: $(VENV)/.installed-dev  ## measure finding runs among a million, in both stores; writes bench/LEDGER.md
	$(VENV_PYTHON) bench/ledger.py $(ARGS)

chaos: $(VENV)/.installed-dev  ## kill real runs at random, for minutes
	$(VENV_PYTHON) -m pytest tests/chaos -m chaos -o faulthandler_timeout=1800 $(ARGS)

changelog: $(if $(VERSION),$(VENV)/.installed-release)  ## make CHANGELOG.md of the fragments: make changelog VERSION=0.2.0
	$(if $(VERSION),,$(error say which release: make changelog VERSION=0.2.0))
	$(VENV)/bin/towncrier build --yes --version $(VERSION)

clean:  ## remove the environment and all caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

# A stamp is written only after its installation succeeded: one that was interrupted starts again.
# An environment that uv made has no pip; Debian's venv without ensurepip cannot give one, but the outer pip can.
$(VENV)/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Runstone needs Python 3.11 or newer on the path, or: make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(VENV_PYTHON) || echo "Setting up $(VENV), this takes a minute the first time ..." >&2
	@test -x $(VENV_PYTHON) || $(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(VENV)
	@$(PIP) --version >/dev/null 2>&1 || $(VENV_PYTHON) -m ensurepip >/dev/null 2>&1 \
		|| $(PYTHON) -m pip --quiet --python $(VENV_PYTHON) install pip
	@$(PIP) install --editable .
	@touch $@

# Dependency groups need pip 25.1.
$(VENV)/.installed-%: $(VENV)/.installed
	@echo "Installing what '$*' needs ..." >&2
	@$(PIP) install 'pip>=25.1'
	@$(PIP) install --group $*
	@touch $@
