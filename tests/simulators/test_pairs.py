"""The pairs: files contain what was drawn and solved, and each shift is what its name states."""

import collections
import json
import math
import typing
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pac_surrogate import MLP, FineTune, Scratch, open_dataset, transfer_curve
from pac_surrogate.files import read_description, read_rows, validate
from simulators.__main__ import app
from simulators.ensemble import Pair, Shift
from simulators.generate import generate
from simulators.heat.rod_ensemble import Rods
from simulators.numerics.step_error import LostSolutionError, tolerate
from simulators.odes.pairs import TRAJECTORIES
from simulators.pairs import PAIRS, find_pair

ROLES = ("source", "target")


def read(path):
    """Return all variables of a file, and its description."""
    description = read_description(path)
    rows = np.arange(len(description.split))
    return {v.name: read_rows(path, v.name, rows) for v in (*description.inputs, *description.outputs)}, description


def relative_distance(found, exact):
    difference = (found - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)
    return float(difference.mean())


def short(pair: Pair) -> Pair:
    """Return the pair on coarser grids, for tests of the code around the solver."""
    coarse = {
        role: replace(getattr(pair, role), ensemble=replace(getattr(pair, role).ensemble, cells=32, steps=8)) for role in ROLES
    }
    return replace(pair, **coarse)


@pytest.fixture(scope="module")
def rods(tmp_path_factory):
    return generate(short(find_pair("heat_equation")), tmp_path_factory.mktemp("data"), samples=40, seed=3)


# Tolerances of balances that hold only to the accuracy of a scheme or of its inputs, or as a bound: the momentum of solitons to
# the order of the steps, concentrations where waves undershoot a sharp spot, balances of adaptive steps to the tolerance of
# each step, and mass where permeabilities differ by six decades. All others hold up to the round-off of hundreds of steps.
KEPT_TO = {
    "korteweg_de_vries": 1e-4,
    "gray_scott": 1e-3,
    **{pair.name: 1e-5 for pair in TRAJECTORIES},
    "lorenz_63": 0.3,  # the source takes steps of 0.07
}


