"""A weighted mean of predictors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.predictors.choice import Choice
from pac_surrogate.predictors.codec import Coded
from pac_surrogate.predictors.linearised import Linearised, SharedKernel, variances
from pac_surrogate.predictors.predictor import Predictor, check_groups
from pac_surrogate.utilities.display import listed


@dataclass(frozen=True, eq=False, repr=False)
class Mixture(Coded):
    """A weighted mean of predictors, sum_k weight_k f_k(x).

    Attributes:
        weights: weights of the members (member,), not negative, with the sum 1.
        members: predictors between the same standardised inputs and outputs.
        choice: how the members were chosen, if `Auto` chose them.
        studentised: |leave-one-out residual| of the mixture divided by its deviation, (sample, output).
        squares: mean squared leave-one-out residual of each member, (member, output); it serves as the variance of a member
            that has no posterior variance.
        group: number of each sample's input, (sample,); samples of equal input were left out together.
    """

    called: ClassVar[str] = "the mixture"
    prefix: ClassVar[str] = "mixture/"
    not_negative: ClassVar[tuple[str, ...]] = ("weights", "studentised", "squares")
    counts: ClassVar[range] = range(1, 65)
    stored_as: ClassVar[Mapping[str, str]] = {"studentised": "scores"}

    weights: Float[Tensor, " member"]
    members: tuple[Predictor, ...]
    choice: Choice | None = None
    studentised: Float[Tensor, "sample output"] | None = None
    squares: Float[Tensor, "member output"] | None = None
    group: Int[Tensor, " sample"] | None = None

    def _brief(self) -> str:
        return f"mean of {len(self.members)} predictors, {listed([type(member).__name__ for member in self.members])}"

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict with all members, in float64."""
        parts = [
            w * member.predict(x, batch_size=batch_size).double() for w, member in zip(self.weights, self.members, strict=True)
        ]
        return torch.stack(parts).sum(0)

    def deviation(self, x: Float[Tensor, "row input"]) -> Float[Tensor, "row output"]:
        """Return the standard deviation of a new target sample, from the weighted mean of the members' variances with noise."""
        if self.squares is None:
            raise ValueError("this mixture was made without leave-one-out residuals")
        closed = [member for member in self.members if isinstance(member, Linearised | SharedKernel)]
        own = iter(variances(closed, x))
        total = torch.zeros(len(x), self.squares.shape[1], dtype=torch.float64)
        for weight, member, square in zip(self.weights, self.members, self.squares, strict=True):
            total = total + weight * (next(own) + member.noise if isinstance(member, Linearised | SharedKernel) else square)
        return total.sqrt()

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check that the weights add up to 1, that no member is a mixture, and that intervals have both arrays or neither."""
        if abs(float(self.weights.sum()) - 1) >= 1e-6:
            raise ValueError("the weights of the mixture must have the sum 1")
        if any(isinstance(member, Mixture) for member in self.members):
            raise ValueError("the members of a mixture cannot be mixtures")
        if (self.squares is None) != (self.studentised is None):
            raise ValueError("the mixture does not fit: it has only one of mixture/scores and mixture/squares")
        if self.group is not None:
            check_groups(self.group)
