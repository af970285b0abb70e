"""The preparation of a transfer: data are matched to the source's variables, ordered and checked, and its scales adapted."""

import dataclasses
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from pac_surrogate.data.data_warnings import DataWarning, ExtrapolationWarning
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.matching import DEFAULTS, REGRID, grid_of, is_numbered, match_all, match_columns, strange_grids
from pac_surrogate.data.repeats import groups_of, repeated
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.files import Variable
from pac_surrogate.files.variables import UNBOUNDED, bounds_text
from pac_surrogate.methods.case import Budget, Case, group_of
from pac_surrogate.surrogates.outputs import bounded_as, matched_bounds, scaled_to, with_outputs_of
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.display import Shown
from pac_surrogate.utilities.resolution import resolution

FAR = 1.0  # distance, in widths of the source range, by which target inputs may leave it without a warning
NAMED = 3  # largest number of samples, or groups of samples, that a warning names


@dataclass(frozen=True, eq=False, repr=False)
class Prepared(Shown):
    """A source surrogate, target samples and source samples, ready for a method.

    Attributes:
        matched: the source with the target's outputs, unless some are new to it.
        surrogate: `matched` with scales that suit the target's numbers.
        target: target training samples in an order that depends on their content; its inputs, and its outputs if all are known,
            are the surrogate's.
        source: source training samples, ordered and arranged in the same way; None if there are none.
    """

    matched: Surrogate
    surrogate: Surrogate
    target: Dataset
    source: Dataset | None

    def case(self, budget: Budget, seed: int) -> Case:
        """Return the case of a method with this budget and seed."""
        return Case(self.surrogate, self.target, self.source, budget, seed)


def prepare(surrogate: Surrogate, data: Dataset, source: Dataset | None) -> Prepared:
    """Arrange data by the surrogate's variables, in an order that depends on their content, and adapt the scales to the target.

    Bounds of outputs are those of the target, or else those of the surrogate or the source samples.

    Raises:
        ValueError: if the surrogate is not a network, inputs do not fit it, units or source variables disagree, or target
            samples leave the bounds of the source.
    """
    _ = surrogate.network  # only a network can be the source of a transfer
    matched = match(surrogate, data)
    bounded = matched.outputs if source is None else bounded_as(matched.outputs, source.outputs)
    if [variable.bounds for variable in bounded] != [variable.bounds for variable in matched.outputs]:
        matched = dataclasses.replace(matched, outputs=bounded)
    known = bool((match_columns("outputs", matched.outputs, data.outputs) >= 0).all())
    rows = matched.arranged(data.training, outputs=known).training
    _check_bounds(matched, rows)
    if source is not None:
        # Source data matched by position have the layout of the source, not that of the target.
        reader = dataclasses.replace(matched, given_inputs=surrogate.given_inputs, given_outputs=None)
        source = reader.arranged(source.training).training
    return Prepared(matched, scaled_to(matched, rows), rows, source)


def match(surrogate: Surrogate, data: Dataset) -> Surrogate:
    """Return the surrogate with the outputs of the data, if it has all of them, and with missing metadata taken from the data.

    Arrays passed to the result must have the layout of the data. Its intervals are removed, as they belong to another fit.

    Raises:
        ValueError: if inputs do not fit the surrogate, or units disagree.
    """
    network = surrogate.network
    columns = match_columns("outputs", surrogate.outputs, data.outputs)
    match_all("inputs", surrogate.inputs, data.inputs)
    changes: dict[str, object] = dict.fromkeys(name for name in ("folds", "allocated") if getattr(surrogate, name) is not None)
    if (columns >= 0).all() and network.new_readout:
        # If a surrogate already has the target's outputs, its readout is a source readout, even one from an earlier transfer.
        changes["predictor"] = dataclasses.replace(network, new_readout=False)
    surrogate = dataclasses.replace(surrogate, **changes) if changes else surrogate  # type: ignore[arg-type]
    wanted = {variable.name for variable in data.outputs}
    some = tuple(variable for variable in surrogate.outputs if variable.name in wanted)
    if (columns >= 0).all() and len(columns) < sum(variable.size for variable in surrogate.outputs):
        inputs, places = np.arange(data.widths[0]), match_all("outputs", some, data.outputs)
        surrogate = with_outputs_of(surrogate, data[:0].as_variables(data.inputs, inputs, some, places))
    known = surrogate.outputs if (columns >= 0).all() else ()
    informed = (
        _informed("inputs", surrogate.inputs, data.inputs),
        _informed("outputs", known, data.outputs) or surrogate.outputs,
    )
    listed = (
        _listed("inputs", surrogate.inputs, data.inputs, surrogate.given_inputs),
        _listed("outputs", known, data.outputs, surrogate.given_outputs) if known else None,
    )
    axes = {axis for variable in (*surrogate.inputs, *surrogate.outputs, *data.outputs) for axis in variable.axes}
    axes -= {name for name, coordinate in data.coordinates.items() if is_numbered(coordinate)} | surrogate.coordinates.keys()
    coordinates = {**surrogate.coordinates, **{name: c for name, c in data.coordinates.items() if name in axes}}
    # Variables are equal regardless of their stored precision and their bounds, so these are compared as well.
    sides = [[(v, v.dtype, v.bounds) for v in (*i, *o)] for i, o in (informed, (surrogate.inputs, surrogate.outputs))]
    same = sides[0] == sides[1] and listed == (surrogate.given_inputs, surrogate.given_outputs)
    if same and coordinates.keys() == surrogate.coordinates.keys():
        return surrogate
    return dataclasses.replace(
        surrogate,
        inputs=informed[0],
        outputs=informed[1],
        given_inputs=listed[0],
        given_outputs=listed[1],
        coordinates=coordinates,
    )


