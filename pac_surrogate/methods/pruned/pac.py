"""PAC-Net: Prune, Allocate, Calibrate; PackNet, which is PAC without the pull; and PAC's ablations, which are options.

Source: Myung, Huh, Jang, Choe, Ryu, Kim, Kim & Jeong, "PAC-Net: A Model Pruning Approach to Inductive Transfer Learning",
ICML 2022, arXiv:2206.05703.
"""

import dataclasses
from collections.abc import Generator
from typing import Annotated, Any, ClassVar

import torch

from pac_surrogate.methods.biases import Biases, UnpulledBiases, pulled_tensors
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive, Scope, Sparsity, one_of
from pac_surrogate.methods.method import Adaptation, Problem
from pac_surrogate.methods.pruned.exempt import READOUT, Granularity, exempt_modules
from pac_surrogate.models.weights import Mask, masked, prunable, redundant
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.pruning import magnitude_mask, random_mask
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings


@settings
class Allocate:
    """Prune the source, then train its essential weights on the source task; redundant ones stay at 0 (steps 1 and 2).

        minimise  L_S(w) + strength/2 ||w - w_S||^2   over essential weights

    Biases and norm layers are never pruned and are trained here.

    Args:
        sparsity: fraction that is pruned, rho.
        strength: strength of the pull towards the pretrained weights; the text of the paper has none, which is 0.
        criterion: magnitude, or random as a control.
        scope: layer (the sparsity holds in each layer that is not exempt) or global (over all of these together).
        exempt: tensors or modules that are not pruned, by default the readout, whatever its name; () prunes it as well.
        min_keep_per_unit: least number of incoming weights that each unit keeps; it takes precedence over the sparsity.
        train: whether the essential weights are trained; False prunes only.
        keep_redundant: leave redundant weights at their pretrained values instead of 0 (only with `train=False`).
        learning_rate: learning rate of Adam.
        granularity: what is pruned as one group: weight | row | kernel | channel | unit; see `keep_highest_groups`. With other
            granularities than weight, the sparsity is that of the groups, and the readout is not pruned.
    """

    sparsity: Sparsity = 0.8
    strength: NotNegative = 0.0
    criterion: Annotated[str, one_of("magnitude", "random")] = "magnitude"
    scope: Scope = "layer"
    exempt: tuple[str, ...] = READOUT
    min_keep_per_unit: int = 0
    train: bool = True
    keep_redundant: bool = False
    learning_rate: Positive = 1e-3
    granularity: Granularity = "weight"
    learns_outputs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.keep_redundant and self.train:
            raise ValueError("redundant weights can keep their values only without allocation: set allocate=False")
        if self.min_keep_per_unit and self.granularity != "weight":
            raise ValueError(
                f"min_keep_per_unit keeps single weights, which granularity {self.granularity!r} does not prune: leave it at 0"
            )

    @property
    def needs_source(self) -> bool:
        """Whether the essential weights are trained; pruning alone needs no source samples."""
        return self.train

    def adapt(self, case: Case) -> Generator[Problem, Any, Surrogate]:
        """Prune the source, then train its essential weights."""
        surrogate = case.surrogate
        weights, essential = surrogate.weights, self.mask(surrogate, case.generator())
        start = weights if self.keep_redundant else masked(weights, essential)
        if not self.train:
            predictor = dataclasses.replace(surrogate.network, weights=start, essential=essential)
            return dataclasses.replace(surrogate, predictor=predictor)
        strength = dict.fromkeys(prunable(weights), self.strength)
        plan = make_plan(start, trainable=essential, anchor=weights, strength=strength, essential=essential)
        return (yield case.on_source(surrogate, plan, self.learning_rate))

    def mask(self, surrogate: Surrogate, generator: torch.Generator) -> Mask:
        """Choose the essential weights."""
        options: dict[str, Any] = {
            "granularity": self.granularity,
            "scope": self.scope,
            "exempt": exempt_modules(surrogate, self.exempt, self.granularity),
            "min_keep_per_unit": self.min_keep_per_unit,
        }
        if self.criterion == "random":
            return random_mask(surrogate.weights, self.sparsity, generator=generator, **options)
        return magnitude_mask(surrogate.weights, self.sparsity, **options)


