"""Multilayer perceptron on flat inputs."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pac_surrogate.files import Variable
from pac_surrogate.models.activations import activation
from pac_surrogate.models.mlp_gradient import MLPGradient
from pac_surrogate.utilities.arguments import Range, settings

Widths: TypeAlias = Annotated[
    tuple[int, ...], Range("one or more widths of at least 1", lambda widths: len(widths) > 0 and min(widths) >= 1)
]


@settings
class MLP:
    """A multilayer perceptron: h_l = act(W_l h_{l-1} + b_l), prediction = W h_L + b.

    Args:
        hidden: widths of the hidden layers, or the width of a single one.
        activation: gelu | relu | silu | tanh.
    """

    hidden: Widths = (128, 128)
    activation: str = "gelu"

    def __post_init__(self) -> None:
        activation(self.activation)

    def build(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> "MLPNetwork":
        """Build the network for these variables, all flattened to columns."""
        return MLPNetwork(self, sum(v.size for v in inputs), sum(v.size for v in outputs))


class MLPNetwork(nn.Module):
    """The module that an `MLP` builds. Its features are the activations of every hidden layer."""

    readout_name = "readout"

    def __init__(self, architecture: MLP, inputs: int, outputs: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.activation = activation(architecture.activation)
        widths = (inputs, *architecture.hidden)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.readout = nn.Linear(widths[-1], outputs)

    def blind_to(self, weights: Mapping[str, Tensor], columns: Bool[Tensor, " input"]) -> dict[str, Tensor]:
        """Return the weights of a network that does not see these input columns."""
        first = weights["hidden.0.weight"]
        return {**weights, "hidden.0.weight": torch.where(columns, 0.0, first)}

    def rows_of(self, output: Variable) -> int:
        """Return how many rows of the readout an output has: one for each of its numbers."""
        return output.size

    def forward(
        self, x: Float[Tensor, "sample input"]
    ) -> tuple[Float[Tensor, "sample output"], tuple[Float[Tensor, "sample feature"], ...]]:
        """Return the prediction and the hidden features."""
        weights = {name: weight[None] for name, weight in self.named_parameters()}
        prediction, features = self.forward_stack(weights, x[None])
        return prediction[0], tuple(feature[0] for feature in features)

    def forward_stack(
        self, weights: Mapping[str, Tensor], x: Float[Tensor, "run sample input"]
    ) -> tuple[Float[Tensor, "run sample output"], tuple[Float[Tensor, "run sample feature"], ...]]:
        """Evaluate many networks of this shape at once, with one batched product per layer, twice as fast as `vmap`."""
        features, h = [], x
        for layer in range(len(self.hidden)):
            h = self.activation(affine(weights, f"hidden.{layer}", h))
            features.append(h)
        return affine(weights, "readout", h), tuple(features)

    def gradient_stack(self, into: Mapping[str, Tensor]) -> MLPGradient:
        """Return an object that adds the gradient of a stack of these networks to `into`."""
        layers = [*(f"hidden.{layer}" for layer in range(len(self.hidden))), "readout"]
        return MLPGradient(layers, self.architecture.activation, into)


def affine(
    weights: Mapping[str, Tensor], name: str, h: Float[Tensor, "run sample input"]
) -> Float[Tensor, "run sample output"]:
    """Apply the layer of this name: h W' + b."""
    return torch.baddbmm(weights[f"{name}.bias"].unsqueeze(1), h, weights[f"{name}.weight"].mT)
