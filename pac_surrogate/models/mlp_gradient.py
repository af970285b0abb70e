"""The gradient of a stack of multilayer perceptrons, with the chain rule written out."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.models.activations import SLOPES, VALUES


class MLPGradient:
    """The gradient of `forward_stack`, without autograd's bookkeeping, which takes longer than a small network's products.

    The arrays between the layers are reused in every step, because new memory comes from the operating system page by page,
    which took a fifth of the training time.

    Args:
        layers: names of the layers, from the inputs to the readout.
        activation: name of the activation function.
        into: name -> (run, *shape), for the weights whose gradient is wanted.
    """

    def __init__(self, layers: Sequence[str], activation: str, into: Mapping[str, Tensor]) -> None:
        self.layers = list(layers)
        self.activation = activation
        self.into = into
        self.first = next(i for i, name in enumerate(layers) if f"{name}.weight" in into or f"{name}.bias" in into)
        self.kept: dict[tuple[str, int], Tensor] = {}

    def enter(self, weights: Mapping[str, Tensor], x: Float[Tensor, "run sample input"]) -> Float[Tensor, "run sample feature"]:
        """Return the input of the first layer whose gradient is wanted, which does not change while x does not."""
        for layer in range(self.first):
            x = self._forward(weights, layer, x)[1]
        return x

    def add(
        self,
        weights: Mapping[str, Tensor],
        entering: Float[Tensor, "run sample feature"],
        slope: Callable[[Float[Tensor, "run sample output"]], Float[Tensor, "run sample output"]],
    ) -> None:
        """Add the gradient of a function of the prediction to `into`.

        Args:
            weights: name -> (run, *shape).
            entering: result of `enter` for the inputs, of the same shape in every call.
            slope: derivative of the function with respect to the prediction, as a function of the prediction.
        """
        last = len(self.layers) - 1
        arguments, values = {}, {self.first: entering}  # of the activation function before each layer
        for layer in range(self.first, last):
            arguments[layer + 1], values[layer + 1] = self._forward(weights, layer, values[layer])
        back = slope(self._affine(weights, last, values[last]))
        for layer in range(last, self.first - 1, -1):
            name = self.layers[layer]
            if f"{name}.weight" in self.into:
                self.into[f"{name}.weight"].baddbmm_(back.mT, values[layer])
            if f"{name}.bias" in self.into:
                self.into[f"{name}.bias"].add_(back.sum(1))
            if layer > self.first:
                back = torch.bmm(back, weights[f"{name}.weight"], out=self._room("slope", layer, back))
                SLOPES[self.activation](back, arguments[layer], values[layer])

    def _forward(self, weights: Mapping[str, Tensor], layer: int, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the argument and the value of the activation function that follows a layer."""
        argument = self._affine(weights, layer, h)
        return argument, VALUES[self.activation](argument, self._room("value", layer, h))

    def _affine(self, weights: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        weight, bias = (weights[f"{self.layers[layer]}.{part}"] for part in ("weight", "bias"))
        return torch.baddbmm(bias.unsqueeze(1), h, weight.mT, out=self._room("argument", layer, h))

    def _room(self, kind: str, layer: int, like: Tensor) -> Tensor:
        """Return the array of the earlier steps; in the first step an empty one, which grows to the result written into it."""
        if (kind, layer) not in self.kept:
            self.kept[kind, layer] = like.new_empty(0)
        return self.kept[kind, layer]
