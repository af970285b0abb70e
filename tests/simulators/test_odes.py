"""Systems of ordinary differential equations against exact solutions and conserved quantities, and their ensembles."""

import json
import math
from dataclasses import asdict, replace

import jaxtyping
import pytest
import torch
from scipy.special import ellipj, ellipk, lambertw
from solving import drawn as draw
from solving import tensor

from simulators.ensemble import Ensemble
from simulators.numerics.runge_kutta import solve_dopri5, solve_rk4
from simulators.numerics.step_error import tolerate
from simulators.odes.lorenz import Lorenz63, Lorenz96, lorenz63_field, lorenz96_field
from simulators.odes.lotka_volterra import PredatorsAndPrey, lotka_volterra_field
from simulators.odes.oscillators import Oscillators, oscillator_field
from simulators.odes.pendulum import Pendulums, pendulum_field, pendulum_period
from simulators.odes.sir import Epidemics, sir_field


@pytest.fixture(autouse=True)
def check_shapes_once(request, monkeypatch):
    """Check signatures in one test of the ensembles only: a check takes longer than the step that it checks."""
    checked = request.function is test_an_ensemble_draws_and_solves_what_it_declares
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", not checked)


ZERO = tensor(0.0)
TIMES = torch.linspace(0.5, 6, 12, dtype=torch.float64)
TIGHT = {"rtol": 1e-10, "atol": 1e-10}
NEAR = {"rtol": 0, "atol": 2e-8}  # some 1e2 steps with errors of 1e-10 each


def assert_near(found, exact):
    torch.testing.assert_close(found, torch.as_tensor(exact, dtype=torch.float64).expand_as(found), **NEAR)


# Oscillators

STARTS = tensor([1.0, 0.3, 0.0], [-0.7, 1.2, 0.0])
POSITION, MOMENTUM = STARTS[:, :1], STARTS[:, 1:2]


def oscillate(*coefficients, start=STARTS, times=TIMES):
    return solve_dopri5(oscillator_field(*coefficients), start, times, **TIGHT).unbind(2)


def test_a_harmonic_oscillator_rotates_in_phase_space():
    position, momentum, work = oscillate(4.0, 0.0, 0.0, 0.0)
    assert_near(position, POSITION * torch.cos(2 * TIMES) + MOMENTUM / 2 * torch.sin(2 * TIMES))
    assert_near(momentum, MOMENTUM * torch.cos(2 * TIMES) - 2 * POSITION * torch.sin(2 * TIMES))
    assert work.abs().max() == 0


def test_a_damped_and_forced_oscillator_follows_its_exact_solution():
    alpha, gamma, delta = 4.0, 0.6, 0.3
    frequency = math.sqrt(alpha - gamma**2 / 4)
    amplitude = delta / complex(alpha - 1, gamma)  # of exp(i t)
    swing = torch.exp(-gamma / 2 * TIMES)
    first = POSITION - amplitude.real
    second = (MOMENTUM + amplitude.imag + gamma / 2 * first) / frequency
    free = swing * (first * torch.cos(frequency * TIMES) + second * torch.sin(frequency * TIMES))
    exact = free + amplitude.real * torch.cos(TIMES) - amplitude.imag * torch.sin(TIMES)
    assert_near(oscillate(alpha, 0.0, gamma, delta)[0], exact)


def test_an_oscillator_of_duffing_follows_an_elliptic_cosine():
    alpha, beta, amplitude = 0.5, 2.0, 1.3
    frequency = math.sqrt(alpha + beta * amplitude**2)
    _, cosine, _, _ = ellipj(frequency * TIMES.numpy(), beta * amplitude**2 / (2 * frequency**2))
    assert_near(oscillate(alpha, beta, 0.0, 0.0, start=tensor([amplitude, 0.0, 0.0]))[0][0], amplitude * cosine)


