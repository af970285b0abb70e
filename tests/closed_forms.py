"""What tests of methods in closed form share: a few samples of the target of `cases.py`, and what a method makes of them."""

import torch
from adapting import transferred
from cases import dataset, surrogate


def solve(method, kind, samples, dtype=torch.float64):
    return transferred(surrogate(kind, dtype), dataset(kind, 60, 10, 0.4)[:samples], method, dataset(kind, 60, 1), steps=5)


def standardised(kind, samples):
    """The source, and samples of the target in its scales."""
    source = surrogate(kind)
    return source, source.scaling.standardise(dataset(kind, samples, 10, 0.4))
