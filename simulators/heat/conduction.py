"""Heat flows between the cells of a grid: the spatial discretisation of `heat_equation`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.boundaries import Boundary, Dirichlet, Neumann, Periodic, Robin, spread_values
from simulators.numerics.time_stepping import State, like_rows

Source = Float[Tensor, " sample *cells"] | Callable[[Tensor], Float[Tensor, " sample *cells"]]


class Conduction:
    """c du_i/dt = sum over faces of (heat flow into the cell) / h + f_i on cell-centred finite volumes.

    Each flow leaves one cell and enters its neighbour, so that the energy balance holds to round-off.

    - Inside, the flow is k_face (U_{i+1} - U_i) / h, where U(u) = u + b_1 u^2/2 + b_2 u^3/3 + ... is the Kirchhoff
      transform; this is exact for steady flow in one dimension. The conductivity at a face is the harmonic mean of those
      at the two centres (two half cells in series). It is exact for layers that meet at a face, where an arithmetic mean
      would let heat through an insulating layer.
    - At a Dirichlet boundary the same formula holds over half a cell. At a Robin boundary half a cell, with k at the last
      cell's temperature, is in series with the film: first order in the flow at this face, second order in u.

    A call with a time and a state returns the rates of (temperature, energies: through each boundary, released).
    Source: Patankar, Numerical Heat Transfer and Fluid Flow (1980), chapter 4; LeVeque, Finite Difference Methods
    (SIAM 2007), chapter 2.

    Args:
        initial: temperature at the cell centres [K], float64; it defines shape and device.
        conductivity: k at u = 0 [W/(m K)], one number or one field per sample.
        lengths: lengths of the domain along each axis [m].
        boundaries: boundaries (low, high) along each axis.
        source: heat source f [W/m^3], or a function of time, or None.
        coefficients: b_1, b_2, ... of each sample [1/K, 1/K^2, ...], or None.
        capacity: volumetric heat capacity c [J/(m^3 K)].

    Raises:
        ValueError: if a value at a boundary does not fit.
    """

    def __init__(
        self,
        initial: Float[Tensor, " sample *cells"],
        conductivity: Float[Tensor, " sample"] | Float[Tensor, " sample *cells"],
        lengths: Sequence[float],
        boundaries: Sequence[tuple[Boundary, Boundary]],
        source: Source | None,
        coefficients: Float[Tensor, "sample degree"] | None,
        capacity: float,
    ) -> None:
        self.capacity = capacity
        self.spacings = [length / cells for length, cells in zip(lengths, initial.shape[1:], strict=True)]
        self.volume = math.prod(self.spacings)
        self.coefficients = () if coefficients is None else coefficients.to(initial).unbind(1)
        constant = initial.new_zeros(()) if source is None or callable(source) else source.to(initial)
        self.source = source if callable(source) else constant
        self.released = constant.expand_as(initial).flatten(1).sum(1) * self.volume
        centres = like_rows(conductivity, initial) if conductivity.ndim == 1 else conductivity
        centres = centres.to(initial).expand_as(initial)
        self.faces: list[Tensor] = []  # k_face / h^2
        self.ends: list[tuple[_End, _End]] = []
        for along, (h, (low, high)) in enumerate(zip(self.spacings, boundaries, strict=True), start=1):
            faces = centres.shape[along] - 1
            self.faces.append(_harmonic_mean(centres.narrow(along, 0, faces), centres.narrow(along, 1, faces)) / h**2)
            first, last = centres.narrow(along, 0, 1), centres.narrow(along, -1, 1)
            if isinstance(low, Periodic):
                first = last = _harmonic_mean(first, last) / 2  # the next centre is a cell away, not half a cell
            self.ends.append((self._end(low, first * (2 / h)), self._end(high, last * (2 / h))))
        self.constant_rate = None if self.coefficients else self._rate(torch.ones_like(initial.flatten(1)[:, 0]))

    def start(self, initial: Float[Tensor, " sample *cells"]) -> State:
        """Return the state at t = 0: no energy has entered."""
        return initial, initial.new_zeros(len(initial), 2 * len(self.ends) + 1)

    def __call__(self, time: Float[Tensor, " sample"], state: State) -> State:
        """Return the rates: [K/s] and, per unit of the transverse area, [W]."""
        temperature, _ = state
        heating, released, entering = self.source, self.released, []
        if callable(heating):
            heating = heating(like_rows(time, temperature))
            released = heating.expand_as(temperature).flatten(1).sum(1) * self.volume
        potential = self._potential(temperature)
        for along, (faces, h, ends) in enumerate(zip(self.faces, self.spacings, self.ends, strict=True), start=1):
            first, last = temperature.narrow(along, 0, 1), temperature.narrow(along, -1, 1)
            low, high = self._inflow(ends[0], first, last), self._inflow(ends[1], last, first)
            downwards = torch.diff(potential, dim=along).mul_(faces)  # heat flow / h through a face, to the lower cell
            heating = heating + torch.diff(downwards, dim=along, prepend=low / -h, append=high / h)
            entering += [inflow.flatten(1).sum(1) * (self.volume / h) for inflow in (low, high)]
        return heating / self.capacity, torch.stack([*entering, released], 1)

    def rate(self, temperature: Float[Tensor, " sample *cells"]) -> Float[Tensor, " sample"]:
        """Return an upper bound of the rates at which cells relax to their neighbours [1/s]; eigenvalues are at most twice it.

        Raises:
            ValueError: if k(u) is not positive at the temperature of a cell or of the surroundings.
        """
        if self.constant_rate is not None:
            return self.constant_rate
        outside = [end.outside.flatten(1)[:, :1] for ends in self.ends for end in ends if end.kind in (Dirichlet, Robin)]
        temperatures = torch.cat([temperature.flatten(1), *outside], dim=1)
        factor = self._factor(temperatures)
        if not bool((factor > 0).all()):
            row, column = divmod(int((~(factor > 0)).flatten().nonzero()[0]), factor.shape[1])
            raise ValueError(
                f"conductivity must stay positive, but 1 + b_1 u + ... is {float(factor[row, column]):.3g} at"
                f" u = {float(temperatures[row, column]):.3g} K in sample {row}: use smaller temperature coefficients"
            )
        low, high = temperatures.amin(1), temperatures.amax(1)
        bound = torch.ones_like(low)
        for degree, coefficient in enumerate(self.coefficients, start=1):
            bound = bound + torch.maximum(coefficient * low**degree, coefficient * high**degree).clamp(min=0)
        return self._rate(bound)

    def _rate(self, factor: Float[Tensor, " sample"]) -> Float[Tensor, " sample"]:
        """Return the largest relaxation rate of a cell if all conductivities are `factor` times those at u = 0."""
        total = torch.zeros((), dtype=torch.float64, device=factor.device)
        for along, (faces, h, ends) in enumerate(zip(self.faces, self.spacings, self.ends, strict=True), start=1):
            rows = like_rows(factor, faces)
            low, high = (_conductance(end, end.half_cell * rows) / h for end in ends)
            around = torch.cat([low, faces * rows, high], dim=along)
            cells = around.shape[along] - 1
            total = total + around.narrow(along, 0, cells) + around.narrow(along, 1, cells)
        return total.flatten(1).amax(1) / self.capacity

    def _end(self, boundary: Boundary, half_cell: Tensor) -> "_End":
        """Prepare a boundary; `half_cell` is the conductance from the last centre to it, or across a periodic boundary."""
        given = spread_values(boundary, len(half_cell), half_cell.device)
        values = {name: like_rows(value, half_cell) for name, value in given.items()}
        none = torch.zeros_like(half_cell)
        outside, flux = values.get("temperature", values.get("ambient", none)), values.get("flux", none)
        film = 1 / values["coefficient"] if "coefficient" in values else none
        return _End(type(boundary), half_cell, outside, self._potential(outside), film, flux)

    def _inflow(self, end: "_End", cell: Tensor, opposite: Tensor) -> Tensor:
        """Return the heat flow through a boundary into its cells [W/m^2]; `opposite` are the cells at the other end."""
        if end.kind is Periodic:
            return end.half_cell * (self._potential(opposite) - self._potential(cell))
        if end.kind is Dirichlet:
            return end.half_cell * (end.potential - self._potential(cell))
        if end.kind is Robin:
            return _conductance(end, end.half_cell * self._factor(cell)) * (end.outside - cell)
        return end.flux.expand_as(cell)

    def _factor(self, temperature: Tensor) -> Tensor:
        """Return k(u) / k(0) = 1 + b_1 u + b_2 u^2 + ...; 1 if k does not depend on u."""
        factor = temperature.new_zeros(())
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


@dataclass(frozen=True)
class _End:
    """A boundary as tensors that broadcast against its cells."""

    kind: type
    half_cell: Tensor
    outside: Tensor
    potential: Tensor
    film: Tensor
    flux: Tensor


def _harmonic_mean(first: Tensor, second: Tensor) -> Tensor:
    return 2 / (1 / first + 1 / second)  # 0 if either is 0


def _conductance(end: _End, half_cell: Tensor) -> Tensor:
    """Return the conductance from the last cell's centre to the outside temperature [W/(m^2 K)]."""
    if end.kind is Neumann:
        return torch.zeros_like(half_cell)
    return 1 / (end.film + 1 / half_cell) if end.kind is Robin else half_cell
