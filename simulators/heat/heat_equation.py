"""The heat equation in one and two dimensions, many samples at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.heat.conduction import Conduction, Source
from simulators.numerics.boundaries import Boundary, Periodic
from simulators.numerics.step_error import error_limit, refuse_lost, refuse_not_finite
from simulators.numerics.time_stepping import State, check_times, euler_step, legendre_stages, legendre_step

# The error of a step is C step^(p+1) times the derivative of order p + 1. For Euler, C = 1/2. For Legendre with s stages, C is
# 1/6 minus the third coefficient of the stability polynomial, from 1/10 (s = 3) to 1/18 (large s); the largest is used. The
# differences of the last temperatures are derivatives (p + 1) / 2 steps earlier, when a decaying mode was larger.
ORDERS = {"legendre": 2, "euler": 1}
CONSTANTS = {"legendre": 1 / 10, "euler": 1 / 2}


@dataclass(frozen=True)
class Heat:
    """The result of `solve_heat`; energies are per unit of the transverse area (J/m^2 in 1-D, J/m in 2-D).

    Attributes:
        temperature: temperature at the cell centres at the requested times [K].
        boundary_energy: energy that has entered through each boundary since t = 0, in the order x low, x high, y low, y high.
        source_energy: energy that the source has released since t = 0.
        content: heat stored, relative to u = 0, at t = 0 and then at the requested times.
        magnitude: largest absolute energy that was stored, flowed through one boundary or was released; the round-off error
            of the balance is proportional to it.
    """

    temperature: Float[Tensor, "sample time *cells"]
    boundary_energy: Float[Tensor, "sample time boundary"]
    source_energy: Float[Tensor, "sample time"]
    content: Float[Tensor, "sample time+1"]
    magnitude: Float[Tensor, " sample"]

    def residual(self) -> Float[Tensor, " sample"]:
        """Return the largest |content(t) - content(0) - energy entered| over the times, relative to the magnitude."""
        gained = self.content[:, 1:] - self.content[:, :1]
        entered = self.boundary_energy.sum(2) + self.source_energy
        return (gained - entered).abs().amax(1) / self.magnitude.clamp(min=torch.finfo(gained.dtype).tiny)


def solve_heat(
    initial: Float[Tensor, " sample *cells"],
    conductivity: Float[Tensor, " sample"] | Float[Tensor, " sample *cells"],
    times: Float[Tensor, " time"],
    *,
    lengths: Sequence[float],
    boundaries: Sequence[tuple[Boundary, Boundary]],
    step: float,
    source: Source | None = None,
    temperature_coefficients: Float[Tensor, "sample degree"] | None = None,
    capacity: float = 1.0,
    scheme: Literal["legendre", "euler"] = "legendre",
) -> Heat:
    """Solve c u_t = div(k grad u) + f on an interval or a rectangle, one body per row.

    Here k = conductivity(x) (1 + b_1 u + b_2 u^2 + ...). In space, cell-centred finite volumes of second order are used, see
    `conduction.Conduction`. The schemes in time are

    - "legendre": Runge-Kutta-Legendre, order 2, with as many stages for each row as its stiffness requires, so that only
      accuracy limits `step`;
    - "euler": forward Euler, order 1, whose limit is step * (sum of conductances around a cell) / (c h) <= 1 in every
      cell (in 1-D a step of c h^2 / (2 k) inside, c h^2 / (3 k) beside a Dirichlet boundary). Without a source or a given
      flux, no temperature then leaves the range of the initial temperatures and those of the surroundings.

    Every row is computed separately: no result depends on the other rows of the batch.

    The error in time is estimated at the output times. In each step of a scheme of order p, a mode that decays as exp(-r t) has
    a relative error of C (r step)^(p+1), so that its error at time t is t / step times that of the last step. The difference
    of order p + 1 of the last temperatures gives this error for all modes at once. The estimate is relative to the largest
    norm of the temperature at t = 0 and at the times so far; it is 1 to 4 times the error where steps resolve the decay, see
    `CONSTANTS`. If the output times leave fewer than p + 1 equal steps in a row, the problem is solved again with steps of half
    the length, at three times the total cost, and the change is the estimate. The estimate includes neither errors caused by a
    source that has faded since nor the error of the grid.

    Args:
        initial: temperature at the cell centres at t = 0 [K], (sample, x) or (sample, x, y).
        conductivity: k at u = 0 [W/(m K)], not negative; one number or one field per sample.
        times: output times t [s], not negative, in order.
        lengths: lengths of the domain along x (and y) [m].
        boundaries: boundaries (low, high) along x (and y).
        step: longest time step [s]; the interval between two output times is divided evenly.
        source: f [W/m^3] at the cell centres, or a function of time (shaped to broadcast against a field) that returns it.
        temperature_coefficients: b_1, b_2, ... [1/K, 1/K^2, ...] of each sample; None if k does not depend on u.
        capacity: volumetric heat capacity c [J/(m^3 K)].
        scheme: "legendre" or "euler".

    Returns:
        Temperatures and the energies of their balance, float64.

    Raises:
        ValueError: if a shape does not fit, a value is not finite, a conductivity or a time is negative, k(u) falls to
            0 or below, only one of two opposite boundaries is periodic, or Euler's step is above its limit; a
            `LostSolutionError` if the solution is not finite or its estimated error is above `step_error.TOLERANCE`, see
            `step_error.tolerate`.
    """
    initial = initial.to(torch.float64)
    moments = check_times(times)
    _check_body(initial, conductivity, source, temperature_coefficients)
    _check_setting(initial.ndim - 1, lengths, boundaries, step, capacity, scheme)
    conduction = Conduction(initial, conductivity, lengths, boundaries, source, temperature_coefficients, capacity)
    counts = [math.ceil((moment - now) / step - 1e-9) for now, moment in pairwise([0.0, *moments])]
    states, errors = _march(conduction, initial, moments, counts, scheme)
    temperature, energy = (torch.stack(parts, 1) for parts in zip(*states, strict=True))
    remedy = f"take time steps shorter than {step:.6g} s"
    if error_limit() < math.inf:
        if len(errors) < len(moments):
            halves, _ = _march(conduction, initial, moments, [2 * count for count in counts], scheme)
            factor = 2 ** ORDERS[scheme] / (2 ** ORDERS[scheme] - 1)
            errors = [factor * _norm(coarse[0] - fine[0]) for coarse, fine in zip(states[1:], halves[1:], strict=True)]
        sizes = torch.stack([_norm(state[0]) for state in states]).cummax(0).values[1:]
        relative = torch.stack(errors) / sizes.clamp(min=torch.finfo(sizes.dtype).tiny)
        refuse_lost(relative.nan_to_num(nan=math.inf, posinf=math.inf).cummax(0).values, moments, remedy)
    refuse_not_finite(temperature[:, 1:], moments, remedy)
    stored = capacity * conduction.volume * temperature.flatten(2)
    moved = torch.cat([stored.abs().sum(2), energy.abs().flatten(1)], dim=1)
    return Heat(temperature[:, 1:], energy[:, 1:, :-1], energy[:, 1:, -1], stored.sum(2), moved.amax(1))


def _march(
    conduction: Conduction, initial: Tensor, moments: list[float], counts: list[int], scheme: str
) -> tuple[list[State], list[Tensor]]:
    """Take the number of steps in `counts` to each output time.

    Returns:
        The states at t = 0 and at the times, and the norms of the error at those times that follow enough equal steps to form
        the differences; no norms if errors are not estimated.
    """
    state, now, length, power = conduction.start(initial), 0.0, 0.0, ORDERS[scheme] + 1
    states, errors, recent, passed = [state], [], [initial], 0.0
    for moment, count in zip(moments, counts, strict=True):
        step = (moment - now) / max(1, count)
        if count and not math.isclose(step, length, rel_tol=1e-9):
            recent, length = [state[0]], step
        for i in range(count):
            time = initial.new_full((len(initial),), now + i * (moment - now) / count)
            state = _advance(conduction, time, state, step, scheme)
            recent = [*recent, state[0]][-power - 1 :]
        passed += count * step**power
        if error_limit() < math.inf and not passed:
            errors.append(torch.zeros_like(_norm(initial)))
        elif error_limit() < math.inf and len(recent) > power:
            difference = torch.diff(torch.stack(recent), n=power, dim=0)[0]
            errors.append(CONSTANTS[scheme] * passed / length**power * _norm(difference))
        states.append(state)
        now = moment
    return states, errors


def _norm(field: Float[Tensor, " sample *cells"]) -> Float[Tensor, " sample"]:
    return field.flatten(1).square().sum(1).sqrt()


def _advance(conduction: Conduction, time: Tensor, state: State, step: float, scheme: str) -> State:
    """Take one step after checking that it is stable for the current conductivities."""
    rate = conduction.rate(state[0])
    if scheme == "legendre":
        return legendre_step(conduction, time, state, step, legendre_stages(step, 2.1 * rate))  # k(u) may grow 5 % a step
    if not bool((step * rate <= 1 + 1e-12).all()):
        sample = int(rate.argmax())  # argmax finds a NaN first
        raise ValueError(
            f"Euler needs a step of at most {1 / float(rate[sample]):.6g} s in sample {sample}, got {step:.6g} s:"
            ' shorten it, or use scheme="legendre"'
        )
    return euler_step(conduction, time, state, step)


def _check_body(initial: Tensor, conductivity: Tensor, source: Source | None, coefficients: Tensor | None) -> None:
    shape, samples = tuple(initial.shape), tuple(initial.shape[:1])
    if initial.ndim not in (2, 3) or min(shape[1:]) < 2:
        raise ValueError(f"initial must be (sample, x) or (sample, x, y) with two cells or more per axis, got {shape}")
    if conductivity.shape not in (shape, samples):
        raise ValueError(f"conductivity must have shape {samples} or {shape}, got {tuple(conductivity.shape)}")
    if isinstance(source, Tensor) and source.shape != shape:
        raise ValueError(f"source must have the shape of initial, {shape}, got {tuple(source.shape)}")
    if coefficients is not None and (coefficients.ndim != 2 or coefficients.shape[:1] != samples):
        got = tuple(coefficients.shape)
        raise ValueError(f"temperature_coefficients must be (sample, degree) with {len(initial)} samples, got {got}")
    arrays = {"initial": initial, "conductivity": conductivity, "source": source, "temperature_coefficients": coefficients}
    for name, values in arrays.items():
        if isinstance(values, Tensor) and not bool(torch.isfinite(values).all()):
            sample = int((~torch.isfinite(values)).flatten().nonzero()[0]) // (values.numel() // len(values))
            raise ValueError(f"{name} must be finite, it is not in sample {sample}")
    if bool((conductivity < 0).any()):
        raise ValueError(f"conductivity must not be negative, got {float(conductivity.min()):.3g} W/(m K)")


def _check_setting(
    axes: int,
    lengths: Sequence[float],
    boundaries: Sequence[tuple[Boundary, Boundary]],
    step: float,
    capacity: float,
    scheme: str,
) -> None:
    if len(lengths) != axes or not all(math.isfinite(length) and length > 0 for length in lengths):
        raise ValueError(f"lengths must be {axes} positive number(s) [m], one per axis, got {tuple(lengths)}")
    if len(boundaries) != axes or any(len(pair) != 2 for pair in boundaries):
        raise ValueError(f"boundaries must be {axes} pair(s) (low, high), one per axis, got {len(boundaries)}")
    for axis, (low, high) in zip("xy", boundaries, strict=False):
        if isinstance(low, Periodic) != isinstance(high, Periodic):
            raise ValueError(f"both boundaries along {axis} must be periodic, or neither; got one: make the other Periodic()")
    for name, value, unit in (("step", step, "s"), ("capacity", capacity, "J/(m^3 K)")):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, got {value} {unit}")
    if scheme not in ("legendre", "euler"):
        raise ValueError(f'scheme must be "legendre" or "euler", got "{scheme}"')
