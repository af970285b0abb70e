"""The stored pairs of other libraries: their files keep the layout, and hold what their functions compute."""

import importlib
import json
import sys

import numpy as np
import pytest
from paths import BENCHMARKS
from running import run_script

import pac_surrogate as pac
from pac_surrogate.files import read_description, validate

FOLDERS = sorted(path.name for path in (BENCHMARKS / "real" / "data").iterdir())
SIDES = ("source", "target")
ONE_MB = 2**20
# Outputs are stored in float32, with a relative rounding of 6e-8. Solvers stop when a change is below their tolerance, at most
# 1e-6 of the outputs, and another version or processor may stop elsewhere. A wrong coefficient moves outputs by far more.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def stored():
    """Import the module of the stored pairs as a benchmark does."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("real.stored")
    for name in [name for name in sys.modules if name.split(".")[0] == "real"]:
        del sys.modules[name]


def path_of(name, side):
    return BENCHMARKS / "real" / "data" / name / f"{side}.h5"


def samples(data):
    """Return inputs and outputs of some rows by name, in float64."""
    return tuple(
        {variable.name: data[variable.name].astype(np.float64) for variable in variables}
        for variables in (data.inputs, data.outputs)
    )


def table(data):
    """Return the inputs as rows."""
    return np.stack([data[variable.name] for variable in data.inputs], 1)


def test_every_pair_has_a_module_a_folder_and_a_picture(stored):
    assert sorted(stored.NAMES) == FOLDERS
    assert len(FOLDERS) >= 10
    for name in FOLDERS:
        assert stored.find_real_pair(name).name == name
        assert sorted(path.name for path in path_of(name, "source").parent.iterdir()) == ["source.h5", "target.h5"]
        assert (BENCHMARKS / "real" / "pictures" / f"{name}.png").is_file()
    with pytest.raises(ValueError, match="there is no stored pair 'nonsense': choose one of water_saturation"):
        stored.find_real_pair("nonsense")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_is_small_keeps_the_layout_and_says_what_it_holds(stored, name, side):
    assert path_of(name, side).stat().st_size < ONE_MB
    validate(path_of(name, side))
    found, pair = read_description(path_of(name, side)), stored.find_real_pair(name)
    assert found.inputs == tuple(one.variable for one in pair.inputs)
    assert found.outputs == pair.outputs
    assert 1 <= sum(variable.size for variable in found.inputs) <= 20
    assert 1 <= sum(variable.size for variable in found.outputs) <= 500
    for coordinate in found.coordinates.values():
        assert coordinate.long_name != f"number along {coordinate.name}"
    said = found.attributes
    assert (said["pair"], said["side"], said["headline"]) == (name, side, pair.headline)
    for attribute in ("simulator", "equation", "licence", "citation", "history"):
        assert len(said[attribute]) > 5, attribute
    assert set(pair.packages) <= set(json.loads(said["versions"]))


@pytest.mark.parametrize("name", FOLDERS)
def test_inputs_lie_in_their_ranges_and_splits_have_the_announced_sizes(stored, name):
    pair, (source, target) = stored.find_real_pair(name), stored.open_pair(name)
    (train, valid), (few, kept, test) = pair.counts
    assert [len(part) for part in (source.train, source.valid, source.test)] == [train, valid, test]
    assert [len(part) for part in (target.train, target.valid, target.test)] == [few, kept, test]
    for one in pair.inputs:
        for side in (source, target):
            values = np.concatenate([part[one.name] for part in (side.train, side.valid, side.test)])
            # A limit is rounded to float32, as the values are.
            assert np.float32(one.low) <= values.min() < values.max() <= np.float32(one.high)


@pytest.mark.parametrize("name", FOLDERS)
def test_no_sample_is_in_two_splits_and_only_the_test_inputs_are_common(stored, name):
    source, target = stored.open_pair(name)
    np.testing.assert_array_equal(table(source.test), table(target.test))
    parts = {
        "source": [table(part) for part in (source.train, source.valid, source.test)],
        "target": [table(part) for part in (target.train, target.valid, target.test)],
    }
    for tables in parts.values():
        rows = np.concatenate(tables)
        assert len(np.unique(rows, axis=0)) == len(rows)
    if stored.find_real_pair(name).designs is None:  # measurements of two materials are of equal compositions
        own, others = np.concatenate(parts["source"][:2]), np.concatenate(parts["target"][:2])
        assert not (own[:, None] == others[None]).all(2).any()


@pytest.mark.parametrize("name", FOLDERS)
def test_the_stored_correlation_and_error_are_those_of_the_stored_outputs(stored, name):
    _, target = stored.open_pair(name)
    outputs = stored.common_outputs(name)
    # They were computed from the same float32 numbers; sums in another order differ by roundings of float64 times their number.
    assert float(target.attributes["correlation"]) == pytest.approx(stored.correlation(*outputs), abs=1e-9)
    error = stored.unchanged_error(*outputs, target.attributes["headline"])
    assert float(target.attributes["unchanged_error"]) == pytest.approx(error, rel=1e-9)
    assert error > 0.005  # the source is not the target


def test_correlation_is_the_mean_over_outputs_that_vary(stored):
    x = np.arange(5.0)
    source = {"a": np.stack([x, x, 0 * x], 1), "b": x}
    target = {"a": np.stack([2 * x + 1, -x, x], 1), "b": np.array([1.0, -1.0, 0.0, -1.0, 1.0])}
    # 1, -1, not defined, and 0 of a symmetric function: the mean of three.
    assert stored.correlation(source, target) == pytest.approx(0.0, abs=1e-12)
    assert stored.correlation(source, {**target, "a": np.stack([x, x, x], 1)}) == pytest.approx(2 / 3, abs=1e-12)


def test_the_set_covers_noise_measurements_curves_fields_and_loose_relations(stored):
    pairs = [stored.find_real_pair(name) for name in stored.NAMES]
    assert any(pair.reference is not None for pair in pairs)
    assert any(pair.designs is not None for pair in pairs)
    axes = {max(len(variable.axes) for variable in pair.outputs) for pair in pairs}
    assert axes == {0, 1, 2}
    correlations = [float(stored.open_pair(name)[1].attributes["correlation"]) for name in stored.NAMES]
    assert sum(correlation < 0.7 for correlation in correlations) >= 2


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", FOLDERS)
def test_the_functions_compute_the_stored_samples(stored, name, side):
    pair = stored.find_real_pair(name)
    data = stored.open_pair(name)[SIDES.index(side)].train[[0, 1]]
    inputs, outputs = samples(data)
    try:
        found = getattr(pair, side).solve(inputs)
    except ValueError as error:
        if "pip install 'pac_surrogate[real]'" not in str(error):
            raise
        pytest.skip(str(error))
    for variable in data.outputs:
        scale = np.abs(outputs[variable.name]).max()
        assert np.abs(found[variable.name] - outputs[variable.name]).max() <= TOLERANCE * scale, variable.name


def test_a_missing_package_is_one_line_that_names_the_extra(stored):
    pair = importlib.import_module("real.pair")
    with pytest.raises(ValueError, match=r"the pair some_pair needs nowhere, .* pip install 'pac_surrogate\[real\]'") as error:
        pair.need("nowhere.at_all", "nowhere", "some_pair")
    assert "\n" not in str(error.value)


def test_the_designs_fill_the_ranges_evenly(stored):
    pair = importlib.import_module("real.pair")
    inputs = (pair.Input("a", 0.0, 1.0, "1", "first"), pair.Input("b", 1.0, 100.0, "1", "second", log=True))
    cube = pair.latin_hypercube(inputs, 50, 0)
    for column in cube.T:  # one sample in each fiftieth of the range
        assert sorted((50 * column).astype(int)) == list(range(50))
    points = pair.sobol(inputs, 64, 0)
    for column in points.T:  # a Sobol sequence of 2^k points is a Latin hypercube too
        assert sorted((64 * column).astype(int)) == list(range(64))
    assert inputs[1].place(np.array([0.0, 0.5, 1.0])) == pytest.approx([1.0, 10.0, 100.0], rel=1e-12)
    assert inputs[0].place(np.array([0.0, 0.5, 1.0])) == pytest.approx([0.0, 0.5, 1.0], rel=1e-12)


def test_a_comparison_prints_both_tables_and_writes_the_means(tmp_path, monkeypatch, capsys):
    flags = ("--quick", "--sizes", 4, "--methods", "auto", "fine-tune", "source unchanged", "--out", "out")
    run_script(monkeypatch, BENCHMARKS / "real_pairs.py", tmp_path, *flags)
    printed = capsys.readouterr().out
    curves = {name: pac.open_curve(tmp_path / "out" / name) for name in ("water_saturation", "cantilever")}
    means = json.loads((tmp_path / "out" / "means.json").read_text())
    for method in ("auto", "fine-tune", "source unchanged"):
        medians = [float(pac.summarise(curve)["median"].sel(approach=method, size=4)) for curve in curves.values()]
        assert means[method]["4"]["error"] == pytest.approx(np.sqrt(np.prod(medians)), rel=1e-9)
        assert means[method]["4"]["pairs"] == 2
    assert means["fine-tune"]["4"]["ratio"] == pytest.approx(1, rel=1e-12)
    (row,) = [line for line in printed.splitlines() if line.startswith("| `cantilever` |")]
    unchanged = float(curves["cantilever"]["rmse_std"].sel(approach="source unchanged", size=4).median())
    assert row.startswith("| `cantilever` | 7 | 40 | 1000 + 100 | 80 + 20 | 150 |")
    assert row.endswith(f" {unchanged:.3f} |")
    assert f"| auto | {means['auto']['4']['error']:.3f}, {means['auto']['4']['ratio']:.2f} |" in printed


def test_an_unknown_pair_is_one_line(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        run_script(monkeypatch, BENCHMARKS / "real_pairs.py", tmp_path, "--quick", "--pairs", "nonsense")
    assert end.value.code == 2
    assert "unknown pair 'nonsense': choose from water_saturation" in capsys.readouterr().err
