# Every target installs what it needs into $(VENV) first and does nothing twice. Needs Python 3.11 or newer.
# Where the index would send a CUDA build of torch, name one that has the CPU build:
#   make demo TORCH_ARGS="--index-url URL"
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
TORCH_ARGS ?=
# Test processes; each computes on one thread.
JOBS ?= 2
PYTEST_ARGS ?=

BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := $(BIN)/python -m pip install -qq --constraint constraints.txt
TEST_EXTRAS := all,bench,test

.PHONY: help demo test lint docs pages clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   show a dream beside its simulator, and a policy that improves in it; writes demo/"
	@echo "make test   the tests, without the slow ones"
	@echo "make lint   ruff (bandit's rules among others), mypy, import-linter"
	@echo "make docs   the documentation, strictly, into docs/_build/html"
	@echo "make pages  runs the commands of the pages that are made to be run (two minutes)"
	@echo "make clean  remove what these targets made"

demo: $(STAMPS)/demo
	$(BIN)/dreamgym demo

test: $(STAMPS)/test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" $(PYTEST_ARGS)

lint: $(STAMPS)/test $(STAMPS)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(STAMPS)/test $(STAMPS)/docs
	rm -rf docs/api/generated
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

pages: $(STAMPS)/test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_docs.py

# torch first and alone, from the plain index, so that nothing later picks another build of it.
$(STAMPS)/torch: constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"dreamgym needs Python 3.11 or newer, {sys.executable} is {v.major}.{v.minor}: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq $(TORCH_ARGS) "$(TORCH)"
	mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo: $(STAMPS)/torch pyproject.toml constraints.txt
	$(PIP) --editable ".[calvin,cli,report]"
	touch $@

$(STAMPS)/test: $(STAMPS)/torch pyproject.toml constraints.txt
	$(PIP) --editable ".[$(TEST_EXTRAS)]"
	touch $@

$(STAMPS)/lint: $(STAMPS)/torch pyproject.toml constraints.txt
	$(PIP) --editable ".[lint]"
	touch $@

$(STAMPS)/docs: $(STAMPS)/torch pyproject.toml constraints.txt
	$(PIP) --editable ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist docs/_build docs/api/generated demo
