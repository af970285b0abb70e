"""Runge-Kutta methods on exact solutions: their orders, tolerances, steps and rows."""

import math

import jaxtyping
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from solving import orders, refusal_of, tensor

from simulators.numerics import runge_kutta
from simulators.numerics.runge_kutta import dopri5_step, rk4_step, solve_dopri5, solve_rk4
from simulators.numerics.step_error import TOLERANCE, LostSolutionError, tolerate

ECCENTRICITIES = torch.tensor([0.0, 0.2, 0.5], dtype=torch.float64)


@pytest.fixture(autouse=True)
def check_shapes_once(request, monkeypatch):
    """Check signatures in one test of the solvers only: a check takes longer than the step that it checks."""
    checked = request.function is test_single_precision_inputs_are_solved_in_double_precision
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", not checked)


def kepler(time, state):
    x, y, u, v = state.unbind(1)
    cube = (x * x + y * y) ** 1.5
    return torch.stack([u, v, -x / cube, -y / cube], 1)


def exact_kepler(eccentricities, times):
    """Return orbits of semi-major axis 1 from their pericentre, by Newton's method on Kepler's equation E - e sin E = t."""
    e, t = eccentricities[:, None], times[None, :]
    anomaly = t + e * torch.sin(t)
    for _ in range(20):
        anomaly = anomaly - (anomaly - e * torch.sin(anomaly) - t) / (1 - e * torch.cos(anomaly))
    cos, sin, axis = torch.cos(anomaly), torch.sin(anomaly), torch.sqrt(1 - e**2)
    speed = 1 / (1 - e * cos)
    return torch.stack([cos - e, axis * sin, -sin * speed, axis * cos * speed], 2)


def driven(time, state):
    """Return the slopes of y' = y cos t and z' = -2 t z^2, which exp(sin t) and 1 / (1 + t^2) solve."""
    y, z = state.unbind(1)
    return torch.stack([y * torch.cos(time), -2 * time * z * z], 1)


def exact_driven(times):
    return torch.stack([torch.exp(torch.sin(times)), 1 / (1 + times**2)], 1)[None]


PROBLEMS = {
    "Kepler": (kepler, lambda times: exact_kepler(ECCENTRICITIES, times)),
    "driven": (driven, exact_driven),
}


def fixed_dopri5(field, start, end, steps):
    state, step = start, end / steps
    slope = field(state.new_zeros(len(state)), state)
    for i in range(steps):
        time = state.new_full((len(state),), i * step)
        state, slopes = dopri5_step(field, time, state, torch.full_like(time, step), slope)
        slope = slopes[-1]
    return state


@pytest.mark.parametrize("problem", PROBLEMS)
def test_classical_steps_are_of_order_four(problem):
    field, exact = PROBLEMS[problem]
    times = tensor(0.0, 0.5, 2.0)  # intervals of different lengths
    solution = exact(times)
    errors = [(solve_rk4(field, solution[:, 0], times, steps=n) - solution)[:, 1:].norm() for n in (100, 200, 400)]
    assert orders(errors) == pytest.approx([4, 4], abs=0.15)
    assert errors[-1] < 1e-7


@pytest.mark.parametrize("problem", PROBLEMS)
def test_dormand_prince_steps_are_of_order_five(problem):
    field, exact = PROBLEMS[problem]
    start, end = exact(tensor(0.0, 2.0)).unbind(1)
    errors = [(fixed_dopri5(field, start, 2.0, n) - end).norm() for n in (100, 200)]
    assert orders(errors) == pytest.approx([5], abs=0.15)
    assert errors[-1] < 1e-8


def local_errors(fraction):
    """Return the error estimate and the errors of the end and of the dense output for one step of each of two sizes."""
    rows = []
    for size in (0.024, 0.012):
        times = tensor(0.7, 0.7 + fraction * size, 0.7 + size)
        start, inside, end = exact_kepler(ECCENTRICITIES, times).unbind(1)
        step = torch.full_like(ECCENTRICITIES, size)
        found, slopes = dopri5_step(kepler, step, start, step, kepler(step, start))
        between = runge_kutta._interpolate(start, found, slopes, step, torch.full_like(step, fraction))
        estimate = size * runge_kutta._combine(runge_kutta.ERROR, slopes)
        rows.append([value.norm() for value in (estimate, found - end, between - inside)])
    return zip(*rows, strict=True)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.9])
