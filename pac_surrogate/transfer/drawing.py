"""How tickets are drawn on the source: train, disturbed or not; remember; prune; rewind."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.perturbation import Perturbation
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.predictors import Network
from pac_surrogate.pruning.groups import keep_highest_groups
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.method import NotApplicableError
from pac_surrogate.weights import Mask, inside, masked


@settings
class TrainSource:
    """Train on the source task, its inputs disturbed or not: the step in which a robust ticket differs from a natural one.

        minimise  mean over samples of  max over |eta|_inf <= radius of  L_S(f(x + eta), y)

    Args:
        dense: train all weights; False trains those of the essential mask.
        perturbation: of the inputs; None for natural tickets.
        share: part of the source's steps.
        learning_rate: of Adam.
    """

    dense: bool = True
    perturbation: Perturbation | None = None
    share: float = 1.0
    learning_rate: float = 1e-3

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Start at the source."""
        trainable = True if self.dense else essential_of(surrogate)
        return make_plan(surrogate.weights, trainable=trainable, perturbation=self.perturbation)


@dataclass(frozen=True)
class KeepForRewinding:
    """Remember the weights that the rounds of IMP go back to, all of them essential still."""

    def solve(self, surrogate: Surrogate, data: Dataset) -> Network:
        """Leave the weights in `carried["rewind"]`."""
        network = surrogate.network
        everything = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in network.weights.items()}
        return replace(network, essential=everything, carried={**network.carried, "rewind": network.weights})


@settings
class Prune:
    """Prune by magnitude, group by group; what is pruned is +0.0.

    Args:
        sparsity: fraction of the groups of each tensor that is gone afterwards.
        granularity: weight | row | kernel | channel.
        rewind: prune among the essential weights alone, then put those that stay back to `carried["rewind"]`.
    """

    sparsity: float
    granularity: str = "weight"
    rewind: bool = False

    def solve(self, surrogate: Surrogate, data: Dataset) -> Network:
        """Give the masked weights and the mask."""
        network = surrogate.network
        scores = {name: weight.abs() for name, weight in network.weights.items()}
        if self.rewind:  # what went in an earlier round goes first, so masks are nested even among weights of 0
            essential = essential_of(surrogate)
            scores = {name: torch.where(essential[name], score, -1.0) for name, score in scores.items()}
        mask = highest(surrogate, scores, self.sparsity, self.granularity)
        weights = network.carried["rewind"] if self.rewind else network.weights
        return replace(network, weights=masked(weights, mask), essential=mask)


def essential_of(surrogate: Surrogate) -> Mask:
    """The mask of a ticket.

    Raises:
        ValueError: if there is none.
    """
    if surrogate.essential is None:
        raise ValueError("a ticket has an essential mask; this source has none: draw the ticket first")
    return surrogate.essential


def new_readout(surrogate: Surrogate) -> Mask:
    """The readout if its outputs are new, else nothing."""
    nothing = dict.fromkeys(surrogate.weights, torch.tensor(False))
    return inside(surrogate.weights, surrogate.readout) if surrogate.network.new_readout else nothing


def exempt_of(surrogate: Surrogate, granularity: str) -> tuple[str, ...]:
    """What is not pruned: a readout that would lose whole outputs, or that is new."""
    return (surrogate.readout,) if granularity != "weight" or surrogate.network.new_readout else ()


def highest(surrogate: Surrogate, scores: Mapping[str, Tensor], sparsity: float, granularity: str) -> Mask:
    """The essential mask, or the reason why this network has none: too few groups, no convolutions, a diverged source."""
    try:
        return keep_highest_groups(scores, sparsity, granularity=granularity, exempt=exempt_of(surrogate, granularity))
    except ValueError as error:
        raise NotApplicableError(str(error)) from error
