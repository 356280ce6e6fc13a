# `make serve` and `make test` are all that a fresh machine with Python 3.11 or newer needs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

CLIENTS := tests/clients
# More of them than there are processors: a test that starts a server waits more than it works.
WORKERS ?= 4

# What is read in Python is kept compiled: the tests start some hundreds of servers.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve test containers prove bench lint lock clean

serve: .venv/serve  ## migrate, seed and serve at http://127.0.0.1:8000
	$(BIN)/concord serve

test: lint .venv/node  ## everything, on SQLite and on PostgreSQL
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

containers: .venv/test  ## build the image without an engine, and run it; as root: apt-get install buildah debootstrap iproute2
	$(BIN)/python -m pytest -m image tests/containers

prove: .venv/test .venv/node  ## every proof in full, and what it counted and timed into docs/reliability.md: an hour or more
	$(BIN)/python -m pytest -m proves --prove --figures=docs/reliability.md $(PROVE)

bench: .venv/test  ## what answers cost, and how that grows; e.g. make bench BENCH='--sizes 1000,100000,1000000 --cache ../registries'
	$(BIN)/python -m tests.benchmarks $(BENCH)

lint: .venv/test  ## style, types and the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

lock:  ## pin what pyproject.toml asks for: hashes, no addresses
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --upgrade --quiet --group build --output-file requirements.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --quiet --group build --group test --constraint requirements.lock --output-file requirements-test.lock

clean:  ## forget the environment
	rm -rf .venv $(CLIENTS)/node_modules

.venv/serve: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Concord needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

.venv/test: .venv/serve requirements-test.lock
	$(PIP) install --require-hashes -r requirements-test.lock
	touch $@

.venv/node: $(CLIENTS)/package-lock.json $(CLIENTS)/package.json $(CLIENTS)/.npmrc
	@if command -v npm >/dev/null; then cd $(CLIENTS) && npm ci --no-progress --loglevel=error && mkdir -p $(CURDIR)/$(@D) && touch $(CURDIR)/$@; \
	else echo "npm is missing: the linter of the description and the TypeScript client are not tested"; fi