def warn_of(surrogate: Surrogate, data: Dataset, source: Dataset | None, prepared: Prepared, *, stacklevel: int = 3) -> None:
    """Warn of properties of the data that a transfer accepts but that its user may not intend.

    Args:
        surrogate: the source as passed by the user.
        data: target samples as passed by the user.
        source: source samples as passed by the user.
        prepared: the three after the preparation.
        stacklevel: stack level of the warnings.
    """
    warn_of_strangers(surrogate, data, source, stacklevel=stacklevel + 1)
    lines = _new_outputs(surrogate, data)
    fields = [variable for variable in (*data.inputs, *data.outputs) if variable.axes]
    for line in strange_grids(surrogate.coordinates, fields, data.coordinates):
        lines.append(
            f"{line}: taken point by point; interpolate one onto the grid of the other, {REGRID}, if that is not meant"
        )
    lines += _set_points(prepared)
    lines += _vanishing(prepared)
    lines += _repeats(prepared, data)
    for line in lines:
        warnings.warn(line, DataWarning, stacklevel=stacklevel)
    before, after = prepared.matched.scaling.inputs, prepared.surrogate.scaling.inputs
    x = torch.from_numpy(np.asarray(prepared.target.input_matrix, dtype=np.float64))
    if len(x):
        still = before.deviation != after.deviation  # at a set point in the source; a warning was given above
        middle = torch.where(still, 0.5 * (before.low + before.high), x)
        far = int(before.outside(middle, margin=FAR).sum())
        if far:
            warnings.warn(
                f"the inputs of {far} of {len(x)} target samples leave the range of the source data by more than its "
                "width: the source extrapolates there; pretrain it on data that cover these inputs, or compare with "
                "pac.Scratch()",
                ExtrapolationWarning,
                stacklevel=stacklevel,
            )


def warn_of_strangers(surrogate: Surrogate, data: Dataset, source: Dataset | None, *, stacklevel: int = 3) -> None:
    """Warn if the surrogate's record of its own data, or the data's attributes, contradict the roles of the arguments."""
    for line in _strangers(surrogate, data, source):
        warnings.warn(line, DataWarning, stacklevel=stacklevel)


def _strangers(surrogate: Surrogate, data: Dataset, source: Dataset | None) -> list[str]:
    lines = []
    sides = [None if some is None else some.attributes.get("side") for some in (data, source)]
    if sides == ["source", "target"]:
        lines.append("the target data are marked as a source, and those of source= as a target: are the two exchanged?")
    known = surrogate.provenance.get("data")
    if known is None:
        return lines
    if len(data) and _digest(surrogate, data, known):
        lines.append(
            "the target data are those that the surrogate was pretrained on: are source and target exchanged? transfer takes "
            "the source's surrogate, target data, and source=<source data>"
        )
    elif source is not None and not _digest(surrogate, source, known):
        count = surrogate.provenance.get("samples", "other")
        lines.append(
            f"source= has {len(source.training)} samples that are not the {count} samples which the surrogate was pretrained "
            "on: pass those, or pretrain on these"
        )
    return lines


def _digest(surrogate: Surrogate, data: Dataset, known: str) -> bool:
    """Return whether data have a digest, which earlier versions computed in the order of the rows."""
    if data.training.digest() == known or data.digest() == known:
        return True
    try:
        return surrogate.arranged(data).training.digest() == known
    except ValueError:  # other variables: other data
        return False


def _new_outputs(surrogate: Surrogate, data: Dataset) -> list[str]:
    known = match_columns("outputs", surrogate.outputs, data.outputs) >= 0
    if known.all():
        return []
    new, first = [], 0
    for variable in data.outputs:
        if not known[first : first + variable.size].all():
            new.append(variable)
        first += variable.size
    ours = {variable.name: variable for variable in surrogate.outputs}
    same = [variable for variable in new if variable.name in ours]
    if same:
        name = same[0].name
        grids = grid_of(ours[name], surrogate.coordinates), grid_of(same[0], data.coordinates)
        return [
            f"{name} is {grids[0]} in the surrogate and {grids[1]} in the target, so it gets a new readout and the source's "
            f"readout is lost: interpolate the target onto the grid of the source, {REGRID}, to keep it"
        ]
    names = ", ".join(variable.name for variable in new)
    return [
        f"the target's outputs {names} are new to the surrogate, which has {', '.join(ours)}, and get a new readout: give them "
        "the names that they have in the source if they are the same"
    ]


