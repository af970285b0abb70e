"""The pendulum, nonlinear or linearised for small angles."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.runge_kutta import Field
from simulators.odes.trajectory_ensemble import Arrays, Bounds, Trajectories
from simulators.quantities import Quantity, number


def pendulum_field(stiffness: Float[Tensor, " sample"], damping: float, *, linear: bool = False) -> Field:
    """Return the right-hand side of a'' = -stiffness sin(a) - damping a', with the work of the damping.

    Args:
        stiffness: gravity / length [1/s^2].
        damping: damping of the angular velocity [1/s].
        linear: whether a replaces sin(a).

    Returns:
        The right-hand side for the state (a, a', W), W' = -damping a'^2.
    """

    def field(time: Float[Tensor, " sample"], state: Float[Tensor, "sample 3"]) -> Float[Tensor, "sample 3"]:
        angle, velocity, _ = state.unbind(1)
        drag = damping * velocity
        fall = stiffness * (angle if linear else torch.sin(angle))
        return torch.stack([velocity, -fall - drag, -drag * velocity], 1)

    return field


def pendulum_period(
    amplitude: Float[Tensor, " sample"], length: Float[Tensor, " sample"], gravity: float = 9.81
) -> Float[Tensor, " sample"]:
    """Return 4 sqrt(length / gravity) K(sin(amplitude / 2)), the period of an undamped pendulum.

    K, the complete elliptic integral of the first kind, is pi / (2 M(1, cos(amplitude / 2))), M the arithmetic-geometric
    mean. Source: Abramowitz & Stegun, Handbook of Mathematical Functions, 17.6.

    Args:
        amplitude: largest angle, below pi [rad].
        length: length of the pendulum [m].
        gravity: gravitational acceleration [m/s^2].

    Returns:
        Period [s].

    Raises:
        ValueError: if an amplitude is not inside (-pi, pi).
    """
    if not bool((amplitude.abs() < math.pi).all()):
        raise ValueError(f"an amplitude must be below pi rad, got {float(amplitude.abs().max()):.6g} rad: it turns over")
    arithmetic, geometric = torch.ones_like(amplitude), torch.cos(amplitude / 2)
    for _ in range(8):  # the difference is squared each time
        arithmetic, geometric = (arithmetic + geometric) / 2, torch.sqrt(arithmetic * geometric)
    return 2 * math.pi * torch.sqrt(length / gravity) / arithmetic


@dataclass(frozen=True, kw_only=True)
class Pendulums(Trajectories):
    """a'' = -(gravity / length) sin(a) - damping a' from random angles and angular velocities, with random lengths.

    Attributes:
        angle: range of a at t = 0 [rad].
        velocity: range of a' at t = 0 [rad/s].
        length: range of the pendulum's length [m].
        damping: damping of the angular velocity [1/s].
        gravity: gravitational acceleration [m/s^2].
        linear: whether a replaces sin(a), an approximation for small angles.
        time: time of the last report [s].
    """

    angle: Bounds = (-2.0, 2.0)
    velocity: Bounds = (-1.0, 1.0)
    length: Bounds = (0.8, 1.2)
    damping: float = 0.0
    gravity: float = 9.81
    linear: bool = False
    time: float = 4.0

    time_units = "s"
    invariant = "balance of energy"

    @property
    def equation(self) -> str:
        """The equation, for data files."""
        return f"a'' = -(gravity / length) {'a' if self.linear else 'sin(a)'} - damping a'"

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """Angle and angular velocity."""
        return (
            self._trajectory("angle", "rad", "angle from the vertical"),
            self._trajectory("angular_velocity", "rad s-1", "angular velocity"),
        )

    def _ranges(self) -> tuple[tuple[Quantity, Bounds], ...]:
        return (
            (number("initial_angle", "rad", "angle from the vertical at t = 0"), self.angle),
            (number("initial_angular_velocity", "rad s-1", "angular velocity at t = 0"), self.velocity),
            (number("length", "m", "length of the pendulum"), self.length),
        )

    def _start(self, inputs: Arrays) -> Tensor:
        return torch.stack([inputs["initial_angle"], inputs["initial_angular_velocity"]], 1)

    def _field(self, inputs: Arrays) -> Field:
        return pendulum_field(self.gravity / inputs["length"], self.damping, linear=self.linear)

    def _content(self, inputs: Arrays, states: Tensor) -> Tensor:
        angle, velocity, _ = states.unbind(2)
        height = angle**2 / 2 if self.linear else 2 * torch.sin(angle / 2) ** 2
        return torch.stack([velocity**2 / 2, (self.gravity / inputs["length"])[:, None] * height], 2)

    def _report(self, inputs: Arrays, states: Tensor) -> tuple[Tensor, ...]:
        return states.unbind(2)[:2]
