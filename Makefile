.PHONY: help install lint types test check example bench clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(BIN)/activate:
	$(PYTHON) -m venv $(VENV)

install: $(BIN)/activate  ## make a virtual environment with everything that the tests need
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'

lint: install  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install  ## mypy, strict
	$(BIN)/mypy

example: install  ## the script of the README
	cd examples && ../$(BIN)/python first_schedule.py

test: lint types example  ## lint, types, the example, then the tests
	$(BIN)/python -m pytest -n 2

bench: install  ## size and speed, and the table of results
	$(BIN)/python benchmarks/size_and_speed.py
	$(BIN)/python benchmarks/results_table.py

clean:  ## remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
