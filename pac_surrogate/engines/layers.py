"""A multilayer perceptron as a list of affine layers in NumPy, from which the engines are made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float

from pac_surrogate.models import MLP
from pac_surrogate.models.activations import VALUES
from pac_surrogate.models.mlp import MLPNetwork
from pac_surrogate.predictors import Network, Predictor
from pac_surrogate.utilities.display import Shown

# A map from inputs to outputs, both standardised or both in physical units.
Map: TypeAlias = Callable[[Float[np.ndarray, "sample input"]], Float[np.ndarray, "sample output"]]
SPARSE = 0.5  # fraction of zeros from which a product with the numbers that are not 0 can be faster


@dataclass(frozen=True, eq=False, repr=False)
class Layer(Shown):
    """One layer, h -> act(W h + b).

    Attributes:
        weight: W, in the precision of the network.
        bias: b.
        activation: name of the activation; None for the readout, which has none.
        sparse: whether so many weights are 0 that the layer is computed as a sparse one where an engine can.
    """

    weight: Float[np.ndarray, "output input"]
    bias: Float[np.ndarray, " output"]
    activation: str | None
    sparse: bool

    def activate(self, h: np.ndarray) -> np.ndarray:
        """Replace h by act(h), and return it; torch's functions are vectorised, also those that NumPy lacks."""
        if self.activation is not None:
            values = torch.from_numpy(h)
            VALUES[self.activation](values, values)
        return h


def layers_of(predictor: Predictor) -> list[Layer] | None:
    """Return the layers of a multilayer perceptron; None if the predictor is anything else."""
    if not isinstance(predictor, Network) or not isinstance(predictor.architecture, MLP):
        return None
    if type(predictor.module) is not MLPNetwork:
        return None
    hidden, found = predictor.architecture.hidden, []
    for number in range(len(hidden) + 1):
        name = f"hidden.{number}" if number < len(hidden) else "readout"
        weight, bias = (predictor.weights[f"{name}.{part}"].numpy() for part in ("weight", "bias"))
        activation = predictor.architecture.activation if number < len(hidden) else None
        sparse = np.count_nonzero(weight) <= (1 - SPARSE) * weight.size
        found.append(Layer(weight, bias, activation, bool(sparse)))
    return found


def in_single(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers in single precision."""
    return [
        Layer(layer.weight.astype(np.float32), layer.bias.astype(np.float32), layer.activation, layer.sparse)
        for layer in layers
    ]
