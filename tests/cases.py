"""A small source and target that many test files share: fields and a number in, fields out, for an MLP and a CNN."""

import dataclasses

import numpy as np
import torch

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.models import initial_weights
from pac_surrogate.predictors import build_network
from pac_surrogate.surrogates.surrogate import Surrogate

MODELS = {"MLP": pac.MLP(hidden=(8, 7)), "CNN": pac.CNN(channels=4, blocks=1, levels=1)}


def dataset(kind, samples, seed, shift=0.0, name="temperature"):
    """Samples of one nonlinear map; `shift` changes it, as a target differs from its source."""
    generator = np.random.default_rng(seed)
    field, number = generator.normal(size=(samples, 8)), generator.normal(size=samples)
    result = np.tanh(np.roll(field, 1, axis=1) + (0.5 + shift) * number[:, None]) + shift
    axes = {"initial": ("x",), name: ("x",)} if kind == "CNN" else {}
    return pac.Dataset.from_arrays({"initial": field, "conductivity": number}, {name: result}, axes=axes)


def surrogate(kind, dtype=torch.float64, *, seed=0, model=None):
    """A source surrogate of known weights; no training, so that every test is exact and fast."""
    return initial_surrogate(model or MODELS[kind], dataset(kind, 60, 1), dtype, seed=seed)


def initial_network(model, data, dtype=torch.float64, *, seed=0):
    """A network for a dataset, with the weights that it starts from."""
    network = build_network(model, data.inputs, data.outputs)
    weights = initial_weights(network.module, torch.Generator().manual_seed(seed))
    return dataclasses.replace(network, weights={name: weight.to(dtype) for name, weight in weights.items()})


def initial_surrogate(model, data, dtype=torch.float64, *, seed=0):
    """A surrogate in the scales of a dataset, with the weights that it starts from."""
    return Surrogate(initial_network(model, data, dtype, seed=seed), fit_scaling(data), data.inputs, data.outputs)


def same(a, b):
    """Whether two dictionaries of tensors are equal."""
    return all(torch.equal(a[name], b[name]) for name in a)


def largest_difference(a, b):
    """The largest difference between two dictionaries of tensors."""
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def bits(tensor):
    """The bits of a tensor of floating point numbers, so that -0.0 is not 0.0."""
    return tensor.contiguous().view(torch.int32 if tensor.dtype == torch.float32 else torch.int64)
