"""The engines that apply to a predictor on this machine."""

import importlib.util
from collections.abc import Callable

from pac_surrogate.engines.compiled import sparse_in_numba
from pac_surrogate.engines.layers import SPARSE, Layer, Map, layers_of
from pac_surrogate.engines.products import dense_in_numpy, dense_in_torch, of_predictor, sparse_in_scipy, sparse_in_torch
from pac_surrogate.predictors import Predictor
from pac_surrogate.utilities.environment import INSTALL_DEPLOY

DENSE = "torch"  # the engine to which all others are compared
COMPACTED = "torch, compacted"


def candidates(predictor: Predictor, compacted: Predictor, batch_size: int) -> tuple[dict[str, Callable[[], Map]], list[str]]:
    """Return functions that make the maps of standardised numbers, by the name of the engine.

    Args:
        predictor: the predictor, as whose dense form `DENSE` is measured.
        compacted: the same without the units that pruning has disconnected, or the predictor itself.
        batch_size: samples of most calls.

    Returns:
        The functions; and notes that say which engines are missing, and why.
    """
    dense, layers = layers_of(predictor), layers_of(compacted)
    made: dict[str, Callable[[], Map]] = {DENSE: lambda: _in_torch(predictor, dense)}
    if compacted is not predictor:
        made[COMPACTED] = lambda: _in_torch(compacted, layers)
    if layers is None:
        return made, ["the other engines need a multilayer perceptron (MLP)"]
    made["numpy"] = lambda: dense_in_numpy(layers)
    if not any(layer.sparse for layer in layers):
        return made, [f"the engines of sparse networks need a layer in which {SPARSE:.0%} of the weights are 0"]
    made["scipy, sparse"] = lambda: sparse_in_scipy(layers)
    made["torch, sparse"] = lambda: sparse_in_torch(layers)
    if not installed("numba"):
        return made, [f"numba, sparse: numba is not installed: {INSTALL_DEPLOY}"]
    made["numba, sparse"] = lambda: sparse_in_numba(layers, batch_size)
    return made, []


def _in_torch(predictor: Predictor, layers: list[Layer] | None) -> Map:
    return of_predictor(predictor) if layers is None else dense_in_torch(layers)


def installed(package: str) -> bool:
    """Return whether a package can be imported."""
    return importlib.util.find_spec(package) is not None
