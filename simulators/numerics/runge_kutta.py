"""Runge-Kutta methods for y' = f(t, y), one system per row: classical order 4, and Dormand-Prince 5(4) with adaptive steps.

Rows are independent: all operations are elementwise, and norms are maxima over the components of one row, which do not depend
on an order of summation.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from simulators.numerics.step_error import error_limit, refuse_lost, refuse_not_finite
from simulators.numerics.time_stepping import check_times, ends_of_steps

Field = Callable[[Float[Tensor, " sample"], Float[Tensor, "sample component"]], Float[Tensor, "sample component"]]

# RK5(4)7M of Dormand & Prince (1980): nodes, stages (the last row gives the solution of order 5), and the weights of its
# distance from the solution of order 4.
NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
# The fifth coefficient of the dense output: Hairer, Norsett & Wanner, section II.6.
DENSE = (
    -12715105075 / 11282082432,
    0.0,
    87487479700 / 32700410799,
    -10690763975 / 1880347072,
    701980252875 / 199316789632,
    -1453857185 / 822651844,
    69997945 / 29380423,
)

SAFETY = 0.9  # fraction of the longest step that the error estimate allows
LEAST, MOST = 0.2, 10.0  # bounds of the factor from one step to the next
ROUND_OFF = 1e-10  # components below this fraction of the largest one in their row are round-off errors of the others
TINY = torch.finfo(torch.float64).tiny


def rk4_step(
    field: Field,
    time: Float[Tensor, " sample"],
    state: Float[Tensor, "sample component"],
    step: float,
    first: Float[Tensor, "sample component"],
) -> tuple[Float[Tensor, "sample component"], Float[Tensor, "sample component"]]:
    """Advance by one step of the classical Runge-Kutta method, order 4.

    Args:
        field: right-hand side f.
        time: t of each row.
        state: y.
        step: time step.
        first: f(t, y).

    Returns:
        The state at t + step, and the fourth slope. If f(t + step, y(t + step)) replaced it, the method would have order 3.
    """
    middle = time + step / 2
    second = field(middle, torch.add(state, first, alpha=step / 2))
    third = field(middle, torch.add(state, second, alpha=step / 2))
    fourth = field(time + step, torch.add(state, third, alpha=step))
    return torch.add(state, second.add(third).mul_(2).add_(first).add_(fourth), alpha=step / 6), fourth


def dopri5_step(
    field: Field,
    time: Float[Tensor, " sample"],
    state: Float[Tensor, "sample component"],
    step: Float[Tensor, " sample"],
    slope: Float[Tensor, "sample component"],
) -> tuple[Float[Tensor, "sample component"], list[Float[Tensor, "sample component"]]]:
    """Advance by one step of Dormand & Prince's method, order 5, with a step size for each row.

    Source: Dormand & Prince, J. Comput. Appl. Math. 6 (1980) 19-26.

    Args:
        field: right-hand side f.
        time: t of each row.
        state: y.
        step: time step of each row.
        slope: f(t, y), which the previous step has computed as its last slope.

    Returns:
        The state at t + step, and seven slopes, the last of which is f(t + step, y(t + step)). The distance from the solution
        of order 4 is step * sum(ERROR * slopes).
    """
    slopes, end, column = [slope], state, step[:, None]
    for node, weights in zip(NODES[1:], STAGES, strict=True):
        end = torch.addcmul(state, _combine(weights, slopes), column)
        slopes.append(field(torch.add(time, step, alpha=node), end))
    return end, slopes


def solve_rk4(
    field: Field, start: Float[Tensor, "sample component"], times: Float[Tensor, " time"], *, steps: int
) -> Float[Tensor, "sample time component"]:
    """Solve y' = f(t, y), y(0) = start, by the classical Runge-Kutta method of order 4 with equal steps.

    Every step of every row is compared with an embedded solution of order 3, in which f(t + step, y(t + step)) replaces the
    fourth slope. The distances of each component are added up, relative to the largest absolute value that the component takes;
    the estimated error is the sum of the worst component. It is an upper estimate of the errors that the steps make, because
    the distance falls with step^4 and the error of a step with step^5. It does not include how the system amplifies an error
    afterwards: by a factor of five over a third of an orbit of eccentricity 0.5, and without bound in chaos. The estimate needs
    one more evaluation of f in all; a lost solution is computed twice.
    Source: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I (Springer 1993), sections II.1 and II.4.

    Args:
        field: right-hand side f; rows must not depend on each other.
        start: y at t = 0.
        times: output times, not negative, in order.
        steps: number of steps from one output time to the next, and from 0 to the first.

    Returns:
        y at the output times, float64.

    Raises:
        ValueError: if the start is not finite, times are negative or out of order, or `steps` is below 1; a
            `LostSolutionError` if the solution is not finite or its estimated error is above `step_error.TOLERANCE`, see
            `step_error.tolerate`.
    """
    state, moments = _check(start, times)
    if steps < 1:
        raise ValueError(f"steps between output times must be 1 or more, got {steps}")
    remedy = f"take more than {steps} steps between output times"
    solution, error, _, _ = _march(field, state, moments, steps, tell=False)
    if not bool((error <= error_limit()).all()):
        _, _, errors, ends = _march(field, state, moments, steps, tell=True)  # once more, to find when it was lost
        refuse_lost(torch.stack([*errors[:-1], error]), ends, remedy)
    refuse_not_finite(solution, moments, remedy)
    return solution


def _march(
    field: Field, state: Tensor, moments: list[float], steps: int, *, tell: bool
) -> tuple[Float[Tensor, "sample time component"], Float[Tensor, " sample"], list[Tensor], list[float]]:
    """Take the steps of `solve_rk4`.

    Returns:
        The solution at the times and its estimated error; then, if `tell` is true, the estimated error up to the end of every
        step, relative to the largest values up to there, and the times of these ends.
    """
    now, states, errors, ends = 0.0, [], [], []
    watched, distance, largest = error_limit() < math.inf, torch.zeros_like(state), state.abs()
    slope = field(state.new_zeros(len(state)), state)
    for moment in moments:
        step = (moment - now) / steps
        for end in ends_of_steps(now, moment, steps if step else 0):
            state, fourth = rk4_step(field, state.new_full((len(state),), now), state, step, slope)
            slope, now = field(state.new_full((len(state),), end), state), end
            if watched:
                distance.add_((fourth - slope).abs_(), alpha=step / 6)
                torch.fmax(largest, state.abs(), out=largest)
            if tell:
                errors.append(_relative_to_size(distance, largest))
                ends.append(end)
        states.append(state)
        now = moment
    return torch.stack(states, 1), _relative_to_size(distance, largest), errors, ends


def _relative_to_size(distance: Float[Tensor, "sample component"], largest: Tensor) -> Float[Tensor, " sample"]:
    floor = (ROUND_OFF * largest.amax(1, keepdim=True)).clamp_(min=TINY)
    return (distance / torch.maximum(largest, floor)).amax(1)


def solve_dopri5(
    field: Field,
    start: Float[Tensor, "sample component"],
    times: Float[Tensor, " time"],
    *,
    rtol: float = 1e-8,
    atol: float = 1e-8,
    most_steps: int = 10_000,
) -> Float[Tensor, "sample time component"]:
    """Solve y' = f(t, y), y(0) = start, by the method of Dormand & Prince, order 5(4), with adaptive steps in every row.

    A step is accepted if max |error| / (atol + rtol max(|y|, |y_end|)) <= 1 over the components of its row, where error is the
    distance between the solutions of orders 5 and 4; the solution of order 5 is continued. The next step is 0.9 error^(-1/5)
    times this one; this factor is at least 0.2 and at most 10, or at most 1 after a rejection. Except for the last one, the
    output times do not influence the steps: the dense output of order 4 is evaluated there, and its error falls with the
    tolerance like that of the steps. A row that has reached the last time takes steps of 0 until all rows have.
    Source: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I (Springer 1993), sections II.4-II.6.

    Args:
        field: right-hand side f; rows must not depend on each other.
        start: y at t = 0.
        times: output times, not negative, in order.
        rtol: tolerance of the error of a step, relative to the component.
        atol: absolute tolerance, in the units of the components.
        most_steps: largest number of steps of each row, including rejected ones.

    Returns:
        y at the output times, float64.

    Raises:
        ValueError: if the start is not finite, times are negative or out of order, a tolerance is below round-off, or a row
            needs too many or too small steps.
    """
    state, moments = _check(start, times)
    if not 1e-13 <= rtol < 1:
        raise ValueError(f"rtol must be in [1e-13, 1), got {rtol:.3g}")
    if not 0 < atol < math.inf:
        raise ValueError(f"atol must be positive and finite, got {atol:.3g}")
    outputs, final, rows = state.new_tensor(moments), moments[-1], torch.arange(len(state), device=state.device)
    found = state[:, None].repeat(1, len(moments), 1)  # the start is the solution at output times of 0
    done = (outputs <= 0).sum().expand(len(state))
    time = state.new_zeros(len(state))
    most = torch.full_like(time, MOST)
    slope = field(time, state)
    step = _first_step(field, state, slope, final, rtol, atol)
    for count in range(most_steps + 1):
        left = final - time
        reach = torch.minimum(step, left)
        going = left > 0
        if not bool(going.any()):
            break
        if count == most_steps or not bool(((time + reach > time) | ~going).all()):
            raise ValueError(_describe_failure(time, reach, final, count))
        end, slopes = dopri5_step(field, time, state, reach, slope)
        scale = torch.maximum(state.abs(), end.abs()).mul_(rtol).add_(atol)
        error = (_combine(ERROR, slopes) / scale).abs().amax(1).mul_(reach).nan_to_num_(nan=math.inf)
        accepted = going & (error <= 1)
        arrived = torch.where(step < left, time + reach, final)
        passed = torch.where(accepted, torch.searchsorted(outputs, arrived, right=True), done)
        row = torch.repeat_interleave(rows, passed - done)
        if len(row):
            after = torch.arange(1, len(row) + 1, device=row.device) - (passed - done).cumsum(0)[row]  # 0 at the last output
            column = passed[row] - 1 + after
            fraction = (outputs[column] - time[row]) / reach[row]
            found[row, column] = _interpolate(state[row], end[row], [k[row] for k in slopes], reach[row], fraction)
        done, time = passed, torch.where(accepted, arrived, time)
        state, slope = (torch.where(accepted[:, None], *pair) for pair in ((end, state), (slopes[-1], slope)))
        step = reach * _power(error, -0.2).mul_(SAFETY).clamp_(min=LEAST).minimum(most)
        most = torch.where(accepted, MOST, 1.0)
    return found


def _combine(weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    total = slopes[0] * weights[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        if weight:
            total.add_(slope, alpha=weight)
    return total


def _interpolate(
    start: Float[Tensor, "pair component"],
    end: Float[Tensor, "pair component"],
    slopes: Sequence[Tensor],
    step: Float[Tensor, " pair"],
    fraction: Float[Tensor, " pair"],
) -> Float[Tensor, "pair component"]:
    """Return the dense output of order 4 at start + fraction * step: Hairer, Norsett & Wanner, section II.6."""
    step, fraction = step[:, None], fraction[:, None]
    rise = end - start
    bend = step * slopes[0] - rise
    twist = rise - step * slopes[-1] - bend
    return start + fraction * (
        rise + (1 - fraction) * (bend + fraction * (twist + (1 - fraction) * step * _combine(DENSE, slopes)))
    )


def _first_step(field: Field, state: Tensor, slope: Tensor, final: float, rtol: float, atol: float) -> Float[Tensor, " sample"]:
    """Guess a step from the sizes of y, y' and y'': Hairer, Norsett & Wanner, section II.4, with maximum norms."""
    scale = rtol * state.abs() + atol
    size, speed = ((values / scale).abs().amax(1) for values in (state, slope))
    small = torch.where((size < 1e-5) | (speed < 1e-5), 1e-6, 0.01 * size / speed).clamp(max=final)
    ahead = field(small, torch.addcmul(state, slope, small[:, None]))
    fastest = torch.maximum(((ahead - slope) / scale).abs().amax(1) / small, speed)
    return torch.where(fastest <= 1e-15, (small * 1e-3).clamp(min=1e-6), _power(0.01 / fastest, 0.2)).minimum(100 * small)


def _power(values: Shaped[Tensor, " sample"], exponent: float) -> Shaped[Tensor, " sample"]:
    """Return values^exponent, bitwise equal at any place in a batch: torch.pow rounds the last few elements differently."""
    return values.log().mul_(exponent).exp_()


def _describe_failure(time: Tensor, step: Tensor, final: float, count: int) -> str:
    row = int(torch.where(time < final, step, math.inf).nan_to_num(nan=0).argmin())
    return (
        f"row {row} has reached only t = {float(time[row]):.6g} of {final:g} after {count} steps, the last of"
        f" {float(step[row]):.3g}: it is stiff or blowing up; loosen the tolerance, end earlier or raise most_steps"
    )


def _check(start: Tensor, times: Tensor) -> tuple[Tensor, list[float]]:
    if start.ndim != 2 or not start.numel():
        raise ValueError(f"start must be (sample, component) and not empty, got shape {tuple(start.shape)}")
    broken = (~torch.isfinite(start)).any(1).nonzero().flatten().tolist()
    if broken:
        raise ValueError(f"start must be finite, it is not in row {broken[0]}")
    return start.to(torch.float64), check_times(times)
