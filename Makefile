# Every target works on a fresh clone: it makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# CI adds science: packages that take more room than all others.
EXTRAS ?= dev,services
HASHED := build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --constraint requirements-dev.lock setup.cfg

.PHONY: demo cluster-demo test test-tahoe bench lint types imports core pytest lock hashes wheel clean

demo: $(VENV)/.installed
	$(BIN)/python -m examples.demo

cluster-demo: $(VENV)/.clustered
	$(BIN)/python -m examples.cluster_demo

test:
	$(MAKE) --jobs=2 --output-sync=target lint types imports core
	$(MAKE) pytest APART=--ignore=tests/unit/actors/request

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
# Tests wait for half of their time, so three workers keep two cores busy. APART leaves out what
# has run before. The tests start hundreds of processes; where PYTHONDONTWRITEBYTECODE is set, each
# would compile all that it imports, a quarter of its start or more, so that is done once here.
pytest: $(VENV)/.developed
	$(BIN)/python -m compileall -q jobx tests
	$(BIN)/pytest --quiet -n 3 --dist worksteal $(APART)

# A grid of Tahoe-LAFS: fifty packages that nothing else needs, in an environment of their own.
test-tahoe: build/tahoe/.installed
	JOBX_REQUIRE_SERVICES=tahoe build/tahoe/bin/pytest --quiet -m tahoe tests/contract

# The exact versions that development and CI run on, from the ranges in setup.cfg; of these, what
# an operator installs, with hashes; and the list of its licences.
lock:
	$(MAKE) $(VENV)/.developed EXTRAS=dev,services,science
	$(BIN)/pip freeze --exclude-editable | sort > requirements-dev.lock
	$(MAKE) hashes

hashes: $(VENV)/.developed build/lock/bin/uv
	{ echo "# What JobX needs. See docs/operations.md; written by make lock."; \
		$(HASHED); } > requirements.lock
	{ echo "# What JobX and all its extras need. See docs/operations.md; written by make lock."; \
		$(HASHED) --extra etcd --extra s3 --extra sftp --extra wasm --extra otel; } > requirements-extras.lock
	$(BIN)/python -m tests.support.licences

# The wheel that operators install without a clone.
wheel: $(VENV)/.developed
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

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

build/lock/bin/uv:
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet uv==0.13.9

build/tahoe/.installed: setup.cfg pyproject.toml requirements-dev.lock
	$(PYTHON) -m venv build/tahoe
	build/tahoe/bin/pip install --quiet --constraint requirements-dev.lock \
		--editable '.[dev,services,tahoe]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
