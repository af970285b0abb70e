"""Covariance functions, and the hyper-parameters of a sum of products of them.

    k(z, z') = sum_t amplitude_t prod_j kappa_tj(z, z'),   in scaled coordinates u = z * inverse_lengths_tj:
    kappa = exp(-r^2/2)  (RBF)   or   (1 + s + s^2/3) exp(-s) with s = sqrt(5) r  (Matern 5/2),   r = ||u - u'||
    kappa = (1 + u u')^2  (quadratic: the polynomials of second degree, whose coefficients are normal)

Source: Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), chapter 4.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

KERNELS = ("matern", "rbf")
QUADRATIC = "quadratic"
SEPARATE = 12  # up to this number of dimensions each has a length scale of its own
SAMPLES_EACH = 10  # so has each of more dimensions, if there are this many samples for each of them
# Bounds in units of the deviation of the inputs and of the variance of the values. Great lengths and amplitudes together make
# the process a polynomial (Driscoll & Fornberg, Comput. Math. Appl. 43, 2002), which a smooth response of few samples may be.
LENGTHS, AMPLITUDES, NOISE = (1e-2, 1e4), (1e-12, 1e8), (1e-10, 1e2)
# Least noise for each sample, relative to the amplitude: the rounding errors of the factorisation of n samples are some n times
# 2e-16 times their variance, which this exceeds by a factor of five.
JITTER = 1e-15


def factor_of(
    kernel: str, u: Float[Tensor, "*run row dimension"], v: Float[Tensor, "*run sample dimension"], *, exact: bool
) -> Float[Tensor, "*run row sample"]:
    """Return kappa of scaled coordinates; see the module's docstring.

    Args:
        kernel: matern | rbf | quadratic.
        u: scaled coordinates of the rows.
        v: scaled coordinates of the samples.
        exact: whether distances come from differences of coordinates. A product of matrices is faster; its squares of distances
            are wrong by some 1e-16 of the square of the largest coordinate, which in a fit lies far below the noise.
    """
    if kernel == QUADRATIC:
        return (1 + u @ v.mT).square()
    if exact:
        return correlation(kernel, torch.cdist(u, v, compute_mode="donot_use_mm_for_euclid_dist").square())
    square = u.square().sum(-1)[..., :, None] + v.square().sum(-1)[..., None, :] - 2 * u @ v.mT
    return correlation(kernel, square.clamp_min(0.0))


def correlation(kernel: str, square: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return kappa for squares of scaled distances, r^2."""
    if kernel == "rbf":
        return torch.exp(-0.5 * square)
    s = (5 * square).clamp_min(1e-30).sqrt()  # the root of 0 has no derivative
    return (1 + s + s.square() / 3) * torch.exp(-s)


def cross_covariance(
    kernel: str,
    amplitudes: Float[Tensor, " term"],
    inverse_lengths: Float[Tensor, "term factor dimension"],
    z: Float[Tensor, "row dimension"],
    points: Float[Tensor, "sample dimension"],
) -> Float[Tensor, "row sample"]:
    """Return k(z, points)."""
    total = torch.zeros(len(z), len(points), dtype=z.dtype, device=z.device)
    for amplitude, factors in zip(amplitudes, inverse_lengths, strict=True):
        term = amplitude
        for scale in factors:
            term = term * factor_of(kernel, z * scale, points * scale, exact=True)
        total = total + term
    return total


