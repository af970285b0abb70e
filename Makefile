# `make heat` and `make test` work from a fresh clone with Python 3.11 or newer and nothing else; both reuse what stands.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# uv installs in seconds what pip installs in minutes, but it does not read pip's settings.
ifneq ($(PIP_FIND_LINKS),)
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif
ifneq ($(PIP_INDEX_URL),)
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
# Instructions that other processors have, for torch's own loops, for its linear algebra, and for that of NumPy and SciPy.
PROCESSORS := ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
	OPENBLAS_CORETYPE=Haswell OPENBLAS_CORETYPE=Prescott

.PHONY: heat test numerical test-processors test-ranges lint types clean

heat: $(VENV)/.installed
	$(BIN)/python benchmarks/heat_equation.py

test: lint types
	$(PYTEST)

# The tests whose outcome depends on floating-point arithmetic, on this processor or another: ATEN_CPU_CAPABILITY=default make numerical
numerical: $(VENV)/.installed-test
	$(PYTEST) -m numerical

# All settings are tried, whatever fails; the header of each run says what was in force.
test-processors: $(VENV)/.installed-test
	@failed=; for setting in $(PROCESSORS); do \
	    echo "== $$setting"; env $$setting $(MAKE) --no-print-directory numerical || failed="$$failed $$setting"; \
	done; test -z "$$failed" || { echo "failed under$$failed"; exit 1; }

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv -c constraints.txt

$(VENV)/.installed: $(BIN)/uv pyproject.toml constraints.txt
	$(INSTALL) -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL) -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