def test_the_error_of_one_step_falls_with_power_six_and_its_estimate_and_dense_output_with_power_five(fraction):
    estimate, error, dense = local_errors(fraction)
    assert orders(estimate) == pytest.approx([5], abs=0.15)
    assert orders(error) == pytest.approx([6], abs=0.3)  # round-off forbids shorter steps, nearer to the leading power
    assert orders(dense) == pytest.approx([5], abs=0.15)
    assert 0.03 < dense[0] / estimate[0] < 3  # reports between steps are as accurate as the steps


def test_the_error_is_proportional_to_the_tolerance_over_four_decades():
    eccentricities = torch.linspace(0, 0.6, 40, dtype=torch.float64)
    times = torch.linspace(0, 6, 25, dtype=torch.float64)
    exact = exact_kepler(eccentricities, times)
    tolerances = 10.0 ** -np.arange(5, 10)
    errors = [
        float((solve_dopri5(kepler, exact[:, 0], times, rtol=tolerance, atol=tolerance) - exact).square().mean().sqrt())
        for tolerance in tolerances
    ]
    slope = np.polyfit(np.log(tolerances), np.log(errors), 1)[0]
    assert slope == pytest.approx(1, abs=0.1)  # the longest steps are not yet in the asymptotic range
    assert np.all((np.array(errors) / tolerances > 0.5) & (np.array(errors) / tolerances < 50))  # some 30 steps add errors


@pytest.mark.parametrize("rate", [-0.3, -40.0])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
def test_a_single_equation_is_solved_with_the_steps_of_scipy(rate, tolerance):
    # Both solvers follow Hairer, Norsett & Wanner, and with one component their norms agree. So must the numbers of
    # evaluations, including those of rejected steps. The forcing jumps at t = 3, where steps shrink at the highest allowed
    # rate.
    def slope(t, y, sin):
        return rate * (y - sin(5 * t)) + 1e3 * (t > 3)

    calls = []

    def field(time, state):
        calls.append(time)
        return slope(time[:, None], state, torch.sin)

    times = np.linspace(0, 6, 13)
    found = solve_dopri5(field, tensor([1.0]), torch.from_numpy(times), rtol=tolerance, atol=tolerance)
    theirs = solve_ivp(lambda t, y: slope(t, y, np.sin), (0, 6), [1.0], t_eval=times, rtol=tolerance, atol=tolerance)
    assert len(calls) == theirs.nfev
    # The steps up to the jump differ by rounding, which stays below the tolerance.
    assert float(found[0, -1, 0]) == pytest.approx(float(theirs.y[0, -1]), rel=1e-8)


@pytest.mark.parametrize(("slope", "final", "steps"), [(0.0, 1.0, 7), (1.0, 1.0, 5), (1.0, 1e-8, 1)])
def test_steps_grow_tenfold_from_an_initial_guess_that_does_not_pass_the_last_report(slope, final, steps):
    # From y = 0, the initial guess is 1e-6 for zero slope, and 100 times the probe's 1e-6 for a constant slope.
    times = []

    def field(time, state):
        times.append(float(time))
        return torch.full_like(state, slope)

    found = solve_dopri5(field, tensor([0.0]), tensor(final))
    assert float(found) == pytest.approx(slope * final, rel=1e-14)
    assert len(times) == 2 + 6 * steps
    assert max(times) <= final * (1 + 1e-15)


def oscillating(rates):
    def field(time, state):
        return torch.stack([state[:, 1], -(rates**2) * torch.sin(state[:, 0])], 1)

    return field


@pytest.mark.parametrize("solve", [solve_dopri5, lambda *given: solve_rk4(*given, steps=20)], ids=["dopri5", "rk4"])
def test_a_row_in_a_batch_is_bitwise_equal_to_the_row_alone(solve):
    # Rates over a factor of fifty: rows differ in every step, in the number of steps and in their arrival.
    rates = torch.logspace(-1, 0.7, 37, dtype=torch.float64)
    start = torch.stack([torch.linspace(-2, 2.5, 37, dtype=torch.float64), torch.ones(37, dtype=torch.float64)], 1)
    times = tensor(0.0, 0.0, 0.3, 0.3001, 2.0, 2.0)
    together = solve(oscillating(rates), start, times)
    for first, last in ((0, 1), (20, 23), (36, 37)):
        alone = solve(oscillating(rates[first:last]), start[first:last], times)
        torch.testing.assert_close(together[first:last], alone, rtol=0, atol=0)
    torch.testing.assert_close(together[:, :2], start[:, None].expand(-1, 2, -1), rtol=0, atol=0)
    torch.testing.assert_close(together[:, 4], together[:, 5], rtol=0, atol=0)
    assert (together[:, 2] - together[:, 3]).abs().amin() > 1e-8


