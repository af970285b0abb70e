"""Composites of a network of another task and a small network, which multi-fidelity modelling builds on a source.

The names of the source's weights begin with `base.`, those of the small network with `small.`. Fields enter and leave as flat
columns.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pac_surrogate.files import Variable
from pac_surrogate.models.mlp import MLP, MLPNetwork, affine
from pac_surrogate.models.network import Architecture, evaluate_stack


@dataclass(frozen=True)
class Composite:
    """The base class of the composites.

    Args:
        base: architecture of the network f of the source.
        base_outputs: outputs of f.
        hidden: widths of the small network.
    """

    base: Architecture
    base_outputs: tuple[Variable, ...]
    hidden: tuple[int, ...] = (32, 32)

    def __post_init__(self) -> None:
        """Convert lists, which have no hash, to tuples, and refuse the widths that an MLP refuses."""
        object.__setattr__(self, "hidden", MLP(self.hidden).hidden)
        object.__setattr__(self, "base_outputs", tuple(self.base_outputs))


@dataclass(frozen=True)
class DeltaNet(Composite):
    """A sum: prediction = f(x) + g(x), with f the base and g a multilayer perceptron."""

    hidden: tuple[int, ...] = (16, 16)

    def build(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> "CompositeNetwork":
        """Build the network for these variables.

        Raises:
            ValueError: if the outputs are not those of the base.
        """
        if [(v.name, v.shape) for v in outputs] != [(v.name, v.shape) for v in self.base_outputs]:
            names = [", ".join(f"{v.name} {v.shape}" for v in side) for side in (self.base_outputs, outputs)]
            raise ValueError(f"a DeltaNet predicts its base's outputs {names[0]}, not {names[1]}: use InputAugmentation")
        small = MLPNetwork(MLP(self.hidden), _width(inputs), _width(outputs))
        return CompositeNetwork(self, self.base.build(inputs, self.base_outputs), small)


@dataclass(frozen=True)
class InputAugmentation(Composite):
    """A chain: prediction = h(x, f(x)), with f the base and h a multilayer perceptron."""

    def build(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> "CompositeNetwork":
        """Build the network for these variables."""
        small = MLPNetwork(MLP(self.hidden), _width(inputs) + _width(self.base_outputs), _width(outputs))
        return CompositeNetwork(self, self.base.build(inputs, self.base_outputs), small)


@dataclass(frozen=True)
class MultiFidelity(Composite):
    """A linear and a nonlinear correlation: prediction = F_linear(x, f(x)) + tanh(a) F_nonlinear(x, f(x)), f the base.

    Initially a = 0.
    Source: Meng & Karniadakis, J. Comput. Phys. 401, 109020 (2020), arXiv:1903.00104.
    """

    def build(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> "CompositeNetwork":
        """Build the network for these variables."""
        small = LinearAndNonlinear(_width(inputs) + _width(self.base_outputs), self.hidden, _width(outputs))
        return CompositeNetwork(self, self.base.build(inputs, self.base_outputs), small)


class CompositeNetwork(nn.Module):
    """The module that a composite builds; its features are those of the base, followed by those of the small network.

    The last feature is what the small network's readout reads; a `DeltaNet` adds the base's prediction to the readout's.
    """

    readout_name = "small.readout"

    def __init__(
        self,
        architecture: DeltaNet | InputAugmentation | MultiFidelity,
        base: nn.Module,
        small: "MLPNetwork | LinearAndNonlinear",
    ) -> None:
        super().__init__()
        self.architecture, self.base = architecture, base
        self.small = small.to(next(base.parameters()).dtype)

    def forward(self, x: Float[Tensor, "sample input"]) -> tuple[Float[Tensor, "sample output"], tuple[Tensor, ...]]:
        """Return the prediction and the hidden features."""
        weights = {name: weight[None] for name, weight in self.named_parameters()}
        prediction, features = self.forward_stack(weights, x[None])
        return prediction[0], tuple(feature[0] for feature in features)

    def forward_stack(
        self, weights: Mapping[str, Tensor], x: Float[Tensor, "run sample input"]
    ) -> tuple[Float[Tensor, "run sample output"], tuple[Tensor, ...]]:
        """Evaluate many networks of this shape at once."""
        source, below = evaluate_stack(self.base, _inner(weights, "base."), x)
        delta = isinstance(self.architecture, DeltaNet)
        seen = x if delta else torch.cat([x, source], dim=-1)
        prediction, above = self.small.forward_stack(_inner(weights, "small."), seen)
        return source + prediction if delta else prediction, (*below, *above)


class LinearAndNonlinear(nn.Module):
    """The small network of a `MultiFidelity`, v = (x, f): A v + b + tanh(a) C h(v), h a multilayer perceptron.

    One readout (A C) with bias b reads the features (v, tanh(a) h); a separate bias of F_nonlinear would be redundant with b.
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.mix = Mix()
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise((inputs, *hidden)))
        self.readout = nn.Linear(inputs + hidden[-1], outputs)

    def forward_stack(
        self, weights: Mapping[str, Tensor], v: Float[Tensor, "run sample input"]
    ) -> tuple[Float[Tensor, "run sample output"], tuple[Float[Tensor, "run sample feature"], ...]]:
        """Evaluate many networks of this shape at once."""
        features, h = [], v
        for layer in range(len(self.hidden)):
            h = functional.gelu(affine(weights, f"hidden.{layer}", h))
            features.append(h)
        read = torch.cat([v, torch.tanh(weights["mix.a"]).unsqueeze(-1) * h], dim=-1)
        return affine(weights, "readout", read), (*features, read)


class Mix(nn.Module):
    """The weight a of the nonlinear part."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(1))

    def reset_parameters(self) -> None:
        """Set a = 0, so that the correlation is linear at the start."""
        nn.init.zeros_(self.a)


def _inner(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def _width(variables: Sequence[Variable]) -> int:
    return sum(variable.size for variable in variables)
