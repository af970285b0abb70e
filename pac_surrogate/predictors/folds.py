"""Fits without a part of the samples each: what intervals are calibrated by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.display import Shown
from pac_surrogate.files import Variable
from pac_surrogate.models import Architecture
from pac_surrogate.predictors.predictor import Predictor, check_finite, check_groups, part

MOST = 1000  # folds of a saved surrogate


@dataclass(frozen=True, eq=False, repr=False)
class Folds(Shown):
    """The same method fitted without each fold of the target samples.

    Attributes:
        members: the fit without each fold.
        fold: of each sample.
        residual: y_i - f_-i(x_i), standardised.
        group: number of each sample's input; samples of equal input are in one fold.
        slope: from each member's standardised outputs to the surrogate's, which differ where outputs are new to the source.
        offset: added to them.
    """

    members: tuple[Predictor, ...]
    fold: Int[Tensor, " sample"]
    residual: Float[Tensor, "sample output"]
    group: Int[Tensor, " sample"]
    slope: Float[Tensor, "fold output"]
    offset: Float[Tensor, "fold output"]

    def predict(self, x: Float[Tensor, "row input"]) -> Float[Tensor, "fold row output"]:
        """Predict by every member, float64."""
        with torch.no_grad():
            found = torch.stack([member.predict(x).double() for member in self.members])
        return found * self.slope[:, None] + self.offset[:, None]

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give the members' states and the residuals."""
        names = ("fold", "residual", "group", "slope", "offset")
        tensors: dict[str, Tensor] = {f"folds/{name}": getattr(self, name).contiguous() for name in names}
        descriptions = []
        for place, member in enumerate(self.members):
            own, description = member.state()
            tensors |= {f"fold{place}/{name}": tensor for name, tensor in own.items()}
            descriptions.append(description)
        return tensors, {"members": descriptions}

    @classmethod
    def from_state(
        cls,
        tensors: Mapping[str, Tensor],
        description: Mapping[str, Any],
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        model: Architecture | None,
    ) -> "Folds":
        """Rebuild from a saved state."""
        from pac_surrogate.predictors import PREDICTORS

        described, fold, residual = description["members"], tensors["folds/fold"], tensors["folds/residual"]
        group = tensors.get("folds/group", torch.arange(len(fold)))  # files of before had no repeats in mind
        check_groups(group, len(fold))
        slope, offset = tensors["folds/slope"], tensors["folds/offset"]
        width = sum(variable.size for variable in outputs)
        if not 2 <= len(described) <= MOST or fold.dtype != torch.int64 or fold.ndim != 1 or not len(fold):
            raise ValueError("the folds of the surrogate are damaged")
        if residual.shape != (len(fold), width) or residual.dtype != torch.float64 or not bool(torch.isfinite(residual).all()):
            raise ValueError("the residuals of the folds do not fit samples and outputs")
        if {slope.shape, offset.shape} != {(len(described), width)} or {slope.dtype, offset.dtype} != {torch.float64}:
            raise ValueError("the scaling of the folds does not fit their outputs")
        check_finite("the scaling of the folds", {"slope": slope, "offset": offset})
        if not 0 <= int(fold.min()) <= int(fold.max()) < len(described):
            raise ValueError("the folds of the surrogate name members that are not there")
        members = tuple(
            PREDICTORS[one["kind"]].from_state(part(tensors, f"fold{place}/"), one, inputs, outputs, model)
            for place, one in enumerate(described)
        )
        return cls(members, fold, residual, group, slope, offset)
