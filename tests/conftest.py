"""Before anything of ours is imported: check the array shapes that signatures state, with beartype.

Pipeline, curve and command line are left out: they answer wrong types in words of their own.
"""

import hypothesis
import matplotlib as mpl
import pytest
import torch
from jaxtyping import install_import_hook

CHECKED = (
    "acquisition",
    "arrays",
    "batches",
    "case",
    "choice",
    "cholesky",
    "choose",
    "dataset",
    "files",
    "intervals",
    "jacobian",
    "leave_one_out",
    "left_out",
    "linearise",
    "matching",
    "metrics",
    "models",
    "perturbation",
    "plan",
    "predictors",
    "pruning",
    "repeats",
    "resolution",
    "savings",
    "scaling",
    "spectrum",
    "stages",
    "surrogate",
    "tangent",
    "tasks",
    "training",
    "transfer",
    "weights",
)

mpl.use("Agg")
hypothesis.settings.register_profile("no deadline", deadline=None)  # what torch imports at first use takes seconds
hypothesis.settings.load_profile("no deadline")
# An int serves where a float is asked for (PEP 484's numeric tower).
install_import_hook(
    [*(f"pac_surrogate.{name}" for name in CHECKED), "simulators"],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)


torch.manual_seed(0)  # for what test files make while they are imported


@pytest.fixture(autouse=True)
def same_initial_weights():
    """Layers of torch's own draw from its default generator when they are built: the same numbers in every run."""
    torch.manual_seed(0)


def pytest_collection_modifyitems(items):
    """Put the longest files first: with a file to a worker, the last one to begin should be short."""
    longest = ("test_pairs", "test_methods", "test_comparisons", "test_training", "test_benchmarks")
    items.sort(key=lambda item: longest.index(item.path.stem) if item.path.stem in longest else len(longest))
