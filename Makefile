# Two commands: `make search` runs the main job on the built-in digits, `make test` checks the project.
# Each makes .venv first if it has to.

PYTHON ?= python3
BIN := .venv/bin
# Without compiled bytecode every TensorFlow import takes three times as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: search test fuzz soak check format docs benchmark benchmark-short clean

search: .venv/installed
	$(BIN)/archsearch search search_spaces/digits.yaml --data digits --time 2m --out reports/digits

test: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# A search under faults injected at random, for an hour, or MINUTES=5; SEED=1 repeats their order.
MINUTES ?= 60
STORAGE ?= file
soak: .venv/installed-dev
	PYTHONPATH=tests $(BIN)/python -m soak --minutes $(MINUTES) --storage $(STORAGE) $(if $(SEED),--seed $(SEED))

# A hundred thousand inputs for each of the tests that `make test` tries a few hundred of; twenty minutes.
fuzz: .venv/installed-dev
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest tests/fuzz -n 2

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What is made from the language itself; a test fails when it has drifted.
docs: .venv/installed
	$(BIN)/python -m archsearch.space.reference > docs/language.md
	$(BIN)/archsearch space schema > search_spaces/space.schema.json

# About seven and a half hours; `benchmark-short` takes two minutes. benchmarks/README.md says what is measured.
benchmark: .venv/installed-dev
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python -m benchmarks.peers.same_networks
	$(BIN)/python -m benchmarks.peers.workers
	$(BIN)/python -m benchmarks.peers
	$(BIN)/archsearch export benchmarks/results/runs/archsearch-0/600s/best/model.keras

benchmark-short: .venv/installed-dev
	$(BIN)/python -m benchmarks.peers --seeds 0 --limit 22 --budgets 30 --out benchmarks/results/short

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "archsearch needs Python 3.11 or later, found " + sys.version.split()[0] + "; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	$(BIN)/python -m compileall -q -j 0 .venv/lib || true
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
