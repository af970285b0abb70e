"""Fourier modes and the exponential step: which operations are exact, which are free of aliasing, and the order of the step."""

import math
from itertools import pairwise

import mpmath
import pytest
import torch
from drawing import normal as noise
from solving import grid

from simulators.numerics.exponential_step import ExponentialStep
from simulators.numerics.fourier import PeriodicBox, resample

LENGTH = 3.0


def smooth(box, shape):
    """Return fields that contain only the kept modes."""
    return box.to_grid(box.to_modes(noise(*shape, *box.points)))


@pytest.mark.parametrize("points", [(32,), (24, 32)])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_modes_and_grid_are_inverse_on_fields_made_of_the_kept_modes(points, degree):
    box = PeriodicBox(points, [LENGTH] * len(points), degree, noise(1))
    field = smooth(box, (3,))
    torch.testing.assert_close(box.to_grid(box.to_modes(field)), field, rtol=0, atol=1e-14 * 100)
    assert float(field.std()) > 0.1
    torch.testing.assert_close(box.to_modes(field).flatten(1)[:, 0].real, field.flatten(1).mean(1))


def test_derivatives_are_those_of_waves():
    box = PeriodicBox((32, 48), (LENGTH, 2.0), 1, noise(1))
    x, y = grid(32, LENGTH)[:, None], grid(48, 2.0)[None]
    p, q = 2 * math.pi * 3 / LENGTH, 2 * math.pi * 5 / 2.0
    field = torch.sin(p * x) * torch.cos(q * y)
    modes = box.to_modes(field)
    along_x, along_y = (box.to_grid(modes * ik) for ik in box.derivative)
    torch.testing.assert_close(along_x, p * torch.cos(p * x) * torch.cos(q * y), rtol=0, atol=1e-12)
    torch.testing.assert_close(along_y, -q * torch.sin(p * x) * torch.sin(q * y), rtol=0, atol=1e-12)
    torch.testing.assert_close(box.to_grid(modes * box.laplacian), -(p**2 + q**2) * field, rtol=0, atol=1e-10)


@pytest.mark.parametrize("points", [30, 32, 36, 160])
@pytest.mark.parametrize("degree", [2, 3])
def test_products_of_as_many_fields_as_the_degree_are_free_of_aliasing(points, degree):
    box = PeriodicBox((points,), (LENGTH,), degree, noise(1))
    field = smooth(box, (2,))
    fine = PeriodicBox((8 * points,), (LENGTH,), degree, noise(1))
    exact = fine.to_modes(resample(field, [8 * points]) ** degree)[..., : box.highest[0] + 1]
    torch.testing.assert_close(box.to_modes(field**degree), exact, rtol=0, atol=1e-13)
    # With one more mode, (degree + 1) m would reach the number of points, and products would be aliased.
    assert (degree + 1) * (box.highest[0] + 1) >= points
    assert (degree + 1) * box.highest[0] < points


def test_resampling_passes_through_the_points_and_drops_modes_that_do_not_fit():
    box = PeriodicBox((16,), (LENGTH,), 1, noise(1))
    field = smooth(box, (2,))
    torch.testing.assert_close(resample(field, [48])[:, ::3], field, rtol=0, atol=1e-13)
    torch.testing.assert_close(resample(resample(field, [40]), [16]), field, rtol=0, atol=1e-13)
    long, short = torch.cos(4 * math.pi / LENGTH * grid(32, LENGTH)), torch.sin(14 * math.pi / LENGTH * grid(32, LENGTH))
    kept = torch.cos(4 * math.pi / LENGTH * grid(8, LENGTH))
    torch.testing.assert_close(resample((long + short)[None], [8])[0], kept, rtol=0, atol=1e-14)
    shortest = torch.tensor([1.0, -1.0] * 8, dtype=torch.float64)[None]  # the values between its points are ambiguous
    assert float(resample(shortest, [32]).abs().max()) < 1e-15
    square = smooth(PeriodicBox((12, 16), (1, 1), 1, noise(1)), (2,))
    torch.testing.assert_close(resample(square, [24, 32])[:, ::2, ::2], square, rtol=0, atol=1e-13)


