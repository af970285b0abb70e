"""Leaving samples out: a method is also fitted without each part of the target samples, for intervals and for choices.

`LeaveOut` refits any method. A choice among methods needs the left-out residuals alone, which a closed form gives exactly
without refitting: `GP`, `ATL`, `RidgeLines` and `linearise` return them as a `LeftOut`. A CV+ interval predicts new inputs with
every one of the fits, so it needs the fits themselves, regardless of the method.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from pac_surrogate.data.repeats import count_of
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.method import Adaptation, Method
from pac_surrogate.predictors import Folds
from pac_surrogate.surrogates.surrogate import Surrogate

PARTS = 10  # at most as many parts as distinct inputs

Part = Int[np.ndarray, " _held_out"]


@dataclass(frozen=True)
class LeaveOut:
    """Fit a method on all target samples, and also without each part of them; the surrogate carries the latter as its `folds`.

    If one of these fits diverges or does not apply, or if all samples have the same input, the surrogate has no folds.

    Args:
        method: the method that is fitted.
        parts: number of parts into which the samples are divided; samples of equal input are in the same part.
    """

    method: Method
    parts: int = PARTS

    def adapt(self, case: Case) -> Adaptation:
        """Wait for all fits together; a method that leaves samples out itself takes the place of this one."""
        if getattr(self.method, "leaves_out", False):
            return self.method
        held_out = parts_of(case.group, case.seed, self.parts) if count_of(case.group) > 1 else []
        rest = [case.without(part) for part in held_out]
        # The samples are put in the order that they would have alone, so that each fit equals, to the last bit, that of a
        # transfer with these samples. The exception is a column that the source holds at a set point: its scale is computed
        # from all target samples.
        rest = [dataclasses.replace(one, target=one.target.training) for one in rest]
        whole, *others = yield [(self.method, one) for one in (case, *rest)]
        if not others or not all(outcome.sound for outcome in (whole, *others)):
            return whole
        adapted = with_folds(whole.surrogate, case, held_out, [outcome.surrogate for outcome in others])
        return dataclasses.replace(whole, surrogate=adapted)


def parts_of(group: Int[Tensor, " sample"], seed: int, count: int) -> list[Part]:
    """Divide the samples at random into parts to be held out; samples of equal input are in the same part.

    Args:
        group: index of each sample's input among the distinct inputs.
        seed: seed of the random order.
        count: number of parts, at most as many as there are distinct inputs.
    """
    inputs = count_of(group)
    order = np.random.default_rng((seed, inputs)).permutation(inputs)
    return [np.flatnonzero(np.isin(group.numpy(), part)) for part in np.array_split(order, min(count, inputs))]


def with_folds(adapted: Surrogate, case: Case, held_out: Sequence[Part], others: Sequence[Surrogate]) -> Surrogate:
    """Attach the fits without each part of the samples, and their residuals on that part."""
    outputs, data = adapted.scaling.outputs, case.target
    fold = torch.zeros(len(data), dtype=torch.int64)
    for place, part in enumerate(held_out):
        fold[torch.as_tensor(part)] = place
    scaled = adapted.scaling.standardise(data)
    x, y = (torch.as_tensor(np.asarray(m, dtype=np.float64)) for m in (scaled.input_matrix, scaled.output_matrix))
    varies = outputs.deviation > 0  # a constant output is restored to its mean, regardless of the values used here
    unit = torch.where(varies, outputs.deviation, 1.0)
    slope = torch.stack([torch.where(varies, other.scaling.outputs.deviation / unit, 1.0) for other in others])
    offset = torch.stack([torch.where(varies, (other.scaling.outputs.mean - outputs.mean) / unit, 0.0) for other in others])
    folds = Folds(tuple(other.predictor for other in others), fold, y, case.group, slope, offset)
    predicted = folds.predict(x)[fold, torch.arange(len(data))]
    return dataclasses.replace(adapted, folds=dataclasses.replace(folds, residual=y - predicted))
