"""AC/DC: alternating compressed and decompressed training."""

from pac_surrogate.arguments import settings
from pac_surrogate.transfer.method import Stage
from pac_surrogate.transfer.sparse_training import TrainMasked, check_count


@settings
class ACDC:
    """Alternate sparse phases, on the largest weights, with dense ones, in which the pruned weights return from 0; end sparse.

    With c cycles: sparse, then c - 1 times dense and sparse, all of equal length. The pretrained source stands for the dense
    warm-up (ours; the paper trains from scratch and makes the last sparse phase longer).
    Source: Peste, Iofinova, Vladu & Alistarh, NeurIPS 2021, arXiv:2106.12379.

    Args:
        sparsity: fraction that is pruned in sparse phases.
        cycles: number of sparse phases.
        scope: the sparsity holds in each layer, or over all of them together (global).
        exempt: tensors or modules that are not pruned.
        learning_rate: of Adam.
    """

    sparsity: float = 0.9
    cycles: int = 4
    scope: str = "layer"
    exempt: tuple[str, ...] = ()
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_count(cycles=self.cycles)
        self.stages()  # the rules check the other numbers

    def stages(self) -> tuple[Stage, ...]:
        """Sparse and dense trainings in turn, all on the source."""
        phases = 2 * self.cycles - 1
        return tuple(
            (
                "source",
                TrainMasked(0.0 if i % 2 else self.sparsity, 1 / phases, self.learning_rate, self.scope, self.exempt),
            )
            for i in range(phases)
        )
