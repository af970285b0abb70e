"""The wave solver: exact solutions, discrete and continuous, its energy and its symmetries; strings and membranes."""

import math
from dataclasses import replace
from itertools import pairwise

import jaxtyping
import pytest
import torch
from drawing import normal as rough
from solving import LENGTH, centres, drawn, orders, refusal_of, root_mean_square, tensor
from torch import pi

from simulators.ensemble import Ensemble
from simulators.numerics.boundaries import Dirichlet, Neumann, Periodic, Robin
from simulators.numerics.step_error import LostSolutionError, tolerate
from simulators.waves.membrane_ensemble import Membranes
from simulators.waves.string_ensemble import Strings
from simulators.waves.wave_equation import solve_wave

SPEEDS = torch.tensor([0.7, 1.6], dtype=torch.float64)
HELD, FREE, JOINED = Dirichlet(), Neumann(), Periodic()


def near(found, expected, atol=1e-12):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


# Standing waves. On cell centres these are eigenvectors of the difference operator, with eigenvalue (2 c / h sin(w h / 2))^2.

MODES = {
    "held": (1.5 * pi, lambda x: torch.sin(1.5 * pi * x), HELD),
    "free": (pi, lambda x: torch.cos(pi * x), FREE),
    "joined": (pi, lambda x: torch.cos(pi * x + 0.4), JOINED),
}


def standing(kind, cells, end, steps, damping=0.0):
    """Return a mode released from rest, and its eigenvalues."""
    wave, mode, side = MODES[kind]
    initial, h = mode(centres(cells)).expand(2, -1), LENGTH / cells
    result = solve_wave(
        initial,
        torch.zeros_like(initial),
        SPEEDS,
        tensor(0.0, end),
        lengths=[LENGTH],
        boundaries=[(side, side)],
        step=end / steps,
        damping=damping,
    )
    assert torch.equal(result.displacement[:, 0], initial)
    return initial, result, (SPEEDS * 2 / h * math.sin(wave * h / 2)) ** 2


def leapfrog(eigenvalue, step, steps, damping):
    """Return u and v after some steps of (1 + g) u' - (2 - eigenvalue step^2) u + (1 - g) u^ = 0 from u = 1, v = 0."""
    g = damping * step / 2
    decay, angle = math.sqrt((1 - g) / (1 + g)), torch.acos((1 - eigenvalue * step**2 / 2) / math.sqrt(1 - g**2))
    lag = (1 / decay - decay) / (1 / decay + decay) / torch.tan(angle)

    def u(n):
        return decay**n * (torch.cos(n * angle) + lag * torch.sin(n * angle))

    return u(steps), (u(steps + 1) - u(steps - 1)) / (2 * step)


@pytest.mark.parametrize("damping", [0.0, 3.0])
@pytest.mark.parametrize("kind", MODES)
def test_standing_waves_oscillate_with_the_frequency_of_the_grid_and_of_the_leapfrog_to_round_off(kind, damping):
    initial, result, eigenvalue = standing(kind, 24, end=2.0, steps=60, damping=damping)
    u, v = leapfrog(eigenvalue, 2.0 / 60, 60, damping)
    near(result.displacement[:, 1], u[:, None] * initial)
    near(result.velocity[:, 1], v[:, None] * initial)
    assert result.residual().max() < 1e-12


@pytest.mark.parametrize("kind", MODES)
def test_standing_waves_are_of_order_two_in_space(kind):
    wave, errors = MODES[kind][0], []
    for cells in (16, 32, 64):
        initial, result, _ = standing(kind, cells, end=0.7, steps=1000)
        errors.append(root_mean_square(result.displacement[:, 1] - torch.cos(SPEEDS * wave * 0.7)[:, None] * initial))
    assert orders(errors) == pytest.approx([2, 2], abs=0.05)
    assert errors[-1] < 3e-3  # the phase error is w c t (w h)^2 / 24


