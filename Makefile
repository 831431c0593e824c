# Every target works on a fresh clone: it makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# CI adds science: packages that take more room than all others.
EXTRAS ?= dev,services

.PHONY: demo cluster-demo test bench lint types imports core pytest lock clean

demo: $(VENV)/.installed
	$(BIN)/python -m examples.demo

cluster-demo: $(VENV)/.clustered
	$(BIN)/python -m examples.cluster_demo

test:
	$(MAKE) --jobs=2 --output-sync=target lint types imports core
	$(MAKE) pytest

bench: $(VENV)/.developed
	$(BIN)/python -m tests.bench

lint: $(VENV)/.developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.developed
	$(BIN)/mypy

imports: $(VENV)/.developed
	$(BIN)/lint-imports

# The pure core is covered to its last branch.
core: $(VENV)/.developed
	$(BIN)/pytest --quiet tests/unit/actors/request --cov=jobx.actors.request --cov-branch \
		--cov-report=term-missing --cov-fail-under=100

# Slow tests stand next to each other: a worker without tests takes over half of another's.
# Tests wait for half of their time, so three workers keep two cores busy.
pytest: $(VENV)/.developed
	$(BIN)/pytest --quiet -n 3 --dist worksteal

# The exact versions that development and CI run on, from the ranges in setup.cfg.
lock: $(VENV)/.developed
	$(BIN)/pip freeze --exclude-editable | sort > requirements-dev.lock

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml requirements-dev.lock | $(BIN)/python
	$(BIN)/pip install --quiet --constraint requirements-dev.lock --editable .
	touch $@

$(VENV)/.clustered: setup.cfg pyproject.toml requirements-dev.lock | $(BIN)/python
	$(BIN)/pip install --quiet --constraint requirements-dev.lock --editable '.[etcd]'
	touch $@ $(VENV)/.installed

$(VENV)/.developed: setup.cfg pyproject.toml requirements-dev.lock | $(BIN)/python
	$(BIN)/pip install --quiet --constraint requirements-dev.lock --editable '.[$(EXTRAS)]'
	touch $@ $(VENV)/.installed $(VENV)/.clustered

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
