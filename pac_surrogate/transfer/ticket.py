"""Tickets: subnetworks of the source, drawn with or without adversarial robustness, then transferred.

Source: Fu, Yuan, Wu, Yuan & Lin, "Robust Tickets Can Transfer Better: Drawing More Transferable Subnetworks in Transfer
Learning", DAC 2023, arXiv:2304.11834. Its evidence is image classification.
"""

import math

from pac_surrogate.arguments import settings
from pac_surrogate.perturbation import Perturbation
from pac_surrogate.pruning.groups import GRANULARITIES
from pac_surrogate.transfer.drawing import KeepForRewinding, Prune, TrainSource
from pac_surrogate.transfer.learned_mask import LearnMask, TakeMask
from pac_surrogate.transfer.method import Stage, check_rate
from pac_surrogate.transfer.sparse_transfer import TrainKept

SCHEMES = ("OMP", "IMP", "LMP")
ROUND = 0.2  # part of what remains that goes in each round of IMP


@settings
class Ticket:
    """Draw a ticket, a mask and weights, from the source, and train it on the target.

        OMP  train all weights on the source, prune once by magnitude
        IMP  the same weights; then, in rounds: train what is kept on the source, prune 20 % of it, rewind the rest
        LMP  the same weights; then learn the mask on the target, by straight-through scores on frozen weights

    All three begin by training all weights on the source for the same number of steps whether the ticket is robust or natural,
    so a robust ticket differs from a natural one by the disturbed inputs alone.

    Args:
        scheme: OMP | IMP | LMP.
        sparsity: fraction of the groups of each tensor that is pruned.
        granularity: weight | row | kernel | channel; all but weight leave the readout whole.
        radius: of the disturbed inputs while the ticket is drawn on the source, standardised; 0 draws a natural ticket.
        attack_steps: of the adversary; 0 is the control, plain noise.
        regime: full trains all kept weights on the target, linear the readout alone.
        learning_rate: of Adam on the target.
        source_learning_rate: of Adam on the source.
        mask_learning_rate: of Adam on the scores of LMP.
    """

    scheme: str = "OMP"
    sparsity: float = 0.8
    granularity: str = "weight"
    radius: float = 0.0
    attack_steps: int = 3
    regime: str = "full"
    learning_rate: float = 1e-3
    source_learning_rate: float = 1e-3
    mask_learning_rate: float = 1e-2

    def __post_init__(self) -> None:
        self.stages()  # the rules check their own numbers

    def stages(self) -> tuple[Stage, ...]:
        """Draw, then train on the target with what LMP leaves of its steps."""
        mask_share = 0.5 if self.scheme == "LMP" else 0.0
        draw = draw_stages(
            self.scheme,
            sparsity=self.sparsity,
            granularity=self.granularity,
            radius=self.radius,
            attack_steps=self.attack_steps,
            learning_rate=self.learning_rate,
            source_learning_rate=self.source_learning_rate,
            mask_learning_rate=self.mask_learning_rate,
            mask_share=mask_share,
        )
        return (*draw, ("target", TrainKept(self.regime, learning_rate=self.learning_rate, share=1.0 - mask_share)))


def draw_stages(
    scheme: str,
    *,
    sparsity: float = 0.8,
    granularity: str = "weight",
    radius: float = 0.0,
    attack_steps: int = 3,
    learning_rate: float = 1e-3,
    source_learning_rate: float = 1e-3,
    mask_learning_rate: float = 1e-2,
    mask_share: float = 1.0,
    train_first: bool = True,
) -> tuple[Stage, ...]:
    """Stages that draw a ticket and do not transfer it; see `Ticket`.

    Args:
        scheme: OMP | IMP | LMP.
        sparsity: fraction of the groups of each tensor that is pruned.
        granularity: weight | row | kernel | channel.
        radius: of the disturbed inputs on the source.
        attack_steps: of the adversary; 0 is plain noise.
        learning_rate: of a new readout while LMP learns its mask.
        source_learning_rate: of Adam on the source.
        mask_learning_rate: of the scores of LMP.
        mask_share: part of the target's steps in which LMP learns its mask.
        train_first: False starts from the pretrained weights as they are.

    Raises:
        ValueError: if the scheme or granularity is unknown, or a number is out of range.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}: choose from {', '.join(SCHEMES)}")
    if granularity not in GRANULARITIES:
        raise ValueError(f"unknown granularity {granularity!r}: choose from {', '.join(GRANULARITIES)}")
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity must be in [0, 1), got {sparsity}")
    for rate in (learning_rate, source_learning_rate, mask_learning_rate):
        check_rate(rate)
    disturbed = Perturbation(radius, attack_steps)
    perturbation = disturbed if radius else None
    rounds = rounds_to(sparsity) if scheme == "IMP" else ()
    share = 1 / (len(rounds) + train_first) if rounds else 1.0
    first: tuple[Stage, ...] = (("source", TrainSource(True, perturbation, share, source_learning_rate)),) * train_first
    if scheme == "OMP":
        return (*first, ("source", Prune(sparsity, granularity)))
    if scheme == "LMP":
        learn = LearnMask(sparsity, granularity, mask_share, mask_learning_rate, learning_rate)
        return (*first, ("target", learn), ("target", TakeMask(granularity)))
    stages: list[Stage] = [*first, ("source", KeepForRewinding())]
    for gone in rounds:
        stages.append(("source", TrainSource(False, perturbation, share, source_learning_rate)))
        stages.append(("source", Prune(gone, granularity, rewind=True)))
    return tuple(stages)


def rounds_to(sparsity: float) -> tuple[float, ...]:
    """Sparsities after each round of IMP: 1 - 0.8^r while that is below the last one, which is exact."""
    # What is a whole number but for rounding (0.36 after two rounds) must not cost another round.
    count = max(1, math.ceil(math.log(1 - sparsity) / math.log(1 - ROUND) - 1e-9))
    return (*(1 - (1 - ROUND) ** r for r in range(1, count)), sparsity)
