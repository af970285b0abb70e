"""The readout's part of a tangent kernel, computed exactly and without derivatives from the features that it reads."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.kernels.jacobian import along
from pac_surrogate.models import activation_size, evaluate
from pac_surrogate.models.weights import Weights
from pac_surrogate.utilities.display import Shown

NUMBERS = 2**25  # derivatives or features of one piece of the samples; two pieces are in memory at once


@dataclass(frozen=True, eq=False, repr=False)
class Readout(Shown):
    """The readout of a model at given weights.

    Attributes:
        model: the module.
        start: its weights.
        name: name of the readout module.
    """

    model: nn.Module
    start: Weights
    name: str

    def positions(self, x: Float[Tensor, "sample input"]) -> int | None:
        """Return at how many positions the readout is applied, or None if the model does not return the features that it reads.

        The readout must be affine in the last features, pointwise; see `models`. This is tested with one sample.
        """
        names = [f"{self.name}.weight", f"{self.name}.bias"]
        weight = self.start.get(names[0])
        if weight is None or any(n.startswith(f"{self.name}.") and n not in names for n in self.start):
            return None
        _, found = evaluate(self.model, self.start, x[:1])
        if weight.ndim < 2 or math.prod(weight.shape[2:]) != 1 or not found or found[-1].shape[1] != weight.shape[1]:
            return None
        features = _by_position(found[-1])
        return features.shape[1] if self._reads(x[:1], features[0].detach(), *names) else None

    def features(self, x: Float[Tensor, "sample input"]) -> Iterator[tuple[slice, Float[Tensor, "row position feature"]]]:
        """Yield what the readout reads, some samples at a time, because a forward pass holds the features of all layers."""
        size = max(1, NUMBERS // activation_size(self.model, x.shape[1]))
        for i in range(0, len(x), size):
            yield slice(i, min(i + size, len(x))), _by_position(evaluate(self.model, self.start, x[i : i + size])[1][-1])

    def pairs(
        self, a: Float[Tensor, "sample input"], b: Float[Tensor, "other input"] | None
    ) -> Iterator[tuple[slice, Tensor, slice, Tensor]]:
        """Yield what the readout reads at all pairs of pieces of a and b."""
        for rows, left in self.features(a):
            for columns, right in self.features(a if b is None else b):
                yield rows, left, columns, right

    def parts(
        self,
        variance: Mapping[str, Tensor],
        left: Float[Tensor, "sample position feature"],
        right: Float[Tensor, "other position feature"],
        *,
        mean: bool = False,
    ) -> Iterator[Float[Tensor, "channel sample other"]]:
        """Yield what the readout's weight and bias add to the kernel of each channel, or to their mean; mean over positions."""
        weight, bias = self._variances(variance, mean)
        if bool((weight > 0).any()):
            same = bool((weight == weight[0]).all())  # then the part of one channel is that of all
            part = torch.einsum("ipf,of,jpf->oij", left, weight[:1] if same else weight, right) / left.shape[1]
            yield part.expand(len(weight), -1, -1)
        if bias is not None and bool((bias > 0).any()):
            yield bias[:, None, None].expand(-1, len(left), len(right))

    def diagonals(
        self, variances: Sequence[Mapping[str, Tensor]], x: Float[Tensor, "sample input"], *, mean: bool = False
    ) -> list[Float[Tensor, "sample channel"]]:
        """Compute the diagonals of the sum of `parts`, for each prior, without the products of different samples."""
        parts: list[list[Tensor]] = [[] for _ in variances]
        for _, features in self.features(x):
            square = features.square().mean(1)
            for own, variance in zip(parts, variances, strict=True):
                weight, bias = self._variances(variance, mean)
                own.append(square @ weight.T if bias is None else square @ weight.T + bias)
        return [torch.cat(own) for own in parts]

    def _reads(self, x: Tensor, features: Float[Tensor, "position feature"], weight: str, bias: str) -> bool:
        """Return whether the outputs change with the readout as an affine readout requires, tested in one direction.

        At a single position, outputs are channels, and each channel may change differently. On a grid, only the model knows the
        order of the outputs, so all channels change equally, and the changes are compared after sorting.
        """
        channels, width = self.start[weight].shape[:2]
        row = torch.randn(width, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(x)
        steps = torch.arange(1, channels + 1).to(x) if len(features) == 1 else torch.ones(channels).to(x)
        change = {name: torch.zeros_like(tensor) for name, tensor in self.start.items()}
        change[weight] = (steps[:, None] * row).view_as(change[weight])
        expected = features @ row
        if bias in self.start:
            change[bias] = steps
            expected = expected + 1
        with torch.no_grad():
            found = along(self.model, self.start, x, change)[0]
        expected = (steps[:, None] * expected).flatten()
        if len(features) > 1:
            found, expected = found.sort().values, expected.sort().values
        return found.shape == expected.shape and torch.allclose(
            found, expected, rtol=1e-8, atol=1e-8 * float(found.abs().max())
        )

    def _variances(
        self, variance: Mapping[str, Tensor], mean: bool
    ) -> tuple[Float[Tensor, "channel feature"], Float[Tensor, " channel"] | None]:
        """Return the variances of the readout's weight and bias for each channel, or their means over the channels."""
        weight, bias = variance[f"{self.name}.weight"].flatten(1), variance.get(f"{self.name}.bias")
        if mean:
            weight, bias = weight.mean(0, keepdim=True), None if bias is None else bias.mean(0, keepdim=True)
        return weight, bias


def _by_position(features: Float[Tensor, "sample feature *grid"]) -> Float[Tensor, "sample position feature"]:
    return features.flatten(2).mT if features.ndim > 2 else features[:, None]
