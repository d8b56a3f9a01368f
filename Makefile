# The list of commands; `make` alone prints it. Needs make and Python 3.11 to 3.13, nothing else.

.DEFAULT_GOAL := help
SHELL := /bin/bash
# -p: what BASH_ENV names is not read, and may print what it likes.
.SHELLFLAGS := -p -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
# What is imported is compiled once. Where this is set, as in many images, each process would compile PyTorch for itself.
unexport PYTHONDONTWRITEBYTECODE
# Packages of another environment would take the place of ours.
unexport PYTHONPATH PYTHONHOME
# Warnings of other people's packages would end their installation.
unexport PYTHONWARNINGS

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& { echo $$python; break; }; done)

RUNTIME_LOCKS := $(addsuffix /requirements.lock,serving metadata-api ui models models/marina)
PROJECTS := serving metadata-api ui models/marina
RUNTIME_INPUTS := .ci/installer.lock $(RUNTIME_LOCKS) $(wildcard serving/torch*.lock) \
	$(addsuffix /pyproject.toml,$(PROJECTS))
# What is installed is keyed by the locks' content: the same locks install nothing, whatever the files' dates.
key = $(shell cat $(1) | cksum | cut -d' ' -f1)
INSTALLED := $(VENV)/.installed-$(call key,$(RUNTIME_INPUTS))
INSTALLED_TESTS := $(VENV)/.tests-$(call key,$(RUNTIME_INPUTS) tests/requirements.lock)
KSERVE := $(VENV)/kserve-client
INSTALLED_DOCTOR := $(VENV)/.doctor-$(call key,k8s/doctor/requirements.lock)
INSTALLED_KSERVE := $(VENV)/.kserve-$(call key,k8s/doctor/requirements.lock tests/kserve_client.lock)
SUPPLY_CHAIN := $(VENV)/supply-chain
INSTALLED_SUPPLY_CHAIN := $(VENV)/.supply-chain-$(call key,tests/supply_chain.lock)
CHECKOV := $(VENV)/checkov
INSTALLED_CHECKOV := $(VENV)/.checkov-$(call key,tests/checkov.lock)
UV := $(BIN)/uv
# An environment of handlers is keyed by all that is in it, and by what it shares.
ENVIRONMENT_FILES = $(wildcard $(addprefix serving/environments/$(NAME)/requirements.,in lock))
BUILT_ENVIRONMENT = $(VENV)/environments/$(NAME)/.built-$(call key,$(ENVIRONMENT_FILES) serving/build_environment.py serving/requirements.lock serving/torch.lock)
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --no-deps

# Each tier by its marks, and where they are: what is not collected costs no time. tests/groups.py holds them to it.
TESTS := tests/repo tests/chart tests/models tests/metadata_api tests/serving tests/marina tests/marina_local tests/system tests/ui
FAST := not long and not bench and not helm and not system and (not browser or main_way)
PAGES = $(shell grep -lr --include='test_*.py' 'mark\.browser' tests/metadata_api tests/ui)
WHOLLY_SYSTEM := tests/models tests/serving/conformance tests/serving/containment tests/marina tests/marina_local tests/system \
	tests/ui/test_browser.py tests/ui/test_whole_way.py tests/ui/test_every_kind.py \
	$(addprefix tests/metadata_api/,deploying/kserve test_no_500.py test_openapi.py)
