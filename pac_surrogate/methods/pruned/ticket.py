"""Tickets: subnetworks of the source that are drawn with or without adversarial robustness and then transferred.

Source: Fu, Yuan, Wu, Yuan & Lin, "Robust Tickets Can Transfer Better: Drawing More Transferable Subnetworks in Transfer
Learning", DAC 2023, arXiv:2304.11834. Its evidence is image classification.
"""

import math
from collections.abc import Generator
from dataclasses import replace
from typing import Annotated, Any, ClassVar, TypeAlias

import torch

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Fraction, Positive, Sparsity, one_of
from pac_surrogate.methods.method import Adaptation, Problem
from pac_surrogate.methods.pruned.drawing import highest, keep
from pac_surrogate.methods.pruned.exempt import READOUT, Granularity
from pac_surrogate.methods.pruned.learned_mask import learned_mask, mask_plan
from pac_surrogate.methods.pruned.sparse_transfer import Regime, kept_plan
from pac_surrogate.perturbation import Perturbation
from pac_surrogate.plan import make_plan
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings

Scheme: TypeAlias = Annotated[str, one_of("OMP", "IMP", "LMP")]
ROUND = 0.2  # fraction of the kept weights that is pruned in each round of IMP
ROUND_RATE = 3e-2  # at 1e-3 the weights move so little that the masks are nearly those of magnitude pruning without training


@settings
class DrawTicket:
    """Draw a ticket (a mask and weights) from the source without transferring it; see `Ticket`.

    A robust ticket differs from a natural one in the training on the source:

        minimise  mean over samples of  max over |eta|_inf <= radius of  L_S(f(x + eta), y)

    Args:
        scheme: OMP | IMP | LMP.
        sparsity: fraction of the groups of each tensor of the body (the weight tensors that are not exempt) that is pruned.
        granularity: weight | row | kernel | channel | unit.
        radius: radius of the perturbation of the inputs on the source.
        attack_steps: number of steps of the adversary; 0 is plain noise.
        learning_rate: learning rate of a new readout while LMP learns its mask.
        source_learning_rate: learning rate of Adam in the first training on the source, of all weights.
        round_learning_rate: learning rate of Adam in the rounds of IMP.
        mask_learning_rate: learning rate of the learned importance of LMP.
        mask_fraction: fraction of the target's steps in which LMP learns its mask.
        train_first: whether all weights are first trained on the source; False starts from the pretrained weights.
        exempt: tensors or modules that are not pruned, by default the readout (whatever its name); () prunes it too. Other
            granularities than weight, and a new readout, always leave the readout unpruned.

    Raises:
        ValueError: if the scheme or granularity is unknown, or a number is out of range.
    """

    scheme: Scheme
    sparsity: Sparsity = 0.8
    granularity: Granularity = "weight"
    radius: float = 0.0
    attack_steps: int = 3
    learning_rate: Positive = 1e-3
    source_learning_rate: Positive = 1e-3
    round_learning_rate: Positive = ROUND_RATE
    mask_learning_rate: Positive = 1e-2
    mask_fraction: Fraction = 1.0
    train_first: bool = True
    exempt: tuple[str, ...] = READOUT
    needs_source: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _ = self.perturbation  # its constructor checks the values

    @property
    def perturbation(self) -> Perturbation | None:
        """The perturbation of the inputs on the source; None draws a natural ticket."""
        perturbation = Perturbation(self.radius, self.attack_steps)
        return perturbation if self.radius else None

    @property
    def learns_outputs(self) -> bool:
        """Whether the mask is learned on the target, together with the readout of new outputs."""
        return self.scheme == "LMP"

    def adapt(self, case: Case) -> Generator[Problem, Any, Surrogate]:
        """Train all weights on the source, then find the mask by the scheme."""
        source = case.surrogate
        if self.train_first:
            plan = make_plan(source.weights, perturbation=self.perturbation)
            source = yield case.on_source(source, plan, self.source_learning_rate)
        if self.scheme == "OMP":
            importance = {name: weight.abs() for name, weight in source.weights.items()}
            return keep(source, source.weights, highest(source, importance, self.sparsity, self.granularity, self.exempt))
        if self.scheme == "LMP":
            source = case.for_target(source)
            readout_rate = self.learning_rate / self.mask_learning_rate
            plan = mask_plan(source, self.sparsity, self.granularity, self.exempt, readout_rate)
            asked = case.on_target(source, plan, self.mask_learning_rate, self.mask_fraction)
            learned, parameters = yield replace(asked, with_tensors=True)
            return keep(learned, learned.weights, learned_mask(learned.weights, parameters, self.sparsity))
        return (yield from self.draw_in_rounds(case, source))

    def draw_in_rounds(self, case: Case, source: Surrogate) -> Generator[Problem, Any, Surrogate]:
        """Draw by IMP: train the kept weights on the source, prune by magnitude, and reset the kept ones to their start."""
        mask = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in source.weights.items()}
        ticket, rewind = keep(source, source.weights, mask), source.weights
        for sparsity in rounds_to(self.sparsity):
            plan = make_plan(ticket.weights, trainable=mask, perturbation=self.perturbation)
            trained = yield case.on_source(ticket, plan, self.round_learning_rate)
            # Weights pruned in an earlier round are pruned first, so masks are nested even among weights of 0.
            importance = {name: torch.where(mask[name], weight.abs(), -1.0) for name, weight in trained.weights.items()}
            mask = highest(trained, importance, sparsity, self.granularity, self.exempt)
            ticket = keep(trained, rewind, mask)
        return ticket


