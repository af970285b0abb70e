"""Steady diffusion and advection on a periodic square with random blobs as sources, after Subramanian et al. 2023."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.quantities import Quantity, number
from simulators.steady.blobs import DrivenByBlobs
from simulators.steady.poisson_helmholtz import apply_elliptic, solve_elliptic, wave_numbers, without_nyquist

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class AnisotropicPoisson(DrivenByBlobs):
    """-div(K grad u) = f on a periodic square, f random blobs minus their mean, K = diffusivity R' diag(1, e) R.

    This is SYS-1 of Subramanian et al., NeurIPS 2023, arXiv:2306.00258, on 64 points per axis instead of 128; 64 points resolve
    their blobs to 3e-9. The angle of the rotation R is drawn uniformly from half a turn.

    Attributes:
        eigenvalue: range from which e is drawn uniformly; theirs are (1, 5), and (5, 10) after a shift.
        diffusivity: diffusivity in the weak direction [m^2/s].
    """

    eigenvalue: tuple[float, float] = (1.0, 5.0)
    diffusivity: float = 0.01
    equation = "-div(K grad u) = source, K = [[diffusion_xx, diffusion_xy], [diffusion_xy, diffusion_yy]]; periodic, mean 0"

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The source and the entries of K."""
        return (
            Quantity("source", ("x", "y"), (self.points, self.points), "s-1", "source, of mean 0"),
            *(number(f"diffusion_{axes}", "m2 s-1", f"diffusion tensor, entry {axes}") for axes in ("xx", "xy", "yy")),
        )

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The solution."""
        return (Quantity("solution", ("x", "y"), (self.points, self.points), "1", "concentration, of mean 0"),)

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        low, high = self.eigenvalue
        source = self.draw_source(generator, samples)
        excess, turn = torch.rand(2, samples, generator=generator, dtype=torch.float64)
        excess, turn = low + (high - low) * excess - 1, torch.pi * turn
        return {
            "source": (source - source.mean((1, 2), keepdim=True)).float(),
            "diffusion_xx": (self.diffusivity * (1 + excess * torch.cos(turn) ** 2)).float(),
            "diffusion_xy": (self.diffusivity * excess * torch.cos(turn) * torch.sin(turn)).float(),
            "diffusion_yy": (self.diffusivity * (1 + excess * torch.sin(turn) ** 2)).float(),
        }

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative residual of each sample's equation.

        Args:
            inputs: as `draw` returns them.
            refinement: has no effect, because the points resolve the source and the solution is exact.
        """
        return self._solve(inputs, None)

    def _solve(self, inputs: Arrays, velocity: Tensor | None) -> tuple[Arrays, Float[Tensor, " sample"]]:
        source = inputs["source"].double()
        source = source - source.mean((1, 2), keepdim=True)  # removes the mean that rounding to single precision has left
        diffusion, lengths = diffusion_tensor(inputs), [self.length] * 2
        solution = solve_elliptic(source, diffusion=diffusion, velocity=velocity, lengths=lengths)
        back = apply_elliptic(solution, diffusion=diffusion, velocity=velocity, lengths=lengths)
        return {"solution": solution}, (back - source).flatten(1).norm(dim=1) / source.flatten(1).norm(dim=1)


