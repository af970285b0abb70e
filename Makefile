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

.PHONY: heat test docs browser links numerical test-processors test-ranges soak package lint types clean

heat: $(VENV)/.installed
	$(BIN)/python benchmarks/heat_equation.py

test: lint types
	$(PYTEST)

# The book, whose code runs while it is built: docs/_build/html/index.html
docs: $(VENV)/.installed-test
	rm -rf docs/gallery  # pages of examples that exist no more
	$(BIN)/python -m sphinx -j auto -W --keep-going -b html docs docs/_build/html

# Every page of the built book in an installed Chromium, at the width of a telephone and of a desk.
browser:
	$(PYTHON) tests/browser.py docs/_build/html

# The links of the book to other hosts, which are asked for each of them.
links: $(VENV)/.installed-test
	BOOK_EXECUTION=off $(BIN)/python -m sphinx -q -b linkcheck docs docs/_build/links

# The tests whose outcome depends on floating-point arithmetic, on this processor or another: ATEN_CPU_CAPABILITY=default make numerical
numerical: $(VENV)/.installed-test
	$(PYTEST) -m numerical

# All settings are tried, whatever fails; the header of each run says what was in force.
test-processors: $(VENV)/.installed-test
	@failed=; for setting in $(PROCESSORS); do \
	    echo "== $$setting"; env $$setting $(MAKE) --no-print-directory numerical || failed="$$failed $$setting"; \
	done; test -z "$$failed" || { echo "failed under$$failed"; exit 1; }

# The fast tests of what depends on other packages, with the oldest versions that pyproject.toml allows and with the newest Python
# that uv finds here. torch is that of constraints.txt, for an older one may be had as a CUDA build of gigabytes only:
# make test-ranges TORCH=torch==2.8.0 takes the oldest. It is installed first and by itself, since of 2.13.0 and 2.13.0+cpu the
# first is the older. The oldest of the others stand beside the newest of what they need, whose deprecations are no concern.
TORCH ?= $(shell grep '^torch==' constraints.txt)
OLDEST ?= 3.11
NEWEST ?= $(shell $(BIN)/uv python list --only-installed 2>/dev/null | sed -n 's/^cpython-\([0-9.]*\)-.*/\1/p' | sort -V | tail -1)
RANGES := $(patsubst %,tests/%.py,curves/test_curve curves/test_sample_plots curves/test_savings data/test_dataset data/test_metrics \
	data/test_columns data/test_labelled files/test_files files/test_missing_values formats/test_array_files formats/test_kinds \
	formats/test_large_files formats/test_pdebench formats/test_refused_arrays formats/test_tables formats/test_the_well \
	methods/test_co_kriging methods/test_gaussian_process models/test_models pipeline/test_cli simulators/test_darcy \
	simulators/test_friedman simulators/test_random_inputs sklearn_interface/test_estimator_checks \
	sklearn_interface/test_named_columns sklearn_interface/test_transfer_regressor surrogates/test_sharing surrogates/test_surrogate)
test-ranges: $(VENV)/.installed
	$(BIN)/uv venv --quiet --clear --python $(OLDEST) .venv-oldest
	$(BIN)/uv pip install --quiet --python .venv-oldest/bin/python $(TORCH)
	$(BIN)/uv pip install --quiet --python .venv-oldest/bin/python --resolution lowest-direct -e '.[test]'
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest -n auto --dist loadfile $(RANGES) \
	    -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning -W ignore::FutureWarning
	$(BIN)/uv venv --quiet --clear --python $(NEWEST) .venv-newest
	$(BIN)/uv pip install --quiet --python .venv-newest/bin/python -c constraints.txt -e '.[test]'
	OMP_NUM_THREADS=1 .venv-newest/bin/python -m pytest -n auto --dist loadfile $(RANGES)

# Bad days by the hundred: 1,000 damaged files of each kind, kills, full disks, foreign and vanishing folders, two processes at once.
soak: $(VENV)/.installed-test
	$(BIN)/python tests/fuzz.py --mutants 1000
	$(BIN)/python tests/soak.py

# What a release needs: sdist and wheel, and the README's first example with the wheel alone in an empty environment.
package: $(VENV)/.installed
	$(INSTALL) build
	$(BIN)/python tests/package.py

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
	$(INSTALL) -e '.[test,docs]'
	$(INSTALL) --no-deps the_well  # it pins an old fsspec, which its loader does not need
	touch $@

clean:
	rm -rf $(VENV) .venv-oldest .venv-newest docs/_build docs/gallery .pytest_cache .mypy_cache .ruff_cache
