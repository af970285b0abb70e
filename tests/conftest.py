"""Make beartype check the array shapes that signatures state; this is set up before the package is imported.

Pipeline, curve and command line are left out, because they report wrong types in their own messages.
"""

import functools
import os
import subprocess
import sys
from collections import Counter

import hypothesis
import jaxtyping
import matplotlib as mpl
import numpy as np
import pytest
import scipy.linalg  # noqa: F401  # loads the linear algebra that the header names
import threadpoolctl
import torch
from jaxtyping import install_import_hook

CHECKED = (
    *(
        "data",
        "engines",
        "files",
        "formats",
        "intervals",
        "kernels",
        "methods",
        "models",
        "perturbation",
        "plan",
        "predictors",
        "pruning",
    ),
    *("runner", "solvers", "surrogates", "curves.savings", "selection", "utilities.resolution"),
)

CALLS = 20  # calls of each function that are checked in a test: later steps of a long loop have the same types
_calls: Counter[object] = Counter()
_jaxtyped = jaxtyping.jaxtyped


def _first_calls(*arguments, **options):
    """Decorate as jaxtyping does, but check only the first calls of a function, and no functions defined inside others.

    An inner function is created again in every call of the outer one, and its check would be compiled each time. That takes
    milliseconds, whereas a training step takes less than one.
    """
    decorate = _jaxtyped(*arguments, **options)

    def around(subject):
        if "<locals>" in subject.__qualname__:
            return subject
        checked = decorate(subject)
        if isinstance(subject, type):
            return checked

        @functools.wraps(subject)
        def call(*given, **named):
            _calls[call] += 1
            return (checked if _calls[call] <= CALLS else subject)(*given, **named)

        return call

    return around


mpl.use("Agg")
hypothesis.settings.register_profile("no deadline", deadline=None)  # imports of torch at its first use take seconds
hypothesis.settings.load_profile("no deadline")
jaxtyping.jaxtyped = _first_calls
# An int is accepted where a float is annotated (the numeric tower of PEP 484).
install_import_hook(
    [*(f"pac_surrogate.{name}" for name in CHECKED), "simulators"],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)


torch.manual_seed(0)  # for objects that test files create on import


@pytest.fixture(autouse=True)
def same_initial_weights():
    """Seed torch's default generator, from which its layers draw initial weights, so that every run has the same numbers."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def types_checked_anew():
    """Reset the counts, so that every test checks the types of its own first calls."""
    _calls.clear()


@pytest.fixture(autouse=True)
def numbers_of_its_own(request, monkeypatch):
    """Give each test a new generator, of seed 0, for each of its module: its numbers do not depend on the tests before it."""
    for name, value in list(vars(request.module).items()):
        if isinstance(value, np.random.Generator):
            monkeypatch.setattr(request.module, name, np.random.default_rng(0))


# A test is numerical if its outcome depends on floating-point arithmetic. The exceptions are tests of text, files and the rules
# of the repository, and tests too slow for a sweep over processors. A new test is numerical unless it is named here.
NOT_NUMERICAL = (
    *("test_cli.py", "test_cost.py", "test_dataset.py", "test_files.py", "test_house.py", "test_missing_values.py"),
    *("test_benchmark_command.py", "test_sample_plots.py", "test_simulation_speed.py", "test_words.py"),
    *("test_api.py", "test_book.py", "test_browser.py", "test_docstrings.py", "test_file_kinds.py"),
    *("tests/formats/", "test_columns.py", "test_labelled.py", "test_large_data_files.py", "test_round_trips.py"),
    *("test_c_header.py", "test_files_on_the_command_line.py", "test_files_study.py"),
    # Tests that take minutes; other tests cover the same arithmetic.
    *("test_benchmarks.py", "test_comparisons.py", "test_memory.py", "test_methods.py", "test_pairs.py", "test_sharing.py"),
    *("test_deploy.py", "test_stored.py", "test_stored_deploy.py", "test_verification.py"),
    *(f"test_numpy_export.py::test_{name}" for name in ("any_names", "large_values", "the_same_export", "wrong_inputs")),
    *(f"test_onnx_export.py::test_{name}" for name in ("a_package", "any_names", "double", "the_same_export")),
    "test_real_pairs.py::test_a_comparison_prints_both_tables_and_writes_the_means",
    "test_prepare.py::test_a_set_point_of_the_source_has_the_scale_of_the_target_in_any_unit",
    "test_choose.py::test_lines_without_a_sample_are_those_of_the_others[3-1000-True]",
    "test_repeats.py::test_repeats_of_a_noisy_measurement_inform_the_noise_estimate",
    "test_tangent.py::test_kernels_are_products_of_the_derivatives",
    "test_training.py::test_a_run_in_a_stack_of_mixed_sizes_is_the_run_alone[CNN]",
)


def pytest_collection_modifyitems(items):
    """Mark the numerical tests, and put the longest files first: each worker takes one file, and the last should be short."""
    for item in items:
        if not any(name in item.nodeid for name in NOT_NUMERICAL):
            item.add_marker("numerical")
    longest = ("test_pairs", "test_methods", "test_comparisons", "test_training", "test_benchmarks")
    items.sort(key=lambda item: longest.index(item.path.stem) if item.path.stem in longest else len(longest))


def pytest_report_header():
    """Report the libraries and the processor instructions that are in use, regardless of those requested."""
    openblas = [library for library in threadpoolctl.threadpool_info() if library["internal_api"] == "openblas"]
    kernels = sorted({f"{library['prefix']} {library['version']} for {library['architecture']}" for library in openblas})
    return f"processor: torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}; {_mkl()}; {'; '.join(kernels)}"


def _mkl():
    """Return the processor instructions of MKL, which it prints on first use if an environment variable requests it."""
    if not torch.backends.mkl.is_available():
        return "no MKL"
    if "MKL_ENABLE_INSTRUCTIONS" not in os.environ:
        return "MKL as it chooses"
    product = "import torch; torch.ones(64, 64) @ torch.ones(64, 64)"
    done = subprocess.run(
        [sys.executable, "-c", product], env=os.environ | {"MKL_VERBOSE": "1"}, capture_output=True, text=True, check=True
    )
    first = done.stdout.partition("\n")[0]
    return first.partition("architecture ")[2].partition(" enabled")[0] or first
