"""A small source and target for many test files: the inputs are a field and a number, the output is a field."""

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
    """Return samples of a nonlinear map; `shift` changes the map, as a target differs from its source."""
    generator = np.random.default_rng(seed)
    field, number = generator.normal(size=(samples, 8)), generator.normal(size=samples)
    result = np.tanh(np.roll(field, 1, axis=1) + (0.5 + shift) * number[:, None]) + shift
    axes = {"initial": ("x",), name: ("x",)} if kind == "CNN" else {}
    return pac.Dataset.from_arrays({"initial": field, "conductivity": number}, {name: result}, axes=axes)


def surrogate(kind, dtype=torch.float64, *, seed=0, model=None):
    """Return a source surrogate with known weights; it is not trained, so that every test is exact and fast."""
    return initial_surrogate(model or MODELS[kind], dataset(kind, 60, 1), dtype, seed=seed)


def initial_network(model, data, dtype=torch.float64, *, seed=0):
    """Return a network for a dataset, with its initial weights."""
    network = build_network(model, data.inputs, data.outputs)
    weights = initial_weights(network.module, torch.Generator().manual_seed(seed))
    return dataclasses.replace(network, weights={name: weight.to(dtype) for name, weight in weights.items()})


def initial_surrogate(model, data, dtype=torch.float64, *, seed=0):
    """Return a surrogate with the scaling of a dataset and its initial weights."""
    return Surrogate(initial_network(model, data, dtype, seed=seed), fit_scaling(data), data.inputs, data.outputs)


def same(a, b):
    """Whether two dictionaries of tensors are equal."""
    return all(torch.equal(a[name], b[name]) for name in a)


def largest_difference(a, b):
    """Return the largest difference between two dictionaries of tensors."""
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def bits(tensor):
    """Return the bits of a tensor of floating-point numbers, which distinguish -0.0 from 0.0."""
    return tensor.contiguous().view(torch.int32 if tensor.dtype == torch.float32 else torch.int64)
