"""A weighted mean of predictors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.choice import Choice
from pac_surrogate.display import Shown, listed
from pac_surrogate.files import Variable
from pac_surrogate.models import Architecture
from pac_surrogate.predictors.linearised import Linearised, SharedKernel, variances
from pac_surrogate.predictors.predictor import Predictor, check_groups, part

MOST = 64  # members of a saved mixture


@dataclass(frozen=True, eq=False, repr=False)
class Mixture(Shown):
    """sum_k weight_k f_k(x).

    Attributes:
        weights: (member,), not negative, of sum 1.
        members: predictors between the same standardised inputs and outputs.
        choice: how the members were chosen, if they were.
        scores: |leave-one-out residual| of the mixture over its deviation, (sample, output).
        squares: mean squared leave-one-out residual of each member, (member, output): the variance of one that has none.
        group: number of each sample's input, (sample,); those of equal input were left out together.
    """

    weights: Float[Tensor, " member"]
    members: tuple[Predictor, ...]
    choice: Choice | None = None
    scores: Float[Tensor, "sample output"] | None = None
    squares: Float[Tensor, "member output"] | None = None
    group: Int[Tensor, " sample"] | None = None

    def _brief(self) -> str:
        return f"mean of {len(self.members)} predictors, {listed([type(member).__name__ for member in self.members])}"

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict by all members, float64."""
        parts = [
            w * member.predict(x, batch_size=batch_size).double() for w, member in zip(self.weights, self.members, strict=True)
        ]
        return torch.stack(parts).sum(0)

    def deviation(self, x: Float[Tensor, "row input"]) -> Float[Tensor, "row output"]:
        """Standard deviation of a new target sample: the members' variances, noise included, in their weights."""
        if self.squares is None:
            raise ValueError("this mixture was made without leave-one-out residuals")
        closed = [member for member in self.members if isinstance(member, Linearised | SharedKernel)]
        own = iter(variances(closed, x))
        total = torch.zeros(len(x), self.squares.shape[1], dtype=torch.float64)
        for weight, member, square in zip(self.weights, self.members, self.squares, strict=True):
            total = total + weight * (next(own) + member.noise if isinstance(member, Linearised | SharedKernel) else square)
        return total.sqrt()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give the states of all members."""
        tensors, descriptions = {"mixture/weights": self.weights}, []
        for place, member in enumerate(self.members):
            own, description = member.state()
            tensors |= {f"member{place}/{name}": tensor for name, tensor in own.items()}
            descriptions.append(description)
        if self.scores is not None and self.squares is not None:
            tensors |= {"mixture/scores": self.scores.contiguous(), "mixture/squares": self.squares.contiguous()}
        if self.group is not None:
            tensors["mixture/group"] = self.group
        choice = self.choice.to_json() if self.choice else None
        return tensors, {"kind": "Mixture", "members": descriptions, "choice": choice}

    @classmethod
    def from_state(
        cls,
        tensors: Mapping[str, Tensor],
        description: Mapping[str, Any],
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        model: Architecture | None,
    ) -> "Mixture":
        """Rebuild from a saved state."""
        from pac_surrogate.predictors import PREDICTORS

        described, weights = description["members"], tensors["mixture/weights"]
        if not 1 <= len(described) <= MOST or weights.shape != (len(described),) or weights.dtype != torch.float64:
            raise ValueError("the weights of the mixture do not fit its members")
        if not (bool((weights >= 0).all()) and abs(float(weights.sum()) - 1) < 1e-6):
            raise ValueError("the weights of the mixture must not be negative and must have the sum 1")
        members = []
        for place, one in enumerate(described):
            if one["kind"] == "Mixture":
                raise ValueError("a mixture has no mixtures as members")
            members.append(PREDICTORS[one["kind"]].from_state(part(tensors, f"member{place}/"), one, inputs, outputs, model))
        choice = Choice.from_json(description["choice"]) if description["choice"] else None
        scores, squares = tensors.get("mixture/scores"), tensors.get("mixture/squares")
        width = sum(variable.size for variable in outputs)
        if scores is not None and (scores.ndim != 2 or scores.shape[1] != width):
            raise ValueError("the scores of the mixture do not fit its outputs")
        if (squares is None) != (scores is None) or (squares is not None and squares.shape != (len(described), width)):
            raise ValueError("the residuals of the mixture do not fit its members")
        for kept in (scores, squares):
            if kept is not None and not (kept.dtype == torch.float64 and bool(((kept >= 0) & kept.isfinite()).all())):
                raise ValueError("residuals and scores of the mixture must be finite and not negative, in float64")
        group = None
        if scores is not None:
            group = tensors.get("mixture/group", torch.arange(len(scores)))  # files of before had no repeats in mind
            check_groups(group, len(scores))
        return cls(weights, tuple(members), choice, scores, squares, group)
