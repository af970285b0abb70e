"""The shallow water solver: exact solutions, conservation and dissipation, symmetries; and the ensemble of basins."""

import math
from dataclasses import replace
from itertools import pairwise

import jaxtyping
import pytest
import torch
from solving import LENGTH, centres, drawn, orders, tensor
from torch import pi

from simulators.ensemble import Ensemble
from simulators.numerics.finite_volume import LIMITERS, face_values
from simulators.water.basin_ensemble import Basins
from simulators.water.shallow_water import hll_flux, solve_shallow_water

GRAVITY = 9.81
ROUND, CLOSED = ("periodic", "periodic"), ("wall", "wall")
LIMITED = ("minmod", "van Leer", "monotonized central")


def channel(depth, velocity, *times, **options):
    return solve_shallow_water(depth, depth * velocity, tensor(*times), **{"length": LENGTH, **options})


def choppy(samples=3, cells=40):
    """Return smooth random surfaces and velocities that soon form bores; rows differ in their numbers of steps."""
    generator = torch.Generator().manual_seed(0)
    phase = 2 * pi * torch.rand(2, samples, 1, generator=generator, dtype=torch.float64)
    size = torch.linspace(0.4, 0.8, samples).double()[:, None]
    x = 2 * pi * centres(cells) / LENGTH
    return (1 + size * torch.sin(x + phase[0])) * 2 * size, 2 * size * torch.cos(2 * x + phase[1])


# A simple wave, u - 2 c = -2 c_0: each depth travels with its speed u + c = 3 c - 2 c_0 until the front is vertical.

STILL = math.sqrt(GRAVITY * 1.0)


def simple_wave(x, time):
    def profile(x):
        return 1 + 0.1 * torch.sin(2 * pi * x / LENGTH)

    depth = profile(x)
    for _ in range(100):  # fixed-point iteration, contracts by time * (3 / 2) sqrt(g) h_x = 0.3
        depth = profile(x - time * (3 * torch.sqrt(GRAVITY * depth) - 2 * STILL))
    return depth, 2 * (torch.sqrt(GRAVITY * depth) - STILL)


@pytest.mark.parametrize(("limiter", "order", "bound"), [("none", 2, 1e-4), ("first order", 1, 1e-2)])
def test_a_smooth_wave_is_of_the_order_of_its_reconstruction(limiter, order, bound):
    errors, time = [], 0.2
    for cells in (128, 256, 512) if order == 1 else (64, 128, 256):
        x = centres(cells)
        depth, velocity = (values[None] for values in simple_wave(x, 0.0))
        water = channel(depth, velocity, time, ends=ROUND, limiter=limiter, courant=0.5)
        exact_depth, exact_velocity = simple_wave(x, time)
        missed = water.depth[0, 0] - exact_depth, water.discharge[0, 0] - exact_depth * exact_velocity
        errors.append(float(sum(part.abs().mean() for part in missed)))
    assert orders(errors) == pytest.approx([order] * 2, abs=0.05)
    assert errors[-1] < bound


@pytest.mark.parametrize("limiter", LIMITED)
def test_limiters_cost_less_than_half_an_order_at_the_crests_of_a_smooth_wave(limiter):
    errors = []
    for cells in (64, 128):
        depth, velocity = (values[None] for values in simple_wave(centres(cells), 0.0))
        water = channel(depth, velocity, 0.2, ends=ROUND, limiter=limiter)
        errors.append(float((water.depth[0, 0] - simple_wave(centres(cells), 0.2)[0]).abs().mean()))
    assert 1.5 < orders(errors)[0] < 2.3


# The dam break (Stoker): a rarefaction into the deep water, a bore into the shallow water, and constant depth between them.

DEEP, SHALLOW, DAM = 1.0, 0.2, 1.0


