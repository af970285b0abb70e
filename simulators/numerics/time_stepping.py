"""Explicit steps for dissipative systems y' = f(t, y), one system per row: forward Euler and Runge-Kutta-Legendre.

A state is a tuple of tensors whose first axis is `sample`. A quantity that must be accumulated with the weights of the scheme,
such as the energy through a boundary, is one more tensor of the state.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

State = tuple[Tensor, ...]
Derivative = Callable[[Float[Tensor, " sample"], State], State]

MOST_STAGES = 999  # with more, round-off inside a step (of order stages^2 * 2e-16) exceeds 1e-10


def like_rows(values: Shaped[Tensor, " sample"], state: Tensor) -> Tensor:
    """View one number per row so that it broadcasts against a tensor whose first axis is `sample`."""
    return values.reshape(-1, *(1,) * (state.ndim - 1))


def check_times(times: Float[Tensor, "..."]) -> list[float]:
    """Return output times as numbers.

    Raises:
        ValueError: if no time is given, or if a time is not finite, negative or out of order.
    """
    moments = [float(time) for time in times] if times.ndim == 1 else []
    if not moments:
        raise ValueError(f"times must be a list of at least one output time, got shape {tuple(times.shape)}")
    if not all(math.isfinite(time) and time >= 0 for time in moments):
        raise ValueError(f"times must be finite and not negative, got {min(moments):.3g} s as the smallest")
    if moments != sorted(moments):
        raise ValueError("times must be in order: sort them")
    return moments


def ends_of_steps(begin: float, end: float, steps: int) -> list[float]:
    """Return the times at which equal steps from `begin` to `end` end; the last one is exactly `end`."""
    step = (end - begin) / max(1, steps)
    return [begin + i * step for i in range(1, steps)] + [end] * (steps > 0)


def euler_step(derivative: Derivative, time: Float[Tensor, " sample"], state: State, step: float) -> State:
    """Advance to y + step f(t, y): order 1, stable for step * radius <= 2, radius being the spectral radius of df/dy.

    Args:
        derivative: f, which returns slopes in the order of the state.
        time: t of each row [s].
        state: y, tensors whose first axis is `sample`.
        step: time step [s].

    Returns:
        The state at t + step.
    """
    return tuple(y + step * slope for y, slope in zip(state, derivative(time, state), strict=True))


def legendre_stages(step: float, radius: Float[Tensor, " sample"]) -> Int[Tensor, " sample"]:
    """Return the smallest number of stages that makes a Runge-Kutta-Legendre step stable, for each row.

    A step with s stages is stable down to -(s^2 + s - 2) / 2 on the negative real axis. Only odd s are used: for an even s
    the stability polynomial is 1 at that end, so that the stiffest mode would never decay.

    Args:
        step: time step [s].
        radius: upper bound of the spectral radius of df/dy [1/s].

    Returns:
        The numbers of stages s, odd and at least 3.

    Raises:
        ValueError: if a row needs more than 999 stages.
    """
    needed = torch.ceil((torch.sqrt(9 + 8 * step * radius) - 1) / 2)
    stages = torch.clamp(2 * torch.floor(needed / 2) + 1, min=3)
    if not bool((stages <= MOST_STAGES).all()):
        sample = int((~(stages <= MOST_STAGES)).int().argmax())
        worst = float(radius[sample])
        raise ValueError(
            f"a step may take {MOST_STAGES} stages; one of {step:.3g} s at a spectral radius of {worst:.3g} 1/s in sample"
            f" {sample} takes more: use a step below {(MOST_STAGES**2 + MOST_STAGES - 2) / 2 / worst:.3g} s"
        )
    return stages.long()


def legendre_step(
    derivative: Derivative, time: Float[Tensor, " sample"], state: State, step: float, stages: Int[Tensor, " sample"]
) -> State:
    """Advance by one Runge-Kutta-Legendre step (RKL2): order 2, explicit, for spectra near the negative real axis.

    With w = 4 / (s^2 + s - 2), b_0 = b_1 = b_2 = 1/3 and b_j = (j^2 + j - 2) / (2 j (j + 1)):

        Y_0 = y,  Y_1 = Y_0 + b_1 w step f(Y_0)
        Y_j = mu Y_{j-1} + nu Y_{j-2} + (1 - mu - nu) Y_0 + mu w step (f(Y_{j-1}) - (1 - b_{j-1}) f(Y_0))
        mu = (2 j - 1) / j * b_j / b_{j-1},  nu = -(j - 1) / j * b_j / b_{j-2}

    Rows differ only in w and in the stage at which they stop, so that rows with different numbers of stages advance together
    and do not depend on each other. This is one reason to prefer the scheme to Runge-Kutta-Chebyshev (Sommeijer, Shampine &
    Verwer 1997). The others are that its coefficients have no damping parameter and that it damps stiff modes more: beyond the
    first minimum of the stability polynomial, a step leaves at most 0.77 of a mode, against 0.95.
    Source: Meyer, Balsara & Aslam, J. Comput. Phys. 257 (2014) 594-626.

    Args:
        derivative: f, which returns slopes in the order of the state.
        time: t of each row [s].
        state: y, tensors whose first axis is `sample`.
        step: time step [s].
        stages: s of each row, from `legendre_stages`.

    Returns:
        The state at t + step.
    """
    width = (stages**2 + stages - 2).to(time.dtype)
    reach = [like_rows(4 * step / width, y) for y in state]
    start = derivative(time, state)
    previous = state
    current = tuple(y + w / 3 * slope for y, w, slope in zip(state, reach, start, strict=True))
    fewest, most = int(stages.min()), int(stages.max())
    for j in range(2, most + 1):
        mu = (2 * j - 1) / j * _weight(j) / _weight(j - 1)
        nu = -(j - 1) / j * _weight(j) / _weight(j - 2)
        passed = (4 / 3 if j == 2 else float(j * j - j - 2)) / width  # fraction of the step at which stage j - 1 lies
        slopes = derivative(time + step * torch.clamp(passed, max=1), current)
        following = []
        for y, w, first, before, now, slope in zip(state, reach, start, previous, current, slopes, strict=True):
            y_next = (mu * now).add_(before, alpha=nu).add_(y, alpha=1 - mu - nu)
            y_next.addcmul_(torch.add(slope, first, alpha=_weight(j - 1) - 1), w, value=mu)
            following.append(y_next if j <= fewest else torch.where(like_rows(stages >= j, y), y_next, now))
        previous, current = current, tuple(following)
    return current


def _weight(j: int) -> float:
    """Return b_j."""
    return 1 / 3 if j < 2 else (j * j + j - 2) / (2 * j * (j + 1))