@pytest.mark.parametrize("damping", [0.0, 2.0])
@pytest.mark.parametrize("kind", MODES)
def test_standing_waves_are_of_order_two_in_time(kind, damping):
    displacements, velocities = [], []
    for steps in (100, 200, 400):
        initial, result, eigenvalue = standing(kind, 32, end=1.2, steps=steps, damping=damping)
        swing, decay = torch.sqrt(eigenvalue - damping**2 / 4), math.exp(-damping * 1.2 / 2)
        sine = torch.sin(1.2 * swing) / swing
        u, v = decay * (torch.cos(1.2 * swing) + damping / 2 * sine), -decay * eigenvalue * sine
        displacements.append(root_mean_square(result.displacement[:, 1] - u[:, None] * initial))
        velocities.append(root_mean_square(result.velocity[:, 1] - v[:, None] * initial))
    assert orders(displacements) == pytest.approx([2, 2], abs=0.05)
    assert orders(velocities) == pytest.approx([2, 2], abs=0.05)
    assert displacements[-1] < 1e-2


def estimated(*body, **settings):
    return refusal_of(solve_wave, *body, **settings)


@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize("moving", [False, True])
def test_the_estimated_error_is_the_distance_from_the_exact_oscillation_in_the_energy_norm(kind, moving):
    # Two modes, one with three times the wave number and a tenth of the amplitude, are compared with their oscillation on the
    # same cells. Besides the phase errors, the amplitudes have errors of up to (w step)^2 / 8, which do not grow. They are
    # 3 / (w t) = 0.1 of the error of the longer mode, and at right angles to it: they add 0.01. The next power of w step
    # adds 3 (w step)^2 / 80 = 0.002. After a start in motion the energy of v counts as that of u does.
    wave, mode, side = MODES[kind]
    cells, end, c, h = 64, 4.5, tensor(1.6), LENGTH / 64
    x, count = centres(cells), 400
    shapes = [
        mode(x),
        {"held": torch.sin(4.5 * pi * x), "free": torch.cos(3 * pi * x), "joined": torch.cos(3 * pi * x)}[kind] / 10,
    ]
    waves = [wave, {"held": 4.5 * pi, "free": 3 * pi, "joined": 3 * pi}[kind]]
    swings = [float(c) * 2 / h * math.sin(w * h / 2) for w in waves]
    start = [sum(shapes)[None], 0 * x[None]]
    exact = [sum(math.cos(s * end) * f for s, f in zip(swings, shapes, strict=True))]
    exact.append(sum(-s * math.sin(s * end) * f for s, f in zip(swings, shapes, strict=True)))
    if moving:  # the velocities of the modes as displacements, so that the acceleration is what it was
        start = [0 * x[None], sum(s * f for s, f in zip(swings, shapes, strict=True))[None]]
        exact = [sum(math.sin(s * end) * f for s, f in zip(swings, shapes, strict=True))]
        exact.append(sum(s * math.cos(s * end) * f for s, f in zip(swings, shapes, strict=True)))
    body, settings = (*start, c, tensor(end)), {"lengths": [LENGTH], "boundaries": [(side, side)], "step": end / count}
    found = solve_wave(*body, **settings)
    energies = []
    for u, v in ((found.displacement[0, 0] - exact[0], found.velocity[0, 0] - exact[1]), exact):
        parts = [
            (float(u @ f / (f @ f)) * s, float(v @ f / (f @ f)), float(f @ f)) for s, f in zip(swings, shapes, strict=True)
        ]
        energies.append(sum((p * p + q * q) * size for p, q, size in parts))
    assert estimated(*body, **settings).error == pytest.approx(math.sqrt(energies[0] / energies[1]), rel=0.02)


def test_the_estimated_error_of_damping_alone_is_that_of_the_leapfrog():
    # A free string that moves as a whole: exp(-d t) against ((1 - g) / (1 + g))^n, with g = d step / 2. The estimate is half of
    # the difference, because it refers to the energy of waves, which are damped as exp(-d t / 2).
    body = (torch.zeros(1, 6).double(), torch.ones(1, 6).double(), tensor(1.0), tensor(2.0))
    error = estimated(*body, lengths=[LENGTH], boundaries=[(FREE, FREE)], step=0.05, damping=2.0).error
    g = 2.0 * 0.05 / 2
    assert 2 * error == pytest.approx(1 - ((1 - g) / (1 + g)) ** 40 / math.exp(-4), rel=0.05)


