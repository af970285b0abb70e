"""No transfer: training on the target alone."""

from typing import ClassVar

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.models import initial_weights
from pac_surrogate.models.weights import prunable
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@settings
class Scratch:
    """Train all weights from fresh initial ones on the target alone.

    Args:
        strength: weight decay towards 0, for weight tensors only.
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 0.0
    learning_rate: Positive = 1e-3
    needs_target: ClassVar[bool] = True

    def adapt(self, case: Case) -> Adaptation:
        """Start at random and train all weights."""
        surrogate = case.for_target()
        fresh = initial_weights(surrogate.network.module, case.generator())
        plan = make_plan(fresh, strength=dict.fromkeys(prunable(fresh), self.strength))
        return (yield case.on_target(surrogate, plan, self.learning_rate))
