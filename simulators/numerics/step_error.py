"""The limit of the estimated error of solvers with fixed steps, and the error that is raised when a solution is lost."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Float
from torch import Tensor

# The largest permitted error estimate of the time steps, relative to the solution. At the limit of stability the estimate of a
# single step is 1.5 or more for the classical Runge-Kutta method and 1/3 for the leapfrog, so that an instability exceeds 0.1
# within one step, before it has grown. The two sides of a pair differ by 0.2 or more where there is much to transfer; an error
# of half of that could not be distinguished from the shift. All pairs but one are below the limit, see
# `docs/simulators/verification.md`.
TOLERANCE = 0.1

_LIMIT = ContextVar("limit", default=TOLERANCE)


class LostSolutionError(ValueError):
    """The error that a solver with fixed steps raises when it has lost the solution of a sample.

    Args:
        sample: number of the sample.
        time: time by which the solution was lost.
        error: estimated error up to the end, relative to the solution; infinite if the solution is not finite.
        limit: limit that the error exceeds.
        remedy: what the user can do, in a few words.
    """

    def __init__(self, sample: int, time: float, error: float, limit: float, remedy: str) -> None:
        self.sample, self.time, self.error, self.limit, self.remedy = sample, time, error, limit, remedy
        what = f"the error of its time steps is estimated at {error:.3g} of the solution, above the limit of {limit:g}"
        what = what if math.isfinite(error) else "what the time steps return is not finite"
        super().__init__(f"the solution of sample {sample} is lost by time t = {time:.6g}: {what}; {remedy}")

    def move(self, first: int) -> "LostSolutionError":
        """Return the same error for a batch whose first sample has the number `first`."""
        return LostSolutionError(first + self.sample, self.time, self.error, self.limit, self.remedy)


@contextmanager
def tolerate(limit: float) -> Iterator[None]:
    """Set a limit of the estimated relative error other than `TOLERANCE` for the solvers called within this context.

        with tolerate(math.inf):
            rough = solve_periodic(...)

    Args:
        limit: the limit, not negative; with `math.inf` no error is estimated, and only non-finite solutions are refused.

    Raises:
        ValueError: if the limit is negative or not a number.
    """
    if not limit >= 0:
        raise ValueError(f"limit must be 0 or more, got {limit}: use math.inf to estimate no error")
    before = _LIMIT.set(limit)
    try:
        yield
    finally:
        _LIMIT.reset(before)


def error_limit() -> float:
    """Return the limit of the current context; infinite if no error is to be estimated."""
    return _LIMIT.get()


def refuse_lost(errors: Float[Tensor, "time sample"], times: Sequence[float], remedy: str) -> None:
    """Check that no sample's estimated error at the last time exceeds the limit.

    Args:
        errors: estimated error up to each time, relative to the solution; NaN where the solution is not finite.
        times: the times t.
        remedy: what the user can do, in a few words.

    Raises:
        LostSolutionError: if an error exceeds the limit; it states the sample with the largest error, and of several with
            the same error the one that was lost first.
    """
    lost, final = ~(errors <= error_limit()), errors[-1].nan_to_num(nan=math.inf, posinf=math.inf)
    if bool(lost[-1].any()):
        since = lost.int().argmax(0)
        sample = int(torch.where(final == final.max(), since, len(times)).argmin())
        raise LostSolutionError(sample, times[int(since[sample])], float(final[sample]), error_limit(), remedy)


def refuse_not_finite(solution: Float[Tensor, "sample time ..."], times: Sequence[float], remedy: str) -> None:
    """Check that a solution is finite.

    Args:
        solution: solution at the times.
        times: the times t.
        remedy: what the user can do, in a few words.

    Raises:
        LostSolutionError: if a value is not finite; it states the sample that was lost first.
    """
    finite = torch.isfinite(solution).flatten(2).all(2) if solution.ndim > 2 else torch.isfinite(solution)
    if not bool(finite.all()):
        since = torch.where(finite.all(1), len(times), (~finite).int().argmax(1))
        sample = int(since.argmin())
        raise LostSolutionError(sample, times[int(since[sample])], math.inf, error_limit(), remedy)
