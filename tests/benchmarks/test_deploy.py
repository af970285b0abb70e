"""The study of pruned networks as they are used: what it measures, prints and writes, and where it continues."""

import json
import math

import pytest
from paths import BENCHMARKS
from running import run_script

SCRIPT = BENCHMARKS / "deploy.py"
UNITS = 64  # of each of the two hidden layers with --quick


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def run(monkeypatch, folder, *arguments):
    """Run the study for a pair of few numbers, which takes seconds, and return what its files hold."""
    run_script(monkeypatch, SCRIPT, folder, "--quick", "--pairs", "borehole", "--methods", "GMP", *arguments)
    return {path.stem: json.loads(path.read_text()) for path in (folder / "results" / "deploy_quick").glob("*.json")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("deploy")


@pytest.fixture(scope="module")
def results(folder):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return run(monkeypatch, folder)


def test_every_network_is_measured_and_written(results, folder):
    assert set(results) == {"small", "large", "recipes"}
    assert (folder / "results/deploy_quick/deploy.png").is_file()
    for content in results.values():
        assert {"command", "versions", "hardware", "date", "setting"} <= content["config"].keys()
    networks = results["recipes"]["results"]["borehole"]
    assert list(networks) == ["dense", "GMP 0.9 unstructured", "GMP 0.9 structured"]
    for one in networks.values():
        assert len(one["errors"]) == 2
        for speed in one["speed"].values():  # quartiles enclose their median
            assert speed["ratio"][1] <= speed["ratio"][0] <= speed["ratio"][2]


def test_what_is_finished_is_printed_and_not_measured_again(results, folder, monkeypatch, capsys):
    networks, path = results["recipes"]["results"]["borehole"], folder / "results/deploy_quick/small.json"
    changed = json.loads(path.read_text())
    changed["results"]["relu"]["Surrogate.predict"]["least"] = 12345.67
    path.write_text(json.dumps(changed))
    assert run(monkeypatch, folder) == {**results, "small": changed}
    printed = capsys.readouterr().out
    assert "| Surrogate.predict | 12345.67; " in printed
    (row,) = [line for line in printed.splitlines() if line.startswith("| GMP | ")]
    ratios = [a / b for a, b in zip(networks["GMP 0.9 structured"]["errors"], networks["dense"]["errors"], strict=True)]
    assert row.split("|")[3].strip() == f"{sum(ratios) / 2:.2f}"  # the median of two is their mean


def test_as_many_weights_remain_in_both_forms(results):
    networks = results["recipes"]["results"]["borehole"]
    kept = UNITS - round((1 - math.sqrt(0.1)) * UNITS)  # GMP rounds the pruned units of each layer
    structured, unstructured = networks["GMP 0.9 structured"], networks["GMP 0.9 unstructured"]
    assert structured["units"] == [kept, kept]
    # 8 inputs, two hidden layers and an output, with biases; no weight is 0 by chance.
    assert structured["weights"] == 8 * kept + kept**2 + kept + 2 * kept + 1
    # Single weights: a tenth of each layer but of the readout; units without any incoming or outgoing weight are removed.
    tenth = [size - round(0.9 * size) for size in (8 * UNITS, UNITS**2)]
    assert unstructured["weights"] <= sum(tenth) + UNITS + 2 * UNITS + 1
    # k units are kept where k^2 = UNITS^2 / 10 would be exact: rounding to half a unit moves k^2 by at most k + 1/4.
    assert abs(kept**2 - 0.1 * UNITS**2) <= kept + 0.25
    assert structured["onnx_bytes"] < unstructured["onnx_bytes"] <= networks["dense"]["onnx_bytes"]
    assert structured["c_bytes"] < unstructured["c_bytes"] < networks["dense"]["c_bytes"]


def test_the_fraction_of_units_leaves_the_fraction_of_weights():
    from deployment.networks import fraction_of_groups

    for sparsity in (0.0, 0.75, 0.95):
        assert (1 - fraction_of_groups(sparsity, "structured")) ** 2 == pytest.approx(1 - sparsity, abs=1e-15)
        assert fraction_of_groups(sparsity, "unstructured") == sparsity
    assert fraction_of_groups(0.75, "structured") == 0.5


def test_ratios_of_errors_are_paired_by_seed_and_averaged_geometrically():
    from deployment.tables import error_ratio, mean_error_ratio

    one = {"dense": {"errors": [1.0, 2.0, 4.0]}, "GMP 0.9 structured": {"errors": [3.0, 2.0, 8.0]}}  # ratios 3, 1 and 2
    other = {"dense": {"errors": [2.0]}, "GMP 0.9 structured": {"errors": [1.0]}}
    assert error_ratio(one, "GMP 0.9 structured") == 2.0
    assert mean_error_ratio({"one": one, "other": other}, "GMP 0.9 structured") == pytest.approx(1.0)
    one["GMP 0.9 structured"]["errors"][1] = math.nan
    assert math.isnan(error_ratio(one, "GMP 0.9 structured"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parts", "huge"], "unknown part 'huge': choose from small, large, recipes"),
        (["--report"], "nothing is finished under"),
    ],
)
def test_mistakes_are_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, tmp_path, *arguments)
    errors = capsys.readouterr().err
    assert (end.value.code, errors.count("\n")) == (2, 1)
    assert message in errors