def test_an_oscillator_of_duffing_stays_at_rest_in_its_wells():
    rest = tensor([1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    assert oscillator_field(-1.0, 1.0, 0.0, 0.0)(ZERO.expand(3), rest).abs().max() == 0


@pytest.mark.parametrize("coefficients", [(1.0, 0.0, 0.0, 0.0), (-1.0, 1.0, 0.0, 0.0)])
def test_a_conservative_oscillator_with_reversed_velocity_returns(coefficients):
    mirror = tensor(1.0, -1.0, 1.0)
    there = torch.stack(oscillate(*coefficients), 2)[:, -1]
    back = torch.stack(oscillate(*coefficients, start=there * mirror), 2)[:, -1] * mirror
    torch.testing.assert_close(back, STARTS, rtol=0, atol=1e-6)  # near the saddle of Duffing, errors grow as exp(t)


# Pendulums


def test_the_period_of_a_pendulum_is_an_elliptic_integral_and_the_pendulum_returns_after_it():
    amplitude, length = tensor(0.1, 1.5, 3.0), tensor(0.5, 1.0, 2.0)
    period = pendulum_period(amplitude, length, 9.0)
    exact = 4 * torch.sqrt(length / 9) * torch.from_numpy(ellipk(torch.sin(amplitude / 2).numpy() ** 2))
    torch.testing.assert_close(period, exact, rtol=1e-14, atol=0)
    start = torch.stack([amplitude, 0 * amplitude, 0 * amplitude], 1)
    for i in range(3):
        times = period[i] * tensor(0.25, 0.5, 1.0)
        quarter, half, whole = solve_dopri5(pendulum_field(9 / length[i : i + 1], 0.0), start[i : i + 1], times, **TIGHT)[0]
        assert_near(quarter[:1], [0.0])
        assert_near(half, -start[i])
        assert_near(whole, start[i])


def test_an_amplitude_that_turns_over_has_no_period():
    with pytest.raises(ValueError, match=r"an amplitude must be below pi rad, got 3.2 rad: it turns over"):
        pendulum_period(tensor(1.0, -3.2), tensor(1.0, 1.0))


def test_a_damped_pendulum_at_small_angles_is_a_damped_harmonic_oscillator():
    stiffness, damping = 4.0, 0.6
    found = solve_dopri5(pendulum_field(tensor(stiffness), damping, linear=True), STARTS, TIMES, **TIGHT)
    position, momentum, work = oscillate(stiffness, 0.0, damping, 0.0)
    for i, exact in enumerate((position, momentum, work)):
        assert_near(found[:, :, i], exact)


def test_a_full_pendulum_at_small_angles_is_the_linear_one_up_to_the_cube_of_the_angle():
    differences = []
    for angle in (0.2, 0.1):
        start = tensor([angle, 0.0, 0.0])
        full, linear = (solve_dopri5(pendulum_field(tensor(9.0), 0.0, linear=b), start, TIMES, **TIGHT) for b in (False, True))
        differences.append(float((full - linear)[..., :2].norm()))
    assert math.log2(differences[0] / differences[1]) == pytest.approx(3, abs=0.05)


# Predators and prey

RATES = tensor([1.1, 0.4, 0.6, 0.2])
REST = tensor([3.0, 2.75])  # death / conversion, growth / predation


def hunt(start, times, crowding=0.0):
    start = torch.cat([start.log(), tensor([0.0])], 1)
    return solve_dopri5(lotka_volterra_field(RATES, crowding), start, times, **TIGHT)[..., :2].exp()


@pytest.mark.parametrize("crowding", [0.0, 0.1])
def test_populations_in_equilibrium_stay_constant(crowding):
    rest = tensor([3.0, (1.1 - crowding * 3) / 0.4])
    assert_near(hunt(rest, TIMES, crowding), rest)


def test_small_deviations_from_equilibrium_oscillate_with_the_period_of_the_linear_system():
    start, period = REST * 1.0001, 2 * math.pi / math.sqrt(1.1 * 0.6)
    half, whole = hunt(start, tensor(period / 2, period))[0]
    torch.testing.assert_close(whole, start[0], rtol=0, atol=1e-7)  # a multiple of the squared amplitude, 1e-8
    torch.testing.assert_close(half - REST[0], REST[0] - start[0], rtol=0, atol=1e-7)


def test_the_mean_populations_over_a_period_are_the_equilibrium():
    # Over one period, the mean slopes of ln x and ln y are 0: mean y = growth / predation, mean x = death / conversion. The
    # period ends where the orbit closes: when the prey again reaches its start from below.
    times = torch.linspace(0, 10, 10001, dtype=torch.float64)
    found = hunt(REST * tensor(1.0, 0.5), times)[0]
    returns = ((found[:-1, 0] < 3) & (found[1:, 0] >= 3)).nonzero()[0] + 1
    means = found[: int(returns) + 1].mean(0)
    torch.testing.assert_close(means, REST[0], rtol=1e-3, atol=0)  # the period is known to one step, 1e-3, of about 10


# Lorenz 1963


def test_convection_rests_at_its_three_equilibria():
    rho, beta = 28.0, 8 / 3
    side = math.sqrt(beta * (rho - 1))
    rest = tensor([0.0, 0.0, 0.0, 0.0], [side, side, rho - 1, 0.0], [-side, -side, rho - 1, 0.0])
    slopes = lorenz63_field(tensor(rho).expand(3))(ZERO.expand(3), rest)
    assert slopes.abs().max() < 1e-12


def test_convection_contracts_every_volume_at_the_same_rate():
    for point in torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)):
        slopes = torch.autograd.functional.jacobian(lambda y: lorenz63_field(tensor(28.0), 9.0, 2.5)(ZERO, y[None])[0], point)
        assert float(slopes[:3, :3].trace()) == pytest.approx(-(9 + 1 + 2.5), rel=1e-14)
        assert float(slopes[0, 0]) == -9


