# make demo    set everything up, start an engine, show the four network modes, clean up
# make test    set everything up, check the code and run all tests
.PHONY: demo test check bench soak clean setup help

BIN := .venv/bin

help:
	@sed -n 's/^# //p' Makefile
	@echo "make check   format, lint, types, import rules, and the tests that need no root"
	@echo "make bench   measure against a real dockerd, and write docs/benchmarks.md"
	@echo "make soak    hunt for faults for an hour, and keep the result in docs/reliability.md"
	@echo "make clean   remove what the targets above made in this folder"

demo:
	scripts/setup run
	scripts/demo

test: check
	$(BIN)/pytest -m kernel

check:
	scripts/setup test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -m "not kernel"

bench:
	scripts/setup bench
	$(BIN)/python -m bench

soak:
	scripts/setup test
	$(BIN)/python -m tests.campaigns

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
