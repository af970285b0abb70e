"""The Gray-Scott reaction on a periodic interval or square."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.fourier import PeriodicBox
from simulators.periodic.semilinear import Numbers, SemilinearPDE, not_negative
from simulators.quantities import Quantity, number


@dataclass(frozen=True)
class GrayScott(SemilinearPDE):
    """u_t = D_u lap u - u v^2 + F (1 - u), v_t = D_v lap v + u v^2 - (F + K) v: a reaction that forms spots and stripes.

    It begins with a given v and u = 1 - 2 v. The state u = 1, v = 0 is stationary; concentrations stay positive.
    Source: Pearson, Science 261 (1993) 189-192.

    Attributes:
        feed: range of F, not negative [1/s].
        kill: range of K, not negative [1/s].
        diffusivity_u: diffusivity D_u of u [m^2/s].
        diffusivity_v: diffusivity D_v of v [m^2/s].
    """

    feed: tuple[float, float] = (0.03, 0.05)
    kill: tuple[float, float] = (0.058, 0.063)
    diffusivity_u: float = 2e-5
    diffusivity_v: float = 1e-5

    equation = "u_t = D_u lap u - u v^2 + feed (1 - u), v_t = D_v lap v + u v^2 - (feed + kill) v, periodic"
    invariant = "concentrations not negative"
    degree = 3
    initial = number("initial_activator", "1", "initial concentration v of the activator")
    evolved = (
        number("substrate", "1", "concentration u of the substrate"),
        number("activator", "1", "concentration v of the activator"),
    )

    @property
    def numbers(self) -> tuple[tuple[Quantity, tuple[float, float]], ...]:
        """The feed and kill rates."""
        return (
            (number("feed", "s-1", "rate at which the substrate is fed"), self.feed),
            (number("kill", "s-1", "rate at which the activator is removed beyond the feed's"), self.kill),
        )

    def __post_init__(self) -> None:
        for name in ("diffusivity_u", "diffusivity_v"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name):g} m^2/s")

    def linear(self, box: PeriodicBox, numbers: Numbers) -> Tensor:
        """Return -D_u k^2 - F and -D_v k^2 - F - K."""
        feed, kill = (not_negative(numbers, name, "1/s") for name in ("feed", "kill"))
        substrate = self.diffusivity_u * box.laplacian - feed
        return torch.cat([substrate, self.diffusivity_v * box.laplacian - feed - kill], dim=1)

    def nonlinear(self, box: PeriodicBox, numbers: Numbers) -> Callable[[Tensor], Tensor]:
        """Return F - u v^2 and u v^2."""
        signs = torch.tensor([-1.0, 1.0], dtype=box.laplacian.dtype, device=box.laplacian.device)
        signs = signs.reshape(2, *(1,) * len(box.points))
        feed = numbers["feed"].flatten()

        def rest(modes: Tensor) -> Tensor:
            u, v = box.to_grid(modes).unbind(1)
            reaction = box.to_modes(u.mul_(v.square_()))[:, None] * signs
            reaction[:, 0].flatten(1)[:, 0] += feed
            return reaction

        return rest

    def start(self, field: Tensor) -> Tensor:
        """Return u = 1 - 2 v and v."""
        return torch.stack([1 - 2 * field, field], dim=1)

    def residual(self, numbers: Numbers, before: Tensor, after: Tensor, length: float) -> Float[Tensor, " sample"]:
        """Return how far a concentration falls below 0."""
        return (-after.flatten(1).amin(1)).clamp(min=0)
