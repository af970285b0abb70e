"""Ensembles of ordinary differential equations: they take numbers, return trajectories and check a balance for each sample."""

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
    """The common part of all ensembles of y' = f(t, y): random inputs, times, integrators and the check of a balance.

    A subclass defines the inputs with their bounds (`_ranges`), the initial state (`_start`), the right-hand side (`_field`)
    and the outputs (`_report`). It also defines a quantity whose change is known (`_content`); the rate of this change is
    integrated as the last component of the state, from 0, with the same scheme.

    Attributes:
        time: time of the last report, in the unit of `time_units`.
        reported: number of report times, equally spaced; the first is not 0.
        integrator: "dopri5", order 5 with steps that the tolerance determines for each sample, or "rk4", order 4 with
            equal steps.
        tolerance: relative and absolute tolerance of dopri5; a refinement of r divides it by r^5, and the mean step by r.
        steps: number of steps of rk4 between two reports, which the refinement multiplies.
        design: sampling design of the inputs, see `random_numbers`; inputs with the scaling "log" are drawn uniformly in
            their logarithm.
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
        """The integrator, in words for tables."""
        adaptive = f"Dormand-Prince, order 5, tolerance {self.tolerance:g}"
        return adaptive if self.integrator == "dopri5" else f"Runge-Kutta, order 4, {self.steps} steps a report"

    @property
    def order(self) -> float:
        """Order of rk4; NaN for dopri5, whose error follows the tolerance and shows no clear order over a few samples."""
        return {"dopri5": math.nan, "rk4": 4.0}[self.integrator]

    @property
    @abstractmethod
    def equation(self) -> str:
        """The equation, for data files."""

    @property
    @abstractmethod
    def invariant(self) -> str:
        """The name of the balance."""

    @property
    def size(self) -> int:
        """Number of initial values and parameters of a sample, plus one for the balance."""
        return 1 + sum(math.prod(quantity.shape) for quantity in self.inputs)

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """Initial values and parameters."""
        return tuple(quantity for quantity, _ in self._ranges())

    @property
    @abstractmethod
    def outputs(self) -> tuple[Quantity, ...]:
        """The reported trajectories."""

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The report times."""
        values = [self.time * (i + 1) / self.reported for i in range(self.reported)]
        return (output_times(values, self.time_units),)

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
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
        """Return the trajectories of stored inputs, and the relative error of each sample's balance.

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
        """Return the inputs and the bounds of each."""

    @abstractmethod
    def _start(self, inputs: Arrays) -> Float[Tensor, "sample component"]:
        """Return the state at t = 0, without the last component."""

    @abstractmethod
    def _field(self, inputs: Arrays) -> Field:
        """Return the right-hand side; its last component is the rate at which the content changes."""

    @abstractmethod
    def _content(self, inputs: Arrays, states: Float[Tensor, "sample time component"]) -> Float[Tensor, "sample time term"]:
        """Return the terms of the quantity whose change is the last component of the state."""

    @abstractmethod
    def _report(self, inputs: Arrays, states: Float[Tensor, "sample time component"]) -> tuple[Tensor, ...]:
        """Return the values of the outputs, in their order."""

    def _trajectory(self, name: str, units: str, long_name: str, scaling: Literal["standard", "log"] = "standard") -> Quantity:
        """Return the description of one number that changes over the report times."""
        return Quantity(name, ("time",), (self.reported,), units, long_name, scaling)
