"""What an export says of itself beside its program: names, units and ranges of its columns, and where it comes from."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pac_surrogate.exports.program import Program
from pac_surrogate.files import Variable
from pac_surrogate.utilities.display import Shown


@dataclass(frozen=True)
class Column:
    """A column of the inputs or of the outputs.

    Attributes:
        name: name of its variable, with the indices of its entry if the variable has axes: "u[0, 3]". It may hold any
            characters, so a writer must quote it, and may never put it into code as it is.
        unit: unit of the variable, in any characters too.
        low: smallest number in the training data [unit].
        high: largest number in the training data [unit].
        lower: the number below which a prediction extrapolates [unit]; -inf for outputs.
        upper: the number above which a prediction extrapolates [unit]; +inf for outputs.
        logarithmic: whether the surrogate scales the logarithm of the column.
    """

    name: str
    unit: str
    low: float
    high: float
    lower: float
    upper: float
    logarithmic: bool = False

    def beyond_float32(self) -> float | None:
        """Return a number of the training data that float32 does not hold with all its digits, or None.

        It holds 0 and sizes from 1.2e-38 to 3.4e38. On a linear scale, only the largest size of the column counts, because
        beside it the smaller ones are 0; on a logarithmic one, both ends count.
        """
        ends = (self.low, self.high) if self.logarithmic else (max(self.low, self.high, key=abs),)
        normal = np.finfo(np.float32)
        least, most = float(normal.smallest_normal), float(normal.max)
        return next((end for end in ends if end != 0 and not least <= abs(end) <= most), None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON, without the infinite ones."""
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if isinstance(value, str | bool) or abs(value) != float("inf")
        }


@dataclass(frozen=True, eq=False, repr=False)
class Export(Shown):
    """A program with its description, which a writer turns into files.

    Attributes:
        program: the program; its results are `y`, and perhaps `std`, the standard deviation of each output.
        name: the name in the files and of their functions, an identifier of ASCII letters, digits and underscores.
        inputs: the columns of the input, in order.
        outputs: the columns of the results, in order.
        about: what made the surrogate, as plain values for JSON: version, method, numbers of samples.
    """

    program: Program
    name: str
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    about: Mapping[str, Any]


def labels_of(variables: Sequence[Variable]) -> list[tuple[str, str]]:
    """Return the name and the unit of each column of some variables."""
    found = []
    for variable in variables:
        for index in itertools.product(*map(range, variable.shape)):
            place = f"[{', '.join(map(str, index))}]" if index else ""
            found.append((f"{variable.name}{place}", variable.units))
    return found
