"""Harmonic, damped, forced and Duffing oscillators: one equation with four coefficients."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.runge_kutta import Field
from simulators.odes.trajectory_ensemble import Arrays, Bounds, Trajectories
from simulators.quantities import Quantity, number


def oscillator_field(alpha: float, beta: float, gamma: float, delta: float) -> Field:
    """Return the right-hand side of q' = p, p' = -alpha q - beta q^3 - gamma p + delta cos t, with the work on H.

    The energy H = p^2 / 2 + alpha q^2 / 2 + beta q^4 / 4 changes by the work W, W' = -gamma p^2 + delta p cos t.

    Args:
        alpha: linear stiffness; negative for a double well.
        beta: cubic stiffness.
        gamma: damping.
        delta: amplitude of the forcing.

    Returns:
        The right-hand side for the state (q, p, W).
    """

    def field(time: Float[Tensor, " sample"], state: Float[Tensor, "sample 3"]) -> Float[Tensor, "sample 3"]:
        position, momentum, _ = state.unbind(1)
        push = delta * torch.cos(time) - gamma * momentum
        slope = push - (alpha + beta * position * position) * position
        return torch.stack([momentum, slope, push * momentum], 1)

    return field


@dataclass(frozen=True, kw_only=True)
class Oscillators(Trajectories):
    """q' = p, p' = -alpha q - beta q^3 - gamma p + delta cos t from random q and p, in dimensionless form.

    Four settings of (alpha, beta, gamma, delta) give four oscillators: harmonic (1, 0, 0, 0), Duffing (-1, 1, 0, 0), forced
    (-0.2, 0.2, 0, 0.15), damped (1, 0, 0.1, 0). No coefficient is an input: two settings differ only in physics, and a
    surrogate has two inputs, which can be shown in a plane.
    Source of the settings: Myung et al., PAC-Net (ICML 2022), arXiv:2206.05703.

    Attributes:
        coefficients: alpha, beta, gamma, delta.
        report: "states" for q and p, or "energy" for H.
        position: range of q at t = 0.
        momentum: range of p at t = 0.
    """

    coefficients: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    report: str = "states"
    position: Bounds = (-1.5, 1.5)
    momentum: Bounds = (-1.5, 1.5)

    equation = "q' = p, p' = -alpha q - beta q^3 - gamma p + delta cos t; coefficients are alpha, beta, gamma, delta"
    invariant = "balance of energy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.report not in ("states", "energy"):
            raise ValueError(f'report must be "states" or "energy", got "{self.report}"')

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """Position and momentum, or the energy."""
        if self.report == "energy":
            return (self._trajectory("energy", "1", "kinetic and potential energy"),)
        return (self._trajectory("position", "1", "position q"), self._trajectory("momentum", "1", "momentum p"))

    def _ranges(self) -> tuple[tuple[Quantity, Bounds], ...]:
        return (
            (number("initial_position", "1", "position q at t = 0"), self.position),
            (number("initial_momentum", "1", "momentum p at t = 0"), self.momentum),
        )

    def _start(self, inputs: Arrays) -> Tensor:
        return torch.stack([inputs["initial_position"], inputs["initial_momentum"]], 1)

    def _field(self, inputs: Arrays) -> Field:
        return oscillator_field(*self.coefficients)

    def _content(self, inputs: Arrays, states: Tensor) -> Tensor:
        alpha, beta, *_ = self.coefficients
        position, momentum, _ = states.unbind(2)
        return torch.stack([momentum**2 / 2, alpha * position**2 / 2, beta * position**4 / 4], 2)

    def _report(self, inputs: Arrays, states: Tensor) -> tuple[Tensor, ...]:
        return (self._content(inputs, states).sum(2),) if self.report == "energy" else states.unbind(2)[:2]
