"""Ensembles of ordinary differential equations: numbers in, trajectories out, and a balance that samples are held against."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.random_inputs import random_numbers
from simulators.numerics.runge_kutta import Field, solve_dopri5, solve_rk4
from simulators.numerics.step_error import error_limit, tolerate
from simulators.quantities import Coordinate, Quantity, output_times

Arrays = dict[str, Tensor]
Bounds = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Trajectories(ABC):
    """What all ensembles of y' = f(t, y) have in common: draws, times, integrators and the check of a balance.

    An ensemble says what it draws and between which bounds (`_ranges`), where its system starts (`_start`), how it moves
    (`_field`), and what is reported of it (`_report`). It also names a quantity whose change is known (`_content`); what
    changes it is integrated as the last component of the state, from 0, with the same scheme.

    Attributes:
        time: of the last report, in the unit of `time_units`.
        reported: times of report, equally spaced; the first is not 0.
        integrator: "dopri5", order 5 with steps as long as the tolerance lets each sample take, or "rk4", order 4 with
            equal steps.
        tolerance: of dopri5, relative and absolute; refinement r divides it by r^5, and the mean step by r.
        steps: of rk4 between two reports, times the refinement.
        design: of the draws, see `random_numbers`; what has the scaling "log" is drawn uniformly in its logarithm.
    """

    time: float = 10.0
    reported: int = 32
    integrator: str = "dopri5"
    tolerance: float = 1e-8
    steps: int = 4
    design: Literal["uniform", "latin hypercube", "sobol"] = "latin hypercube"

    time_units = "1"
    looseness = 1.0  # factor on the limit of rk4's estimated error

    def __post_init__(self) -> None:
        if self.integrator not in ("dopri5", "rk4"):
            raise ValueError(f'integrator must be "dopri5" or "rk4", got "{self.integrator}"')
        if not (0 < self.time < math.inf and self.reported >= 1):
            raise ValueError(f"time must be positive and reported 1 or more, got {self.time} and {self.reported}")

    @property
    def simulator(self) -> str:
        """Dotted name of the solver."""
        return f"simulators.runge_kutta.solve_{self.integrator}"

    @property
    def scheme(self) -> str:
        """In words for tables."""
        adaptive = f"Dormand-Prince, order 5, tolerance {self.tolerance:g}"
        return adaptive if self.integrator == "dopri5" else f"Runge-Kutta, order 4, {self.steps} steps a report"

    @property
    def order(self) -> float:
        """Of rk4; NaN for dopri5, whose error follows its tolerance step by step and no order over a few samples."""
        return {"dopri5": math.nan, "rk4": 4.0}[self.integrator]

    @property
    @abstractmethod
    def equation(self) -> str:
        """In words for a file."""

    @property
    @abstractmethod
    def invariant(self) -> str:
        """The balance."""

    @property
    def size(self) -> int:
        """Numbers in the state and the parameters of a sample."""
        return 1 + sum(math.prod(quantity.shape) for quantity in self.inputs)

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """Initial values and parameters."""
        return tuple(quantity for quantity, _ in self._ranges())

    @property
    @abstractmethod
    def outputs(self) -> tuple[Quantity, ...]:
        """What is reported."""

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The times of report."""
        values = [self.time * (i + 1) / self.reported for i in range(self.reported)]
        return (output_times(values, self.time_units),)

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs as they are stored, float32."""
        bounds, widths = [], []
        for quantity, (low, high) in self._ranges():
            if quantity.scaling == "log" and low <= 0:
                raise ValueError(f"{quantity.name} must be positive, got a range from {low:g} {quantity.units}")
            ends = (math.log(low), math.log(high)) if quantity.scaling == "log" else (low, high)
            widths.append(math.prod(quantity.shape))
            bounds += [ends] * widths[-1]
        columns = random_numbers(generator, samples, bounds, self.design).split(widths, 1)
        drawn = {}
        for quantity, values in zip(self.inputs, columns, strict=True):
            numbers = values.exp() if quantity.scaling == "log" else values
            drawn[quantity.name] = numbers.reshape(samples, *quantity.shape).float()
        return drawn

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the trajectories of stored inputs, and by how much each sample's balance fails, relative.

        Args:
            inputs: as `draw` returns them.
            refinement: factor on the number of steps.
        """
        given = {name: values.double() for name, values in inputs.items()}
        start = self._start(given)
        start = torch.cat([start, start.new_zeros(len(start), 1)], 1)
        times = start.new_tensor((0.0, *self.coordinates[0].values))
        if self.integrator == "rk4":
            with tolerate(self.looseness * error_limit()):
                states = solve_rk4(self._field(given), start, times, steps=max(1, round(self.steps * refinement)))
        else:
            tolerance = self.tolerance / refinement**5
            states = solve_dopri5(self._field(given), start, times, rtol=tolerance, atol=tolerance)
        terms, work = self._content(given, states), states[:, :, -1]
        content, magnitude = terms.sum(2), terms.abs().sum(2) + work.abs()
        missed = (content - content[:, :1] - work).abs().amax(1) / magnitude.amax(1).clamp(min=torch.finfo(work.dtype).tiny)
        reports = self._report(given, states[:, 1:])
        return {quantity.name: values for quantity, values in zip(self.outputs, reports, strict=True)}, missed

    @abstractmethod
    def _ranges(self) -> tuple[tuple[Quantity, Bounds], ...]:
        """Inputs and the bounds of each."""

    @abstractmethod
    def _start(self, inputs: Arrays) -> Float[Tensor, "sample component"]:
        """State at t = 0, without the last component."""

    @abstractmethod
    def _field(self, inputs: Arrays) -> Field:
        """Slopes; the last is the rate at which the content is changed."""

    @abstractmethod
    def _content(self, inputs: Arrays, states: Float[Tensor, "sample time component"]) -> Float[Tensor, "sample time term"]:
        """Terms of the quantity whose change is the last component."""

    @abstractmethod
    def _report(self, inputs: Arrays, states: Float[Tensor, "sample time component"]) -> tuple[Tensor, ...]:
        """Outputs in their order."""

    def _trajectory(self, name: str, units: str, long_name: str, scaling: Literal["standard", "log"] = "standard") -> Quantity:
        """Describe one number as it changes."""
        return Quantity(name, ("time",), (self.reported,), units, long_name, scaling)
