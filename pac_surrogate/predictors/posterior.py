"""The joint posterior of a predictor at some inputs, in standardised units; it is computed on the CPU."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.predictors.autoregressive import Autoregressive
from pac_surrogate.predictors.gaussian_process import GaussianProcess
from pac_surrogate.predictors.linearised import Linearised, SharedKernel
from pac_surrogate.predictors.output_groups import OutputGroups
from pac_surrogate.predictors.predictor import Predictor
from pac_surrogate.predictors.processes import Processes

ROWS = 256  # rows whose covariance is computed at once, where only its diagonal is needed


def has_joint_posterior(predictor: Predictor) -> bool:
    """Return whether a predictor has a joint posterior of several inputs."""
    if isinstance(predictor, OutputGroups):
        return all(map(has_joint_posterior, predictor.members))
    known = isinstance(predictor, GaussianProcess) and predictor.noise is not None
    return known or isinstance(predictor, Processes | Autoregressive)


def variance_of(predictor: Predictor, x: Float[Tensor, "row input"], *, noise: bool) -> Float[Tensor, "row output"] | None:
    """Return the posterior variance of each output at standardised inputs; None if the predictor has none.

    Args:
        predictor: any predictor.
        x: standardised inputs.
        noise: whether to include the variance of the noise.

    Raises:
        ValueError: if a closed form with the block kernel has more than 4,000 rows (samples times outputs).
    """
    if isinstance(predictor, OutputGroups):
        parts = [variance_of(member, x, noise=noise) for member in predictor.members]
        known = [one for one in parts if one is not None]
        return predictor.placed(known) if len(known) == len(parts) else None
    if isinstance(predictor, Linearised | SharedKernel):
        variance = predictor.variance(x)
        return variance + predictor.noise.to(x.device) if noise else variance
    pieces = x.double().cpu().split(ROWS)
    if isinstance(predictor, GaussianProcess) and predictor.noise is not None:
        factor = predictor.factor()
        shared = torch.cat([predictor.covariance(rows, factor).diagonal() for rows in pieces]).clamp_min(0.0)
        shared = shared + predictor.noise if noise else shared
        return shared[:, None].expand(-1, len(predictor.mean)).to(x.device)
    if isinstance(predictor, Processes | Autoregressive):
        factors = [predictor.factor(m) for m in range(len(predictor.noise))]
        return torch.cat([_mixed(predictor, rows, factors, noise=noise) for rows in pieces]).to(x.device)
    return None


def _mixed(
    predictor: Processes | Autoregressive,
    x: Float[Tensor, "row input"],
    factors: list[Float[Tensor, "sample sample"]],
    *,
    noise: bool,
) -> Float[Tensor, "row output"]:
    """Return the variance of each output, whose components are mixtures of members."""
    own = torch.stack([predictor.covariance(m, x, factor).diagonal() for m, factor in enumerate(factors)], 1).clamp_min(0.0)
    own, means = own + predictor.noise if noise else own, predictor.components(x)
    fractions, component, basis = _mixture(predictor)
    total = torch.zeros(len(x), basis.shape[1], dtype=torch.float64)
    for number in torch.unique(component):
        members = component == number
        middle = means[:, members] @ fractions[members]
        spread = (means[:, members] - middle[:, None]).square()
        total += ((own[:, members] + spread) @ fractions[members])[:, None] * basis[members][0].square()
    return total


def draws_of(
    predictor: Predictor, x: Float[Tensor, "row input"], count: int, generator: torch.Generator, *, noise: bool
) -> Float[Tensor, "draw row output"]:
    """Return joint draws of the outputs at standardised inputs; in each, a component is that of one member, chosen at random.

    Groups of outputs that were fitted to different samples are independent of each other.

    Args:
        predictor: a predictor with a joint posterior.
        x: standardised inputs.
        count: number of draws.
        generator: random number generator on the CPU.
        noise: whether to include the noise.
    """
    if isinstance(predictor, OutputGroups):
        return predictor.placed([draws_of(member, x, count, generator, noise=noise) for member in predictor.members])
    rows = x.double().cpu()

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    if isinstance(predictor, GaussianProcess) and predictor.noise is not None:
        outputs = len(predictor.mean)
        drawn = predictor.predict(rows) + _root(predictor.covariance(rows)) @ normal(count, len(rows), outputs)
        return (drawn + noise * predictor.noise.sqrt() * normal(count, len(rows), outputs)).to(x.device)
    assert isinstance(predictor, Processes | Autoregressive)
    fractions, component, basis = _mixture(predictor)
    means = predictor.components(rows)
    total = predictor.offset.expand(count, len(rows), -1).clone()
    for number in torch.unique(component):
        members = torch.nonzero(component == number)[:, 0]
        chosen = torch.multinomial(fractions[members], count, replacement=True, generator=generator)
        smooth, extra = normal(count, len(rows)), noise * normal(count, len(rows))
        for place, member in enumerate(members.tolist()):
            own = chosen == place
            if bool(own.any()):
                root = _root(predictor.covariance(member, rows))
                values = means[:, member] + smooth[own] @ root.T + extra[own] * predictor.noise[member].sqrt()
                total[own] += values[:, :, None] * basis[member]
    return total.to(x.device)


def _mixture(
    predictor: Processes | Autoregressive,
) -> tuple[Float[Tensor, " member"], Int[Tensor, " member"], Float[Tensor, "member output"]]:
    """Return the fraction of each member in its component, the number of that component, and the rows of the basis."""
    if isinstance(predictor, Autoregressive):
        return predictor.fractions, predictor.component, predictor.base.basis
    count = len(predictor.noise)
    return torch.ones(count, dtype=torch.float64), torch.arange(count), predictor.basis


def _root(covariance: Float[Tensor, "row row"]) -> Float[Tensor, "row row"]:
    """Return a square root of a covariance that may be singular."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(0.0).sqrt()
