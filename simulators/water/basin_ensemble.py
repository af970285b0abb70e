"""Basins: shallow water between two walls, released from rest with a random surface or behind a dam."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from simulators.numerics.random_inputs import Modes, random_field, random_numbers, refine
from simulators.quantities import Coordinate, Quantity, cell_centres
from simulators.water.shallow_water import solve_shallow_water

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class Basins:
    """h_t + (h u)_x = 0, (h u)_t + (h u^2 + g h^2 / 2)_x = -f h u between walls, with u = 0 at t = 0.

    h is the still depth plus the elevation of the surface. The stored elevations are averages over the reported cells. The
    solver starts from the sum of cosine modes, one per reported cell, that has these averages; its solution is averaged over
    the reported cells.

    Attributes:
        depth: still depth [m].
        deviation: root mean square of the random elevation [m].
        dam: range of the height of additional water at small x, behind a dam that breaks at t = 0 [m].
        position: range of the position of the dam, relative to the length.
        friction: friction coefficient f [1/s].
        time: time at which elevation and discharge are reported [s].
        length: length of the basin [m].
        modes: number of cosine modes of the random surface.
        cutoff: number of half waves from which its spectrum falls.
        thickness: thickness of the dam relative to the length; the surface falls as a logistic function of x / thickness.
        reported: number of cells in the data.
        cells: number of cells of the solver, a multiple of `reported`.
        limiter: limiter of the solver; "first order" for constant reconstruction.
        courant: Courant number of the solver.
    """

    depth: float = 1.0
    deviation: float = 0.1
    dam: tuple[float, float] = (0.0, 0.0)
    position: tuple[float, float] = (0.3, 0.7)
    friction: float = 0.0
    time: float = 1.5
    length: float = 10.0
    modes: int = 8
    cutoff: float = 3.0
    thickness: float = 0.03
    reported: int = 64
    cells: int = 128
    limiter: str = "monotonized central"
    courant: float = 0.5

    simulator = "simulators.shallow_water.solve_shallow_water"
    invariant = "volume of water"

    @property
    def scheme(self) -> str:
        """The scheme, in a few words for tables."""
        slopes = "order 1" if self.limiter == "first order" else f"{self.limiter}, order 2"
        return f"finite volumes, HLL flux, {slopes}; Runge-Kutta, order 2"

    @property
    def order(self) -> float:
        """Order 1 with constant reconstruction or with shocks, 2 for smooth waves."""
        return 1.0 if self.limiter == "first order" or self.dam[1] > 0 else 2.0

    @property
    def size(self) -> int:
        """Number of values of depth and discharge in the solver."""
        return 2 * self.cells

    @property
    def equation(self) -> str:
        """The equations and the boundary conditions, for data files."""
        braking = f"-{self.friction:g} h u" if self.friction else "0"
        return f"h_t + (h u)_x = 0, (h u)_t + (h u^2 + 9.81 h^2 / 2)_x = {braking}; u = 0 at first and at both ends"

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The initial elevation of the surface."""
        name = "initial elevation of the surface above the still depth, cell averages"
        return (Quantity("initial_elevation", ("x",), (self.reported,), "m", name),)

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """Elevation and discharge at the reported time."""
        after = f"after {self.time:g} s, cell averages"
        return (
            Quantity("elevation", ("x",), (self.reported,), "m", f"elevation of the surface above the still depth {after}"),
            Quantity("discharge", ("x",), (self.reported,), "m2 s-1", f"discharge per metre of width {after}"),
        )

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The reported cells."""
        return (cell_centres("x", self.reported, self.length),)

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        surface = random_field(generator, samples, self.reported, [Modes("cosine", self.modes)], cutoff=self.cutoff, power=2)
        height, place = random_numbers(generator, samples, [self.dam, self.position]).unbind(1)
        faces = torch.arange(self.reported + 1).double() / self.reported
        behind = -torch.diff(softplus((place[:, None] - faces) / self.thickness)) * self.thickness * self.reported
        return {"initial_elevation": (self.deviation * surface + height[:, None] * behind).float()}

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative change of each sample's volume of water.

        Args:
            inputs: as `draw` returns them.
            refinement: factor on cells, and therefore on steps.
        """
        stored = inputs["initial_elevation"].double()
        depth = self.depth + refine(stored, round(self.cells * refinement), [Modes("cosine", self.reported)])
        water = solve_shallow_water(
            depth,
            torch.zeros_like(depth),
            stored.new_tensor([self.time]),
            length=self.length,
            limiter=self.limiter,
            courant=self.courant,
            friction=self.friction,
        )
        fields = {"elevation": water.depth - self.depth, "discharge": water.discharge}
        return {name: field[:, 0].unflatten(1, (self.reported, -1)).mean(2) for name, field in fields.items()}, water.residual()
