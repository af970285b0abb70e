"""Heat flows between the cells of a grid: the spatial half of `heat`."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.boundaries import Boundary, Dirichlet, Neumann, Periodic, Robin, spread_boundary
from simulators.time_stepping import State, like_rows

Source = Float[Tensor, " sample *cells"] | Callable[[Tensor], Float[Tensor, " sample *cells"]]


class Conduction:
    """c du_i/dt = sum over faces of (heat flow into the cell) / h + f_i on cell-centred finite volumes.

    Each flow leaves one cell and enters its neighbour, so the energy balance holds to round-off.

    - Inside, the flow is k_face (U_{i+1} - U_i) / h with U(u) = u + b_1 u^2/2 + b_2 u^3/3 + ..., the Kirchhoff
      transform: exact for steady flow in one dimension. Of the conductivities given at the centres the face takes the
      harmonic mean, two half cells in series: exact for layers that meet at a face, where an arithmetic mean would
      let heat through an insulating layer.
    - At a Dirichlet boundary the same over half a cell; at a Robin boundary half a cell, with k at the last cell's
      temperature, in series with the film. First order in the flow at that one face, second order in u.

    Called with a time and a state it gives the rates of (temperature, energy through each boundary, energy released).
    Source: Patankar, Numerical Heat Transfer and Fluid Flow (1980), chapter 4; LeVeque, Finite Difference Methods
    (SIAM 2007), chapter 2.

    Args:
        initial: temperature at the cell centres [K], float64; gives shape and device.
        conductivity: k at u = 0 [W/(m K)], one number or one field per sample.
        lengths: of the domain along each axis [m].
        boundaries: (low, high) along each axis.
        source: f [W/m^3], or a function of time, or None.
        coefficients: b_1, b_2, ... of each sample [1/K, 1/K^2, ...], or None.
        capacity: c [J/(m^3 K)].

    Raises:
        ValueError: if a shape does not fit, a value is not finite, or a conductivity is negative.
    """

    def __init__(
        self,
        initial: Float[Tensor, " sample *cells"],
        conductivity: Tensor,
        lengths: Sequence[float],
        boundaries: Sequence[tuple[Boundary, Boundary]],
        source: Source | None,
        coefficients: Float[Tensor, "sample degree"] | None,
        capacity: float,
    ) -> None:
        self.shape, self.capacity = initial.shape, capacity
        self.spacings = [length / cells for length, cells in zip(lengths, initial.shape[1:], strict=True)]
        self.volume = math.prod(self.spacings)
        self.coefficients = _check_coefficients(coefficients, initial).unbind(1)
        self.source = source if callable(source) else _check_source(source, initial)
        centres = _check_conductivity(conductivity, initial)
        self.boundaries: list[tuple[Boundary, Boundary]] = []
        self.faces: list[Tensor] = []  # k_face / h^2
        self.ends: list[tuple[Tensor, Tensor]] = []  # conductance from the last centre to the boundary, or across it
        for along, (h, pair) in enumerate(zip(self.spacings, boundaries, strict=True), start=1):
            low, high = centres.select(along, 0), centres.select(along, -1)
            faces = centres.shape[along] - 1
            self.faces.append(_harmonic_mean(centres.narrow(along, 0, faces), centres.narrow(along, 1, faces)) / h**2)
            wrapped = _harmonic_mean(low, high) / h
            self.ends.append((wrapped, wrapped) if isinstance(pair[0], Periodic) else (low * (2 / h), high * (2 / h)))
            self.boundaries.append((spread_boundary(pair[0], low), spread_boundary(pair[1], high)))
        self.constant_rate = None if self.coefficients else self._rate(torch.ones_like(initial.flatten(1)[:, 0]))

    def start(self, initial: Float[Tensor, " sample *cells"]) -> State:
        """Return the state at t = 0: no energy has entered."""
        return initial, initial.new_zeros(len(initial), 2 * len(self.boundaries)), initial.new_zeros(len(initial))

    def __call__(self, time: Float[Tensor, " sample"], state: State) -> State:
        """Return the rates: [K/s] and, per unit of the transverse area, [W]."""
        temperature = state[0]
        source = self.source(like_rows(time, temperature)) if callable(self.source) else self.source
        heating = source.expand_as(temperature).clone()
        released = heating.flatten(1).sum(1) * self.volume
        potential = self._potential(temperature)
        entering = []
        for along, (faces, h) in enumerate(zip(self.faces, self.spacings, strict=True), start=1):
            flow = torch.diff(potential, dim=along).mul_(faces)
            heating.narrow(along, 0, flow.shape[along]).add_(flow)
            heating.narrow(along, 1, flow.shape[along]).sub_(flow)
            for end, inflow in zip((0, -1), self._inflows(along, temperature, potential), strict=True):
                heating.select(along, end).add_(inflow, alpha=1 / h)
                entering.append(inflow.reshape(len(inflow), -1).sum(1) * (self.volume / h))
        return heating.div_(self.capacity), torch.stack(entering, 1), released

    def rate(self, temperature: Float[Tensor, " sample *cells"]) -> Float[Tensor, " sample"]:
        """Bound the fastest rate at which a cell relaxes to its neighbours [1/s]; eigenvalues reach twice as far.

        Raises:
            ValueError: if k(u) is not positive at some temperature of a cell or a surrounding.
        """
        if self.constant_rate is not None:
            return self.constant_rate
        rows = torch.cat([temperature.flatten(1), *self._surroundings()], dim=1)
        factor = self._factor(rows)
        if not bool((factor > 0).all()):
            row, column = divmod(int((~(factor > 0)).flatten().nonzero()[0]), rows.shape[1])
            raise ValueError(
                f"conductivity must stay positive, but 1 + b_1 u + ... is {float(factor[row, column]):.3g} at"
                f" u = {float(rows[row, column]):.3g} K in sample {row}: use smaller temperature coefficients"
            )
        low, high = rows.amin(1), rows.amax(1)
        bound = torch.ones_like(low)
        for degree, coefficient in enumerate(self.coefficients, start=1):
            bound = bound + torch.maximum(coefficient * low**degree, coefficient * high**degree).clamp(min=0)
        return self._rate(bound)

    def _rate(self, factor: Float[Tensor, " sample"]) -> Float[Tensor, " sample"]:
        """Return the largest sum of conductances around a cell, all conductivities `factor` times those at u = 0."""
        total = torch.zeros(self.shape, dtype=torch.float64, device=factor.device)
        for along, (faces, h) in enumerate(zip(self.faces, self.spacings, strict=True), start=1):
            flow = faces * like_rows(factor, faces)
            total.narrow(along, 0, flow.shape[along]).add_(flow)
            total.narrow(along, 1, flow.shape[along]).add_(flow)
            pairs = zip((0, -1), self.boundaries[along - 1], self.ends[along - 1], strict=True)
            for end, boundary, half in pairs:
                total.select(along, end).add_(_conductance(boundary, half * like_rows(factor, half)), alpha=1 / h)
        return total.flatten(1).amax(1) / self.capacity

    def _inflows(self, along: int, temperature: Tensor, potential: Tensor) -> list[Tensor]:
        """Return the heat flow through the low and the high boundary of an axis into the domain [W/m^2]."""
        inflows = []
        pairs = zip((0, -1), self.boundaries[along - 1], self.ends[along - 1], strict=True)
        for end, boundary, half in pairs:
            last, cell = temperature.select(along, end), potential.select(along, end)
            if isinstance(boundary, Periodic):
                inflows.append(half * (potential.select(along, -1 - end) - cell))
            elif isinstance(boundary, Dirichlet):
                inflows.append(half * (self._potential(torch.as_tensor(boundary.temperature)) - cell))
            elif isinstance(boundary, Robin):
                inflows.append(_conductance(boundary, half * self._factor(last)) * (boundary.ambient - last))
            else:
                inflows.append(torch.as_tensor(boundary.flux).expand_as(last))
        return inflows

    def _factor(self, temperature: Tensor) -> Tensor:
        """Return k(u) / k(0) = 1 + b_1 u + b_2 u^2 + ..."""
        factor = torch.zeros_like(temperature)
        for coefficient in reversed(self.coefficients):
            factor = (factor + like_rows(coefficient, temperature)) * temperature
        return factor + 1

    def _potential(self, temperature: Tensor) -> Tensor:
        """Return U(u) = u + b_1 u^2 / 2 + b_2 u^3 / 3 + ..."""
        if not self.coefficients:
            return temperature
        total = torch.zeros_like(temperature)
        for degree in range(len(self.coefficients), 0, -1):
            total = (total + like_rows(self.coefficients[degree - 1], temperature) / (degree + 1)) * temperature
        return (total + 1) * temperature

    def _surroundings(self) -> list[Float[Tensor, "sample 1"]]:
        """Return the temperatures outside, a column for each boundary that has one."""
        values = []
        for boundary in (boundary for pair in self.boundaries for boundary in pair):
            if isinstance(boundary, Dirichlet | Robin):
                value = boundary.temperature if isinstance(boundary, Dirichlet) else boundary.ambient
                values.append(torch.as_tensor(value).reshape(-1, 1))
        return values


def _harmonic_mean(first: Tensor, second: Tensor) -> Tensor:
    return 2 / (1 / first + 1 / second)  # 0 if either is 0


def _conductance(boundary: Boundary, half_cell: Tensor) -> Tensor:
    """Return the conductance from the last cell's centre to what is outside [W/(m^2 K)]."""
    if isinstance(boundary, Neumann):
        return torch.zeros_like(half_cell)
    if isinstance(boundary, Robin):
        return 1 / (1 / torch.as_tensor(boundary.coefficient) + 1 / half_cell)
    return half_cell


