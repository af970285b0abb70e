"""Adam on stacks of runs, where each run has its own learning rate."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor


class Adam:
    """Adam (Kingma & Ba 2015): w <- w - rate m / (sqrt(v) + 1e-8), with m and v the bias-corrected moments of the gradient.

    Torch's fused kernel reads and writes every number once. It takes one learning rate per call, so there is one call for each
    rate; runs of equal rate should be adjacent in the stack.

    Args:
        weights: name -> (run, *shape), contiguous; `step` changes them in place.
        gradient: tensors of the same shapes, contiguous, from which `step` reads the gradients.
        rate: name -> the learning rate of each run.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        gradient: Mapping[str, Tensor],
        rate: Mapping[str, Sequence[float]],
    ) -> None:
        self.taken = torch.tensor(0.0, device=next(iter(weights.values())).device)  # steps
        first, second = ({name: torch.zeros_like(weight) for name, weight in weights.items()} for _ in range(2))
        # For each learning rate, views of the weights, gradients and moments of consecutive runs that have this rate.
        self.parts: dict[float, tuple[list[Tensor], ...]] = {}
        for name, weight in weights.items():
            for value, group in groupby(range(len(weight)), key=lambda run, of=rate[name]: of[run]):  # type: ignore[misc]
                runs = list(group)
                lists = self.parts.setdefault(value, ([], [], [], []))
                for part, stacked in zip(lists, (weights, gradient, first, second), strict=True):
                    part.append(stacked[name][runs[0] : runs[-1] + 1])

    def step(self, factor: float) -> None:
        """Take a step of Adam with `factor` times the learning rates."""
        self.taken += 1
        for rate, parts in self.parts.items():
            # The kernel of `torch.optim.Adam(fused=True)`; on small tensors the bookkeeping of that class takes several times
            # as long as the kernel.
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
