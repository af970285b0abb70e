"""Porous squares of random permeability under Darcy's law, with or without a hole."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simulators.numerics.coarse_grids import to_reported, to_solver
from simulators.numerics.random_inputs import Modes, random_field
from simulators.porous.darcy import solve_darcy
from simulators.quantities import Coordinate, Quantity, cell_centres

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class Darcy:
    """-div(k grad p) = f on a square of random permeability k, with p = 0 on all sides or a pressure drop along x.

    The logarithm of k is band-limited, so that its averages over the reported cells determine the solution. A solver with
    fewer cells starts from block averages of these and interpolates its solution; a solver with more cells averages its
    solution. A hole is a square at the centre whose sides lie on faces of all grids. The flow turns around its corners, whose
    angle in the domain is three quarters of a full turn, and there the error falls as h^(4/3), not as h^2.

    Attributes:
        cells: number of cells of the solver along each axis, a multiple or a divisor of `reported`.
        median: median of k, permeability divided by viscosity, of water in sand [m^2/(Pa s)].
        log_deviation: root mean square of log(k / median).
        injection: uniform source f [1/s].
        pressure_drop: None holds all sides at p = 0; a number is the pressure of x low, with x high at 0 and no flow through
            the other two sides [Pa].
        hole_radius: half the side of the hole [m]; 0 for no hole.
        hole_held: whether the hole is held at p = 0, like a well; otherwise there is no flow into it. Inside, p is set to 0.
        length: length of a side [m].
        modes: number of half waves along each axis in log(k).
        cutoff: number of half waves from which its spectrum falls.
        reported: number of cells in the data along each axis.
    """

    cells: int = 64
    median: float = 1e-8
    log_deviation: float = 1.0
    injection: float = 1e-4
    pressure_drop: float | None = None
    hole_radius: float = 0.0
    hole_held: bool = False
    length: float = 1.0
    modes: int = 8
    cutoff: float = 6.0
    reported: int = 32

    simulator = "simulators.porous_flow.solve_darcy"
    scheme = "finite volumes, order 2; block Cholesky"
    invariant = "balance of mass"

    @property
    def order(self) -> float:
        """Order in the width of the cells; NaN with a hole, as its limit of 4/3 hardly shows on grids of practical size."""
        return 2.0 if self.hole_radius == 0 else float("nan")

    @property
    def size(self) -> int:
        """Number of cells of the solver; the elimination keeps `cells` times as many numbers, which still fit into a cache."""
        return self.cells**2

    @property
    def equation(self) -> str:
        """The equation and the boundary conditions, for data files."""
        drop = self.pressure_drop
        sides = "p = 0 on all sides" if drop is None else f"p = {drop:g} Pa at x = 0, p = 0 at x = length, no flow through y"
        hole = "p = 0" if self.hole_held else "no flow"
        inside = f"; {hole} at a square hole about the centre, hole_radius half its side" if self.hole_radius else ""
        return f"-div(permeability grad p) = injection; {sides}{inside}"

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The permeability."""
        name = "permeability over viscosity, cell averages of its logarithm"
        return (Quantity("permeability", ("x", "y"), (self.reported, self.reported), "m2 Pa-1 s-1", name, scaling="log"),)

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The pressure."""
        return (Quantity("pressure", ("x", "y"), (self.reported, self.reported), "Pa", "pressure, cell averages"),)

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The reported cells."""
        return tuple(cell_centres(axis, self.reported, self.length) for axis in "xy")

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        modes = [Modes("cosine", self.modes)] * 2
        logarithm = self.log_deviation * random_field(generator, samples, self.reported, modes, cutoff=self.cutoff, power=2)
        return {"permeability": (self.median * torch.exp(logarithm)).float()}

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative error of each sample's mass balance.

        Args:
            inputs: as `draw` returns them.
            refinement: factor on cells.

        Raises:
            ValueError: if a side of the hole does not lie on faces.
        """
        cells, drop = round(self.cells * refinement), self.pressure_drop
        permeability = torch.exp(to_solver(torch.log(inputs["permeability"].double()), Modes("cosine", self.modes), cells))
        hole = self._hole(permeability, cells)
        flow = solve_darcy(
            permeability if self.hole_held else torch.where(hole, 0, permeability),
            torch.full_like(permeability, self.injection),
            lengths=[self.length, self.length],
            pressures=[(0.0, 0.0)] * 2 if drop is None else [(drop, 0.0), (None, None)],
            held=hole if self.hole_held else None,
        )
        pressure = to_reported(flow.pressure, self.reported)
        return {"pressure": torch.where(self._hole(pressure, self.reported), 0, pressure)}, flow.residual()

    def _hole(self, field: Tensor, cells: int) -> Bool[Tensor, "x y"]:
        """Return the mask of the cells that lie in the hole, on a grid with `cells` cells along each axis."""
        half = self.hole_radius * cells / self.length
        if half and (cells % 2 or abs(half - round(half)) > 1e-9 or not half < cells / 2):
            raise ValueError(
                f"hole_radius must be a multiple of the cells' width and below half the side, got {self.hole_radius:g} m for"
                f" {cells} cells of {self.length / cells:g} m: choose one for the solver's and the reported cells"
            )
        inside = (torch.arange(cells, device=field.device) + 0.5 - cells / 2).abs() < half
        return inside[:, None] & inside
