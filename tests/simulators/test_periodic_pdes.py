"""Every periodic PDE against its known properties, and the solver that all of them share."""

import contextlib
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from drawing import normal
from solving import grid, orders, refusal_of, tensor

from simulators.ensemble import Ensemble
from simulators.numerics.fourier import PeriodicBox, resample
from simulators.numerics.step_error import TOLERANCE, LostSolutionError, tolerate
from simulators.pairs import PAIRS
from simulators.periodic.advection_diffusion import AdvectionDiffusion
from simulators.periodic.allen_cahn import AllenCahn
from simulators.periodic.burgers import Burgers
from simulators.periodic.field_ensemble import PeriodicFields, Waves
from simulators.periodic.fisher_kpp import FisherKPP
from simulators.periodic.gray_scott import GrayScott
from simulators.periodic.korteweg_de_vries import KortewegDeVries
from simulators.periodic.kuramoto_sivashinsky import KuramotoSivashinsky
from simulators.periodic.navier_stokes import NavierStokes
from simulators.periodic.semilinear import SemilinearPDE, solve_periodic

TAU = 2 * math.pi


def solve(pde, initial, numbers, end, *, length=1.0, steps=100):
    """Return the field of each row at the end."""
    numbers = {name: torch.as_tensor(value, dtype=torch.float64).expand(len(initial)) for name, value in numbers.items()}
    axes = initial.ndim - (2 if len(pde.evolved) > 1 else 1)
    return solve_periodic(pde, initial, numbers, tensor(end), lengths=[length] * axes, steps=steps)[:, 0]


def largest(values):
    return float(values.abs().max())


# A small and smooth ensemble of each PDE, for tests of the common properties ---------------------------------------------

FLOW = PeriodicFields(
    NavierStokes((0.01, 0.02)), Waves(deviation=8.0, modes=3), time=0.5, axes=2, reported=32, points=64, steps=30
)
EVERY = {
    "advection-diffusion": PeriodicFields(AdvectionDiffusion(), Waves(), time=0.5),
    "burgers": PeriodicFields(Burgers((0.01, 0.03), drift=0.4), Waves(deviation=0.5, modes=4), time=0.4, steps=64),
    "korteweg-de vries": PeriodicFields(KortewegDeVries(), Waves(modes=2, deviation=0.5), time=0.5, length=20.0, steps=100),
    "kuramoto-sivashinsky": PeriodicFields(
        KuramotoSivashinsky(), Waves(modes=2), time=3.0, length=22.0, steps=400, points=32, reported=32
    ),
    "allen-cahn": PeriodicFields(AllenCahn(bias=0.1), Waves(modes=3, deviation=0.5), time=2.0, steps=32, points=256),
    "fisher-kpp": PeriodicFields(FisherKPP(), Waves(-1.0, 1.0, modes=3, between=(0.0, 1.0)), time=0.5, steps=16),
    "gray-scott": PeriodicFields(
        GrayScott(diffusivity_u=8e-4, diffusivity_v=4e-4),
        Waves(-1.0, 1.0, modes=2, between=(0.0, 0.5)),
        time=20.0,
        axes=2,
        reported=32,
        points=64,
        steps=10,
    ),
    "navier-stokes": FLOW,
    "navier-stokes, forced": replace(FLOW, pde=NavierStokes((0.01, 0.02), drag=0.1, forcing=1.0)),
}


def drawn(name, samples=3):
    return EVERY[name].draw(torch.Generator().manual_seed(1), samples)


def answers(name, inputs, refinement=1.0):
    outputs, residual = EVERY[name].solve(inputs, refinement)
    return torch.stack(list(outputs.values()), 1), residual


@pytest.mark.parametrize("name", EVERY)
def test_an_ensemble_draws_and_solves_what_it_declares(name):
    ensemble, inputs = EVERY[name], drawn(name)
    assert isinstance(ensemble, Ensemble)
    shape = (ensemble.reported,) * ensemble.axes
    assert [(q.name, q.shape) for q in ensemble.inputs] == [(key, tuple(v.shape[1:])) for key, v in inputs.items()]
    assert inputs[ensemble.inputs[0].name].shape == (3, *shape)
    for quantity, (low, high) in ensemble.pde.numbers:
        assert bool(((low <= inputs[quantity.name] * (1 + 1e-6)) & (inputs[quantity.name] <= high * (1 + 1e-6))).all())
    outputs, residual = ensemble.solve(inputs)
    assert [(q.name, q.shape) for q in ensemble.outputs] == [(key, tuple(v.shape[1:])) for key, v in outputs.items()]
    assert bool(torch.isnan(residual).all()) == (ensemble.invariant == "")
    if "order" not in ensemble.invariant:  # conserved up to round-off, or a bound that is kept
        assert float(residual.nan_to_num().max()) < 1e-12
    for quantity in ensemble.outputs:
        moved = outputs[quantity.name] - inputs[ensemble.inputs[0].name]
        assert largest(moved) > 0.01


