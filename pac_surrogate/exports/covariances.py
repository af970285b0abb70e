"""Gaussian processes and co-kriging as programs."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.exports.program import Program, Value
from pac_surrogate.predictors import Autoregressive, CoKriging, Processes
from pac_surrogate.processes.covariance import QUADRATIC


def array(tensor: Tensor) -> np.ndarray:
    """Return a tensor as a float64 array."""
    return tensor.detach().cpu().double().numpy()


def covariance(
    program: Program,
    kernel: str,
    amplitudes: Float[Tensor, " term"],
    inverse_lengths: Float[Tensor, "term factor dimension"],
    z: Value,
    points: Float[Tensor, "sample dimension"],
) -> Value:
    """Add k(z, points) as a column; see `processes.covariance`."""
    terms, known = [], array(points)
    for amplitude, factors in zip(array(amplitudes), array(inverse_lengths), strict=True):
        parts = [_factor(program, kernel, z, known, scale) for scale in factors if scale.any()]
        if not parts:  # a function of no dimension is 1
            parts = [program.scale(program.linear(z, np.zeros((len(known), z.rows))), 0.0, 1.0)]
        term, *rest = parts
        for part in rest:
            term = program.multiply(term, part)
        terms.append(program.scale(term, amplitude))
    return program.add(terms)


def _factor(program: Program, kernel: str, z: Value, points: np.ndarray, scale: np.ndarray) -> Value:
    """Add one factor, of the dimensions on which it depends."""
    own = np.flatnonzero(scale)
    u = program.scale(program.gather(z, own.reshape(-1, 1)), scale[own])
    v = points[:, own] * scale[own]
    if kernel == QUADRATIC:
        return program.apply("square", program.linear(u, v, np.ones(len(v))))
    square = program.distances(u, v)
    if kernel == "rbf":
        return program.apply("exp", program.scale(square, -0.5))
    fivefold = program.scale(square, 5.0)
    s = program.apply("sqrt", fivefold)
    polynomial = program.add([program.scale(s, 1.0, 1.0), program.scale(fivefold, 1 / 3)])
    return program.multiply(polynomial, program.apply("exp", program.scale(s, -1.0)))


def processes(program: Program, predictor: Processes, x: Value) -> Value:
    """Add a set of Gaussian processes."""
    components = components_of_processes(program, predictor, x)
    return program.linear(components, array(predictor.basis).T, array(predictor.offset))


def components_of_processes(program: Program, predictor: Processes, x: Value) -> Value:
    """Add the posterior mean of every component, (component, 1)."""
    parts = []
    for c in range(len(predictor.mean)):
        known = process_covariance(program, predictor, c, x, predictor.points)
        parts.append(program.linear(known, array(predictor.weights[:, [c]]).T, array(predictor.mean[[c]])))
    return program.join(parts)


def process_covariance(
    program: Program, predictor: Processes, c: int, x: Value, points: Float[Tensor, "sample input"]
) -> Value:
    """Add the prior covariance of a component with some points."""
    scale = predictor.inverse_lengths[c, None, None]
    return covariance(program, predictor.kernels[c], predictor.amplitudes[[c]], scale, x, points)


def autoregressive(program: Program, predictor: Autoregressive, x: Value) -> Value:
    """Add autoregressive co-kriging."""
    basis = array(predictor.fractions[:, None] * predictor.base.basis)
    return program.linear(components_of_members(program, predictor, x), basis.T, array(predictor.offset))


def components_of_members(program: Program, predictor: Autoregressive, x: Value) -> Value:
    """Add the posterior mean of every member, (member, 1)."""
    points, parts = torch.cat([predictor.base.points, predictor.points]), []
    for m in range(len(predictor.rho)):
        own, rho = predictor.weights[:, m], predictor.rho[m]
        lower = array(torch.cat([predictor.base_weights[:, m], rho**2 * own]))
        below = program.linear(process_covariance(program, predictor.base, m, x, points), lower[None])
        above = program.linear(discrepancy(program, predictor, m, x), array(own)[None], array(predictor.mean[[m]]))
        parts.append(program.add([below, above]))
    return program.join(parts)


def discrepancy(program: Program, predictor: Autoregressive, m: int, x: Value) -> Value:
    """Add the prior covariance of a member's discrepancy with the target's samples."""
    scale = predictor.inverse_lengths[m, None, None]
    return covariance(program, predictor.kernels[m], predictor.amplitudes[[m]], scale, x, predictor.points)


def co_kriging(program: Program, predictor: CoKriging, x: Value) -> Value:
    """Add the co-kriging of files of the first version."""
    scale = array(predictor.scale)
    u, points = program.scale(program.scale(x, 1.0, -array(predictor.offset)), 1 / scale), array(predictor.points)
    parts = []
    for c in range(len(predictor.rho)):
        total = None
        for level, samples in enumerate((slice(0, predictor.low), slice(predictor.low, None))):
            root, trend = array(predictor.theta[level, c].sqrt()), array(predictor.trend[level, c])
            line = program.linear(u, trend[None, 1:], trend[:1])
            parts_of_level = [line] if total is None else [line, program.scale(total, float(predictor.rho[c]))]
            if len(points[samples]):
                square = program.distances(program.scale(u, root), points[samples] * root)
                known = program.apply("exp", program.scale(square, -1.0))
                parts_of_level.append(program.linear(known, array(predictor.gamma[c, samples])[None]))
            total = program.add(parts_of_level)
        assert total is not None
        parts.append(total)
    return program.linear(program.join(parts), array(predictor.basis).T, array(predictor.mean))
