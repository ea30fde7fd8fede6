# `make check` is what CI runs first: format, lint, types, fast tests.
PYTHON ?= python
# `make bench` shows that the benchmarks work; BENCH='--out results.json' measures everything.
BENCH ?= --short --only chainrule

.PHONY: check format lint types test slow browser bench

check: lint types test

format:
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy

# Byte code is written even where Python is told not to: each process would make all of it anew.
test: export PYTHONDONTWRITEBYTECODE :=
test: export KEPT_CACHE_DIR := $(CURDIR)/.compiled
test:
	$(PYTHON) -m pytest -q -n auto --dist worksteal --hypothesis-profile few \
		-m "not slow and not reference and not browser"

slow:
	$(PYTHON) -m pytest -q -n auto --dist worksteal \
		-m "(slow or reference or hypothesis) and not browser"

browser:
	REQUIRE_BROWSER=1 $(PYTHON) -m pytest -q -n auto -m browser tests/browser

bench:
	$(PYTHON) benchmarks/run.py $(BENCH)