@settings
class Calibrate:
    """Train the redundant weights of an allocated source on the target task, with frozen essential weights (step 3).

        minimise  L_T(w_A + d) + lambda ||d||^2   over redundant weights

    The penalty has the factor 1/2, so lambda = 0.01 is strength = 0.02. The pull is towards the allocated weights, which are 0
    for redundant ones. A kept readout that was not pruned has no redundant weights, so that only its bias can be trained. The
    result keeps the allocated source, which `Surrogate.source_task` returns.

    Args:
        strength: strength of the pull, twice the paper's lambda.
        biases: what happens to biases and norm layers: free (trained without a pull), pulled (towards the allocated ones, with
            the same strength), or frozen as in the paper.
        flip: train the essential weights and freeze the redundant ones, as a control.
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 0.02
    biases: Biases = "free"
    flip: bool = False
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Train the redundant weights of an allocated source on the target."""
        surrogate = case.for_target()
        calibrated = yield case.on_target(surrogate, self.plan(surrogate), self.learning_rate)
        return dataclasses.replace(calibrated, allocated=case.surrogate)

    def plan(self, surrogate: Surrogate) -> Plan:
        """Return the Plan that starts and is anchored at the allocated source and trains its redundant weights."""
        essential, weights = surrogate.essential, surrogate.weights
        if essential is None:
            raise ValueError("Calibrate needs an allocated source; this one has no essential mask: prune and allocate first")
        names = prunable(weights)
        trainable = dict(redundant(essential))
        if self.flip:
            trainable |= {name: essential[name] for name in names}
            # A new readout starts at 0: if it were frozen, the prediction would stay 0.
            trainable |= {name: torch.tensor(True) for name in surrogate.new_readout}
        if self.biases != "frozen":
            trainable |= {name: torch.tensor(True) for name in weights if name not in names}
        strength = dict.fromkeys(pulled_tensors(surrogate, self.biases), self.strength)
        return make_plan(weights, trainable=trainable, anchor=weights, strength=strength)


@settings
class PAC:
    """PAC-Net: prune the source, allocate its task to the essential weights, calibrate the redundant ones on the target.

    Args:
        sparsity: fraction that is pruned, rho = 0.8.
        strength: strength of the pull in Calibrate, twice the paper's lambda of 0.01.
        allocate_strength: strength of a pull towards the pretrained weights in Allocate.
        criterion: magnitude, or random as a control.
        scope: layer or global.
        exempt: tensors or modules that are not pruned, by default the readout, whatever its name; () prunes it as well.
        min_keep_per_unit: least number of incoming weights that each unit keeps.
        allocate: whether step 2 is done; False only prunes, and then no source data are needed.
        keep_redundant: with `allocate=False`, start redundant weights at the source's values instead of 0: a masked L2-SP.
        biases: whether biases and norm layers are free, pulled or frozen in Calibrate; the paper freezes them.
        flip: calibrate the essential weights instead, as a control.
        learning_rate: learning rate of Adam in Calibrate.
        allocate_learning_rate: learning rate of Adam in Allocate.
        granularity: what is pruned as one group: weight | row | kernel | channel | unit; see `keep_highest_groups`. With other
            granularities than weight, the sparsity is that of the groups, and the readout is not pruned.
    """

    sparsity: Sparsity = 0.8
    strength: NotNegative = 0.02
    allocate_strength: NotNegative = 0.0
    criterion: Annotated[str, one_of("magnitude", "random")] = "magnitude"
    scope: Scope = "layer"
    exempt: tuple[str, ...] = READOUT
    min_keep_per_unit: int = 0
    allocate: bool = True
    keep_redundant: bool = False
    biases: Biases = "free"
    flip: bool = False
    learning_rate: Positive = 1e-3
    allocate_learning_rate: Positive = 1e-3
    granularity: Granularity = "weight"

    def __post_init__(self) -> None:
        _ = self.stages  # their constructors check the values

    @property
    def needs_source(self) -> bool:
        """Whether the source is allocated; no other step needs source samples."""
        return self.allocate

    @property
    def stages(self) -> tuple[Allocate, Calibrate]:
        """The two stages: Allocate (steps 1 and 2) and Calibrate (step 3)."""
        allocate = Allocate(
            sparsity=self.sparsity,
            strength=self.allocate_strength,
            criterion=self.criterion,
            scope=self.scope,
            exempt=self.exempt,
            min_keep_per_unit=self.min_keep_per_unit,
            train=self.allocate,
            keep_redundant=self.keep_redundant,
            learning_rate=self.allocate_learning_rate,
            granularity=self.granularity,
        )
        return allocate, Calibrate(self.strength, self.biases, self.flip, self.learning_rate)

    def adapt(self, case: Case) -> Adaptation:
        """Prune and allocate on the source, calibrate on the target."""
        allocate, calibrate = self.stages
        allocated = yield from allocate.adapt(case)
        return (yield from calibrate.adapt(dataclasses.replace(case, surrogate=allocated)))


@settings
class PackNet:
    """Prune, allocate, then train the redundant weights on the target without a pull: PAC with strength 0.

    Source: Mallya & Lazebnik, CVPR 2018, arXiv:1711.05769, for two tasks.

    Args:
        sparsity: fraction that is pruned, in each layer but the readout.
        biases: whether biases and norm layers train on the target (free) or keep their allocated values (frozen, as in the
            paper).
        learning_rate: learning rate of Adam on the target.
        allocate_learning_rate: learning rate of Adam on the source.
    """

    sparsity: Sparsity = 0.8
    biases: UnpulledBiases = "free"
    learning_rate: Positive = 1e-3
    allocate_learning_rate: Positive = 1e-3
    needs_source: ClassVar[bool] = True

    def adapt(self, case: Case) -> Adaptation:
        """Run PAC with strength 0."""
        target, source = self.learning_rate, self.allocate_learning_rate
        pac = PAC(self.sparsity, strength=0.0, biases=self.biases, learning_rate=target, allocate_learning_rate=source)
        return pac.adapt(case)
