"""Input augmentation: the source's prediction is an additional input."""

from typing import ClassVar

from pac_surrogate.methods.around.delta_net import around_source, fresh_start, plan_small_network
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.models import InputAugmentation as Chain
from pac_surrogate.models.mlp import Widths
from pac_surrogate.utilities.arguments import settings


@settings
class InputAugmentation:
    """Train a small network h on the inputs and the frozen source's prediction: h(x, f_S(x)).

        + strength/2 ||weight tensors of h||^2

    h starts at random, so target samples are needed.
    Source: Lu, Pestourie, Johnson & Romano, Phys. Rev. Research 4, 023210 (2022), arXiv:2204.06684.

    Args:
        hidden: widths of h.
        strength: weight decay of h.
        learning_rate: learning rate of Adam.
    """

    hidden: Widths = (32, 32)
    strength: NotNegative = 0.01
    learning_rate: Positive = 1e-3
    needs_target: ClassVar[bool] = True

    def adapt(self, case: Case) -> Adaptation:
        """Start h at random and train it behind the frozen source."""
        source = case.surrogate
        surrogate = around_source(source, case.target, Chain(source.network.architecture, source.outputs, self.hidden))
        plan = plan_small_network(fresh_start(surrogate, case.generator()), anchor=0.0, strength=self.strength)
        return (yield case.on_target(surrogate, plan, self.learning_rate))
