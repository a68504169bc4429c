# `make demo` and `make test` do everything on a fresh machine: environment, install, run.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

demo: .venv/installed
	$(BIN)/harness run --plugin malong_curriculum
	$(BIN)/harness leaderboard --data synthweb

test: .venv/installed-test
	$(BIN)/pytest

lint: .venv/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One marker for each set of extras, written only when its install went through.
.venv/installed: EXTRAS :=
.venv/installed-test: EXTRAS := [test]
.venv/installed-lint: EXTRAS := [test,lint]
.venv/installed .venv/installed-test .venv/installed-lint: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -e '.$(EXTRAS)'
	touch $@

clean:
	rm -rf .venv
