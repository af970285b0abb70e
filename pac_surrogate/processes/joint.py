"""Two levels fitted together, from where they were found one after the other.

With a few dozen samples of the lower level, those of the upper one inform its hyper-parameters too. The joint covariance is
that of y = f(x) + noise on the lower level and y = rho f(x) + delta(x) + noise on the upper one; each has a mean of its own.
"""

import dataclasses
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.processes.covariance import NOISE, Shape
from pac_surrogate.processes.evidence import log_evidence
from pac_surrogate.processes.fits import unlikeness
from pac_surrogate.processes.maximise import maximise
from pac_surrogate.utilities.display import Shown

SAMPLES = 250  # largest number of samples of both levels together
# The logarithm of a factor: the bounds of the noise are 27.6 apart in its logarithm, and samples determine it to about 1.5.
QUIET = math.log(math.log(NOISE[1] / NOISE[0]) / 1.5)
REACH = 8.0  # largest change of the logarithm of a hyper-parameter; that of rho is relative to max(|rho|, 0.1)


@dataclass(frozen=True, eq=False, repr=False)
class Joint(Shown):
    """The samples of two levels, for one or several components with the same kernels.

    Attributes:
        lower: shape of f.
        upper: shape of delta.
        z: inputs, those of the lower level first.
        low: number of samples of the lower level.
        values: samples of each component.
    """

    lower: Shape
    upper: Shape
    z: Float[Tensor, "sample dimension"]
    low: int
    values: Float[Tensor, "run sample 1"]

    def evidence(self, parameters: Float[Tensor, "run parameter"]) -> Float[Tensor, " run"]:
        """Return the log restricted likelihood; the parameters are those of f, those of delta, and rho."""
        slope, high = parameters[:, -1], torch.arange(len(self.z)) >= self.low
        scale = torch.where(high, slope[:, None], 1.0)
        signal, noise = self.lower.parts(parameters[:, : self.lower.count], self.z)
        total = signal * scale[:, :, None] * scale[:, None, :] + torch.diag_embed(torch.where(high, 0.0, noise[:, None]))
        own = self.upper.covariance(parameters[:, self.lower.count : -1], self.z[self.low :])
        total = total + torch.nn.functional.pad(own, (self.low, 0, self.low, 0))
        # The means of f and of delta span the constants of either level, whatever rho is.
        basis = torch.stack([~high, high], 1).to(self.values)
        return log_evidence(total, self.values, basis=basis)

    def objective(self, parameters: Float[Tensor, "run parameter"]) -> Float[Tensor, " run"]:
        """Return the evidence with the prior of the discrepancy's lengths, up to a constant."""
        return self.evidence(parameters) - unlikeness(self.upper, parameters[:, self.lower.count : -1])


def refine(joint: Joint, start: Float[Tensor, "run parameter"]) -> Float[Tensor, "run parameter"]:
    """Return the hyper-parameters of greatest joint evidence that searches from the given ones find.

    Either level may have no noise, as most simulations have none. A noise costs the factor by which its prior, whose logarithm
    is uniform between the bounds, is wider than what the samples leave of it (MacKay, Neural Computation 4 (1992) 415-447). A
    level without noise is therefore preferred unless the evidence with noise is greater by this factor.
    """
    places = [joint.lower.count - 1, start.shape[1] - 2]  # of the noise of either level
    variances = torch.cat(
        [level.var(1, correction=0) for level in (joint.values[:, : joint.low], joint.values[:, joint.low :])], 1
    )
    least = torch.full_like(start, -torch.inf)
    least[:, places] = (NOISE[0] * torch.where(variances > 0, variances, 1.0)).log()
    free = _search(joint, torch.maximum(start, least), least, torch.ones_like(start))
    tried, masks = [free], [torch.ones_like(free)]
    for quiet in ([places[0]], [places[1]], places):
        mask, point = torch.ones_like(free), free.clone()
        mask[:, quiet], point[:, quiet] = 0.0, least[:, quiet]
        tried.append(point)
        masks.append(mask)
    count = len(free)
    several = dataclasses.replace(joint, values=joint.values.repeat(3, 1, 1))
    found = [free, *_search(several, torch.cat(tried[1:]), least.repeat(3, 1), torch.cat(masks[1:])).split(count)]
    price = torch.stack([QUIET * ((one - least)[:, places] > 1.0).sum(1) for one in found])
    best = (torch.stack([joint.objective(one) for one in found]) - price).argmax(0)
    return torch.stack(found)[best, torch.arange(count)]


def _search(
    joint: Joint,
    start: Float[Tensor, "run parameter"],
    least: Float[Tensor, "run parameter"],
    mask: Float[Tensor, "run parameter"],
) -> Float[Tensor, "run parameter"]:
    """Search from the given hyper-parameters, of which those with the mask 0 stay, and none becomes smaller than the least."""
    unit = mask.clone()
    unit[:, -1] *= start[:, -1].abs().clamp_min(0.1)

    def at(change: Tensor, which: Tensor) -> Tensor:
        return torch.maximum(start[which] + unit[which] * change, least[which])

    def value(points: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        change = points.detach().requires_grad_()
        part = dataclasses.replace(joint, values=joint.values[which])
        with torch.enable_grad():
            found = part.objective(at(change, which))
            (gradient,) = torch.autograd.grad(found.sum(), change)
        finite = torch.isfinite(found.detach()) & torch.isfinite(gradient).all(1)
        return torch.where(finite, found.detach(), -torch.inf), torch.where(finite[:, None], gradient, 0.0)

    bounds = torch.full((2, start.shape[1]), REACH, dtype=start.dtype) * torch.tensor([[-1.0], [1.0]], dtype=start.dtype)
    change, _ = maximise(value, torch.zeros_like(start), bounds)
    return at(change, torch.arange(len(start)))