@pytest.mark.parametrize("name", EVERY)
def test_the_error_falls_with_the_steps_with_the_order_of_the_scheme(name):
    inputs, ensemble = drawn(name, 1), EVERY[name]
    found = [replace(ensemble, steps=r * ensemble.steps).solve(inputs)[0] for r in (1, 2, 4)]
    fields = [torch.stack(list(outputs.values())) for outputs in found]
    changes = [largest(coarse - fine) for coarse, fine in pairwise(fields)]
    if math.isnan(ensemble.order):
        assert max(changes) < 1e-12
    else:
        assert changes[-1] > 1e-12, "nothing is left of the error: take longer steps here"
        assert orders(changes) == pytest.approx([ensemble.order], abs=0.15)


@pytest.mark.parametrize("name", EVERY)
def test_doubling_the_points_changes_the_solution_by_round_off_only(name):
    # The inputs are float32: they have noise of 1e-7 in waves of any length, some of which only the finer grid resolves.
    inputs, ensemble = drawn(name, 1), replace(EVERY[name], steps=2 * EVERY[name].steps)
    if name == "kuramoto-sivashinsky":
        # EVERY has 32 points here, so that no wave is stiff and the order in time is visible: too few for this test.
        ensemble = replace(ensemble, points=64)
    (coarse, _), (fine, _) = ensemble.solve(inputs), replace(ensemble, points=2 * ensemble.points).solve(inputs)
    for key, values in fine.items():
        assert largest(coarse[key] - values) < 1e-5 * largest(values)


def test_every_pde_is_among_these():
    ensembles = [side.ensemble for pair in PAIRS.values() for side in (pair.source, pair.target)]
    of_pairs = {type(ensemble.pde) for ensemble in ensembles if isinstance(ensemble, PeriodicFields)}
    # The pages of the book, which are run by other tests, define PDEs of their own.
    known = {kind for kind in SemilinearPDE.__subclasses__() if kind.__module__.startswith("simulators.")}
    assert of_pairs <= known == {type(ensemble.pde) for ensemble in EVERY.values()}


@pytest.mark.parametrize("name", [name for name, ensemble in EVERY.items() if ensemble.pde.degree > 1])
def test_the_modes_of_the_nonlinear_term_are_those_of_a_finer_grid(name):
    """A degree that is declared too low keeps modes of N that other modes have been aliased to."""
    pde, axes = EVERY[name].pde, EVERY[name].axes
    points, fine_points = (24,) * axes, (96,) * axes
    fields = (2, *(len(pde.evolved),) * (len(pde.evolved) > 1))
    like = normal(*fields, *points)
    box, fine = (PeriodicBox(count, (1.0,) * axes, pde.degree, like) for count in (points, fine_points))
    numbers = {quantity.name: torch.full((2, *(1,) * (like.ndim - 1)), high) for quantity, (_, high) in pde.numbers}
    modes = box.to_modes(like)  # every mode that the grid keeps
    smooth = box.to_grid(modes)
    finer = fine.to_modes(resample(smooth.reshape(-1, *points), fine_points).reshape(*fields, *fine_points))
    found, exact = pde.nonlinear(box, numbers)(modes.clone()), pde.nonlinear(fine, numbers)(finer)
    most = box.highest[-1]
    exact = exact[..., : most + 1]
    if axes == 2:
        exact = torch.cat([exact[..., : most + 1, :], exact[..., -most:, :]], dim=-2)
    # Sums of some hundred products in float64.
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-12 * largest(exact))


@pytest.mark.parametrize("name", EVERY)
def test_a_row_is_solved_as_if_alone(name):
    inputs = drawn(name)
    together, _ = answers(name, inputs)
    for i in range(3):
        alone, _ = answers(name, {key: values[i : i + 1] for key, values in inputs.items()})
        assert largest(alone[0] - together[i]) < 1e-12 * largest(together[i])


