"""Epidemics: susceptible, infected and removed fractions of a population."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.runge_kutta import Field
from simulators.odes.trajectory_ensemble import Arrays, Bounds, Trajectories
from simulators.quantities import Quantity, number


def sir_field(transmission: Float[Tensor, " sample"], recovery: Float[Tensor, " sample"], waning: float = 0.0) -> Field:
    """Return the right-hand side of S' = -beta S I + omega R, I' = beta S I - gamma I, R' = gamma I - omega R in ln S, ln I, R.

    Logarithms keep the fractions positive and control the relative error of I while I is very small. Without waning,
    ln S + R beta / gamma is conserved, and therefore S_end = S_0 exp(-beta / gamma (1 - S_end - R_0)).
    Source: Kermack & McKendrick, Proc. R. Soc. A 115 (1927) 700-721.

    Args:
        transmission: transmission rate beta [1/day].
        recovery: recovery rate gamma [1/day].
        waning: rate omega at which immunity is lost [1/day].

    Returns:
        The right-hand side for the state (ln S, ln I, R, W), W' = 0, because S + I + R = 1 does not change.
    """

    def field(time: Float[Tensor, " sample"], state: Float[Tensor, "sample 4"]) -> Float[Tensor, "sample 4"]:
        susceptible, infected = torch.exp(state[:, 0]), torch.exp(state[:, 1])
        lost = waning * state[:, 2]
        slopes = [lost / susceptible - transmission * infected, transmission * susceptible - recovery]
        return torch.stack([*slopes, recovery * infected - lost, torch.zeros_like(lost)], 1)

    return field


@dataclass(frozen=True, kw_only=True)
class Epidemics(Trajectories):
    """S' = -transmission S I + waning R, I' = transmission S I - recovery I, R = 1 - S - I.

    Attributes:
        transmission: range of beta [1/day].
        recovery: range of gamma [1/day].
        infected: range of I at t = 0.
        immune: range of R at t = 0.
        waning: rate at which immunity is lost [1/day].
        time: time of the last report [days].
    """

    transmission: Bounds = (0.3, 0.6)
    recovery: Bounds = (0.1, 0.2)
    infected: Bounds = (1e-4, 1e-2)
    immune: Bounds = (0.0, 0.2)
    waning: float = 0.0
    time: float = 80.0

    time_units = "day"
    equation = "S' = -transmission S I + waning R, I' = transmission S I - recovery I, R = 1 - S - I"
    invariant = "S + I + R = 1"

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """Infected and susceptible fractions."""
        return (
            self._trajectory("infected", "1", "infected fraction I", scaling="log"),
            self._trajectory("susceptible", "1", "susceptible fraction S", scaling="log"),
        )

    def _ranges(self) -> tuple[tuple[Quantity, Bounds], ...]:
        return (
            (number("transmission", "day-1", "contacts that infect"), self.transmission),
            (number("recovery", "day-1", "rate of recovery"), self.recovery),
            (number("initial_infected", "1", "infected fraction at t = 0", scaling="log"), self.infected),
            (number("initial_immune", "1", "immune fraction at t = 0"), self.immune),
        )

    def _start(self, inputs: Arrays) -> Tensor:
        infected, immune = inputs["initial_infected"], inputs["initial_immune"]
        return torch.stack([torch.log(1 - infected - immune), torch.log(infected), immune], 1)

    def _field(self, inputs: Arrays) -> Field:
        return sir_field(inputs["transmission"], inputs["recovery"], self.waning)

    def _content(self, inputs: Arrays, states: Tensor) -> Tensor:
        return torch.cat([states[:, :, :2].exp(), states[:, :, 2:3]], 2)

    def _report(self, inputs: Arrays, states: Tensor) -> tuple[Tensor, ...]:
        susceptible, infected = states[:, :, :2].exp().unbind(2)
        return infected, susceptible
