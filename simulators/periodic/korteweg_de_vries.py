"""The Korteweg-de Vries equation on a periodic interval."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from simulators.numerics.fourier import PeriodicBox
from simulators.periodic.semilinear import Numbers, SemilinearPDE
from simulators.quantities import Quantity, number


@dataclass(frozen=True)
class KortewegDeVries(SemilinearPDE):
    """u_t + 6 u u_x + delta u_xxx = 0: long waves break up into solitons.

    The mean, the momentum <u^2> and the energy <delta u_x^2 / 2 - u^3> are conserved; in time the scheme conserves the mean to
    round-off and the others to order 4. A soliton (c / 2) sech^2(sqrt(c / delta) (x - c t) / 2) travels at the speed c.
    Source: Drazin & Johnson, Solitons (Cambridge 1989), chapter 2.

    Attributes:
        dispersion: range of delta [m^3/s].
    """

    dispersion: tuple[float, float] = (0.5, 2.0)

    equation = "u_t + 6 u u_x + dispersion u_xxx = 0, periodic"
    invariant = "momentum, to the order of the scheme"
    degree = 2
    initial = number("initial_elevation", "m s-1", "initial elevation, in units of velocity")
    evolved = (number("elevation", "m s-1", "elevation, in units of velocity"),)

    @property
    def numbers(self) -> tuple[tuple[Quantity, tuple[float, float]], ...]:
        """The dispersion."""
        return ((number("dispersion", "m3 s-1", "dispersion"), self.dispersion),)

    def linear(self, box: PeriodicBox, numbers: Numbers) -> Tensor:
        """Return -delta (i k)^3."""
        return -numbers["dispersion"] * box.derivative[0] ** 3

    def nonlinear(self, box: PeriodicBox, numbers: Numbers) -> Callable[[Tensor], Tensor]:
        """Return -3 (u^2)_x."""
        factor = -3 * box.derivative[0]
        return lambda modes: box.to_modes(box.to_grid(modes).square_()) * factor

    def residual(self, numbers: Numbers, before: Tensor, after: Tensor, length: float) -> Float[Tensor, " sample"]:
        """Return the relative change of <u^2>."""
        return (after.square().mean(1) / before.square().mean(1) - 1).abs()
