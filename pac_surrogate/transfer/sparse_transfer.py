"""Sparse transfer: a pruned source on a target, its mask kept."""

from dataclasses import field

import torch

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.gmp import GMP
from pac_surrogate.transfer.method import Method, Stage, check_rate, check_strength
from pac_surrogate.weights import inside, prunable


@settings
class TrainKept:
    """Train a pruned source on a target.

    full: all kept weights train, pruned ones stay +0.0. linear: the body is frozen and the readout trains densely, pruned
    weights of a kept readout included (ours: the papers' readout is always new, and dense). A new readout is dense and trains
    in both. What trains counts as essential afterwards.

    Args:
        regime: full or linear.
        strength: pulls weight tensors towards the pruned source, a new readout towards 0.
        learning_rate: of Adam.
        share: part of the step budget.
    """

    regime: str = "full"
    strength: float = 0.0
    learning_rate: float = 1e-3
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.regime not in ("full", "linear"):
            raise ValueError(f"unknown regime {self.regime!r}: choose full or linear")
        check_strength(strength=self.strength)
        check_rate(self.learning_rate)

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Start and anchor at the pruned source."""
        essential, weights = surrogate.essential, surrogate.weights
        if essential is None:
            raise ValueError("sparse transfer needs a pruned source; this one has no essential mask: prune it first")
        readout = inside(weights, surrogate.readout)
        trainable = readout
        if self.regime == "full":
            new = surrogate.network.new_readout
            trainable = {name: readout[name] if new and bool(readout[name]) else mask for name, mask in essential.items()}
        strength = dict.fromkeys(prunable(weights), self.strength)
        kept = {name: mask | trainable[name] for name, mask in essential.items()}
        return make_plan(weights, trainable=trainable, anchor=weights, strength=strength, essential=kept)


@settings
class SparseTransfer:
    """Prune a source by a recipe, then transfer what is left.

    Source: Iofinova, Peste, Kurtz & Alistarh, "How Well Do Sparse ImageNet Models Transfer?", CVPR 2022, arXiv:2111.13445.

    Args:
        recipe: how the source is pruned, on source data: GMP, ACDC, STR, RigL, WoodFisher, a ticket.
        regime: full (all kept weights train, mask fixed) or linear (frozen body, dense readout).
        strength: pull towards the pruned source.
        learning_rate: of Adam on the target.
    """

    recipe: Method = field(default_factory=GMP)
    regime: str = "full"
    strength: float = 0.0
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if not hasattr(self.recipe, "stages") or isinstance(self.recipe, type):
            raise ValueError(f"recipe must be a pruning recipe such as GMP(), got {self.recipe!r}")
        self.stages()  # the rules check their own numbers

    def stages(self) -> tuple[Stage, ...]:
        """Those of the recipe, then one on the target."""
        return (*self.recipe.stages(), ("target", TrainKept(self.regime, self.strength, self.learning_rate)))
