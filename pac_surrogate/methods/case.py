"""The input of a method: a source surrogate, samples of source and target, a budget, and a seed."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.repeats import groups_of
from pac_surrogate.data.scaling import Columns, Scaling, fit_scaling
from pac_surrogate.methods.problems import Train
from pac_surrogate.plan import Plan
from pac_surrogate.predictors import Predictor
from pac_surrogate.surrogates.outputs import with_outputs_of
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings
from pac_surrogate.utilities.display import Shown


@settings
class Budget:
    """The computational budget of a method, the same for all methods.

    Attributes:
        steps: gradient steps of a training on the target.
        source_steps: gradient steps of a training on the source (PAC's step Allocate).
        batch_size: samples per step; if there are fewer samples, every step uses all of them.
        folds: number of folds of the cross-validation that chooses among candidates. A fold is a group of samples that are left
            out together; there are at most as many folds as distinct inputs.
    """

    steps: int = 1000
    source_steps: int = 1000
    batch_size: int = 128
    folds: int = 5

    def __post_init__(self) -> None:
        if min(self.steps, self.source_steps) < 0 or self.batch_size < 1 or self.folds < 2:
            raise ValueError(f"a budget needs steps >= 0, batch_size >= 1 and folds >= 2, got {self}")


@dataclass(frozen=True, eq=False, repr=False)
class Case(Shown):
    """A transfer task, ready for a method; see `prepare.prepare`.

    Attributes:
        surrogate: the source, a network, with scales that suit the target's numbers.
        target: target training samples, with the surrogate's inputs, and with its outputs unless some outputs are new.
        source: source training samples; None if there are none.
        budget: steps and folds that the method may use.
        seed: seed of initial weights, masks, minibatches and folds.
    """

    surrogate: Surrogate
    target: Dataset
    source: Dataset | None
    budget: Budget
    seed: int

    def generator(self) -> torch.Generator:
        """Return a new random number generator with the case's seed."""
        return torch.Generator().manual_seed(self.seed)

    def for_target(self, surrogate: Surrogate | None = None) -> Surrogate:
        """Return a surrogate, by default the case's, with the target's outputs: new outputs get a readout of zeros."""
        return with_outputs_of(self.surrogate if surrogate is None else surrogate, self.target)

    def source_samples(self) -> Dataset:
        """Return the source samples, for a method that needs them.

        Raises:
            ValueError: if there are none.
        """
        if self.source is None:
            raise ValueError("source training samples are needed: pass source=<source training samples>")
        return self.source

    def on_target(self, surrogate: Surrogate, plan: Plan, learning_rate: float = 1e-3, fraction: float = 1.0) -> Train:
        """Pose the training of a Plan on the target, in a fraction of the budget's target steps."""
        return Train(surrogate, plan, self.target, round(fraction * self.budget.steps), learning_rate)

    def on_source(self, surrogate: Surrogate, plan: Plan, learning_rate: float = 1e-3, fraction: float = 1.0) -> Train:
        """Pose the training of a Plan on the source, in a fraction of the budget's source steps."""
        return Train(surrogate, plan, self.source_samples(), round(fraction * self.budget.source_steps), learning_rate)

    def answer(self, surrogate: Surrogate, predictor: Predictor, *seen: Dataset) -> Surrogate:
        """Return the surrogate with a predictor in closed form, which has seen the target and the datasets `seen`."""
        return widened(dataclasses.replace(surrogate, predictor=predictor), self.target, *seen)

    def without(self, held_out: Int[np.ndarray, " held_out"]) -> "Case":
        """Return the case without these samples of the target."""
        return dataclasses.replace(self, target=self.target[np.setdiff1d(np.arange(len(self.target)), held_out)])

    @cached_property
    def group(self) -> Int[Tensor, " sample"]:
        """Index of each target sample's input among the distinct inputs; see `repeats`."""
        return group_of(self.surrogate, self.target)


def group_of(surrogate: Surrogate, data: Dataset) -> Int[Tensor, " sample"]:
    """Return the index of each sample's input among the distinct inputs, in the scales of a surrogate; see `repeats`."""
    x = torch.from_numpy(np.asarray(data.input_matrix, dtype=np.float64))
    return groups_of(surrogate.scaling.inputs.standardise(x))


_RANGES: WeakKeyDictionary[Dataset, Columns] = WeakKeyDictionary()  # by dataset, as many methods see the same one


def widened(surrogate: Surrogate, *seen: Dataset) -> Surrogate:
    """Return the surrogate with its range of inputs widened to contain those of the data that it has seen."""
    inputs = surrogate.scaling.inputs
    for data in seen:
        if len(data):
            if data not in _RANGES:
                _RANGES[data] = fit_scaling(data).inputs
            inputs = inputs.widened(_RANGES[data])
    return dataclasses.replace(surrogate, scaling=Scaling(inputs, surrogate.scaling.outputs))
