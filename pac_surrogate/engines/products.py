"""Engines that multiply by the weights with the products of NumPy, SciPy and torch."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch.nn import functional

from pac_surrogate.engines.layers import Layer, Map, in_single
from pac_surrogate.models.activations import VALUES
from pac_surrogate.predictors import Predictor
from pac_surrogate.utilities.process import own_settings


def of_predictor(predictor: Predictor) -> Map:
    """Return the map of any predictor, as it computes it itself."""

    def predict(x: np.ndarray) -> np.ndarray:
        with own_settings(gradients=False):
            return predictor.predict(torch.from_numpy(x)).numpy()

    return predict


def dense_in_torch(layers: Sequence[Layer]) -> Map:
    """Return dense products in torch, in the precision of the network."""
    parts = [(torch.from_numpy(layer.weight), torch.from_numpy(layer.bias), layer.activation) for layer in layers]

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            h = torch.from_numpy(x).to(parts[0][0].dtype)
            for weight, bias, activation in parts:
                h = functional.linear(h, weight, bias)
                if activation is not None:
                    VALUES[activation](h, h)
            return h.numpy()

    return predict


def dense_in_numpy(layers: Sequence[Layer]) -> Map:
    """Return dense products in NumPy, in single precision."""
    layers = in_single(layers)
    return _by_features(layers, [layer.weight for layer in layers])


def sparse_in_scipy(layers: Sequence[Layer]) -> Map:
    """Return products with compressed rows (CSR) in SciPy, in single precision; layers that are not sparse stay dense."""
    layers = in_single(layers)
    return _by_features(layers, [sparse.csr_matrix(layer.weight) if layer.sparse else layer.weight for layer in layers])


def _by_features(layers: Sequence[Layer], matrices: Sequence[Any]) -> Map:
    """Return W h + b with one column of h for each sample, in which order the products with compressed rows are fastest."""
    columns = [layer.bias[:, None] for layer in layers]

    def predict(x: np.ndarray) -> np.ndarray:
        single = len(x) == 1
        h = np.ascontiguousarray(x[0] if single else x.T, dtype=np.float32)
        for layer, matrix, column in zip(layers, matrices, columns, strict=True):
            h = matrix @ h
            h += layer.bias if single else column
            layer.activate(h)
        return h[None] if single else h.T

    return predict


def sparse_in_torch(layers: Sequence[Layer]) -> Map:
    """Return products with compressed rows (CSR) in torch, in single precision; layers that are not sparse stay dense."""
    layers = in_single(layers)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        matrices = [torch.from_numpy(layer.weight) for layer in layers]
        matrices = [one.to_sparse_csr() if layer.sparse else one for one, layer in zip(matrices, layers, strict=True)]
    columns = [torch.from_numpy(layer.bias[:, None]) for layer in layers]

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():  # torch refuses sparse matrices in its inference mode
            h = torch.from_numpy(np.ascontiguousarray(x.T, dtype=np.float32))
            for layer, matrix, column in zip(layers, matrices, columns, strict=True):
                h = matrix @ h
                h += column
                if layer.activation is not None:
                    VALUES[layer.activation](h, h)
            return h.numpy().T

    return predict