@pytest.mark.parametrize("name", [name for name in EVERY if name != "navier-stokes, forced"])
def test_a_shifted_initial_field_has_the_shifted_solution(name):
    inputs = drawn(name, 1)
    key = EVERY[name].inputs[0].name
    moved = inputs | {key: inputs[key].roll((5,) * EVERY[name].axes, tuple(range(1, 1 + EVERY[name].axes)))}
    (before, _), (after, _) = answers(name, inputs), answers(name, moved)
    shifted = before.roll((5,) * EVERY[name].axes, tuple(range(2, 2 + EVERY[name].axes)))
    assert largest(after - shifted) < 1e-11 * largest(before)


ODD = {"burgers": -1, "kuramoto-sivashinsky": -1, "allen-cahn": 1, "fisher-kpp": 1}


@pytest.mark.parametrize(("name", "sign"), ODD.items())
def test_a_mirrored_initial_field_has_the_mirrored_solution(name, sign):
    ensemble = EVERY[name]
    if name == "burgers":
        ensemble = replace(ensemble, pde=Burgers((0.01, 0.03)))
    inputs = ensemble.draw(torch.Generator().manual_seed(2), 1)
    key, out = ensemble.inputs[0].name, ensemble.outputs[0].name
    before = ensemble.solve(inputs)[0][out]
    after = ensemble.solve(inputs | {key: sign * inputs[key].flip(1)})[0][out]
    assert largest(after - sign * before.flip(1)) < 1e-11 * largest(before)


# Known properties of each PDE -----------------------------------------------------------------------------------------------


def test_a_profile_drifts_and_spreads_exactly():
    x, c, d, t, k = grid(64, 2.0), 0.7, 0.03, 1.3, 3 * TAU / 2.0
    found = solve(AdvectionDiffusion(), torch.cos(k * x)[None], {"velocity": c, "diffusivity": d}, t, length=2.0, steps=1)
    torch.testing.assert_close(found[0], math.exp(-d * k**2 * t) * torch.cos(k * (x - c * t)), rtol=0, atol=1e-14)


def cole_hopf(x, t, nu, c=0.0, k=TAU, a=0.6):
    """Return u = c - 2 nu phi_x / phi at x - c t with phi = 1 + a exp(-nu k^2 t) cos(k x)."""
    decay, place = a * math.exp(-nu * k**2 * t), k * (x - c * t)
    return c + 2 * nu * k * decay * torch.sin(place) / (1 + decay * torch.cos(place))


@pytest.mark.parametrize("points", [64, 128])
def test_burgers_is_solved_by_the_cole_hopf_transform_to_round_off_in_space(points):
    x, nu, t = grid(points), 0.05, 0.8
    found = solve(Burgers(), cole_hopf(x, 0, nu)[None], {"viscosity": nu}, t, steps=800)
    # 64 points keep 21 waves; the waves of the exact solution fall as (1/3)^m: 1e-10 beyond the 21st, round-off with 128.
    assert largest(found[0] - cole_hopf(x, t, nu)) < {64: 1e-9, 128: 1e-12}[points]


def test_burgers_is_of_order_four_in_time():
    x, nu, t, errors = grid(128), 0.05, 0.8, []
    for steps in (20, 40, 80):
        found = solve(Burgers(), cole_hopf(x, 0, nu)[None], {"viscosity": nu}, t, steps=steps)
        errors.append(largest(found[0] - cole_hopf(x, t, nu)))
    assert orders(errors) == pytest.approx([4, 4], abs=0.15)


def estimated(initial, viscosity, end, steps):
    return refusal_of(solve, Burgers(), initial, {"viscosity": viscosity}, end, steps=steps).error


def test_the_estimate_is_one_to_ten_times_the_error_against_the_cole_hopf_transform_where_it_is_large():
    x, nu, t, ratios = grid(128), 0.05, 0.8, {}
    for steps in (1, 2, 8, 16):
        with tolerate(math.inf):
            found = solve(Burgers(), cole_hopf(x, 0, nu)[None], {"viscosity": nu}, t, steps=steps)[0]
        exact, estimate = cole_hopf(x, t, nu), estimated(cole_hopf(x, 0, nu)[None], nu, t, steps)
        ratios[estimate] = estimate / float((found - exact).norm() / exact.norm())
    assert min(ratios.values()) > 1
    assert all(ratio < 10 for estimate, ratio in ratios.items() if estimate > 0.01)
    eight, sixteen = sorted(ratios, reverse=True)[2:]
    assert 2**2.5 < eight / sixteen < 2**4  # order 3 divided by order 4: the ratio grows with the steps


