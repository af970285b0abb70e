"""Input augmentation: the source's prediction is one more input."""

from typing import ClassVar

import torch

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.models import MLP
from pac_surrogate.models import InputAugmentation as Chain
from pac_surrogate.plan import Plan
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.delta_net import around_source, fresh_start, plan_small_network
from pac_surrogate.transfer.method import Stage, check_rate, check_strength


@settings
class InputAugmentation:
    """Train a small network on the inputs and the frozen source's prediction: h(x, f_S(x)), + strength/2 ||weight tensors||^2.

    h starts at random, so there is no answer without target samples.
    Source: Lu, Pestourie, Johnson & Romano, Phys. Rev. Research 4, 023210 (2022), arXiv:2204.06684.

    Args:
        hidden: widths of h.
        strength: weight decay of h.
        learning_rate: of Adam.
    """

    hidden: tuple[int, ...] = (32, 32)
    strength: float = 0.01
    learning_rate: float = 1e-3
    needs_target: ClassVar[bool] = True

    def __post_init__(self) -> None:
        MLP(self.hidden)  # refuses widths that cannot be
        check_strength(strength=self.strength)
        check_rate(self.learning_rate)

    def stages(self) -> tuple[Stage, ...]:
        """One stage on the target."""
        return (("target", self),)

    def prepare(self, surrogate: Surrogate, data: Dataset) -> Surrogate:
        """Put h, of zero weights, behind the source."""
        return around_source(surrogate, data, Chain(surrogate.network.architecture, surrogate.outputs, self.hidden))

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Start h at random; the source is frozen."""
        return plan_small_network(fresh_start(surrogate, generator), anchor=0.0, strength=self.strength)
