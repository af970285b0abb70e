"""A surrogate with sparse weights, logarithmic and bounded variables, a field, and a column that never varies."""

import dataclasses

import numpy as np
import torch
from cases import initial_surrogate

import pac_surrogate as pac
from pac_surrogate.engines.units import trial_inputs

TOLERANCE = 1e-5  # in deviations of the output; single precision misses 1e-6 of a network of two layers
QUICK = {"seconds": 1e-3}
ENGINES = ["predict", "torch", "numpy", "scipy, sparse", "torch, sparse", "numba, sparse", "onnxruntime"]


def data(samples=80):
    """Return samples with inputs and outputs on logarithmic scales, bounds, a field, and a column that never varies."""
    generator = np.random.default_rng(0)
    a, b, c = generator.uniform(0.5, 3, samples), generator.uniform(-1, 1, samples), np.full(samples, 5.0)
    field = a[:, None] * np.sin(np.arange(6) + b[:, None])
    return pac.Dataset.from_arrays(
        {"a": a, "b": b, "c": c},
        {"u": field, "rate": np.exp(2 * b), "fraction": np.clip(b + 0.3, 0, 1)},
        scaling={"a": "log", "rate": "log"},
        bounds={"fraction": (0.0, 1.0)},
    )


def sparse(surrogate):
    """Return the surrogate with nine tenths of the weights between its hidden layers at 0."""
    weight, generator = surrogate.weights["hidden.1.weight"], np.random.default_rng(0)
    kept = torch.from_numpy(generator.random(weight.shape) >= 0.9)
    kept[torch.arange(40) % 33, torch.arange(40)] = True  # so that no unit is disconnected
    weights = {**surrogate.weights, "hidden.1.weight": torch.where(kept, 3 * weight, 0.0)}
    return dataclasses.replace(surrogate, predictor=dataclasses.replace(surrogate.network, weights=weights))


def case(dtype=torch.float32):
    """Return a surrogate of which half of the predictions of the bounded output lie on its bound."""
    surrogate = sparse(initial_surrogate(pac.MLP(hidden=(40, 33)), data(), dtype))
    outputs, x = surrogate.scaling.outputs, torch.from_numpy(trial_inputs(surrogate.scaling, 100))
    middle = surrogate.predictor.predict(surrogate.standardised(x))[:, -1].median()
    surrogate.weights["readout.bias"][-1] -= middle + outputs.mean[-1] / outputs.deviation[-1]
    return surrogate


def exchanged(surrogate):
    """Return the surrogate as it is after a transfer to data with the variables in another order."""
    return dataclasses.replace(surrogate, given_inputs=surrogate.inputs[::-1], given_outputs=surrogate.outputs[::-1])


def differences(surrogate, expected, found):
    """Return the largest difference in deviations of the output, of matrices in the order of the surrogate's variables."""
    deviation = surrogate.scaling.outputs.deviation.numpy()
    logarithmic = surrogate.scaling.outputs.logarithmic.numpy()
    one, other = (np.where(logarithmic, np.log(np.where(logarithmic, y, 1)), y) for y in (expected, found))
    return np.max(np.abs(one - other) / deviation)
