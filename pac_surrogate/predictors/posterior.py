"""The joint posterior of a predictor at some inputs, in standardised units."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.predictors.autoregressive import Autoregressive
from pac_surrogate.predictors.gaussian_process import GaussianProcess
from pac_surrogate.predictors.linearised import Linearised, SharedKernel
from pac_surrogate.predictors.predictor import Predictor
from pac_surrogate.predictors.processes import Processes
from pac_surrogate.utilities.display import Shown

ROWS = 256  # rows whose covariance is computed at once, where only its diagonal is needed


@dataclass(frozen=True, eq=False, repr=False)
class Members(Shown):
    """Normal distributions of members, of which the components of the outputs are mixtures.

    Attributes:
        means: (row, member).
        covariances: for each member the covariance of the rows.
        noise: variance of the noise of each member.
        fractions: weight of each member in its component.
        component: number of each member's component.
        basis: a row for each member; those of one component are equal.
        offset: (row, output), added to the outputs.
    """

    means: Float[Tensor, "row member"]
    covariances: Sequence[Float[Tensor, "row row"]]
    noise: Float[Tensor, " member"]
    fractions: Float[Tensor, " member"]
    component: Int[Tensor, " member"]
    basis: Float[Tensor, "member output"]
    offset: Float[Tensor, "row output"]

    def variance(self, *, noise: bool) -> Float[Tensor, "row output"]:
        """Return the variance of each output, that of the noise included if asked for."""
        own = torch.stack([covariance.diagonal() for covariance in self.covariances], 1).clamp_min(0.0)
        own = own + self.noise if noise else own
        total = torch.zeros_like(self.offset)
        for number in torch.unique(self.component):
            members = self.component == number
            fractions = self.fractions[members]
            middle = self.means[:, members] @ fractions
            spread = (self.means[:, members] - middle[:, None]).square()
            total = total + ((own[:, members] + spread) @ fractions)[:, None] * self.basis[members][0].square()
        return total

    def draws(self, count: int, generator: torch.Generator, *, noise: bool) -> Float[Tensor, "draw row output"]:
        """Return joint draws at the rows: in each, every component is that of one member, chosen with its fraction."""
        rows = len(self.means)
        total = self.offset.expand(count, -1, -1).clone()
        for number in torch.unique(self.component):
            members = torch.nonzero(self.component == number)[:, 0]
            chosen = torch.multinomial(self.fractions[members], count, replacement=True, generator=generator)
            normal = torch.randn(count, rows, generator=generator, dtype=torch.float64)
            extra = torch.randn(count, rows, generator=generator, dtype=torch.float64) * noise
            values = torch.empty(count, rows, dtype=torch.float64)
            for place, member in enumerate(members):
                own = chosen == place
                root = _root(self.covariances[int(member)])
                values[own] = self.means[:, member] + normal[own] @ root.T + extra[own] * self.noise[member].sqrt()
            total = total + values[:, :, None] * self.basis[members[0]]
        return total


def _root(covariance: Float[Tensor, "row row"]) -> Float[Tensor, "row row"]:
    """Return a square root of a covariance that may be singular."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(0.0).sqrt()


def members_of(predictor: Predictor, x: Float[Tensor, "row input"]) -> Members | None:
    """Return the posterior of a predictor at standardised inputs; None if it has none."""
    x = x.double()
    if isinstance(predictor, Processes | Autoregressive):
        whole = predictor.base if isinstance(predictor, Autoregressive) else predictor
        count = len(predictor.noise)
        fractions, component = torch.ones(count, dtype=torch.float64), torch.arange(count)
        if isinstance(predictor, Autoregressive):
            fractions, component = predictor.fractions, predictor.component
        return Members(
            predictor.components(x),
            [predictor.covariance(m, x) for m in range(count)],
            predictor.noise,
            fractions,
            component,
            whole.basis,
            predictor.offset.expand(len(x), -1),
        )
    if isinstance(predictor, GaussianProcess) and predictor.noise is not None:
        outputs = len(predictor.mean)
        return Members(
            torch.zeros(len(x), outputs, dtype=torch.float64),
            [predictor.covariance(x)] * outputs,  # one covariance serves all outputs
            predictor.noise.expand(outputs),
            torch.ones(outputs, dtype=torch.float64),
            torch.arange(outputs),
            torch.eye(outputs, dtype=torch.float64),
            predictor.predict(x),
        )
    return None


def variance_of(predictor: Predictor, x: Float[Tensor, "row input"], *, noise: bool) -> Float[Tensor, "row output"] | None:
    """Return the posterior variance of a predictor at standardised inputs; None if it has no posterior."""
    if isinstance(predictor, Linearised | SharedKernel):
        return predictor.variance(x) + (predictor.noise if noise else 0.0)
    found = []
    for rows in x.split(ROWS):
        members = members_of(predictor, rows)
        if members is None:
            return None
        found.append(members.variance(noise=noise))
    return torch.cat(found)
