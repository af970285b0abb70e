"""`Surrogate.optimise` chooses the fastest engine that agrees with `predict`, shows what it measured, and keeps the choice."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from sparse_cases import ENGINES, QUICK, TOLERANCE, case, data, differences

import pac_surrogate as pac
from pac_surrogate.engines import timing
from pac_surrogate.engines.units import trial_inputs
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.predictors import Mixture, Network
from pac_surrogate.surrogates import optimised as module
from pac_surrogate.surrogates.optimised import CHOICES
from pac_surrogate.utilities import process


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch):
    """Measure each engine in two blocks of a few calls: no test depends on which engine is the fastest."""
    monkeypatch.setattr(timing, "BLOCK_SECONDS", 1e-4)
    monkeypatch.setattr(timing, "ROUNDS", (2, 2))


def test_an_architecture_that_compaction_makes_smaller_is_an_engine_of_its_own():
    surrogate = case()
    surrogate.weights["hidden.1.weight"][:20] = 0
    found = surrogate.optimise(**QUICK)
    assert [row.engine for row in found.measured if "compacted" in row.engine] == ["torch, compacted"]
    assert max(row.deviation for row in found.measured) < TOLERANCE
    assert found.surrogate.weights["hidden.1.weight"].shape == (33, 40)  # the surrogate itself stays as it is


def test_a_missing_onnx_runtime_is_named(monkeypatch):
    monkeypatch.setattr(module, "installed", lambda package: package != "onnxruntime")
    found = case().optimise(**QUICK)
    assert "onnxruntime" not in [row.engine for row in found.measured]
    assert "onnxruntime: it is not installed, or onnx is not: pip install -e '.[deploy]' -c constraints.txt" in found.notes


@pytest.fixture
def refused(monkeypatch):
    """Let `Surrogate.export` refuse every surrogate from the call of this function on."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")

    def refuse(*_given, **_named):
        raise NotExportableError("there is no such step")

    return lambda: monkeypatch.setattr(pac.Surrogate, "export", refuse)


def test_what_cannot_be_exported_is_said(refused):
    refused()
    assert "onnxruntime: there is no such step" in case().optimise(**QUICK).notes


def test_a_kept_choice_that_cannot_be_exported_any_more_is_measured_anew(refused):
    surrogate = case().optimise(**QUICK).surrogate
    (kept,) = surrogate.provenance[CHOICES]
    provenance = {**surrogate.provenance, CHOICES: [kept | {"engine": "onnxruntime"}]}
    refused()
    again = dataclasses.replace(surrogate, provenance=provenance).optimise(**QUICK)
    assert "onnxruntime: there is no such step" in again.notes
    assert "onnxruntime" not in [row.engine for row in again.measured]


def test_floating_point_errors_of_a_kept_engine_are_no_concern_of_the_caller(measured):
    """GELU's tails underflow; the check of a kept engine may not raise where the first measurement did not."""
    surrogate = case().optimise(**QUICK).surrogate
    (kept,) = surrogate.provenance[CHOICES]
    surrogate = dataclasses.replace(surrogate, provenance={**surrogate.provenance, CHOICES: [kept | {"engine": "numpy"}]})
    own = module.candidates

    def noisy(*given):
        made, notes = own(*given)
        inner = made["numpy"]()

        def engine(x):
            np.float64(1e-300) * np.float64(1e-300)
            return inner(x)

        return made | {"numpy": lambda: engine}, notes

    with pytest.MonkeyPatch.context() as patch, np.errstate(all="raise"):
        patch.setattr(module, "candidates", noisy)
        assert surrogate.optimise(**QUICK).engine == "numpy"
    assert len(measured) == 1


def test_a_measurement_has_one_thread_however_many_the_caller_allows(monkeypatch):
    """Calls that are long enough for several threads are measured with one, whose processor time is then that of all."""
    surrogate, seen, own = case(), [], Network.predict

    def recorded(*given, **named):
        seen.append(torch.get_num_threads())
        return own(*given, **named)

    monkeypatch.setattr(Network, "predict", recorded)
    monkeypatch.setattr(process, "LONG", 1.0)  # every call is long
    x, before = trial_inputs(surrogate.scaling, 4), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        surrogate.predict(x)
        assert seen == [2]
        seen.clear()
        timing.time_in_turn({"predict": lambda: surrogate.predict(x)}, 1e-3)
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
        seen.clear()
        surrogate.predict(x)
        assert seen == [2]
    finally:
        torch.set_num_threads(before)


def test_a_mixture_of_which_nothing_can_be_removed_has_no_compacted_engine():
    surrogate = case()
    mixture = Mixture(torch.ones(1, dtype=torch.float64), (surrogate.network,))
    found = dataclasses.replace(surrogate, predictor=mixture).optimise(**QUICK)
    assert [row.engine for row in found.measured][:2] == ["predict", "torch"]
    assert "torch, compacted" not in [row.engine for row in found.measured]


