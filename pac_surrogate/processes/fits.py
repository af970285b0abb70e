"""Fits of Gaussian processes by maximum evidence, and what follows from them: weights, means and left-out residuals.

A level above another one is y = rho f(x) + b + delta(x) + noise, where f is known up to a posterior of its own:

    y ~ N(rho m + b, rho^2 V + k_delta + noise I),   m, V the posterior mean and covariance of f at the samples

The evidence of both levels is that of the lower one times this one; only the lower one's hyper-parameters are kept fixed here.
Source: Kennedy & O'Hagan, Biometrika 87 (2000); Le Gratiet & Garnier, Int. J. Uncertain. Quantif. 4 (2014), for the recursion.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pac_surrogate.data.repeats import repeated
from pac_surrogate.processes.covariance import JITTER, Shape
from pac_surrogate.processes.evidence import log_evidence, projected_inverse
from pac_surrogate.processes.maximise import maximise
from pac_surrogate.utilities.display import Shown

SEARCHED, FITTED = 100, 250  # samples of the searches; the time of a search grows with the cube of their number
# With more problems than these and more than SEARCHED samples, each is searched for with SEARCHED samples only, and from one
# start if it has no level below.
MANY = 8
STARTS = 5
FOLDS = 5  # the hyper-parameters are fitted again without each of these parts, for the residuals of its samples
ENTRIES = 2**22  # largest number of entries of the covariances that are held at once
SLOPES = (-20.0, 20.0)
# A discrepancy is known at a few samples only. The logarithms of its lengths are therefore normal around a common one, with
# this deviation.
LIKE = 0.5
LOWEST = 1e-6  # least amplitude of the discrepancy from which a search starts, relative to the variance of the values


@dataclass(frozen=True, eq=False, repr=False)
class Below(Shown):
    """The posterior of the level below at the samples.

    Attributes:
        mean: m.
        covariance: V.
    """

    mean: Float[Tensor, "problem sample"]
    covariance: Float[Tensor, "problem sample sample"]


@dataclass(frozen=True, eq=False, repr=False)
class Problems(Shown):
    """Processes that are fitted together: they have the same inputs and the same shape, and each has its own values.

    Attributes:
        shape: which hyper-parameters there are; with a level below, rho is one more, the last.
        z: inputs, standardised.
        values: samples of the outputs that share hyper-parameters.
        outputs: number of outputs, if the columns of the values stand for more of them; see `log_evidence`.
        seen: which samples each problem has.
        below: the level below, if there is one; then each problem has one output.
    """

    shape: Shape
    z: Float[Tensor, "sample dimension"]
    values: Float[Tensor, "problem sample output"]
    seen: Bool[Tensor, "problem sample"]
    outputs: int | None = None
    below: Below | None = None

    def first(self, count: int) -> "Problems":
        """Return the same problems with the first samples only."""
        if count >= len(self.z):
            return self
        below = self.below and Below(self.below.mean[:, :count], self.below.covariance[:, :count, :count])
        return Problems(self.shape, self.z[:count], self.values[:, :count], self.seen[:, :count], self.outputs, below)

    def __getitem__(self, some: slice) -> "Problems":
        """Return some of the problems."""
        below = self.below and Below(self.below.mean[some], self.below.covariance[some])
        return Problems(self.shape, self.z, self.values[some], self.seen[some], self.outputs, below)

    def covariance(
        self, parameters: Float[Tensor, "run parameter"], which: Int[Tensor, " run"]
    ) -> Float[Tensor, "run sample sample"]:
        """Return the covariance of the samples for each vector of hyper-parameters of a problem."""
        if self.below is None:
            return self.shape.covariance(parameters, self.z)
        own, slope = self.shape.covariance(parameters[:, :-1], self.z), parameters[:, -1, None, None]
        lower = slope.square() * self.below.covariance[which]
        return own + lower + torch.diag_embed(JITTER * len(self.z) * lower.diagonal(dim1=1, dim2=2))

    def residual(
        self, parameters: Float[Tensor, "run parameter"], which: Int[Tensor, " run"]
    ) -> Float[Tensor, "run sample output"]:
        """Return the values less rho m."""
        if self.below is None:
            return self.values[which]
        return self.values[which] - (parameters[:, -1, None] * self.below.mean[which])[:, :, None]

    def evidence(self, parameters: Float[Tensor, "run parameter"], which: Int[Tensor, " run"]) -> Float[Tensor, " run"]:
        """Return the log restricted likelihood for each vector of hyper-parameters of a problem."""
        covariance, residual = self.covariance(parameters, which), self.residual(parameters, which)
        return log_evidence(covariance, residual, outputs=self.outputs, seen=self.seen[which])


def search_operations(samples: int) -> float:
    """Return the operations of a call of a search, for `threads_for`: a factorisation makes many calls, which are short."""
    return float(min(samples, FITTED)) ** 3 / 10


def fit(problems: Problems) -> tuple[Float[Tensor, "problem parameter"], Float[Tensor, " problem"]]:
    """Return the hyper-parameters of greatest evidence of each problem, and the evidence.

    With a level below, the prior of the lengths is part of what is maximised, and of what is returned. With more than 100
    samples the search starts from several points with the first 100, and goes on from the best of them with the first 250;
    these should therefore be a random part.
    """
    start: Any = None
    many = len(problems.values) > MANY and len(problems.z) > SEARCHED
    for count in (SEARCHED, FITTED):
        part = problems.first(count)
        size = max(1, ENTRIES // (len(part.z) ** 2 * (1 if start is not None else STARTS)))
        own = [slice(first, first + size) for first in range(0, len(part.values), size)]
        found = [_search(part[some], None if start is None else start[some], many=many) for some in own]
        start, evidence = (torch.cat(parts) for parts in zip(*found, strict=True))
        if many or len(part.z) == len(problems.z):
            break
    return start, evidence


def _search(
    problems: Problems, start: Float[Tensor, "problem parameter"] | None, *, many: bool
) -> tuple[Float[Tensor, "problem parameter"], Float[Tensor, " problem"]]:
    """Return the best of several searches for each problem, or the only one if a start is given."""
    scaled, scale = _scaled(problems)
    starts = _starts(scaled, many=many) if start is None else _restored(scaled.shape, start, 1 / scale)[:, None]
    count = starts.shape[1]

    def value(points: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        parameters = points.detach().requires_grad_()
        with torch.enable_grad():
            found = scaled.evidence(parameters, which // count)
            if scaled.below is not None:
                found = found - unlikeness(scaled.shape, parameters)
            (gradient,) = torch.autograd.grad(found.sum(), parameters)
        finite = torch.isfinite(found.detach()) & torch.isfinite(gradient).all(1)
        return torch.where(finite, found.detach(), -torch.inf), torch.where(finite[:, None], gradient, 0.0)

    bounds = scaled.shape.bounds()
    if scaled.below is not None:
        bounds = torch.cat([bounds, torch.tensor(SLOPES, dtype=bounds.dtype)[:, None]], 1)
    points, reached = maximise(value, starts.flatten(0, 1), bounds)
    reached, points = reached.view(-1, count), points.view(-1, count, points.shape[1])
    best, rows = reached.argmax(1), torch.arange(len(points))
    return _restored(scaled.shape, points[rows, best], scale), reached[rows, best] - _logarithm(problems, scale)


def _scaled(problems: Problems) -> tuple[Problems, Float[Tensor, " problem"]]:
    """Return the problems with values of mean square 1 around their means, and the deviation by which they were divided."""
    kept = problems.seen.double()[:, :, None]
    number = kept.sum(1, keepdim=True).clamp_min(1.0)  # the first samples may be all those that a problem leaves out
    centred = (problems.values - (problems.values * kept).sum(1, keepdim=True) / number) * kept
    outputs = problems.values.shape[2] if problems.outputs is None else problems.outputs
    scale = (centred.square().sum((1, 2)) / (number[:, 0, 0] * outputs)).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    below = problems.below
    if below is not None:
        below = Below(below.mean / scale[:, None], below.covariance / scale.square()[:, None, None])
    return Problems(
        problems.shape, problems.z, problems.values / scale[:, None, None], problems.seen, problems.outputs, below
    ), scale


def _restored(
    shape: Shape, parameters: Float[Tensor, "problem parameter"], scale: Float[Tensor, " problem"]
) -> Float[Tensor, "problem parameter"]:
    """Return hyper-parameters of the values before they were divided."""
    variances = shape.variances.to(parameters)
    return parameters + torch.nn.functional.pad(variances, (0, parameters.shape[1] - len(variances))) * 2 * scale.log()[:, None]


def _logarithm(problems: Problems, scale: Float[Tensor, " problem"]) -> Float[Tensor, " problem"]:
    outputs = problems.values.shape[2] if problems.outputs is None else problems.outputs
    return outputs * (problems.seen.sum(1) - 1) * scale.log()


def _starts(problems: Problems, *, many: bool) -> Float[Tensor, "problem start parameter"]:
    shape, count = problems.shape, len(problems.values)
    if problems.below is None:
        starts = shape.starts()
        return (starts[1:2] if many else starts).expand(count, -1, -1)
    kept = problems.seen.double()
    number = kept.sum(1).clamp_min(1.0)

    def centred(values: Float[Tensor, "problem sample"]) -> Float[Tensor, "problem sample"]:
        return (values - ((values * kept).sum(1) / number)[:, None]) * kept

    x, y = centred(problems.below.mean), centred(problems.values[:, :, 0])
    square = x.square().sum(1)
    slope = torch.where(square > 0, (x * y).sum(1) / square.clamp_min(1e-300), 0.0).clamp(*SLOPES)
    left = ((y - slope[:, None] * x).square().sum(1) / number).clamp_min(LOWEST)
    related = shape.starts().expand(count, -1, -1) + shape.variances.to(left) * left.log()[:, None, None]
    related = torch.cat([related, slope[:, None, None].expand(-1, related.shape[1], 1)], 2)
    unrelated = torch.cat([shape.starts()[:1], torch.zeros(1, 1)], 1).expand(count, 1, -1)
    return torch.cat([related, unrelated.to(related)], 1)


def unlikeness(shape: Shape, parameters: Float[Tensor, "run parameter"]) -> Float[Tensor, " run"]:
    """Return minus the log prior of the lengths of a discrepancy, which are normal around a common one, up to a constant."""
    lengths = parameters[:, 1 : 1 + shape.groups[0][1]]
    return (lengths - lengths.mean(1, keepdim=True)).square().sum(1) / (2 * LIKE**2)


def weights_of(
    factor: Float[Tensor, "*run sample sample"], values: Float[Tensor, "*run sample output"]
) -> tuple[Float[Tensor, "*run sample output"], Float[Tensor, "*run output"]]:
    """Return P y, the weights of the samples in the posterior mean, and b, the mean of each output.

    Args:
        factor: Cholesky factor of the covariance of the samples.
        values: y.
    """
    solved = torch.cholesky_solve(torch.ones_like(values[..., :1]), factor)
    mean = (solved * values).sum(-2) / solved.sum((-2, -1))[..., None]
    # The solution has the layout of LAPACK; a copy read from a file has the other one, with which products round differently.
    return torch.cholesky_solve(values - mean[..., None, :], factor).contiguous(), mean


def safe_cholesky(covariance: Float[Tensor, "*run sample sample"]) -> Float[Tensor, "*run sample sample"]:
    """Return the Cholesky factor, after more noise where the matrix is singular in float64.

    Raises:
        ValueError: if a number is not finite.
    """
    diagonal = covariance.diagonal(dim1=-2, dim2=-1)
    factor, failed = torch.linalg.cholesky_ex(covariance)
    jitter = JITTER
    while bool((failed > 0).any()):
        jitter *= 10
        if jitter > 1:
            raise ValueError("the covariance of the samples is not finite")
        more = torch.where(failed > 0, jitter, 0.0)[..., None] * diagonal
        factor, failed = torch.linalg.cholesky_ex(covariance + torch.diag_embed(more))
    return factor


def left_out(
    factor: Float[Tensor, "problem sample sample"],
    values: Float[Tensor, "problem sample output"],
    group: Int[Tensor, " sample"],
) -> Float[Tensor, "problem sample output"]:
    """Return what the same process without the group of a sample leaves of it: [P_GG]^-1 [P y]_G; the mean is fitted anew.

    Args:
        factor: Cholesky factors of the covariances of the samples.
        values: y.
        group: number of each sample's input.
    """
    projection, _ = projected_inverse(factor, torch.ones_like(values[..., :1]))
    weights, _ = weights_of(factor, values)
    found = weights / projection.diagonal(dim1=1, dim2=2)[:, :, None]
    for members in repeated(group):
        block = projection[:, members][:, :, members]
        # Without noise, samples of one input make the block nearly singular, hence the pseudo-inverse.
        found[:, members] = torch.linalg.pinv(block, hermitian=True) @ weights[:, members]
    return found


def matrix(values: Any) -> Float[Tensor, "sample column"]:
    """Return a copy of a matrix in float64, as fits compute with it."""
    return torch.from_numpy(np.array(values, dtype=np.float64))
