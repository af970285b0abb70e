"""The shallow water equations in one dimension, many samples at once, with separate time steps for each."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simulators.numerics.finite_volume import LIMITERS, face_values
from simulators.numerics.step_error import refuse_not_finite
from simulators.numerics.time_stepping import check_times, like_rows

ENDS = ("wall", "outflow", "periodic")


@dataclass(frozen=True)
class ShallowWater:
    """The result of `solve_shallow_water`; volumes and energies are per metre of width.

    Attributes:
        depth: averages of h over the cells at the requested times [m].
        discharge: averages of h u over the cells at the requested times [m^2/s].
        volume: volume of water at t = 0 and then at the requested times [m^2].
        outflow: net volume that has left through the ends since t = 0 [m^2].
        energy: integral of (h u^2 + g h^2) / 2 at t = 0 and then at the requested times, per unit of density [m^4/s^2].
        steps: number of steps of each row.
    """

    depth: Float[Tensor, "sample time x"]
    discharge: Float[Tensor, "sample time x"]
    volume: Float[Tensor, "sample time+1"]
    outflow: Float[Tensor, "sample time"]
    energy: Float[Tensor, "sample time+1"]
    steps: Int[Tensor, " sample"]

    def residual(self) -> Float[Tensor, " sample"]:
        """Return the largest |volume(t) - volume(0) + outflow(t)| over the times, relative to the volume at t = 0."""
        return (self.volume[:, 1:] - self.volume[:, :1] + self.outflow).abs().amax(1) / self.volume[:, 0]


def solve_shallow_water(
    depth: Float[Tensor, "sample x"],
    discharge: Float[Tensor, "sample x"],
    times: Float[Tensor, " time"],
    *,
    length: float,
    ends: tuple[str, str] = ("wall", "wall"),
    limiter: str = "monotonized central",
    courant: float = 0.5,
    friction: float = 0.0,
    gravity: float = 9.81,
) -> ShallowWater:
    """Solve h_t + (h u)_x = 0, (h u)_t + (h u^2 + g h^2 / 2)_x = -f h u on (0, length), one channel per row.

    The scheme is finite volumes: depth and velocity are reconstructed at the faces (`face_values`), the flux is that of
    Harten, Lax and van Leer (`hll_flux`), a time step is one of the strong-stability-preserving Runge-Kutta method of order 2,
    and friction multiplies the discharge by exp(-f step / 2) before and after it. For smooth solutions the order is 2 with
    limiter "none", 2 except at extrema with the other limiters, and 1 with limiter "first order". Each row takes steps of
    courant * (cell width) / max(|u| + sqrt(g h)), shortened to meet the output times; rows that have reached an output time
    wait for the others. The bed must be flat and wet.
    Source: Toro, Shock-Capturing Methods for Free-Surface Flows (Wiley 2001); Gottlieb, Shu & Tadmor, SIAM Rev. 43 (2001).

    Args:
        depth: h at t = 0, averages over the cells [m], positive.
        discharge: h u at t = 0 [m^2/s].
        times: output times t [s], not negative, in order.
        length: length of the channel [m].
        ends: boundaries at 0 and at `length`: "wall", "outflow" (waves leave without reflection) or "periodic" (at both ends).
        limiter: "minmod", "van Leer", "monotonized central", "none" or "first order".
        courant: Courant number, above 0, at most 1; up to 0.5, shocks do not oscillate and the depth stays positive.
        friction: friction coefficient f [1/s], not negative.
        gravity: gravitational acceleration g [m/s^2].

    Returns:
        Depth and discharge, and the quantities that are conserved or decay, float64.

    Raises:
        ValueError: if a shape does not fit, a value is not finite or out of range, or a channel falls dry; a
            `LostSolutionError` if the solution is not finite.
    """
    moments = check_times(times)
    _check_setting(depth, discharge, length, ends, limiter, courant, friction, gravity)
    state = torch.stack([depth.to(torch.float64), discharge.to(depth.device, torch.float64)], 1)
    width = length / depth.shape[1]
    now = state.new_zeros(len(state))
    left, count, results = torch.zeros_like(now), torch.zeros_like(now, dtype=torch.long), []
    fastest = _fastest(state, now, gravity)
    volumes, energies = [width * state[:, 0].sum(1)], [width * _energy(state, gravity)]
    for moment in moments:
        while bool((now < moment).any()):
            remaining = moment - now
            step = torch.minimum(courant * width / fastest, remaining)
            braking = torch.exp(-friction * step / 2)
            reach = like_rows(step / width, state)
            state[:, 1] *= braking[:, None]
            flux = _flux(state, ends, limiter, gravity)
            first = state - reach * torch.diff(flux)
            second_flux = _flux(first, ends, limiter, gravity)
            second = first - reach * torch.diff(second_flux)
            state = (state + second) / 2
            state[:, 1] *= braking[:, None]
            through = (flux + second_flux)[:, 0]
            left += step / 2 * (through[:, -1] - through[:, 0])
            count += step > 0
            now = torch.where(step < remaining, now + step, moment)
            fastest = _fastest(state, now, gravity)
        results.append((state[:, 0].clone(), state[:, 1].clone(), left.clone()))  # the next step changes the state in place
        volumes.append(width * state[:, 0].sum(1))
        energies.append(width * _energy(state, gravity))
    depths, discharges, outflow = (torch.stack(parts, 1) for parts in zip(*results, strict=True))
    refuse_not_finite(torch.stack([depths, discharges], 2), moments, "lower the courant number")
    return ShallowWater(depths, discharges, torch.stack(volumes, 1), outflow, torch.stack(energies, 1), count)


def hll_flux(
    below: Float[Tensor, "sample 2 face"], above: Float[Tensor, "sample 2 face"], gravity: float
) -> Float[Tensor, "sample 2 face"]:
    """Return the flux of (volume, momentum) between two states (depth, velocity): Harten, Lax & van Leer.

    The speeds of the fastest waves in both directions are bounded by those of the two states and of two rarefactions between
    them, which are not slower than shocks. Equal states have exactly their physical flux, and mirrored states have exactly the
    mirrored flux, to the last bit.
    Source: Toro, Shock-Capturing Methods for Free-Surface Flows (Wiley 2001), section 10.3.

    Args:
        below: state on the lower side of each face [m, m/s].
        above: state on its upper side.
        gravity: gravitational acceleration g [m/s^2].

    Returns:
        The flux [m^2/s, m^3/s^2].
    """
    (h_below, u_below), (h_above, u_above) = below.unbind(1), above.unbind(1)
    c_below, c_above = torch.sqrt(gravity * h_below), torch.sqrt(gravity * h_above)
    u_middle = (u_below + u_above) / 2 + (c_below - c_above)
    c_middle = ((c_below + c_above) / 2 + (u_below - u_above) / 4).clamp(min=0)
    low = torch.minimum(u_below - c_below, u_middle - c_middle).clamp(max=0)[:, None]
    high = torch.maximum(u_above + c_above, u_middle + c_middle).clamp(min=0)[:, None]
    q_below, q_above = (torch.stack([h, h * u], 1) for h, u in ((h_below, u_below), (h_above, u_above)))
    f_below, f_above = _physical_flux(below, q_below, gravity), _physical_flux(above, q_above, gravity)
    lean, spread = (high + low) / 2, low * high
    return (f_below + f_above) / 2 + (lean * (f_below - f_above) + spread * (q_above - q_below)) / (high - low)


def _physical_flux(pair: Tensor, state: Tensor, gravity: float) -> Tensor:
    (h, u), discharge = pair.unbind(1), state[:, 1]
    return torch.stack([discharge, discharge * u + gravity / 2 * h**2], 1)


def _flux(state: Tensor, ends: tuple[str, str], limiter: str, gravity: float) -> Float[Tensor, "sample 2 face"]:
    depth, discharge = state.unbind(1)
    pair = torch.stack([depth, discharge / depth], 1)
    low, high = pair[..., :2], pair[..., -2:]
    if ends[0] == "periodic":
        low, high = high, low
    else:
        low, high = _beyond(low.flip(2), ends[0], pair[..., :1]), _beyond(high.flip(2), ends[1], pair[..., -1:])
    return hll_flux(*face_values(torch.cat([low, pair, high], 2), limiter), gravity)


def _beyond(mirrored: Tensor, end: str, last: Tensor) -> Tensor:
    """Return the two ghost cells beyond an end, in the order of x."""
    return mirrored * mirrored.new_tensor([[1.0], [-1.0]]) if end == "wall" else last.expand_as(mirrored)


def _energy(state: Tensor, gravity: float) -> Float[Tensor, " sample"]:
    depth, discharge = state.unbind(1)
    return (discharge**2 / depth + gravity * depth**2).sum(1) / 2


def _fastest(state: Tensor, now: Tensor, gravity: float) -> Float[Tensor, " sample"]:
    """Return max(|u| + sqrt(g h)) after checking that the depth is positive everywhere."""
    depth, discharge = state.unbind(1)
    lowest = depth.amin(1)
    if not bool((lowest > 0).all()):
        sample = int((~(lowest > 0)).nonzero()[0, 0])
        raise ValueError(
            f"depth must stay positive, got {float(lowest[sample]):.3g} m in sample {sample} at t = {float(now[sample]):.3g} s:"
            " dry beds are not solved; a limiter and a courant number up to 0.5 keep the depth positive"
        )
    return ((discharge / depth).abs() + torch.sqrt(gravity * depth)).amax(1)


def _check_setting(
    depth: Tensor,
    discharge: Tensor,
    length: float,
    ends: tuple[str, ...],
    limiter: str,
    courant: float,
    friction: float,
    gravity: float,
) -> None:
    if depth.ndim != 2 or depth.shape[1] < 2:
        raise ValueError(f"depth must be (sample, x) with two cells or more, got {tuple(depth.shape)}")
    if discharge.shape != depth.shape:
        raise ValueError(f"discharge must have the shape of depth, {tuple(depth.shape)}, got {tuple(discharge.shape)}")
    for name, values in (("depth", depth), ("discharge", discharge)):
        if not bool(torch.isfinite(values).all()):
            raise ValueError(f"{name} must be finite, it is not in sample {int((~torch.isfinite(values)).nonzero()[0, 0])}")
    for end in ends:
        if end not in ENDS:
            raise ValueError(f'ends must be "wall", "outflow" or "periodic", got "{end}"')
    if len(ends) != 2 or (ends[0] == "periodic") != (ends[1] == "periodic"):
        raise ValueError(f"ends must be two, both periodic or neither, got {', '.join(ends)}")
    if limiter not in LIMITERS:
        raise ValueError(f'limiter must be one of {", ".join(LIMITERS)}, got "{limiter}"')
    if not 0 < courant <= 1:
        raise ValueError(f"courant must be above 0 and at most 1, got {courant:g}: the scheme is unstable beyond")
    for name, value, unit in (("length", length, "m"), ("gravity", gravity, "m/s^2")):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, got {value:g} {unit}")
    if not (math.isfinite(friction) and friction >= 0):
        raise ValueError(f"friction must be finite and not negative, got {friction:g} 1/s")
