# Every command does its own set-up: the first call makes .venv from the pinned lock, later calls reuse it.
# `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' heed/__init__.py)

.DEFAULT_GOAL := help
.PHONY: help run test lint format bench images smoke-compose smoke-swarm lock texts schemas clean capacity secrets-eks

help:  ## what can be called
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'

# uv comes from the same lock, by hash, and then installs the rest about ten times as fast as pip.
.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Heed needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Call make with PYTHON=/path/to/python3.11.")'
	@echo "Preparing .venv (once) ..."
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.lock
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# Checkov pins older versions of what Heed uses, so it has an environment and a lock of its own.
build/checkov/.ready: requirements-checkov.lock .venv/.ready
	@$(PYTHON) -m venv build/checkov
	@$(BIN)/uv pip sync --quiet --python build/checkov/bin/python --require-hashes requirements-checkov.lock
	@touch $@

run: .venv/.ready  ## the whole system on this machine; Ctrl-C stops it
	@$(BIN)/heed up

test: .venv/.ready  ## every test; needs nothing started by hand
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

lint: .venv/.ready  ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.ready  ## put every file into the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.ready  ## the benchmarks, as ratios, one table
	$(BIN)/python -m bench

images:  ## the container images, tagged with the version and `latest`
	@HEED_VERSION=$(VERSION) docker compose build
	@for name in api worker ticketing backup standins; do docker tag heed-$$name:$(VERSION) heed-$$name:latest; done
	@docker images --filter 'reference=heed-*:$(VERSION)' --format '{{.Repository}}:{{.Tag}}  {{.Size}}'

smoke-compose: .venv/.ready  ## the system under Docker Compose: a customer's journey, crashes, a restore; takes it down
	$(BIN)/python -m pytest tests/smoke/test_compose.py

smoke-swarm: .venv/.ready  ## the same on a Docker Swarm of this machine alone
	$(BIN)/python -m pytest tests/smoke/test_swarm.py

lock: .venv/.ready  ## resolve the dependencies anew into requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --all-extras --group dev --upgrade pyproject.toml --output-file requirements.lock
	echo checkov | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --upgrade - --output-file requirements-checkov.lock

capacity:  ## pods, nodes and dollars a month for 1, 10, 100 and 1000 times today's measured load
	@$(PYTHON) -m bench.capacity

secrets-eks: .venv/.ready  ## fill the secrets that Terraform made places for; what has a value keeps it
	@$(BIN)/python terraform-eks/fill_secrets.py $(if $(ENVIRONMENT),--environment $(ENVIRONMENT)) $(if $(REGION),--region $(REGION))

texts: .venv/.ready  ## bring the catalogues of the customers' pages up to date; new texts wait there to be translated
	@$(BIN)/pybabel -q extract -F frontend/feedback/locales/babel.cfg -k says -k counts:1,2 --no-location --sort-output \
	  --project heed -o frontend/feedback/locales/feedback.pot .
	@$(BIN)/pybabel -q update -D feedback -i frontend/feedback/locales/feedback.pot -d frontend/feedback/locales \
	  --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
	@rm frontend/feedback/locales/feedback.pot

schemas: .venv/.ready  ## write the contracts' JSON Schemas anew
	$(BIN)/python -m heed.contracts

clean:  ## remove .venv and caches (never the data in .heed)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-artifacts
