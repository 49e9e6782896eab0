# Targets do their own set-up: a virtual environment first, then what each needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

$(VENV)/.ready: pyproject.toml $(wildcard tools/*.py)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --group dev -e .
	touch $@

.PHONY: venv
venv: $(VENV)/.ready
