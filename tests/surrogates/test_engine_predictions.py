"""The surrogate that `optimise` returns predicts as `predict` does, with every engine, form and unit."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from cases import initial_surrogate
from sparse_cases import ENGINES, TOLERANCE, case, data, differences, exchanged

import pac_surrogate as pac
from pac_surrogate.data.labelled import is_labelled
from pac_surrogate.engines import timing
from pac_surrogate.engines.units import in_units, largest_deviation, trial_inputs
from pac_surrogate.surrogates import optimised as module

GENERATOR = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch):
    """Measure each engine in two blocks of a few calls: no test depends on which engine is the fastest."""
    monkeypatch.setattr(timing, "BLOCK_SECONDS", 1e-4)
    monkeypatch.setattr(timing, "ROUNDS", (2, 2))


def with_engine(surrogate, name, batch_size=1):
    """Return the surrogate with an engine, whichever is the fastest."""
    found = surrogate.optimise(batch_size, seconds=1e-3)
    made, _ = module._engines(surrogate, batch_size)
    return dataclasses.replace(found, engine=name, map=made[name]())


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("change", [lambda surrogate: surrogate, exchanged], ids=["as trained", "exchanged"])
def test_every_engine_predicts_what_predict_does_in_physical_units(name, change):
    if name in ("numba, sparse", "onnxruntime"):
        pytest.importorskip(name.partition(",")[0])
    surrogate = case()
    x = trial_inputs(surrogate.scaling, 100)
    ours = change(surrogate)
    order = slice(None, None, -1) if ours.given_inputs else slice(None)
    for batch_size in (1, 64):
        found = with_engine(ours, name, batch_size)
        for rows in (x[:1], x):
            expected, given = ours.predict(rows[:, order]), found.predict(rows[:, order])
            assert given.shape == expected.shape
            assert given.dtype == expected.dtype == np.float64
            back = np.concatenate([given[:, 2:], given[:, 1:2], given[:, :1]], axis=1) if ours.given_inputs else given
            assert differences(surrogate, surrogate.predict(rows), back) < TOLERANCE
    bounded = surrogate.predict(x)[:, -1]
    assert bounded.min() == 0 < bounded.max()  # the bound is met


@pytest.mark.parametrize(
    "form",
    ["array", "single", "dictionary", "table", "labelled", "tensor", "float32 tensor", "bfloat16 tensor", "dataset", "list"],
)
def test_the_form_of_the_inputs_decides_that_of_the_outputs_as_for_predict(form):
    surrogate = case()
    found = with_engine(surrogate, "numpy")
    matrix = trial_inputs(surrogate.scaling, 4)
    named = {name: matrix[:, column] for column, name in enumerate("abc")}
    x = {
        "array": matrix,
        "single": matrix.astype(np.float32),
        "dictionary": named,
        "table": pd.DataFrame(named, index=list("pqrs")),
        "labelled": pd.DataFrame(named).rename_axis("sample").to_xarray(),
        "tensor": torch.from_numpy(matrix).requires_grad_(),
        "float32 tensor": torch.from_numpy(matrix).float(),
        "bfloat16 tensor": torch.from_numpy(matrix).bfloat16(),
        "dataset": data(4),
        "list": matrix.tolist(),
    }[form]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pac.ExtrapolationWarning)
        expected, given = surrogate.predict(x), found.predict(x)
    assert type(given) is type(expected)
    if form == "table":
        assert given.index.equals(expected.index)
        assert list(given.columns) == list(expected.columns)
        expected, given = ({c: t[c].to_numpy() for c in t} for t in (expected, given))
    elif is_labelled(expected):
        assert given.sizes == expected.sizes
        expected, given = ({name: t[name].values for name in t.data_vars} for t in (expected, given))
    elif isinstance(expected, torch.Tensor):
        assert given.dtype == expected.dtype
        assert not given.requires_grad
        expected, given = expected.detach().numpy(), given.numpy()
    pairs = [(expected[key], given[key]) for key in expected] if isinstance(expected, dict) else [(expected, given)]
    for one, other in pairs:
        assert one.shape == other.shape
        assert np.allclose(one, other, rtol=1e-4, atol=1e-4)  # the exact comparison is made above; here the places are


@pytest.mark.parametrize("name", ["predict", "torch", "numpy"])
def test_no_engine_records_gradients(name):
    surrogate = case()
    found = with_engine(surrogate, name)
    x = torch.from_numpy(trial_inputs(surrogate.scaling, 3)).requires_grad_()
    assert surrogate.predict(x).requires_grad
    assert not found.predict(x).requires_grad
    x = {name: x[:, column] for column, name in enumerate("abc")}
    assert not any(y.requires_grad for y in found.predict(x).values())


@pytest.mark.parametrize("power", [130, -155], ids=["infinite", "0 on a logarithmic scale"])
def test_what_float32_does_not_hold_is_refused_as_by_predict(power):
    """Float32 ends at 2^128 and 2^-149, float64 at 2^1024 and 2^-1074, so that the numbers exist for NumPy's arrays alone."""
    surrogate = case()
    mean = surrogate.scaling.outputs.mean.clone()
    mean[6 if power < 0 else 0] = power * np.log(2) if power < 0 else 2.0**power
    outputs = dataclasses.replace(surrogate.scaling.outputs, mean=mean)
    scaling = dataclasses.replace(surrogate.scaling, outputs=outputs)
    single = tuple(dataclasses.replace(variable, dtype="float32") for variable in surrogate.outputs)
    surrogate = dataclasses.replace(surrogate, scaling=scaling, outputs=single)
    found = with_engine(surrogate, "numpy")
    x = trial_inputs(surrogate.scaling, 3)
    assert np.isfinite(found.predict(x)).all()
    x = torch.from_numpy(x).float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pac.ExtrapolationWarning)  # an end of the range may be rounded to beyond it
        with pytest.raises(ValueError, match="float32") as expected:
            surrogate.predict(x)
        with pytest.raises(ValueError, match="float32") as given:
            found.predict(x)
    assert str(given.value) == str(expected.value)