def test_the_rows_of_a_long_batch_are_bitwise_independent_of_their_places():
    generator = torch.Generator().manual_seed(1)
    start = 3 * torch.rand(1003, 2, generator=generator, dtype=torch.float64) - 1.5
    field, times = oscillating(tensor(1.0)), tensor(1.0, 2.0)
    together = solve_dopri5(field, start, times, rtol=1e-6, atol=1e-6)
    for i in (0, 500, 999, 1002):  # the last few rows of a batch are computed by other instructions
        alone = solve_dopri5(field, start[i : i + 1], times, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=0)


def test_reports_do_not_change_the_steps():
    start = exact_kepler(ECCENTRICITIES, tensor(0.0))[:, 0]
    few, many = (solve_dopri5(kepler, start, torch.linspace(0, 5, n, dtype=torch.float64)) for n in (2, 101))
    torch.testing.assert_close(few[:, -1], many[:, -1], rtol=0, atol=0)


def test_a_solution_forwards_and_then_backwards_returns_to_its_start():
    start = exact_kepler(ECCENTRICITIES, tensor(0.0))[:, 0]
    there = solve_dopri5(kepler, start, tensor(5.0), rtol=1e-10, atol=1e-10)[:, 0]
    back = solve_dopri5(lambda time, state: -kepler(time, state), there, tensor(5.0), rtol=1e-10, atol=1e-10)[:, 0]
    torch.testing.assert_close(back, start, rtol=0, atol=1e-7)  # 1e3 steps with errors of 1e-10 each
    assert (there - start).abs().amax() > 0.5


def test_single_precision_inputs_are_solved_in_double_precision():
    start = exact_kepler(ECCENTRICITIES, tensor(0.0))[:, 0].float()
    for solve, options in ((solve_rk4, {"steps": 3}), (solve_dopri5, {})):
        found = solve(kepler, start, torch.tensor([1.0]), **options)
        torch.testing.assert_close(found, solve(kepler, start.double(), tensor(1.0), **options), rtol=0, atol=0)


# The estimated error of equal steps


def estimated(field, start, times, steps):
    return refusal_of(solve_rk4, field, start, times, steps=steps)


def decay(rates):
    return lambda time, state: -rates[:, None] * state


def test_the_embedded_solution_is_of_order_three():
    errors = []
    for step in (0.02, 0.01):
        start, exact = exact_kepler(ECCENTRICITIES, tensor(0.7, 0.7 + step)).unbind(1)
        time = torch.full_like(ECCENTRICITIES, 0.7)
        end, fourth = rk4_step(kepler, time, start, step, kepler(time, start))
        errors.append((end - step / 6 * (fourth - kepler(time, end)) - exact).norm())
    assert orders(errors) == pytest.approx([4], abs=0.15)  # the error of one step has one power more


@pytest.mark.parametrize("z", [0.1, 0.5, 1.0])
def test_the_estimate_of_a_decay_is_that_of_its_embedded_solution_and_above_its_error(z):
    # One step multiplies by R = 1 - z + z^2 / 2 - z^3 / 6 + z^4 / 24 and differs from order 3 by z^4 / 72 + z^5 / 144.
    steps, factor = 12, 1 - z + z**2 / 2 - z**3 / 6 + z**4 / 24
    estimate = estimated(decay(tensor(1.0)), tensor([3.0]), tensor(steps * z), steps).error
    assert estimate == pytest.approx((z**4 / 72 + z**5 / 144) * (1 - factor**steps) / (1 - factor), rel=1e-12)
    assert estimate > 5 * abs(math.exp(-steps * z) - factor**steps)


def test_an_error_is_refused_above_the_limit_and_accepted_below():
    field, start, times = decay(tensor(1.0)), tensor([3.0]), tensor(6.0)
    assert estimated(field, start, times, 5).error < TOLERANCE < estimated(field, start, times, 4).error  # 0.06, 0.16
    solve_rk4(field, start, times, steps=5)
    with pytest.raises(LostSolutionError, match=r"sample 0 is lost by time t = 1\.5: .* take more than 4 steps"):
        solve_rk4(field, start, times, steps=4)


