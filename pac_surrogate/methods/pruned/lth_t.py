"""LTH-T: lottery tickets for transfer, iterative magnitude pruning that rewinds to the pretrained weights.

Source: Chen, Frankle, Chang, Liu, Zhang, Carbin & Wang, "The Lottery Tickets Hypothesis for Supervised and Self-supervised
Pre-training in Computer Vision Models", CVPR 2021, arXiv:2012.06908; as a pruning method for sparse transfer in Iofinova,
Peste, Kurtz & Alistarh, CVPR 2022, arXiv:2111.13445.
"""

from typing import ClassVar

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Positive, Sparsity
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.methods.pruned.exempt import READOUT, Granularity
from pac_surrogate.methods.pruned.ticket import ROUND_RATE, DrawTicket
from pac_surrogate.utilities.arguments import settings


@settings
class LTHT:
    """Draw a natural ticket from the pretrained source in rounds: a recipe for `SparseTransfer`.

    Each round trains the kept weights on the source, prunes 20 % of them by magnitude, and resets the others to their
    pretrained values, bit for bit. This is the scheme IMP of `Ticket` without training all weights on the source first. Each
    round takes all `source_steps` of the budget, as in the papers, in which it is a full training; R rounds take
    R x `source_steps`, with R = 8 at a sparsity of 0.8.

    Args:
        sparsity: fraction of the groups of each tensor of the body (the weight tensors that are not exempt) that is pruned
            in the end.
        granularity: weight | row | kernel | channel | unit.
        learning_rate: learning rate of Adam in the rounds.
        exempt: tensors or modules that are not pruned, by default the readout (whatever its name); () prunes it too. Other
            granularities than weight, and a new readout, always leave the readout unpruned.
    """

    sparsity: Sparsity = 0.8
    granularity: Granularity = "weight"
    learning_rate: Positive = ROUND_RATE
    exempt: tuple[str, ...] = READOUT
    needs_source: ClassVar[bool] = True
    learns_outputs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _ = self.drawing  # its constructor checks the values

    @property
    def drawing(self) -> DrawTicket:
        """The scheme IMP, starting from the unchanged pretrained weights."""
        return DrawTicket(
            "IMP",
            self.sparsity,
            self.granularity,
            round_learning_rate=self.learning_rate,
            train_first=False,
            exempt=self.exempt,
        )

    def adapt(self, case: Case) -> Adaptation:
        """Draw the ticket in rounds, all on the source."""
        return self.drawing.adapt(case)
