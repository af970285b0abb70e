"""Rods: the heat equation in one dimension with random initial temperatures and conductivities."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.heat.heat_equation import solve_heat
from simulators.numerics.boundaries import Boundary, Dirichlet, Robin
from simulators.numerics.random_inputs import Modes, random_field, refine
from simulators.quantities import Coordinate, Quantity, cell_centres

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class Rods:
    """c u_t = (k(u) u_x)_x on (0, length), u the temperature above the surroundings.

    The initial temperature is band-limited, so that its averages over the reported cells determine the solution. The
    solver uses finer cells, and its solution is averaged over the reported cells.

    Attributes:
        conductivity: range of k at u = 0, drawn uniformly [W/(m K)].
        heat_transfer: coefficient at both ends [W/(m^2 K)]; 0 insulates the ends, None holds them at u = 0.
        temperature_coefficients: b_1, b_2, ... of k(u) = k (1 + b_1 u + b_2 u^2 + ...) [1/K, 1/K^2, ...].
        mean: mean of the initial temperature [K].
        deviation: root mean square of the initial temperature about its mean [K].
        time: time at which the temperature is reported [s].
        length: length of the rod [m].
        capacity: volumetric heat capacity c, by default that of steel [J/(m^3 K)].
        modes: number of half waves in the initial temperature.
        cutoff: number of half waves from which its spectrum falls.
        reported: number of cells in the data.
        cells: number of cells of the solver, a multiple of `reported`.
        steps: number of time steps of the solver.
        cold_start: whether the initial temperature vanishes at the ends; with None it does if they are held at u = 0.
    """

    conductivity: tuple[float, float]
    heat_transfer: float | None
    temperature_coefficients: tuple[float, ...] = ()
    mean: float = 0.0
    deviation: float = 50.0
    time: float = 15.0
    length: float = 0.1
    capacity: float = 3.6e6
    modes: int = 12
    cutoff: float = 4.0
    reported: int = 32
    cells: int = 128
    steps: int = 16
    cold_start: bool | None = None

    simulator = "simulators.heat.solve_heat"
    scheme = "finite volumes, order 2; Runge-Kutta-Legendre, order 2"
    order = 2.0
    invariant = "balance of energy"

    @property
    def size(self) -> int:
        """Number of cells of the solver."""
        return self.cells

    @property
    def equation(self) -> str:
        """The equation and the boundary conditions, for data files."""
        factor = " (1 + b_1 u + b_2 u^2 + ...)" if self.temperature_coefficients else ""
        losing = "k du/dn = -heat_transfer u" if self.heat_transfer else "k du/dn = 0"
        ends = "u = 0" if self.heat_transfer is None else losing
        return f"capacity u_t = (k u_x)_x, k = conductivity{factor}; {ends} at both ends"

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The initial temperature and the conductivity."""
        initial = "initial temperature above the surroundings, cell averages"
        return (
            Quantity("initial_temperature", ("x",), (self.reported,), "K", initial),
            Quantity("conductivity", (), (), "W m-1 K-1", "thermal conductivity at the temperature of the surroundings"),
        )

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The temperature at the reported time."""
        name = f"temperature above the surroundings after {self.time:g} s, cell averages"
        return (Quantity("temperature", ("x",), (self.reported,), "K", name),)

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The reported cells."""
        return (cell_centres("x", self.reported, self.length),)

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        field = random_field(generator, samples, self.reported, [self._modes()], cutoff=self.cutoff, power=2)
        low, high = self.conductivity
        conductivity = low + (high - low) * torch.rand(samples, generator=generator, dtype=torch.float64)
        return {"initial_temperature": (self.mean + self.deviation * field).float(), "conductivity": conductivity.float()}

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative error of each sample's energy balance.

        Args:
            inputs: as `draw` returns them.
            refinement: factor on cells and steps.
        """
        initial, conductivity = inputs["initial_temperature"].double(), inputs["conductivity"].double()
        coefficients = initial.new_tensor(self.temperature_coefficients).expand(len(initial), -1)
        cells, steps = round(self.cells * refinement), round(self.steps * refinement)
        end: Boundary = Dirichlet() if self.heat_transfer is None else Robin(self.heat_transfer)
        heat = solve_heat(
            refine(initial, cells, [self._modes()]),
            conductivity,
            initial.new_tensor([self.time]),
            lengths=[self.length],
            boundaries=[(end, end)],
            step=self.time / steps,
            temperature_coefficients=coefficients,
            capacity=self.capacity,
        )
        return {"temperature": heat.temperature[:, 0].unflatten(1, (self.reported, -1)).mean(2)}, heat.residual()

    def _modes(self) -> Modes:
        cold = self.heat_transfer is None if self.cold_start is None else self.cold_start
        return Modes("sine" if cold else "cosine", self.modes)
