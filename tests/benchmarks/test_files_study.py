"""The benchmarks of files: what they measure, print and write."""

import json

import pytest
from paths import BENCHMARKS
from running import python_in_this_process, run_script


def test_both_ways_from_csv_to_csv_are_timed_and_write_the_same_predictions(tmp_path, monkeypatch, capsys):
    python_in_this_process(monkeypatch)  # a start of Python takes seconds, which this test does not judge
    run_script(monkeypatch, BENCHMARKS / "csv_to_csv.py", tmp_path, "--quick")
    content = json.loads((tmp_path / "results" / "csv_to_csv_quick" / "csv_to_csv.json").read_text())
    steps = [float(python) for _, python, _ in content["table"]]
    assert abs(sum(steps[:-1]) - steps[-1]) < 0.05  # one round: the last row is the sum, of numbers rounded to 0.01
    assert content["config"]["rows"] == {"source": 60, "target": 12, "new": 5}
    printed = capsys.readouterr().out
    assert all(step in printed for step, _, _ in content["table"])


def test_large_files_are_opened_read_and_described(tmp_path, monkeypatch, capsys):
    run_script(monkeypatch, BENCHMARKS / "large_files.py", tmp_path, "--quick")
    content = json.loads((tmp_path / "results" / "large_files_quick" / "large_files.json").read_text())
    assert [row[:3] for row in content["table"]] == [
        [file, "1", call] for file in ("our own layout", "netCDF") for call in ("open", "read", "describe")
    ]
    assert "describe" in capsys.readouterr().out


def test_exports_are_sized_and_what_cannot_be_exported_is_told(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    run_script(monkeypatch, BENCHMARKS / "export_sizes.py", tmp_path, "--quick")
    content = json.loads((tmp_path / "results" / "export_sizes_quick" / "export_sizes.json").read_text())
    assert content["header"] == ["surrogate", "predictor", "non-zero constants", "c", "numpy", "onnx"]
    rows = {name: sizes for name, _, _, *sizes in content["table"]}
    assert rows["module of your own"][:2] == ["distil", "distil"]
    assert all(int(size.replace(",", "")) > 1000 for size in (*rows["network"], rows["module of your own"][2]))
    assert "GaussianProcess" in capsys.readouterr().out
