"""Strings: the wave equation in one dimension with random initial displacements and wave speeds."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.boundaries import Boundary, Dirichlet, Neumann
from simulators.numerics.random_inputs import Modes, random_field, refine
from simulators.quantities import Coordinate, Quantity, cell_centres, number
from simulators.waves.wave_equation import solve_wave

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class Strings:
    """u_tt + d u_t = (c^2 u_x)_x on (0, length), released from rest; c^2 = speed^2 (1 + sag x / length).

    The initial displacement is sin^2(pi x / length) times a sum of sine modes: it vanishes at both ends with its slope and its
    curvature, whether they are held or free. It is band-limited, so that its averages over the reported cells determine the
    solution. The solver uses finer cells, and its solution is averaged over the reported cells.

    Attributes:
        speed: range of the wave speed at x = 0, drawn uniformly [m/s].
        ends: "held" or "free".
        sag: relative increase of the tension from x = 0 to x = length by the string's own weight.
        damping: damping rate d [1/s].
        deviation: root mean square of the sum of sine modes, before the factor sin^2 [m].
        time: time at which the displacement is reported [s].
        length: length of the string [m].
        modes: number of half waves in the sum.
        cutoff: number of half waves from which its spectrum falls.
        reported: number of cells in the data.
        cells: number of cells of the solver, a multiple of `reported`.
        steps: number of time steps of the solver.
    """

    speed: tuple[float, float] = (100.0, 150.0)
    ends: str = "held"
    sag: float = 0.0
    damping: float = 0.0
    deviation: float = 0.01
    time: float = 2e-3
    length: float = 1.0
    modes: int = 10
    cutoff: float = 4.0
    reported: int = 64
    cells: int = 256
    steps: int = 128

    simulator = "simulators.wave.solve_wave"
    scheme = "central differences, order 2; leapfrog, order 2"
    order = 2.0
    invariant = "energy of the leapfrog"

    @property
    def size(self) -> int:
        """Number of cells of the solver."""
        return self.cells

    @property
    def equation(self) -> str:
        """The equation and the boundary conditions, for data files."""
        braking = " + damping u_t" if self.damping else ""
        tension = " (1 + sag x / length)" if self.sag else ""
        ends = "u = 0" if self.ends == "held" else "u_x = 0"
        return f"u_tt{braking} = (speed^2{tension} u_x)_x, u_t = 0 at first; {ends} at both ends"

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The initial displacement and the wave speed."""
        initial = Quantity("initial_displacement", ("x",), (self.reported,), "m", "initial displacement, cell averages")
        return (initial, number("speed", "m s-1", "wave speed at x = 0"))

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The displacement at the reported time."""
        name = f"displacement after {self.time:g} s, cell averages"
        return (Quantity("displacement", ("x",), (self.reported,), "m", name),)

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The reported cells."""
        return (cell_centres("x", self.reported, self.length),)

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        field = random_field(generator, samples, self.reported, [Modes("sine", self.modes)], cutoff=self.cutoff, power=2)
        low, high = self.speed
        speed = low + (high - low) * torch.rand(samples, generator=generator, dtype=torch.float64)
        initial = self.deviation * clamp_ends(field, Modes("sine", self.modes))
        return {"initial_displacement": initial.float(), "speed": speed.float()}

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative error of each sample's energy balance.

        Args:
            inputs: as `draw` returns them.
            refinement: factor on cells and steps.
        """
        initial, speed = inputs["initial_displacement"].double(), inputs["speed"].double()
        cells, steps = round(self.cells * refinement), round(self.steps * refinement)
        rise = 1 + self.sag * (torch.arange(cells).to(initial) + 0.5) / cells
        start = refine(initial, cells, [Modes("sine", self.modes + 2)])
        end: Boundary = Dirichlet() if self.ends == "held" else Neumann()
        wave = solve_wave(
            start,
            torch.zeros_like(start),
            speed[:, None] * torch.sqrt(rise),
            initial.new_tensor([self.time]),
            lengths=[self.length],
            boundaries=[(end, end)],
            step=self.time / steps,
            damping=self.damping,
        )
        return {"displacement": wave.displacement[:, 0].unflatten(1, (self.reported, -1)).mean(2)}, wave.residual()


def clamp_ends(field: Float[Tensor, " sample *cells"], modes: Modes) -> Float[Tensor, " sample *cells"]:
    """Multiply a field of sine modes by sin^2(pi x) along each axis; the product has two more modes per axis.

    The returned averages equal those of the product to a relative error of 1e-5, and are exactly those of a field with that
    number of modes.
    """
    axes, cells = field.ndim - 1, field.shape[1]
    fine = refine(field, 8 * cells, [modes] * axes)
    window = torch.sin(torch.pi * (torch.arange(8 * cells).to(fine) + 0.5) / (8 * cells)) ** 2
    for axis in range(1, axes + 1):
        fine = fine * window.reshape(-1, *(1,) * (axes - axis))
    return refine(fine, cells, [Modes("sine", modes.count + 2)] * axes)
