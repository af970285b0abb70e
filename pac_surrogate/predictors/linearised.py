"""Predictors in closed form, with their variances: a linearised network, and a network with a kernel on top."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.kernels.cholesky import cholesky
from pac_surrogate.kernels.tangent import KERNEL_ROWS, Tangent
from pac_surrogate.models import activation_size
from pac_surrogate.models.network import by_pieces
from pac_surrogate.models.weights import Weights
from pac_surrogate.predictors.codec import Coded
from pac_surrogate.predictors.network import PREDICT_NUMBERS, Network

CROSS_NUMBERS = 2**24  # largest number of entries in one piece of a cross kernel


class ClosedForm(Coded):
    """The common part of both predictors: the noise, and the checks of a saved predictor."""

    called: ClassVar[str] = "the closed form"
    prefix: ClassVar[str] = "closed/"
    not_negative: ClassVar[tuple[str, ...]] = ("prior", "scale")

    base: Network
    ratio: float
    scale: Float[Tensor, " output"]

    @property
    def noise(self) -> Float[Tensor, " output"]:
        """Noise variance of each output, t^2."""
        return self.ratio * self.scale

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check that the network is in float64, that there are samples, and that the ratio is positive and finite."""
        if self.base.dtype != torch.float64 or sizes["sample"] == 0:
            raise ValueError("the closed form does not fit: its network must be in float64 and its samples one or more")
        if not 0 < self.ratio < float("inf"):
            raise ValueError(f"the ratio of a closed form must be positive and finite, got {self.ratio}")


