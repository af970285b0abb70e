"""Closed-form functions in a low-fidelity and a high-fidelity version, with named inputs in units and one output."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.random_inputs import random_numbers
from simulators.quantities import Coordinate, Quantity, number
from simulators.tables.multi_fidelity_families import Family, find_family

Arrays = dict[str, Tensor]


def solve_multi_fidelity(
    points: Float[Tensor, "sample input"], function: str, fidelity: str = "high"
) -> Float[Tensor, " sample"]:
    """Compute a function of `FAMILIES` at points in physical units, one point per row.

    The formula is also evaluated at points outside the bounds, as long as its values are finite.

    Args:
        points: array with a column for each input, in the order of the family's bounds and in their units.
        function: name of the family.
        fidelity: "high" or "low".

    Returns:
        Values in the units of the family's output, float64.

    Raises:
        ValueError: if the function or the fidelity is unknown, the number of columns is not the number of inputs, or a value
            is not finite.
    """
    family = find_family(function)
    compute = family.level(fidelity)
    if points.shape[1] != len(family.bounds):
        names = ", ".join(bound.name for bound in family.bounds)
        raise ValueError(f"{function} needs {len(family.bounds)} columns ({names}), got {points.shape[1]}")
    values = compute(points)
    broken = (~torch.isfinite(values)).nonzero().flatten().tolist()
    if broken:
        row = zip(family.bounds, points[broken[0]].tolist(), strict=True)
        given = ", ".join(f"{bound.name} {value:.6g} {bound.units}" for bound, value in row)
        raise ValueError(f"{function} has no finite value at sample {broken[0]} ({given}): keep the inputs within their bounds")
    return values


@dataclass(frozen=True)
class MultiFidelity:
    """Random points within the bounds of a function, and its values in one fidelity.

    Attributes:
        function: name of the function in `FAMILIES`.
        fidelity: "high" or "low".
        design: "uniform", "latin hypercube" or "sobol", see `random_numbers`.
    """

    function: str = "borehole"
    fidelity: str = "high"
    design: str = "uniform"

    simulator = "simulators.multi_fidelity.solve_multi_fidelity"
    scheme = "closed form"
    order = math.nan
    invariant = ""

    def __post_init__(self) -> None:
        find_family(self.function).level(self.fidelity)
        if self.design not in ("uniform", "latin hypercube", "sobol"):
            raise ValueError(f'design must be "uniform", "latin hypercube" or "sobol", got "{self.design}"')

    @property
    def equation(self) -> str:
        """The first line of the formula's docstring, and that of the high one, which the low one may refer to."""
        high, low = ((level.__doc__ or "").split("\n")[0].removesuffix(".") for level in (self._family.high, self._family.low))
        return high if self.fidelity == "high" else f"{low}; high: {high}"

    @property
    def size(self) -> int:
        """Number of inputs and outputs."""
        return len(self._family.bounds) + 1

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The inputs of the function, one number each."""
        return tuple(number(bound.name, bound.units, bound.long_name) for bound in self._family.bounds)

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The value of the function."""
        return (self._family.output,)

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """Empty, because a table has no axes."""
        return ()

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        bounds = [(bound.low, bound.high) for bound in self._family.bounds]
        points = random_numbers(generator, samples, bounds, self.design)  # type: ignore[arg-type]  # checked in __post_init__
        return {bound.name: points[:, i].float() for i, bound in enumerate(self._family.bounds)}

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the output of stored inputs, and NaN, because there is no invariant.

        Args:
            inputs: as `draw` returns them.
            refinement: has no effect.
        """
        points = torch.stack([inputs[bound.name].double() for bound in self._family.bounds], 1)
        values = solve_multi_fidelity(points, self.function, self.fidelity)
        return {self._family.output.name: values}, torch.full_like(values, math.nan)

    @property
    def _family(self) -> Family:
        return find_family(self.function)