def stoker(x, time):
    low, high = SHALLOW, DEEP
    for _ in range(200):  # bisection: u behind the bore rises with the depth, u at the foot of the rarefaction falls
        level = (low + high) / 2
        bore = (level - SHALLOW) * math.sqrt(GRAVITY / 2 * (level + SHALLOW) / (level * SHALLOW))
        low, high = (level, high) if bore < 2 * (math.sqrt(GRAVITY * DEEP) - math.sqrt(GRAVITY * level)) else (low, level)
    speed = level * bore / (level - SHALLOW)
    ray, c_deep = (x - DAM) / time, math.sqrt(GRAVITY * DEEP)
    fan = (2 * c_deep - ray) / 3
    depth = torch.where(ray < bore - math.sqrt(GRAVITY * level), fan**2 / GRAVITY, level)
    velocity = torch.where(ray < bore - math.sqrt(GRAVITY * level), 2 / 3 * (c_deep + ray), bore)
    depth, velocity = torch.where(ray < -c_deep, DEEP, depth), torch.where(ray < -c_deep, 0.0, velocity)
    return torch.where(ray > speed, SHALLOW, depth), torch.where(ray > speed, 0.0, velocity)


@pytest.mark.parametrize(("limiter", "rate", "bound"), [("monotonized central", 0.95, 2e-3), ("first order", 0.7, 1.5e-2)])
def test_a_dam_break_approaches_stokers_solution(limiter, rate, bound):
    # The mean of |error| at a shock has order 1; the corners of the rarefaction lower that of a constant reconstruction by 1/3.
    errors, time = [], 0.2
    for cells in (80, 160, 320):
        x = centres(cells)
        water = channel(torch.where(x < DAM, DEEP, SHALLOW)[None], torch.zeros(1, cells).double(), time, limiter=limiter)
        depth, velocity = stoker(x, time)
        missed = water.depth[0, 0] - depth, water.discharge[0, 0] - depth * velocity
        errors.append(float((missed[0].abs() + missed[1].abs() / STILL).mean()))
    assert math.log2(errors[0] / errors[2]) / 2 == pytest.approx(rate, abs=0.15)
    assert errors[-1] < bound


@pytest.mark.parametrize("limiter", ["first order", *LIMITED])
def test_a_dam_break_has_no_new_extrema_and_the_flow_at_the_dam_stays_critical(limiter):
    x = centres(200)
    still = torch.zeros(1, 200).double()
    water = channel(torch.where(x < DAM, DEEP, SHALLOW)[None], still, 0.1, 0.2, limiter=limiter)
    assert water.depth.min() > SHALLOW - 1e-3
    assert water.depth.max() < DEEP + 1e-3
    middle = stoker(x, 0.2)[0][100]
    torch.testing.assert_close(water.depth[0, :, 100], middle.expand(2), rtol=0.02, atol=0)


# Exact to the last bit


@pytest.mark.parametrize("ends", [ROUND, CLOSED, ("wall", "outflow"), ("outflow", "outflow")])
@pytest.mark.parametrize("limiter", LIMITERS)
def test_a_lake_at_rest_stays_at_rest(ends, limiter):
    water = channel(tensor([0.7] * 9, [1.3] * 9), torch.zeros(2, 9).double(), 1.0, ends=ends, limiter=limiter, friction=0.5)
    assert torch.equal(water.depth, tensor([[0.7] * 9], [[1.3] * 9]))
    assert torch.equal(water.discharge, torch.zeros(2, 1, 9).double())


def test_the_flux_between_equal_states_is_their_own():
    states = torch.stack([tensor([0.5, 1.0, 1.7, 0.3]), tensor([0.0, 2.0, -9.0, 8.0])], 1)  # at rest, slow, fast
    h, u = states.unbind(1)
    q = h * u
    assert torch.equal(hll_flux(states, states, GRAVITY), torch.stack([q, q * u + GRAVITY / 2 * h**2], 1))


def test_the_flux_of_supercritical_water_is_that_of_the_upstream_side():
    fast, other = tensor([[1.0], [9.0]]), tensor([[0.8], [8.0]])
    own = tensor([[9.0], [81.0 + GRAVITY / 2]])
    torch.testing.assert_close(hll_flux(fast, other, GRAVITY), own, rtol=1e-15, atol=0)
    mirror = tensor([1.0], [-1.0])
    torch.testing.assert_close(hll_flux(other * mirror, fast * mirror, GRAVITY), own * -mirror, rtol=1e-15, atol=0)


