"""Fourier modes of real periodic fields, with products that are free of aliasing."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor


class PeriodicBox:
    """A uniform grid on a periodic box and the Fourier modes of real fields on it.

    Along an axis with N points the modes |m| < N / (degree + 1) are kept. A product of `degree` fields made of these modes,
    formed on the grid and projected back onto the modes, is free of aliasing (Orszag 1971: 2/3 of the modes for quadratic, 1/2
    for cubic terms). The last axis has only the modes m >= 0; those of the other axis are ordered 0, 1, ..., -2, -1.

    Args:
        points: N of each of the one or two axes, even.
        lengths: lengths of the box along each axis [m].
        degree: degree of the nonlinear term as a polynomial, 1 if there is no such term.
        like: tensor with the device and the precision of the result.

    Attributes:
        derivative: symbol i k of the derivative along each axis, shaped to multiply modes [1/m].
        laplacian: symbol -|k|^2 of the Laplacian, real [1/m^2].

    Raises:
        ValueError: if a number of points is odd or keeps no mode but the mean, or a length is not positive.
    """

    def __init__(self, points: Sequence[int], lengths: Sequence[float], degree: int, like: Tensor) -> None:
        for count in points:
            if count % 2 or count <= degree + 1:
                raise ValueError(f"a periodic grid needs an even number of points above {degree + 1} per axis, got {count}")
        if len(points) != len(lengths) or not all(0 < length < math.inf for length in lengths):
            raise ValueError(f"lengths must be {len(points)} positive number(s) [m], one per axis, got {tuple(lengths)}")
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
        """Project a field on the grid onto the modes; mode 0 is the mean."""
        modes = torch.fft.rfft(field, norm="forward")[..., : self.highest[-1] + 1]
        if len(self.points) == 2:
            most = self.highest[0]
            modes = torch.fft.fft(modes, dim=-2, norm="forward")
            modes = torch.cat([modes[..., : most + 1, :], modes[..., -most:, :]], dim=-2)
        return modes

    def to_grid(self, modes: Complex[Tensor, "... mode"]) -> Float[Tensor, "... x"]:
        """Return the values of modes at the grid points."""
        if len(self.points) == 2:
            most, count = self.highest[0], self.points[0]
            padded = modes.new_zeros(*modes.shape[:-2], count, modes.shape[-1])
            padded[..., : most + 1, :] = modes[..., : most + 1, :]
            padded[..., -most:, :] = modes[..., most + 1 :, :]
            modes = torch.fft.ifft(padded, dim=-2, norm="forward")
        return torch.fft.irfft(modes, n=self.points[-1], norm="forward")


def resample(field: Float[Tensor, " sample *points"], points: Sequence[int]) -> Float[Tensor, " sample *other"]:
    """Return the values at other grid points of the trigonometric interpolants of periodic fields.

    On fewer points, waves that these points cannot distinguish from longer ones are left out. Along an axis whose number of
    points changes, the wave of half as many periods as points (the Nyquist mode) of either grid is left out too.
    """
    for axis, count in enumerate(points, start=1):
        known = field.shape[axis]
        if known != count:
            most = (min(known, count) + 1) // 2 - 1
            modes = torch.fft.rfft(field, dim=axis, norm="forward").narrow(axis, 0, most + 1)
            field = torch.fft.irfft(modes, n=count, dim=axis, norm="forward")
    return field