def test_convection_has_its_symmetry_and_its_invariant_axis():
    start = tensor([1.0, 2.0, 20.0, 0.0], [-1.0, -2.0, 20.0, 0.0], [0.0, 0.0, 7.0, 0.0])
    times = tensor(0.5, 1.0, 2.2)
    found = solve_dopri5(lorenz63_field(tensor(28.0).expand(3)), start, times, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found[1], found[0] * tensor(-1.0, -1.0, 1.0, 1.0), rtol=0, atol=0)
    assert found[2, :, :2].abs().max() == 0
    torch.testing.assert_close(found[2, :, 2], 7 * torch.exp(-8 / 3 * times), rtol=1e-6, atol=1e-6)


def test_neighbouring_convection_states_separate_with_the_known_lyapunov_exponent():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(200, 4, generator=generator, dtype=torch.float64) + tensor(0.0, 0.0, 25.0, 0.0)
    rho = tensor(28.0).expand(400)
    settled = solve_rk4(lorenz63_field(rho[:200]), start, tensor(8.0), steps=400)[:, 0]
    beside = settled + tensor(1e-8, 0.0, 0.0, 0.0)
    found = solve_rk4(lorenz63_field(rho), torch.cat([settled, beside]), tensor(2.0, 12.0), steps=500)[..., :3]
    distance = (found[:200] - found[200:]).norm(dim=2)
    # 200 rows over 10 units of time: the exponents have a standard deviation of 0.15, their mean one of 0.01; steps of 1/50 are
    # accurate to 1 %.
    assert float((distance[:, 1] / distance[:, 0]).log().mean()) / 10 == pytest.approx(0.906, abs=0.05)


# Lorenz 1996


def test_the_ring_follows_its_equation_at_every_site():
    generator = torch.Generator().manual_seed(0)
    x, forcing = torch.randn(2, 7, generator=generator, dtype=torch.float64), tensor(8.0, 3.0)
    found = lorenz96_field(forcing)(ZERO.expand(2), torch.cat([x, torch.zeros(2, 1)], 1))
    for i in range(7):
        slope = (x[:, (i + 1) % 7] - x[:, i - 2]) * x[:, i - 1] - x[:, i] + forcing
        torch.testing.assert_close(found[:, i], slope, rtol=1e-14, atol=1e-14)
    # Advection conserves the energy: only forcing and decay change it.
    torch.testing.assert_close((x * found[:, :-1]).sum(1), found[:, -1], rtol=1e-12, atol=1e-12)


