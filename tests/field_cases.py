"""A small source whose only input is a field; without scalar inputs, every input of a CNN is a channel of the grid."""

import numpy as np
import torch
from cases import initial_surrogate

import pac_surrogate as pac

MODELS = {"MLP": pac.MLP(hidden=(8, 7)), "CNN": pac.CNN(channels=4, blocks=1)}


def dataset(kind, samples=60):
    generator = np.random.default_rng(1)
    field = generator.normal(size=(samples, 8))
    axes = {"initial": ("x",), "final": ("x",)} if kind == "CNN" else {}
    return pac.Dataset.from_arrays({"initial": field}, {"final": np.tanh(np.roll(field, 1, axis=1))}, axes=axes)


def surrogate(kind, dtype=torch.float64):
    """Return a surrogate with known weights."""
    return initial_surrogate(MODELS[kind], dataset(kind), dtype)
