# Two commands matter: `make demo` and `make test`. Both make .venv on first use.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Installed before anything that depends on it: one version everywhere, so that a seed gives the same model.
TORCH ?= torch==2.13.0

.PHONY: demo test check format clean

demo: $(VENV)/.demo-installed
	$(BIN)/synthscars demo

test: $(VENV)/.test-installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Lint, types and the import contract. Types and imports are checked on an installed copy:
# neither tool sees the package-dir mapping of pyproject.toml in the source tree.
check: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/installed
	$(BIN)/python -m pip install --quiet --no-deps --target build/installed .
	MYPYPATH=build/installed $(BIN)/mypy -p synthscars
	cd build/installed && PYTHONPATH=. $(abspath $(BIN))/lint-imports --config $(CURDIR)/pyproject.toml

format: $(VENV)/.test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[platform]"
	touch $@

$(VENV)/.test-installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[platform,legion,dev]"
	touch $@