def test_a_lost_phase_is_refused_with_the_sample_and_the_time():
    x = centres(32)
    u = torch.stack([torch.cos(pi * x), torch.cos(8 * pi * x)])  # w step is 0.06 and 0.5
    body, settings = (u, 0 * u, tensor(1.0, 1.0)), {"lengths": [LENGTH], "boundaries": [(FREE, FREE)], "step": 0.02}
    with pytest.raises(
        LostSolutionError, match=r"sample 1 is lost by time t = 1: .* time steps shorter than 0.02 s"
    ) as refusal:
        solve_wave(*body, tensor(0.2, 1.0, 2.0), **settings)
    assert len(str(refusal.value)) < 400
    solve_wave(*(part[:1] for part in body), tensor(2.0), **settings)
    with tolerate(math.inf):
        solve_wave(*body, tensor(2.0), **settings)


def test_a_mode_of_a_membrane_oscillates_with_the_sum_of_both_eigenvalues():
    x, y = centres(12)[:, None], centres(10, 1.0)
    initial = (torch.sin(pi / 2 * x) * torch.cos(2 * pi * y)).expand(2, -1, -1)
    result = solve_wave(
        initial,
        0 * initial,
        SPEEDS,
        tensor(1.5),
        lengths=[LENGTH, 1.0],
        boundaries=[(HELD, HELD), (FREE, FREE)],
        step=1.5 / 80,
    )
    bends = (2 * 6 * math.sin(pi / 2 / 6 / 2)) ** 2 + (2 * 10 * math.sin(2 * pi / 10 / 2)) ** 2
    u, _ = leapfrog(SPEEDS**2 * bends, 1.5 / 80, 80, 0.0)
    near(result.displacement[:, 0], u[:, None, None] * initial)


# d'Alembert: with the step h / c, the leapfrog moves any data along the grid without error.


def test_waves_travel_and_are_reflected_as_in_the_solution_of_d_alembert():
    cells, c = 20, 1.3
    h, initial = LENGTH / cells, rough(1, cells)

    def move(velocity, ends, steps):
        times = h / c * torch.arange(1, steps + 1).double()
        with tolerate(math.inf):  # errors of space and time cancel: the estimate covers those of time alone
            wave = solve_wave(
                initial, velocity, tensor(c), times, lengths=[LENGTH], boundaries=[ends], step=h / c * (1 + 1e-13)
            )
        return wave.displacement[:, -1]

    rightwards = (initial.roll(1, 1) - initial.roll(-1, 1)) * c / (2 * h)  # (u(h / c) - u(-h / c)) / (2 h / c)
    near(move(rightwards, (JOINED, JOINED), 7), initial.roll(7, 1), atol=1e-11)
    rest = torch.zeros_like(initial)
    near(move(rest, (HELD, HELD), cells), -initial.flip(1), atol=1e-11)
    near(move(rest, (FREE, FREE), cells), initial.flip(1), atol=1e-11)
    near(move(rest, (FREE, HELD), 2 * cells), -initial, atol=1e-11)
    near(move(rest, (HELD, FREE), 2 * cells), -initial, atol=1e-11)


# Uneven speeds. (c^2 X')' = -w^2 X gives c^2 = -w^2 (integral of X) / X' for a shape X whose integral and slope share zeros.

FREQUENCY, DAMPING = 3.0, 0.8


def overtone(theta):
    """Return X = sin(theta) + sin(3 theta) / 20 and -(integral of X) / X'."""
    rest = 4 * torch.cos(theta) ** 2 - 3
    return torch.sin(theta) + torch.sin(3 * theta) / 20, (1 + rest / 60) / (1 + 3 * rest / 20)


def uneven(kind, cells):
    """Return the shape, squared speed, lengths and boundaries of an exact solution."""
    if kind == "free":
        theta = pi * centres(cells) / LENGTH
        shape, ratio = torch.cos(theta) + torch.cos(2 * theta) / 10, (1 + torch.cos(theta) / 10) / (1 + 0.4 * torch.cos(theta))
        return shape, ratio * (LENGTH / pi) ** 2, [LENGTH], [(FREE, FREE)]
    if kind == "held":
        shape, ratio = overtone(pi * centres(cells) / LENGTH)
        return shape, ratio * (LENGTH / pi) ** 2, [LENGTH], [(HELD, HELD)]
    shape, ratio = overtone(2 * pi * (centres(cells)[:, None] / LENGTH + centres(cells, 1.0)))
    return shape, ratio / (2 * pi) ** 2 / (1 / LENGTH**2 + 1), [LENGTH, 1.0], [(JOINED, JOINED)] * 2