def test_the_fastest_engine_within_the_tolerance_is_kept_and_the_table_names_all():
    pytest.importorskip("numba")
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    found = case().optimise(**QUICK)
    assert [row.engine for row in found.measured] == ENGINES
    best = min((row for row in found.measured if row.deviation <= TOLERANCE), key=lambda row: row.microseconds[0])
    assert found.engine == best.engine
    for row in found.measured:
        assert row.microseconds[1] <= row.microseconds[0] <= row.microseconds[2]
        assert row.engine != "torch" or row.ratio == (1.0, 1.0, 1.0)
    lines = found.table.splitlines()
    assert lines[0].split()[0] == "engine"
    assert [line[2:].split("  ")[0].strip() for line in lines[1:]] == ENGINES
    assert [line for line in lines if line.startswith("*")] == [lines[1 + ENGINES.index(found.engine)]]
    assert str(found).splitlines()[0] == f"{found.engine} predicts 1 sample a call"
    assert found.engine in repr(found)


def test_engines_beyond_the_tolerance_are_not_chosen_and_predict_itself_always_serves():
    found = case().optimise(tolerance=1e-15, **QUICK)
    assert found.engine in [row.engine for row in found.measured if row.deviation <= 1e-15]
    assert next(row for row in found.measured if row.engine == "predict").deviation == 0
    assert "numpy: deviates by more than 1e-15, so it is not chosen" in found.table


def test_a_double_precision_network_stays_exact_in_torch():
    found = case(torch.float64).optimise(tolerance=1e-12, **QUICK)
    assert found.engine in ("predict", "torch")
    assert next(row for row in found.measured if row.engine == "torch").deviation < 1e-12


def test_other_predictors_have_the_engines_that_apply():
    kept = pac.pretrain(data(40), steps=5, valid=0)
    surrogate = pac.transfer(kept, data(12), method=pac.GP())
    found = surrogate.optimise(**QUICK)
    assert [row.engine for row in found.measured][:2] == ["predict", "torch"]
    assert "the other engines need a multilayer perceptron (MLP)" in found.table
    x = trial_inputs(surrogate.scaling, 5)
    assert differences(surrogate, surrogate.predict(x), found.predict(x)) < TOLERANCE


@pytest.fixture
def measured(monkeypatch):
    """Count the measurements."""
    counted, own = [], module.time_in_turn
    monkeypatch.setattr(module, "time_in_turn", lambda *given: (counted.append(1), own(*given))[1])
    return counted


def test_the_choice_is_saved_with_the_surrogate_and_nothing_is_measured_again(tmp_path, measured):
    first = case().optimise(64, **QUICK)
    first.surrogate.save(tmp_path / "fast.safetensors")
    loaded = pac.Surrogate.load(tmp_path / "fast.safetensors")
    again = loaded.optimise(64, **QUICK)
    assert len(measured) == 1
    assert (again.engine, again.measured, again.notes) == (first.engine, first.measured, first.notes)
    x = trial_inputs(loaded.scaling, 64)
    # Each is within the tolerance of `predict`; two instances round differently where their arrays are aligned differently.
    assert differences(loaded, first.predict(x), again.predict(x)) <= 2 * TOLERANCE


def test_another_batch_machine_tolerance_or_network_is_measured_anew_and_the_others_are_kept(monkeypatch, measured):
    one = case().optimise(1, **QUICK).surrogate
    both = one.optimise(2, **QUICK).surrogate
    assert [choice["batch_size"] for choice in both.provenance[CHOICES]] == [1, 2]
    both.optimise(1, **QUICK)
    both.optimise(2, **QUICK)
    assert len(measured) == 2
    both.optimise(1, tolerance=1e-4, **QUICK)
    weights = {name: 2 * weight for name, weight in both.weights.items()}
    changed = dataclasses.replace(both, predictor=dataclasses.replace(both.network, weights=weights))
    changed = changed.optimise(1, **QUICK).surrogate
    assert len(measured) == 4
    assert [choice["batch_size"] for choice in changed.provenance[CHOICES]] == [2, 1]  # that of the old weights is gone
    monkeypatch.setattr(module, "processor", lambda: "another")
    elsewhere = both.optimise(1, **QUICK).surrogate
    assert len(measured) == 5
    assert len(elsewhere.provenance[CHOICES]) == 3
    monkeypatch.undo()


@pytest.mark.parametrize(
    "damage",
    [
        lambda one: "nonsense",
        lambda one: [3, one | {"measured": 7}],
        lambda one: [one | {"engine": "unknown"}],
        lambda one: [one | {"engine": ["numpy"]}],
        lambda one: [one | {"measured": one["measured"][:1] and [{"engine": "numpy"}]}],
        lambda one: [one | {"measured": []}],
        lambda one: [one | {"notes": None}],
    ],
)
def test_a_choice_that_a_file_holds_damaged_is_measured_anew(damage, measured):
    surrogate = case().optimise(**QUICK).surrogate
    provenance = dict(surrogate.provenance)
    provenance[CHOICES] = damage(json.loads(json.dumps(provenance[CHOICES][0])))
    again = dataclasses.replace(surrogate, provenance=provenance).optimise(**QUICK)
    assert len(measured) == 2
    assert len(again.measured) == len(surrogate.provenance[CHOICES][0]["measured"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_size": True}, "batch_size must be a whole number of at least 1, got True"),
        ({"tolerance": 0.0}, "tolerance must be positive and finite, got 0.0"),
        ({"seconds": float("inf")}, "seconds must be positive and finite, got inf"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        case().optimise(**arguments)