def test_the_fastest_waves_are_those_of_two_rarefactions_if_they_are_faster():
    deep, shallow = math.sqrt(GRAVITY * 1.0), math.sqrt(GRAVITY * 0.4)
    dam = hll_flux(tensor([[1.0], [0.0]]), tensor([[0.4], [0.0]]), GRAVITY)
    bore = (3 * deep - shallow) / 2  # u + c between the two, u = deep - shallow and c = (deep + shallow) / 2
    assert dam[0, 0, 0] == pytest.approx(deep * bore * (1.0 - 0.4) / (deep + bore), rel=1e-14)
    clash = hll_flux(tensor([[1.0], [0.8]]), tensor([[1.0], [-0.8]]), GRAVITY)
    assert clash[0, 1, 0] == pytest.approx(0.8**2 + GRAVITY / 2 + (deep + 0.4) * 0.8, rel=1e-14)
    parting = hll_flux(tensor([[1.0], [-0.8]]), tensor([[1.0], [0.8]]), GRAVITY)
    assert parting[0, 1, 0] == pytest.approx(0.8**2 + GRAVITY / 2 - (deep + 0.8) * 0.8, rel=1e-14)


@pytest.mark.parametrize("ends", [ROUND, CLOSED, ("wall", "outflow")])
@pytest.mark.parametrize("limiter", ["first order", *LIMITED])
def test_a_mirrored_channel_has_the_mirrored_solution_to_the_last_bit(ends, limiter):
    depth, velocity = choppy()
    water = channel(depth, velocity, 0.05, 0.15, ends=ends, limiter=limiter, friction=0.3)
    mirror = channel(depth.flip(1), -velocity.flip(1), 0.05, 0.15, ends=ends[::-1], limiter=limiter, friction=0.3)
    assert torch.equal(mirror.depth.flip(2), water.depth)
    assert torch.equal(-mirror.discharge.flip(2), water.discharge)


def test_a_wall_is_the_middle_of_a_mirrored_channel():
    depth, velocity = choppy()
    half = channel(depth, velocity, 0.3, ends=("outflow", "wall"))
    whole = channel(
        torch.cat([depth, depth.flip(1)], 1),
        torch.cat([velocity, -velocity.flip(1)], 1),
        0.3,
        length=2 * LENGTH,
        ends=("outflow", "outflow"),
    )
    assert torch.equal(whole.depth[:, :, :40], half.depth)


def test_a_batch_equals_its_rows_regardless_of_their_numbers_of_steps():
    depth, velocity = choppy()
    together = channel(depth, velocity, 0.1, 0.3, friction=0.5)
    assert len(set(together.steps.tolist())) == 3
    for i in range(3):
        alone = channel(depth[i : i + 1], velocity[i : i + 1], 0.1, 0.3, friction=0.5)
        for name in ("depth", "discharge", "volume", "outflow", "energy", "steps"):
            torch.testing.assert_close(getattr(together, name)[i : i + 1], getattr(alone, name), rtol=1e-12, atol=1e-13)


# Conservation and decay


@pytest.mark.parametrize("limiter", LIMITERS)
def test_volume_and_momentum_of_a_round_channel_are_conserved_and_friction_takes_momentum_exactly(limiter):
    depth, velocity = choppy()
    for friction in (0.0, 1.5):
        water = channel(depth, velocity + 0.5, 0.1, 0.2, ends=ROUND, limiter=limiter, friction=friction)
        assert water.residual().max() < 1e-13
        momentum = (depth * (velocity + 0.5)).sum(1, keepdim=True) * torch.exp(-friction * tensor(0.1, 0.2))
        torch.testing.assert_close(water.discharge.sum(2), momentum, rtol=1e-12, atol=1e-11)


def test_the_outflow_is_accounted_for():
    depth, velocity = choppy()
    water = channel(depth, velocity, 0.1, 0.5, ends=("wall", "outflow"))
    assert water.residual().max() < 1e-13
    assert (water.volume[:, -1] / water.volume[:, 0] - 1).abs().min() > 0.01
    torch.testing.assert_close(water.volume[:, 0], depth.mean(1) * LENGTH, rtol=1e-14, atol=0)
    shut = channel(depth, velocity, 0.5)
    assert shut.outflow.abs().max() < 1e-14


