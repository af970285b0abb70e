"""Gradual magnitude pruning."""

from pac_surrogate.arguments import settings
from pac_surrogate.transfer.method import Stage
from pac_surrogate.transfer.sparse_training import TrainMasked, check_count


def cubic_ramp(sparsity: float, rounds: int) -> tuple[float, ...]:
    """Sparsity of each round, s_t = s_f + (s_0 - s_f)(1 - t / rounds)^3 with s_0 = 0, for t = 1 to rounds."""
    return tuple(sparsity - sparsity * (1 - t / rounds) ** 3 for t in range(1, rounds + 1))


@settings
class GMP:
    """Prune a little more by magnitude and train, round after round, along a cubic ramp.

        s_t = s_f + (s_0 - s_f)(1 - (t - t_0) / (N dt))^3,  s_0 = 0

    Each round has the same share of the steps and, ours, an optimiser and a learning rate schedule of its own; the start is the
    pretrained source.
    Source: Zhu & Gupta 2017, arXiv:1710.01878.

    Args:
        sparsity: fraction that is pruned in the end, s_f.
        rounds: N.
        scope: the sparsity holds in each layer, or over all of them together (global).
        exempt: tensors or modules that are not pruned.
        learning_rate: of Adam.
    """

    sparsity: float = 0.9
    rounds: int = 8
    scope: str = "layer"
    exempt: tuple[str, ...] = ()
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_count(rounds=self.rounds)
        self.stages()  # the rules check the other numbers

    def stages(self) -> tuple[Stage, ...]:
        """A training with a mask for each round, all on the source."""
        share = 1 / self.rounds
        ramp = cubic_ramp(self.sparsity, self.rounds)
        return tuple(("source", TrainMasked(s, share, self.learning_rate, self.scope, self.exempt)) for s in ramp)
