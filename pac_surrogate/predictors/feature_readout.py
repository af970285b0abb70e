"""A linear readout of several layers of a network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.models import activation_size, evaluate
from pac_surrogate.models.network import by_pieces
from pac_surrogate.predictors.codec import Coded
from pac_surrogate.predictors.network import PREDICT_NUMBERS, Network


@dataclass(frozen=True, eq=False, repr=False)
class FeatureReadout(Coded):
    """A linear readout of chosen layers: sum_l ((phi_l(x) - mean_l) / deviation_l) @ coefficients_l + intercept [+ f(x)].

    phi_0 is the input; phi_l are the features of the l-th hidden layer, averaged over the grid where they have one.

    Attributes:
        base: the network whose features are read.
        layers: the chosen layers in ascending order; 0 is the input.
        mean: mean of every feature, one layer after the other.
        deviation: standard deviation of every feature, in the same order.
        coefficients: (feature, output).
        intercept: (output,).
        corrects: whether the network's own prediction is added.
    """

    called: ClassVar[str] = "the feature readout"
    prefix: ClassVar[str] = "readout/"
    positive: ClassVar[tuple[str, ...]] = ("deviation",)

    base: Network
    layers: tuple[int, ...]
    mean: Float[Tensor, " feature"]
    deviation: Float[Tensor, " feature"]
    coefficients: Float[Tensor, "feature output"]
    intercept: Float[Tensor, " output"]
    corrects: bool

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, in float64."""
        mean, deviation, coefficients, intercept = (
            tensor.to(x.device) for tensor in (self.mean, self.deviation, self.coefficients, self.intercept)
        )

        def read(prediction: Tensor, features: Sequence[Tensor]) -> list[Float[Tensor, "row output"]]:
            chosen = torch.cat([features[layer] for layer in self.layers], dim=1)
            readout = (chosen - mean) / deviation @ coefficients + intercept
            return [prediction + readout if self.corrects else readout]

        return _by_pieces(self.base, x, batch_size, read)[0]

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check that the network has the layers, and that the layers have the number of features."""
        with torch.no_grad():
            _, features = pooled_features(self.base, torch.zeros(1, sizes["input"], dtype=torch.float64))
        if not self.layers or list(self.layers) != [layer for layer in range(len(features)) if layer in self.layers]:
            raise ValueError(f"layers of a feature readout must be in ascending order and below {len(features)}")
        width = sum(features[layer].shape[1] for layer in self.layers)
        if sizes["feature"] != width:
            raise ValueError(f"the feature readout does not fit its layers: they have {width} features, got {sizes['feature']}")


def pooled_features(
    network: Network, x: Float[Tensor, "sample input"], *, batch_size: int | None = None
) -> tuple[Float[Tensor, "sample output"], list[Float[Tensor, "sample _feature"]]]:
    """Return predictions and features in float64: the input, and each hidden layer's features averaged over the grid."""
    prediction, *features = _by_pieces(network, x, batch_size, lambda prediction, features: [prediction, *features])
    return prediction, features


def _by_pieces(
    network: Network,
    x: Float[Tensor, "sample input"],
    batch_size: int | None,
    read: Callable[[Tensor, Sequence[Tensor]], Sequence[Tensor]],
) -> list[Tensor]:
    """Apply `read` to predictions and features, one batch of samples at a time."""
    size = batch_size or max(1, PREDICT_NUMBERS // activation_size(network.module, x.shape[1]))
    weights = {name: weight.to(x.device).double() for name, weight in network.weights.items()}

    def solve(rows: Float[Tensor, "row input"]) -> Sequence[Tensor]:
        prediction, features = evaluate(network.module, weights, rows)
        return read(prediction, [rows, *(f.flatten(2).mean(2) if f.ndim > 2 else f for f in features)])

    return by_pieces(solve, x.double(), size)
