"""L2: fine-tuning with weight decay."""

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.models.weights import prunable
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@settings
class L2:
    """Train all weights from the source's, with weight decay towards 0: + strength/2 ||w||^2, for weight tensors only.

    Source: the baseline of Li, Grandvalet & Davoine, ICML 2018 (arXiv:1802.01483).

    Args:
        strength: alpha of the paper.
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 0.1
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start at the source, and anchor the weight tensors at 0."""
        surrogate = case.for_target()
        plan = make_plan(surrogate.weights, strength=dict.fromkeys(prunable(surrogate.weights), self.strength))
        return (yield case.on_target(surrogate, plan, self.learning_rate))
