"""Compaction: the same function with fewer units, since those that pruning has disconnected are removed."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from pac_surrogate.models import CNN, MLP, Architecture, Composite, MultiFidelity
from pac_surrogate.models.activations import activation
from pac_surrogate.models.weights import Mask, Weights
from pac_surrogate.utilities.display import Shown


def compact_network(
    architecture: Architecture, weights: Mapping[str, Tensor], essential: Mapping[str, Tensor] | None = None
) -> tuple[Architecture, Weights, Mask | None]:
    """Remove the hidden units of a network that are constant or not read, so that it computes the same function.

    A unit whose incoming weights are all 0 is the constant c = act(b), which is added to the biases of the next layer:

        b'_j = b_j + sum_i W_ji c_i      over the constant units i

    A unit whose outgoing weights are all 0 is removed. Both propagate: units that read constants only are constant themselves,
    and units that only removed units read are removed. At least one unit stays in each layer. Only exact zeros count, whatever
    the mask says, and only what holds for all inputs. Sums are taken in float64 and rounded once to the precision of the
    weights.

    Of a CNN, the channels between the two convolutions of each residual block are removed; the channels of the fields to which
    the blocks add stay, as all blocks share them. Zero padding makes a constant field vary at the sides, so there the constant
    channels of a block are merged into one: W'_j1 = sum_i W_ji c_i / c_1. Composites have their base and their small network
    compacted. A module of the user's own is returned unchanged.

    Args:
        architecture: description of the network.
        weights: its weights by name.
        essential: mask of its essential weights, if it has one.

    Returns:
        The architecture with smaller widths, its weights, and the rows and columns of the mask that remain.
    """
    own = {name: weight.double().clone() for name, weight in weights.items()}
    kept = Kept()
    smaller = _reduced(architecture, own, kept, "")
    found = {name: kept.part(name, weight).to(weights[name].dtype) for name, weight in own.items()}
    mask = None if essential is None else {name: kept.part(name, own_mask) for name, own_mask in essential.items()}
    return smaller, found, mask


@dataclass(frozen=True, eq=False, repr=False)
class Kept(Shown):
    """The units that remain.

    Attributes:
        rows: by the name of a layer, its units that remain.
        columns: by the name of a layer, the columns of its weight that remain.
    """

    rows: dict[str, Int[Tensor, " row"]] = field(default_factory=dict)
    columns: dict[str, Int[Tensor, " column"]] = field(default_factory=dict)

    def part(self, name: str, tensor: Tensor) -> Tensor:
        """Return the rows and columns of a tensor that remain."""
        layer, _, kind = name.rpartition(".")
        tensor = tensor[self.rows[layer]] if layer in self.rows else tensor
        return tensor[:, self.columns[layer]] if kind == "weight" and layer in self.columns else tensor

    def widths(self, layers: Sequence[str]) -> tuple[int, ...]:
        """Return the number of units of these layers."""
        return tuple(len(self.rows[layer]) for layer in layers)


def _reduced(architecture: Architecture, weights: Weights, kept: Kept, prefix: str) -> Architecture:
    """Set removed units to 0 in place, note the others, and return the architecture of the remaining widths."""
    if isinstance(architecture, Composite):
        base = _reduced(architecture.base, weights, kept, f"{prefix}base.")
        hidden = [f"{prefix}small.hidden.{layer}" for layer in range(len(architecture.hidden))]
        if isinstance(architecture, MultiFidelity):
            _reduce_nonlinear(hidden, f"{prefix}small.", weights, kept)
        else:
            _reduce([*hidden, f"{prefix}small.readout"], MLP(architecture.hidden).activation, weights, kept)
        return dataclasses.replace(architecture, base=base, hidden=kept.widths(hidden))
    if isinstance(architecture, MLP):
        hidden = [f"{prefix}hidden.{layer}" for layer in range(len(architecture.hidden))]
        _reduce([*hidden, f"{prefix}readout"], architecture.activation, weights, kept)
        return dataclasses.replace(architecture, hidden=kept.widths(hidden))
    if isinstance(architecture, CNN):
        levels = [*(f"down.{level}" for level in range(architecture.levels + 1))]
        levels += [f"up.{level}" for level in range(architecture.levels)]
        blocks = [f"{prefix}{level}.{block}" for level in levels for block in range(architecture.blocks)]
        bordered = architecture.padding == "zero" and architecture.kernel > 1
        for block in blocks:
            _reduce([f"{block}.0", f"{block}.1"], architecture.activation, weights, kept, bordered=bordered)
        inner = kept.widths([f"{block}.0" for block in blocks])
        widths = [architecture.channels * 2 ** int(block.split(".")[-2]) for block in blocks]
        return dataclasses.replace(architecture, inner=() if list(inner) == widths else inner)
    return architecture


def _reduce(layers: Sequence[str], name: str, weights: Weights, kept: Kept, *, bordered: bool = False) -> None:
    """Fold constants forwards through layers, then remove backwards what is not read; the last layer keeps its outputs.

    Args:
        layers: names of the layers; an activation function follows each but the last.
        name: name of the activation function.
        weights: weights in float64, in which the outgoing weights of constants and all weights of removed units become 0.
        kept: record of the units that remain.
        bordered: whether zeros are padded to the values of the hidden units.
    """
    pairs = list(itertools.pairwise(layers))
    for here, after in pairs:
        constant = ~_any_of_rows(weights[f"{here}.weight"] != 0)
        _fold(after, torch.nonzero(constant)[:, 0], activation(name)(weights[f"{here}.bias"]), weights, bordered=bordered)
    for here, after in reversed(pairs):
        read = _any_of_rows(weights[f"{after}.weight"].transpose(0, 1) != 0)
        for kind in ("weight", "bias"):
            weights[f"{here}.{kind}"][~read] = 0.0
        read[0] |= not bool(read.any())  # a layer without units is none
        kept.rows[here] = kept.columns[after] = torch.nonzero(read)[:, 0]


def _fold(after: str, constant: Int[Tensor, " unit"], values: Tensor, weights: Weights, *, bordered: bool) -> None:
    """Move the constant units from the weights of the next layer into its biases, or into the largest one of them."""
    if not len(constant):
        return
    weight, value = weights[f"{after}.weight"], values[constant]
    own = weight[:, constant]
    weight[:, constant] = 0.0
    if not bordered:
        weights[f"{after}.bias"] += own.flatten(2).sum(2) @ value if own.ndim > 2 else own @ value
    elif bool(value.any()):
        largest = value.abs().argmax()
        weight[:, constant[largest]] = torch.einsum("oi...,i->o...", own, value / value[largest])


def _reduce_nonlinear(hidden: list[str], prefix: str, weights: Weights, kept: Kept) -> None:
    """Reduce the small network of a `MultiFidelity`, whose readout (A C) reads (v, tanh(a) h): C is a readout of its own."""
    readout, gain = f"{prefix}readout", torch.tanh(weights[f"{prefix}mix.a"])
    whole = weights[f"{readout}.weight"]
    before = whole.shape[1] - len(weights[f"{hidden[-1]}.bias"])
    nonlinear = f"{prefix}nonlinear"
    weights |= {f"{nonlinear}.weight": whole[:, before:] * (gain != 0), f"{nonlinear}.bias": torch.zeros_like(whole[:, 0])}
    _reduce([*hidden, nonlinear], MLP().activation, weights, kept)
    whole[:, before:] = weights.pop(f"{nonlinear}.weight")
    weights[f"{readout}.bias"] += gain * weights.pop(f"{nonlinear}.bias")
    kept.columns[readout] = torch.cat([torch.arange(before), before + kept.columns.pop(nonlinear)])


def _any_of_rows(marked: Bool[Tensor, "row ..."]) -> Bool[Tensor, " row"]:
    return marked.flatten(1).any(1)
