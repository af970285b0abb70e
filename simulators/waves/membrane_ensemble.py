"""Membranes: the wave equation in two dimensions with random initial displacements and uneven wave speeds."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.boundaries import Boundary, Dirichlet, Neumann
from simulators.numerics.coarse_grids import to_reported, to_solver
from simulators.numerics.random_inputs import Modes, random_field
from simulators.quantities import Coordinate, Quantity, cell_centres
from simulators.waves.string_ensemble import clamp_ends
from simulators.waves.wave_equation import solve_wave

Arrays = dict[str, Tensor]

STRAY = 3.0  # largest deviation of log(c) in standard deviations, so that the step is stable for every membrane drawn


@dataclass(frozen=True)
class Membranes:
    """u_tt + d u_t = div(c^2 grad u) on a square, released from rest.

    The initial displacement is sin^2 sin^2 times a sum of sine modes, so that it vanishes smoothly at the sides, whether they
    are held or free. It and the logarithm of c are band-limited, so that their averages over the reported cells determine the
    solution. A solver with fewer cells starts from block averages of both and interpolates its solution; a solver with more
    cells starts from the exact fields and averages its solution.

    Attributes:
        cells: number of cells of the solver along each axis, a multiple or a divisor of `reported`.
        sides: "held" or "free".
        median_speed: median of c [m/s].
        log_deviation: root mean square of log(c / median), before fields whose largest deviation is above 3 times this value
            are scaled down to it.
        damping: damping rate d [1/s].
        deviation: root mean square of the sum of sine modes, before the factors sin^2 [m].
        time: time at which the displacement is reported [s].
        length: length of a side [m].
        modes: number of half waves along each axis in both fields.
        cutoff: number of half waves from which the spectra of both fall.
        reported: number of cells in the data along each axis.
        steps: number of time steps of the solver; None for the number of cells.
    """

    cells: int = 64
    sides: str = "held"
    median_speed: float = 100.0
    log_deviation: float = 0.2
    damping: float = 0.0
    deviation: float = 0.01
    time: float = 2.5e-3
    length: float = 1.0
    modes: int = 8
    cutoff: float = 4.0
    reported: int = 64
    steps: int | None = None

    simulator = "simulators.wave.solve_wave"
    scheme = "central differences, order 2; leapfrog, order 2"
    order = 2.0
    invariant = "energy of the leapfrog"

    @property
    def size(self) -> int:
        """Number of cells of the solver."""
        return self.cells**2

    @property
    def equation(self) -> str:
        """The equation and the boundary conditions, for data files."""
        braking = " + damping u_t" if self.damping else ""
        sides = "u = 0" if self.sides == "held" else "du/dn = 0"
        return f"u_tt{braking} = div(speed^2 grad u), u_t = 0 at first; {sides} on all sides"

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The initial displacement and the wave speed."""
        shape = (self.reported, self.reported)
        speed = "wave speed, cell averages of its logarithm"
        return (
            Quantity("initial_displacement", ("x", "y"), shape, "m", "initial displacement, cell averages"),
            Quantity("speed", ("x", "y"), shape, "m s-1", speed, scaling="log"),
        )

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The displacement at the reported time."""
        name = f"displacement after {self.time:g} s, cell averages"
        return (Quantity("displacement", ("x", "y"), (self.reported, self.reported), "m", name),)

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The reported cells."""
        return tuple(cell_centres(axis, self.reported, self.length) for axis in "xy")

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        sines, cosines = Modes("sine", self.modes), Modes("cosine", self.modes)
        field = random_field(generator, samples, self.reported, [sines] * 2, cutoff=self.cutoff, power=3)
        uneven = random_field(generator, samples, self.reported, [cosines] * 2, cutoff=self.cutoff, power=3)
        uneven = uneven / (uneven.abs().amax((1, 2), keepdim=True) / STRAY).clamp(min=1)
        speed = self.median_speed * torch.exp(self.log_deviation * uneven)
        return {"initial_displacement": (self.deviation * clamp_ends(field, sines)).float(), "speed": speed.float()}

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative error of each sample's energy balance.

        Args:
            inputs: as `draw` returns them.
            refinement: factor on cells and steps.
        """
        initial, speed = inputs["initial_displacement"].double(), inputs["speed"].double()
        cells, steps = round(self.cells * refinement), round((self.steps or self.cells) * refinement)
        start = to_solver(initial, Modes("sine", self.modes + 2), cells)
        side: Boundary = Dirichlet() if self.sides == "held" else Neumann()
        wave = solve_wave(
            start,
            torch.zeros_like(start),
            torch.exp(to_solver(torch.log(speed), Modes("cosine", self.modes), cells)),
            initial.new_tensor([self.time]),
            lengths=[self.length, self.length],
            boundaries=[(side, side)] * 2,
            step=self.time / steps,
            damping=self.damping,
        )
        return {"displacement": to_reported(wave.displacement[:, 0], self.reported)}, wave.residual()
