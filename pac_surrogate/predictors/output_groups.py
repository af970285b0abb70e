"""Predictors of groups of outputs, each fitted to the samples that have its outputs."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.files import Variable
from pac_surrogate.files.variables import variables_of_columns
from pac_surrogate.models import Architecture
from pac_surrogate.predictors.choice import Choice
from pac_surrogate.predictors.codec import check_array
from pac_surrogate.predictors.fold_fits import Folds
from pac_surrogate.predictors.predictor import Predictor, part
from pac_surrogate.utilities.display import Shown, one_line

GROUP = "groups/group"  # name in files of the number of each output's group


@dataclass(frozen=True, eq=False, repr=False)
class OutputGroups(Shown):
    """Predictors that each give some of the outputs.

    Attributes:
        members: for each group of outputs, the predictor of its outputs, in the order of their columns.
        folds: for each group, its fits without parts of its samples; None if it has none.
        group: number of the group to which each output belongs.
        labels: names of the outputs of each group.
    """

    members: tuple[Predictor, ...]
    folds: tuple[Folds | None, ...]
    group: Int[Tensor, " output"]
    labels: tuple[str, ...]

    def _brief(self) -> str:
        own = [f"{type(member).__name__} of {label}" for label, member in zip(self.labels, self.members, strict=True)]
        return f"{len(own)} groups of outputs: {', '.join(own)}"

    @property
    def columns(self) -> tuple[Int[Tensor, " _column"], ...]:
        """Columns of the outputs of each group."""
        return tuple(torch.nonzero(self.group == number)[:, 0] for number in range(len(self.members)))

    @property
    def choice(self) -> Choice | None:
        """What was chosen for each group and why, if `Auto` chose; the table names the group before each candidate."""
        found = [(label, getattr(member, "choice", None)) for label, member in zip(self.labels, self.members, strict=True)]
        known: list[tuple[str, Choice]] = [(label, choice) for label, choice in found if choice is not None]
        if not known:
            return None
        rows = [dataclasses.replace(one, name=f"{label}: {one.name}") for label, choice in known for one in choice.table]
        method, reason = ("; ".join(f"{label}: {getattr(one, name)}" for label, one in known) for name in ("method", "reason"))
        return Choice(method, "", reason, tuple(rows))

    def placed(self, parts: Sequence[Float[Tensor, "... _column"]]) -> Float[Tensor, "*rows output"]:
        """Put the columns of all groups into the order of the outputs."""
        order = torch.cat(self.columns).argsort()
        return torch.cat(list(parts), -1)[..., order.to(parts[0].device)]

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict the outputs of all groups, in float64."""
        return self.placed([member.predict(x, batch_size=batch_size).double() for member in self.members])

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and JSON for saving."""
        tensors, members, folds = {GROUP: self.group}, [], []
        for number, (member, own) in enumerate(zip(self.members, self.folds, strict=True)):
            found, described = member.state()
            left_out, parts = own.state() if own is not None else ({}, None)
            tensors |= {f"group{number}/{name}": tensor for name, tensor in {**found, **left_out}.items()}
            members.append(described)
            folds.append(parts)
        return tensors, {"kind": "OutputGroups", "labels": list(self.labels), "members": members, "folds": folds}

    @classmethod
    def from_state(
        cls,
        tensors: Mapping[str, Tensor],
        description: Mapping[str, Any],
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        model: Architecture | None,
    ) -> "OutputGroups":
        """Rebuild from a saved state.

        Raises:
            ValueError: if the state does not fit; a damaged state may raise other errors too.
        """
        from pac_surrogate.predictors import PREDICTORS

        group, labels = tensors[GROUP], description["labels"]
        hint = cls.__annotations__["group"]
        check_array(f"the groups of outputs do not fit: {GROUP}", group, hint, {"output": sum(v.size for v in outputs)})
        count = len(labels)
        if not torch.equal(torch.unique(group), torch.arange(count)) or not all(isinstance(one, str) for one in labels):
            raise ValueError("the groups of outputs must be numbered 0, 1, ... without a gap, and each must have a name")
        members, folds = [], []
        for number, described, left_out in zip(range(count), description["members"], description["folds"], strict=True):
            if described["kind"] == "OutputGroups":
                raise ValueError(f"a group of outputs cannot be of the kind {one_line(described['kind'])}")
            own = part(tensors, f"group{number}/")
            variables = variables_of_columns(outputs, torch.nonzero(group == number)[:, 0].tolist())
            members.append(PREDICTORS[described["kind"]].from_state(own, described, inputs, variables, model))
            folds.append(Folds.from_state(own, left_out, inputs, variables, model) if left_out else None)
        return cls(tuple(members), tuple(folds), group, tuple(labels))
