"""LP-FT: linear probing, then fine-tuning of all weights."""

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Fraction, Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.methods.tuned.linear_probe import readout_plan
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@settings
class LPFT:
    """Train the readout on the source's features, then all weights from there.

        w_1 = argmin L_T(w) over the readout from w_S;   w_T = argmin L_T(w) over all weights from w_1

    If the readout already fits the features, fine-tuning distorts the features less. Both trainings together take the steps of
    one.
    Source: Kumar, Raghunathan, Jones, Ma & Liang, ICLR 2022 (arXiv:2202.10054).

    Args:
        probe_fraction: fraction of the steps that the probe takes, in [0, 1]; 0 is fine-tuning, 1 the linear probe.
        learning_rate: learning rate of Adam for all weights.
        probe_learning_rate: learning rate of Adam for the probe.
    """

    probe_fraction: Fraction = 0.5
    learning_rate: Positive = 1e-3
    probe_learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Train the readout, then all weights, both on the target."""
        surrogate = case.for_target()
        probed = yield case.on_target(surrogate, readout_plan(surrogate, 0.0), self.probe_learning_rate, self.probe_fraction)
        return (yield case.on_target(probed, make_plan(probed.weights), self.learning_rate, 1.0 - self.probe_fraction))
