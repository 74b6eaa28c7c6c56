# Each target sets up all it needs from a bare clone: Python 3.11+, make and a compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint types pytest docs bench gpu notebook lock clean

demo: $(READY)
	$(BIN)/melafuse demo --out runs/demo

test: lint types pytest docs

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# Two workers on two cores: libraries that start threads of their own would only wait for each other.
# The processes that tests start take the modules as an earlier one compiled them.
pytest: $(READY)
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal

docs: $(READY)
	$(BIN)/python docs/make_pages.py
	$(BIN)/python docs/make_site.py

# Everything beside its baseline; `make bench QUICK=1` takes minutes.
bench: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks $(if $(QUICK),--quick)

# At most ten minutes on one card; without one, what a CPU can show.
gpu: $(READY)
	$(BIN)/python -m benchmarks.gpu

notebook: $(READY)
	$(BIN)/python docs/run_notebook.py

# The stamp is newer than what it was installed from, or the installation is repeated. What is
# installed is what the lock says, byte for byte; `make PLAIN=1` takes its versions only, for an
# index that builds its own files.
$(READY): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
ifdef PLAIN
	sed -e '/--hash=/d' -e 's/ \\$$//' requirements.lock > $(VENV)/versions.txt
	$(BIN)/python -m pip install --quiet --requirement $(VENV)/versions.txt
else
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
endif
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Resolves the newest versions for every platform and writes them down, with the digests of all
# files that an index offers of each.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv
	echo '# Versions that were tested together, and the digests of their files. Made by `make lock`, used by `make`.' > build/requirements.lock
	build/lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate --all-extras pyproject.toml >> build/requirements.lock
	mv build/requirements.lock requirements.lock
	rm -rf build/lock

clean:
	rm -rf $(VENV) build runs
