"""AC/DC: alternating compressed and decompressed training."""

from typing import ClassVar

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Count, Positive, Scope, Sparsity
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.methods.pruned.exempt import READOUT, Granularity, exempt_modules
from pac_surrogate.methods.pruned.sparse_training import largest, masked_plan
from pac_surrogate.utilities.arguments import settings


@settings
class ACDC:
    """Alternate sparse phases, on the largest weights, with dense phases, in which the pruned weights train from 0; end sparse.

    With c cycles there is a sparse phase, then c - 1 times a dense and a sparse one, all of equal length. The pretrained source
    replaces the dense warm-up (ours; the paper trains from scratch and makes the last sparse phase longer).
    Source: Peste, Iofinova, Vladu & Alistarh, NeurIPS 2021, arXiv:2106.12379.

    Args:
        sparsity: fraction of the body (the weight tensors that are not exempt) that is pruned in sparse phases.
        cycles: number of sparse phases.
        scope: layer (the sparsity holds in each layer) or global (over all layers together).
        exempt: tensors or modules that are not pruned, by default the readout (whatever its name); () prunes it too.
        learning_rate: learning rate of Adam.
        granularity: what is pruned as one group: weight | row | kernel | channel | unit; see `keep_highest_groups`. With other
            granularities than weight, the sparsity is that of the groups, and the readout is not pruned.
    """

    sparsity: Sparsity = 0.9
    cycles: Count = 4
    scope: Scope = "layer"
    exempt: tuple[str, ...] = READOUT
    learning_rate: Positive = 1e-3
    granularity: Granularity = "weight"
    needs_source: ClassVar[bool] = True
    learns_outputs: ClassVar[bool] = False

    def adapt(self, case: Case) -> Adaptation:
        """Train sparse and dense in turn, all on the source."""
        trained, phases = case.surrogate, 2 * self.cycles - 1
        exempt = exempt_modules(trained, self.exempt, self.granularity)
        for phase in range(phases):
            sparsity = 0.0 if phase % 2 else self.sparsity
            mask = largest(trained, sparsity, self.scope, exempt, self.granularity)
            trained = yield case.on_source(trained, masked_plan(trained.weights, mask), self.learning_rate, 1 / phases)
        return trained
