"""Fourier solver of steady linear equations with constant coefficients on a periodic box, many samples at once."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

RESONANCE = 1e-10  # a symbol below this fraction of its terms has lost ten or more of sixteen digits
LEAST_DIFFUSION = 1e-14  # smallest ratio of a tensor's eigenvalues, about fifty times what round-off may make of 0
ROUND_OFF = 1e-6  # largest relative mean of a field whose mean should be 0; rounding to single precision leaves 1e-7


def solve_elliptic(
    source: Shaped[Tensor, " sample *points"],
    *,
    diffusion: Float[Tensor, "sample axis axis"],
    velocity: Float[Tensor, "sample axis"] | None = None,
    reaction: Shaped[Tensor, " sample"] | None = None,
    lengths: Sequence[float],
) -> Shaped[Tensor, " sample *points"]:
    """Solve -div(K grad u) + v . grad u + w u = f on a periodic box, one problem per row.

    Each wave exp(i k . x) of f is divided by the symbol k . K k + i v . k + w. This is exact up to round-off for every f that
    the points resolve. The wave of half as many periods as points has no first and no mixed derivative (its sine vanishes at
    the points), but it has a second derivative.

    If w = 0, the mean of u is undetermined and set to 0; the mean of f must then be 0, and its round-off error is removed. With
    a negative w the equation is Helmholtz's; an imaginary part of w is an absorption.
    Source: Trefethen, Spectral Methods in MATLAB (SIAM 2000), chapter 3.

    Args:
        source: f at the points i length / points, (sample, x) or (sample, x, y), real or complex; numbers of points are even.
        diffusion: K, symmetric and positive definite, (axis, axis) for each sample [m^2/s].
        velocity: v [m/s]; None for 0.
        reaction: w [1/s], real or complex; None for 0.
        lengths: lengths of the box along each axis [m].

    Returns:
        u in the units of f times seconds, in double precision; complex if f or w is.

    Raises:
        ValueError: if a shape does not fit, a number of points is odd, a value is not finite, a diffusion tensor is not
            symmetric and positive definite to double precision, f has a mean where w = 0, or a symbol vanishes (resonance).
    """
    source = _double(source)
    diffusion, velocity, reaction = _check(source, diffusion, velocity, reaction, lengths)
    symbol, magnitude = _symbol(source, diffusion, velocity, reaction, lengths)
    transform = torch.fft.fftn(source, dim=_axes(source))
    free = magnitude == 0  # the mean where w = 0
    _check_mean(source, reaction == 0)
    _check_resonance(symbol, magnitude, free)
    transform = torch.where(free, 0, transform / torch.where(free, 1, symbol))
    solution = torch.fft.ifftn(transform, dim=_axes(source))
    return solution if source.is_complex() or reaction.is_complex() else solution.real


def apply_elliptic(
    field: Shaped[Tensor, " sample *points"],
    *,
    diffusion: Float[Tensor, "sample axis axis"],
    velocity: Float[Tensor, "sample axis"] | None = None,
    reaction: Shaped[Tensor, " sample"] | None = None,
    lengths: Sequence[float],
) -> Shaped[Tensor, " sample *points"]:
    """Return -div(K grad u) + v . grad u + w u of a field u, the operator that `solve_elliptic` inverts.

    Args:
        field: u at the points i length / points.
        diffusion: K, symmetric and positive definite [m^2/s].
        velocity: v [m/s]; None for 0.
        reaction: w [1/s], real or complex; None for 0.
        lengths: lengths of the box along each axis [m].

    Raises:
        ValueError: as in `solve_elliptic`, except for the mean and resonances.
    """
    field = _double(field)
    diffusion, velocity, reaction = _check(field, diffusion, velocity, reaction, lengths)
    symbol, _ = _symbol(field, diffusion, velocity, reaction, lengths)
    result = torch.fft.ifftn(symbol * torch.fft.fftn(field, dim=_axes(field)), dim=_axes(field))
    return result if field.is_complex() or reaction.is_complex() else result.real


def wave_numbers(field: Shaped[Tensor, " sample *points"], lengths: Sequence[float]) -> list[Float[Tensor, "..."]]:
    """Return the wave numbers k [rad/m] along each axis of a field's Fourier transform, shaped to broadcast against it."""
    double = field.new_zeros((), dtype=torch.float64)
    waves = []
    for axis, (count, length) in enumerate(zip(field.shape[1:], lengths, strict=True)):
        frequencies = torch.fft.fftfreq(count, length / count, dtype=double.dtype, device=double.device)
        waves.append((2 * math.pi * frequencies).reshape(-1, *(1,) * (field.ndim - 2 - axis)))
    return waves


