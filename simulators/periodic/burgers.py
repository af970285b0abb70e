"""The viscous Burgers equation on a periodic interval."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from simulators.numerics.fourier import PeriodicBox
from simulators.periodic.semilinear import Numbers, SemilinearPDE, not_negative
from simulators.quantities import Quantity, number


@dataclass(frozen=True)
class Burgers(SemilinearPDE):
    """u_t + (c + s u) u_x = nu u_xx: waves steepen into fronts whose width depends on nu.

    The mean is conserved; the energy falls as d/dt <u^2> / 2 = -nu <u_x^2>. For c = 0, s = 1 the Cole-Hopf transform
    u = -2 nu phi_x / phi is a solution if phi solves the heat equation.
    Source: Hopf, Comm. Pure Appl. Math. 3 (1950) 201-230.

    Attributes:
        viscosity: range of nu, not negative [m^2/s].
        steepening: coefficient s of the nonlinear term; with 0, advection and diffusion remain.
        drift: constant velocity c [m/s].
    """

    viscosity: tuple[float, float] = (0.005, 0.02)
    steepening: float = 1.0
    drift: float = 0.0

    equation = "u_t + (drift + steepening u) u_x = viscosity u_xx, periodic"
    initial = number("initial_velocity", "m s-1", "initial velocity")
    evolved = (number("velocity", "m s-1", "velocity"),)

    @property
    def degree(self) -> int:  # type: ignore[override]
        """Degree 2, or 1 without steepening."""
        return 2 if self.steepening else 1

    @property
    def numbers(self) -> tuple[tuple[Quantity, tuple[float, float]], ...]:
        """The viscosity."""
        return ((number("viscosity", "m2 s-1", "kinematic viscosity", "log"), self.viscosity),)

    def linear(self, box: PeriodicBox, numbers: Numbers) -> Tensor:
        """Return -nu k^2 - i c k."""
        diffusion = not_negative(numbers, "viscosity", "m^2/s") * box.laplacian
        return diffusion - self.drift * box.derivative[0] if self.drift else diffusion

    def nonlinear(self, box: PeriodicBox, numbers: Numbers) -> Callable[[Tensor], Tensor]:
        """Return -(s / 2) (u^2)_x."""
        factor = -self.steepening / 2 * box.derivative[0]
        return lambda modes: box.to_modes(box.to_grid(modes).square_()) * factor
