# Each target sets up all it needs from a bare clone: Python 3.11+, make and a compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint types pytest docs lock clean

demo: $(READY)
	$(BIN)/melafuse demo --out runs/demo

test: lint types pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

pytest: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

docs: $(READY)
	$(BIN)/python docs/make_pages.py

# The stamp is newer than what it was installed from, or the installation is repeated.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,offline-weights,cluster,tensorboard,albumentations,serve,survival]'
	touch $@

# Resolves the newest versions in a fresh environment and writes them down.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --editable '.[dev,offline-weights,cluster,tensorboard,albumentations,serve,survival]'
	echo '# Versions that were tested together. Used by `make`; regenerate with `make lock`.' > constraints.txt
	build/lock/bin/python -m pip freeze --exclude-editable | grep -v '^pip==' >> constraints.txt
	rm -rf build/lock

clean:
	rm -rf $(VENV) build runs
