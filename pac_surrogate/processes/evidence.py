"""The restricted likelihood of samples with a Gaussian covariance, with its derivatives.

    y ~ N(H b, R) with a flat prior on b:
    log p(y) = -1/2 [ y'P y + log|R| + log|H'R^-1 H| + (n - m) log 2 pi ],   P = R^-1 - R^-1 H (H'R^-1 H)^-1 H'R^-1
    d log p / dR = 1/2 (P y y'P - P),   d log p / dy = -P y

Without a basis H (m = 0) it is the usual evidence, with P = R^-1. Columns of y are independent and share R.
Sources: Rasmussen & Williams (2006), section 2.7 and equation 5.9; Harville, Biometrika 61 (1974) 383-385.
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class _Evidence(torch.autograd.Function):
    """The function of the module's docstring; derivatives in closed form cost a third of those through the factorisation."""

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, values: Tensor, basis: Tensor, columns: float) -> Tensor:
        factor, failed = torch.linalg.cholesky_ex(covariance)
        factor = torch.where((failed > 0)[:, None, None], torch.eye(covariance.shape[-1]).to(factor), factor)
        projection, logarithms = projected_inverse(factor, basis)
        # From the factor, as the products with an explicit inverse lose all digits where a smooth process is nearly singular.
        solved = torch.cholesky_solve(basis, factor)
        inner, _ = torch.linalg.cholesky_ex(basis.mT @ solved)
        weights = torch.cholesky_solve(values - basis @ torch.cholesky_solve(solved.mT @ values, inner), factor)
        found = -0.5 * (values * weights).sum((1, 2)) - columns * logarithms
        ctx.columns = columns
        ctx.save_for_backward(projection, weights)
        return torch.where(failed > 0, -torch.inf, found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        projection, weights = ctx.saved_tensors
        (gradient,) = gradients
        slope = 0.5 * (weights @ weights.transpose(1, 2) - ctx.columns * projection)
        return gradient[:, None, None] * slope, -gradient[:, None, None] * weights, None, None


def projected_inverse(
    factor: Float[Tensor, "run sample sample"], basis: Float[Tensor, "run sample column"]
) -> tuple[Float[Tensor, "run sample sample"], Float[Tensor, " run"]]:
    """Return P, and (log|R| + log|H'R^-1 H|) / 2, from the Cholesky factor of R."""
    inverse = torch.cholesky_inverse(factor)
    logarithms = factor.diagonal(dim1=1, dim2=2).log().sum(1)
    if basis.shape[2] == 0:
        return inverse, logarithms
    solved = inverse @ basis
    inner, _ = torch.linalg.cholesky_ex(basis.transpose(1, 2) @ solved)
    half = torch.linalg.solve_triangular(inner, solved.transpose(1, 2), upper=False)
    return inverse - half.transpose(1, 2) @ half, logarithms + inner.diagonal(dim1=1, dim2=2).log().sum(1)


def log_evidence(
    covariance: Float[Tensor, "run sample sample"],
    values: Float[Tensor, "run sample output"],
    *,
    outputs: int | None = None,
    seen: Bool[Tensor, "run sample"] | None = None,
    basis: Float[Tensor, "sample column"] | None = None,
) -> Float[Tensor, " run"]:
    """Return the log restricted likelihood of each run; -inf where the covariance is not positive definite in float64.

    Args:
        covariance: R, with the noise.
        values: samples of each output; with more outputs than samples, other columns Y with the same Y Y' serve as well.
        outputs: number of outputs, by default the number of columns.
        seen: which samples each run has; the others have no influence.
        basis: H, by default one column of ones, an unknown constant mean of each output.
    """
    runs, samples, columns = values.shape
    means = torch.ones(samples, 1, dtype=values.dtype, device=values.device) if basis is None else basis
    unknown, rows = means.shape[1], means.expand(runs, -1, -1)
    number = torch.full((runs,), samples - unknown, dtype=values.dtype, device=values.device)
    if seen is not None:
        # A sample that a run has not seen gets variance 1, covariance 0 and value 0: it changes no determinant and no product.
        kept = seen.to(values)
        covariance = covariance * (kept[:, :, None] * kept[:, None, :]) + torch.diag_embed(1 - kept)
        values, rows, number = values * kept[:, :, None], rows * kept[:, :, None], kept.sum(1) - unknown
    count = columns if outputs is None else outputs
    found: Tensor = _Evidence.apply(covariance, values, rows, float(count))
    return found - 0.5 * count * number * math.log(2 * math.pi)
