"""Predictors as programs, from standardised inputs to standardised outputs."""

import numpy as np
import torch

from pac_surrogate.exports.closed_forms import linearised, shared_kernel
from pac_surrogate.exports.covariances import array, autoregressive, co_kriging, covariance, processes
from pac_surrogate.exports.networks import network
from pac_surrogate.exports.program import Program, Value
from pac_surrogate.predictors import (
    Autoregressive,
    CoKriging,
    Correction,
    FeatureReadout,
    GaussianProcess,
    Linearised,
    Mixture,
    Network,
    OutputGroups,
    Predictor,
    Processes,
    SharedKernel,
)


def predicted(program: Program, predictor: Predictor, x: Value) -> Value:
    """Add the steps of a predictor, and return its prediction, a column in double precision.

    Raises:
        NotExportableError: if the predictor cannot be written as a program.
    """
    match predictor:
        case Network():
            own = network(program, predictor, program.cast(x, double=predictor.dtype == torch.float64))
            return program.cast(own.prediction, double=True)
        case Correction():
            base = program.scale(predicted(program, predictor.base, x), array(predictor.slope), array(predictor.offset))
            return program.add([base, program.linear(x, array(predictor.linear).T)])
        case FeatureReadout():
            return _feature_readout(program, predictor, x)
        case GaussianProcess():
            return _gaussian_process(program, predictor, x)
        case Processes():
            return processes(program, predictor, x)
        case Autoregressive():
            return autoregressive(program, predictor, x)
        case CoKriging():
            return co_kriging(program, predictor, x)
        case Linearised():
            return linearised(program, predictor, x)
        case SharedKernel():
            return shared_kernel(program, predictor, x)
        case Mixture():
            parts = [
                program.scale(predicted(program, member, x), float(weight))
                for weight, member in zip(predictor.weights, predictor.members, strict=True)
                if weight > 0
            ]
            return program.add(parts)
        case OutputGroups():
            joined = program.join([predicted(program, member, x) for member in predictor.members])
            return program.gather(joined, torch.cat(predictor.columns).argsort().numpy().reshape(-1, 1))
        case _:
            raise TypeError(f"the exports lack a rule for {type(predictor).__name__}")


def _feature_readout(program: Program, predictor: FeatureReadout, x: Value) -> Value:
    own = network(program, predictor.base, x)
    layers = [x, *own.features]
    pooled = [
        one if one.columns == 1 else program.reshape(program.sum_of_rows(program.transpose(one), _mean(one.columns)), one.rows)
        for one in layers
    ]
    deviation, coefficients = array(predictor.deviation), array(predictor.coefficients)
    joined = program.join([pooled[layer] for layer in predictor.layers])
    standard = program.scale(program.scale(joined, 1.0, -array(predictor.mean)), 1 / deviation)
    read = program.linear(standard, coefficients.T, array(predictor.intercept))
    return program.add([own.prediction, read]) if predictor.corrects else read


def _mean(count: int) -> np.ndarray:
    return np.full(count, 1 / count)


def _gaussian_process(program: Program, predictor: GaussianProcess, x: Value) -> Value:
    base = None if predictor.base is None else predicted(program, predictor.base, x)
    z = x
    if predictor.on == "augmented" and base is not None:
        z = program.join([x, program.linear(base, array(predictor.projection).T)])
    known = covariance(program, predictor.kernel, predictor.amplitudes, predictor.inverse_lengths, z, predictor.points)
    prediction = program.linear(known, array(predictor.alpha).T, array(predictor.mean))
    return program.add([prediction, base]) if predictor.on == "residual" and base is not None else prediction