def test_a_single_field_has_its_shape():
    fields = GENERATOR.normal(size=(20, 3, 4))
    surrogate = initial_surrogate(pac.MLP(hidden=(4,)), pac.Dataset.from_arrays({"k": fields[:, 0, :2]}, {"u": fields}))
    found = with_engine(surrogate, "numpy")
    x = trial_inputs(surrogate.scaling, 3)
    assert found.predict(x).shape == surrogate.predict(x).shape == (3, 3, 4)
    assert np.allclose(found.predict(x), surrogate.predict(x), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [{0: np.nan}, {0: np.inf}, {0: -1.0}, {1: 1e30}, {0: 1e300, 1: 1.0}],
    ids=["NaN", "infinite", "log", "far", "lost"],
)
@pytest.mark.parametrize("name", ["numpy", "numba, sparse"])
def test_what_predict_refuses_is_refused_in_the_same_line(name, change):
    if name.startswith("numba"):
        pytest.importorskip("numba")
    surrogate = case()
    found = with_engine(surrogate, name)
    x = trial_inputs(surrogate.scaling, 2)
    for column, value in change.items():
        x[1, column] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcomes = []
        for predict in (surrogate.predict, found.predict):
            try:
                outcomes.append(np.shape(predict(x)))
            except ValueError as error:
                outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]
    assert "\n" not in str(outcomes[0])


def test_inputs_outside_the_range_are_warned_of_and_wrong_shapes_refused():
    surrogate = case()
    found = with_engine(surrogate, "numpy")
    x = trial_inputs(surrogate.scaling, 2)
    x[1, 1] = 1.5
    with pytest.warns(pac.ExtrapolationWarning, match="extrapolate"):
        given = found.predict(x)
    with pytest.warns(pac.ExtrapolationWarning):
        assert differences(surrogate, surrogate.predict(x), given) < TOLERANCE
    x[1, 1] = surrogate.scaling.inputs.ends()[1][1].item()  # the last number inside
    found.predict(x)
    with pytest.raises(ValueError, match="3 numbers a sample"):
        found.predict(x[:, :2])


def test_many_samples_are_computed_in_pieces_and_none_at_all_too(monkeypatch):
    surrogate = case()
    found = with_engine(surrogate, "numpy")
    x = trial_inputs(surrogate.scaling, 100)
    whole = found.predict(x)
    monkeypatch.setattr(module, "PIECE", 7)
    assert np.allclose(found.predict(x), whole, rtol=1e-4, atol=1e-5)
    assert found.predict(x[:0]).shape == surrogate.predict(x[:0]).shape


def test_half_precision_of_the_caller_changes_nothing():
    surrogate = case()
    found = with_engine(surrogate, "torch")
    x = trial_inputs(surrogate.scaling, 5)
    alone = found.predict(x)
    with torch.autocast("cpu"):
        assert np.array_equal(found.predict(x), alone)


# Units ------------------------------------------------------------------------------------------------------------------------


def test_trial_inputs_cover_the_range_of_the_training_data_and_no_more():
    scaling = case().scaling
    x = trial_inputs(scaling, 2000)
    low, high = scaling.inputs.low.numpy(), scaling.inputs.high.numpy()
    assert (x >= low).all()
    assert (x <= high).all()
    assert (x[:, 2] == 5).all()
    # Half of 2,000 even draws lie below the middle, the geometric one on a logarithmic scale; 0.06 is five deviations.
    middle = [np.sqrt(low[0] * high[0]), (low[1] + high[1]) / 2]
    assert abs((x[:, :2] < middle).mean(0) - 0.5).max() < 0.06


def test_the_largest_deviation_is_that_of_standardised_outputs_and_infinite_without_a_number():
    scaling = case().scaling
    y = np.ones((2, 8))
    other = y.copy()
    other[1, 2] += 3 * scaling.outputs.deviation[2].item()
    assert largest_deviation(scaling, y, other) == pytest.approx(3, rel=1e-12)
    other = y.copy()
    other[0, 6] = np.exp(-2 * scaling.outputs.deviation[6].item())  # the logarithmic output
    assert largest_deviation(scaling, y, other) == pytest.approx(2, rel=1e-12)
    for column, lost in ((0, np.nan), (6, 0.0)):  # 0 has no logarithm
        other = y.copy()
        other[0, column] = lost
        assert largest_deviation(scaling, y, other) == np.inf


def test_the_identity_in_units_is_the_scaling_itself():
    surrogate = case()
    calls = []

    def standard(z):
        calls.append(z)
        return np.concatenate([z, z, z[:, :2]], axis=1)

    x = trial_inputs(surrogate.scaling, 6)
    y = in_units(standard, surrogate.scaling, surrogate.outputs)(x)
    z = surrogate.scaling.inputs.standardise(torch.from_numpy(x))
    assert np.array_equal(calls[0], z.numpy())
    expected = surrogate.scaling.outputs.restore(torch.cat([z, z, z[:, :2]], dim=1)).numpy()
    expected[:, -1] = np.clip(expected[:, -1], 0, 1)
    assert np.allclose(y, expected, rtol=1e-14)
