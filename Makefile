# Everything runs in .venv, which the first target makes. Needs Python >= 3.10 and nothing else.
PYTHON ?= python3
BIN := .venv/bin
# one process a core and one thread in each: two cores then take half the time
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check bench torture format clean

demo: .venv/base       ## index the sample collection and answer five questions
	$(BIN)/vlm2vec-rag demo

test: .venv/dev        ## run all tests
	$(PYTEST)

check: .venv/dev       ## format, lint, types and tests: what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

bench: .venv/dev       ## measure, as ratios against a named peer in the same run
	$(BIN)/python benchmarks/run.py

torture: .venv/dev     ## kill it, feed it poison, fill its disk, run it for long; one table
	$(BIN)/python benchmarks/torture

format: .venv/dev      ## put the code in shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .demo

.venv/python:
	$(PYTHON) -m venv .venv
	touch $@

# torch comes first and alone: on machines whose index offers a CPU build, that one is taken
.venv/base: .venv/python pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) -e .
	touch $@

.venv/dev: .venv/base
	$(PIP) -e '.[all,dev]'
	touch $@
