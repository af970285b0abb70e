"""Advection and diffusion on a periodic interval."""

from dataclasses import dataclass

from torch import Tensor

from simulators.numerics.fourier import PeriodicBox
from simulators.periodic.semilinear import Numbers, SemilinearPDE, not_negative
from simulators.quantities import Quantity, number


@dataclass(frozen=True)
class AdvectionDiffusion(SemilinearPDE):
    """u_t + c u_x = D u_xx: a profile drifts with the velocity c and spreads.

    A wave of wavenumber k is multiplied by exp(-(i c k + D k^2) t), exactly; the mean is conserved.

    Attributes:
        velocity: range of c [m/s].
        diffusivity: range of D, not negative [m^2/s].
    """

    velocity: tuple[float, float] = (0.5, 1.5)
    diffusivity: tuple[float, float] = (0.001, 0.01)

    equation = "u_t + velocity u_x = diffusivity u_xx, periodic"
    degree = 1
    initial = number("initial_concentration", "kg m-3", "initial concentration, less its mean")
    evolved = (number("concentration", "kg m-3", "concentration, less its mean"),)

    @property
    def numbers(self) -> tuple[tuple[Quantity, tuple[float, float]], ...]:
        """The velocity and the diffusivity."""
        return (
            (number("velocity", "m s-1", "velocity of the carrier"), self.velocity),
            (number("diffusivity", "m2 s-1", "diffusivity", "log"), self.diffusivity),
        )

    def linear(self, box: PeriodicBox, numbers: Numbers) -> Tensor:
        """Return -i c k - D k^2."""
        return not_negative(numbers, "diffusivity", "m^2/s") * box.laplacian - numbers["velocity"] * box.derivative[0]
