"""A kernel's eigendecomposition: mean, leave-one-out residuals and evidence for every ratio of noise to prior variance.

With residuals r, K the kernel, A = (K + ratio I)^-1 and N numbers in r:

    coefficients    A r
    leave one out   e_i = [A]_ii^-1 [A r]_i, in blocks of all outputs of a sample, and of all samples of equal input (see
                    `repeats`); variance s_i^2 [A]_ii^-1, where s_i is the scale of the other samples
    scale           s^2 = r' A r / N
    evidence        log N(r; 0, s^2 (K + ratio I))
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.data.repeats import group_sum, repeated
from pac_surrogate.utilities.display import Shown
from pac_surrogate.utilities.process import threads_for


@dataclass(frozen=True, eq=False, repr=False)
class Solution(Shown):
    """The solution for one ratio of noise to prior variance.

    Attributes:
        ratio: t^2 / s^2.
        coefficients: (K + ratio I)^-1 r.
        left_out: leave-one-out residuals.
        left_out_variance: expected squares of these residuals, given the other samples, noise included.
        scale: s^2, one number for each output (all the same for the block kernel).
        evidence: log evidence.
    """

    ratio: float
    coefficients: Float[Tensor, "sample output"]
    left_out: Float[Tensor, "sample output"]
    left_out_variance: Float[Tensor, "sample output"]
    scale: Float[Tensor, " output"]
    evidence: float

    @property
    def error(self) -> float:
        """Mean squared leave-one-out error."""
        value = float(self.left_out.square().mean())
        return value if math.isfinite(value) else math.inf


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Shown):
    """The eigendecomposition of a kernel, one factorisation that solves for every ratio.

    Attributes:
        values: eigenvalues, not negative.
        vectors: (sample, row of the sample, eigenvector), with one row per sample in a shared kernel, and one row per output of
            a sample in a block kernel.
        rotated: residuals in the coordinates of the eigenvectors.
        residual: residuals (sample, output).
        mean_diagonal: mean of the diagonal of the kernel.
        group: number of each sample's input.
    """

    values: Float[Tensor, " row"]
    vectors: Float[Tensor, "sample own row"]
    rotated: Float[Tensor, "row column"]
    residual: Float[Tensor, "sample output"]
    mean_diagonal: float
    group: Int[Tensor, " sample"]

    @classmethod
    def of(
        cls,
        gram: Float[Tensor, "row row"],
        residual: Float[Tensor, "sample output"],
        group: Int[Tensor, " sample"],
        *,
        shared: bool,
    ) -> "Spectrum":
        """Decompose a kernel."""
        with threads_for(float(len(gram)) ** 3 / 10):  # it makes many calls, which are short below about 500 rows
            values, vectors = torch.linalg.eigh(gram)
        columns = residual if shared else residual.reshape(-1, 1)
        mean = float(gram.diagonal().mean()) or 1.0  # a prior with variance 0 everywhere has no scale of its own
        rows = vectors.unflatten(0, (len(residual), -1))
        return cls(values.clamp_min(0.0), rows, vectors.T @ columns, residual, mean, group)

    def solve(self, ratio: float) -> Solution:
        """Solve for one positive ratio t^2 / s^2."""
        with threads_for(2 * self.vectors.numel() * self.vectors.shape[1]):
            return self._solve(ratio)

    def _solve(self, ratio: float) -> Solution:
        samples, outputs = self.residual.shape
        inverse = 1 / (self.values + ratio)
        flat = self.vectors.flatten(0, 1)
        coefficients = (flat @ (inverse[:, None] * self.rotated)).reshape(samples, outputs)
        if self.vectors.shape[1] == 1:
            own = (self.vectors[:, 0].square() * inverse).sum(-1, keepdim=True)
            left_out, own_variance = coefficients / own, 1 / own
        else:
            blocks = torch.linalg.inv((self.vectors * inverse) @ self.vectors.mT)
            left_out = (blocks @ coefficients[..., None])[..., 0]
            own_variance = blocks.diagonal(dim1=1, dim2=2).clone()
        together = repeated(self.group)
        for members in together:
            rows = self.vectors[members].flatten(0, 1)
            block = torch.linalg.inv((rows * inverse) @ rows.T)
            own = coefficients[members].reshape(len(rows), -1)
            left_out[members] = (block @ own).reshape(len(members), outputs)
            own_variance[members] = block.diagonal().reshape(len(members), -1)
        shared = len(self.vectors) == len(self.values)
        # r' A r of each output, or of all together.
        energy = (inverse[:, None] * self.rotated.square()).sum(0) / (samples if shared else samples * outputs)
        # If all residuals are 0 there is no scale.
        scale = energy.clamp_min(torch.finfo(energy.dtype).tiny).expand(outputs)
        logs = (self.values + ratio).log().sum() * (outputs if shared else 1)
        evidence = -0.5 * (logs + samples * (2 * math.pi * scale).log().sum() + self.residual.numel())
        # r' A r minus a sample's e_i' [A]_ii e_i = e_i' [A r]_i is r' A r of the others; their scale does not use the sample.
        part = left_out * coefficients if shared else (left_out * coefficients).sum(1, keepdim=True)
        count = samples if shared else samples * outputs
        if together:
            part = group_sum(part, self.group)
            left = count - count // samples * torch.bincount(self.group).double()[self.group, None]
            others = (count * scale - part) / left.clamp_min(1.0)
        else:
            others = (count * scale - part) / max(1, count - count // samples)
        variance = others.clamp_min(torch.finfo(energy.dtype).tiny) * own_variance
        return Solution(ratio, coefficients, left_out, variance, scale, float(evidence))
