"""Helpers for tests of methods in closed form: a few target samples of `cases.py`, and the outcome of a method on them."""

import torch
from adapting import transferred
from cases import dataset, surrogate


def solve(method, kind, samples, dtype=torch.float64):
    return transferred(surrogate(kind, dtype), dataset(kind, 60, 10, 0.4)[:samples], method, dataset(kind, 60, 1), steps=5)


def standardised(kind, samples):
    """Return the source, and target samples in its scaling."""
    source = surrogate(kind)
    return source, source.scaling.standardise(dataset(kind, samples, 10, 0.4))