def test_burgers_is_solved_or_refused_and_never_lost_without_an_error():
    # Maximum principle: |u| never grows. With 1, 2, 4, ... steps each sample is refused until its solution obeys the principle.
    x, kept = grid(128), 0
    for amplitude, viscosity, end in ((5.0, 0.001, 0.02), (1.0, 0.01, 0.5), (3.0, 0.02, 0.5)):
        for steps in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            with contextlib.suppress(LostSolutionError):
                found = solve(Burgers(), amplitude * torch.sin(TAU * x)[None], {"viscosity": viscosity}, end, steps=steps)
                kept += 1
                assert largest(found) < (1 + 2 * TOLERANCE) * amplitude
    assert kept > 9


@pytest.mark.parametrize("block", [128, 2**16])
def test_a_lost_sample_is_named_for_any_size_of_blocks_and_does_not_change_the_others(block, monkeypatch):
    monkeypatch.setattr("simulators.periodic.semilinear.BLOCK", block)
    start = torch.sin(TAU * grid(128)) * tensor(0.1, 0.2, 5.0, 0.1)[:, None]
    numbers, times = {"viscosity": torch.full((4,), 0.001, dtype=torch.float64)}, tensor(0.1, 0.5)
    with pytest.raises(LostSolutionError, match=r"sample 2 is lost by time t = 0\.\d+: .* take more than 20 steps") as refusal:
        solve_periodic(Burgers(), start, numbers, times, lengths=[1.0], steps=20)
    assert len(str(refusal.value)) < 400
    assert "\n" not in str(refusal.value)
    kept = [0, 1, 3]
    solve_periodic(Burgers(), start[kept], {"viscosity": numbers["viscosity"][kept]}, times, lengths=[1.0], steps=20)
    with tolerate(math.inf), pytest.raises(LostSolutionError, match=r"sample 2 is lost by time t = 0\.1: .* is not finite"):
        solve_periodic(Burgers(), start, numbers, times, lengths=[1.0], steps=20)


def test_an_estimate_takes_one_more_evaluation_and_no_limit_takes_none(monkeypatch):
    calls, nonlinear = [], Burgers.nonlinear

    def counted(self, box, numbers):
        rest = nonlinear(self, box, numbers)
        return lambda modes: calls.append(modes) or rest(modes)

    monkeypatch.setattr(Burgers, "nonlinear", counted)
    found = []
    for limit, evaluations in ((math.inf, 4 * 20), (0.1, 4 * 20 + 1)):
        calls.clear()
        with tolerate(limit):
            start, numbers = 0.1 * torch.sin(TAU * grid(32))[None], {"viscosity": tensor(0.1)}
            found.append(solve_periodic(Burgers(), start, numbers, tensor(0.1, 0.2), lengths=[1.0], steps=10))
        assert len(calls) == evaluations
    assert torch.equal(*found)


@pytest.mark.parametrize("pde", [Burgers(), Burgers(drift=0.9)])
def test_burgers_is_invariant_in_a_moving_frame(pde):
    x, nu, t, speed = grid(128), 0.05, 0.5, 0.3
    found = solve(pde, cole_hopf(x, 0, nu, c=speed)[None], {"viscosity": nu}, t, steps=400)
    exact = cole_hopf(x - pde.drift * t, t, nu, c=speed)
    assert largest(found[0] - exact) < 1e-10


def test_without_steepening_burgers_is_advection_and_diffusion():
    assert Burgers(steepening=0.0).degree == FisherKPP(growth=0.0).degree == 1  # linear: solved exactly
    initial = Waves(modes=5).draw(torch.Generator().manual_seed(0), 2, (64,))
    linear = solve(Burgers(steepening=0.0, drift=0.8), initial, {"viscosity": 0.01}, 0.7)
    exact = solve(AdvectionDiffusion(), initial, {"velocity": 0.8, "diffusivity": 0.01}, 0.7, steps=1)
    torch.testing.assert_close(linear, exact, rtol=0, atol=1e-12)


def soliton(x, t, speed, delta, length):
    place = (x - speed * t - length / 4 + length / 2) % length - length / 2
    return speed / 2 / torch.cosh(math.sqrt(speed / delta) / 2 * place) ** 2


def test_a_soliton_travels_at_its_speed_and_keeps_its_shape():
    # The tails of the soliton are exp(-sqrt(c / delta) L / 2) = 1e-15 at the seam of the periodic domain.
    length, delta, speed, t = 40.0, 0.5, 1.6, 4.0
    x = grid(256, length)
    start = soliton(x, 0, speed, delta, length)[None]
    found = solve(KortewegDeVries(), start, {"dispersion": delta}, t, length=length, steps=4000)
    assert largest(found[0] - soliton(x, t, speed, delta, length)) < 1e-9