@pytest.mark.parametrize("z", [0, 1e-8, -1e-3, 1.0, -3.0, -50.0, -1e4, 2j, 0.3 - 0.9j, 30j, -1e3j])
def test_coefficients_of_the_exponential_step_agree_with_their_formulas_in_high_precision(z):
    # The formulas lose 3 log10(1/|z|) digits; 150 digits are enough for every z here. The relative tolerance of 1e-12 covers
    # the mean over the circle, which avoids the cancellation at the cost of a few hundred roundings.
    h = 0.7
    step = ExponentialStep(torch.tensor([z / h], dtype=torch.complex128), h)
    with mpmath.workdps(150):
        w = mpmath.mpc(z) if z else mpmath.mpf(10) ** -40
        e, half = mpmath.exp(w), mpmath.exp(w / 2)
        exact = {
            "q": (half - 1) / w,
            "f1": (-4 - w + e * (4 - 3 * w + w**2)) / w**3,
            "f2": 2 * (2 + w + e * (w - 2)) / w**3,
            "f3": (-4 - 3 * w - w**2 + e * (4 - w)) / w**3,
        }
        exact = {name: h * complex(value) for name, value in exact.items()}
        assert complex(step.whole) == pytest.approx(complex(e), rel=1e-12, abs=1e-300)
    for name, value in exact.items():
        assert complex(getattr(step, name)) == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("linear", [-0.5, 1.5j, -40.0, -0.3 + 20j])
def test_exponential_steps_are_of_order_four_and_exact_without_a_nonlinear_part(linear):
    # v' = L v - v^2 is Bernoulli's equation: v = L / (1 + (L / v_0 - 1) exp(-L t)).
    symbol, start, end = *torch.tensor([[linear], [0.8]], dtype=torch.complex128), 1.0
    exact = complex(symbol / (1 + (symbol / start - 1) * torch.exp(-symbol * end)))
    errors = []
    for steps in (40, 80, 160) if abs(linear) < 10 else (160, 320, 640):
        step, state = ExponentialStep(symbol, end / steps), start
        for _ in range(steps):
            state = step(state, lambda v: -(v**2))
        errors.append(abs(complex(state) - exact))
    if abs(exact) > 1e-3:
        assert [math.log2(a / b) for a, b in pairwise(errors)] == pytest.approx([4, 4], abs=0.15)
    assert errors[-1] < 1e-6
    alone = ExponentialStep(symbol, end)(start, None)
    assert complex(alone) == pytest.approx(0.8 * complex(torch.exp(symbol)), rel=1e-14)


@pytest.mark.parametrize("linear", [-0.5, 1.5j, -4.0])
def test_the_embedded_solution_of_an_exponential_step_is_of_order_three(linear):
    symbol, start = torch.tensor([[linear], [0.8]], dtype=torch.complex128)
    errors = []
    for h in (0.02, 0.01):
        step, exact = ExponentialStep(symbol, h), symbol / (1 + (symbol / start - 1) * torch.exp(-symbol * h))
        following, last = step.advance(start, -(start**2), lambda v: -(v**2))
        assert complex(following) == complex(step(start, lambda v: -(v**2)))
        errors.append(abs(complex(following - step.error(last, -(following**2)) - exact)))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.15)  # the error of one step has one power more


def test_without_a_linear_part_the_embedded_solution_is_that_of_the_classical_runge_kutta_method():
    h, one = 0.3, torch.ones(1, dtype=torch.complex128)
    step = ExponentialStep(0 * one, h)
    following, last = step.advance(one, -one, lambda v: -v)
    assert complex(following) == pytest.approx(1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24, rel=1e-13)
    assert complex(step.error(last, -following)) == pytest.approx(h**4 / 72 + h**5 / 144, rel=1e-11)  # about 1e-4


@pytest.mark.parametrize(
    ("points", "lengths", "message"),
    [
        ((33,), (1.0,), "an even number of points above 3 per axis, got 33"),
        ((2,), (1.0,), "above 3 per axis, got 2"),
        ((32, 31), (1.0, 1.0), "got 31"),
        ((32,), (0.0,), r"lengths must be 1 positive number\(s\) \[m\], one per axis, got \(0.0,\)"),
        ((32, 32), (1.0,), "lengths must be 2 positive"),
    ],
)
def test_impossible_grids_are_refused(points, lengths, message):
    with pytest.raises(ValueError, match=message):
        PeriodicBox(points, lengths, 2, noise(1))