def test_the_ring_rests_when_all_sites_are_at_the_forcing():
    rest = torch.cat([torch.full((1, 9), 8.0), torch.zeros(1, 1)], 1).double()
    assert lorenz96_field(tensor(8.0))(ZERO, rest).abs().max() == 0


def test_a_shifted_ring_has_the_shifted_solution():
    start = torch.randn(1, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turned = start.roll(3, 1)
    both = torch.cat([torch.cat([start, turned]), torch.zeros(2, 1)], 1)
    found = solve_dopri5(lorenz96_field(tensor(8.0, 8.0)), both, tensor(1.2), **TIGHT)[:, 0, :-1]
    assert_near(found[1], found[0].roll(3))


# Epidemics


def spread(transmission, recovery, times, start, waning=0.0):
    susceptible, infected, removed = start
    state = tensor([math.log(susceptible), math.log(infected), removed, 0.0])
    return solve_dopri5(sir_field(tensor(transmission), tensor(recovery), waning), state, times, **TIGHT)[0]


def test_an_epidemic_ends_at_its_final_size():
    found = spread(0.5, 0.2, tensor(2000.0), (0.85, 0.05, 0.1))[0]
    # S = S_0 exp(-2.5 (1 - S - R_0)) is solved by S = -W(-2.5 S_0 exp(-2.5 (1 - R_0))) / 2.5.
    exact = -lambertw(-2.5 * 0.85 * math.exp(-2.5 * 0.9)).real / 2.5
    assert float(found[0].exp()) == pytest.approx(exact, abs=1e-9)
    assert float(found[2]) == pytest.approx(1 - exact, abs=1e-9)


def test_an_epidemic_conserves_the_logarithm_of_its_susceptibles_plus_a_multiple_of_its_removed():
    found = spread(0.5, 0.2, TIMES, (0.85, 0.05, 0.1))
    conserved = found[:, 0] + 2.5 * found[:, 2]  # linear in the state: Runge-Kutta methods conserve it too
    assert_near(conserved, math.log(0.85) + 0.25)
    assert found[-1, 2] > 0.2


def test_an_epidemic_grows_initially_as_its_reproduction_number_predicts():
    infected = spread(0.5, 0.2, tensor(1.0, 2.0), (1 - 1e-9, 1e-9, 0.0))[:, 1]
    assert float(infected.diff()) == pytest.approx(0.3, abs=1e-8)  # the susceptibles have not yet become fewer


def test_an_epidemic_becomes_endemic_when_immunity_wanes():
    transmission, recovery, waning = 0.5, 0.2, 0.05
    susceptible = recovery / transmission
    infected = waning * (1 - susceptible) / (recovery + waning)
    start = (susceptible, infected, 1 - susceptible - infected)
    found = spread(transmission, recovery, TIMES, start, waning)
    assert_near(found[:, :3], [math.log(start[0]), math.log(start[1]), start[2]])


# Ensembles

ENSEMBLES = {
    "harmonic": Oscillators(),
    "Duffing": Oscillators(coefficients=(-1.0, 1.0, 0.0, 0.0)),
    "forced": Oscillators(coefficients=(-0.2, 0.2, 0.0, 0.15)),
    "energy of damped": Oscillators(coefficients=(1.0, 0.0, 0.1, 0.0), report="energy"),
    "pendulums": Pendulums(damping=0.3),
    "pendulums at small angles": Pendulums(linear=True),
    "predators and prey": PredatorsAndPrey(),
    "crowded prey": PredatorsAndPrey(crowding=0.1),
    "Lorenz 1963": Lorenz63(),
    "Lorenz 1996": Lorenz96(),
    "Lorenz 1996 at two sensors": Lorenz96(sites=5, sensors=(1, 4)),
    "epidemics": Epidemics(),
    "epidemics that stay": Epidemics(waning=0.02),
}
every_ensemble = pytest.mark.parametrize("ensemble", ENSEMBLES.values(), ids=ENSEMBLES)


@every_ensemble
def test_an_ensemble_draws_and_solves_what_it_declares(ensemble):
    assert isinstance(ensemble, Ensemble)
    assert json.loads(json.dumps(asdict(ensemble), allow_nan=False))["integrator"] == "dopri5"
    inputs = draw(ensemble, 6)
    outputs, residual = replace(ensemble, tolerance=1e-4).solve(inputs)
    for quantities, arrays, dtype in ((ensemble.inputs, inputs, torch.float32), (ensemble.outputs, outputs, torch.float64)):
        assert list(arrays) == [quantity.name for quantity in quantities]
        for quantity in quantities:
            values = arrays[quantity.name]
            assert (values.shape, values.dtype) == ((6, *quantity.shape), dtype)
            assert len(quantity.axes) == len(quantity.shape)
            assert bool(torch.isfinite(values).all())
            assert quantity.scaling == "standard" or values.min() > 0
    lengths = {coordinate.name: len(coordinate.values) for coordinate in ensemble.coordinates}
    for quantity in (*ensemble.inputs, *ensemble.outputs):
        assert quantity.shape == tuple(lengths[axis] for axis in quantity.axes)
    assert residual.shape == (6,)
    assert all(torch.equal(values, draw(ensemble, 6)[name]) for name, values in inputs.items())
    assert not any(torch.isin(values, draw(ensemble, 6, seed=1)[name]).any() for name, values in inputs.items())


@every_ensemble
def test_draws_fill_the_ranges(ensemble):
    inputs, fields = draw(ensemble, 400), asdict(ensemble)
    for quantity, bounds in ensemble._ranges():
        values, (low, high) = inputs[quantity.name].double(), bounds
        if quantity.scaling == "log":
            values, low, high = values.log(), math.log(low), math.log(high)
        width = (high - low) / 400
        assert low - 1e-6 <= values.min() <= low + width + 1e-6  # the first and the last of 400 slices each contain one value
        assert high - width - 1e-6 <= values.max() <= high + 1e-6
        assert float(values.mean()) == pytest.approx((low + high) / 2, abs=width)
        assert bounds in fields.values()


@every_ensemble
def test_a_batch_is_bitwise_equal_to_its_rows(ensemble):
    inputs = draw(ensemble, 21)
    for chosen in (replace(ensemble, tolerance=1e-4), replace(ensemble, integrator="rk4", steps=1)):
        together, residual = chosen.solve(inputs)
        for rows in (slice(3, 4), slice(19, 21)):
            alone, missed = chosen.solve({name: values[rows] for name, values in inputs.items()})
            for name, values in alone.items():
                torch.testing.assert_close(together[name][rows], values, rtol=0, atol=0)
            torch.testing.assert_close(residual[rows], missed, rtol=1e-9, atol=1e-15)


@every_ensemble
def test_the_balance_is_as_accurate_as_the_tolerance(ensemble):
    inputs = draw(ensemble, 8)
    coarse, fine = (replace(ensemble, tolerance=tolerance).solve(inputs)[1] for tolerance in (1e-4, 1e-7))
    assert fine.max() < 1e-4  # 1e2 steps, of samples whose energy may be 1e-2 small
    assert 1e-7 < coarse.max() < 1e-1
    assert fine.max() < coarse.max() / 100


@every_ensemble
def test_refined_runge_kutta_steps_converge_with_order_four(ensemble):
    # Up to an early time, before chaos or a separatrix amplifies the higher powers of the step.
    inputs, ensemble = draw(ensemble, 2), replace(ensemble, integrator="rk4", reported=4, time=ensemble.time / 8)
    assert measure_order(ensemble, inputs, (4, 8, 16)) == pytest.approx(ensemble.order, abs=0.15)
    assert ensemble.order == 4


@pytest.mark.parametrize("name", ["harmonic", "pendulums", "predators and prey", "Lorenz 1996"])
def test_refined_tolerances_converge_with_order_five(name):
    # Adaptive steps do not halve one by one: hence more samples, and a wider bound.
    ensemble = replace(ENSEMBLES[name], time=ENSEMBLES[name].time / 2)
    assert measure_order(ensemble, draw(ensemble, 20), (1, 2, 4)) == pytest.approx(5, abs=0.35)
    assert math.isnan(ensemble.order)


def measure_order(ensemble, inputs, refinements):
    coarse, medium, fine = (torch.cat([v.flatten() for v in ensemble.solve(inputs, r)[0].values()]) for r in refinements)
    return math.log2((coarse - medium).norm() / (medium - fine).norm())


@every_ensemble
def test_integrators_agree_and_reports_are_at_their_times(ensemble):
    inputs = draw(ensemble, 3)
    outputs, _ = replace(ensemble, tolerance=1e-5).solve(inputs)
    equal_steps, _ = replace(ensemble, integrator="rk4", reported=16, steps=8).solve(inputs)
    for name, values in outputs.items():
        torch.testing.assert_close(values[:, 1::2], equal_steps[name], rtol=1e-2, atol=1e-2)
    assert ensemble.coordinates[0].values[-1] == ensemble.time
    assert ensemble.coordinates[0].values[0] == ensemble.time / 32


def test_the_reported_energy_is_that_of_the_states():
    states = Oscillators(coefficients=(-1.0, 2.0, 0.1, 0.3))
    inputs = draw(states, 4)
    found, _ = states.solve(inputs)
    energy = replace(states, report="energy").solve(inputs)[0]["energy"]
    q, p = found["position"], found["momentum"]
    assert_near(energy, p**2 / 2 - q**2 / 2 + q**4 / 2)


def test_sensors_report_some_of_the_sites():
    ring = Lorenz96(sites=6)
    inputs = draw(ring, 2)
    everywhere, _ = ring.solve(inputs)
    somewhere = replace(ring, sensors=(4, 1))
    torch.testing.assert_close(somewhere.solve(inputs)[0]["value_4_1"], everywhere["value"][..., [4, 1]], rtol=0, atol=0)
    assert somewhere.coordinates[2].values == (4, 1)
    torch.testing.assert_close(everywhere["value"].shape, (2, 32, 6))


def test_populations_stay_positive_with_any_steps():
    for ensemble in (PredatorsAndPrey(integrator="rk4", steps=1, reported=4), Epidemics(tolerance=0.1)):
        with tolerate(math.inf):
            outputs, _ = ensemble.solve(draw(ensemble, 50))
        for values in outputs.values():
            assert 0 < values.min() < values.max() < 50


REFUSED = {
    'integrator must be "dopri5" or "rk4", got "euler"': lambda: Pendulums(integrator="euler"),
    "time must be positive and reported 1 or more, got 0.0 and 32": lambda: Pendulums(time=0.0),
    "time must be positive and reported 1 or more, got 4.0 and 0": lambda: Pendulums(reported=0),
    'report must be "states" or "energy", got "work"': lambda: Oscillators(report="work"),
    "sites must be 4 or more, got 3": lambda: Lorenz96(sites=3),
    r"sensors must be sites from 0 to 7, got \(8,\)": lambda: Lorenz96(sensors=(8,)),
    "initial_infected must be positive, got a range from 0 1": lambda: draw(Epidemics(infected=(0.0, 0.1)), 2),
    "start must be finite, it is not in row 0": lambda: Epidemics(immune=(1.0, 1.0)).solve(
        draw(Epidemics(immune=(1.0, 1.0)), 2)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_invalid_arguments_are_refused_in_one_line(message):
    with pytest.raises(ValueError, match=message) as refusal:
        REFUSED[message]()
    assert "\n" not in str(refusal.value)
