# `make help` lists what there is. Every target does its own set-up, and reuses what is there.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

export IMAGE ?= bbc-packages-push-container-image:dev
export REGISTRY_IMAGE ?= bbc-packages-push-registry:dev
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export REGISTRY_PORT ?= 5000

python := .venv/made
with_engine := test/setup/engine with

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: registry image ## Push a sample application to a local registry, and pull it back
	@REGISTRY=127.0.0.1:$(REGISTRY_PORT) $(with_engine) test/setup/demo $(IMAGE)

.PHONY: test
test: unit integration system ## Run every test

.PHONY: unit
unit: $(python) ## Run the tests that need neither Engine nor registry
	pytest --numprocesses 2 --dist worksteal test/unit

.PHONY: integration
integration: $(python) tools image registry-image second-engine ## Test the package with a real Engine and the local registry
	@# More processes than processors: most tests wait for a registry or an Engine.
	$(with_engine) pytest --numprocesses 3 --dist loadfile test/integration test/registry/tests

.PHONY: system
system: $(python) tools image registry-image ## Test the pipe's image, run as Pipelines runs it
	@# Behind a proxy that refuses what Pipelines' default runtime refuses; then what needs more than that allows.
	$(with_engine) python test/system/restricted.py test/setup/bats --filter-tags '!namespaces' test/system
	$(with_engine) test/setup/bats --filter-tags namespaces --filter-tags socket test/system
	$(with_engine) test/setup/bats test/setup/tests

.PHONY: lint
lint: $(python) ## Check everything that can be checked without running it
	ruff check
	ruff format --check
	mypy
	lint-imports --no-logo
	python test/setup/words.py
	hadolint $$(git ls-files '*Dockerfile')
	shellcheck --external-sources $$(git grep -lE '^#!.*sh$$|^# shellcheck shell=')
	@# bats sets variables of its own, has a process for each test, and stops at errors.
	shellcheck --external-sources --exclude=SC2030,SC2031,SC2154,SC2164 $$(git ls-files '*.bats')
	yamllint --strict .
	check-jsonschema --builtin-schema vendor.bitbucket-pipelines bitbucket-pipelines.yml
	test/setup/audit requirements.txt test/requirements.txt test/setup/sbom.txt

.PHONY: image
image: ## Build the pipe's image
	@$(with_engine) test/setup/image $(IMAGE)

.PHONY: tools
tools:
	@test/setup/tools

.PHONY: second-engine
second-engine:
	@# Of use only where it can be run, in namespaces of its own.
	@! unshare --mount --net true 2>/dev/null || $(with_engine) test/setup/second-engine >/dev/null

.PHONY: registry-image
registry-image:
	@$(with_engine) test/registry/run image

.PHONY: registry
registry: ## Start the local registry on 127.0.0.1:REGISTRY_PORT (5000)
	@$(with_engine) test/registry/run start

.PHONY: registry-stop
registry-stop: ## Stop the local registry; its data stays
	@$(with_engine) test/registry/run stop

.PHONY: bench
bench: $(python) image registry-image ## Measure the pipe beside docker push and skopeo copy; BENCH has options
	$(with_engine) test/bench/run $(BENCH)

.PHONY: bench-large
bench-large: $(python) image registry-image ## Measure the memory for ten gigabytes, and push twelve over a slow link
	$(with_engine) test/bench/run --only=memory,split-large

.PHONY: fuzz
fuzz: $(python) tools second-engine ## Try many more examples than the tests, and odd archives for MINUTES (10)
	pytest --numprocesses 2 --dist worksteal -m hypothesis --hypothesis-profile deep --timeout 900 test/unit
	SPLIT_SEEDS=100 pytest --numprocesses 2 --timeout 900 test/integration/test_split_trees.py
	PYTHONPATH=test python -m fuzz --minutes $(or $(MINUTES),10)

.PHONY: picture
picture: $(python) image registry-image ## Draw the log in README from a real run
	@PYTHONPATH=test $(with_engine) bash -c 'python test/setup/log_picture.py docs/log.svg $(IMAGE) "$$(test/setup/sample)"'

.PHONY: account
account: ## Write the ACCOUNT that the pipe's image is published under into the files
	@test/setup/account write '$(ACCOUNT)'

.PHONY: publish
publish: ## Build the pipe's image, and push it under your ACCOUNT
	@$(with_engine) test/setup/publish '$(ACCOUNT)'

.PHONY: lock
lock: $(python) ## Take the newest versions of all Python packages
	test/setup/lock

.PHONY: clean
clean: ## Stop and remove everything that make has made
	@test/setup/clean

$(python): requirements.txt test/requirements.txt
	@test/setup/python
