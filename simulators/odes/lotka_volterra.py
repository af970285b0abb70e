"""Predators and prey: the Lotka-Volterra equations."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.runge_kutta import Field
from simulators.odes.trajectory_ensemble import Arrays, Bounds, Trajectories
from simulators.quantities import Quantity, number


def lotka_volterra_field(rates: Float[Tensor, "sample 4"], crowding: float = 0.0) -> Field:
    """Return the right-hand side of x' = x (a - e x - b y), y' = y (d x - c) in ln x and ln y, with the change of V.

    Logarithms keep both populations positive and control their relative errors. V = d x - c ln x + b y - a ln y is conserved
    except for crowding, which changes it by W, W' = -e x (d x - c).
    Source: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I (Springer 1993), section I.16.

    Args:
        rates: a, b, c, d of each sample: growth and predation of prey, death and growth of predators.
        crowding: coefficient e of the competition of prey among themselves.

    Returns:
        The right-hand side for the state (ln x, ln y, W).
    """
    growth, predation, death, conversion = rates.unbind(1)

    def field(time: Float[Tensor, " sample"], state: Float[Tensor, "sample 3"]) -> Float[Tensor, "sample 3"]:
        prey, predators = torch.exp(state[:, 0]), torch.exp(state[:, 1])
        crowd, thrive = crowding * prey, conversion * prey - death
        return torch.stack([growth - crowd - predation * predators, thrive, -crowd * thrive], 1)

    return field


@dataclass(frozen=True, kw_only=True)
class PredatorsAndPrey(Trajectories):
    """x' = x (growth - crowding x - predation y), y' = y (conversion x - death), with populations without dimension.

    Attributes:
        prey: range of x at t = 0.
        predators: range of y at t = 0.
        growth: range of the prey's growth rate [1/year].
        predation: range of the predators' effect on prey [1/year].
        death: range of the predators' death rate [1/year].
        conversion: range of the prey's effect on predators [1/year].
        crowding: coefficient of the competition of prey among themselves [1/year].
        time: time of the last report [years].
    """

    prey: Bounds = (0.5, 2.0)
    predators: Bounds = (0.5, 2.0)
    growth: Bounds = (0.9, 1.1)
    predation: Bounds = (0.9, 1.1)
    death: Bounds = (0.9, 1.1)
    conversion: Bounds = (0.9, 1.1)
    crowding: float = 0.0

    time_units = "year"
    equation = "x' = x (growth - crowding x - predation y), y' = y (conversion x - death)"
    invariant = "balance of conversion x - death ln x + predation y - growth ln y"

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """Both populations."""
        return (
            self._trajectory("prey", "1", "prey x", scaling="log"),
            self._trajectory("predators", "1", "predators y", scaling="log"),
        )

    def _ranges(self) -> tuple[tuple[Quantity, Bounds], ...]:
        return (
            (number("initial_prey", "1", "prey x at t = 0", scaling="log"), self.prey),
            (number("initial_predators", "1", "predators y at t = 0", scaling="log"), self.predators),
            (number("growth", "year-1", "growth rate of prey"), self.growth),
            (number("predation", "year-1", "effect of predators on prey"), self.predation),
            (number("death", "year-1", "death rate of predators"), self.death),
            (number("conversion", "year-1", "effect of prey on predators"), self.conversion),
        )

    def _start(self, inputs: Arrays) -> Tensor:
        return torch.stack([inputs["initial_prey"], inputs["initial_predators"]], 1).log()

    def _field(self, inputs: Arrays) -> Field:
        return lotka_volterra_field(self._rates(inputs), self.crowding)

    def _content(self, inputs: Arrays, states: Tensor) -> Tensor:
        growth, predation, death, conversion = self._rates(inputs)[:, None].unbind(2)
        log_prey, log_predators, _ = states.unbind(2)
        eaten = [conversion * log_prey.exp(), predation * log_predators.exp()]
        return torch.stack([*eaten, -death * log_prey, -growth * log_predators], 2)

    def _report(self, inputs: Arrays, states: Tensor) -> tuple[Tensor, ...]:
        return states[:, :, :2].exp().unbind(2)

    def _rates(self, inputs: Arrays) -> Float[Tensor, "sample 4"]:
        return torch.stack([inputs[name] for name in ("growth", "predation", "death", "conversion")], 1)