def test_korteweg_de_vries_keeps_momentum_and_energy_with_order_four_or_better():
    pde, length, x = KortewegDeVries(), 20.0, grid(128, 20.0)
    start = (torch.cos(TAU * x / length) + 0.3 * torch.sin(2 * TAU * x / length))[None]

    def energy(u):
        box = PeriodicBox((128,), (length,), 1, u)
        slope = box.to_grid(box.to_modes(u) * box.derivative[0])
        return (1.3 * slope.square() / 2 - u**3).mean(1)

    drifts = []
    for steps in (400, 800):
        end = solve(pde, start, {"dispersion": 1.3}, 3.0, length=length, steps=steps)
        drifts.append((largest(end.square().mean(1) / start.square().mean(1) - 1), largest(energy(end) / energy(start) - 1)))
        assert largest(end.mean(1) - start.mean(1)) < 1e-14
    for coarse, fine in zip(*drifts, strict=True):
        assert 16 / 1.2 < coarse / fine < 64  # the solution has order 4; conserved quantities may have a higher one
        assert fine < 2e-5


@pytest.mark.parametrize("waves", [2, 3, 6])
def test_small_waves_of_kuramoto_sivashinsky_grow_and_decay_at_their_rates(waves):
    length, nu, t = 22.0, 0.9, 5.0
    k, small = waves * TAU / length, 1e-9  # the quadratic term contributes 1e-9 relative to the wave
    x = grid(64, length)
    found = solve(KuramotoSivashinsky(), small * torch.cos(k * x)[None], {"hyperviscosity": nu}, t, length=length)
    torch.testing.assert_close(found[0] / small, math.exp((k**2 - nu * k**4) * t) * torch.cos(k * x), rtol=0, atol=1e-7)


def test_kuramoto_sivashinsky_is_the_same_in_batch_and_alone_for_two_lyapunov_times():
    ensemble = PeriodicFields(KuramotoSivashinsky((1.0, 1.0)), Waves(modes=4), time=46.0, length=22.0, steps=300)  # 2 / 0.043
    inputs = ensemble.draw(torch.Generator().manual_seed(0), 3)
    together = ensemble.solve(inputs)[0]["velocity"]
    alone = ensemble.solve({key: values[1:2] for key, values in inputs.items()})[0]["velocity"]
    assert largest(alone[0] - together[1]) < 1e-11 * largest(together)  # rounding grows by exp(2), transients add to it
    assert 1.0 < float(together.std()) < 2.0  # on the attractor, whose root mean square is 1.3


def test_a_flat_interface_rests_and_uniform_phases_follow_their_equation():
    x, width = grid(512, 2.0), 0.03
    wall = torch.tanh((x - 0.5) / (math.sqrt(2) * width)) * torch.tanh((1.5 - x) / (math.sqrt(2) * width))
    found = solve(AllenCahn(), wall[None], {"width": width}, 1.0, length=2.0, steps=400)
    assert largest(found[0] - wall) < 1e-7  # at the seam each front differs from its limit by exp(-sqrt(2) 0.5 / 0.03) = 6e-11
    start = tensor(-0.9, -0.2, 0.3, 1.4)
    end = solve(AllenCahn(time_scale=2.0), start[:, None].expand(-1, 16), {"width": width}, 3.0)[:, 0]
    exact = start / torch.sqrt(start**2 + (1 - start**2) * math.exp(-3.0))
    torch.testing.assert_close(end, exact, rtol=0, atol=1e-7)


def test_the_free_energy_of_allen_cahn_falls_at_every_moment():
    pde = AllenCahn(bias=0.2)
    start = Waves(modes=4, deviation=0.8).draw(torch.Generator().manual_seed(0), 4, (128,))
    width, times = torch.full((4,), 0.03, dtype=torch.float64), torch.linspace(0, 3, 16).double()
    states = solve_periodic(pde, start, {"width": width}, times, lengths=[1.0], steps=10)
    energy = torch.stack([pde._free_energy(width, state, 1.0) for state in states.unbind(1)], 1)
    assert bool((energy.diff(dim=1) < 0).all())
    assert bool((energy[:, 0] - energy[:, -1] > 0.05).all())


