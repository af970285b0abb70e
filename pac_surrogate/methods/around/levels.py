"""The fit of a target's samples on top of the processes of a source's samples."""

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.repeats import groups_of
from pac_surrogate.methods.around.source_process import with_parameters
from pac_surrogate.predictors import Autoregressive, LeftOut, Processes
from pac_surrogate.processes import joint
from pac_surrogate.processes.covariance import KERNELS, QUADRATIC, Shape
from pac_surrogate.processes.fits import (
    FOLDS,
    MANY,
    Below,
    Problems,
    fit,
    left_out,
    matrix,
    safe_cholesky,
    search_operations,
    weights_of,
)
from pac_surrogate.utilities.process import threads_for

DISCREPANCIES = (*KERNELS, QUADRATIC)
Factors = list[Float[Tensor, "low low"]]
LEAST_FRACTION = 0.01  # members of a smaller weight are left out


def around(
    base: Processes,
    x: Float[Tensor, "sample input"],
    y: Float[Tensor, "sample output"],
    factors: "Factors | None" = None,
) -> Autoregressive:
    """Return the co-kriging of standardised target samples on top of the source's processes.

    With at most 250 samples on both sides together, the hyper-parameters of both are then fitted together.

    Args:
        base: the processes.
        x: standardised inputs.
        y: standardised outputs.
        factors: `base.factor(c)` of each component, if they are known.
    """
    values, seen = _components(base, y), torch.ones(1, len(x), dtype=torch.bool)
    factors = _factors(base) if factors is None else factors
    posed = _posed(base, factors, x, values, seen)
    parameters, fractions = _fitted(posed)
    kept = fractions >= LEAST_FRACTION
    of, which = torch.nonzero(kept.T).T  # a member is a component with a kernel; those of one component are neighbours
    kernels = tuple(DISCREPANCIES[int(one)] for one in which)
    kept_fractions = torch.where(kept, fractions, 0.0)
    kept_fractions = kept_fractions / kept_fractions.sum(0)
    members, own, values = base.members(of), parameters[which, of], values[of]
    if len(base.points) + len(x) <= joint.SAMPLES and len(base.basis) <= MANY:
        members, own = _refined(members, posed.shape, kernels, own, x, values)
        member_factors = _factors(members)
    else:
        member_factors = [factors[int(c)] for c in of]
    posed = _posed(members, member_factors, x, values, seen)
    weights, mean = weights_of(safe_cholesky(_covariance(posed, kernels, own)), posed.residual(own, torch.arange(len(of))))
    rho, base_weights, constants = own[:, -1], [], []
    for m, slope in enumerate(rho):
        # C(x, points) w = k(x, points) w - k(x, base points) [R^-1 k w + R^-1 1 u] + u, u = (1 - 1'R^-1 k) w / 1'R^-1 1
        cross = members.kernel(m, members.points, x) @ weights[m]
        solved = torch.cholesky_solve(torch.cat([cross, torch.ones_like(cross)], 1), member_factors[m])
        unknown = (weights[m].sum() - solved[:, 0].sum()) / solved[:, 1].sum()
        base_weights.append(slope * members.weights[:, m] - slope**2 * (solved[:, 0] + unknown * solved[:, 1]))
        constants.append(slope * members.mean[m] + mean[m, 0] + slope**2 * unknown)
    remainder = y - base.offset
    remainder = remainder - remainder @ base.basis.T @ base.basis
    amplitudes, inverse, noise = posed.shape.decode(own[:, :-1], len(x))
    return Autoregressive(
        base=members,
        offset=base.offset + remainder.mean(0),
        points=x,
        weights=weights[:, :, 0].T.contiguous(),
        mean=torch.stack(constants),
        rho=rho.contiguous(),
        amplitudes=amplitudes[:, 0].contiguous(),
        inverse_lengths=inverse[:, 0, 0].contiguous(),
        noise=noise,
        kernels=kernels,
        base_weights=torch.stack(base_weights, 1),
        fractions=kept_fractions[which, of],
        component=of,
    )


def co_kriged(base: Processes, data: Dataset) -> LeftOut:
    """Return the co-kriging of standardised target samples on top of the source's processes, and its leave-one-out residuals.

    A sample is left out of the level's mean and process, and its fold (every fifth input) is left out of the fit of slope,
    hyper-parameters and fractions of the kernels, as those that have seen a sample predict it far too well. The residuals are
    those of the two fits one after the other.
    """
    x, y = matrix(data.input_matrix), matrix(data.output_matrix)
    group, values = groups_of(x), _components(base, y)
    fold = group % FOLDS
    seen = torch.stack([fold != held_out for held_out in range(int(fold.max()) + 1)])
    factors = _factors(base)
    posed = _posed(base, factors, x, values, seen)
    parameters, fractions = _fitted(posed)
    total = torch.zeros(len(seen) * len(values), len(x), 1, dtype=torch.float64)
    for kernel, own, fraction in zip(DISCREPANCIES, parameters, fractions, strict=True):
        covariance = _covariance(posed, (kernel,) * len(own), own)
        residual = posed.residual(own, torch.arange(len(own)))
        total += fraction[:, None, None] * left_out(safe_cholesky(covariance), residual, group)
    errors = total[:, :, 0].view(len(seen), len(values), len(x))
    return LeftOut(around(base, x, y, factors), errors[fold, :, torch.arange(len(x))] @ base.basis)


