"""Fine-tuning: start at the source and train all weights."""

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.models.weights import inside
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@settings
class FineTune:
    """Train all weights from the source's on the target.

    Args:
        learning_rate: learning rate of Adam for the readout.
        body_rate: learning rate of all other layers relative to it; 0.1 is customary in the Transfer Learning Library (TLlib).
    """

    learning_rate: Positive = 1e-3
    body_rate: NotNegative = 1.0

    def adapt(self, case: Case) -> Adaptation:
        """Start at the source and train all weights."""
        surrogate = case.for_target()
        readout = inside(surrogate.weights, surrogate.readout)
        rate = {name: 1.0 if bool(is_readout) else self.body_rate for name, is_readout in readout.items()}
        return (yield case.on_target(surrogate, make_plan(surrogate.weights, rate=rate), self.learning_rate))
