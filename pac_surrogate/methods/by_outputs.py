"""Targets of which some samples lack some outputs: every output is learned from the samples that have it."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from pac_surrogate.data.matching import match_columns
from pac_surrogate.data.missing_values import groups_of_outputs, names_of
from pac_surrogate.data.scaling import Columns, Scaling
from pac_surrogate.files.variables import variables_of_columns
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.method import Adaptation, Method, Outcome
from pac_surrogate.predictors.output_groups import OutputGroups
from pac_surrogate.surrogates.layout import same_variables
from pac_surrogate.surrogates.outputs import bounded_as, with_columns
from pac_surrogate.surrogates.surrogate import Surrogate


@dataclass(frozen=True)
class ByOutputs:
    """Fit a method separately to every group of outputs that have the same samples, on these samples.

    A group gives what a transfer of its outputs and samples alone would give: nothing is learned across groups, and a network
    that is trained is trained once for each group. The exception is an input that the source holds at a set point, whose scale
    is computed from all samples. With a single group, such as samples without any output, the result is that of this group.

    Args:
        methods: the method, or the method of each group.
    """

    methods: tuple[Method, ...]

    def adapt(self, case: Case) -> Adaptation:
        """Wait for the fits of all groups together, and join them; the first failure is that of all."""
        groups = groups_of_outputs(~np.isnan(case.target.output_matrix))
        asked = self.methods * len(groups) if len(self.methods) == 1 else self.methods
        cases = [of_group(case, columns, rows) for columns, rows in groups]
        outcomes: list[Outcome] = yield list(zip(asked, cases, strict=True))
        labels = [label_of(case, columns) for columns, _ in groups]
        for label, outcome in zip(labels, outcomes, strict=True):
            if not outcome.sound:
                reason = outcome.refused if outcome.refused is None else f"{label}: {outcome.refused}"
                return dataclasses.replace(outcome, surrogate=case.surrogate, refused=reason)
        if len(groups) == 1:
            return outcomes[0]
        used = tuple(outcome.method for outcome in outcomes)
        return Outcome(
            joined(case, [columns for columns, _ in groups], [outcome.surrogate for outcome in outcomes], labels),
            used[0] if len(set(used)) == 1 else ByOutputs(used),
            source_steps=sum(outcome.source_steps for outcome in outcomes),
        )


def label_of(case: Case, columns: Int[np.ndarray, " _column"]) -> str:
    """Return the names of some outputs of the target."""
    return names_of([v.name for v in case.target.outputs], [v.size for v in case.target.outputs], columns)


def of_group(case: Case, columns: Int[np.ndarray, " _column"], rows: Int[np.ndarray, " _row"]) -> Case:
    """Return the case of some outputs and samples of the target, which equals that of a target with these alone."""
    target, source, inputs = case.target, case.source, np.arange(case.target.widths[0])
    own = variables_of_columns(bounded_as(target.outputs, case.surrogate.outputs), columns.tolist())
    # In the order that these samples would have alone.
    samples = target.as_variables(target.inputs, inputs, own, columns)[rows].training
    known = match_columns("outputs", case.surrogate.outputs, target.outputs)[columns]
    if (known < 0).any():
        return dataclasses.replace(case, target=samples)
    if source is not None:
        source = source.as_variables(source.inputs, inputs, own, known).training
    return dataclasses.replace(case, surrogate=with_columns(case.surrogate, known.tolist(), own), target=samples, source=source)


def joined(case: Case, columns: list[Int[np.ndarray, " _column"]], surrogates: list[Surrogate], labels: list[str]) -> Surrogate:
    """Return the surrogate of all outputs of the target whose groups of columns are predicted by these surrogates."""
    order = torch.from_numpy(np.concatenate(columns).argsort())
    group = torch.cat([torch.full((len(own),), number) for number, own in enumerate(columns)])[order]
    scales = [surrogate.scaling.outputs for surrogate in surrogates]
    outputs = Columns(*(torch.cat([getattr(one, f.name) for one in scales])[order] for f in dataclasses.fields(Columns)))
    inputs = case.surrogate.scaling.inputs
    for surrogate in surrogates:
        inputs = inputs.widened(surrogate.scaling.inputs)
    known = same_variables(case.surrogate.outputs, case.target.outputs)
    return dataclasses.replace(
        case.surrogate,
        predictor=OutputGroups(
            tuple(one.predictor for one in surrogates), tuple(one.folds for one in surrogates), group, tuple(labels)
        ),
        scaling=Scaling(inputs, outputs),
        outputs=case.surrogate.outputs if known else bounded_as(case.target.outputs, case.surrogate.outputs),
        folds=None,
        allocated=None,
    )
