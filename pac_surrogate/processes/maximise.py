"""The maxima of many smooth functions in a box, which one quasi-Newton method finds side by side.

The evidence of some ten samples takes less time than the calls that compute it, so that fifty searches together cost little
more than one. SciPy's searches cannot be run together, hence this one: the BFGS update of the inverse Hessian, without the
parameters that are at a bound and would leave it, and a backtracking line search along the projected path.
Sources: Nocedal & Wright, Numerical Optimization (2006), chapter 6; Bertsekas, SIAM J. Control Optim. 20 (1982) 221-246.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

ITERATIONS = 150
LONGEST = 2.0  # largest change of a parameter in one step; the parameters are logarithms
SUFFICIENT = 1e-4  # fraction of the expected gain that a step must reach
SHRINK = 0.35
SHORTER = 14  # largest number of times that a step is shortened
SMALL = 1e-7  # a search ends after two steps whose gain, relative to 1 + |value|, is smaller

Function = Callable[[Float[Tensor, "some parameter"], Int[Tensor, " some"]], tuple[Float[Tensor, " some"], Tensor]]


def maximise(
    function: Function,
    start: Float[Tensor, "run parameter"],
    bounds: Float[Tensor, "2 parameter"],
    *,
    iterations: int = ITERATIONS,
) -> tuple[Float[Tensor, "run parameter"], Float[Tensor, " run"]]:
    """Return the points found and their values; a run whose function is not finite at its start stays there.

    Args:
        function: returns values and gradients at some points, given the numbers of their runs; -inf outside its domain.
        start: where each run starts; it is moved into the box.
        bounds: the smallest and the largest parameters.
        iterations: largest number of steps.
    """
    low, high = bounds
    runs, parameters = start.shape
    point = start.clamp(low, high)
    value, gradient = function(point, torch.arange(runs))
    unit = torch.eye(parameters, dtype=start.dtype)
    inverse, fresh = unit.repeat(runs, 1, 1), torch.ones(runs, dtype=torch.bool)
    stalled, live = torch.zeros(runs, dtype=torch.int64), torch.isfinite(value)
    for _ in range(iterations):
        own = torch.nonzero(live)[:, 0]
        if not len(own):
            break
        x, f, g = point[own], value[own], gradient[own]
        held = ((x <= low) & (g < 0)) | ((x >= high) & (g > 0))
        free = torch.where(held, 0.0, g)
        direction = torch.where(held, 0.0, (inverse[own] @ free[:, :, None])[:, :, 0])
        useless = (direction * free).sum(1) <= 1e-8 * direction.norm(dim=1) * free.norm(dim=1)
        direction = torch.where(useless[:, None], free, direction)
        inverse[own[useless]], fresh[own[useless]] = unit, True
        longest = torch.where(fresh[own], 0.5, LONGEST)  # nothing is known yet about the curvature
        direction = direction * (longest / direction.abs().amax(1).clamp_min(1e-300)).clamp_max(1.0)[:, None]
        new_x, new_f, new_g = x.clone(), f.clone(), g.clone()
        length, left = 1.0, torch.arange(len(own))
        for _ in range(SHORTER):
            tried = (x[left] + length * direction[left]).clamp(low, high)
            reached, slope = function(tried, own[left])
            gain = SUFFICIENT * ((tried - x[left]) * free[left]).sum(1)
            good = torch.isfinite(reached) & (reached >= f[left] + gain)
            done = left[good]
            new_x[done], new_f[done], new_g[done] = tried[good], reached[good], slope[good]
            left = left[~good]
            if not len(left):
                break
            length *= SHRINK
        step, change = new_x - x, g - new_g
        product = (step * change).sum(1)
        curved = product > 1e-10 * step.norm(dim=1) * change.norm(dim=1)
        some = own[curved]
        inverse[some] = _updated(inverse[some], step[curved], change[curved], product[curved], fresh[some])
        fresh[some] = False
        little = new_f - f < SMALL * (1 + f.abs())
        # A search that cannot go on is tried once more along the gradient.
        stuck = torch.zeros_like(little)
        stuck[left] = True
        inverse[own[stuck]], fresh[own[stuck]] = unit, True
        stalled[own] = torch.where(little, stalled[own] + 1, 0)
        live[own] = (stalled[own] < 2) & (free.abs().amax(1) > 0)
        point[own], value[own], gradient[own] = new_x, new_f, new_g
    return point, value


def _updated(
    inverse: Float[Tensor, "run parameter parameter"],
    step: Float[Tensor, "run parameter"],
    change: Float[Tensor, "run parameter"],
    product: Float[Tensor, " run"],
    fresh: Tensor,
) -> Float[Tensor, "run parameter parameter"]:
    """Return the inverse Hessian after the BFGS update; the first one is scaled by the curvature that was seen."""
    scale = torch.where(fresh, product / change.square().sum(1), 1.0)
    inverse = inverse * scale[:, None, None]
    moved = (inverse @ change[:, :, None])[:, :, 0]
    outer = step[:, :, None] * moved[:, None, :]
    curvature = 1 + (change * moved).sum(1) / product
    rank = curvature[:, None, None] * step[:, :, None] * step[:, None, :] - outer - outer.transpose(1, 2)
    return inverse + rank / product[:, None, None]
