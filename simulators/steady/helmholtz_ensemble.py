"""Time-harmonic waves and screened diffusion on a periodic square, with random blobs as sources."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.quantities import Coordinate, Quantity, number
from simulators.steady.blobs import DrivenByBlobs
from simulators.steady.poisson_helmholtz import apply_elliptic, solve_elliptic

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class ScreenedPoisson(DrivenByBlobs):
    """-diffusivity Laplace u + w u = f ("modified Helmholtz") on a periodic square, where f consists of random blobs.

    This is SYS-3 as written by Subramanian et al., NeurIPS 2023, arXiv:2306.00258, on 64 points per axis instead of 128. (The
    data generation that they published uses the opposite sign of w and integer values of it, which makes the equation
    indefinite, and it replaces samples whose solution exceeds 2. `Helmholtz` is that equation, with absorption.)

    Attributes:
        reaction: range from which w is drawn uniformly; theirs is (1, 10) [1/s].
        diffusivity: diffusivity [m^2/s].
    """

    reaction: tuple[float, float] = (1.0, 10.0)
    diffusivity: float = 0.01
    equation = "-diffusivity Laplace u + reaction u = source; periodic"

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The source and the reaction rate w."""
        source = Quantity("source", ("x", "y"), (self.points, self.points), "s-1", "source")
        return source, number("reaction", "s-1", "rate of loss w")

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The solution."""
        return (Quantity("solution", ("x", "y"), (self.points, self.points), "1", "concentration"),)

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        source = self.draw_source(generator, samples)
        low, high = self.reaction
        reaction = low + (high - low) * torch.rand(samples, generator=generator, dtype=torch.float64)
        return {"source": source.float(), "reaction": reaction.float()}

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative residual of each sample's equation.

        Args:
            inputs: as `draw` returns them.
            refinement: has no effect, because the points resolve the source and the solution is exact.
        """
        source, reaction = inputs["source"].double(), inputs["reaction"].double()
        solution, residual = _solve(source, self.diffusivity, reaction, self.length)
        return {"solution": solution}, residual


@dataclass(frozen=True)
class Helmholtz(DrivenByBlobs):
    """Laplace u + k^2 (1 + i a) u = -f on a periodic square, f random blobs: damped waves of one frequency.

    u is the complex amplitude of a pressure that varies as exp(-i frequency t). The absorption prevents resonance of all waves
    of the box. The output is the field, or, with receivers, its values at points on a circle about the centre.

    Attributes:
        wave_number: range from which k is drawn uniformly [rad/m].
        absorption: absorption coefficient a, positive.
        receivers: number of points, equally spaced in angle, at which the amplitude is reported; 0 reports the field.
    """

    wave_number: tuple[float, float] = (10.0, 15.0)
    absorption: float = 0.2
    receivers: int = 0
    equation = "Laplace u + wave_number^2 (1 + i absorption) u = -source; periodic"

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The source and the wave number k."""
        source = Quantity("source", ("x", "y"), (self.points, self.points), "Pa m-2", "source")
        return source, number("wave_number", "rad m-1", "wave number k")

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The real and the imaginary part of the amplitude."""
        axes, shape = (("channel",), (self.receivers,)) if self.receivers else (("x", "y"), (self.points, self.points))
        where = " at the receivers" if self.receivers else ""
        parts = ("real", "imaginary")
        return tuple(Quantity(f"{part}_pressure", axes, shape, "Pa", f"{part} part of the pressure{where}") for part in parts)

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The points, and the angles of the receivers."""
        angles = tuple(360 * i / self.receivers for i in range(self.receivers))
        circle = f"angle of the receiver about the centre, at a distance of {3 * self.length / 8:g} m"
        channels = (Coordinate("channel", angles, "degree", circle),) if self.receivers else ()
        return (*super().coordinates, *channels)

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        source = self.draw_source(generator, samples)
        low, high = self.wave_number
        wave_number = low + (high - low) * torch.rand(samples, generator=generator, dtype=torch.float64)
        return {"source": source.float(), "wave_number": wave_number.float()}

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative residual of each sample's equation.

        Args:
            inputs: as `draw` returns them.
            refinement: has no effect, because the points resolve the source and the solution is exact.
        """
        source, wave_number = inputs["source"].double(), inputs["wave_number"].double()
        solution, residual = _solve(source, 1.0, -(wave_number**2) * complex(1, self.absorption), self.length)
        if self.receivers:
            solution = self._at_receivers(solution)
        return {"real_pressure": solution.real.contiguous(), "imaginary_pressure": solution.imag.contiguous()}, residual

    def _at_receivers(self, field: Tensor) -> Tensor:
        """Return the trigonometric interpolant at the receivers, which is exact also between grid points."""
        points = field.shape[1]
        angles = 2 * math.pi / self.receivers * torch.arange(self.receivers, dtype=torch.float64, device=field.device)
        waves = 2 * math.pi * torch.fft.fftfreq(points, 1 / points, dtype=torch.float64, device=field.device)
        x, y = (torch.exp(1j * waves * (0.5 + 3 / 8 * part)[:, None]) for part in (torch.cos(angles), torch.sin(angles)))
        return torch.einsum("cx,sxy,cy->sc", x, torch.fft.fft2(field, norm="forward"), y)


def _solve(source: Tensor, diffusivity: float, reaction: Tensor, length: float) -> tuple[Tensor, Tensor]:
    """Solve -diffusivity Laplace u + w u = f; return u and the relative residual of the equation."""
    diffusion = diffusivity * torch.eye(2, dtype=torch.float64, device=source.device).expand(len(source), 2, 2)
    solution = solve_elliptic(source, diffusion=diffusion, reaction=reaction, lengths=[length] * 2)
    back = apply_elliptic(solution, diffusion=diffusion, reaction=reaction, lengths=[length] * 2)
    return solution, (back - source).flatten(1).norm(dim=1) / source.flatten(1).norm(dim=1)