def test_a_front_of_fisher_kpp_invades_at_its_speed():
    # Ablowitz and Zeppetella's front and its mirror image, in a domain so long that they do not affect each other
    d, r, t, length = 0.02, 3.0, 1.5, 12.0
    x, speed, steep = grid(512, length), 5 * math.sqrt(r * d / 6), math.sqrt(r / (6 * d))

    def front(x, t):
        place = (x - length / 2).abs()
        return (1 + torch.exp((place - 2.5 - speed * t) * steep)) ** -2

    found = solve(FisherKPP(growth=r), front(x, 0)[None], {"diffusivity": d}, t, length=length, steps=400)
    assert largest(found[0] - front(x, t)) < 1e-6
    uniform = solve(FisherKPP(growth=r), torch.full((1, 16), 0.2, dtype=torch.float64), {"diffusivity": d}, t)[0, 0]
    assert float(uniform) == pytest.approx(0.2 / (0.2 + 0.8 * math.exp(-r * t)), rel=1e-7)


@pytest.mark.parametrize("width", [0.1, 0.15])
def test_the_tail_of_a_front_of_fisher_kpp_sets_its_speed(width):
    # A tail exp(-x / w) wider than the critical width sqrt(D / r) = 0.05 travels at r w + D / w, as in the linear equation.
    d, r, length = 0.01, 4.0, 20.0
    x = grid(1024, length)
    start = torch.sigmoid((1.0 - (x - length / 2).abs()) / width)[None]
    numbers, times = {"diffusivity": tensor(d)}, tensor(2.0, 4.0)
    states = solve_periodic(FisherKPP(growth=r), start, numbers, times, lengths=[length], steps=200)[0]
    reach = states.mean(1) * length / 2
    assert float(reach[1] - reach[0]) == pytest.approx(2 * (r * width + d / width), rel=0.01)


def test_a_front_of_fisher_kpp_with_a_steep_start_has_twice_the_root_of_growth_times_diffusivity():
    d, r, length = 0.04, 4.0, 24.0
    start = torch.exp(-(((grid(768, length) - length / 2) / 0.3) ** 2))[None]
    numbers, times = {"diffusivity": tensor(d)}, tensor(2.0, 4.0)
    states = solve_periodic(FisherKPP(growth=r), start, numbers, times, lengths=[length], steps=200)[0]
    reach = states.mean(1) * length / 2
    # Bramson (1983): 2 sqrt(r D) t - 3/2 sqrt(D / r) ln t; the next term falls as t^(-1/2), here 0.03.
    expected = 2 * 2 * math.sqrt(r * d) - 1.5 * math.sqrt(d / r) * math.log(2)
    assert float(reach[1] - reach[0]) == pytest.approx(expected, abs=0.06)


def test_uniform_concentrations_follow_their_two_rate_equations():
    feed, kill, t, v = 0.04, 0.06, 60.0, 0.3
    pde, field = GrayScott(), torch.full((1, 8, 8), v, dtype=torch.float64)
    found = solve(pde, pde.start(field), {"feed": feed, "kill": kill}, t, steps=800)
    state, steps = tensor(1 - 2 * v, v), 4000

    def rate(y):
        reaction = y[0] * y[1] ** 2
        return torch.stack([feed * (1 - y[0]) - reaction, reaction - (feed + kill) * y[1]])

    for _ in range(steps):
        h = t / steps
        a = rate(state)
        b = rate(state + h / 2 * a)
        c = rate(state + h / 2 * b)
        state = state + h / 6 * (a + 2 * b + 2 * c + rate(state + h * c))
    torch.testing.assert_close(found[0, :, 3, 5], state, rtol=0, atol=1e-8)
    torch.testing.assert_close(found[0], found[0, :, :1, :1].expand(2, 8, 8), rtol=0, atol=1e-14)
    rest = solve(pde, pde.start(torch.zeros(1, 8, 8).double()), {"feed": feed, "kill": kill}, t)
    torch.testing.assert_close(rest[0, 0], torch.ones(8, 8).double(), rtol=0, atol=1e-13)


def test_small_waves_of_the_substrate_decay_by_feed_and_diffusion():
    pde, feed, t, k = GrayScott(diffusivity_u=3e-3), 0.04, 5.0, TAU
    u = 1 + 0.01 * torch.cos(k * grid(16))[:, None].expand(16, 16)
    found = solve(pde, torch.stack([u, 0 * u])[None], {"feed": feed, "kill": 0.06}, t)
    torch.testing.assert_close(found[0, 0], 1 + (u - 1) * math.exp(-(feed + 3e-3 * k**2) * t), rtol=0, atol=1e-13)


def test_taylor_green_vortices_decay_at_their_rate():
    x, y, nu, mu, t, k = grid(32)[:, None], grid(32)[None], 0.01, 0.2, 2.0, TAU
    start = 2 * k * torch.cos(k * x) * torch.cos(k * y)
    found = solve(NavierStokes(drag=mu), start[None], {"viscosity": nu}, t, steps=20)
    torch.testing.assert_close(found[0], start * math.exp(-(2 * nu * k**2 + mu) * t), rtol=0, atol=1e-12)


