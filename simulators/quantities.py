"""How a simulator names what it takes and gives, for files and tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Quantity:
    """One array, a sample a row.

    Attributes:
        name: of the variable.
        axes: without `sample`.
        shape: length of each axis.
        units: as UDUNITS writes them.
        long_name: for people.
        scaling: how a surrogate should scale it; "log" for what is positive and spans decades.
    """

    name: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    units: str
    long_name: str
    scaling: Literal["standard", "log"] = "standard"


@dataclass(frozen=True)
class Coordinate:
    """Where the cells of an axis lie."""

    name: str
    values: tuple[float, ...]
    units: str
    long_name: str


def cell_centres(name: str, cells: int, length: float) -> Coordinate:
    """Return the centres of equal cells on (0, length) [m]."""
    values = tuple((i + 0.5) * length / cells for i in range(cells))
    return Coordinate(name, values, "m", f"{name} of the cell centre")


def grid_points(name: str, points: int, length: float, units: str = "m") -> Coordinate:
    """Return the points i length / points of a periodic axis."""
    return Coordinate(name, tuple(i * length / points for i in range(points)), units, f"{name} of the grid point")


def output_times(values: Sequence[float], units: str = "s") -> Coordinate:
    """Return the times at which a trajectory is reported."""
    return Coordinate("time", tuple(values), units, "time")


def number(name: str, units: str, long_name: str, scaling: Literal["standard", "log"] = "standard") -> Quantity:
    """Return the description of one number a sample."""
    return Quantity(name, (), (), units, long_name, scaling)