@settings
class Ticket:
    """Draw a ticket (a mask and weights) from the source, and train it on the target.

        OMP  train all weights on the source, prune once by magnitude
        IMP  the same weights; then, in rounds: train the kept weights on the source, prune 20 % of them, rewind the others
        LMP  the same weights; then learn the mask on the target, by straight-through gradients for the weights' importance

    The first training on the source takes all `source_steps` of the budget, and so does each of the R rounds of IMP, as in its
    papers, in which a round is a full training: IMP takes (R + 1) x `source_steps` in total, with R = 8 at a sparsity of 0.8.
    Robust and natural tickets have equal numbers of steps, and differ by the perturbed inputs alone.

    Args:
        scheme: OMP | IMP | LMP.
        sparsity: fraction of the groups of each tensor of the body (the weight tensors that are not exempt) that is pruned.
        granularity: weight | row | kernel | channel | unit.
        radius: radius of the perturbation of the standardised inputs on the source; 0 draws a natural ticket.
        attack_steps: number of steps of the adversary; 0 is the control, plain noise.
        regime: full trains all kept weights on the target, linear the readout alone.
        learning_rate: learning rate of Adam on the target.
        source_learning_rate: learning rate of Adam in the first training on the source, of all weights.
        round_learning_rate: learning rate of Adam in the rounds of IMP.
        mask_learning_rate: learning rate of Adam on the learned importance of LMP.
        exempt: tensors or modules that are not pruned, by default the readout (whatever its name); () prunes it too. Other
            granularities than weight, and a new readout, always leave the readout unpruned.
    """

    scheme: Scheme = "OMP"
    sparsity: Sparsity = 0.8
    granularity: Granularity = "weight"
    radius: float = 0.0
    attack_steps: int = 3
    regime: Regime = "full"
    learning_rate: Positive = 1e-3
    source_learning_rate: Positive = 1e-3
    round_learning_rate: Positive = ROUND_RATE
    mask_learning_rate: Positive = 1e-2
    exempt: tuple[str, ...] = READOUT
    needs_source: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _ = self.drawing  # its constructor checks the values

    @property
    def drawing(self) -> DrawTicket:
        """The method that draws the ticket; LMP uses half of the target's steps."""
        return DrawTicket(
            self.scheme,
            sparsity=self.sparsity,
            granularity=self.granularity,
            radius=self.radius,
            attack_steps=self.attack_steps,
            learning_rate=self.learning_rate,
            source_learning_rate=self.source_learning_rate,
            round_learning_rate=self.round_learning_rate,
            mask_learning_rate=self.mask_learning_rate,
            mask_fraction=0.5 if self.scheme == "LMP" else 0.0,
            exempt=self.exempt,
        )

    def adapt(self, case: Case) -> Adaptation:
        """Draw the ticket, then train it on the target in the steps that the drawing has not used."""
        drawing = self.drawing
        ticket = case.for_target((yield from drawing.adapt(case)))
        fraction = 1.0 - drawing.mask_fraction
        return (yield case.on_target(ticket, kept_plan(ticket, self.regime), self.learning_rate, fraction))


def rounds_to(sparsity: float) -> tuple[float, ...]:
    """Return the sparsity after each round of IMP: 1 - 0.8^r as long as this is below the final sparsity, which is exact."""
    # A number of rounds that is an integer up to rounding (0.36 takes two) must not cost another round.
    count = max(1, math.ceil(math.log(1 - sparsity) / math.log(1 - ROUND) - 1e-9))
    return (*(1 - (1 - ROUND) ** r for r in range(1, count)), sparsity)
