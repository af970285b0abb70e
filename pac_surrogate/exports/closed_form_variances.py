"""Posterior variances of closed forms as programs: s^2 [k(x, x) - k(x)' (K + ratio I)^-1 k(x)]; see `predictors.linearised`."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float

from pac_surrogate.exports.closed_forms import Base, Body, features_at, readout_variances, shared_cross, split_prior
from pac_surrogate.exports.covariances import array
from pac_surrogate.exports.derivatives import LayerDerivative
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.exports.program import Linear, Program, Value
from pac_surrogate.kernels.tangent import KERNEL_ROWS, Tangent
from pac_surrogate.predictors import Linearised, SharedKernel


def shared_variance(program: Program, predictor: SharedKernel, x: Value) -> Value:
    """Add the posterior variance of each output, one function of x times the scale of the output."""
    base = Base.of(program, predictor.base, x)
    cross, body = shared_cross(base, predictor)
    prior, positions, _ = split_prior(base, predictor.prior, predictor.inputs)
    whole = []
    if positions is not None:
        weight, bias = readout_variances(base, prior)
        features = base.own.features[-1]
        matrix = np.repeat(weight.mean(0) / features.columns, features.columns)
        squares = program.apply("square", program.reshape(features, features.size))
        whole.append(program.linear(squares, matrix[None], bias.mean(keepdims=True)))
    for layer, variances in zip(body.layers, body.variances, strict=True):
        own = program.add(
            [program.constant(np.zeros((1, body.count)), like=x), *_squares(program, layer, variances, body.count)]
        )
        whole.append(program.linear(program.reshape(own, body.count), np.full((1, body.count), body.scale)))
    tangent = Tangent(base.network.module, base.network.weights, base.readout)
    (gram,) = tangent.shared([predictor.prior], predictor.inputs, projections=predictor.projections, seed=predictor.seed)
    seen = program.linear(cross, _inverse_factor(gram, predictor.ratio))
    parts = [*whole, program.scale(program.sum_of_rows(program.apply("square", seen)), -1.0)]
    return program.linear(program.not_negative(program.add(parts)), array(predictor.scale)[:, None])


def block_variance(program: Program, predictor: Linearised, x: Value) -> Value:
    """Add the posterior variance of each output with the block kernel, of networks without a grid.

    Raises:
        NotExportableError: if the network has a grid, or the kernel of the training inputs is too large.
    """
    base = Base.of(program, predictor.base, x)
    outputs, samples = base.own.prediction.rows, predictor.inputs
    layers = [step for number in base.steps if isinstance(step := program.steps[number], Linear)]
    held = outputs * len(samples)
    if any(layer.value.columns > 1 for layer in layers):
        raise NotExportableError(
            "the deviation of a closed form with the block kernel is exported for networks without a grid only: fit it with "
            "kernel='shared', or leave interval out"
        )
    if held > KERNEL_ROWS:
        raise NotExportableError(
            f"a deviation with the block kernel needs at most {KERNEL_ROWS} rows (samples x outputs), got {held}: fit it with "
            "kernel='shared', or leave interval out"
        )
    prior, positions, names = split_prior(base, predictor.prior, samples)
    direct = positions is not None
    body = [name for name in names if not (direct and name.startswith(f"{base.readout}."))]
    derivatives = Body.of(base, prior, body, np.eye(outputs), samples, 1.0)
    zero = program.constant(np.zeros((1, outputs)), like=x)
    crosses, wholes = [program.constant(np.zeros((held, outputs)), like=x)], [zero]
    if direct:
        cross, whole = _block_readout(base, prior, features_at(base, samples)[:, :, 0])
        crosses.append(cross)
        wholes.append(whole)
    for layer, known, variances in zip(derivatives.layers, derivatives.known, derivatives.variances, strict=True):
        wholes += _squares(program, layer, variances, outputs)
        crosses += _block_layer(program, layer, known.read[:, :, 0], known.derivative, variances)
    tangent = Tangent(base.network.module, base.network.weights, base.readout)
    (gram,) = tangent.block([predictor.prior], samples)
    seen = program.linear(program.add(crosses), _inverse_factor(gram, predictor.ratio))
    parts = [*wholes, program.scale(program.sum_of_rows(program.apply("square", seen)), -1.0)]
    column = program.reshape(program.add(parts), outputs)
    return program.scale(program.not_negative(column), array(predictor.scale))


def _squares(
    program: Program, layer: LayerDerivative, variances: tuple[np.ndarray | None, np.ndarray | None], count: int
) -> list[Value]:
    """Add what a layer adds to k(x, x) for each projection, (1, projection)."""
    inner, (weight, bias) = layer.step.value, variances
    rows, positions = len(layer.step.weight), inner.columns
    own = layer.value if isinstance(layer.value, Value) else program.constant(layer.value, like=inner)
    parts = []
    if positions == 1:
        squares = program.apply("square", own)  # (o, projection)
        if bias is not None:
            parts.append(program.sum_of_rows(squares, bias))
        if weight is not None:
            varied = program.linear(program.apply("square", inner), weight)
            parts.append(program.sum_of_rows(program.multiply(squares, program.repeat(varied, count))))
        return parts
    numbers = np.arange(own.size).reshape(rows, count, positions)
    each: list[list[Value]] = []
    for p in range(count):
        here, found = program.gather(own, numbers[:, p]), []
        if bias is not None:
            total = program.linear(program.transpose(here), np.ones((1, positions)))  # (1, o)
            found.append(program.linear(program.reshape(program.apply("square", total), rows), bias[None]))
        if weight is not None:
            square = program.apply("square", program.product(here, inner))
            found.append(program.linear(program.reshape(square, square.size), weight.reshape(1, -1)))
        each.append(found)
    return [program.reshape(program.join([program.add(found) for found in each]), 1, count)]


def _block_readout(
    base: Base, prior: Mapping[str, np.ndarray], known: Float[np.ndarray, "sample feature"]
) -> tuple[Value, Value]:
    """Add the readout's part of the block kernel, which outputs do not share: (sample and output, output), (1, output)."""
    program, features = base.program, base.own.features[-1]
    weight, bias = readout_variances(base, prior)
    outputs, samples = len(weight), len(known)
    matrix = (weight[None] * known[:, None]).reshape(samples * outputs, -1)
    apart = program.linear(features, matrix, np.tile(bias, samples))
    index = np.full((samples, outputs, outputs), -1)
    own = np.arange(outputs)
    index[:, own, own] = np.arange(samples * outputs).reshape(samples, outputs)
    cross = program.gather(apart, index.reshape(-1, outputs))
    whole = program.linear(program.apply("square", features), weight, bias)
    return cross, program.reshape(whole, 1, outputs)