@dataclass(frozen=True)
class Shape:
    """Which hyper-parameters a covariance has: for each term a log amplitude, and log lengths for each factor; then log noise.

    Without `components` there is one term, kappa(x, x'). With them, z is (x, f), and there are two terms,
    kappa(x, x') kappa(f, f') and kappa(x, x').

    Attributes:
        kernel: matern | rbf | quadratic.
        inputs: number of dimensions of x.
        components: number of dimensions of f.
        separate: whether each dimension of x has a length of its own.
    """

    kernel: str
    inputs: int
    components: int = 0
    separate: bool = True

    @classmethod
    def suited(cls, kernel: str, inputs: int, samples: int, components: int = 0) -> "Shape":
        """Return the shape with as many lengths as the samples can determine."""
        return cls(kernel, inputs, components, separate=inputs <= SEPARATE or samples >= SAMPLES_EACH * inputs)

    @property
    def terms(self) -> tuple[tuple[slice, ...], ...]:
        """The dimensions of z on which the factors of each term depend."""
        x, f = slice(0, self.inputs), slice(self.inputs, self.inputs + self.components)
        return ((x, f), (x,)) if self.components else ((x,),)

    @property
    def groups(self) -> list[tuple[slice, int]]:
        """For each factor in turn, its dimensions and its number of lengths."""
        return [(own, self._lengths(own)) for own in itertools.chain.from_iterable(self.terms)]

    @property
    def count(self) -> int:
        """Number of hyper-parameters."""
        return len(self.terms) + sum(lengths for _, lengths in self.groups) + 1

    @property
    def variances(self) -> Float[Tensor, " parameter"]:
        """1 for the hyper-parameters that are logarithms of variances, 0 for the lengths."""
        found: list[float] = []
        for factors in self.terms:
            found += [1.0, *(0.0 for own in factors for _ in range(self._lengths(own)))]
        return torch.tensor([*found, 1.0])

    def _lengths(self, own: slice) -> int:
        return own.stop - own.start if self.separate or own.start else 1

    def vector(self, amplitudes: Sequence[float], scale: float, noise: float) -> Float[Tensor, " parameter"]:
        """Return hyper-parameters whose lengths are `scale` times the root of the number of dimensions of their factor."""
        found: list[float] = []
        for amplitude, factors in zip(amplitudes, self.terms, strict=True):
            found.append(amplitude)
            for own in factors:  # the distance of two standard normal points of d dimensions is about sqrt(2 d)
                found += [scale * (own.stop - own.start) ** 0.5] * self._lengths(own)
        return torch.tensor([*found, noise], dtype=torch.float64).log()

    def starts(self) -> Float[Tensor, "start parameter"]:
        """Return the hyper-parameters from which a search starts.

        The evidence of ten samples has several maxima, and which of them one search finds can depend on rounding.
        """
        amplitudes = [1.0, 0.1] if self.components else [1.0]
        return torch.stack([self.vector(amplitudes, *one) for one in ((1.0, 1e-2), (1.0, 1e-6), (3.0, 1e-6), (0.4, 1e-2))])

    def bounds(self) -> Float[Tensor, "2 parameter"]:
        """Return the smallest and the largest hyper-parameters."""
        found: list[tuple[float, float]] = []
        for factors in self.terms:
            found += [AMPLITUDES, *(LENGTHS for own in factors for _ in range(self._lengths(own)))]
        return torch.tensor([*found, NOISE], dtype=torch.float64).log().T

    def decode(
        self, parameters: Float[Tensor, "*run parameter"], samples: int
    ) -> tuple[Float[Tensor, "*run term"], Float[Tensor, "*run term factor dimension"], Float[Tensor, "*run"]]:
        """Return amplitudes, inverse lengths and the noise of so many samples, with its jitter.

        An inverse length is 0 where a factor does not depend on a dimension.
        """
        values, place = parameters.exp(), 0
        dimensions, factors = self.inputs + self.components, max(len(term) for term in self.terms)
        amplitudes, inverse = [], []
        for term in self.terms:
            amplitudes.append(values[..., place])
            place += 1
            rows = []
            for own in term:
                width, lengths = own.stop - own.start, self._lengths(own)
                scale = (1 / values[..., place : place + lengths]).expand(*values.shape[:-1], width)
                rows.append(torch.nn.functional.pad(scale, (own.start, dimensions - own.stop)))
                place += lengths
            rows += [torch.zeros_like(rows[0])] * (factors - len(rows))
            inverse.append(torch.stack(rows, -2))
        stacked = torch.stack(amplitudes, -1)
        return stacked, torch.stack(inverse, -3), values[..., place] + JITTER * samples * stacked.sum(-1)

    def covariance(
        self, parameters: Float[Tensor, "run parameter"], z: Float[Tensor, "sample dimension"]
    ) -> Float[Tensor, "run sample sample"]:
        """Return the covariances of noisy samples for each vector of hyper-parameters, with derivatives."""
        signal, noise = self.parts(parameters, z)
        return signal + torch.diag_embed(noise[:, None].expand(-1, len(z)))

    def parts(
        self, parameters: Float[Tensor, "run parameter"], z: Float[Tensor, "sample dimension"]
    ) -> tuple[Float[Tensor, "run sample sample"], Float[Tensor, " run"]]:
        """Return the covariances without noise, and the variance of the noise."""
        amplitudes, inverse, noise = self.decode(parameters, len(z))
        total = torch.zeros(len(parameters), len(z), len(z), dtype=z.dtype)
        for number, term in enumerate(self.terms):
            product = amplitudes[:, number, None, None]
            for factor in range(len(term)):
                scaled = z * inverse[:, number, factor, None, :]
                product = product * factor_of(self.kernel, scaled, scaled, exact=False)
            total = total + product
        return total, noise
