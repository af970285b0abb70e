"""Tickets: subnetworks of the source, drawn with or without adversarial robustness, then transferred.

Source: Fu, Yuan, Wu, Yuan & Lin, "Robust Tickets Can Transfer Better: Drawing More Transferable Subnetworks in Transfer
Learning", DAC 2023, arXiv:2304.11834. Its evidence is image classification.
"""

import math
from collections.abc import Generator
from typing import Annotated, Any, ClassVar, TypeAlias

import torch

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Fraction, Positive, Sparsity, one_of
from pac_surrogate.methods.method import Adaptation, Problem
from pac_surrogate.methods.pruned.drawing import Granularity, highest, keep
from pac_surrogate.methods.pruned.learned_mask import learned_mask, mask_plan
from pac_surrogate.methods.pruned.sparse_transfer import Regime, kept_plan
from pac_surrogate.perturbation import Perturbation
from pac_surrogate.plan import make_plan
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings

Scheme: TypeAlias = Annotated[str, one_of("OMP", "IMP", "LMP")]
ROUND = 0.2  # part of what remains that goes in each round of IMP


@settings
class DrawTicket:
    """Draw a ticket, a mask and weights, from the source, and do not transfer it; see `Ticket`.

    Training on the source is what a robust ticket differs in from a natural one:

        minimise  mean over samples of  max over |eta|_inf <= radius of  L_S(f(x + eta), y)

    Args:
        scheme: OMP | IMP | LMP.
        sparsity: fraction of the groups of each tensor that is pruned.
        granularity: weight | row | kernel | channel.
        radius: of the perturbed inputs on the source.
        attack_steps: of the adversary; 0 is plain noise.
        learning_rate: learning rate of a new readout while LMP learns its mask.
        source_learning_rate: learning rate of Adam on the source.
        mask_learning_rate: learning rate of the learned importance of LMP.
        mask_fraction: of the target's steps, in which LMP learns its mask.
        train_first: False starts from the pretrained weights as they are.

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
    mask_learning_rate: Positive = 1e-2
    mask_fraction: Fraction = 1.0
    train_first: bool = True
    needs_source: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _ = self.perturbation  # which checks its own numbers

    @property
    def perturbation(self) -> Perturbation | None:
        """Of the inputs on the source; None draws a natural ticket."""
        perturbation = Perturbation(self.radius, self.attack_steps)
        return perturbation if self.radius else None

    @property
    def learns_outputs(self) -> bool:
        """Only a mask that is learned on the target comes with a readout of new outputs."""
        return self.scheme == "LMP"

    def adapt(self, case: Case) -> Generator[Problem, Any, Surrogate]:
        """Train all weights on the source, then find the mask by the scheme."""
        rounds = rounds_to(self.sparsity) if self.scheme == "IMP" else ()
        fraction = 1 / (len(rounds) + self.train_first) if rounds else 1.0
        source = case.surrogate
        if self.train_first:
            plan = make_plan(source.weights, perturbation=self.perturbation)
            source = yield case.on_source(source, plan, self.source_learning_rate, fraction)
        if self.scheme == "OMP":
            importance = {name: weight.abs() for name, weight in source.weights.items()}
            return keep(source, source.weights, highest(source, importance, self.sparsity, self.granularity))
        if self.scheme == "LMP":
            source = case.for_target(source)
            plan = mask_plan(source, self.sparsity, self.granularity, self.learning_rate / self.mask_learning_rate)
            learned = yield case.on_target(source, plan, self.mask_learning_rate, self.mask_fraction)
            return keep(learned, learned.weights, learned_mask(learned, self.granularity))
        return (yield from self.draw_in_rounds(case, source, rounds, fraction))

    def draw_in_rounds(
        self, case: Case, source: Surrogate, rounds: tuple[float, ...], fraction: float
    ) -> Generator[Problem, Any, Surrogate]:
        """IMP: train what is kept on the source, prune it by magnitude, and put what stays back to the weights of the start."""
        mask = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in source.weights.items()}
        ticket, rewind = keep(source, source.weights, mask), source.weights
        for sparsity in rounds:
            plan = make_plan(ticket.weights, trainable=mask, perturbation=self.perturbation)
            trained = yield case.on_source(ticket, plan, self.source_learning_rate, fraction)
            # What went in an earlier round goes first, so masks are nested even among weights of 0.
            importance = {name: torch.where(mask[name], weight.abs(), -1.0) for name, weight in trained.weights.items()}
            mask = highest(trained, importance, sparsity, self.granularity)
            ticket = keep(trained, rewind, mask)
        return ticket


@settings
class Ticket:
    """Draw a ticket, a mask and weights, from the source, and train it on the target.

        OMP  train all weights on the source, prune once by magnitude
        IMP  the same weights; then, in rounds: train what is kept on the source, prune 20 % of it, rewind the rest
        LMP  the same weights; then learn the mask on the target, by straight-through gradients to the weights' importance

    All three begin by training all weights on the source for the same number of steps whether the ticket is robust or natural,
    so a robust ticket differs from a natural one by the perturbed inputs alone.

    Args:
        scheme: OMP | IMP | LMP.
        sparsity: fraction of the groups of each tensor that is pruned.
        granularity: weight | row | kernel | channel; all but weight leave the readout whole.
        radius: of the perturbed inputs while the ticket is drawn on the source, standardised; 0 draws a natural ticket.
        attack_steps: of the adversary; 0 is the control, plain noise.
        regime: full trains all kept weights on the target, linear the readout alone.
        learning_rate: learning rate of Adam on the target.
        source_learning_rate: learning rate of Adam on the source.
        mask_learning_rate: learning rate of Adam on the learned importance of LMP.
    """

    scheme: Scheme = "OMP"
    sparsity: Sparsity = 0.8
    granularity: Granularity = "weight"
    radius: float = 0.0
    attack_steps: int = 3
    regime: Regime = "full"
    learning_rate: Positive = 1e-3
    source_learning_rate: Positive = 1e-3
    mask_learning_rate: Positive = 1e-2
    needs_source: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _ = self.drawing  # which checks its own numbers

    @property
    def drawing(self) -> DrawTicket:
        """How it is drawn; LMP leaves half of the target's steps."""
        return DrawTicket(
            self.scheme,
            sparsity=self.sparsity,
            granularity=self.granularity,
            radius=self.radius,
            attack_steps=self.attack_steps,
            learning_rate=self.learning_rate,
            source_learning_rate=self.source_learning_rate,
            mask_learning_rate=self.mask_learning_rate,
            mask_fraction=0.5 if self.scheme == "LMP" else 0.0,
        )

    def adapt(self, case: Case) -> Adaptation:
        """Draw the ticket, then train it on the target with what LMP leaves of its steps."""
        drawing = self.drawing
        ticket = case.for_target((yield from drawing.adapt(case)))
        fraction = 1.0 - drawing.mask_fraction
        return (yield case.on_target(ticket, kept_plan(ticket, self.regime), self.learning_rate, fraction))


def rounds_to(sparsity: float) -> tuple[float, ...]:
    """Sparsities after each round of IMP: 1 - 0.8^r while that is below the last one, which is exact."""
    # What is a whole number but for rounding (0.36 after two rounds) must not cost another round.
    count = max(1, math.ceil(math.log(1 - sparsity) / math.log(1 - ROUND) - 1e-9))
    return (*(1 - (1 - ROUND) ** r for r in range(1, count)), sparsity)