def test_a_stiff_row_is_named_with_the_step_that_lost_it_and_its_neighbours_are_solved():
    rates, start = tensor(1.0, 2.0, 1000.0), torch.ones(3, 1, dtype=torch.float64)
    with pytest.raises(LostSolutionError, match=r"sample 2 is lost by time t = 0\.05: .* take more than 10 steps") as refusal:
        solve_rk4(decay(rates), start, tensor(0.5, 1.0), steps=10)
    assert refusal.value.error > 1
    found = solve_rk4(decay(rates[:2]), start[:2], tensor(0.5, 1.0), steps=10)
    torch.testing.assert_close(found[:, 1], torch.exp(-rates[:2, None]), rtol=1e-5, atol=0)
    with tolerate(math.inf):
        assert 1e100 < float(solve_rk4(decay(rates), start, tensor(1.0), steps=20).abs().max()) < math.inf
        with pytest.raises(
            LostSolutionError, match="sample 2 is lost by time t = 19: what the time steps return is not finite"
        ):
            solve_rk4(decay(rates), start, tensor(1.0, 19.0), steps=20)


def test_a_row_at_rest_and_a_component_at_round_off_have_no_error():
    still = torch.zeros(2, 2, dtype=torch.float64)
    torch.testing.assert_close(solve_rk4(decay(tensor(1.0, 9.0)), still, tensor(1.0), steps=1), still[:, None], rtol=0, atol=0)
    small = tensor([1.0, 1e-17])
    fast = solve_rk4(lambda time, state: state * tensor(-1.0, -30.0), small, tensor(1.0), steps=10)  # z = 3: unstable
    assert fast[0, 0, 1].abs() < 1e-15


def test_an_estimate_costs_one_more_evaluation():
    calls = []

    def field(time, state):
        calls.append(time)
        return -state

    solve_rk4(field, tensor([1.0]), tensor(0.5, 1.0), steps=10)
    assert len(calls) == 4 * 20 + 1


# Refused arguments


def explode(time, state):
    return state * state


def test_a_row_that_blows_up_is_named_with_the_time_and_the_step():
    message = r"row 1 has reached only t = 0\.99\d* of 2 after \d+ steps, the last of [\d.]+e-1\d: it is stiff or blowing up;"
    with pytest.raises(ValueError, match=message) as refusal:
        solve_dopri5(explode, tensor([0.1], [1.005]), tensor(2.0), rtol=1e-4)
    assert "\n" not in str(refusal.value)


def test_a_stiff_row_that_uses_up_its_steps_is_named():
    calls = []

    def field(time, state):
        calls.append(time)
        return -tensor([1.0], [1e5]) * state

    with pytest.raises(ValueError, match=r"row 1 has reached only t = 0.00\d+ of 1 after 100 steps, the last of [\d.]+e-05:"):
        solve_dopri5(field, tensor([1.0], [1.0]), tensor(1.0), most_steps=100)
    assert len(calls) == 2 + 6 * 100
    found = solve_dopri5(lambda time, state: -state, tensor([1.0]), tensor(1.0), rtol=1e-3, atol=1e-3, most_steps=5)
    assert float(found) == pytest.approx(math.exp(-1), abs=1e-3)


def test_slopes_that_are_not_finite_are_refused_at_once():
    with pytest.raises(ValueError, match="row 0 has reached only t = 0 of 1 after 0 steps, the last of nan: it is stiff"):
        solve_dopri5(lambda time, state: state / 0, tensor([0.0]), tensor(1.0))


REFUSED = {
    "start must be finite, it is not in row 1": {"start": tensor([1.0], [math.nan])},
    r"start must be \(sample, component\) and not empty, got shape \(1,\)": {"start": tensor(1.0)},
    "times must be in order: sort them": {"times": tensor(2.0, 1.0)},
    "times must be finite and not negative, got -1 s as the smallest": {"times": tensor(-1.0)},
    "times must be finite and not negative, got inf s as the smallest": {"times": tensor(math.inf)},
    "times must be a list of at least one output time": {"times": tensor()},
    r"rtol must be in \[1e-13, 1\), got 1e-14": {"rtol": 1e-14},
    "atol must be positive and finite, got 0": {"atol": 0.0},
    "steps between output times must be 1 or more, got 0": {"steps": 0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_invalid_arguments_are_refused_in_one_line(message):
    given = {"start": tensor([1.0]), "times": tensor(1.0), **REFUSED[message]}
    solve = solve_rk4 if "steps" in given else solve_dopri5
    with pytest.raises(ValueError, match=message) as refusal:
        solve(explode, **given)
    assert "\n" not in str(refusal.value)
