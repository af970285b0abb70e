"""Gradual magnitude pruning."""

from typing import ClassVar

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Count, Positive, Scope, Sparsity
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.methods.pruned.sparse_training import largest, masked_plan
from pac_surrogate.utilities.arguments import settings


def cubic_ramp(sparsity: float, rounds: int) -> tuple[float, ...]:
    """Return the sparsity of each round, s_t = s_f + (s_0 - s_f)(1 - t / rounds)^3 with s_0 = 0, for t = 1 to rounds."""
    return tuple(sparsity - sparsity * (1 - t / rounds) ** 3 for t in range(1, rounds + 1))


@settings
class GMP:
    """Prune by magnitude and train in rounds, with a sparsity that follows a cubic ramp.

        s_t = s_f + (s_0 - s_f)(1 - (t - t_0) / (N dt))^3,  s_0 = 0

    Each round has the same number of steps and (ours) an optimiser and a learning rate schedule of its own; the start is the
    pretrained source.
    Source: Zhu & Gupta 2017, arXiv:1710.01878.

    Args:
        sparsity: fraction that is pruned in the end, s_f.
        rounds: number of rounds N.
        scope: layer (the sparsity holds in each layer) or global (over all layers together).
        exempt: tensors or modules that are not pruned.
        learning_rate: learning rate of Adam.
    """

    sparsity: Sparsity = 0.9
    rounds: Count = 8
    scope: Scope = "layer"
    exempt: tuple[str, ...] = ()
    learning_rate: Positive = 1e-3
    needs_source: ClassVar[bool] = True
    learns_outputs: ClassVar[bool] = False

    def adapt(self, case: Case) -> Adaptation:
        """Prune and train on the source in each round."""
        pruned = case.surrogate
        for sparsity in cubic_ramp(self.sparsity, self.rounds):
            mask = largest(pruned, sparsity, self.scope, self.exempt)
            plan = masked_plan(pruned.weights, mask)
            pruned = yield case.on_source(pruned, plan, self.learning_rate, 1 / self.rounds)
        return pruned
