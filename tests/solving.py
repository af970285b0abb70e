"""What tests of simulators share: grids in double precision, observed orders, draws, and what a solver says of its error."""

import math
from itertools import pairwise

import pytest
import torch
from drawing import generator

from simulators.numerics.step_error import LostSolutionError, tolerate

LENGTH = 2.0  # not 1, so that a factor forgotten shows


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def grid(points, length=1.0):
    """The points of a periodic grid."""
    return torch.arange(points, dtype=torch.float64) * length / points


def centres(cells, length=LENGTH):
    """The centres of equal cells."""
    return (torch.arange(cells, dtype=torch.float64) + 0.5) * length / cells


def root_mean_square(values):
    return float(values.square().mean().sqrt())


def orders(errors):
    """The observed orders of convergence, of errors with steps that are halved one after another."""
    return [math.log2(float(coarse / fine)) for coarse, fine in pairwise(errors)]


def drawn(ensemble, samples=2, seed=0):
    """Random inputs of an ensemble."""
    return ensemble.draw(generator(seed), samples)


def refusal_of(solve, *given, **options):
    """What a solver says of its error where none is tolerated."""
    with pytest.raises(LostSolutionError) as refused, tolerate(0):
        solve(*given, **options)
    return refused.value