def _set_points(prepared: Prepared) -> list[str]:
    """Return a warning for each variable that the source holds at a set point and the target varies."""
    lines = []
    for side, variables in (("inputs", prepared.surrogate.inputs), ("outputs", prepared.surrogate.outputs)):
        deviations = [getattr(one.scaling, side).deviation for one in (prepared.matched, prepared.surrogate)]
        moved, first = (deviations[0] != deviations[1]).numpy(), 0
        for variable in variables:
            if moved[first : first + variable.size].any():
                lines.append(
                    f"the source holds the {side[:-1]} {variable.name} at a set point, or nearly, and the target varies it: "
                    "the dependence on it is learned from the target samples alone; is a number of the target a fill value?"
                )
            first += variable.size
    return lines


def _vanishing(prepared: Prepared) -> list[str]:
    """Return a warning for each variable that the target varies by less than float64 resolves on the source's scale."""
    if len(prepared.target) == 0:
        return []
    lines, seen = [], fit_scaling(prepared.target)
    for side, variables in (("inputs", prepared.target.inputs), ("outputs", prepared.target.outputs)):
        if getattr(prepared.surrogate, side) != variables:
            continue
        ours, theirs, first = getattr(prepared.surrogate.scaling, side), getattr(seen, side), 0
        lost = (theirs.deviation > 0) & (theirs.deviation <= torch.from_numpy(resolution(ours.deviation[None].numpy())))
        for variable in variables:
            own, first = lost[first : first + variable.size], first + variable.size
            if bool(own.any()):
                lines.append(
                    f"the target varies the {side[:-1]} {variable.name} by so much less than the source that float64 does not "
                    "resolve it on the source's scale: it is treated as constant; check its unit"
                )
    return lines


def _repeats(prepared: Prepared, data: Dataset) -> list[str]:
    if not repeated(group_of(prepared.surrogate, prepared.target)):
        return []
    # The warning numbers the rows as the user gave them; the prepared ones are in another order.
    x = prepared.surrogate.arranged(data.seen, outputs=False).input_matrix
    scaled = prepared.surrogate.scaling.inputs.standardise(torch.from_numpy(np.asarray(x, dtype=np.float64)))
    given = [group.tolist() for group in repeated(groups_of(scaled))]
    named = "; ".join(" and ".join(map(str, members[:NAMED])) for members in given[:NAMED])
    more = ", ..." if len(given) > NAMED or any(len(members) > NAMED for members in given) else ""
    return [
        f"target samples repeat inputs, to a ten-thousandth of a deviation ({named}{more}): they are left out together "
        "wherever samples are left out"
    ]


def _listed(
    side: str, ours: tuple[Variable, ...], theirs: tuple[Variable, ...], given: tuple[Variable, ...] | None
) -> tuple[Variable, ...] | None:
    """Return the layout of arrays: the data's variables, without default names; None if it is the surrogate's own layout."""
    if len(ours) == len(theirs) == 1:
        one, other = ours[0], theirs[0]
        name = one.name if other.name == DEFAULTS[side] else other.name
        theirs = (dataclasses.replace(one, name=name, long_name="", axes=other.axes, shape=other.shape),)
    elif len(theirs) == 1 and theirs[0].name == DEFAULTS[side]:
        return given  # data matched by position keep the present layout
    same = [(v.name, v.shape) for v in theirs] == [(v.name, v.shape) for v in ours]
    return None if same else theirs


def _informed(side: str, ours: tuple[Variable, ...], theirs: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """Return our variables, with the data's bounds, its units where ours are unknown, and the higher precision of the two."""
    by_name = {variable.name: variable for variable in theirs}
    if len(ours) == len(theirs) == 1:
        by_name = {ours[0].name: theirs[0]}
    found = []
    for variable, stated in zip(ours, matched_bounds(side, ours, theirs), strict=True):
        other = by_name.get(variable.name, variable)
        units = other.units if variable.units == "1" else variable.units
        dtype = "float64" if "float64" in (variable.dtype, other.dtype) else "float32"
        bounds = variable.bounds if stated == UNBOUNDED else stated
        found.append(dataclasses.replace(variable, units=units, dtype=dtype, bounds=bounds))
    return tuple(found)


def _check_bounds(matched: Surrogate, target: Dataset) -> None:
    """Refuse target samples outside the bounds that the source states; those of the target's own are checked with its data."""
    for variable in bounded_as(target.outputs, matched.outputs):
        values = target[variable.name]
        low, high = (None if bound is None else values.dtype.type(bound) for bound in variable.bounds)
        beyond = values[(values < (-np.inf if low is None else low)) | (values > (np.inf if high is None else high))]
        if beyond.size:
            raise ValueError(
                f"{variable.name} of the target must lie within the bounds of the source, {bounds_text(variable.bounds)}, got "
                f"{beyond.flat[0]:g}: correct it, or give the target bounds of its own"
            )
