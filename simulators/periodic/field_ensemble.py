"""Random periodic fields that evolve by a semilinear PDE: the ensemble for every equation in this folder."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.fourier import resample
from simulators.numerics.random_inputs import random_numbers, random_periodic_field
from simulators.periodic.semilinear import SemilinearPDE, solve_periodic
from simulators.quantities import Coordinate, Quantity, grid_points

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class Waves:
    """Random periodic fields: Gaussian with a given spectrum, or a logistic function of such a field.

    Attributes:
        mean: mean of the field.
        deviation: root mean square of the field about its mean.
        modes: largest number of waves along an axis.
        cutoff: number of waves from which the spectrum falls.
        power: exponent of the spectrum; the mode of m waves deviates as (1 + m^2 / cutoff^2)^(-power / 2).
        between: None, or the range (low, high) onto which the field is mapped: low + (high - low) / (1 + exp(-field)).
    """

    mean: float = 0.0
    deviation: float = 1.0
    modes: int = 8
    cutoff: float = 3.0
    power: float = 4.0
    between: tuple[float, float] | None = None

    def draw(self, generator: torch.Generator, samples: int, points: tuple[int, ...]) -> Float[Tensor, "sample ..."]:
        """Draw values at the points of a periodic grid."""
        field = random_periodic_field(generator, samples, points, modes=self.modes, cutoff=self.cutoff, power=self.power)
        field = self.mean + self.deviation * field
        if self.between is None:
            return field
        low, high = self.between
        return low + (high - low) * torch.sigmoid(field)


@dataclass(frozen=True)
class PeriodicFields:
    """A periodic box, 1-D or square, on which a random field evolves by a semilinear PDE.

    The initial field is stored at the reported points; the solver starts from its trigonometric interpolant. A solver with
    fewer points than reported leaves out the waves that its grid does not resolve, and its solution is interpolated likewise.

    Attributes:
        pde: the equation with the ranges of its parameters.
        waves: distribution of the initial field.
        time: time at which the field is reported [s].
        length: length of the box along each axis [m].
        axes: number of axes, 1 or 2.
        reported: number of points in the data along each axis.
        points: number of points of the solver along each axis.
        steps: number of time steps of the solver.
    """

    pde: SemilinearPDE
    waves: Waves
    time: float
    length: float = 1.0
    axes: int = 1
    reported: int = 64
    points: int = 128
    steps: int = 64

    @property
    def simulator(self) -> str:
        """The name of the class of the PDE without the name of this folder, as in existing data files."""
        return f"{type(self.pde).__module__}.{type(self.pde).__name__}".replace("simulators.periodic.", "simulators.")

    @property
    def scheme(self) -> str:
        """The scheme, which is exact in time for linear PDEs."""
        return "Fourier; exact in time" if self.pde.degree == 1 else "Fourier; ETDRK4, order 4"

    @property
    def order(self) -> float:
        """Order in time; NaN for linear PDEs. In space the error does not fall with an order."""
        return float("nan") if self.pde.degree == 1 else 4.0

    @property
    def equation(self) -> str:
        """The equation of the PDE."""
        return self.pde.equation

    @property
    def invariant(self) -> str:
        """The invariant of the PDE."""
        return self.pde.invariant

    @property
    def size(self) -> int:
        """Number of values on the solver's grid."""
        return len(self.pde.evolved) * self.points**self.axes

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The initial field and the random parameters of the PDE."""
        return (self._on_grid(self.pde.initial, self.pde.initial.long_name), *(drawn for drawn, _ in self.pde.numbers))

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The fields at the reported time."""
        return tuple(self._on_grid(field, f"{field.long_name} after {self.time:g} s") for field in self.pde.evolved)

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The reported points."""
        return tuple(grid_points(axis, self.reported, self.length) for axis in "xy"[: self.axes])

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        field = self.waves.draw(generator, samples, self._grid(self.reported))
        numbers = random_numbers(generator, samples, [bounds for _, bounds in self.pde.numbers])
        names = [drawn.name for drawn, _ in self.pde.numbers]
        return {self.pde.initial.name: field.float()} | dict(zip(names, numbers.float().unbind(1), strict=True))

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative violation of the PDE's invariant.

        Args:
            inputs: as `draw` returns them.
            refinement: factor on steps; the grid is unchanged, as the error of Fourier modes does not fall with an order.
        """
        numbers = {name: values.double() for name, values in inputs.items() if name != self.pde.initial.name}
        field = inputs[self.pde.initial.name].double()
        start = self.pde.start(resample(field, self._grid(self.points)))
        end = solve_periodic(
            self.pde,
            start,
            numbers,
            start.new_tensor([self.time]),
            lengths=[self.length] * self.axes,
            steps=max(1, round(self.steps * refinement)),
        )[:, 0]
        fields = end.unbind(1) if end.ndim > self.axes + 1 else (end,)
        outputs = {q.name: self._to_reported(values) for q, values in zip(self.pde.evolved, fields, strict=True)}
        return outputs, self.pde.residual(numbers, start, end, self.length)

    def _grid(self, points: int) -> tuple[int, ...]:
        return (points,) * self.axes

    def _on_grid(self, field: Quantity, long_name: str) -> Quantity:
        return Quantity(field.name, ("x", "y")[: self.axes], self._grid(self.reported), field.units, long_name)

    def _to_reported(self, field: Tensor) -> Tensor:
        stride = field.shape[1] // self.reported
        if stride * self.reported != field.shape[1]:
            return resample(field, self._grid(self.reported))
        for axis in range(1, field.ndim):
            field = field[(slice(None),) * axis + (slice(None, None, stride),)]
        return field