def test_the_transport_of_vorticity_is_that_of_its_definition():
    start = Waves(modes=4).draw(torch.Generator().manual_seed(0), 2, (32, 32))
    pde, box, fine = NavierStokes(), PeriodicBox((32, 32), (1, 1), 2, start), PeriodicBox((96, 96), (1, 1), 1, start)
    found = box.to_grid(pde.nonlinear(box, {})(box.to_modes(start)))
    modes = fine.to_modes(resample(start, (96, 96)))
    stream = torch.where(fine.laplacian == 0, 0, -modes / fine.laplacian)
    ikx, iky = fine.derivative
    u, v, w_x, w_y = (fine.to_grid(field) for field in (iky * stream, -ikx * stream, ikx * modes, iky * modes))
    exact = -(u * w_x + v * w_y)[:, ::3, ::3]  # its waves, at most 8, are all resolved by 32 points
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-12)
    assert largest(exact) > 0.1


def test_without_viscosity_energy_and_enstrophy_are_conserved_up_to_the_scheme():
    start = Waves(modes=4, deviation=6.0).draw(torch.Generator().manual_seed(0), 1, (48, 48))
    box, drifts = PeriodicBox((48, 48), (1, 1), 2, start), []

    def energies(w):
        modes = box.to_modes(w)
        stream = torch.where(box.laplacian == 0, 0, -modes / box.laplacian)
        return float((w * box.to_grid(stream)).mean()), float(w.square().mean())

    before = energies(start)
    for steps in (32, 64):
        after = energies(solve(NavierStokes(), start, {"viscosity": 0.0}, 0.5, steps=steps))
        drifts.append([abs(b / a - 1) for a, b in zip(before, after, strict=True)])
    for coarse, fine in zip(*drifts, strict=True):
        assert 16 / 1.3 < coarse / fine < 64
        assert fine < 1e-4


def test_the_enstrophy_of_a_decaying_flow_falls_at_every_moment():
    start = Waves(modes=5, deviation=10.0).draw(torch.Generator().manual_seed(0), 2, (64, 64))
    numbers, times = {"viscosity": tensor(1e-3, 3e-3)}, tensor(0, 0.1, 0.2, 0.3, 0.4)
    states = solve_periodic(NavierStokes(), start, numbers, times, lengths=[1.0, 1.0], steps=10)
    assert bool((states.square().mean((2, 3)).diff(dim=1) < 0).all())
    assert largest(states.mean((2, 3))) < 1e-13


def test_a_force_drives_kolmogorovs_flow_from_rest():
    # w = -A q / (nu q^2 + mu) (1 - exp(-(nu q^2 + mu) t)) cos(q y): the transport term vanishes in a parallel flow.
    pde, nu, t = NavierStokes(drag=0.3, forcing=0.7, forced_waves=3), 0.002, 1.5
    q = 3 * TAU / 2.0
    rate, y = nu * q**2 + 0.3, grid(32, 2.0)[None]
    found = solve(pde, torch.zeros(1, 32, 32).double(), {"viscosity": nu}, t, length=2.0, steps=40)
    exact = -0.7 * q / rate * (1 - math.exp(-rate * t)) * torch.cos(q * y)
    torch.testing.assert_close(found[0], exact.expand(32, 32), rtol=0, atol=1e-7)


# The solver -----------------------------------------------------------------------------------------------------------------


def test_every_output_time_is_reached_regardless_of_the_others():
    start = Waves(modes=3).draw(torch.Generator().manual_seed(0), 2, (64,))
    numbers = {"viscosity": tensor(0.02, 0.03)}
    times = tensor(0.0, 0.1, 0.25, 0.25, 0.4)
    states = solve_periodic(Burgers(), start, numbers, times, lengths=[1.0], steps=100)
    torch.testing.assert_close(states[:, 0], start, rtol=0, atol=1e-14)
    torch.testing.assert_close(states[:, 2], states[:, 3], rtol=0, atol=0)
    for i in (1, 2, 4):
        alone = solve_periodic(Burgers(), start, numbers, times[i : i + 1], lengths=[1.0], steps=300)[:, 0]
        torch.testing.assert_close(states[:, i], alone, rtol=0, atol=1e-6)


