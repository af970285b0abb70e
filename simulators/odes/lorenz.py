"""Lorenz's two chaotic systems: convection in three variables (1963), and weather on a ring (1996)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.runge_kutta import Field
from simulators.odes.trajectory_ensemble import Arrays, Bounds, Trajectories
from simulators.quantities import Coordinate, Quantity, number


def lorenz63_field(rho: Float[Tensor, " sample"], sigma: float = 10.0, beta: float = 8 / 3) -> Field:
    """Return the right-hand side of x' = sigma (y - x), y' = rho x - y - x z, z' = x y - beta z, with the work on the energy.

    The energy (x^2 + y^2 + z^2) / 2 changes by the work W, W' = -sigma x^2 - y^2 - beta z^2 + (sigma + rho) x y. For (sigma,
    rho, beta) = (10, 28, 8/3) neighbouring trajectories separate as exp(0.906 t).
    Source: Lorenz, J. Atmos. Sci. 20 (1963) 130-141; exponent: Sprott, Chaos and Time-Series Analysis (Oxford 2003).

    Args:
        rho: Rayleigh number divided by its critical value.
        sigma: Prandtl number.
        beta: aspect ratio.

    Returns:
        The right-hand side for the state (x, y, z, W).
    """

    def field(time: Float[Tensor, " sample"], state: Float[Tensor, "sample 4"]) -> Float[Tensor, "sample 4"]:
        x, y, z, _ = state.unbind(1)
        xy = x * y
        work = (sigma + rho) * xy - sigma * x * x - y * y - beta * z * z
        return torch.stack([sigma * (y - x), x * (rho - z) - y, xy - beta * z, work], 1)

    return field


def lorenz96_field(forcing: Float[Tensor, " sample"]) -> Field:
    """Return the right-hand side of x_i' = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F on a ring, with the work on the energy.

    The energy sum x_i^2 / 2 changes by the work W, W' = sum x_i (F - x_i); advection conserves it.
    Source: Lorenz, Predictability: a problem partly solved (ECMWF Seminar on Predictability, 1996).

    Args:
        forcing: F of each sample.

    Returns:
        The right-hand side for the state (x_0, ..., x_{n-1}, W), n at least 4.
    """

    def field(time: Float[Tensor, " sample"], state: Float[Tensor, "sample component"]) -> Float[Tensor, "sample component"]:
        x = state[:, :-1]
        decay = forcing[:, None] - x
        slope = torch.addcmul(decay, x.roll(-1, 1) - x.roll(2, 1), x.roll(1, 1))
        return torch.cat([slope, (x * decay).sum(1, keepdim=True)], 1)

    return field


@dataclass(frozen=True, kw_only=True)
class Lorenz63(Trajectories):
    """x' = sigma (y - x), y' = rho x - y - x z, z' = x y - beta z over about two Lyapunov times.

    Attributes:
        horizontal: range of x and of y at t = 0.
        vertical: range of z at t = 0.
        rho: range of the Rayleigh number divided by its critical value.
        sigma: Prandtl number.
        beta: aspect ratio.
    """

    horizontal: Bounds = (-15.0, 15.0)
    vertical: Bounds = (10.0, 40.0)
    rho: Bounds = (26.0, 30.0)
    sigma: float = 10.0
    beta: float = 8 / 3
    time: float = 2.2

    looseness = 10.0  # rk4 serves as the cheap side of a pair, with long steps and errors of the order of the solution
    equation = "x' = sigma (y - x), y' = rho x - y - x z, z' = x y - beta z"
    invariant = "balance of energy"

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """All three variables."""
        return tuple(self._trajectory(name, "1", words) for name, words in MODES.items())

    def _ranges(self) -> tuple[tuple[Quantity, Bounds], ...]:
        bounds = (self.horizontal, self.horizontal, self.vertical)
        starts = [number(f"initial_{name}", "1", f"{words} at t = 0") for name, words in MODES.items()]
        rho = number("rho", "1", "Rayleigh number over its critical value")
        return (*zip(starts, bounds, strict=True), (rho, self.rho))

    def _start(self, inputs: Arrays) -> Tensor:
        return torch.stack([inputs[f"initial_{name}"] for name in MODES], 1)

    def _field(self, inputs: Arrays) -> Field:
        return lorenz63_field(inputs["rho"], self.sigma, self.beta)

    def _content(self, inputs: Arrays, states: Tensor) -> Tensor:
        return states[:, :, :-1] ** 2 / 2

    def _report(self, inputs: Arrays, states: Tensor) -> tuple[Tensor, ...]:
        return states.unbind(2)[:3]


@dataclass(frozen=True, kw_only=True)
class Lorenz96(Trajectories):
    """x_i' = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + forcing on a ring over about two Lyapunov times.

    Attributes:
        sites: number of sites on the ring, 4 or more.
        sensors: sites that are reported; an empty tuple for all sites.
        initial: range of every x_i at t = 0.
        forcing: range of F.
    """

    sites: int = 8
    sensors: tuple[int, ...] = ()
    initial: Bounds = (-2.0, 6.0)
    forcing: Bounds = (7.0, 9.0)
    time: float = 1.2

    equation = "x_i' = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + forcing, i modulo sites"
    invariant = "balance of energy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sites < 4:
            raise ValueError(f"sites must be 4 or more, got {self.sites}")
        if not all(0 <= sensor < self.sites for sensor in self.sensors):
            raise ValueError(f"sensors must be sites from 0 to {self.sites - 1}, got {self.sensors}")

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The variables at the sensors, whose sites are part of the name."""
        shape = (self.reported, len(self._sensors()))
        name = "_".join(("value", *map(str, self.sensors)))
        return (Quantity(name, ("time", "channel"), shape, "1", "x at the sensors"),)

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """Times, sites and sensors."""
        sites = Coordinate("x", tuple(map(float, range(self.sites))), "1", "site on the ring")
        sensors = Coordinate("channel", tuple(map(float, self._sensors())), "1", "site of the sensor")
        return (*super().coordinates, sites, sensors)

    def _ranges(self) -> tuple[tuple[Quantity, Bounds], ...]:
        initial = Quantity("initial", ("x",), (self.sites,), "1", "x at the sites at t = 0")
        return ((initial, self.initial), (number("forcing", "1", "forcing F"), self.forcing))

    def _start(self, inputs: Arrays) -> Tensor:
        return inputs["initial"]

    def _field(self, inputs: Arrays) -> Field:
        return lorenz96_field(inputs["forcing"])

    def _content(self, inputs: Arrays, states: Tensor) -> Tensor:
        return states[:, :, :-1] ** 2 / 2

    def _report(self, inputs: Arrays, states: Tensor) -> tuple[Tensor, ...]:
        return (states[:, :, list(self._sensors())],)

    def _sensors(self) -> tuple[int, ...]:
        return self.sensors or tuple(range(self.sites))


MODES = {"x": "rate of convection x", "y": "horizontal temperature variation y", "z": "vertical temperature variation z"}
