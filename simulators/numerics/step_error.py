"""When a solver with fixed steps has lost the solution: what it estimates of its own error, and what it refuses."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Float
from torch import Tensor

# The largest estimated error of the time steps, relative to the solution. At the limit of stability a single step of the
# classical Runge-Kutta method has an estimate of 1.5 or more, one of the leapfrog 1/3: an instability passes 0.1 within a step,
# before it has grown. The two sides of a pair differ by 0.2 or more where there is much to transfer; an error of half of that
# could not be told from the shift. The steps of all pairs but one are below it, see `simulators/README.md`.
TOLERANCE = 0.1

_LIMIT = ContextVar("limit", default=TOLERANCE)


class LostSolutionError(ValueError):
    """A solver with fixed steps has lost the solution of a sample.

    Args:
        sample: its number.
        time: by which the solution was lost.
        error: estimated up to the end, relative to the solution; infinite if the solution is not finite.
        limit: which the error is above.
        remedy: what to do, in a few words.
    """

    def __init__(self, sample: int, time: float, error: float, limit: float, remedy: str) -> None:
        self.sample, self.time, self.error, self.limit, self.remedy = sample, time, error, limit, remedy
        what = f"the error of its time steps is estimated at {error:.3g} of the solution, above the limit of {limit:g}"
        what = what if math.isfinite(error) else "what the time steps return is not finite"
        super().__init__(f"the solution of sample {sample} is lost by time t = {time:.6g}: {what}; {remedy}")

    def move(self, first: int) -> "LostSolutionError":
        """Return the same error of a batch that begins with the sample of this number."""
        return LostSolutionError(first + self.sample, self.time, self.error, self.limit, self.remedy)


@contextmanager
def tolerate(limit: float) -> Iterator[None]:
    """Within this context solvers refuse above another estimated error, relative to the solution, than `TOLERANCE`.

        with tolerate(math.inf):
            rough = solve_periodic(...)

    Args:
        limit: not negative; with `math.inf` nothing is estimated, and only what is not finite is refused.

    Raises:
        ValueError: if the limit is negative or not a number.
    """
    if not limit >= 0:
        raise ValueError(f"limit must be 0 or more, got {limit}: math.inf estimates nothing")
    before = _LIMIT.set(limit)
    try:
        yield
    finally:
        _LIMIT.reset(before)


def error_limit() -> float:
    """Return the limit that holds here; infinite if nothing is to be estimated."""
    return _LIMIT.get()


def refuse_lost(errors: Float[Tensor, "time sample"], times: Sequence[float], remedy: str) -> None:
    """Refuse samples whose estimated error at the last time passes the limit.

    Args:
        errors: made up to each time, relative to the solution; NaN where that is not finite.
        times: t.
        remedy: what to do, in a few words.

    Raises:
        LostSolutionError: if there is one; of the worst sample, among equals of the first that was lost.
    """
    lost, final = ~(errors <= error_limit()), errors[-1].nan_to_num(nan=math.inf, posinf=math.inf)
    if bool(lost[-1].any()):
        since = lost.int().argmax(0)
        sample = int(torch.where(final == final.max(), since, len(times)).argmin())
        raise LostSolutionError(sample, times[int(since[sample])], float(final[sample]), error_limit(), remedy)


def refuse_not_finite(solution: Float[Tensor, "sample time ..."], times: Sequence[float], remedy: str) -> None:
    """Refuse a solution that is not finite.

    Args:
        solution: at the times.
        times: t.
        remedy: what to do, in a few words.

    Raises:
        LostSolutionError: if a value is not finite; of the sample that was lost first.
    """
    finite = torch.isfinite(solution).flatten(2).all(2) if solution.ndim > 2 else torch.isfinite(solution)
    if not bool(finite.all()):
        since = torch.where(finite.all(1), len(times), (~finite).int().argmax(1))
        sample = int(since.argmin())
        raise LostSolutionError(sample, times[int(since[sample])], math.inf, error_limit(), remedy)
