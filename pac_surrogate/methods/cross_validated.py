"""Choose among methods by cross-validation on the target samples."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pac_surrogate.data.repeats import count_of
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.folds import parts_of
from pac_surrogate.methods.method import Adaptation, Method, Problem, learns_outputs, needs_target
from pac_surrogate.surrogates.batch_prediction import predict_many

FEWEST = 4  # with fewer distinct target inputs than this the first candidate is used


@dataclass(frozen=True)
class CrossValidated:
    """Fit every candidate without each fold of the target samples, and continue with the one of least error on the folds.

        minimise  sum over folds of  mean over outputs of (f_without(x) - y)^2,  standardised

    A candidate that diverges or does not apply in one fold has an infinite error. If all errors are infinite, or there are
    fewer than 4 distinct inputs, the first candidate is used.

    Args:
        candidates: the methods to choose from.
    """

    candidates: tuple[Method, ...]

    @property
    def needs_target(self) -> bool:
        """Whether the first candidate needs target samples: it is the one that is used without them."""
        return needs_target(self.candidates[0])

    @property
    def learns_outputs(self) -> bool:
        """Whether the first candidate learns outputs."""
        return learns_outputs(self.candidates[0])

    def adapt(self, case: Case) -> Adaptation:
        """Wait for the fits of all candidates without each fold; the best candidate takes the place of this method."""
        errors = yield from self.errors(case)
        return self.candidates[int(np.nanargmin(errors)) if np.isfinite(errors).any() else 0]

    def errors(self, case: Case) -> Generator[Problem, Any, list[float]]:
        """Return each candidate's mean squared error on held-out samples; an empty list where no choice is made."""
        if len(self.candidates) == 1 or count_of(case.group) < FEWEST:
            return []
        folds = parts_of(case.group, case.seed, case.budget.folds)
        others = [case.without(held_out) for held_out in folds]
        outcomes = yield [(candidate, other) for candidate in self.candidates for other in others]
        held_out = [case.target[part] for part in folds] * len(self.candidates)
        sound = [i for i, outcome in enumerate(outcomes) if outcome.sound]
        predictions = predict_many([outcomes[i].surrogate for i in sound], [held_out[i] for i in sound])
        squared = np.full(len(outcomes), np.inf)
        for i, prediction in zip(sound, predictions, strict=True):
            outputs = outcomes[i].surrogate.scaling.outputs
            truth, guess = (
                outputs.standardise(torch.as_tensor(np.asarray(values, dtype=np.float64)))
                for values in (held_out[i].output_matrix, prediction)
            )
            squared[i] = float((guess - truth).square().mean(1).sum())
        return [sum(own) / len(case.target) for own in squared.reshape(len(self.candidates), -1).tolist()]
