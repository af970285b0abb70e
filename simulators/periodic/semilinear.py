"""Periodic problems u_t = L u + N(u) with L diagonal in Fourier modes; a subclass of `SemilinearPDE` defines L and N."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.exponential_step import ExponentialStep
from simulators.numerics.fourier import PeriodicBox
from simulators.numerics.step_error import error_limit, refuse_lost, refuse_not_finite
from simulators.numerics.time_stepping import check_times
from simulators.quantities import Quantity

Numbers = Mapping[str, Tensor]

UNSEEN = 8  # steps per error estimate; an interval of fewer than 64 steps has fewer per estimate, to keep 8 estimates
BLOCK = 2**16  # grid values that are advanced together on a CPU, so that the arrays of a step stay in a core's cache


class SemilinearPDE(ABC):
    """A periodic evolution equation; a subclass is a frozen dataclass of the ranges from which its parameters are drawn.

    Attributes:
        equation: the equation that is solved.
        invariant: the conserved or bounded quantity; "" if none exists.
        degree: degree of N as a polynomial in u; 1 without N, which is then not evaluated. Fields of the dataclass decide it,
            so a number that differs from sample to sample must not switch N off.
        initial: description of the initial field, without axes.
        evolved: descriptions of the evolving field, or of a few coupled fields, without axes.
    """

    equation: str
    invariant: str = "mean"
    degree: int
    initial: Quantity
    evolved: tuple[Quantity, ...]

    @property
    @abstractmethod
    def numbers(self) -> tuple[tuple[Quantity, tuple[float, float]], ...]:
        """The parameters that differ from sample to sample, and the range from which each is drawn."""

    @abstractmethod
    def linear(self, box: PeriodicBox, numbers: Numbers) -> Tensor:
        """Return the symbol of L, real or complex, shaped to broadcast against modes [1/s].

        It is called once with all samples, where `nonlinear` is called with blocks of them: check all numbers here, so that a
        message names the right sample.

        Args:
            box: grid and modes.
            numbers: parameters by name, shaped to broadcast against modes.
        """

    def nonlinear(self, box: PeriodicBox, numbers: Numbers) -> Callable[[Tensor], Tensor] | None:
        """Return the function that maps the modes of u to those of N(u); None without N."""
        return None

    def start(self, field: Tensor) -> Tensor:
        """Return the state at t = 0 for an initial field: the field itself, or coupled fields (sample, field, ...)."""
        return field

    def residual(self, numbers: Numbers, before: Tensor, after: Tensor, length: float) -> Float[Tensor, " sample"]:
        """Return the relative violation of each sample's invariant; NaN if there is no invariant.

        Args:
            numbers: parameters by name, one number per sample.
            before: state at the grid points at t = 0.
            after: state at the end.
            length: length of the box [m].
        """
        change = (after.flatten(1).mean(1) - before.flatten(1).mean(1)).abs()
        return change / before.flatten(1).square().mean(1).sqrt().clamp(min=torch.finfo(before.dtype).tiny)


def solve_periodic(
    pde: SemilinearPDE,
    initial: Float[Tensor, "sample ..."],
    numbers: Numbers,
    times: Float[Tensor, " time"],
    *,
    lengths: Sequence[float],
    steps: int,
) -> Float[Tensor, "sample time ..."]:
    """Solve u_t = L u + N(u) on a periodic box, one field (or a few coupled ones) per row.

    In space the solution is expanded in Fourier modes free of aliasing (see `PeriodicBox`): for smooth fields the error falls
    faster than any power of the spacing. In time ETDRK4 is used, order 4 (see `ExponentialStep`). The initial field is first
    projected onto the modes that are kept.

    In every sample, one step in eight, and at least eight in each interval between output times if it has as many, is compared
    with an embedded solution of order 3 (see `ExponentialStep.error`); its distance also counts for the steps since the last
    comparison. The sum of the distances, relative to the modes at their times, is an upper estimate of the relative error that
    the steps make: too large by a factor of up to 10 if the error is 1 % or more, and by hundreds if it is tiny. It needs one
    more evaluation of N in all. Equations without N are solved exactly.

    Args:
        pde: the PDE with its L and N.
        initial: u at the grid points x_i = i length / points, (sample, x), (sample, x, y), or with an axis of coupled
            fields after `sample`. It is solved in its own precision.
        numbers: parameters of the PDE that differ from sample to sample.
        times: output times t [s], not negative, in order.
        lengths: lengths of the box along each axis [m].
        steps: number of time steps in each interval between output times (the first begins at 0).

    Returns:
        u at the output times.

    Raises:
        ValueError: if a shape does not fit, a value is not finite, a time is out of order, or the grid does not fit the PDE;
            a `LostSolutionError` if the solution is not finite or its estimated error is above `step_error.TOLERANCE`, see
            `step_error.tolerate`.
    """
    moments = check_times(times)
    if steps < 1:
        raise ValueError(f"steps must be 1 or more in each interval between output times, got {steps}")
    axes = len(lengths)
    if axes not in (1, 2) or initial.ndim not in (axes + 1, axes + 2):
        raise ValueError(f"initial must be (sample, [field,] and {axes} axes), one or two, got shape {tuple(initial.shape)}")
    spread = {}
    for name, values in {"initial": initial, **numbers}.items():
        if len(values) != len(initial) or (name in numbers and values.ndim != 1):
            raise ValueError(f"{name} must be one number for each of {len(initial)} samples, got shape {tuple(values.shape)}")
        broken = (~torch.isfinite(values)).flatten(1 if values.ndim > 1 else 0).reshape(len(values), -1).any(1)
        if bool(broken.any()):
            raise ValueError(f"{name} must be finite, it is not in sample {int(broken.nonzero()[0])}")
        spread[name] = values.to(initial).reshape(-1, *(1,) * (initial.ndim - 1))
    del spread["initial"]
    box = PeriodicBox(initial.shape[-axes:], lengths, pde.degree, initial)
    linear = pde.linear(box, spread)
    linear = linear.expand(torch.broadcast_shapes(linear.shape, (len(initial), *(1,) * (initial.ndim - 1))))
    rows = max(1, BLOCK // initial[0].numel()) if initial.device.type == "cpu" else len(initial)
    blocks, errors = [], []
    for first in range(0, len(initial), rows):
        some = slice(first, first + rows)
        numbers = {name: values[some] for name, values in spread.items()}
        nonlinear = pde.nonlinear(box, numbers) if pde.degree > 1 else None
        solution, error, ends = _evolve(box, linear[some], nonlinear, initial[some], moments, steps)
        blocks.append(solution)
        errors.append(error)
    remedy = f"take more than {steps} steps between output times"
    if errors[0]:
        refuse_lost(torch.cat([torch.stack(error) for error in errors], 1).cumsum(0), ends, remedy)
    solution = torch.cat(blocks)
    refuse_not_finite(solution, moments, remedy)
    return solution


def _evolve(
    box: PeriodicBox,
    linear: Tensor,
    nonlinear: Callable[[Tensor], Tensor] | None,
    initial: Tensor,
    moments: list[float],
    steps: int,
) -> tuple[Tensor, list[Tensor], list[float]]:
    """Return the solution at the times, the estimated errors that groups of steps add, and the times at which the groups end.

    The lists of errors and times are empty if no error is estimated.
    """
    modes, now, length, advance, solution = box.to_modes(initial), 0.0, 0.0, None, []
    errors: list[Tensor] = []
    ends: list[float] = []
    slope = nonlinear(modes) if nonlinear is not None and error_limit() < math.inf else None
    for moment in moments:
        if moment > now:
            if advance is None or not math.isclose(moment - now, length, rel_tol=1e-12):
                length = moment - now
                advance = ExponentialStep(linear, length / steps)
            unseen = 0
            for i in range(steps):
                if nonlinear is None or slope is None:
                    modes = advance(modes, nonlinear)
                    continue
                modes, last = advance.advance(modes, slope, nonlinear)
                slope, unseen = nonlinear(modes), unseen + 1
                if unseen == max(1, min(UNSEEN, steps // UNSEEN)) or i + 1 == steps:
                    distance = _norm(advance.error(last, slope)) / _norm(modes).clamp(min=torch.finfo(initial.dtype).tiny)
                    errors.append(unseen * distance)
                    ends.append(moment if i + 1 == steps else now + (i + 1) * length / steps)
                    unseen = 0
        solution.append(box.to_grid(modes))
        now = moment
    return torch.stack(solution, 1), errors, ends


def _norm(modes: Tensor) -> Float[Tensor, " sample"]:
    return torch.view_as_real(modes).flatten(1).square().sum(1).sqrt()


def not_negative(numbers: Numbers, name: str, units: str) -> Tensor:
    """Return the parameter with this name after checking its sign.

    Raises:
        ValueError: if the value of a sample is negative.
    """
    values = numbers[name]
    if bool((values < 0).any()):
        sample = int((values.flatten() < 0).nonzero()[0])
        raise ValueError(f"{name} must not be negative, got {float(values.flatten()[sample]):.3g} {units} in sample {sample}")
    return values
