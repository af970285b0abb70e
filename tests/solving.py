"""Helpers for tests of simulators: grids in double precision, observed orders, draws, and the errors that solvers report."""

import math
from itertools import pairwise

import pytest
import torch
from drawing import generator

from simulators.numerics.step_error import LostSolutionError, tolerate

LENGTH = 2.0  # not 1, so that a forgotten factor shows


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def grid(points, length=1.0):
    """Return the points of a periodic grid."""
    return torch.arange(points, dtype=torch.float64) * length / points


def centres(cells, length=LENGTH):
    """Return the centres of equal cells."""
    return (torch.arange(cells, dtype=torch.float64) + 0.5) * length / cells


def root_mean_square(values):
    return float(values.square().mean().sqrt())


def orders(errors):
    """Return the observed orders of convergence from errors with successively halved steps."""
    return [math.log2(float(coarse / fine)) for coarse, fine in pairwise(errors)]


def drawn(ensemble, samples=2, seed=0):
    """Draw random inputs of an ensemble."""
    return ensemble.draw(generator(seed), samples)


def refusal_of(solve, *given, **options):
    """Return the exception in which a solver reports its error when no error is tolerated."""
    with pytest.raises(LostSolutionError) as refused, tolerate(0):
        solve(*given, **options)
    return refused.value
