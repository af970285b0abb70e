"""Darcy's law: steady flow through a porous rectangle, many samples at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simulators.numerics.block_tridiagonal import solve_five_point

Sides = Sequence[tuple[float | None, float | None]]


@dataclass(frozen=True)
class Flow:
    """The result of `solve_darcy`; flows are per unit of depth [m^2/s].

    Attributes:
        pressure: pressure at the cell centres [Pa].
        outflow: flows out through the sides x low, x high, y low, y high, and into held cells.
        injected: flow that the source injects.
    """

    pressure: Float[Tensor, "sample x y"]
    outflow: Float[Tensor, "sample way"]
    injected: Float[Tensor, " sample"]

    def residual(self) -> Float[Tensor, " sample"]:
        """Return |total outflow - injected|, relative to the largest of these flows."""
        largest = torch.cat([self.outflow, self.injected[:, None]], 1).abs().amax(1)
        return (self.outflow.sum(1) - self.injected).abs() / largest.clamp(min=torch.finfo(largest.dtype).tiny)


def solve_darcy(
    permeability: Float[Tensor, "sample x y"],
    source: Float[Tensor, "sample x y"],
    *,
    lengths: Sequence[float],
    pressures: Sides,
    held: Bool[Tensor, "x y"] | None = None,
) -> Flow:
    """Solve -div(k grad p) = f on a rectangle, one body per row.

    The scheme is cell-centred finite volumes of order 2: the flow through a face is that through two half cells in series,
    (harmonic mean of k) (difference of p) / h, which is exact for layers along the axes. The system is solved directly, see
    `block_tridiagonal`. A cell with k = 0 is solid: it has no flow, its source is ignored and its pressure is set to 0.
    Source: Aziz & Settari, Petroleum Reservoir Simulation (1979), chapter 3.

    Args:
        permeability: permeability divided by viscosity, k, not negative [m^2/(Pa s)].
        source: volume f injected per volume and time [1/s].
        lengths: lengths of the rectangle along x and y [m].
        pressures: pressures (low, high) along x and along y at which the sides are held [Pa]; None for a side without flow.
        held: cells that are held at p = 0 up to their faces, like a drain or a well.

    Returns:
        Pressures and the flows of the mass balance, float64.

    Raises:
        ValueError: if a shape does not fit, a value is not finite, a permeability is negative, no pressure is held, or a
            region is not connected to any held pressure.
    """
    permeability, source = permeability.to(torch.float64), source.to(torch.float64)
    _check(permeability, source, lengths, pressures, held)
    cells = permeability.shape[1:]
    width, height = (length / count for length, count in zip(lengths, cells, strict=True))
    drained = torch.zeros_like(permeability[0], dtype=torch.bool) if held is None else held
    conductivity = torch.where(drained, torch.inf, permeability)  # infinite, so that the cell's pressure holds up to its face
    along_x, drain = _couple(conductivity, drained, height / width)
    along_y, drain_y = _couple(conductivity.mT, drained.mT, width / height)
    along_y, drain = along_y.mT, drain + drain_y.mT
    rim = torch.where(drained, 0, 2 * permeability)
    sides = _sides(rim, pressures, (height / width, width / height))
    active = (permeability > 0) & ~drained
    right = torch.where(active, source, 0) * (width * height)
    centre = torch.where(active, drain, 1)
    centre[:, :-1] += along_x
    centre[:, 1:] += along_x
    centre[:, :, :-1] += along_y
    centre[:, :, 1:] += along_y
    injected = right.sum((1, 2))
    for place, conductance, pressure in sides:
        centre[place] += conductance
        right[place] += conductance * pressure
    solution = solve_five_point(centre, along_x, along_y, right)
    outflow = [(conductance * (solution[place] - pressure)).sum(1) for place, conductance, pressure in sides]
    return Flow(solution, torch.stack([*outflow, (drain * solution).sum((1, 2))], 1), injected)


def _couple(conductivity: Tensor, drained: Tensor, aspect: float) -> tuple[Tensor, Tensor]:
    """Return the conductances between cells along the first axis, and those from each cell to drained neighbours."""
    low, high = conductivity[:, :-1], conductivity[:, 1:]
    face = aspect * 2 / (1 / low + 1 / high)
    drain = torch.zeros_like(conductivity)
    drain[:, :-1] += torch.where(drained[1:] & ~drained[:-1], face, 0)
    drain[:, 1:] += torch.where(drained[:-1] & ~drained[1:], face, 0)
    return torch.where(drained[1:] | drained[:-1], 0, face), drain


def _sides(rim: Tensor, pressures: Sides, aspects: tuple[float, float]) -> list[tuple[tuple[slice | int, ...], Tensor, float]]:
    """Return for the sides x low, x high, y low, y high: the index of their cells, the conductances, and the pressure."""
    sides: list[tuple[tuple[slice | int, ...], Tensor, float]] = []
    for axis, pair in enumerate(pressures):
        for end, pressure in zip((0, -1), pair, strict=True):
            place: tuple[slice | int, ...] = (slice(None), end) if axis == 0 else (slice(None), slice(None), end)
            conductance = torch.zeros_like(rim[place]) if pressure is None else aspects[axis] * rim[place]
            sides.append((place, conductance, pressure or 0.0))
    return sides


def _check(
    permeability: Tensor,
    source: Tensor,
    lengths: Sequence[float],
    pressures: Sides,
    held: Tensor | None,
) -> None:
    shape = tuple(permeability.shape)
    if min(shape[1:]) < 2:
        raise ValueError(f"permeability must have two cells or more along each axis, got {shape[1:]}")
    if source.shape != shape:
        raise ValueError(f"source must have the shape of permeability, {shape}, got {tuple(source.shape)}")
    if held is not None and held.shape != shape[1:]:
        raise ValueError(f"held must have the shape of one field, {shape[1:]}, got {tuple(held.shape)}")
    for name, values in (("permeability", permeability), ("source", source)):
        broken = (~torch.isfinite(values)).flatten(1).any(1)
        if bool(broken.any()):
            raise ValueError(f"{name} must be finite, it is not in sample {int(broken.nonzero()[0])}")
    negative = (permeability < 0).flatten(1).any(1)
    if bool(negative.any()):
        sample = int(negative.nonzero()[0])
        lowest = float(permeability[sample].min())
        raise ValueError(f"permeability must not be negative, got {lowest:.3g} m^2/(Pa s) in sample {sample}")
    if len(lengths) != 2 or not all(math.isfinite(length) and length > 0 for length in lengths):
        raise ValueError(f"lengths must be two positive numbers [m], got {tuple(lengths)}")
    if len(pressures) != 2 or any(len(pair) != 2 for pair in pressures):
        raise ValueError(f"pressures must be two pairs (low, high), along x and along y, got {len(pressures)}")
    given = [pressure for pair in pressures for pressure in pair if pressure is not None]
    if not all(math.isfinite(pressure) for pressure in given):
        raise ValueError(f"a pressure must be finite, or None for a side without flow, got {given} Pa")
    if not given and (held is None or not bool(held.any())):
        raise ValueError("the pressure of a side or of a cell must be held, none is: replace a None by a number")