@pytest.mark.parametrize("kind", ["free", "held", "a membrane's diagonal"])
def test_damped_waves_of_uneven_speed_are_of_order_two(kind):
    errors, swing = [], math.sqrt(FREQUENCY**2 - DAMPING**2 / 4)
    for cells in (24, 48, 96):
        shape, squares, lengths, boundaries = uneven(kind, cells)
        initial = shape[None]
        wave = solve_wave(
            initial,
            -DAMPING / 2 * initial,
            FREQUENCY * torch.sqrt(squares)[None],
            tensor(0.9),
            lengths=lengths,
            boundaries=boundaries,
            step=0.2 / cells,
            damping=DAMPING,
        )
        exact = math.exp(-DAMPING * 0.9 / 2) * math.cos(swing * 0.9) * initial
        errors.append(root_mean_square(wave.displacement[:, 0] - exact))
    assert orders(errors) == pytest.approx([2, 2], abs=0.05)
    assert errors[-1] < 2e-3


# Energy and symmetries, on rough data

SIDES = {"held": (HELD, HELD), "free": (FREE, FREE), "joined": (JOINED, JOINED), "mixed": (HELD, FREE)}


def rough_case(axes, sides, damping=0.0, step=0.01):
    shape = (3, 12, 9)[: axes + 1]
    body = (rough(*shape), rough(*shape, seed=1), torch.exp(0.5 * rough(*shape, seed=2)).clamp(max=2.5), tensor(0.2, 0.55))
    settings = {"lengths": [1.5, 1.0][:axes], "boundaries": [sides, SIDES["mixed"]][:axes]}
    return body, {**settings, "step": step, "damping": damping}


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("damping", [0.0, 4.0])
@pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)
def test_energy_changes_only_by_what_damping_dissipates(axes, damping, sides):
    body, settings = rough_case(axes, sides, damping)
    wave = solve_wave(*body, **settings)
    assert wave.residual().max() < 1e-12  # 1e2 steps, each of which rounds sums of 1e2 cells
    assert wave.energy.min() > 0.1
    near(wave.energy[:, 0, 1], wave.energy[:, 1, 0], atol=1e-2 * float(wave.energy.max()))  # two intervals, not one step
    assert bool((wave.dissipated > 0.05).all() if damping else (wave.dissipated == 0).all())


def test_energy_of_a_standing_wave_is_half_c_squared_w_squared_times_the_mean_square_of_its_mode():
    _, result, _ = standing("held", 64, end=1.0, steps=100)
    exact = SPEEDS**2 * (1.5 * pi) ** 2 * LENGTH / 4
    torch.testing.assert_close(result.energy[:, 1, 0], exact, rtol=1e-2, atol=0)  # (w h)^2 / 12 + (w c step)^2 / 4


def test_a_free_string_that_moves_as_a_whole_is_damped_as_by_the_leapfrog():
    at_rest, moving = torch.zeros(1, 6).double(), torch.ones(1, 6).double()
    times = tensor(0.5, 1.0)
    wave = solve_wave(at_rest, moving, tensor(1.0), times, lengths=[LENGTH], boundaries=[(FREE, FREE)], step=0.1, damping=2.0)
    g = 2.0 * 0.1 / 2
    near(wave.velocity[:, 1], ((1 - g) / (1 + g)) ** 10 * moving)
    near(wave.energy[0, 0, 0], tensor((1 + g**2) / 2 * LENGTH)[0])
    speeds = ((1 - g) / (1 + g)) ** (2 * torch.arange(6).double())
    near(wave.dissipated[0, 0], 2.0 * LENGTH * 0.1 * torch.trapezoid(speeds))


@pytest.mark.parametrize("axes", [1, 2])
def test_an_undamped_wave_with_reversed_velocity_returns(axes):
    (u, v, speed, times), settings = rough_case(axes, SIDES["mixed"])
    there = solve_wave(u, v, speed, times[1:], **settings)
    back = solve_wave(there.displacement[:, 0], -there.velocity[:, 0], speed, times[1:], **settings)
    near(back.displacement[:, 0], u)
    near(back.velocity[:, 0], -v, atol=1e-10)


