"""A weighted mean of predictors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.choice import Choice
from pac_surrogate.files import Variable
from pac_surrogate.models import Architecture
from pac_surrogate.predictors.predictor import Predictor, part

MOST = 64  # members of a saved mixture


@dataclass(frozen=True)
class Mixture:
    """sum_k weight_k f_k(x).

    Attributes:
        weights: (member,), not negative, of sum 1.
        members: predictors between the same standardised inputs and outputs.
        choice: how the members were chosen, if they were.
    """

    weights: Float[Tensor, " member"]
    members: tuple[Predictor, ...]
    choice: Choice | None = None

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict by all members, float64."""
        parts = [
            w * member.predict(x, batch_size=batch_size).double() for w, member in zip(self.weights, self.members, strict=True)
        ]
        return torch.stack(parts).sum(0)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give the states of all members."""
        tensors, descriptions = {"mixture/weights": self.weights}, []
        for place, member in enumerate(self.members):
            own, description = member.state()
            tensors |= {f"member{place}/{name}": tensor for name, tensor in own.items()}
            descriptions.append(description)
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
        members = []
        for place, one in enumerate(described):
            if one["kind"] == "Mixture":
                raise ValueError("a mixture has no mixtures as members")
            members.append(PREDICTORS[one["kind"]].from_state(part(tensors, f"member{place}/"), one, inputs, outputs, model))
        choice = Choice.from_json(description["choice"]) if description["choice"] else None
        return cls(weights, tuple(members), choice)