def test_a_wave_leaves_an_open_end_without_a_reflection():
    x = centres(100)
    depth = 1 + 0.01 * torch.exp(-(((x - 1) / 0.1) ** 2))[None]
    water = channel(depth, 2 * (torch.sqrt(GRAVITY * depth) - STILL), 0.7, ends=("outflow", "outflow"))
    assert (water.depth - 1).abs().max() < 2e-4  # the wave was 1e-2 high
    assert water.outflow[0, 0] == pytest.approx(0.01 * 0.1 * math.sqrt(pi), rel=0.01)


@pytest.mark.parametrize("limiter", ["first order", *LIMITED])
@pytest.mark.parametrize("ends", [ROUND, CLOSED])
def test_energy_decays_where_bores_have_formed(limiter, ends):
    depth, velocity = choppy()
    water = channel(depth, velocity, *(0.02 * i for i in range(1, 26)), ends=ends, limiter=limiter)
    assert torch.diff(water.energy).max() < 0
    assert (water.energy[:, -1] / water.energy[:, 0]).max() < 0.97
    exact = (depth * velocity**2 + GRAVITY * depth**2).mean(1) / 2 * LENGTH
    torch.testing.assert_close(water.energy[:, 0], exact, rtol=1e-13, atol=0)


def test_energy_of_a_smooth_wave_is_nearly_kept():
    depth, velocity = (values[None] for values in simple_wave(centres(200), 0.0))
    energy = channel(depth, velocity, 0.2, ends=ROUND).energy[0]
    assert -1e-5 < energy[1] / energy[0] - 1 <= 0


def test_uniform_flow_is_slowed_by_friction_exactly():
    depth = tensor([1.0] * 8, [2.0] * 8)
    water = channel(depth, 3 + 0 * depth, 0.5, 1.0, ends=ROUND, friction=2.0)
    exact = 3 * depth[:, None] * torch.exp(-2 * tensor(0.5, 1.0))[:, None]
    torch.testing.assert_close(water.discharge, exact, rtol=1e-13, atol=0)
    torch.testing.assert_close(water.depth, depth[:, None].expand(2, 2, 8), rtol=1e-13, atol=0)


def test_friction_acts_with_order_two():
    answers = []
    for cells in (64, 128, 256):
        depth, velocity = (values[None] for values in simple_wave(centres(cells), 0.0))
        water = channel(depth, velocity, 0.2, ends=ROUND, limiter="none", friction=5.0)
        answers.append(water.discharge[0, 0].unflatten(0, (64, -1)).mean(1))
    changes = [float((coarse - fine).square().mean().sqrt()) for coarse, fine in pairwise(answers)]
    assert orders(changes) == pytest.approx([2], abs=0.05)


def test_a_wave_is_nearly_the_same_in_a_moving_frame():
    depth, velocity = (values[None] for values in simple_wave(centres(200), 0.0))
    drift = 0.2 * LENGTH / 0.2  # a fifth of the round channel
    still = channel(depth, velocity, 0.2, ends=ROUND)
    moving = channel(depth, velocity + drift, 0.2, ends=ROUND)
    torch.testing.assert_close(moving.depth.roll(-40, 2), still.depth, rtol=0, atol=3e-4)  # waves are 0.1 high
    there, here = moving.discharge.roll(-40, 2) - drift * still.depth, still.discharge
    torch.testing.assert_close(there, here, rtol=0, atol=3e-3)


def test_steps_have_the_length_that_the_courant_number_sets():
    depth = tensor([4.0] * 10)
    water = channel(depth, 1.0 + 0 * depth, 1.0, ends=ROUND, courant=0.8)
    assert water.steps.tolist() == [math.ceil((1 + math.sqrt(4 * GRAVITY)) * 10 / LENGTH / 0.8)]
    choppy_water = channel(*choppy(), 0.3, courant=0.25)
    torch.testing.assert_close(choppy_water.steps, 2 * channel(*choppy(), 0.3, courant=0.5).steps, rtol=0.1, atol=0)


# Slopes


