.PHONY: help install test docs notebooks campaign bench clean

PYTHON ?= python3

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/'

install: .venv/installed  ## make a virtual environment in .venv with everything that the tests need

.venv/installed: pyproject.toml
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

test: install  ## ruff, mypy, the documentation, the example of the README, the notebooks, then the tests
	@.ci/check

docs: install  ## build the documentation site into build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

notebooks: install  ## execute the notebooks; what they print and draw is not kept
	.venv/bin/python -m pytest --nbmake -n 2 notebooks

CAMPAIGN = tests/test_exhaustive.py tests/cpsat/test_exact.py tests/decode/test_decoder.py tests/bounds/test_tiled.py \
	tests/test_validate_mutations.py tests/test_validate_addresses.py tests/allocate/test_packing.py \
	tests/heuristics/test_heft.py
TIMES ?= 10

campaign: install  ## random instances against exhaustive search and plain programs, TIMES=10 times as many as the tests
	SSMOPT_CAMPAIGN=$(TIMES) .venv/bin/python -m pytest -n 2 -p no:cacheprovider $(CAMPAIGN)

bench: install  ## measure size and speed, and write the README's table of results anew
	.venv/bin/python benchmarks/size_and_speed.py
	.venv/bin/python benchmarks/results_table.py --write README.md

clean:  ## remove what the other targets made
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