def _check_conductivity(conductivity: Tensor, initial: Tensor) -> Tensor:
    """Return k(0) at every centre."""
    if conductivity.shape not in (initial.shape, initial.shape[:1]):
        raise ValueError(
            f"conductivity must have shape {tuple(initial.shape[:1])} or {tuple(initial.shape)}, got"
            f" {tuple(conductivity.shape)}"
        )
    if not bool(torch.isfinite(conductivity).all()):
        raise ValueError("conductivity must be finite")
    if bool((conductivity < 0).any()):
        raise ValueError(f"conductivity must not be negative, got {float(conductivity.min()):.3g} W/(m K)")
    conductivity = conductivity.to(initial)
    return like_rows(conductivity, initial).expand_as(initial) if conductivity.ndim == 1 else conductivity


def _check_source(source: Tensor | None, initial: Tensor) -> Tensor:
    if source is None:
        return initial.new_zeros(()).expand_as(initial)
    if source.shape != initial.shape:
        raise ValueError(f"source must have the shape of initial, {tuple(initial.shape)}, got {tuple(source.shape)}")
    if not bool(torch.isfinite(source).all()):
        raise ValueError("source must be finite")
    return source.to(initial)


def _check_coefficients(coefficients: Tensor | None, initial: Tensor) -> Float[Tensor, "sample degree"]:
    if coefficients is None:
        return initial.new_zeros(len(initial), 0)
    if coefficients.ndim != 2 or len(coefficients) != len(initial):
        raise ValueError(
            f"temperature_coefficients must be (sample, degree) with {len(initial)} samples, got {tuple(coefficients.shape)}"
        )
    if not bool(torch.isfinite(coefficients).all()):
        raise ValueError("temperature_coefficients must be finite")
    return coefficients.to(initial)