def test_a_mirrored_membrane_has_the_mirrored_solution_and_a_transposed_one_the_transposed():
    (*body, times), settings = rough_case(2, SIDES["mixed"], 1.0)
    wave, (ends, others) = solve_wave(*body, times, **settings), settings["boundaries"]
    mirror = solve_wave(*(a.flip(1) for a in body), times, **{**settings, "boundaries": [ends[::-1], others]})
    near(mirror.displacement.flip(2), wave.displacement)
    turned = {**settings, "boundaries": [others, ends], "lengths": settings["lengths"][::-1]}
    transpose = solve_wave(*(a.transpose(1, 2) for a in body), times, **turned)
    near(transpose.displacement.transpose(2, 3), wave.displacement)


def test_a_periodic_wave_moves_with_its_data():
    (*body, times), settings = rough_case(2, SIDES["joined"], 1.0)
    moved = solve_wave(*(a.roll(5, 1) for a in body), times, **settings)
    near(moved.displacement, solve_wave(*body, times, **settings).displacement.roll(5, 2))


@pytest.mark.parametrize("along", [1, 2])
def test_a_membrane_that_is_even_along_one_axis_is_a_string_along_the_other(along):
    body, settings = rough_case(1, SIDES["mixed"], 1.0)
    string = solve_wave(*body, **settings)
    wide = [a.unsqueeze(along).repeat_interleave(5, along) for a in body[:3]]
    boundaries = [(FREE, FREE), SIDES["mixed"]] if along == 1 else [SIDES["mixed"], (JOINED, JOINED)]
    lengths = [3.0, 1.5] if along == 1 else [1.5, 3.0]
    membrane = solve_wave(*wide, body[3], **{**settings, "boundaries": boundaries, "lengths": lengths})
    near(membrane.displacement.select(along + 1, 2), string.displacement)


@pytest.mark.parametrize("axes", [1, 2])
def test_a_batch_equals_its_rows(axes):
    (*body, times), settings = rough_case(axes, SIDES["mixed"], tensor(0.0, 1.0, 5.0))
    body[2] = body[2].flatten(1)[:, 0]
    together = solve_wave(*body, times, **settings)
    for i in range(3):
        one = slice(i, i + 1)
        alone = solve_wave(*(a[one] for a in body), times, **{**settings, "damping": float(settings["damping"][i])})
        for name in ("displacement", "velocity", "energy", "dissipated"):
            torch.testing.assert_close(getattr(together, name)[one], getattr(alone, name), rtol=1e-12, atol=1e-13)


# The longest step


def test_the_longest_step_is_the_stated_one():
    body, settings = rough_case(2, SIDES["joined"])
    even = (*body[:2], tensor(0.5, 2.0, 1.0), body[3])
    limit = 1 / 2.0 / math.hypot(12 / 1.5, 9 / 1.0)
    with pytest.raises(ValueError, match=f"at most {limit:.6g} s in sample 1, got 0.0666667 s: shorten it"):
        solve_wave(*even, **{**settings, "step": 0.07})
    held, held_settings = rough_case(1, SIDES["held"])
    limit = 1.5 / 12 / 2.0
    steps = limit * tensor(1.0, 2.0)
    with tolerate(math.inf):
        solve_wave(*held[:2], even[2], steps, **{**held_settings, "step": limit * (1 + 1e-13)})
    with pytest.raises(ValueError, match=r"leapfrog needs a step of at most 0\.0625 s in sample 1"):
        solve_wave(*held[:2], even[2], 1.001 * steps, **{**held_settings, "step": 1.001 * limit})


@pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)
def test_nothing_grows_just_below_the_longest_step(sides):
    (u, v, speed, _), settings = rough_case(2, sides)
    with pytest.raises(ValueError, match="at most") as refusal:
        solve_wave(u, v, speed, tensor(9.0), **{**settings, "step": 9.0})
    limit = float(str(refusal.value).split("at most ")[1].split(" s")[0])
    times = 0.99 * limit * tensor(1000, 1001, 1002)
    with tolerate(math.inf):  # the phases are lost, but do not matter here
        wave = solve_wave(u, v, speed, times, **{**settings, "step": 0.99 * limit})
    assert wave.displacement.abs().max() < 50 * float(u.abs().max())  # a growth by 5 % a step would give 1e21