def without_nyquist(wave: Float[Tensor, "points ..."]) -> Float[Tensor, "points ..."]:
    """Return wave numbers along an axis for odd derivatives, in which the wave of half as many periods as points has 0."""
    odd = wave.clone()
    odd[len(wave) // 2] = 0
    return odd


def _symbol(
    field: Tensor, diffusion: Tensor, velocity: Tensor, reaction: Tensor, lengths: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Return the symbol of the operator for each wave, and the sum of its terms' magnitudes."""
    waves = wave_numbers(field, lengths)
    odd = [without_nyquist(wave) for wave in waves]

    def rows(numbers: Tensor) -> Tensor:
        return numbers.reshape(-1, *(1,) * len(waves))

    decay = drift = mixed = rows(torch.zeros_like(diffusion[:, 0, 0]))
    for i in range(len(waves)):
        decay = decay + rows(diffusion[:, i, i]) * waves[i] ** 2
        drift = drift + rows(velocity[:, i]) * odd[i]
        for j in range(i):
            product = 2 * rows(diffusion[:, i, j]) * odd[i] * odd[j]
            decay, mixed = decay + product, mixed + product.abs() - product
    magnitude = decay + mixed + drift.abs() + rows(reaction).abs()
    return torch.complex(decay, drift) + rows(reaction), magnitude


def _axes(field: Tensor) -> tuple[int, ...]:
    return tuple(range(1, field.ndim))


def _double(values: Tensor) -> Tensor:
    return values.to(torch.complex128 if values.is_complex() else torch.float64)


def _check(
    field: Tensor, diffusion: Tensor, velocity: Tensor | None, reaction: Tensor | None, lengths: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Check shapes and values; return the coefficients in double precision, with zeros instead of None."""
    samples, axes = len(field), field.ndim - 1
    if axes < 1 or any(count % 2 or count < 2 for count in field.shape[1:]):
        raise ValueError(
            f"a field needs an even number of points along each axis, got {tuple(field.shape[1:])}: add or drop one"
        )
    if len(lengths) != axes or not all(math.isfinite(length) and length > 0 for length in lengths):
        raise ValueError(f"lengths must be {axes} positive number(s) [m], one per axis, got {tuple(lengths)}")
    zeros = diffusion.new_zeros(samples, axes, dtype=torch.float64)
    diffusion = _double(diffusion)
    velocity = zeros if velocity is None else _double(velocity)
    reaction = zeros[:, 0] if reaction is None else _double(reaction)
    wanted: dict[str, tuple[Tensor, Any]] = {
        "diffusion": (diffusion, (samples, axes, axes)),
        "velocity": (velocity, (samples, axes)),
        "reaction": (reaction, (samples,)),
        "the field": (field, tuple(field.shape)),
    }
    for name, (values, shape) in wanted.items():
        if values.shape != shape:
            raise ValueError(f"{name} must have shape {shape} for fields {tuple(field.shape)}, got {tuple(values.shape)}")
        broken = (~torch.isfinite(values)).reshape(samples, -1).any(1)
        if bool(broken.any()):
            raise ValueError(f"{name} must be finite, it is not in sample {int(broken.nonzero()[0])}")
    skew = (diffusion - diffusion.mT).abs().amax((1, 2)) > 1e-12 * diffusion.abs().amax((1, 2))
    eigenvalues = torch.linalg.eigvalsh(diffusion)
    broken = skew | (eigenvalues[:, 0] <= LEAST_DIFFUSION * eigenvalues[:, -1].abs())
    if bool(broken.any()):
        sample = int(broken.nonzero()[0])
        got = [[float(f"{entry:.6g}") for entry in row] for row in diffusion[sample].tolist()]
        raise ValueError(f"diffusion must be symmetric and positive definite, got {got} m^2/s in sample {sample}")
    return diffusion, velocity, reaction


def _check_mean(source: Tensor, free: Tensor) -> None:
    mean, size = source.mean(_axes(source)).abs(), source.abs().square().mean(_axes(source)).sqrt()
    broken = free & (mean > ROUND_OFF * size)
    if bool(broken.any()):
        i = int(broken.nonzero()[0])
        raise ValueError(
            f"source must have mean 0 where reaction is 0, got a mean of {float(mean[i]):.3g} beside a root mean square of"
            f" {float(size[i]):.3g} in sample {i}: subtract it, or give a reaction"
        )


def _check_resonance(symbol: Tensor, magnitude: Tensor, free: Tensor) -> None:
    broken = (symbol.abs() <= RESONANCE * magnitude) & ~free
    if bool(broken.any()):
        sample, *index = broken.nonzero()[0].tolist()
        waves = tuple(i if i <= n // 2 else i - n for i, n in zip(index, symbol.shape[1:], strict=True))
        raise ValueError(
            f"the operator vanishes for the wave of {waves} periods along the axes in sample {sample} (resonance): change"
            " its reaction, or give it an imaginary part"
        )
