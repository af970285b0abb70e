"""Plates: the heat equation in two dimensions with random initial temperatures and conductivity fields."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.heat.heat_equation import solve_heat
from simulators.numerics.boundaries import Dirichlet
from simulators.numerics.coarse_grids import to_reported, to_solver
from simulators.numerics.random_inputs import Modes, random_field
from simulators.quantities import Coordinate, Quantity, cell_centres

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class Plates:
    """c u_t = div(k grad u) on a square whose sides are held at u = 0, u the temperature above the surroundings.

    The initial temperature and the logarithm of k are band-limited, so that their averages over the reported cells
    determine the solution. A solver with fewer cells starts from block averages of both and interpolates its solution;
    a solver with more cells starts from the exact fields and averages its solution.

    Attributes:
        cells: number of cells of the solver along each axis, a multiple or a divisor of `reported`.
        median_conductivity: median of k [W/(m K)].
        log_deviation: root mean square of log(k / median).
        deviation: root mean square of the initial temperature [K].
        time: time at which the temperature is reported [s].
        length: length of a side [m].
        capacity: volumetric heat capacity c, by default that of steel [J/(m^3 K)].
        modes: number of half waves along each axis in both fields.
        cutoff: number of half waves from which the spectra of both fall.
        reported: number of cells in the data along each axis.
        steps: number of time steps of the solver.
    """

    cells: int
    median_conductivity: float = 10.0
    log_deviation: float = 1.0
    deviation: float = 50.0
    time: float = 10.0
    length: float = 0.1
    capacity: float = 3.6e6
    modes: int = 8
    cutoff: float = 6.0
    reported: int = 32
    steps: int = 16

    simulator = "simulators.heat.solve_heat"
    scheme = "finite volumes, order 2; Runge-Kutta-Legendre, order 2"
    order = 2.0
    invariant = "balance of energy"
    equation = "capacity u_t = div(conductivity grad u); u = 0 on all sides"

    @property
    def size(self) -> int:
        """Number of cells of the solver."""
        return self.cells**2

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The initial temperature and the conductivity."""
        shape = (self.reported, self.reported)
        initial = "initial temperature above the surroundings, cell averages"
        conductivity = "thermal conductivity, cell averages of its logarithm"
        return (
            Quantity("initial_temperature", ("x", "y"), shape, "K", initial),
            Quantity("conductivity", ("x", "y"), shape, "W m-1 K-1", conductivity, scaling="log"),
        )

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The temperature at the reported time."""
        name = f"temperature above the surroundings after {self.time:g} s, cell averages"
        return (Quantity("temperature", ("x", "y"), (self.reported, self.reported), "K", name),)

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The reported cells."""
        return tuple(cell_centres(axis, self.reported, self.length) for axis in "xy")

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        sines, cosines = [Modes("sine", self.modes)] * 2, [Modes("cosine", self.modes)] * 2
        initial = self.deviation * random_field(generator, samples, self.reported, sines, cutoff=self.cutoff, power=2)
        logarithm = self.log_deviation * random_field(generator, samples, self.reported, cosines, cutoff=self.cutoff, power=2)
        conductivity = self.median_conductivity * torch.exp(logarithm)
        return {"initial_temperature": initial.float(), "conductivity": conductivity.float()}

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative error of each sample's energy balance.

        Args:
            inputs: as `draw` returns them.
            refinement: factor on cells and steps.
        """
        initial, conductivity = inputs["initial_temperature"].double(), inputs["conductivity"].double()
        cells, steps = round(self.cells * refinement), round(self.steps * refinement)
        heat = solve_heat(
            to_solver(initial, Modes("sine", self.modes), cells),
            torch.exp(to_solver(torch.log(conductivity), Modes("cosine", self.modes), cells)),
            initial.new_tensor([self.time]),
            lengths=[self.length, self.length],
            boundaries=[(Dirichlet(), Dirichlet())] * 2,
            step=self.time / steps,
            capacity=self.capacity,
        )
        return {"temperature": to_reported(heat.temperature[:, 0], self.reported)}, heat.residual()