def _components(base: Processes, y: Float[Tensor, "sample output"]) -> Float[Tensor, "component sample 1"]:
    """Return the values of each component."""
    return ((y - base.offset) @ base.basis.T).T[:, :, None]


def _factors(base: Processes) -> Factors:
    """Return the Cholesky factor of the samples of each component."""
    with threads_for(float(len(base.points)) ** 3):
        return [base.factor(c) for c in range(len(base.basis))]


def _posed(
    base: Processes,
    factors: Factors,
    x: Float[Tensor, "sample input"],
    values: Float[Tensor, "component sample 1"],
    seen: Bool[Tensor, "set sample"],
) -> Problems:
    """Return the problems of all components for each set of samples, as yet with one kernel."""
    sets, components = len(seen), len(values)
    with threads_for(float(len(base.points)) ** 3):
        covariance = torch.stack([base.covariance(c, x, factor) for c, factor in enumerate(factors)])
    below = Below(base.components(x).T.repeat(sets, 1), covariance.repeat(sets, 1, 1))
    shape = Shape.suited(DISCREPANCIES[0], x.shape[1], len(x))
    return Problems(shape, x, values.repeat(sets, 1, 1), seen.repeat_interleave(components, 0), below=below)


def _with_kernel(posed: Problems, kernel: str) -> Problems:
    return dataclasses.replace(posed, shape=dataclasses.replace(posed.shape, kernel=kernel))


def _fitted(posed: Problems) -> tuple[Float[Tensor, "kernel run parameter"], Float[Tensor, "kernel run"]]:
    """Fit the upper level to each set of samples with each kernel; a run is a component of one of the sets.

    Returns:
        The hyper-parameters with rho, and the fractions of the kernels, which are in the ratio of their evidence.
    """
    with threads_for(search_operations(len(posed.z))):
        fits = [fit(_with_kernel(posed, kernel)) for kernel in DISCREPANCIES]
    fractions = torch.softmax(torch.stack([evidence for _, evidence in fits]), 0)
    return torch.stack([parameters for parameters, _ in fits]), fractions


def _covariance(
    posed: Problems, kernels: Sequence[str], parameters: Float[Tensor, "run parameter"]
) -> Float[Tensor, "run sample sample"]:
    """Return the covariance of the samples in each run, with its kernel."""
    found = torch.empty(len(kernels), len(posed.z), len(posed.z), dtype=torch.float64)
    for kernel in dict.fromkeys(kernels):
        own = torch.tensor([one == kernel for one in kernels])
        found[own] = _with_kernel(posed, kernel).covariance(parameters[own], torch.nonzero(own)[:, 0])
    return found


def _refined(
    members: Processes,
    shape: Shape,
    kernels: Sequence[str],
    parameters: Float[Tensor, "member parameter"],
    x: Float[Tensor, "sample input"],
    values: Float[Tensor, "member sample 1"],
) -> tuple[Processes, Float[Tensor, "member parameter"]]:
    """Return the processes and the hyper-parameters of the upper level after both levels were fitted together."""
    low, below = len(members.points), members.values()
    lower = Shape.suited(KERNELS[0], x.shape[1], low)
    lengths = members.inverse_lengths if lower.separate else members.inverse_lengths[:, :1]
    first = torch.cat([members.amplitudes[:, None], 1 / lengths, members.noise[:, None]], 1).log()
    start, both = torch.cat([first, parameters], 1), torch.cat([below, values], 1)
    found, pairs = torch.empty_like(start), list(zip(members.kernels, kernels, strict=True))
    for pair in dict.fromkeys(pairs):
        own = torch.tensor([one == pair for one in pairs])
        shapes = dataclasses.replace(lower, kernel=pair[0]), dataclasses.replace(shape, kernel=pair[1])
        with threads_for(search_operations(len(both[0]))):
            found[own] = joint.refine(joint.Joint(*shapes, torch.cat([members.points, x]), low, both[own]), start[own])
    own = found[:, : lower.count]
    return with_parameters(members.points, below, members.kernels, own, members.basis, members.offset), found[:, lower.count :]
