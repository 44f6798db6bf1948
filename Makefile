# Works with nothing but Python (>= 3.10, with pip and venv) and make. `make` lists the targets.

PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
# Versions of everything that is installed: those that are tested together, or the newest there are.
VERSIONS ?= tested
PINS   := $(if $(filter newest,$(VERSIONS)),,-c constraints.txt)
PIP    := $(PY) -m pip install --quiet --disable-pip-version-check $(PINS)

# Training and tests use small tensors: one thread per process is fastest.
RUN_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 RL_LOGGING_LEVEL=WARNING

# The demo: each algorithm with each seed on the bundled data, then the table and the picture.
DEMO_OUT        ?= runs/demo
DEMO_ALGORITHMS ?= bc,omiga
DEMO_SEEDS      ?= 0,1,2

# Test processes side by side (0: everything in one process), and further arguments for pytest.
JOBS        ?= 0
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test test-slow mutants lint format audit bench results docs docs-links release-check clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One stamp per set of extras; installed again only when the project's requirements change.
# torch comes first, by its exact version, so that nothing else chooses another build of it.
$(VENV)/torch.stamp: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.x")'
	@echo "==> $(VENV): $$($(PYTHON) --version) and torch (large: minutes on a slow line)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) torch
	@touch $@

$(VENV)/demo.stamp: $(VENV)/torch.stamp pyproject.toml
	@echo "==> $(VENV): omiga_torchrl with what the recipes need"
	@$(PIP) -e ".[vmas,plot,recipes]"
	@touch $@

$(VENV)/dev.stamp: $(VENV)/torch.stamp pyproject.toml
	@echo "==> $(VENV): omiga_torchrl with the test tools"
	@$(PIP) -e ".[dev]"
	@touch $(VENV)/demo.stamp $@

venv: $(VENV)/dev.stamp ## make the development environment .venv

demo: $(VENV)/demo.stamp ## train BC and OMIGA, 3 seeds each, on the bundled data; table and picture
	$(RUN_ENV) $(PY) recipes/train.py -m algorithm=$(DEMO_ALGORITHMS) seed=$(DEMO_SEEDS) \
	    task=vmas/navigation dataset=mixed out=$(DEMO_OUT) existing=overwrite
	$(RUN_ENV) $(PY) recipes/report.py runs=$(DEMO_OUT) out=$(DEMO_OUT)/report

test: $(VENV)/dev.stamp ## run the fast tests and the examples in the docstrings
	$(RUN_ENV) $(PY) -m pytest -n $(JOBS) $(PYTEST_ARGS)

test-slow: $(VENV)/dev.stamp ## run the slow tests (minutes)
	$(RUN_ENV) $(PY) -m pytest -m slow $(PYTEST_ARGS)

# MUTANTS="--count 200 --seed 1": more of them, or others; runs/mutants/records.jsonl has the results.
mutants: $(VENV)/dev.stamp ## put one-line faults into the library: do the fast tests notice? (an hour)
	$(RUN_ENV) $(PY) -m tests.mutants $(MUTANTS)

lint: $(VENV)/dev.stamp ## check style, format and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/dev.stamp ## repair what ruff can repair
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

audit: $(VENV)/dev.stamp ## compare the installed packages with known advisories (needs pip-audit and a network)
	@if $(PY) -c 'import pip_audit' 2>/dev/null; then $(PY) -m pip_audit --skip-editable --progress-spinner off; \
	else echo "make audit: pip-audit is not installed; nothing was compared. $(PY) -m pip install pip-audit"; fi

bench: $(VENV)/dev.stamp ## time updates, algorithms, sampling, conversion of files and environments
	$(RUN_ENV) $(PY) recipes/benchmark_updates.py
	$(RUN_ENV) $(PY) recipes/benchmark_algorithms.py
	$(RUN_ENV) $(PY) -m tests.benchmarks.speed
	$(RUN_ENV) $(PY) recipes/benchmark_data.py
	$(RUN_ENV) $(PY) recipes/benchmark_layouts.py 0.5
	$(RUN_ENV) $(PY) recipes/benchmark_envs.py

results: $(VENV)/demo.stamp ## write reports and tables of all results again, from the committed records
	$(RUN_ENV) $(PY) -m omiga_torchrl.benchmark.results recipes/results README.md docs/choosing.md docs/reference/results.md

$(VENV)/docs.stamp: $(VENV)/torch.stamp pyproject.toml
	@echo "==> $(VENV): omiga_torchrl with what the site needs"
	@$(PIP) -e ".[docs]"
	@touch $@

$(VENV)/release.stamp: $(VENV)/torch.stamp pyproject.toml
	@$(PIP) hatchling twine
	@touch $@

docs: $(VENV)/docs.stamp ## build the site, docs/_build/html/index.html; warnings are errors
	$(RUN_ENV) $(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

docs-links: $(VENV)/docs.stamp ## ask for every address that the site links to (needs the network)
	$(RUN_ENV) $(PY) -m sphinx -q -b linkcheck docs docs/_build/links

release-check: $(VENV)/release.stamp ## build sdist and wheel, and train with the wheel in an empty environment
	PY=$(PY) PINS="$(PINS)" sh .ci/release-check

clean: ## remove builds and caches
	rm -rf build dist docs/_build docs/algorithms docs/api docs/data/published.md docs/reference/changelog.md docs/reference/contributing.md docs/tutorials/_run .hypothesis .mypy_cache .pytest_cache .ruff_cache
	for tutorial in docs/tutorials/*.py; do rm -f $${tutorial%.py}.md; done
	find omiga_torchrl recipes tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environment as well
	rm -rf $(VENV)
