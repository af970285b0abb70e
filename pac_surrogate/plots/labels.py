"""The numbers that a figure of a data set shows, and their labels, which are made of names and units."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.files import Variable

LISTS = (("feature",), ("channel",))  # axes whose entries have no order


def variables_of(side: Dataset) -> tuple[Variable, ...]:
    """Return the inputs of a data set, followed by its outputs."""
    return (*side.inputs, *side.outputs)


def is_line(variable: Variable) -> bool:
    """Whether a variable is one line along its first axis, or up to four lines."""
    return len(variable.axes) == 1 or (len(variable.axes) == 2 and variable.axes[1] == "channel" and variable.shape[1] <= 4)


def lines_of(side: Dataset, variable: Variable) -> list[tuple[str, np.ndarray]]:
    """Return the name of each line with its values for every sample."""
    name, values = variable.name.replace("_", " "), side[variable.name]
    if len(variable.axes) < 2:
        return [(name, values)]
    return [
        (f"{name}, channel {_point(point)}", values[..., i])
        for i, point in enumerate(side.coordinates[variable.axes[-1]].values)
    ]


def columns_of(side: Dataset, variables: Sequence[Variable]) -> dict[tuple[str, str], np.ndarray]:
    """Return the numbers of the samples as columns, each under its name and unit; fields are left out."""
    columns = {}
    for variable in variables:
        name = variable.name.replace("_", " ")
        if not variable.axes:
            columns[name, variable.units] = side[variable.name]
        elif variable.axes in LISTS:
            for i, point in enumerate(side.coordinates[variable.axes[0]].values):
                columns[f"{name} {_point(point)}", variable.units] = side[variable.name][:, i]
    return columns


def numbers_of(side: Dataset, sample: int, digits: int) -> list[str]:
    """Return the heading of a sample: its first six numbers, with names and units."""
    columns = columns_of(side, [variable for variable in variables_of(side) if not variable.axes])
    return [
        f"{name} {short_number(values[sample], digits)} {units}".removesuffix(" 1")
        for (name, units), values in list(columns.items())[:6]
    ]


def variable_label(variable: Variable) -> str:
    """Return the name and the unit of a variable."""
    return f"{variable.name.replace('_', ' ')} [{variable.units}]"


def group_label(side: Dataset, variables: Sequence[Variable]) -> str:
    """Return the name and the unit of a single output; of several outputs, only their common unit."""
    outputs = [variable for variable in variables if variable in side.outputs]
    return f"[{variables[0].units}]" if len(outputs) > 1 else textwrap.fill(variable_label(variables[-1]), 22)


def axis_label(side: Dataset, axis: str) -> str:
    """Return the name and the unit of an axis."""
    return f"{axis} [{side.coordinates[axis].units}]"


def short_number(value: float, digits: int = 3) -> str:
    """Return a number rounded to some significant digits, as text."""
    return f"{float(f'{value:.{digits}g}'):g}"


def _point(point: Any) -> str:
    return str(point) if isinstance(point, str) else f"{point:g}"
