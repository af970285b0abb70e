"""The Fisher-KPP equation on a periodic interval."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from simulators.numerics.fourier import PeriodicBox
from simulators.periodic.semilinear import Numbers, SemilinearPDE, not_negative
from simulators.quantities import Quantity, number


@dataclass(frozen=True)
class FisherKPP(SemilinearPDE):
    """u_t = D u_xx + r u (1 - u): a population spreads and grows up to its capacity.

    A density between 0 and 1 stays between them; a front invades u = 0 at the speed 2 sqrt(r D), and
    (1 + exp((x - 5 t sqrt(r D / 6)) sqrt(r / (6 D))))^-2 solves the equation.
    Source: Fisher, Ann. Eugenics 7 (1937); Ablowitz & Zeppetella, Bull. Math. Biol. 41 (1979) 835-840.

    Attributes:
        diffusivity: range of D, not negative [m^2/s].
        growth: growth rate r [1/s]; with 0, diffusion remains.
    """

    diffusivity: tuple[float, float] = (0.001, 0.01)
    growth: float = 4.0

    equation = "u_t = diffusivity u_xx + growth u (1 - u), periodic"
    invariant = "density between 0 and 1"
    initial = number("initial_density", "1", "initial density, relative to what the place can hold")
    evolved = (number("density", "1", "density, relative to what the place can hold"),)

    @property
    def degree(self) -> int:  # type: ignore[override]
        """Degree 2, or 1 without growth."""
        return 2 if self.growth else 1

    @property
    def numbers(self) -> tuple[tuple[Quantity, tuple[float, float]], ...]:
        """The diffusivity."""
        return ((number("diffusivity", "m2 s-1", "diffusivity", "log"), self.diffusivity),)

    def linear(self, box: PeriodicBox, numbers: Numbers) -> Tensor:
        """Return r - D k^2."""
        return self.growth + not_negative(numbers, "diffusivity", "m^2/s") * box.laplacian

    def nonlinear(self, box: PeriodicBox, numbers: Numbers) -> Callable[[Tensor], Tensor]:
        """Return -r u^2."""
        return lambda modes: box.to_modes(box.to_grid(modes).square_()).mul_(-self.growth)

    def residual(self, numbers: Numbers, before: Tensor, after: Tensor, length: float) -> Float[Tensor, " sample"]:
        """Return the largest distance of the density from its bounds, 0 if it stays within them."""
        after = after.flatten(1)
        return (after - after.clamp(0, 1)).abs().amax(1)