def test_limiters_choose_between_two_differences():
    lower, upper = tensor(1.0, 1.0, 3.0, -1.0, -4.0, 1.0, 0.0, 1.0), tensor(1.0, 2.0, 1.0, -3.0, -1.0, -1.0, 2.0, 9.0)
    expected = {
        "first order": [0, 0, 0, 0, 0, 0, 0, 0],
        "minmod": [1, 1, 1, -1, -1, 0, 0, 1],
        "van Leer": [1, 4 / 3, 1.5, -1.5, -1.6, 0, 0, 1.8],
        "monotonized central": [1, 1.5, 2, -2, -2, 0, 0, 2],
        "none": [1, 1.5, 2, -2, -2.5, 0, 1, 5],
    }
    assert expected.keys() == LIMITERS.keys()
    for name, slopes in expected.items():
        torch.testing.assert_close(LIMITERS[name](lower, upper), tensor(*map(float, slopes)), rtol=1e-15, atol=0)


@pytest.mark.parametrize("limiter", [*LIMITED, "none"])
def test_straight_lines_are_reconstructed(limiter):
    averages = 2 + 3 * torch.arange(9.0).double()[None]
    below, above = face_values(averages, limiter)
    exact = 2 + 3 * (torch.arange(6).double() + 1.5)[None]
    torch.testing.assert_close(below, exact, rtol=1e-15, atol=0)
    torch.testing.assert_close(above, exact, rtol=1e-15, atol=0)
    with pytest.raises(ValueError, match="limiter must be one of first order, minmod"):
        face_values(averages, "superb")


# Refused arguments

