"""Posterior variances as programs, of predictors that have one; see `predictors.posterior`."""

import numpy as np
import torch
from jaxtyping import Float

from pac_surrogate.exports.closed_form_variances import block_variance, shared_variance
from pac_surrogate.exports.covariances import (
    array,
    components_of_members,
    covariance,
    discrepancy,
    process_covariance,
)
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.exports.predictors import predicted
from pac_surrogate.exports.program import Program, Value
from pac_surrogate.predictors import (
    Autoregressive,
    GaussianProcess,
    Linearised,
    OutputGroups,
    Predictor,
    Processes,
    SharedKernel,
)
from pac_surrogate.processes.covariance import QUADRATIC, cross_covariance
from pac_surrogate.processes.fits import safe_cholesky


def variance(program: Program, predictor: Predictor, x: Value) -> Value:
    """Add the posterior variance of each standardised output, without noise.

    Raises:
        NotExportableError: if the predictor has no posterior variance, or it cannot be written as a program.
    """
    match predictor:
        case OutputGroups():
            joined = program.join([variance(program, member, x) for member in predictor.members])
            return program.gather(joined, torch.cat(predictor.columns).argsort().numpy().reshape(-1, 1))
        case GaussianProcess() if predictor.noise is not None:
            return _gaussian_process(program, predictor, x)
        case Processes():
            return _processes(program, predictor, x)
        case Autoregressive():
            return _autoregressive(program, predictor, x)
        case Linearised():
            return block_variance(program, predictor, x)
        case SharedKernel():
            return shared_variance(program, predictor, x)
        case _:
            raise NotExportableError(
                f"a {type(predictor).__name__} has no posterior variance, so no deviation can be exported: leave interval out, "
                "or transfer with pac.GP() or pac.CoKriging()"
            )


def _gaussian_process(program: Program, predictor: GaussianProcess, x: Value) -> Value:
    z = x
    if predictor.on == "augmented" and predictor.base is not None:
        base = predicted(program, predictor.base, x)
        z = program.join([x, program.linear(base, array(predictor.projection).T)])
    cross = covariance(program, predictor.kernel, predictor.amplitudes, predictor.inverse_lengths, z, predictor.points)
    prior = program.constant(array(predictor.amplitudes.sum()).reshape(1, 1), like=x)
    shared = _conditioned(program, array(predictor.factor()), cross, prior)
    return program.gather(shared, np.zeros((len(predictor.mean), 1), dtype=np.int64))


def _processes(program: Program, predictor: Processes, x: Value) -> Value:
    count = len(predictor.mean)
    own = [_process(program, predictor, c, x) for c in range(count)]
    return program.linear(program.join(own), array(predictor.basis.square()).T)


def _process(program: Program, predictor: Processes, c: int, x: Value) -> Value:
    cross = process_covariance(program, predictor, c, x, predictor.points)
    return _conditioned(program, array(predictor.factor(c)), cross, _prior(program, predictor, c, x))


def _prior(program: Program, predictor: Processes | Autoregressive, c: int, x: Value) -> Value:
    """Add the prior variance of a component or a discrepancy, (1, 1)."""
    amplitude = float(predictor.amplitudes[c])
    if predictor.kernels[c] != QUADRATIC:
        return program.constant(np.full((1, 1), amplitude), like=x)
    squares = array(predictor.inverse_lengths[c].square())
    norm = program.scale(program.sum_of_rows(program.apply("square", x), squares), 1.0, 1.0)
    return program.scale(program.apply("square", norm), amplitude)


def _autoregressive(program: Program, predictor: Autoregressive, x: Value) -> Value:
    own = [_member(program, predictor, m, x) for m in range(len(predictor.rho))]
    fractions, basis = array(predictor.fractions), array(predictor.base.basis)
    components = components_of_members(program, predictor, x)
    parts = []
    for number in torch.unique(predictor.component).tolist():
        members = np.flatnonzero(predictor.component.numpy() == number)
        means = program.gather(components, members.reshape(-1, 1))
        middle = program.linear(means, -np.outer(np.ones(len(members)), fractions[members]))
        spread = program.apply("square", program.add([means, middle]))
        both = program.add([program.join([own[m] for m in members]), spread])
        parts.append(program.linear(both, np.outer(basis[members[0]] ** 2, fractions[members])))
    return program.add(parts)


def _member(program: Program, predictor: Autoregressive, m: int, x: Value) -> Value:
    """Add the posterior variance of a member; see `Autoregressive.covariance`."""
    base, points, rho = predictor.base, predictor.points, float(predictor.rho[m])
    factor = base.factor(m)
    ones = torch.ones(len(factor), 1, dtype=torch.float64)
    unit = torch.linalg.solve_triangular(factor, ones, upper=False)
    seen_points = torch.linalg.solve_triangular(factor, base.kernel(m, base.points, points), upper=False)
    unknown_points = 1 - unit.T @ seen_points  # (1, sample)
    seen = program.linear(process_covariance(program, base, m, x, base.points), _inverse(array(factor)))
    unknown = program.linear(seen, -array(unit).T, np.ones(1))
    square = float(unit.square().sum())
    below = program.add(
        [
            process_covariance(program, base, m, x, points),
            program.linear(seen, -array(seen_points).T),
            program.linear(unknown, array(unknown_points).T / square),
        ]
    )
    cross = program.add([program.scale(below, rho**2), discrepancy(program, predictor, m, x)])
    lower = program.add(
        [
            _prior(program, base, m, x),
            program.scale(program.sum_of_rows(program.apply("square", seen)), -1.0),
            program.scale(program.apply("square", unknown), 1 / square),
        ]
    )
    prior = program.add([program.scale(lower, rho**2), _prior(program, predictor, m, x)])
    own = predictor.amplitudes[[m]], predictor.inverse_lengths[m, None, None]
    known = rho**2 * base.covariance(m, points, factor) + cross_covariance(predictor.kernels[m], *own, points, points)
    noisy = safe_cholesky(known + predictor.noise[m] * torch.eye(len(points), dtype=torch.float64))
    return _conditioned(program, array(noisy), cross, prior)


def _conditioned(program: Program, factor: Float[np.ndarray, "sample sample"], cross: Value, prior: Value) -> Value:
    """Add the posterior variance after samples whose covariance has this Cholesky factor; see `processes.conditioned`."""
    inverse = _inverse(factor)
    unit = inverse.sum(1)
    seen = program.linear(cross, inverse)
    unknown = program.linear(seen, -unit[None], np.ones(1))
    known = program.add(
        [
            prior,
            program.scale(program.sum_of_rows(program.apply("square", seen)), -1.0),
            program.scale(program.apply("square", unknown), 1 / float(unit @ unit)),
        ]
    )
    return program.not_negative(known)


def _inverse(factor: Float[np.ndarray, "sample sample"]) -> Float[np.ndarray, "sample sample"]:
    eye = torch.eye(len(factor), dtype=torch.float64)
    return torch.linalg.solve_triangular(torch.from_numpy(factor), eye, upper=False).numpy()