# For two random samples on the grid of the data, not a smooth sample in the asymptotic range: the tests of each solver check
# the latter, to 0.05 (0.15 for order 4). For steps of this length, the short waves of thin fronts, of solitons and
# of chaos are stiff, and a limiter clips extrema.
ORDERS_WITHIN = {
    "burgers_sharp": 0.4,
    "korteweg_de_vries": 0.5,
    "kuramoto_sivashinsky": 0.4,
    "shallow_water": 0.3,
    "shallow_water_friction": 0.2,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Generate each pair once, with few samples."""
    made = {}

    def generated(name):
        if name not in made:
            made[name] = generate(find_pair(name), tmp_path_factory.mktemp("all"), samples=30, seed=5)
        return made[name]

    return generated


@pytest.mark.parametrize("name", PAIRS)
def test_generated_files_are_valid_and_hold_the_solutions_of_their_inputs(name, files):
    pair = find_pair(name)
    for role, path in files(name).items():
        assert path.parts[-2:] == (name, f"{role}.h5")
        validate(path)
        arrays, description = read(path)
        side, attributes = getattr(pair, role), description.attributes
        ensemble = side.ensemble
        assert np.bincount(description.split).tolist() == list(side.counts(30))
        assert (attributes["pair"], attributes["side"], attributes["seed"]) == (name, role, 5)
        assert json.loads(attributes["parameters"]) == json.loads(json.dumps(side.parameters, allow_nan=False))
        order = attributes["solver_order_measured"]
        if math.isnan(ensemble.order):
            assert math.isnan(order)
        else:
            assert order == pytest.approx(ensemble.order, abs=ORDERS_WITHIN.get(name, 0.15))
        residual = attributes["conservation_residual"]
        assert math.isnan(residual) == (ensemble.invariant == "")
        assert not residual > KEPT_TO.get(name, 1e-12)
        assert attributes["cost_seconds_per_sample"] > 0
        inputs = side.draw(5, 30)
        for key, values in inputs.items():
            np.testing.assert_array_equal(arrays[key], values)
        clean = int(np.flatnonzero(description.split == 2)[0])  # the test split has no noise
        outputs, _ = ensemble.solve({key: values[clean : clean + 1] for key, values in inputs.items()})
        for key, values in outputs.items():
            np.testing.assert_allclose(arrays[key][clean : clean + 1], values, rtol=0, atol=1e-6 * float(values.abs().max()))


# Some pairs have other materials or outputs on purpose, which gives warnings.
@pytest.mark.filterwarnings("ignore::pac_surrogate.DataWarning", "ignore::pac_surrogate.ExtrapolationWarning")
@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_runs_through_a_transfer_curve(name, files):
    source, target = (open_dataset(path) for path in files(name).values())
    methods = {"scratch": Scratch(), "fine-tune": FineTune()}
    model, budget = MLP(hidden=(4,)), {"steps": 2, "pretrain_steps": 2}
    curve = transfer_curve(source, target, methods=methods, sizes=(3,), seeds=1, model=model, **budget)
    assert curve.attrs["headline"] == find_pair(name).headline
    assert bool(np.isfinite(curve[curve.attrs["headline"]]).all())


@pytest.mark.parametrize("name", PAIRS)
def test_both_sides_describe_the_same_inputs_and_but_for_a_change_of_outputs_the_same_outputs(name):
    pair = find_pair(name)
    source, target = (getattr(pair, role).ensemble for role in ROLES)
    assert source.inputs == target.inputs
    same = (source.outputs, source.coordinates) == (target.outputs, target.coordinates)
    assert same == (pair.shift != "output")
    assert source != target or pair.target.noise != pair.source.noise


def test_there_are_pairs_of_every_kind_of_shift():
    kinds = collections.Counter(pair.shift for pair in PAIRS.values())
    assert set(kinds) == set(typing.get_args(Shift))
    assert min(kinds.values()) >= 2
    assert len(PAIRS) >= 16


def test_noise_is_added_to_measured_samples_only_with_the_stated_size_and_is_the_same_for_any_chunk(tmp_path):
    pair = find_pair("friedman_0")
    noisy, again = (generate(pair, tmp_path / str(chunk), samples=600, seed=1, chunk=chunk)["target"] for chunk in (600, 7))
    arrays, description = read(noisy)
    truth, _ = pair.target.ensemble.solve(pair.target.draw(1, 600))
    error = arrays["y"] - truth["y"].numpy()
    measured = description.split != 2
    assert np.abs(error[~measured]).max() < 1e-5  # float32
    # 400 samples are measured: mean and standard deviation to three standard errors
    assert error[measured].mean() == pytest.approx(0, abs=0.15)
    assert error[measured].std() == pytest.approx(1, abs=0.11)
    np.testing.assert_array_equal(arrays["y"], read(again)[0]["y"])
    other = generate(pair, tmp_path / "other", samples=600, seed=2)["target"]
    assert not np.isin(arrays["y"][measured], read(other)[0]["y"]).any()


def test_the_size_of_a_chunk_changes_no_input_and_no_output_beyond_round_off(rods, tmp_path):
    for chunk in (3, 40):
        paths = generate(short(find_pair("heat_equation")), tmp_path / str(chunk), samples=40, seed=3, chunk=chunk)
        for role in ROLES:
            (found, description), (expected, _) = read(paths[role]), read(rods[role])
            for variable in description.inputs:
                np.testing.assert_array_equal(found[variable.name], expected[variable.name])
            for variable in description.outputs:
                exact = expected[variable.name]
                np.testing.assert_allclose(found[variable.name], exact, rtol=0, atol=1e-6 * np.abs(exact).max())


def test_an_interrupted_generation_continues_where_it_stopped(rods, tmp_path, monkeypatch):
    pair, solve, solved = short(find_pair("heat_equation")), Rods.solve, []

    def interrupted(self, inputs, refinement=1):
        if len(solved) == 3:
            raise KeyboardInterrupt
        solved.append(len(inputs["conductivity"]))
        return solve(self, inputs, refinement)

    monkeypatch.setattr(Rods, "solve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate(pair, tmp_path, samples=40, seed=3, chunk=10)
    assert [path.name for path in (tmp_path / "heat_equation").iterdir()] == ["source.h5.part"]

    first = []

    def remembered(self, inputs, refinement=1):
        first.append(inputs["initial_temperature"])
        return solve(self, inputs, refinement)

    monkeypatch.setattr(Rods, "solve", remembered)
    paths = generate(pair, tmp_path, samples=40, seed=3, chunk=10)
    assert torch.equal(first[0], pair.source.draw(3, 40)["initial_temperature"][30:])
    for role in ROLES:
        (found, _), (expected, _) = read(paths[role]), read(rods[role])
        for name, values in found.items():
            np.testing.assert_allclose(values, expected[name], rtol=0, atol=1e-6 * np.abs(values).max())
    assert sorted(path.name for path in (tmp_path / "heat_equation").iterdir()) == ["source.h5", "target.h5"]


def test_complete_files_are_left_alone_and_other_files_are_written_again(tmp_path):
    pair, lines = short(find_pair("heat_equation")), []
    paths = generate(pair, tmp_path, samples=6)
    times = [path.stat().st_mtime_ns for path in paths.values()]
    generate(replace(pair, title="the same pair in other words"), tmp_path, samples=6, say=lines.append)
    assert [path.stat().st_mtime_ns for path in paths.values()] == times
    assert all(line.endswith("exists with this configuration: left unchanged") for line in lines)
    before = [read(path)[0]["conductivity"] for path in paths.values()]
    generate(pair, tmp_path, samples=6, seed=1)
    warmer = replace(pair.target, ensemble=replace(pair.target.ensemble, mean=1.0))
    generate(replace(pair, target=warmer), tmp_path, samples=6, seed=1)
    after = [read(path) for path in paths.values()]
    assert not any(np.isin(old, new["conductivity"]).any() for old, (new, _) in zip(before, after, strict=True))
    assert [json.loads(description.attributes["parameters"])["mean"] for _, description in after] == [0, 1]


def test_a_file_of_another_kind_is_not_replaced_and_nothing_is_solved_for_it(rods, tmp_path):
    pair = short(find_pair("heat_equation"))
    paths = generate(pair, tmp_path, samples=6)
    paths["source"].write_bytes(b"not a data file")
    with pytest.raises(ValueError, match="may replace only another one"):
        generate(pair, tmp_path, samples=6)
    assert paths["source"].read_bytes() == b"not a data file"
    paths["source"].unlink()
    generate(pair, tmp_path, samples=6)
    validate(paths["source"])


def test_source_and_target_draw_from_separate_streams():
    pair = find_pair("heat_equation")
    source = pair.source.draw(0, 50)
    again, other_seed = pair.source.draw(0, 50), pair.source.draw(1, 50)
    target = replace(pair.target, ensemble=pair.source.ensemble).draw(0, 50)  # the same distribution as the source
    for name, values in source.items():
        assert torch.equal(values, again[name])
        assert not torch.isin(values, target[name]).any()
        assert not torch.isin(values, other_seed[name]).any()


def test_counts_shrink_alike_and_leave_a_sample_for_each_split():
    target = find_pair("heat_equation").target
    assert target.counts() == (320, 80, 200)
    assert target.counts(60) == (32, 8, 20)
    assert target.counts(3) == (1, 1, 1)
    with pytest.raises(ValueError, match="needs 3 samples or more, one for each split, got 2"):
        target.counts(2)


def test_the_target_of_heat_equation_conducts_better():
    pair = find_pair("heat_equation")
    low, high = (getattr(pair, role).draw(0, 2000)["conductivity"] for role in ROLES)
    assert (float(low.min()), float(low.max())) == pytest.approx((5, 15), abs=0.05)
    assert (float(high.min()), float(high.max())) == pytest.approx((15, 45), abs=0.15)
    assert replace(pair.source.ensemble, conductivity=(15.0, 45.0)) == pair.target.ensemble  # nothing else differs


def test_only_the_target_of_heat_equation_losses_loses_heat():
    pair = find_pair("heat_equation_losses")
    inputs = pair.target.draw(0, 20)
    before = inputs["initial_temperature"].mean(1)
    kept, lost = (getattr(pair, role).ensemble.solve(inputs)[0]["temperature"].mean(1).float() for role in ROLES)
    torch.testing.assert_close(kept, before, rtol=1e-5, atol=1e-4)
    cooled = (before - lost)[before > 30]
    assert cooled.min() > 1
    linear, _ = replace(pair.target.ensemble, temperature_coefficients=()).solve(inputs)
    assert relative_distance(linear["temperature"].mean(1, keepdim=True), lost[:, None].double()) > 0.01  # k(u) matters as well


@pytest.mark.parametrize(("name", "samples"), [("heat_equation", 200), ("heat_equation_losses", 100), ("heat_equation_2d", 8)])
def test_source_and_target_solvers_of_the_heat_equation_differ_by_a_fifth_to_two_fifths(name, samples):
    pair = find_pair(name)
    inputs = pair.target.draw(0, samples)
    exact = pair.target.ensemble.solve(inputs)[0]["temperature"]
    if pair.shift == "parameter":  # the nearest conductivity within the range of the source
        inputs = {**inputs, "conductivity": inputs["conductivity"].clamp(*pair.source.ensemble.conductivity)}
    cheap = pair.source.ensemble.solve(inputs)[0]["temperature"]
    assert 0.2 < relative_distance(cheap, exact) < 0.4  # a shift that needs a transfer, and a useful source
    assert 5 < exact.square().mean().sqrt() < 60  # the field has neither decayed nor stayed as it was [K]


@pytest.mark.parametrize(("name", "samples", "accuracy"), [("heat_equation_losses", 8, 2e-3), ("heat_equation_2d", 2, 1e-2)])
def test_the_target_solver_is_far_more_accurate_than_the_shift(name, samples, accuracy):
    ensemble = find_pair(name).target.ensemble
    inputs = ensemble.draw(torch.Generator().manual_seed(0), samples)
    coarse, fine = (ensemble.solve(inputs, refinement)[0]["temperature"] for refinement in (1, 2))
    assert relative_distance(coarse, fine) < accuracy


def test_a_solution_that_is_not_finite_is_refused_with_the_inputs_of_its_samples(tmp_path, monkeypatch):
    pair, solve = short(find_pair("heat_equation")), Rods.solve

    def broken(self, inputs, refinement=1):
        outputs, residual = solve(self, inputs, refinement)
        outputs["temperature"][-1, 5] = torch.nan
        return outputs, residual

    monkeypatch.setattr(Rods, "solve", broken)
    with pytest.raises(ValueError, match=r"temperature of sample 3 is not finite.*conductivity 1\d\.\d+ to .*steps") as refusal:
        generate(
            replace(pair, source=replace(pair.source, ensemble=replace(pair.source.ensemble, conductivity=(10.0, 20.0)))),
            tmp_path,
            samples=6,
            chunk=4,
        )
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "heat_equation" / "source.h5").exists()


def test_a_refusal_of_a_solver_names_the_samples_and_the_parameters(tmp_path):
    pair = find_pair("burgers")
    thin = replace(pair.target.ensemble.pde, viscosity=(-0.02, -0.01))
    broken = replace(pair, source=replace(pair.source, ensemble=replace(pair.target.ensemble, pde=thin)))
    message = r"burgers source, samples 0 to 5 of \{.*viscosity.*\}: viscosity must not be negative, got -0.0.* in sample 0"
    with pytest.raises(ValueError, match=message) as refusal:
        generate(broken, tmp_path, samples=6)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "burgers" / "source.h5").exists()


def test_a_lost_solution_is_reported_with_the_number_of_its_sample_in_the_file(tmp_path):
    pair, errors = find_pair("navier_stokes"), []
    inputs = pair.source.draw(0, 6)
    for i in range(6):
        with pytest.raises(LostSolutionError) as refusal, tolerate(0):
            pair.source.ensemble.solve({name: values[i : i + 1] for name, values in inputs.items()})
        errors.append(refusal.value.error)
    worst, limit = int(np.argmax(errors)), float(np.sort(errors)[-2:].mean())
    assert worst >= 2  # the worst sample is not in the first chunk
    message = f"navier_stokes source: the solution of sample {worst} is lost by time"
    with pytest.raises(ValueError, match=message) as refusal, tolerate(limit):
        generate(pair, tmp_path, samples=6, chunk=2)
    assert f"{errors[worst]:.3g} of the solution, above the limit of {limit:g}; take more than 16 steps" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_refusal_in_a_later_chunk_gives_the_first_sample_of_the_chunk(tmp_path, monkeypatch):
    def refused(self, inputs, refinement=1):
        raise ValueError("conductivity is bad in sample 1")

    pair, solve = short(find_pair("heat_equation")), Rods.solve
    monkeypatch.setattr(Rods, "solve", lambda *given: (solve if given[1]["conductivity"].shape[0] == 4 else refused)(*given))
    with pytest.raises(
        ValueError, match=r"source, samples 4 to 5 \(sample 0 below is sample 4\) of \{.*\}: conductivity is bad in"
    ):
        generate(pair, tmp_path, samples=6, chunk=4)


def test_long_steps_on_purpose_have_their_own_limit_that_is_not_stored_in_files():
    source = find_pair("lorenz_63").source
    inputs = source.draw(0, 100)
    with pytest.raises(LostSolutionError, match=r"above the limit of 0\.05;"), tolerate(0.005):
        source.ensemble.solve(inputs)
    source.ensemble.solve(inputs)
    assert source.ensemble.looseness == 10
    assert "looseness" not in source.parameters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "heat"], "error: there is no pair 'heat': choose one of heat_equation, heat_equation_losses, heat"),
        (["generate", "heat"], "error: there is no pair 'heat': choose one of"),
        (["generate", "heat_equation", "--samples", "2"], "error: heat_equation source needs 3 samples or more"),
        (["generate", "heat_equation", "--chunk", "0"], "error: chunk must be 1 or more, got 0"),
        (["generate", "heat_equation", "--device", "tpu"], "error: device must be cpu or cuda, got 'tpu'"),
    ],
)
def test_the_console_refuses_in_one_line_with_exit_code_2(arguments, message, tmp_path):
    out = ["--out", str(tmp_path)] if arguments[0] == "generate" else []
    result = CliRunner().invoke(app, [*arguments, *out])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_console_lists_and_describes_every_pair():
    listed = CliRunner().invoke(app, ["list"])
    assert listed.exit_code == 0
    for name, pair in PAIRS.items():
        assert f"{name} " in listed.stdout
        described = CliRunner().invoke(app, ["describe", name])
        assert described.exit_code == 0
        quantity = pair.target.ensemble.inputs[0]
        for word in (pair.title, pair.shift, "320 train", quantity.name, f"[{quantity.units}]"):
            assert word in described.stdout


def test_the_console_generates(tmp_path):
    result = CliRunner().invoke(app, ["generate", "heat_equation", "--samples", "3", "--out", str(tmp_path)])
    assert result.exit_code == 0
    assert [line.split(":")[1].split(" in")[0] for line in result.stdout.splitlines()] == [" 3 samples"] * 2
    assert result.stderr == ""