# Refused arguments

GOOD = {"displacement": torch.zeros(2, 4).double(), "velocity": torch.zeros(2, 4).double(), "speed": tensor(1.0, 2.0)}
GOOD |= {"times": tensor(1.0), "lengths": [1.0], "boundaries": [(HELD, FREE)], "step": 0.1}
REFUSED = {
    r"displacement must be \(sample, x\) or \(sample, x, y\) with two cells or more": {"displacement": torch.zeros(2, 1)},
    r"velocity must have the shape of displacement, \(2, 4\), got \(2, 5\)": {"velocity": torch.zeros(2, 5)},
    r"speed must have shape \(2,\) or \(2, 4\), got \(3,\)": {"speed": tensor(1.0, 1.0, 1.0)},
    "speed must be positive, got 0 m/s": {"speed": tensor(1.0, 0.0)},
    "speed must be finite, it is not in sample 1": {"speed": tensor(1.0, math.inf)},
    "displacement must be finite, it is not in sample 0": {"displacement": torch.full((2, 4), math.nan)},
    "damping must not be negative, got -1 1/s": {"damping": -1.0},
    r"damping must be one number or one per sample \(2\), got shape \(3,\)": {"damping": tensor(1.0, 1.0, 1.0)},
    "times must be a list of at least one output time": {"times": torch.zeros(0)},
    "times must be finite and not negative, got -1 s": {"times": tensor(-1.0, 1.0)},
    "times must be in order: sort them": {"times": tensor(2.0, 1.0)},
    "lengths must be 1 positive": {"lengths": [0.0]},
    r"boundaries must be 1 pair\(s\)": {"boundaries": []},
    "both boundaries along x must be periodic, or neither": {"boundaries": [(JOINED, HELD)]},
    r"must be Dirichlet\(\), Neumann\(\) or Periodic\(\), got Robin along x": {"boundaries": [(HELD, Robin(1.0))]},
    "a Dirichlet boundary of a wave must have temperature 0, got 2: measure u from there": {
        "boundaries": [(Dirichlet(2.0), HELD)]
    },
    "step must be positive and finite, got 0.0 s": {"step": 0.0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_invalid_arguments_are_refused_in_one_line(message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # its type checks would come before ours
    with pytest.raises(ValueError, match=message) as refusal:
        solve_wave(**{**GOOD, **REFUSED[message]})
    assert "\n" not in str(refusal.value)


# Strings and membranes

ENSEMBLES = {
    "strings, held": Strings(),
    "strings, free": Strings(ends="free"),
    "strings, hanging and damped": Strings(sag=1.0, damping=200.0),
    "membranes, held": Membranes(reported=32, cells=32),
    "membranes, free and damped": Membranes(reported=32, cells=32, sides="free", damping=100.0),
}


@pytest.mark.parametrize("name", ENSEMBLES)
def test_an_ensemble_has_the_inputs_and_outputs_that_it_declares(name):
    ensemble = ENSEMBLES[name]
    assert isinstance(ensemble, Ensemble)
    inputs = drawn(ensemble)
    outputs, residual = ensemble.solve(inputs)
    for quantities, arrays in ((ensemble.inputs, inputs), (ensemble.outputs, outputs)):
        assert {q.name: (2, *q.shape) for q in quantities} == {key: tuple(array.shape) for key, array in arrays.items()}
    assert all(array.dtype == torch.float32 for array in inputs.values())
    assert all(torch.equal(array, inputs[key]) for key, array in drawn(ensemble).items())
    assert not any(torch.isin(array, inputs[key]).any() for key, array in drawn(ensemble, seed=1).items())
    assert len(ensemble.coordinates[0].values) == outputs["displacement"].shape[1]
    assert residual.max() < 1e-12
    alone, _ = ensemble.solve({key: array[1:] for key, array in inputs.items()})
    near(outputs["displacement"][1:], alone["displacement"], atol=1e-15)  # displacements are 1e-2 m


@pytest.mark.parametrize("name", ENSEMBLES)
def test_the_solution_of_an_ensemble_converges_with_its_order(name):
    ensemble = ENSEMBLES[name]
    first = 2 if isinstance(ensemble, Membranes) else 1
    answers = [ensemble.solve(drawn(ensemble, 1), first * factor)[0]["displacement"] for factor in (1, 2, 4)]
    changes = [root_mean_square(coarse - fine) for coarse, fine in pairwise(answers)]
    assert orders(changes) == pytest.approx([ensemble.order], abs=0.05)
    assert changes[0] < 0.05 * root_mean_square(answers[0])


def test_draws_are_spread_as_stated():
    strings = drawn(Strings(), 4000)
    assert 100 <= strings["speed"].min() < 101
    assert 149 < strings["speed"].max() <= 150
    edge = strings["initial_displacement"][:, [0, -1]].abs().max()
    assert 0 < edge < 1e-3  # 4e-2 m inside: sin^2 is small within 1/64 of an end
    # The factor sin^2 leaves 3/8 of the mean square of a random function, and more if its strongest mode is largest inside.
    mean_square = (strings["initial_displacement"].double() / 0.01).square().mean()
    assert 3 / 8 < mean_square < 0.7
    assert drawn(replace(Strings(), deviation=0.02), 50)["initial_displacement"] == pytest.approx(
        2 * drawn(Strings(), 50)["initial_displacement"], rel=1e-6
    )
    membranes = drawn(Membranes(reported=16), 2000)
    logarithm = torch.log(membranes["speed"] / 100)
    assert 0.18 < float(logarithm.square().mean().sqrt()) < 0.2
    assert float(logarithm.abs().max()) == pytest.approx(0.6, rel=1e-5)  # larger samples are scaled to 3 standard deviations
    assert 9 / 64 < (membranes["initial_displacement"].double() / 0.01).square().mean() < 0.5


def test_each_option_changes_the_solution_and_the_equation():
    for plain, options in (
        (Strings(), ({"ends": "free"}, {"sag": 0.5}, {"damping": 100.0})),
        (Membranes(reported=16, cells=16), ({"sides": "free"}, {"damping": 100.0})),
    ):
        inputs = drawn(plain)
        answer = plain.solve(inputs)[0]["displacement"]
        for option in options:
            other = replace(plain, **option)
            change = root_mean_square(other.solve(inputs)[0]["displacement"] - answer) / root_mean_square(answer)
            assert 0.02 < change < 1
            assert other.equation != plain.equation


def test_a_hanging_string_is_faster_where_it_carries_more():
    even, hanging = Strings(sag=0.0), Strings(sag=1.0)
    half = torch.full((1,), 100.0)
    inputs = {"initial_displacement": drawn(even, 1)["initial_displacement"], "speed": half}
    faster = {**inputs, "speed": half * math.sqrt(1.5)}
    # To leading order in t, u - u_0 = t^2 / 2 (c^2 u_x)_x: in the initial energy the sag acts as its mean, 1.5.
    start = replace(even, time=1e-5), replace(hanging, time=1e-5)
    initial = inputs["initial_displacement"].double()
    work = [
        -float((initial * (e.solve(i)[0]["displacement"] - initial)).sum())
        for e, i in zip(start, (faster, inputs), strict=True)
    ]
    assert work[1] == pytest.approx(work[0], rel=0.35)
    mirrored = {**inputs, "initial_displacement": inputs["initial_displacement"].flip(1)}
    other = -float((initial.flip(1) * (start[1].solve(mirrored)[0]["displacement"] - initial.flip(1))).sum())
    assert work[1] + other == pytest.approx(2 * work[0], rel=1e-3)


def test_a_coarse_membrane_reports_its_solution_on_the_reported_cells():
    fine, coarse = Membranes(reported=32, cells=64), Membranes(reported=32, cells=16)
    inputs = drawn(fine)
    exact, rough_answer = (e.solve(inputs)[0]["displacement"] for e in (fine, coarse))
    assert rough_answer.shape == exact.shape == (2, 32, 32)
    assert 0.05 < root_mean_square(rough_answer - exact) / root_mean_square(exact) < 0.4