def _block_layer(
    program: Program,
    layer: LayerDerivative,
    read: Float[np.ndarray, "sample k"],
    derivative: Float[np.ndarray, "sample o output"],
    variances: tuple[np.ndarray | None, np.ndarray | None],
) -> list[Value]:
    """Add a layer's part of the block kernel of the training inputs and x, (sample and output, output)."""
    inner, (weight, bias) = layer.step.value, variances
    own = layer.value if isinstance(layer.value, Value) else program.constant(layer.value, like=inner)
    samples, rows, outputs = derivative.shape
    columns = derivative.transpose(1, 0, 2).reshape(rows, samples * outputs)  # (o, sample and output)
    parts = []
    if bias is not None:
        parts.append(program.linear(own, (bias[:, None] * columns).T))
    if weight is not None:
        varied = program.linear(program.scale(program.repeat(inner, samples), read.T), weight)  # (o, sample)
        index = np.arange(varied.size).reshape(rows, samples).repeat(outputs, 1)
        weighted = program.scale(program.gather(varied, index), columns)
        parts.append(program.product(program.transpose(weighted), program.transpose(own)))
    return parts


def _inverse_factor(gram: torch.Tensor, ratio: float) -> Float[np.ndarray, "row row"]:
    """Return the inverse of the Cholesky factor of K + ratio I."""
    eye = torch.eye(len(gram), dtype=torch.float64)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(gram + ratio * eye), eye, upper=False).numpy()