SYSTEM = $(WHOLLY_SYSTEM) tests/serving/runtimes $(shell grep -lr --include='test_*.py' 'mark\.system' tests/metadata_api)
CHART := tests/chart tests/repo/test_supply_chain.py
ELSEWHERE = $(CHART) $(WHOLLY_SYSTEM) $(shell grep -lrE --include='test_*.py' '^pytestmark = .*mark\.(long|bench)' tests)
# They run in so many processes; tests/groups.py says which tests go together, and which run alone at the end.
WORKERS ?= 4
# A worker that dies ends the run: xdist could wait for ever for the one in its place.
PARALLEL := -n $(WORKERS) --dist loadscope --max-worker-restart 0
TEST_SDK := PYTHONPATH=metadata-api:serving:k8s/doctor $(KSERVE)/bin/python -m pytest -c tests/e2e/sdk/pytest.ini tests/e2e/sdk
K8S_SCRIPTS := $(filter-out %.yaml %.env %.md %.sh k8s/doctor,$(wildcard k8s/*)) k8s/doctor/run
PACKAGES := serving/serving_runtime metadata-api/metadata_api metadata-api/marina_local ui/model_ui models/marina/marina \
	k8s/doctor/marina_doctor

.PHONY: help
help: ## print this list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Run
.PHONY: up down demo-reset status import train fsck backup restore
up: $(INSTALLED) ## start everything on this machine and print the addresses; Ctrl-C stops it
	@exec $(BIN)/python -m marina_local up

down: $(INSTALLED) ## stop what `make up` started in another terminal
	@$(BIN)/python -m marina_local down

status: $(INSTALLED) ## show what runs here and since when
	@$(BIN)/python -m marina_local status

demo-reset: $(INSTALLED) ## stop and delete the data in .marina; trained models are kept
	@$(BIN)/python -m marina_local reset

import: $(INSTALLED) ## import experiments from a CSV into the running system: make import FILE=runs.csv
	@test -n "$(FILE)" || { echo "make import needs FILE=a.csv" >&2; exit 2; }
	@$(BIN)/marina import "$(FILE)"

fsck: $(INSTALLED) ## compare database and store of the running system, every object by its hash; FSCK=--repair mends from the copy
	@$(BIN)/python -m marina_local fsck $(FSCK)

backup: ## save the running system's database and bytes: make backup TO=/a/folder; with CLUSTER=kind the release's database
	@if [ -n "$(CLUSTER)" ]; then k8s/backup; else \
	$(MAKE) --silent $(INSTALLED) && $(BIN)/python -m marina_local backup $(if $(TO),--to "$(TO)"); fi

restore: ## put them back while nothing runs: make restore FROM=/a/folder FILE=marina-....dump; or CLUSTER=kind FILE=...
	@if [ -n "$(CLUSTER)" ]; then k8s/restore; else \
	$(MAKE) --silent $(INSTALLED) && $(BIN)/python -m marina_local restore $(if $(FROM),--from "$(FROM)") $(if $(FILE),--file "$(FILE)"); fi

train: $(INSTALLED) ## train the starter experiments that are missing or changed
	@$(BIN)/python -m marina_local train

##@ Check
.PHONY: test test-pages test-system test-chart test-long test-helm test-sdk check lint audit fmt conformance containment access soak faults bench bench-up bench-api bench-predictions screenshot
test: $(INSTALLED_TESTS) $(INSTALLED_KSERVE) browser starters ## run the tests of every change, under five minutes on two cores, in WORKERS (4) processes
	@$(BIN)/pytest -m "$(FAST)" $(PARALLEL) $(addprefix --ignore=,$(ELSEWHERE)) $(filter-out $(ELSEWHERE),$(TESTS)) $(PYTEST)

test-pages: $(INSTALLED_TESTS) browser ## drive every page in Chromium: widths, themes, keyboard, roles, outages
	@$(BIN)/pytest -m "browser and not system and not long" $(PARALLEL) $(PAGES) $(PYTEST)

test-system: $(INSTALLED_TESTS) $(INSTALLED_KSERVE) browser starters ## use launcher, command line and running system, kill and load both runtimes, simulate a cluster, fuzz
	@$(BIN)/pytest -m "system and not long" $(PARALLEL) $(SYSTEM) $(PYTEST)

# The SDK's tests run beside them. Not by $(MAKE), which a dry run would really start.
test-chart: $(INSTALLED_TESTS) $(INSTALLED_KSERVE) $(INSTALLED_SUPPLY_CHAIN) ## test what is shipped: the chart in every shape, what is written to a cluster, the doctor, SBOMs
	@status=0; said=$$(mktemp); $(TEST_SDK) $(PYTEST) > "$$said" 2>&1 & sdk=$$!; \
	$(BIN)/pytest -m "not helm and not long" $(PARALLEL) $(CHART) $(PYTEST) || status=$$?; \
	wait $$sdk || status=$$?; cat "$$said"; rm "$$said"; exit $$status

test-long: $(INSTALLED_TESTS) $(INSTALLED_CHECKOV) ## run the tests that take minutes, and those of the benchmarks: fuzzing, faults, overload, checkov
	@$(BIN)/pytest -m "long or bench" $(TESTS) $(PYTEST)

test-helm: $(INSTALLED_TESTS) ## render the chart with every Helm on PATH, and the one that HELM names
	@$(BIN)/pytest -m helm tests/chart $(PYTEST)

test-sdk: $(INSTALLED_KSERVE) ## check what the API writes to a cluster with KServe's own Python SDK, and test the doctor
	@$(TEST_SDK) $(PYTEST)

check: lint audit test test-pages test-system test-chart test-long ## all that a change must pass: tests, format, lint, types, import contracts, advisories

lint: $(INSTALLED_TESTS) ## check format, lint, types and import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy $(PACKAGES)
	@$(BIN)/mypy --allow-untyped-calls tests models serving/torch_source.py serving/build_environment.py
	@$(BIN)/lint-imports

audit: $(INSTALLED_SUPPLY_CHAIN) ## look for advisories of the locked packages in the package index; AUDIT="--osv-url URL" asks another
	@$(SUPPLY_CHAIN)/bin/python .ci/audit $(AUDIT)

fmt: $(INSTALLED_TESTS) ## format the code and apply the fixes of lint
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

conformance: $(INSTALLED_TESTS) $(INSTALLED_KSERVE) ## test all of v2 on both runtimes, with its clients and by fuzzing; writes docs/conformance.md
	@$(BIN)/python -m tests.serving.conformance.table $(PYTEST)

containment: $(INSTALLED_TESTS) ## let a hostile .mar do its worst in both runtimes; prints what stops it and, as root, writes docs/security.md
	@$(BIN)/python -m tests.serving.containment.table

access: $(INSTALLED) ## write the table of routes and roles into docs/security.md
	@$(BIN)/python -m metadata_api.access_table docs/security.md

soak: $(INSTALLED_TESTS) ## load both runtimes for MINUTES (10); their memory must stay flat. Needs wrk
	@$(BIN)/python -m tests.bench.soak --minutes $(or $(MINUTES),10)

faults: $(INSTALLED_TESTS) ## kill, suspend and overload both runtimes; writes docs/faults.md: FAULTS="--rounds 3". Needs wrk
	@$(BIN)/python -m tests.bench.faults $(FAULTS)

bench: $(INSTALLED_TESTS) ## compare both runtimes with other model servers by wrk; writes docs/benchmarks.md
	@$(BIN)/python -m tests.bench.side_by_side $(BENCH)

bench-up: $(INSTALLED) ## measure v2 inference of the running system with wrk: make bench-up BENCH="--seconds 5"
	@$(BIN)/python tests/bench/bench.py $(BENCH)

bench-api: $(INSTALLED_TESTS) ## measure imports, lists and curves of the metadata API with 100,000 experiments
	@$(BIN)/python tests/bench/bench_api.py

bench-predictions: $(INSTALLED) ## measure one call to four deployments beside each of them alone, on the running system
	@$(BIN)/python tests/bench/bench_predictions.py $(BENCH)

screenshot: $(INSTALLED_TESTS) browser ## use the running system and write the README's screenshots, docs/*.png
	@$(BIN)/python -m tests.ui.screenshot

##@ Images
export DOCKER PYTHON_IMAGE TAG ENVIRONMENTS
.PHONY: images images-native images-test sbom
images: ## build the four images, and ENVIRONMENTS="vision text" too; fails over a size; PYTHON_IMAGE=name@sha256:... pins the base
	@$(PYTHON) .ci/images

images-native: ## build marina-serving-native, without TorchServe and Java
	@$(PYTHON) .ci/images marina-serving-native

images-test: $(INSTALLED_TESTS) images images-native ## test the images as they will run: read-only, no rights, no network
	@$(BIN)/pytest tests/images $(PYTEST)

sbom: $(INSTALLED_SUPPLY_CHAIN) ## write a CycloneDX SBOM of each image from the locks: build/sbom/IMAGE.cdx.json
	@$(SUPPLY_CHAIN)/bin/python .ci/sbom

##@ Kubernetes
# CLUSTER=kind, minikube, or test with TEST_CLUSTER=a script that has `env` and `load`; NAMESPACE, RELEASE and HELM as well.
export CLUSTER TEST_CLUSTER NAMESPACE RELEASE HELM VALUES FILE PURGE CERT_MANAGER EXPOSED_URL DEPLOY_SECONDS WAIT_SECONDS DOCTOR
.PHONY: kind-up minikube-up kserve images-load doctor deploy wait smoke uninstall chart e2e e2e-scale
kind-up: ## make a kind cluster with Traefik on ports 80 and 443
	@k8s/kind-up

minikube-up: ## make a minikube cluster with Traefik; for what follows: make TARGET CLUSTER=minikube
	@k8s/minikube-up

kserve: ## install KServe into the cluster; CERT_MANAGER=no does without cert-manager
	@k8s/kserve

images-load: ## copy the four images into the cluster, and those of ENVIRONMENTS
	@k8s/images-load

doctor: $(INSTALLED_DOCTOR) ## say what keeps the release from working, and what to do: make doctor DOCTOR=--json
	@k8s/doctor/run

deploy: ## install or upgrade the release: make deploy VALUES=mine.yaml
	@k8s/deploy

wait: ## wait until every model answers a real inference in its desired version
	@k8s/wait

smoke: ## run helm test: API, database, UI, a golden inference
	@k8s/smoke

uninstall: ## uninstall the release, models first; data stays unless PURGE=yes
	@k8s/uninstall

e2e: $(INSTALLED_TESTS) $(INSTALLED_KSERVE) browser starters ## install and exercise everything on a cluster: use, rollouts, disruptions, backup
	@k8s/e2e

e2e-scale: $(INSTALLED_TESTS) ## a thousand InferenceServices on simulated nodes of the test cluster; prints the figures
	@k8s/e2e-scale

chart: $(INSTALLED_TESTS) $(INSTALLED_CHECKOV) ## generate the chart's README from its values, and check chart and scripts
	@$(BIN)/python charts/document
	@$(BIN)/shellcheck -x $(K8S_SCRIPTS) charts/marina/files/*/*.sh
	@$(BIN)/pytest -q -m "not helm" tests/chart

##@ Maintain
.PHONY: install environment starters browser lock clean
install: $(INSTALLED_TESTS) $(INSTALLED_KSERVE) $(INSTALLED_CHECKOV) $(INSTALLED_SUPPLY_CHAIN) starters ## create the virtual environment with everything in it

environment: $(INSTALLED) ## build what handlers may import beside the usual: make environment NAME=vision (or text, sklearn, one of yours)
	@test -n "$(NAME)" || { echo "make environment needs NAME=one of: $(notdir $(patsubst %/requirements.lock,%,$(wildcard serving/environments/*/requirements.lock)))" >&2; exit 2; }
	@if [ -e "$(BUILT_ENVIRONMENT)" ]; then echo "environment $(NAME): nothing has changed"; else \
	echo "building the environment $(NAME)"; \
	$(BIN)/python serving/build_environment.py --uv $(UV) "$(NAME)"; \
	test "$(NAME)" = base || touch "$(BUILT_ENVIRONMENT)"; fi

starters: $(INSTALLED) ## train the starter experiments that the tests serve, where one is missing or changed
	@$(BIN)/python models/train.py --all --out .marina/models

browser: $(INSTALLED_TESTS) ## find or install the Chromium that the browser tests drive
	@.ci/browser $(BIN)/python

lock: $(INSTALLED_TESTS) ## renew the locks: make lock LOCK=--upgrade takes the newest versions
	@$(BIN)/python .ci/lock $(LOCK)

clean: ## delete the virtual environment, caches and test artefacts; data in .marina stays
	@rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .artifacts
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

$(UV):
	@test -n "$(PYTHON)" || { echo "Marina needs Python 3.11 to 3.13: install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV) > /dev/null || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian: apt install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/installer.lock

$(INSTALLED): $(UV)
	@echo "installing the locked packages"
	@rm -f $(VENV)/.installed-* $(VENV)/.tests-*
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/installer.lock
	@$(INSTALL) --only-binary :all: --require-hashes $(addprefix -r ,$(RUNTIME_LOCKS))
	@$(BIN)/python serving/torch_source.py --uv $(UV) -- --quiet
	@$(INSTALL) $(addprefix --editable ,$(PROJECTS))
	-@$(BIN)/python -m serving_runtime.java_cache $(VENV)/java.aot
	@touch $@

$(INSTALLED_TESTS): $(INSTALLED)
	@$(INSTALL) --only-binary :all: --require-hashes -r tests/requirements.lock
	@touch $@

# Environments of their own, for what needs other versions than the product has: (name, folder, lock).
define beside
	@echo "installing $(1) beside it"
	@rm -rf $(2) $(VENV)/.$(1)-*
	@$(UV) venv --quiet --python $(BIN)/python $(2)
	@$(UV) pip install --quiet --python $(2)/bin/python --no-deps --only-binary :all: --require-hashes -r $(3)
	@touch $@
endef
# The doctor needs nothing of the product.
$(INSTALLED_DOCTOR): | $(UV)
	$(call beside,doctor,$(KSERVE),k8s/doctor/requirements.lock)
$(INSTALLED_KSERVE): $(INSTALLED_DOCTOR)
	@rm -f $(VENV)/.kserve-*
	@$(UV) pip install --quiet --python $(KSERVE)/bin/python --no-deps --only-binary :all: --require-hashes -r tests/kserve_client.lock
	@touch $@
$(INSTALLED_CHECKOV): $(INSTALLED)
	$(call beside,checkov,$(CHECKOV),tests/checkov.lock)
$(INSTALLED_SUPPLY_CHAIN): | $(UV)
	$(call beside,supply-chain,$(SUPPLY_CHAIN),tests/supply_chain.lock)
