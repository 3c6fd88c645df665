# Two commands on a fresh machine: `make demo` and `make test`. Both set up what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-out

.PHONY: demo test soak check bench setup kernels clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server,report,test]'
	touch $@

demo: setup
	$(BIN)/seawall demo --out $(OUT)

check: setup
	$(BIN)/ruff check src tests examples
	$(BIN)/ruff format --check src tests examples
	$(BIN)/mypy
	$(BIN)/lint-imports

kernels: setup
	$(BIN)/python -c "from seawall.engine.kernels import load; load()"  # once, not in each of the test processes

test: check kernels
	$(BIN)/pytest -n 2 -m "not soak"

soak: kernels
	$(BIN)/pytest -n 2 -m soak -rP  # with the totals that the campaigns print

bench: setup
	$(BIN)/seawall bench

clean:
	rm -rf $(VENV) $(OUT) build dist .numba_cache
