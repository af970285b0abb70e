"""L2: fine-tuning with weight decay."""

from pac_surrogate.methods.biases import Biases, pulled_tensors, trained_tensors
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@settings
class L2:
    """Train all weights from the source's, with weight decay towards 0: + strength/2 ||w||^2.

    Source: the baseline of Li, Grandvalet & Davoine, ICML 2018 (arXiv:1802.01483).

    Args:
        strength: alpha of the paper, for the weight tensors.
        biases: whether biases and norm layers are free, decay too (pulled), or are frozen.
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 0.1
    biases: Biases = "free"
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start at the source, and anchor the weight tensors at 0."""
        surrogate = case.for_target()
        strength = dict.fromkeys(pulled_tensors(surrogate, self.biases), self.strength)
        plan = make_plan(surrogate.weights, trainable=trained_tensors(surrogate, self.biases), strength=strength)
        return (yield case.on_target(surrogate, plan, self.learning_rate))
