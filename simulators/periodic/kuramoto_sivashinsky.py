"""The Kuramoto-Sivashinsky equation on a periodic interval."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from simulators.numerics.fourier import PeriodicBox
from simulators.periodic.semilinear import Numbers, SemilinearPDE, not_negative
from simulators.quantities import Quantity, number


@dataclass(frozen=True)
class KuramotoSivashinsky(SemilinearPDE):
    """u_t + u u_x + u_xx + nu u_xxxx = 0: long waves grow, short waves decay, and the saturated flow is chaotic.

    A small wave grows as exp((k^2 - nu k^4) t); the mean is conserved. For nu = 1 on a box of 22 m, neighbouring solutions
    separate at a rate of 0.04 1/s.
    Source: Kassam & Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214-1233; Cvitanovic et al., SIAM J. Appl. Dyn. Syst. 9 (2010).

    Attributes:
        hyperviscosity: range of nu, not negative [m^4/s].
    """

    hyperviscosity: tuple[float, float] = (0.8, 1.2)

    equation = "u_t + u u_x + u_xx + hyperviscosity u_xxxx = 0, periodic"
    degree = 2
    initial = number("initial_velocity", "m s-1", "initial velocity")
    evolved = (number("velocity", "m s-1", "velocity"),)

    @property
    def numbers(self) -> tuple[tuple[Quantity, tuple[float, float]], ...]:
        """The hyperviscosity."""
        return ((number("hyperviscosity", "m4 s-1", "hyperviscosity"), self.hyperviscosity),)

    def linear(self, box: PeriodicBox, numbers: Numbers) -> Tensor:
        """Return k^2 - nu k^4."""
        return -box.laplacian - not_negative(numbers, "hyperviscosity", "m^4/s") * box.laplacian**2

    def nonlinear(self, box: PeriodicBox, numbers: Numbers) -> Callable[[Tensor], Tensor]:
        """Return -(u^2)_x / 2."""
        factor = -0.5 * box.derivative[0]
        return lambda modes: box.to_modes(box.to_grid(modes).square_()) * factor