@dataclass(frozen=True, eq=False, repr=False)
class Linearised(ClosedForm):
    """A network along its tangent, f(x; start) + J(x) change, with the exact block kernel.

    Attributes:
        base: the network at the start, in float64.
        change: posterior mean of the weights, minus the start.
        inputs: the training inputs, standardised.
        prior: variance of each weight, in units of the scale.
        ratio: t^2 / s^2.
        scale: s^2, the same number for all outputs, (output,).
    """

    base: Network
    change: Weights
    inputs: Float[Tensor, "sample input"]
    prior: Weights
    ratio: float
    scale: Float[Tensor, " output"]

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, in float64."""
        tangent = _tangent(self.base, x)
        size = batch_size or _batch(self.base, x)
        return by_pieces(lambda rows: [tangent.predict(rows) + tangent.along(rows, self.change)], x.double(), size)[0]

    def variance(self, x: Float[Tensor, "sample input"]) -> Float[Tensor, "sample output"]:
        """Return the standardised posterior variance without noise: s^2 [k(x, x) - k(x)' (K + ratio I)^-1 k(x)].

        Raises:
            ValueError: if the block kernel of the training samples is too large, as it may be after conjugate gradients.
        """
        return variances([self], x)[0]


@dataclass(frozen=True, eq=False, repr=False)
class SharedKernel(ClosedForm):
    """A network plus a kernel that all outputs share: f(x; start) + J(x) offset + k(x)' a.

    Attributes:
        base: the network at the start, in float64.
        offset: mean of the prior, minus the start; None where that is 0.
        inputs: the training inputs, standardised.
        coefficients: a = (k + ratio I)^-1 r.
        prior: variance of each weight, in units of the scale.
        ratio: t^2 / s^2.
        scale: s^2 of each output.
        projections: number of random projections of the outputs, from which the body's part of the kernel is estimated.
        seed: seed of the projections.
    """

    stored_as: ClassVar[Mapping[str, str]] = {"projections": "combinations"}

    base: Network
    offset: Weights | None
    inputs: Float[Tensor, "sample input"]
    coefficients: Float[Tensor, "sample output"]
    prior: Weights
    ratio: float
    scale: Float[Tensor, " output"]
    projections: int
    seed: int

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, in float64."""
        if len(x) == 0:
            return x.new_zeros(0, len(self.scale), dtype=torch.float64)
        tangent = _tangent(self.base, x)
        prior, inputs, coefficients = _to(self.prior, x), self.inputs.to(x.device), self.coefficients.to(x.device)
        size = batch_size or max(1, min(_batch(self.base, x), CROSS_NUMBERS // len(inputs)))

        def mean(rows: Float[Tensor, "row input"]) -> list[Float[Tensor, "row output"]]:
            (cross,) = tangent.shared([prior], rows, inputs, projections=self.projections, seed=self.seed)
            prediction = tangent.predict(rows) + cross @ coefficients
            return [prediction if self.offset is None else prediction + tangent.along(rows, self.offset)]

        return by_pieces(mean, x.double(), size)[0]

    def variance(self, x: Float[Tensor, "sample input"]) -> Float[Tensor, "sample output"]:
        """Return the standardised posterior variance without noise: one function of x, times the s^2 of each output."""
        return variances([self], x)[0]

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check the number of projections and the seed too."""
        super().check(sizes)
        if not 1 <= self.projections <= 10_000 or not 0 <= self.seed < 2**63:
            raise ValueError("the closed form has an impossible number of projections or seed")


def variances(
    members: Sequence[Linearised | SharedKernel], x: Float[Tensor, "sample input"]
) -> list[Float[Tensor, "sample output"]]:
    """Return posterior variances; predictors with equal start, kind of kernel and samples share the derivatives.

    Raises:
        ValueError: if the block kernel of the training samples is too large, as it may be after conjugate gradients.
    """
    if len(x) == 0:
        return [x.new_zeros(0, len(member.scale), dtype=torch.float64) for member in members]
    groups: list[list[int]] = []
    for place, member in enumerate(members):
        alike = [group for group in groups if _alike(members[group[0]], member)]
        if alike:
            alike[0].append(place)
        else:
            groups.append([place])
    found: dict[int, Tensor] = {}
    for group in groups:
        some: Any = [members[place] for place in group]
        solve: Any = _block_variances if isinstance(some[0], Linearised) else _shared_variances
        found |= dict(zip(group, solve(some, x.double()), strict=True))
    return [found[place] for place in range(len(members))]


def _alike(one: Linearised | SharedKernel, other: Linearised | SharedKernel) -> bool:
    """Whether two predictors have the same derivatives at the same samples."""
    kinds = [(type(m), getattr(m, "projections", 0), getattr(m, "seed", 0), m.base.architecture) for m in (one, other)]
    ours, theirs = one.base.weights, other.base.weights
    same = kinds[0] == kinds[1] and torch.equal(one.inputs, other.inputs)
    return same and (ours is theirs or all(torch.equal(ours[name], theirs[name]) for name in ours))


def _block_variances(members: Sequence[Linearised], x: Float[Tensor, "sample input"]) -> list[Float[Tensor, "sample output"]]:
    first, priors = members[0], [_to(member.prior, x) for member in members]
    outputs, inputs, tangent = len(first.scale), first.inputs.to(x.device), _tangent(first.base, x)
    held = len(inputs) * outputs
    if held > KERNEL_ROWS:
        raise ValueError(f"a variance needs at most {KERNEL_ROWS} rows (samples x outputs), got {held}: use kernel='shared'")
    factors = _factors(tangent.block(priors, inputs), members)

    def unscaled(rows: Float[Tensor, "row input"]) -> list[Float[Tensor, "row output"]]:
        wholes, crosses = tangent.block_diagonals(priors, rows), tangent.block(priors, rows, inputs)
        seen = [
            torch.linalg.solve_triangular(factor, cross.T, upper=False).square().sum(0).reshape(len(rows), outputs)
            for factor, cross in zip(factors, crosses, strict=True)
        ]
        return [(whole - part).clamp_min(0.0) for whole, part in zip(wholes, seen, strict=True)]

    found = by_pieces(unscaled, x, _rows(first.base, x, len(members) * outputs, held))
    return [member.scale.to(x.device) * own for member, own in zip(members, found, strict=True)]


def _shared_variances(
    members: Sequence[SharedKernel], x: Float[Tensor, "sample input"]
) -> list[Float[Tensor, "sample output"]]:
    first, priors = members[0], [_to(member.prior, x) for member in members]
    inputs, tangent = first.inputs.to(x.device), _tangent(first.base, x)
    shared = functools.partial(tangent.shared, priors, projections=first.projections, seed=first.seed)
    factors = _factors(shared(inputs), members)

    def unscaled(rows: Float[Tensor, "row input"]) -> list[Float[Tensor, " row"]]:
        wholes = tangent.shared_diagonals(priors, rows, projections=first.projections, seed=first.seed)
        seen = [
            torch.linalg.solve_triangular(factor, cross.T, upper=False).square().sum(0)
            for factor, cross in zip(factors, shared(rows, inputs), strict=True)
        ]
        return [(whole - part).clamp_min(0.0) for whole, part in zip(wholes, seen, strict=True)]

    found = by_pieces(unscaled, x, _rows(first.base, x, len(members), len(inputs)))
    return [own[:, None] * member.scale.to(x.device) for member, own in zip(members, found, strict=True)]


def _tangent(base: Network, x: Tensor) -> Tangent:
    return Tangent(base.module, _to(base.weights, x), str(base.module.readout_name))


def _to(weights: Weights, x: Tensor) -> Weights:
    return {name: weight.to(x.device) for name, weight in weights.items()}


def _batch(base: Network, x: Tensor) -> int:
    """Return the samples of a batch: float64 doubles the memory, and the derivative doubles it again."""
    return max(1, PREDICT_NUMBERS // (4 * activation_size(base.module, x.shape[1])))


def _rows(base: Network, x: Tensor, kernels: int, columns: int) -> int:
    """Return the samples of a piece for which neither the cross kernels nor the features behind them exceed the memory."""
    return max(1, CROSS_NUMBERS // (kernels * max(columns, activation_size(base.module, x.shape[1]))))


def _factors(
    grams: list[Float[Tensor, "row row"]], members: Sequence[Linearised | SharedKernel]
) -> list[Float[Tensor, "row row"]]:
    """Return the Cholesky factors of K + ratio I; each kernel is freed once it is factorised."""
    return [_factor(grams.pop(0), member.ratio) for member in members]


def _factor(gram: Float[Tensor, "row row"], ratio: float) -> Float[Tensor, "row row"]:
    """Return the Cholesky factor of K + ratio I; K is overwritten."""
    gram.diagonal().add_(ratio)
    factor, singular = cholesky(gram)
    if bool(singular):
        raise ValueError(
            f"the kernel of the training samples has no inverse in float64 at the ratio {ratio:g}: use a larger ratio"
        )
    return factor
