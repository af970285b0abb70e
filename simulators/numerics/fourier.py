"""Real periodic fields and the Fourier modes that stand for them, products free of aliasing."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor


class PeriodicBox:
    """A uniform grid on a periodic box and the Fourier modes that stand for real fields on it.

    Of each axis with N points the modes |m| < N / (degree + 1) are kept. A product of `degree` fields made of them, formed on
    the grid and projected back onto them, is free of aliasing (Orszag 1971: 2/3 of the modes for quadratic, 1/2 for cubic
    terms). The last axis keeps m >= 0 only, the others are ordered 0, 1, ..., -2, -1.

    Args:
        points: N of each axis, one or two, even.
        lengths: of the box along each axis [m].
        degree: of the nonlinear term, 1 if there is none.
        like: gives device and precision.

    Attributes:
        derivative: i k of each axis, shaped to multiply modes [1/m].
        laplacian: -|k|^2, real [1/m^2].

    Raises:
        ValueError: if a number of points is odd or keeps no mode but the mean, or a length is not positive.
    """

    def __init__(self, points: Sequence[int], lengths: Sequence[float], degree: int, like: Tensor) -> None:
        for count in points:
            if count % 2 or count <= degree + 1:
                raise ValueError(f"a periodic grid needs an even number of points above {degree + 1} an axis, got {count}")
        if len(points) != len(lengths) or not all(0 < length < math.inf for length in lengths):
            raise ValueError(f"lengths must be {len(points)} positive number(s) [m], one an axis, got {tuple(lengths)}")
        self.points, self.lengths, self.degree = tuple(points), tuple(lengths), degree
        self.highest = [math.ceil(count / (degree + 1)) - 1 for count in points]
        derivative = []
        for axis, (most, length) in enumerate(zip(self.highest, lengths, strict=True)):
            waves = torch.arange(most + 1)
            if axis + 1 < len(points):
                waves = torch.cat([waves, torch.arange(-most, 0)])
            wavenumbers = (2 * math.pi / length * waves.double()).to(like)
            derivative.append((1j * wavenumbers).reshape(-1, *(1,) * (len(points) - 1 - axis)))
        self.derivative = tuple(derivative)
        self.laplacian: Tensor = torch.stack(torch.broadcast_tensors(*(-ik.imag.square() for ik in derivative))).sum(0)

    def to_modes(self, field: Float[Tensor, "... x"]) -> Complex[Tensor, "... mode"]:
        """Project a field on the grid onto the modes; the mode 0 is the mean."""
        modes = torch.fft.rfft(field, norm="forward")[..., : self.highest[-1] + 1]
        if len(self.points) == 2:
            most = self.highest[0]
            modes = torch.fft.fft(modes, dim=-2, norm="forward")
            modes = torch.cat([modes[..., : most + 1, :], modes[..., -most:, :]], dim=-2)
        return modes

    def to_grid(self, modes: Complex[Tensor, "... mode"]) -> Float[Tensor, "... x"]:
        """Return the values at the grid points."""
        if len(self.points) == 2:
            most, count = self.highest[0], self.points[0]
            padded = modes.new_zeros(*modes.shape[:-2], count, modes.shape[-1])
            padded[..., : most + 1, :] = modes[..., : most + 1, :]
            padded[..., -most:, :] = modes[..., most + 1 :, :]
            modes = torch.fft.ifft(padded, dim=-2, norm="forward")
        return torch.fft.irfft(modes, n=self.points[-1], norm="forward")


def resample(field: Float[Tensor, " sample *points"], points: Sequence[int]) -> Float[Tensor, " sample *other"]:
    """Return the values at other grid points of the shortest sums of waves through periodic fields.

    Onto fewer points the waves that those cannot tell from longer ones are left out; what lies at the highest wave of
    either grid is left out too, unless the numbers of points agree.
    """
    for axis, count in enumerate(points, start=1):
        known = field.shape[axis]
        if known != count:
            most = (min(known, count) + 1) // 2 - 1
            modes = torch.fft.rfft(field, dim=axis, norm="forward").narrow(axis, 0, most + 1)
            field = torch.fft.irfft(modes, n=count, dim=axis, norm="forward")
    return field
