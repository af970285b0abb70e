"""Fits that each leave out a part of the samples; intervals are calibrated by them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.predictors.codec import Coded
from pac_surrogate.predictors.predictor import Predictor, check_groups


@dataclass(frozen=True, eq=False, repr=False)
class Folds(Coded):
    """The same method fitted without each fold of the target samples.

    Attributes:
        members: for each fold, the fit without it.
        fold: number of each sample's fold.
        residual: y_i - f_-i(x_i), standardised.
        group: number of each sample's input; samples of equal input are in one fold.
        slope: factor from each member's standardised outputs to the surrogate's; the two differ where outputs are new to the
            source.
        offset: offset of the same conversion, added after the slope.
    """

    called: ClassVar[str] = "the set of folds"
    prefix: ClassVar[str] = "folds/"
    numbered: ClassVar[str] = "fold"
    counts: ClassVar[range] = range(2, 1001)

    members: tuple[Predictor, ...]
    fold: Int[Tensor, " sample"]
    residual: Float[Tensor, "sample output"]
    group: Int[Tensor, " sample"]
    slope: Float[Tensor, "fold output"]
    offset: Float[Tensor, "fold output"]

    def predict(self, x: Float[Tensor, "row input"]) -> Float[Tensor, "fold row output"]:
        """Predict with every member, in float64."""
        with torch.no_grad():
            found = torch.stack([member.predict(x).double() for member in self.members])
        return found * self.slope[:, None] + self.offset[:, None]

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and JSON for saving; folds have a single kind, which is not stored."""
        tensors, description = super().state()
        del description["kind"]
        return tensors, description

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check that there are samples, and that each of them is in a fold that exists."""
        if not len(self.fold) or not 0 <= int(self.fold.min()) <= int(self.fold.max()) < len(self.members):
            raise ValueError("the folds of the surrogate have no samples, or name members that do not exist")
        check_groups(self.group)
