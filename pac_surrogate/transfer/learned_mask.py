"""A mask that is learned on the target while the weights are frozen: the scheme LMP of `Ticket`."""

from dataclasses import replace

import torch
from torch import Tensor

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.predictors import Network
from pac_surrogate.pruning.groups import group_scores
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.drawing import exempt_of, highest, new_readout
from pac_surrogate.weights import Weights, masked


@settings
class TopScores:
    """Weights times the mask of the highest |s| of each tensor, with a straight-through gradient to the scores s.

    The mask is exactly 0 or 1 forwards, and backwards as if it were |s|: dL/ds = sign(s) sum over the group of w dL/d(w mask).
    Scores are named `<weight>/score`; a tensor without them is passed on as it is.

    Args:
        sparsity: exactly round(sparsity x groups) of each tensor's groups are masked, earlier ones first among equals.
    """

    sparsity: float

    def __call__(self, parameters: Weights) -> Weights:
        """Mask the weights of a stack."""
        weights = {name: tensor for name, tensor in parameters.items() if not name.endswith("/score")}
        return {
            name: weight * self._mask(parameters[f"{name}/score"]) if f"{name}/score" in parameters else weight
            for name, weight in weights.items()
        }

    def _mask(self, scores: Tensor) -> Tensor:
        size = scores.abs()
        flat = size.detach().flatten(1)
        gone = torch.argsort(flat, dim=1, stable=True)[:, : round(self.sparsity * flat.shape[1])]
        mask = torch.ones_like(flat).scatter_(1, gone, 0.0).view_as(scores)
        return mask + (size - size.detach())


@settings
class LearnMask:
    """Learn which weights to keep on the target (LMP): scores train, the weights are frozen.

    Scores start at the group's mean |w| over that of its tensor. A new readout is 0 and would pass on nothing: it is not
    masked and trains along.

    Args:
        sparsity: fraction of the groups of each tensor that is masked.
        granularity: weight | row | kernel | channel.
        share: part of the target's steps.
        learning_rate: of Adam, of the scores.
        readout_learning_rate: of a new readout.
    """

    sparsity: float
    granularity: str = "weight"
    share: float = 0.5
    learning_rate: float = 1e-2
    readout_learning_rate: float = 1e-3

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Start at the mask by magnitude."""
        weights = surrogate.weights
        sizes = {name: weight.abs() for name, weight in weights.items()}
        mask = highest(surrogate, sizes, self.sparsity, self.granularity)
        groups = group_scores(sizes, granularity=self.granularity, exempt=exempt_of(surrogate, self.granularity))
        scores = {f"{n}/score": g / g.mean().clamp_min(torch.finfo(g.dtype).tiny) for n, g in groups.items()}
        free = new_readout(surrogate)
        return make_plan(
            {**weights, **scores},
            trainable={**free, **{name: torch.tensor(True) for name in scores}},
            rate={name: self.readout_learning_rate / self.learning_rate for name in weights},
            essential=mask,
            reparametrisation=TopScores(self.sparsity),
        )


@settings
class TakeMask:
    """Read the learned mask off the masked weights: a group is pruned where all of it is 0.

    Args:
        granularity: that of `LearnMask`.
    """

    granularity: str = "weight"

    def solve(self, surrogate: Surrogate, data: Dataset) -> Network:
        """Give the masked weights, zeros positive, and the mask."""
        network = surrogate.network
        present = {name: (weight != 0).to(weight.dtype) for name, weight in network.weights.items()}
        groups = group_scores(present, granularity=self.granularity, exempt=exempt_of(surrogate, self.granularity))
        kept = {n: groups[n] > 0 if n in groups else torch.tensor(True) for n in present}
        mask = {name: group.expand_as(present[name]).contiguous() for name, group in kept.items()}
        return replace(network, weights=masked(network.weights, mask), essential=mask)
