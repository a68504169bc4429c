# `make demo` and `make test` do everything on a new machine: environment, install, run.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-fast lint docs hooks clean

demo: .venv/installed
	$(BIN)/harness run --plugin malong_curriculum
	$(BIN)/harness leaderboard --data synthweb

test: .venv/installed-test
	$(BIN)/pytest

# Without the tests that train whole runs or start other processes.
test-fast: .venv/installed-test
	$(BIN)/pytest -m 'not slow'

lint: .venv/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site in site/; a broken link is an error.
docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# git then checks the subject of each commit.
hooks:
	git config core.hooksPath .githooks

# One marker for each set of extras, written only when its install went through.
.venv/installed: EXTRAS :=
.venv/installed-test: EXTRAS := [test]
.venv/installed-lint: EXTRAS := [test,lint]
.venv/installed-docs: EXTRAS := [docs]
.venv/installed .venv/installed-test .venv/installed-lint .venv/installed-docs: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -e '.$(EXTRAS)'
	touch $@

clean:
	rm -rf .venv
