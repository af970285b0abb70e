"""Runge-Kutta-Legendre and Euler on systems whose solutions are known."""

import math

import pytest
import torch
from scipy.special import eval_legendre

from simulators.numerics.time_stepping import euler_step, legendre_stages, legendre_step

ZERO = torch.zeros(1, dtype=torch.float64)


def stages(count):
    return torch.tensor([count])


def integrate(step_once, derivative, start, steps, end=1.0):
    state, step = (start,), end / steps
    for i in range(steps):
        state = step_once(derivative, torch.full_like(ZERO, i * step), state, step)
    return state[0]


def observed_order(step_once, derivative, start, exact, steps):
    errors = [abs(float(integrate(step_once, derivative, start, count)) - exact) for count in (steps, 2 * steps)]
    return math.log2(errors[0] / errors[1])


def logistic_with_a_source(time, state):
    """Return the slope of y' = -y^2 + cos t + (2 + sin t)^2, which y = 2 + sin t solves."""
    (y,) = state
    return (-(y**2) + torch.cos(time) + (2 + torch.sin(time)) ** 2,)


@pytest.mark.parametrize("count", [3, 5, 9, 21])
def test_legendre_steps_are_of_order_two_on_a_nonlinear_equation_that_depends_on_time(count):
    def step_once(*arguments):
        return legendre_step(*arguments, stages(count))

    order = observed_order(step_once, logistic_with_a_source, ZERO + 2, 2 + math.sin(1), 400)
    assert order == pytest.approx(2, abs=0.05)


def test_euler_steps_are_of_order_one():
    order = observed_order(euler_step, logistic_with_a_source, ZERO + 2, 2 + math.sin(1), 400)
    assert order == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("count", [3, 7, 31])
def test_a_legendre_step_integrates_a_straight_line_exactly(count):
    (end,) = legendre_step(lambda time, state: (3 + 8 * time,), ZERO + 0.5, (ZERO + 1,), 2.0, stages(count))
    assert float(end) == pytest.approx(1 + 3 * 2 + 4 * (2.5**2 - 0.5**2), rel=1e-14)  # one rounding per stage at most


@pytest.mark.parametrize("count", [3, 5, 21])
def test_a_legendre_step_multiplies_a_mode_by_its_stability_polynomial(count):
    # R(z) = 1 - b + b P_s(1 + w z) with the Legendre polynomial P_s, Meyer et al. (2014), section 2.2.
    width = count**2 + count - 2
    rates = torch.linspace(-width / 2, 0, 101, dtype=torch.float64)
    (end,) = legendre_step(lambda time, state: (rates * state[0],), ZERO, (torch.ones(1, 101).double(),), 1.0, stages(count))
    x = (1 + 4 / width * rates).numpy()
    b = width / (2 * count * (count + 1))
    legendre = torch.from_numpy(eval_legendre(count, x))
    torch.testing.assert_close(end[0], 1 - b + b * legendre, rtol=0, atol=1e-13)
    assert float(end.abs().max()) <= 1 + 1e-13  # stable up to the end of the interval


def test_stages_are_odd_and_the_fewest_that_are_stable():
    demand = torch.logspace(-3, 5, 400, dtype=torch.float64)
    found = legendre_stages(0.5, demand / 0.5)
    assert bool((found % 2 == 1).all())
    assert bool(((found**2 + found - 2) / 2 >= demand * (1 - 1e-12)).all())
    fewer = found - 2
    assert bool((((fewer**2 + fewer - 2) / 2 < demand) | (found == 3)).all())


def test_an_excessive_number_of_stages_is_refused_with_a_step_that_suffices():
    with pytest.raises(ValueError, match=r"999 stages; one of 1 s at a spectral radius of 1e\+09 1/s .* below 0.0004"):
        legendre_stages(1.0, ZERO + 1e9)


def test_a_row_is_advanced_as_if_alone_regardless_of_the_stages_of_the_others():
    rates = torch.tensor([[-1.0], [-30.0], [-400.0]], dtype=torch.float64)
    start = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    counts = torch.tensor([3, 9, 31])

    def alone(i):
        one = slice(i, i + 1)
        return legendre_step(lambda time, state: (rates[one] * state[0],), ZERO, (start[one],), 1.0, counts[one])[0]

    (together,) = legendre_step(lambda time, state: (rates * state[0],), ZERO.expand(3), (start,), 1.0, counts)
    torch.testing.assert_close(together, torch.cat([alone(i) for i in range(3)]), rtol=0, atol=0)
