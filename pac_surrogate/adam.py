"""Adam on stacks of runs, each with a learning rate of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from pac_surrogate.display import Shown
from pac_surrogate.weights import Weights, unstack


@dataclass(frozen=True, eq=False, repr=False)
class AdamState(Shown):
    """Where Adam stood in one run: the moments of the weights that train, and the steps taken."""

    first: Weights
    second: Weights
    steps: int


class Adam:
    """Adam (Kingma & Ba 2015): w <- w - rate m / (sqrt(v) + 1e-8), with m and v the bias-corrected moments of the gradient.

    Torch's fused kernel reads and writes every number once. It knows one learning rate a call, so there is one call for each
    rate; runs of one rate should stand side by side in the stack.

    Args:
        weights: name -> (run, *shape), contiguous; `step` changes them in place.
        gradient: of the same shapes, contiguous: where `step` finds the gradients.
        rate: name -> the learning rate of each run.
        states: of each run, from an earlier `states`; None begins anew, and weights that an earlier state does not name have
            no moments yet. All runs must have taken the same number of steps.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        gradient: Mapping[str, Tensor],
        rate: Mapping[str, Sequence[float]],
        states: Sequence[AdamState | None],
    ) -> None:
        known = [state for state in states if state is not None]
        self.steps = known[0].steps if known else 0
        self.taken = torch.tensor(float(self.steps), device=next(iter(weights.values())).device)
        self.first = {name: _stacked(w, [state.first for state in known], name) for name, w in weights.items()}
        self.second = {name: _stacked(w, [state.second for state in known], name) for name, w in weights.items()}
        # For each learning rate: weights, gradients and moments of consecutive runs that have it, views into the stack.
        self.parts: dict[float, tuple[list[Tensor], ...]] = {}
        for name, weight in weights.items():
            for value, group in groupby(range(len(weight)), key=lambda run, of=rate[name]: of[run]):  # type: ignore[misc]
                runs = list(group)
                lists = self.parts.setdefault(value, ([], [], [], []))
                for part, stacked in zip(lists, (weights, gradient, self.first, self.second), strict=True):
                    part.append(stacked[name][runs[0] : runs[-1] + 1])

    def step(self, factor: float) -> None:
        """Move the weights along the gradients, with `factor` times their learning rates."""
        self.steps += 1
        self.taken += 1
        for rate, parts in self.parts.items():
            # The kernel of `torch.optim.Adam(fused=True)`, whose bookkeeping takes several times as long on small tensors.
            weights, gradient, first, second = parts
            torch._fused_adam_(
                weights,
                gradient,
                first,
                second,
                [],
                [self.taken] * len(weights),
                lr=rate * factor,
                beta1=0.9,
                beta2=0.999,
                weight_decay=0.0,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )

    def states(self) -> list[AdamState]:
        """Where each run stands, on the CPU."""
        moments = ({name: tensor.cpu() for name, tensor in stacked.items()} for stacked in (self.first, self.second))
        return [AdamState(first, second, self.steps) for first, second in zip(*map(unstack, moments), strict=True)]


def _stacked(weight: Tensor, moments: Sequence[Weights], name: str) -> Tensor:
    """The runs' earlier moments of one tensor, or zeros."""
    if not moments:
        return torch.zeros_like(weight)
    none = torch.zeros_like(weight[0])
    return torch.stack([known.get(name, none).to(none) for known in moments])
