"""Descriptions of the inputs, outputs and coordinates of a simulator, for files and tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Quantity:
    """One array with a sample in each row.

    Attributes:
        name: name of the variable.
        axes: names of the axes without `sample`.
        shape: length of each of these axes.
        units: units as UDUNITS writes them.
        long_name: description for readers.
        scaling: how a surrogate should scale it; "log" for positive values that span decades.
    """

    name: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    units: str
    long_name: str
    scaling: Literal["standard", "log"] = "standard"


@dataclass(frozen=True)
class Coordinate:
    """Positions of the cells or points along an axis."""

    name: str
    values: tuple[float, ...]
    units: str
    long_name: str


def cell_centres(name: str, cells: int, length: float) -> Coordinate:
    """Return the centres of equal cells on (0, length) [m]."""
    values = tuple((i + 0.5) * length / cells for i in range(cells))
    return Coordinate(name, values, "m", f"{name} of the cell centre")


def grid_points(name: str, points: int, length: float, units: str = "m") -> Coordinate:
    """Return the points i length / points, i = 0, 1, ..., of a periodic axis."""
    return Coordinate(name, tuple(i * length / points for i in range(points)), units, f"{name} of the grid point")


def output_times(values: Sequence[float], units: str = "s") -> Coordinate:
    """Return the times at which a trajectory is reported."""
    return Coordinate("time", tuple(values), units, "time")


def number(name: str, units: str, long_name: str, scaling: Literal["standard", "log"] = "standard") -> Quantity:
    """Return the description of one number per sample."""
    return Quantity(name, (), (), units, long_name, scaling)