@dataclass(frozen=True)
class SteadyAdvectionDiffusion(AnisotropicPoisson):
    """v . grad u - div(K grad u) = f on a periodic square, with K and f of `AnisotropicPoisson`.

    This is SYS-2 of Subramanian et al., NeurIPS 2023, arXiv:2306.00258. The direction of v is drawn uniformly. Its speed is the
    one at which norm(v . grad u) / norm(div(K grad u)) has a value drawn uniformly from `ratio`. (They scale K down as v
    grows, which only scales u, and take the speed from a table of mean ratios.)

    Attributes:
        ratio: range of the ratio of advection to diffusion; theirs is (0.2, 1).
        advected: whether the equation has the term v . grad u; without it v is still drawn and stored, so that such an
            ensemble and one with advection form a pair.
    """

    ratio: tuple[float, float] = (0.2, 1.0)
    advected: bool = True

    @property
    def equation(self) -> str:  # type: ignore[override]  # a class attribute of the base
        """The equation, for data files."""
        advection = "velocity . grad u" if self.advected else "0 (velocity neglected)"
        return f"{advection} - div(K grad u) = source, K = [[xx, xy], [xy, yy]] of diffusion; periodic, mean 0"

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The source, the entries of K and the velocity."""
        return (*super().inputs, *(number(f"velocity_{axis}", "m s-1", f"velocity along {axis}") for axis in "xy"))

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        inputs = super().draw(generator, samples)
        low, high = self.ratio
        ratio, turn = torch.rand(2, samples, generator=generator, dtype=torch.float64)
        direction = torch.stack([torch.cos(2 * torch.pi * turn), torch.sin(2 * torch.pi * turn)], 1)
        speed = speed_of_ratio(
            low + (high - low) * ratio, direction, inputs["source"].double(), diffusion_tensor(inputs), self.length
        )
        velocity = (speed[:, None] * direction).float()
        return {**inputs, "velocity_x": velocity[:, 0], "velocity_y": velocity[:, 1]}

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative residual of each sample's equation.

        Args:
            inputs: as `draw` returns them.
            refinement: has no effect, because the points resolve the source and the solution is exact.
        """
        velocity = torch.stack([inputs["velocity_x"], inputs["velocity_y"]], 1).double()
        return self._solve(inputs, velocity if self.advected else None)


def diffusion_tensor(inputs: Arrays) -> Float[Tensor, "sample 2 2"]:
    """Return K of stored inputs, in double precision."""
    xx, xy, yy = (inputs[f"diffusion_{axes}"].double() for axes in ("xx", "xy", "yy"))
    return torch.stack([xx, xy, xy, yy], 1).unflatten(1, (2, 2))


def speed_of_ratio(
    ratio: Float[Tensor, " sample"],
    direction: Float[Tensor, "sample 2"],
    source: Float[Tensor, "sample x y"],
    diffusion: Float[Tensor, "sample 2 2"],
    length: float,
) -> Float[Tensor, " sample"]:
    """Return the speed at which norm(v . grad u) / norm(div(K grad u)) is the given ratio.

    For each wave, u = f / (d + i speed a) with d = k . K k and a = k . direction. As the speed grows, the power in advection,
    speed^2 a^2 |u|^2, grows and the power in diffusion, d^2 |u|^2, falls, so that bisection finds the unique solution.

    Args:
        ratio: the ratio of each sample, positive.
        direction: unit vectors along v.
        source: f, with mean 0.
        diffusion: K [m^2/s].
        length: length of a side of the periodic square [m].

    Returns:
        Speeds [m/s], to twelve digits.

    Raises:
        ValueError: if no speed gives the ratio, because waves perpendicular to the direction diffuse at any speed.
    """
    x, y = wave_numbers(source, [length] * 2)
    odd_x, odd_y = without_nyquist(x), without_nyquist(y)
    power = torch.fft.fftn(source, dim=(1, 2)).abs() ** 2
    k = diffusion[:, :, :, None, None]
    decay = (k[:, 0, 0] * x**2 + 2 * k[:, 0, 1] * odd_x * odd_y + k[:, 1, 1] * y**2) ** 2
    drift = (direction[:, 0, None, None] * odd_x + direction[:, 1, None, None] * odd_y) ** 2
    decay[:, 0, 0] = 1  # the mean neither diffuses nor drifts, and its power is 0
    power[:, 0, 0] = 0
    low, high = torch.full_like(ratio, -10.0), torch.full_like(ratio, 10.0)  # decimal logarithms of the speed
    for _ in range(46):
        middle = (low + high) / 2
        advected = 10 ** (2 * middle)[:, None, None] * drift
        density = power / (decay + advected)
        fast = (advected * density).sum((1, 2)) > ratio**2 * (decay * density).sum((1, 2))
        low, high = torch.where(fast, low, middle), torch.where(fast, middle, high)
    lost = low > 9
    if bool(lost.any()):
        i = int(lost.nonzero()[0])
        raise ValueError(
            f"no speed makes advection {float(ratio[i]):.6g} times diffusion in sample {i}: lower the ratio to below about 1"
        )
    return 10 ** ((low + high) / 2)
