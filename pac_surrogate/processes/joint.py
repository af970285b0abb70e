"""Two levels fitted together, from where they were found one after the other.

With a few dozen samples of the lower level, those of the upper one inform its hyper-parameters too. The joint covariance is
that of y = f(x) + noise on the lower level and y = rho f(x) + delta(x) + noise on the upper one; each has a mean of its own.
"""

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


def refine(joint: Joint, start: Float[Tensor, "run parameter"]) -> Float[Tensor, "run parameter"]:
    """Return the hyper-parameters of greatest joint evidence that a search from the given ones finds."""
    rho = start.shape[1] - 1
    unit = torch.ones_like(start)
    unit[:, rho] = start[:, rho].abs().clamp_min(0.1)
    # The least noise of either level, as in the searches before.
    low, count = joint.values[:, : joint.low], joint.lower.count
    least = torch.full_like(start, -torch.inf)
    for place, values in ((count - 1, low), (rho - 1, joint.values[:, joint.low :])):
        variance = values.var(1, correction=0)[:, 0]
        least[:, place] = NOISE[0] * torch.where(variance > 0, variance, 1.0)
        least[:, place] = torch.minimum(least[:, place].log(), start[:, place])

    def parameters_at(change: Tensor, which: Tensor) -> Tensor:
        return torch.maximum(start[which] + unit[which] * change, least[which])

    def value(points: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        change = points.detach().requires_grad_()
        part = Joint(joint.lower, joint.upper, joint.z, joint.low, joint.values[which])
        with torch.enable_grad():
            parameters = parameters_at(change, which)
            found = part.evidence(parameters) - unlikeness(joint.upper, parameters[:, count:-1])
            (gradient,) = torch.autograd.grad(found.sum(), change)
        finite = torch.isfinite(found.detach()) & torch.isfinite(gradient).all(1)
        return torch.where(finite, found.detach(), -torch.inf), torch.where(finite[:, None], gradient, 0.0)

    bounds = torch.full((2, start.shape[1]), REACH, dtype=start.dtype) * torch.tensor([[-1.0], [1.0]], dtype=start.dtype)
    change, _ = maximise(value, torch.zeros_like(start), bounds)
    return parameters_at(change, torch.arange(len(start)))
