"""Costs of a sparse network: numbers of non-zero weights and of floating-point operations.

Unstructured zeros make no operation of torch faster, so these are counts, not times.
"""

import math
from collections.abc import Mapping

from torch import Tensor, nn

from pac_surrogate.models import CNN, MLP
from pac_surrogate.models.weights import prunable


def nonzeros(weights: Mapping[str, Tensor], essential: Mapping[str, Tensor] | None = None) -> int:
    """Count the weights that are not zero, biases included; with a mask, only those that it marks."""
    return sum(int(((weight != 0) & (True if essential is None else essential[n])).sum()) for n, weight in weights.items())


def flops(model: nn.Module, weights: Mapping[str, Tensor]) -> int:
    """Count the floating-point operations of one sample's prediction, two for each use of a weight that is not zero.

    A dense layer uses a weight once, a convolution at every grid point of its level. Biases, activations, pooling and sums are
    left out, as is usual.

    Args:
        model: the module of an MLP or a CNN.
        weights: its weights.

    Raises:
        ValueError: if the model is another module, whose uses of its weights cannot be counted.
    """
    architecture = getattr(model, "architecture", None)
    if not isinstance(architecture, MLP | CNN):
        kind = type(architecture or model).__name__
        raise ValueError(f"flops are counted for MLP and CNN, got {kind}: count those of a module of your own by hand")
    grid: tuple[int, ...] = getattr(model, "grid", ())
    return sum(2 * int((weights[name] != 0).sum()) * _uses(name, grid) for name in prunable(weights))


def _uses(name: str, grid: tuple[int, ...]) -> int:
    """Return the number of grid points at which a layer is applied; 1 without a grid."""
    part, *rest = name.split(".")
    level = int(rest[0]) + (part in ("widen", "narrow")) if part in ("down", "up", "widen", "narrow") else 0
    return math.prod(size // 2**level for size in grid)
