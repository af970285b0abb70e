"""Gradual magnitude pruning."""

from typing import ClassVar

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Count, Fraction, Positive, Scope, Sparsity
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.methods.pruned.exempt import READOUT, Granularity, exempt_modules
from pac_surrogate.methods.pruned.sparse_training import cubic_ramp, largest, masked_plan
from pac_surrogate.utilities.arguments import settings


@settings
class GMP:
    """Prune by magnitude and train in rounds, with a sparsity that follows a cubic ramp.

        s_t = s_f + (s_0 - s_f)(1 - (t - t_0) / (N dt))^3,  s_0 = 0

    Once the sparsity is s_f, the paper no longer changes the mask; ours is the rule that this last sparsity is trained for the
    fraction `hold` of the steps, in addition to its round. Also ours: the rounds have equal numbers of steps, each with an
    optimiser and a learning rate schedule of its own, and the start is the pretrained source.
    Source: Zhu & Gupta 2017, arXiv:1710.01878.

    Args:
        sparsity: fraction of the body (the weight tensors that are not exempt) that is pruned in the end, s_f.
        rounds: number of rounds N.
        hold: fraction of the steps in which the last sparsity is trained after the ramp.
        scope: layer (the sparsity holds in each layer) or global (over all layers together).
        exempt: tensors or modules that are not pruned, by default the readout (whatever its name); () prunes it too.
        learning_rate: learning rate of Adam.
        granularity: what is pruned as one group: weight | row | kernel | channel | unit; see `keep_highest_groups`. With other
            granularities than weight, the sparsity is that of the groups, and the readout is not pruned.
    """

    sparsity: Sparsity = 0.9
    rounds: Count = 8
    hold: Fraction = 0.5
    scope: Scope = "layer"
    exempt: tuple[str, ...] = READOUT
    learning_rate: Positive = 1e-3
    granularity: Granularity = "weight"
    needs_source: ClassVar[bool] = True
    learns_outputs: ClassVar[bool] = False

    def adapt(self, case: Case) -> Adaptation:
        """Prune and train on the source in each round."""
        pruned, exempt = case.surrogate, exempt_modules(case.surrogate, self.exempt, self.granularity)
        for sparsity, fraction in cubic_ramp(self.sparsity, self.rounds, self.hold):
            mask = largest(pruned, sparsity, self.scope, exempt, self.granularity)
            plan = masked_plan(pruned.weights, mask)
            pruned = yield case.on_source(pruned, plan, self.learning_rate, fraction)
        return pruned