def test_the_size_of_the_blocks_of_rows_changes_nothing(monkeypatch):
    ensemble, inputs = EVERY["navier-stokes"], drawn("navier-stokes", 5)
    whole, _ = ensemble.solve(inputs)
    monkeypatch.setattr("simulators.periodic.semilinear.BLOCK", 2 * 64 * 64)
    blocks, _ = ensemble.solve(inputs)
    torch.testing.assert_close(whole["vorticity"], blocks["vorticity"], rtol=0, atol=1e-12)


def test_a_coarse_solver_interpolates_its_solution_by_waves():
    inputs = drawn("burgers")
    coarse = PeriodicFields(Burgers((0.01, 0.03), drift=0.4), Waves(deviation=0.5, modes=4), time=0.4, points=24, steps=64)
    exact, _ = EVERY["burgers"].solve(inputs)
    found, _ = coarse.solve(inputs)
    distance = (found["velocity"] - exact["velocity"]).norm() / exact["velocity"].norm()
    assert 1e-3 < float(distance) < 0.3  # 7 waves instead of 42
    spectrum = torch.fft.rfft(found["velocity"], norm="forward").abs()
    assert largest(spectrum[:, 8:]) < 1e-14 < largest(spectrum[:, 7])


def test_a_sample_is_named_by_its_place_in_the_batch_for_any_size_of_blocks(monkeypatch):
    monkeypatch.setattr("simulators.periodic.semilinear.BLOCK", 32)
    start, viscosity = torch.zeros(5, 32).double(), tensor(0.1, 0.1, 0.1, -0.1, 0.1)
    with pytest.raises(ValueError, match="in sample 3"):
        solve_periodic(Burgers(), start, {"viscosity": viscosity}, tensor(0.1), lengths=[1.0], steps=1)
    start[4, 7] = math.nan
    with pytest.raises(ValueError, match="initial must be finite, it is not in sample 4"):
        solve_periodic(Burgers(), start, {"viscosity": viscosity.abs()}, tensor(0.1), lengths=[1.0], steps=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AllenCahn(time_scale=0.0), "time_scale must be positive, got 0 s"),
        (lambda: GrayScott(diffusivity_v=-1.0), r"diffusivity_v must not be negative, got -1 m\^2/s"),
        (lambda: NavierStokes(drag=-0.5), "drag must not be negative, got -0.5 1/s"),
        (lambda: flow_forced_at(11), "forced_waves must be 1 to 10 on 32 points, got 11"),
        (
            lambda: solve(AllenCahn(), torch.zeros(1, 16).double(), {"width": -0.1}, 1.0),
            "width must not be negative, got -0.1 m",
        ),
    ],
)
def test_pdes_refuse_invalid_constants(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def flow_forced_at(waves):
    pde = NavierStokes(forcing=1.0, forced_waves=waves)
    return solve(pde, torch.zeros(1, 32, 32).double(), {"viscosity": 0.1}, 0.1, steps=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": tensor(0.2, 0.1)}, "times must be in order: sort them"),
        ({"times": tensor(-0.1)}, "times must be finite and not negative, got -0.1 s as the smallest"),
        ({"times": tensor()}, "times must be a list of at least one output time"),
        ({"steps": 0}, "steps must be 1 or more in each interval between output times, got 0"),
        ({"initial": torch.zeros(2, 33).double()}, "an even number of points above 3 per axis, got 33"),
        ({"initial": torch.zeros(2, 2, 2, 32, 32).double()}, r"initial must be \(sample, \[field,\] and 1 axes\)"),
        ({"initial": torch.full((2, 32), math.nan, dtype=torch.float64)}, "initial must be finite, it is not in sample 0"),
        ({"numbers": {"viscosity": tensor(0.1, math.inf)}}, "viscosity must be finite, it is not in sample 1"),
        ({"numbers": {"viscosity": tensor(0.1, -0.2)}}, r"viscosity must not be negative, got -0.2 m\^2/s in sample 1"),
        ({"numbers": {"viscosity": tensor(0.1)}}, r"viscosity must be one number for each of 2 samples, got shape \(1,\)"),
        ({"lengths": [-1.0]}, r"lengths must be 1 positive number\(s\)"),
    ],
)
def test_unsolvable_requests_are_refused_in_one_line(change, message):
    setting = {
        "initial": torch.zeros(2, 32).double(),
        "numbers": {"viscosity": tensor(0.1, 0.2)},
        "times": tensor(0.1),
        "lengths": [1.0],
        "steps": 1,
    } | change
    with pytest.raises(ValueError, match=message) as caught:
        solve_periodic(Burgers(), setting.pop("initial"), setting.pop("numbers"), setting.pop("times"), **setting)
    assert "\n" not in str(caught.value)
