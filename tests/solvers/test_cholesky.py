"""Cholesky factors: correct where they exist; every singular matrix is refused, regardless of its rounding errors."""

import pytest
import torch
from drawing import normal

from pac_surrogate.kernels.cholesky import cholesky

EPS = torch.finfo(torch.float64).eps


def test_the_factor_reproduces_the_matrix_alone_and_in_a_batch():
    root = normal(5, 12, 20)
    matrix = root @ root.mT
    factor, singular = cholesky(matrix)
    assert not singular.any()
    # Higham, theorem 10.3: L L' is A up to (n + 1) eps sqrt(A_ii A_jj). The product L L' adds as much again: 2 x 13 = 26.
    size = matrix.diagonal(dim1=1, dim2=2).sqrt()
    assert ((factor @ factor.mT - matrix).abs() <= 26 * EPS * size[:, :, None] * size[:, None, :]).all()
    torch.testing.assert_close(cholesky(matrix[0])[0], factor[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("rows", [2, 8, 60])
def test_no_singular_matrix_is_accepted_because_of_rounding(rows):
    """A hundred matrices with two equal rows, as of repeated inputs, and a hundred of rank n - 1; both also in random units."""
    root = normal(100, rows, rows + 3)
    root[:, -1] = root[:, 0]
    short = normal(100, rows, rows - 1, seed=1)
    units = 10.0 ** (5 * normal(100, rows, 1, seed=2))
    for factors in (root, short, root * units, short * units):
        assert cholesky(factors @ factors.mT)[1].all()
    assert not cholesky(torch.eye(rows).double() * units.square())[1].any()


@pytest.mark.parametrize(("least", "refused"), [(180, True), (220, False)])
def test_the_smallest_eigenvalue_must_exceed_a_hundred_times_n_eps(least, refused):
    """For two rows the limit is 200 eps.

    With a correlation of 1 - k eps the smallest eigenvalue is k eps; the factorisation changes it by 3 eps or less.
    """
    for correlation in (1 - least * EPS, least * EPS - 1):
        matrix = torch.tensor([[1.0, correlation], [correlation, 1.0]], dtype=torch.float64)
        assert bool(cholesky(matrix)[1]) is refused


def test_an_indefinite_matrix_and_one_that_is_not_finite_are_refused_and_an_empty_one_is_not():
    assert bool(cholesky(torch.tensor([[1.0, 2.0], [2.0, 1.0]]))[1])
    assert bool(cholesky(torch.tensor([[1.0, 0.0], [0.0, torch.nan]]))[1])
    assert not bool(cholesky(torch.zeros(0, 0).double())[1])