GOOD = {"depth": torch.ones(2, 4).double(), "discharge": torch.zeros(2, 4).double(), "times": tensor(1.0), "length": 1.0}
REFUSED = {
    r"depth must be \(sample, x\) with two cells or more, got \(2, 1\)": {
        "depth": torch.ones(2, 1),
        "discharge": torch.ones(2, 1),
    },
    r"discharge must have the shape of depth, \(2, 4\), got \(2, 5\)": {"discharge": torch.zeros(2, 5)},
    "depth must be finite, it is not in sample 0": {"depth": torch.full((2, 4), math.nan)},
    "discharge must be finite, it is not in sample 1": {"discharge": tensor([0.0] * 4, [math.inf] * 4)},
    "depth must stay positive, got 0 m in sample 1 at t = 0 s": {"depth": tensor([1.0] * 4, [1.0, 0.0, 1.0, 1.0])},
    "depth must stay positive, got nan m in sample 1 at t = 0.[0-9]+ s": {
        "depth": torch.ones(2, 4).double(),
        "discharge": tensor([0.0] * 4, [-40.0, -40.0, 40.0, 40.0]),
        "courant": 1.0,
        "limiter": "none",
    },
    "times must be a list of at least one output time": {"times": torch.zeros(0)},
    "times must be finite and not negative, got -1 s": {"times": tensor(-1.0, 1.0)},
    "times must be in order: sort them": {"times": tensor(2.0, 1.0)},
    'ends must be "wall", "outflow" or "periodic", got "open"': {"ends": ("wall", "open")},
    "ends must be two, both periodic or neither, got wall, periodic": {"ends": ("wall", "periodic")},
    'limiter must be one of first order, minmod, .*, got "superb"': {"limiter": "superb"},
    "courant must be above 0 and at most 1, got 1.1: the scheme is unstable beyond": {"courant": 1.1},
    "courant must be above 0 and at most 1, got 0:": {"courant": 0.0},
    "length must be positive and finite, got -1 m": {"length": -1.0},
    "gravity must be positive and finite, got inf m/s": {"gravity": math.inf},
    "friction must be finite and not negative, got -1 1/s": {"friction": -1.0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_invalid_arguments_are_refused_in_one_line(message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # its type checks would come before ours
    with pytest.raises(ValueError, match=message) as refusal:
        solve_shallow_water(**{**GOOD, **REFUSED[message]})
    assert "\n" not in str(refusal.value)


# Basins

BASINS = {
    "smooth": (Basins(cells=128, time=0.5), 1),
    "with friction": (Basins(cells=128, time=0.5, friction=0.5), 1),
    "first order": (Basins(limiter="first order", cells=64, modes=3, time=0.5), 2),
}


@pytest.mark.parametrize("ensemble", [Basins(cells=64), Basins(cells=64, dam=(0.2, 0.8))], ids=["smooth", "dam"])
def test_an_ensemble_has_the_inputs_and_outputs_that_it_declares(ensemble):
    assert isinstance(ensemble, Ensemble)
    inputs = drawn(ensemble)
    outputs, residual = ensemble.solve(inputs)
    for quantities, arrays in ((ensemble.inputs, inputs), (ensemble.outputs, outputs)):
        assert {q.name: (2, *q.shape) for q in quantities} == {key: tuple(array.shape) for key, array in arrays.items()}
    assert inputs["initial_elevation"].dtype == torch.float32
    assert torch.equal(drawn(ensemble)["initial_elevation"], inputs["initial_elevation"])
    assert not torch.isin(drawn(ensemble, seed=1)["initial_elevation"], inputs["initial_elevation"]).any()
    assert len(ensemble.coordinates[0].values) == 64
    assert residual.max() < 1e-13
    elevation = outputs["elevation"].mean(1)
    torch.testing.assert_close(elevation, inputs["initial_elevation"].double().mean(1), rtol=0, atol=1e-13)
    alone, _ = ensemble.solve({key: array[1:] for key, array in inputs.items()})
    torch.testing.assert_close(alone["discharge"], outputs["discharge"][1:], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", BASINS)
def test_the_solution_of_an_ensemble_converges_with_its_order(name):
    ensemble, first = BASINS[name]
    answers = [ensemble.solve(drawn(ensemble, 1), first * factor)[0] for factor in (1, 2, 4)]
    for key in answers[0]:
        changes = [float((coarse[key] - fine[key]).square().mean().sqrt()) for coarse, fine in pairwise(answers)]
        assert orders(changes) == pytest.approx([ensemble.order], abs={1.0: 0.15, 2.0: 0.05}[ensemble.order])


def test_bores_of_a_dam_converge_with_order_one_on_average():
    ensemble = Basins(dam=(0.2, 0.8), deviation=0.03, cells=64)
    answers = [ensemble.solve(drawn(ensemble, 12), factor)[0]["elevation"] for factor in (1, 2, 4)]
    changes = [float((coarse - fine).square().mean().sqrt()) for coarse, fine in pairwise(answers)]
    assert ensemble.order == 1
    assert orders(changes) == pytest.approx([1], abs=0.4)  # the place of a bore within a reported cell is random


def test_draws_are_spread_as_stated():
    surface = drawn(Basins(), 4000)["initial_elevation"].double()
    assert float(surface.square().mean().sqrt()) == pytest.approx(0.1, rel=0.03)
    dam = drawn(Basins(dam=(0.2, 0.8), deviation=0.0), 4000)["initial_elevation"].double()
    assert dam[:, 0].min() == pytest.approx(0.2, abs=2e-3)
    assert dam[:, 0].max() == pytest.approx(0.8, abs=2e-3)
    assert dam[:, -1].max() < 1e-3
    assert torch.diff(dam).max() <= 1e-6
    place = dam.mean(1) / dam[:, 0]  # the volume of water behind the dam over its height
    assert float(place.min()) == pytest.approx(0.3, abs=2e-3)
    assert float(place.max()) == pytest.approx(0.7, abs=2e-3)
    steepest = torch.diff(dam).abs().amax(1) / dam[:, 0] * 64
    assert float(steepest.max()) == pytest.approx(1 / 4 / 0.03, rel=0.03)  # the steepest slope of a logistic function


def test_options_change_the_solution_and_its_description():
    plain = Basins(cells=64)
    inputs = drawn(plain)
    answer = plain.solve(inputs)[0]["discharge"]
    for option in ({"friction": 0.5}, {"limiter": "first order"}, {"depth": 1.5}, {"courant": 0.25}):
        other = replace(plain, **option)
        change = float((other.solve(inputs)[0]["discharge"] - answer).norm() / answer.norm())
        assert 1e-4 < change < 1.5
    assert replace(plain, friction=0.5).equation != plain.equation
    assert replace(plain, limiter="first order").scheme != plain.scheme
