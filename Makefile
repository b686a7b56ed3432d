# Everything runs in a virtual environment of its own, made when first needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test check format bench docs clean

run: $(READY)            ## start a server on ./data and name its page
	$(BIN)/livethings serve --data-dir data

test: $(READY)           ## run all tests
	$(BIN)/python -m pytest -q

check: $(READY)          ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)          ## print the benchmarks' tables
	$(BIN)/python -m bench

docs: $(READY)           ## renew what is generated from the code
	$(BIN)/python -m engine.functions.reference > $(VENV)/functions.md
	mv $(VENV)/functions.md docs/functions.md

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml client/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --editable client --group dev
	touch $@
