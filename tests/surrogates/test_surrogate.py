"""Surrogates: physical units for inputs and outputs, the same bits after saving, and one-line errors for bad files."""

import contextlib
import dataclasses
import functools
import json
import math
import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from drawing import normal_array as draws
from modules import Fourier
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

import pac_surrogate as pac
import pac_surrogate.files.tensors
from pac_surrogate.data.scaling import MARGIN, Scaling, fit_scaling
from pac_surrogate.files import DatasetError, load_tensors, save_tensors
from pac_surrogate.models.weights import masked
from pac_surrogate.predictors import Correction, build_network
from pac_surrogate.pruning import magnitude_mask
from pac_surrogate.surrogates.batch_prediction import predict_many
from pac_surrogate.surrogates.outputs import with_outputs_of
from pac_surrogate.surrogates.saved import provenance
from pac_surrogate.surrogates.surrogate import Surrogate

DOUBLE = torch.float64


def table(samples=30, seed=0):
    """Inputs: a conductivity on a logarithmic scale and two numbers; outputs: temperatures near 300 K and a scalar flux."""
    x = {"conductivity": np.exp(draws(samples, seed=seed)), "position": 5 + 2 * draws(samples, 2, seed=seed + 1)}
    y = {"temperature": 300 + 10 * draws(samples, 3, seed=seed + 2), "flux": np.exp(draws(samples, seed=seed + 3))}
    return pac.Dataset.from_arrays(x, y, scaling={"conductivity": "log", "flux": "log"})


def rods(samples=10, seed=0):
    """One field as input, one field at several times as output."""
    return pac.Dataset.from_arrays(
        {"initial": draws(samples, 8, seed=seed)},
        {"temperature": 300 + draws(samples, 2, 8, seed=seed + 1)},
        axes={"initial": ("x",), "temperature": ("time", "x")},
    )


def surrogate_of(data, architecture=None, seed=0, dtype=DOUBLE, **fields):
    """Return a surrogate with drawn weights, whose biases are as large as the rest."""
    network = build_network(architecture or pac.MLP(hidden=(6, 5)), data.inputs, data.outputs)
    generator = torch.Generator().manual_seed(seed)
    weights = {n: 0.5 * torch.randn(w.shape, generator=generator, dtype=DOUBLE).to(dtype) for n, w in network.weights.items()}
    predictor = dataclasses.replace(network, weights=weights, **fields)
    return Surrogate(predictor, fit_scaling(data), data.inputs, data.outputs, {"seed": seed, "note": "by hand"})


def convolutional(seed=0, **fields):
    return surrogate_of(rods(), pac.CNN(channels=3, blocks=1, levels=1), seed, **fields)


def corrected(seed=0):
    base = surrogate_of(table(), seed=seed)
    slope, offset, linear = (torch.as_tensor(draws(*shape, seed=9)) for shape in ((4,), (4,), (3, 4)))
    return dataclasses.replace(base, predictor=Correction(base.network, slope, offset, linear))


def inside(data, samples=7, seed=5):
    """Return inputs between those of two random samples, and therefore within the range of the training data."""
    rows = np.random.default_rng(seed).integers(len(data), size=(2, samples))
    return 0.5 * (data.input_matrix[rows[0]] + data.input_matrix[rows[1]])


def one_line(caught):
    return "\n" not in str(caught.value)


# Predictions --------------------------------------------------------------------------------------------------------------


def test_a_prediction_scales_the_inputs_evaluates_the_network_and_restores_the_outputs():
    data = table()
    surrogate = surrogate_of(data)
    x = inside(data)
    z = x.copy()
    z[:, 0] = (np.log(x[:, 0]) - np.log(data["conductivity"]).mean()) / np.log(data["conductivity"]).std()
    z[:, 1:] = (x[:, 1:] - data["position"].mean(0)) / data["position"].std(0)
    h = torch.as_tensor(z)
    w = surrogate.weights
    for layer in range(2):
        h = nn.functional.gelu(h @ w[f"hidden.{layer}.weight"].T + w[f"hidden.{layer}.bias"])
    out = (h @ w["readout.weight"].T + w["readout.bias"]).numpy()
    expected = out.copy()
    expected[:, :3] = data["temperature"].mean(0) + data["temperature"].std(0) * out[:, :3]
    expected[:, 3] = np.exp(np.log(data["flux"]).mean() + np.log(data["flux"]).std() * out[:, 3])
    # float64 rounding of numbers of order 300; without one of the scalings they would change by 10.
    np.testing.assert_allclose(surrogate.predict(x), expected, rtol=1e-12)


def test_predictions_have_the_array_type_of_the_inputs_and_the_precision_of_the_outputs():
    data = table()
    surrogate = surrogate_of(data)
    x = inside(data)
    exact = surrogate.predict(x)
    assert isinstance(exact, np.ndarray)
    assert exact.dtype == np.float64
    as_tensor = surrogate.predict(torch.as_tensor(x))
    assert isinstance(as_tensor, torch.Tensor)
    assert np.array_equal(as_tensor.numpy(), exact)
    for dtype in (np.float16, np.float32, np.float64):
        assert surrogate.predict(x.astype(dtype)).dtype == np.float64
    for dtype in (torch.float16, torch.bfloat16, torch.float32, DOUBLE):
        assert surrogate.predict(torch.as_tensor(x).to(dtype)).dtype == DOUBLE  # the precision of the outputs of training
    # Inputs rounded to float32 change outputs of order 300 by a few of their float32 rounding errors.
    np.testing.assert_allclose(surrogate.predict(x.astype(np.float32)), exact, rtol=1e-5)
    assert np.array_equal(surrogate.predict(x.tolist()), exact)


def test_integers_count_as_float64():
    data = pac.Dataset.from_arrays(np.arange(12.0).reshape(6, 2), draws(6))
    surrogate = surrogate_of(data)
    x = np.array([[1, 2], [3, 4]])
    assert np.array_equal(surrogate.predict(x), surrogate.predict(x.astype(float)))
    assert surrogate.predict(torch.as_tensor(x)).dtype == DOUBLE


def test_any_memory_layout_gives_the_same_numbers_without_a_warning():
    data = table()
    surrogate = surrogate_of(data)
    x = inside(data)
    expected = surrogate.predict(x)
    frozen = x.copy()
    frozen.flags.writeable = False
    assert np.array_equal(surrogate.predict(frozen), expected)
    assert np.array_equal(surrogate.predict(np.asfortranarray(x)), expected)
    assert np.array_equal(surrogate.predict(x.astype(">f8")), expected)
    assert np.array_equal(surrogate.predict(x[::-1])[::-1], expected)


def test_the_layout_of_a_prediction_is_that_of_the_datasets_outputs():
    data = rods()
    surrogate = convolutional()
    x = inside(data)
    assert surrogate.predict(x).shape == (7, 2, 8)
    assert surrogate.predict(data).shape == data.y.shape == (10, 2, 8)
    assert np.array_equal(surrogate.predict({"initial": x})["temperature"], surrogate.predict(x))
    both = surrogate_of(table())
    assert both.predict(table()).shape == table().y.shape == (30, 4)


def test_a_dictionary_in_any_order_gives_a_dictionary():
    data = table()
    surrogate = surrogate_of(data)
    x = inside(data)
    flat = surrogate.predict(x)
    for make in (np.asarray, torch.as_tensor):
        named = surrogate.predict({"position": make(x[:, 1:]), "conductivity": make(x[:, 0])})
        assert list(named) == ["temperature", "flux"]
        assert isinstance(named["flux"], type(make(x)))
        assert np.array_equal(np.asarray(named["temperature"]), flat[:, :3])
        assert np.array_equal(np.asarray(named["flux"]), flat[:, 3])
    assert np.array_equal(surrogate.predict({"conductivity": x[:, :1], "position": x[:, 1:]})["flux"], flat[:, 3])


def test_a_dataset_gives_the_prediction_of_its_matrix():
    data = table()
    surrogate = surrogate_of(data)
    assert np.array_equal(surrogate.predict(data), surrogate.predict(data.input_matrix))
    other = pac.Dataset.from_arrays({"conductivity": np.ones(3), "place": np.ones((3, 2))}, np.ones(3))
    with pytest.raises(
        ValueError, match=r"has the inputs conductivity \(\), position \(2,\), the data have .* place \(2,\)"
    ) as e:
        surrogate.predict(other)
    assert one_line(e)


def test_no_samples_give_no_predictions():
    for surrogate, data in ((surrogate_of(table()), table()), (convolutional(), rods()), (corrected(), table())):
        assert surrogate.predict(data[:0]).shape == data[:0].y.shape


@pytest.mark.parametrize("make", [lambda: surrogate_of(table()), corrected])
def test_gradients_of_a_torch_prediction_are_those_of_finite_differences(make):
    surrogate = make()
    x = torch.as_tensor(inside(table(), samples=3)).requires_grad_()
    assert torch.autograd.gradcheck(surrogate.predict, x)  # every output with respect to every input, also through logarithms
    (gradient,) = torch.autograd.grad(surrogate.predict({"conductivity": x[:, 0], "position": x[:, 1:]})["flux"].sum(), x)
    assert gradient.any()


def test_float32_gradients_are_finite_and_correct_at_temperatures_whose_exponential_overflows():
    data = table()
    surrogate = surrogate_of(data)
    x = torch.as_tensor(inside(data))
    exact, single = (
        torch.autograd.grad(surrogate.predict(rows)[:, 0].sum(), rows)[0]
        for rows in (x.clone().requires_grad_(), x.float().requires_grad_())
    )
    torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=1e-4)  # float32; gradients of order 1 to 10


def test_a_prediction_has_an_autograd_graph_only_on_request():
    data = table()
    surrogate = surrogate_of(data)
    x = torch.as_tensor(inside(data))
    assert not surrogate.predict(x).requires_grad
    x.requires_grad_()
    assert surrogate.predict(x).requires_grad
    with torch.no_grad():
        assert not surrogate.predict(x).requires_grad
    assert isinstance(surrogate.predict({"conductivity": inside(data)[:, 0], "position": x[:, 1:]})["flux"], np.ndarray)


@pytest.mark.parametrize("make", [lambda: surrogate_of(table()), convolutional, corrected])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_the_size_of_batches_changes_predictions_only_by_rounding(make, batch_size):
    surrogate = make()
    x = inside(table() if len(surrogate.inputs) == 2 else rods(), samples=10)
    # float64 sums in another order, for temperatures near 300.
    np.testing.assert_allclose(surrogate.predict(x, batch_size=batch_size), surrogate.predict(x), rtol=1e-12)


def test_scaling_uses_float64_even_if_the_weights_are_float32():
    """A pressure near 1e5 Pa varies by 1 Pa: scaling in float32 would have rounding errors of 0.008 Pa."""
    data = pac.Dataset.from_arrays(101325.37 + draws(50, 1), 101325.37 + draws(50, 1, seed=1))
    x = inside(data)
    single, double = (surrogate_of(data, dtype=dtype).predict(x) for dtype in (torch.float32, DOUBLE))
    assert np.abs(single - double).max() < 1e-5  # float32 for standardised numbers of order 1
    plain = pac.Dataset.from_arrays(data.x, draws(50, 1, seed=1))  # rounding of these outputs does not hide that of inputs
    rounded = x.astype(np.float32)
    for surrogate in (surrogate_of(plain), surrogate_of(plain, dtype=torch.float32)):
        assert np.array_equal(surrogate.predict(rounded), surrogate.predict(rounded.astype(float)))


def test_a_prediction_has_the_precision_of_the_outputs_that_the_surrogate_was_trained_on():
    """The precision of inputs does not suffice for outputs: float16 ends at 65504, float32 resolves 0.008 Pa near 101325 Pa."""
    x = draws(50, 2)
    pressure = 101325 + 0.02 * draws(50)
    precise = surrogate_of(pac.Dataset.from_arrays(x, pressure))
    coarse = surrogate_of(pac.Dataset.from_arrays(x, pressure.astype(np.float32)))
    new = inside(pac.Dataset.from_arrays(x, pressure)).astype(np.float16)
    exact = precise.predict(new.astype(float))
    assert np.ptp(exact) > 1e-3  # float32 would lose this variation
    for kind in (torch.float16, torch.bfloat16, torch.float32, DOUBLE):
        rows = torch.as_tensor(new.astype(float)).to(kind)
        assert precise.predict(rows).dtype == DOUBLE
        torch.testing.assert_close(precise.predict(rows), precise.predict(rows.double()), rtol=0, atol=0)
        assert coarse.predict(rows).dtype == (DOUBLE if kind == DOUBLE else torch.float32)
    for kind in (np.float16, np.float32, np.longdouble, float):
        assert precise.predict(new.astype(kind)).dtype == np.float64
        np.testing.assert_array_equal(precise.predict(new.astype(kind)), exact)


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_integers_are_refused_only_if_float64_would_round_them(make):
    start = 1_700_000_000_000_000_000
    times = start + np.arange(0, 50)[:, None]
    surrogate = surrogate_of(pac.Dataset.from_arrays(np.arange(50.0)[:, None], draws(50)))
    for ask in (lambda t: pac.Dataset.from_arrays(t, draws(50)), surrogate.predict):
        with pytest.raises(ValueError, match=r"holds the integer 1700000000000000001, and float64 holds .* up to 2\*\*53") as e:
            ask(make(times))
        assert one_line(e)
    exact = pac.Dataset.from_arrays(make(times - start + 2**53 - 49), draws(50))
    assert float(exact.x.max()) == 2.0**53
    assert float(pac.Dataset.from_arrays(np.array([2**62, 0]), draws(2)).x.max()) == 2.0**62
    with pytest.raises(ValueError, match=r"got times \(datetime64\[ns\]\): subtract a reference"):
        pac.Dataset.from_arrays(times.astype("datetime64[ns]"), draws(50))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.ones((4, 2)),
            r"x must hold 3 numbers a sample \(conductivity, position \(2,\)\), got an array of shape \(4, 2\)",
        ),
        (np.ones((3, 4)), r"got an array of shape \(3, 4\)"),
        (np.ones(3), r"got an array of shape \(3,\)"),
        (np.ones((4, 3, 1)), r"got an array of shape \(4, 3, 1\)"),
        (np.float64(1.0), r"got an array of shape \(\)"),
        ({"conductivity": np.ones(4)}, "predict needs the inputs conductivity, position, got conductivity"),
        ({}, "predict needs the inputs conductivity, position, got none"),
        ({"conductivity": np.ones(4), "position": np.ones((4, 2)), "time": np.ones(4)}, "got conductivity, position, time"),
        (
            {"conductivity": np.ones(4), "position": np.ones((4, 3))},
            r"position must hold 2 numbers a sample \(position \(2,\)\)",
        ),
        ({"conductivity": np.ones(4), "position": np.ones((5, 2))}, "same number of samples, got conductivity 4, position 5"),
        (np.array([[1.0, 5.0, 5.0], [1.0, np.nan, 5.0]]), "inputs must be finite, got nan at sample 1, column 1"),
        (torch.tensor([[1.0, 5.0, torch.inf]]), "inputs must be finite, got inf at sample 0, column 2"),
        (np.array([["a", "b", "c"]]), "x must hold real numbers, got <U1"),
        (np.ones((1, 3), complex), "x must hold real numbers, got complex128"),
        (torch.ones((1, 3), dtype=torch.complex64), r"x must hold real numbers, got torch\.complex64"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_one_line(x, message):
    with pytest.raises(ValueError, match=message) as caught:
        surrogate_of(table()).predict(x)
    assert one_line(caught)


def test_a_transposed_field_is_not_mistaken_for_another_field_of_its_size():
    data = pac.Dataset.from_arrays({"u": draws(5, 4, 2)}, {"v": draws(5)}, axes={"u": ("x", "y")})
    surrogate = surrogate_of(data)
    assert np.array_equal(surrogate.predict(data.x), surrogate.predict(data.input_matrix))
    with pytest.raises(ValueError, match=r"u \(4, 2\)\), got an array of shape \(5, 2, 4\)"):
        surrogate.predict(data.x.transpose(0, 2, 1))


def test_a_batch_needs_a_sample():
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got 0"):
        surrogate_of(table()).predict(inside(table()), batch_size=0)


def test_a_warning_is_issued_exactly_when_inputs_leave_the_range_by_more_than_the_margin():
    data = pac.Dataset.from_arrays(np.array([[0.0, -1.0], [4.0, 1.0]]), draws(2))
    surrogate = surrogate_of(data)
    edge = 4.0 + 4.0 * MARGIN
    surrogate.predict(np.array([[edge, 0.0], [0.0, 1.0]]))  # the tests turn a warning into an error
    with pytest.warns(pac.ExtrapolationWarning, match="inputs leave the range of the training data") as caught:
        surrogate.predict(np.array([[np.nextafter(edge, 9), 0.0], [9.0, 9.0]]))
    assert len(caught) == 1


def test_a_logarithmic_input_that_is_not_positive_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pac.ExtrapolationWarning)
        with pytest.raises(
            ValueError, match=r"logarithmic scale must be positive, got -1\.0; use scaling='standard'"
        ) as caught:
            surrogate_of(table()).predict(np.array([[-1.0, 5.0, 5.0]]))
    assert one_line(caught)


def test_many_predictions_equal_the_single_ones_for_all_shapes_precisions_and_lengths():
    data = [table(samples, seed=seed) for seed, samples in enumerate((9, 4, 9, 9, 4, 9, 0 + 1))]
    surrogates = [
        surrogate_of(table(seed=1), seed=1),
        surrogate_of(table(seed=2), pac.MLP(hidden=(4,)), seed=2),
        corrected(),
        surrogate_of(table(seed=3), seed=3),
        surrogate_of(table(seed=3), seed=4),
        surrogate_of(table(seed=3), seed=5),
        surrogate_of(table(seed=3), seed=6),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pac.ExtrapolationWarning)
        alone = [s.predict(d) for s, d in zip(surrogates, data, strict=True)]
        single = surrogate_of(table(), dtype=torch.float32)
        alone_in_single = single.predict(table())
    for one, many in zip(alone, predict_many(surrogates, data), strict=True):
        np.testing.assert_allclose(many, one, rtol=1e-12)
        assert many.dtype == np.float64
    mixed = predict_many([single, surrogates[0]], [table(), data[0]])
    np.testing.assert_allclose(mixed[0], alone_in_single, rtol=1e-5)  # float32 in another order
    np.testing.assert_allclose(mixed[1], alone[0], rtol=1e-12)


# A new readout ------------------------------------------------------------------------------------------------------------


def pruned(data, **options):
    surrogate = surrogate_of(data, **options)
    network = dataclasses.replace(surrogate.network, essential=magnitude_mask(surrogate.weights, 0.6))
    return dataclasses.replace(surrogate, predictor=network)


def calibrated(data):
    """Return a surrogate whose redundant weights and biases differ from those of its allocated source."""
    surrogate = pruned(data)
    essential = surrogate.essential
    allocated = dataclasses.replace(surrogate.network, weights=masked(surrogate.weights, essential))
    moved = {n: torch.where(essential[n] & (w.ndim > 1), w, 0.3 + w) for n, w in allocated.weights.items()}
    source = dataclasses.replace(surrogate, predictor=allocated)
    return dataclasses.replace(surrogate, predictor=dataclasses.replace(allocated, weights=moved), allocated=source)


def test_new_outputs_get_a_readout_of_zeros_which_predicts_the_targets_mean():
    source = pruned(table())
    y = np.array([1e5, -3.0]) + np.array([10.0, 0.1]) * draws(6, 2)
    target = pac.Dataset.from_arrays(
        {name: table(6, seed=7)[name] for name in ("conductivity", "position")}, {"stress": y}, scaling={"conductivity": "log"}
    )
    adapted = with_outputs_of(source, target)
    assert adapted.network.new_readout
    assert adapted.outputs == target.outputs
    assert adapted.scaling.inputs is source.scaling.inputs
    np.testing.assert_allclose(adapted.predict(inside(table())), np.tile(y.mean(0), (7, 1)), rtol=1e-14)
    np.testing.assert_allclose(adapted.scaling.outputs.deviation, y.std(0), rtol=1e-9)  # the columns may differ in units
    for name, weight in adapted.weights.items():
        assert weight.dtype == DOUBLE
        if name.startswith("readout."):
            assert not weight.any()
            assert not adapted.essential[name].any()  # all weights may train
        else:
            assert torch.equal(weight, source.weights[name])
            assert torch.equal(adapted.essential[name], source.essential[name])
    assert adapted.weights["readout.weight"].shape == (2, 5)
    assert adapted.provenance == source.provenance
    assert not source.network.new_readout


def test_new_outputs_of_a_field_keep_the_body_of_a_cnn():
    source = convolutional()
    target = pac.Dataset.from_arrays({"initial": draws(4, 8)}, {"flux": draws(4, 8)}, axes={"initial": ("x",), "flux": ("x",)})
    adapted = with_outputs_of(source, target)
    assert adapted.weights["readout.weight"].shape == (1, 3, 1)
    assert adapted.essential is None
    assert all(torch.equal(w, source.weights[n]) for n, w in adapted.weights.items() if not n.startswith("readout."))
    np.testing.assert_allclose(adapted.predict(target[:1]), target["flux"].mean(0, keepdims=True), rtol=1e-12, atol=1e-15)


def test_a_surrogate_that_already_has_the_outputs_is_returned_unchanged():
    source = surrogate_of(table())
    assert with_outputs_of(source, table(3, seed=8)) is source


def test_new_outputs_need_samples_a_network_and_a_model_that_can_be_rebuilt():
    other = pac.Dataset.from_arrays({"conductivity": np.ones(2), "position": np.ones((2, 2))}, {"stress": np.ones(2)})
    own = surrogate_of(table(), pac.Module(nn.Linear(3, 4)))
    for surrogate, data, message in (
        (surrogate_of(table()), other[:0], "need at least one target sample"),
        (corrected(), other, "a transfer starts from a network; this surrogate is a Correction: use its source"),
        (own, other, r"Linear must predict \(sample, 1\)"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            with_outputs_of(surrogate, data)
        assert one_line(caught)


def test_provenance_is_json_and_names_the_data_by_its_content():
    made = provenance(table(), seed=3, method=pac.PAC(), rates=(1, 2))
    assert json.loads(json.dumps(made)) == made
    assert made["data"] == table().training.digest() != provenance(table(seed=1))["data"]
    assert made["data"] == provenance(table()[::-1])["data"]  # the order of rows is not content
    assert (made["seed"], made["rates"], made["samples"]) == (3, [1, 2], 30)
    assert made["method"].startswith("PAC(")


# Saving and loading -------------------------------------------------------------------------------------------------------

SAVED = {
    "MLP": lambda: surrogate_of(table()),
    "MLP float32": lambda: surrogate_of(table(), dtype=torch.float32),
    "CNN": convolutional,
    "pruned": lambda: pruned(table()),
    "calibrated": lambda: calibrated(table()),
    "new readout": lambda: convolutional(new_readout=True),
    "Correction": corrected,
    "Module": lambda: surrogate_of(table(), pac.Module(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)))),
}


def model_of(surrogate):
    architecture = surrogate.network.architecture if not isinstance(surrogate.predictor, Correction) else None
    return architecture if isinstance(architecture, pac.Module) else None


def inputs_of(surrogate):
    return inside(table() if len(surrogate.inputs) == 2 else rods())


@pytest.mark.parametrize("make", SAVED.values(), ids=SAVED)
def test_a_loaded_surrogate_is_the_saved_one_bit_for_bit(make, tmp_path):
    surrogate = make()
    path = tmp_path / "deep" / "surrogate.safetensors"
    surrogate.save(path)
    assert [p.name for p in path.parent.iterdir()] == ["surrogate.safetensors"]
    loaded = Surrogate.load(path, model=model_of(surrogate))
    x = inputs_of(surrogate)
    assert np.array_equal(loaded.predict(x), surrogate.predict(x))
    assert (loaded.inputs, loaded.outputs, loaded.provenance) == (surrogate.inputs, surrogate.outputs, surrogate.provenance)
    base, loaded_base = (getattr(s.predictor, "base", s.predictor) for s in (surrogate, loaded))
    assert type(loaded.predictor) is type(surrogate.predictor)
    assert loaded_base.new_readout == base.new_readout
    assert list(loaded_base.weights) == list(base.weights)
    for name, weight in base.weights.items():
        assert torch.equal(loaded_base.weights[name], weight)
        assert loaded_base.weights[name].dtype == weight.dtype
    assert (loaded_base.essential is None) == (base.essential is None)
    for name, mask in (base.essential or {}).items():
        assert torch.equal(loaded_base.essential[name], mask)


def test_signs_of_zero_are_saved_and_loaded(tmp_path):
    surrogate = surrogate_of(table())
    surrogate.weights["hidden.0.weight"][0] = torch.tensor([-0.0, 0.0, -0.0])
    surrogate.save(tmp_path / "s")
    assert torch.signbit(Surrogate.load(tmp_path / "s").weights["hidden.0.weight"][0]).tolist() == [True, False, True]


def test_a_loaded_network_can_be_the_source_of_new_outputs_and_shares_a_stack_with_others(tmp_path):
    surrogate = convolutional()
    surrogate.save(tmp_path / "s")
    loaded = Surrogate.load(tmp_path / "s")
    assert loaded.network.shape_key == surrogate.network.shape_key
    target = pac.Dataset.from_arrays({"initial": draws(4, 8)}, {"v": draws(4, 8)}, axes={"initial": ("x",), "v": ("x",)})
    assert with_outputs_of(loaded, target).network.new_readout


def test_loading_does_not_advance_torchs_random_stream(tmp_path):
    surrogate_of(table()).save(tmp_path / "s")
    state = torch.random.get_rng_state()
    Surrogate.load(tmp_path / "s")
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_users_module_is_loaded_only_with_its_code_and_its_constants_come_from_the_file(tmp_path):
    surrogate = surrogate_of(table(), pac.Module(Fourier(3, 4, seed=0)))
    surrogate.save(tmp_path / "s")
    with pytest.raises(DatasetError, match=r"a module of your own \(Fourier\): pass model=pac\.Module") as caught:
        Surrogate.load(tmp_path / "s")
    assert one_line(caught)
    fresh = Fourier(3, 4, seed=1)  # another process would draw other frequencies
    loaded = Surrogate.load(tmp_path / "s", model=pac.Module(fresh))
    x = inputs_of(surrogate)
    assert np.array_equal(loaded.predict(x), surrogate.predict(x))
    assert torch.equal(fresh.frequencies, Fourier(3, 4, seed=1).frequencies)  # the user's module is unchanged
    with pytest.raises(DatasetError, match="the buffers of Linear do not fit") as caught:
        Surrogate.load(tmp_path / "s", model=pac.Module(nn.Linear(3, 4)))
    assert one_line(caught)


@pytest.mark.parametrize("old", [True, False])
def test_a_save_that_fails_leaves_the_old_file_or_none_and_no_partial_file(tmp_path, monkeypatch, old):
    path = tmp_path / "s"
    if old:
        surrogate_of(table()).save(path)
    before = path.read_bytes() if old else None

    write = Path.write_bytes

    def half(path, data):
        write(path, data[: len(data) // 2])
        raise OSError("disk full")

    unserialisable = dataclasses.replace(surrogate_of(table(), seed=1), provenance={"what": object()})
    with pytest.raises(TypeError):
        unserialisable.save(path)
    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(DatasetError, match="disk full"):
        surrogate_of(table(), seed=1).save(path)
    assert [p.name for p in tmp_path.iterdir()] == (["s"] if old else [])
    if old:
        assert path.read_bytes() == before


def test_a_surrogate_that_could_not_be_loaded_is_not_saved(tmp_path):
    surrogate = surrogate_of(table())
    weights = {name: weight.clone() for name, weight in surrogate.weights.items()}
    weights["readout.bias"][0] = math.nan
    broken = dataclasses.replace(surrogate, predictor=dataclasses.replace(surrogate.network, weights=weights))
    with pytest.raises(ValueError, match=r"numbers of a surrogate that is saved must be finite, weights/readout\.bias is not"):
        broken.save(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


# Damage ------------------------------------------------------------------------------------------------------------------


def test_a_flipped_bit_of_a_saved_surrogate_is_refused_or_has_no_effect(tmp_path):
    surrogate = surrogate_of(table())
    path, x = tmp_path / "s", inside(table())
    surrogate.save(path)
    clean, before, refused = path.read_bytes(), surrogate.predict(x), []
    for place in range(0, len(clean), 23):
        path.write_bytes(clean[:place] + bytes([clean[place] ^ 0x20]) + clean[place + 1 :])
        try:
            loaded = Surrogate.load(path)
        except DatasetError as error:
            refused.append(str(error))
        else:  # the case of a letter, or white space, in a description only
            assert np.array_equal(loaded.predict(x), before)
            assert (loaded.provenance, loaded.inputs) == (surrogate.provenance, surrogate.inputs)
    numbers = len(clean) - 8 - int.from_bytes(clean[:8], "little")
    assert len(refused) >= numbers // 23
    assert all(line.isprintable() and len(line) < 400 + len(str(path)) for line in refused)


def test_the_checksum_covers_names_types_shapes_bytes_and_the_header(tmp_path):
    from pac_surrogate.files.tensors import _checksum

    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([True, False])}
    changed = [
        {"a": tensors["a"], "c": tensors["b"]},
        {"a": tensors["a"].reshape(3, 2), "b": tensors["b"]},
        {"a": tensors["a"].view(torch.int32), "b": tensors["b"]},
        {"a": torch.where(tensors["a"] == 0, -0.0, tensors["a"]), "b": tensors["b"]},
        {"a": tensors["a"]},
    ]
    found = [_checksum(tensors, "{}"), _checksum(tensors, "{ }"), *(_checksum(one, "{}") for one in changed)]
    assert len(set(found)) == len(found)
    assert _checksum(dict(reversed(tensors.items())), "{}") == found[0]


def test_a_file_of_the_earlier_version_has_no_checksum_and_loads(tmp_path):
    surrogate = surrogate_of(table())
    surrogate.save(tmp_path / "s")
    with safe_open(tmp_path / "s", framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, tmp_path / "earlier", metadata={"header": metadata["header"]})
    x = inside(table())
    assert np.array_equal(Surrogate.load(tmp_path / "earlier").predict(x), surrogate.predict(x))
    save_file(tensors, tmp_path / "damaged", metadata={"header": metadata["header"], "cheksum": metadata["checksum"]})
    with pytest.raises(DatasetError, match="it has unknown entries"):
        Surrogate.load(tmp_path / "damaged")


@functools.cache
def adapted_by(method):
    source = pac.Dataset.from_arrays(draws(30, 2), np.tanh(draws(30, 2) @ np.array([[1.0, 2.0], [0.5, -1.0]])))
    surrogate = pac.pretrain(source, model=pac.MLP(hidden=(3,)), steps=5)
    x = 0.5 * source.input_matrix[:8]
    return pac.transfer(surrogate, x, np.sin(x), method=method, source=source, steps=3)


KINDS = {
    **{name: SAVED[name] for name in ("MLP", "CNN", "pruned", "calibrated", "Correction")},
    **{name: lambda name=name: adapted_by(name) for name in ("auto", "GP", "ATL", "fine-tune", "DeltaNetwork")},
    "co-kriging": lambda: adapted_by("CoKriging"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_numbers_that_are_not_finite_are_refused_in_every_tensor(make, tmp_path):
    surrogate = make()
    surrogate.save(tmp_path / "s")
    tensors, header = load_tensors(tmp_path / "s")
    save_tensors(tmp_path / "again", tensors, header)
    Surrogate.load(tmp_path / "again")
    floats = [name for name, numbers in tensors.items() if numbers.is_floating_point() and numbers.numel()]
    for place, name in enumerate(name for name in floats if not re.match(r"fold[1-9]/", name)):  # fold 0 represents the others
        spoilt = tensors[name].clone()
        spoilt.view(-1)[-1] = (math.nan, -math.inf)[place % 2]
        save_tensors(tmp_path / "spoilt", {**tensors, name: spoilt}, header)
        with pytest.raises(DatasetError) as caught:
            Surrogate.load(tmp_path / "spoilt")
        assert one_line(caught), name


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "name", "value", "message"),
    [
        ("co-kriging", "autoregressive/noise", 0.0, "finite and above 0, autoregressive/noise is not"),
        (
            *("co-kriging", "autoregressive/inverse_lengths", -1.0),
            "finite and not negative, autoregressive/inverse_lengths is not",
        ),
        ("ATL", "readout/deviation", 0.0, "finite and above 0, readout/deviation is not"),
        ("GP", "process/amplitudes", 0.0, "finite and above 0, process/amplitudes is not"),
        ("GP", "process/inverse_lengths", -1.0, "finite and not negative, process/inverse_lengths is not"),
        ("MLP", "scaling/inputs/deviation", -1.0, "a negative deviation"),
        ("MLP", "scaling/inputs/low", 1e9, "ends are exchanged"),
        ("MLP", "scaling/inputs/deviation", 0.0, None),  # a constant column
        ("MLP", "weights/readout.bias", 0.0, None),
    ],
)
def test_scales_of_zero_or_below_are_refused_and_a_constant_column_is_not(make, name, value, message, tmp_path):
    KINDS[make]().save(tmp_path / "s")
    tensors, header = load_tensors(tmp_path / "s")
    spoilt = tensors[name].clone()
    spoilt.view(-1)[0] = value
    save_tensors(tmp_path / "spoilt", {**tensors, name: spoilt}, header)
    if message is None:
        Surrogate.load(tmp_path / "spoilt")
        return
    with pytest.raises(DatasetError, match=message):
        Surrogate.load(tmp_path / "spoilt")


def hostile(tensors, header="{}", data=b""):
    """Return the bytes of a safetensors file made of these parts."""
    text = tensors if isinstance(tensors, bytes) else json.dumps({"__metadata__": {"header": header}, **tensors}).encode()
    return len(text).to_bytes(8, "little") + text + data


def declared(shape, size, kind="F32"):
    return {"w": {"dtype": kind, "shape": shape, "data_offsets": [0, size]}}


@pytest.mark.parametrize(
    "content",
    [
        hostile(declared([10**12], 4 * 10**12)),
        hostile(declared([2**62, 2**62], 0)),
        hostile(declared([2**70, 0], 0)),
        hostile(declared([2], 8), data=b"1234"),
        hostile(declared([1], 4), data=b"12345678"),
        hostile(declared([1], 4, "\x1b[31m"), data=b"1234"),
        hostile({}, header="[" * 100_000),
        hostile({}, header="1" * 100_000),
        hostile({}, header="\x1b[31m\n"),
        hostile(b"[" * 100_000),
        hostile({"\x1b\n" * 3000: {"dtype": "F99", "shape": [], "data_offsets": [0, 0]}}),
        (2**25).to_bytes(8, "little") + bytes(2**25),
    ],
)
def test_errors_about_hostile_headers_are_one_printable_line(content, tmp_path):
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(DatasetError, match="is not a file of saved tensors") as caught:
        Surrogate.load(tmp_path / "s")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_an_error_of_safetensors_becomes_our_error_of_one_line_and_the_old_file_remains(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise SafetensorError("I/O error:\nNo space left on device")

    surrogate = surrogate_of(table())
    surrogate.save(tmp_path / "s")
    before = (tmp_path / "s").read_bytes()
    monkeypatch.setattr(pac_surrogate.files.tensors, "save", fail)
    with pytest.raises(DatasetError, match=r"s cannot be written \(I/O error: No space left on device\): is there space left"):
        surrogate.save(tmp_path / "s")
    assert (tmp_path / "s").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


# Invalid files, read in a fresh process -----------------------------------------------------------------------------------
# The fresh process has no type checks by beartype, and its memory and time can be measured.

READER = """
import json, resource, sys, time
import numpy as np, torch
from torch import nn
from pac_surrogate import DatasetError, MLP, Module, Surrogate

good, bad = json.load(open(sys.argv[1]))
for name, (path, x, out) in good.items():
    model = Module(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4))) if name == "Module" else None
    np.save(out, Surrogate.load(path, model=model).predict(np.load(x)))
begun, memory, answers = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, {}
for name, path in bad.items():
    try:
        Surrogate.load(path, model=MLP(hidden=(3,)) if name == "another model" else None)
        answers[name] = "loaded"
    except DatasetError as error:
        answers[name] = f"DatasetError: {error}"
    except BaseException as error:
        answers[name] = f"{type(error).__name__}: {error}"
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
print(json.dumps([answers, memory / 1024, time.perf_counter() - begun]))
"""


class Trap:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def change(path, entry, value):
    """Return a function that changes one entry of the header; None removes the entry."""

    def apply(tensors, header):
        *path_to, last = entry.split("/")
        place = header
        for key in path_to:
            place = place[int(key) if isinstance(place, list) else key]
        if value is None:
            del place[last]
        else:
            place[last] = value
        return tensors, header

    return path, apply


def tensor(path, name, make):
    """Return a function that changes one tensor; None removes the tensor."""

    def apply(tensors, header):
        value = make(tensors.pop(name, None))
        return tensors | ({} if value is None else {name: value}), header

    return path, apply


def without_mask(tensors, header):
    return {name: value for name, value in tensors.items() if not name.startswith("essential/")}, header


ARCHITECTURE = "predictor/architecture"
TAMPERED = {
    "huge width": (change("MLP", f"{ARCHITECTURE}/hidden", [10**12, 5]), "weights do not fit the architecture"),
    "overflowing width": (change("MLP", f"{ARCHITECTURE}/hidden", [10**30, 5]), "is not a complete surrogate"),
    "two huge widths": (change("MLP", f"{ARCHITECTURE}/hidden", [10**12, 10**12]), "is not a complete surrogate"),
    "other width": (change("MLP", f"{ARCHITECTURE}/hidden", [6, 4]), "weights do not fit the architecture"),
    "very many layers": (change("MLP", f"{ARCHITECTURE}/hidden", [1] * 100_000), "weights do not fit the architecture"),
    "a width of text": (change("MLP", f"{ARCHITECTURE}/hidden", ["6", 5]), "is not a complete surrogate"),
    "a broken width": (change("MLP", f"{ARCHITECTURE}/hidden", [6.5, 5]), "is not a complete surrogate"),
    "no widths": (change("MLP", f"{ARCHITECTURE}/hidden", 6), "is not a complete surrogate"),
    "activation": (change("MLP", f"{ARCHITECTURE}/activation", "eval"), "unknown activation 'eval'"),
    "activation of no sort": (change("MLP", f"{ARCHITECTURE}/activation", [1]), "is not a complete surrogate"),
    "unknown setting": (change("MLP", f"{ARCHITECTURE}/depth", 3), "is not a complete surrogate"),
    "no architecture": (change("MLP", ARCHITECTURE, None), "it lacks 'architecture'"),
    "architecture of text": (change("MLP", ARCHITECTURE, "MLP"), "is not a complete surrogate"),
    "another architecture": (change("MLP", f"{ARCHITECTURE}/kind", "CNN"), "is not a complete surrogate"),
    "unknown architecture": (change("MLP", f"{ARCHITECTURE}/kind", "os.system"), r"of your own \(os.system\): pass model="),
    "unknown predictor": (change("MLP", "predictor/kind", "Oracle"), "it lacks 'Oracle'"),
    "very many blocks": (change("CNN", f"{ARCHITECTURE}/blocks", 10**9), "weights do not fit the architecture"),
    "very many levels": (change("CNN", f"{ARCHITECTURE}/levels", 10**12), "weights do not fit the architecture"),
    "very many channels": (change("CNN", f"{ARCHITECTURE}/channels", 10**12), "is not a complete surrogate"),
    "a wide kernel": (change("CNN", f"{ARCHITECTURE}/kernel", 10**9 + 1), "weights do not fit the architecture"),
    "a vast grid": (change("CNN", "inputs/0/shape", [2**50]), r"scaling/inputs/mean must be torch.float64 of shape"),
    "a grid of broken length": (change("CNN", "inputs/0/shape", [8.0]), "is not a complete surrogate"),
    "a grid beyond integers": (change("CNN", "inputs/0/shape", [2**70]), "is not a complete surrogate"),
    "no inputs": (change("MLP", "inputs", None), "it lacks 'inputs'"),
    "inputs of no sort": (change("MLP", "inputs", 3), "is not a complete surrogate"),
    "a nameless input": (change("MLP", "inputs/0/name", None), "is not a complete surrogate"),
    "no provenance": (change("MLP", "provenance", None), "it lacks 'provenance'"),
    "provenance of no sort": (change("MLP", "provenance", 7), "is not a complete surrogate"),
    "another schema": (change("MLP", "schema", 99), "has surrogate schema 99, this version reads 1"),
    "no format": (change("MLP", "format", None), "holds no surrogate: save one with Surrogate.save"),
    "no weight": (tensor("MLP", "weights/readout.bias", lambda t: None), "weights do not fit the architecture"),
    "a weight too many": (tensor("MLP", "weights/x", lambda t: torch.ones(3)), "weights do not fit the architecture"),
    "a transposed weight": (
        tensor("MLP", "weights/hidden.0.weight", lambda t: t.T.contiguous()),
        "weights do not fit the architecture",
    ),
    "a weight of integers": (tensor("MLP", "weights/readout.bias", lambda t: t.long()), "weights do not fit the architecture"),
    "half a mask": (tensor("pruned", "essential/readout.bias", lambda t: None), "the essential mask does not fit"),
    "a mask of numbers": (tensor("pruned", "essential/readout.bias", lambda t: t.double()), "the essential mask does not fit"),
    "no bias of the source task": (
        tensor("calibrated", "allocated/weights/readout.bias", lambda t: None),
        "tensors of its allocated source are missing",
    ),
    "no list of the source task": (change("calibrated", "allocated/tensors", None), "it lacks 'tensors'"),
    "a source task of text": (change("calibrated", "allocated", "source"), "is not a complete surrogate"),
    "a source task of another width": (
        change("calibrated", f"allocated/{ARCHITECTURE}/hidden", [6, 4]),
        "weights do not fit the architecture",
    ),
    "a source task behind no mask": (("calibrated", without_mask), "the essential mask does not fit the weights"),
    "no mean": (tensor("MLP", "scaling/inputs/mean", lambda t: None), "it lacks 'scaling/inputs/mean'"),
    "one mean for all": (tensor("MLP", "scaling/inputs/mean", lambda t: t[:1]), r"scaling/inputs/mean must be .* shape \(3,\)"),
    "a rounded mean": (
        tensor("MLP", "scaling/outputs/mean", lambda t: t.float()),
        "scaling/outputs/mean must be torch.float64",
    ),
    "a logarithm of numbers": (tensor("MLP", "scaling/inputs/logarithmic", lambda t: t.double()), "must be torch.bool"),
    "no slope": (tensor("Correction", "correction/slope", lambda t: None), "it lacks 'correction/slope'"),
    "one slope": (
        tensor("Correction", "correction/slope", lambda t: t[:1]),
        "the correction does not fit: correction/slope must be",
    ),
    "another model": (change("MLP", "schema", 1), "weights do not fit the architecture"),
}


def write_bad_files(folder, good):
    """Write files that must be refused; return the error that each must cause."""
    whole = good["MLP"].read_bytes()
    expected = {name: message for name, (_, message) in TAMPERED.items()}
    paths = {name: folder / f"{i}.bad" for i, name in enumerate(TAMPERED)}
    for name, ((origin, apply), _) in TAMPERED.items():
        save_tensors(paths[name], *apply(*load_tensors(good[origin])))
    raw = {
        "empty": b"",
        "garbage": bytes(range(256)) * 8,
        "half": whole[: len(whole) // 2],
        "without its last byte": whole[:-1],
        "half a header": whole[:40],
        "a header longer than the file": (2**60).to_bytes(8, "little") + whole[8:],
        "pickled": pickle.dumps(Trap(folder / "sprung")),
    }
    for name, content in raw.items():
        paths[name] = folder / f"{len(paths)}.bad"
        paths[name].write_bytes(content)
        expected[name] = "is not a file of saved tensors"
    texts = {"no header": None, "a header of nothing": "", "a header that is no JSON": "{", "a header that is a list": "[]"}
    for name, text in texts.items():
        paths[name] = folder / f"{len(paths)}.bad"
        save_file({"w": torch.ones(2)}, paths[name], metadata=None if text is None else {"header": text})
        expected[name] = "holds no surrogate" if text == "[]" else "is not a file of saved tensors"
    paths |= {"missing": folder / "nowhere", "a folder": folder}
    return paths, expected | {"missing": "does not exist", "a folder": "is not a file of saved tensors"}


@pytest.fixture(scope="module")
def fresh_process(tmp_path_factory):
    """Read all saved and all spoilt files in a process that shares nothing with this one."""
    folder = tmp_path_factory.mktemp("surrogates")
    good, predictions = {}, {}
    for i, (name, make) in enumerate(SAVED.items()):
        surrogate, good[name] = make(), folder / f"{i}.safetensors"
        surrogate.save(good[name])
        np.save(folder / f"{i}.x.npy", inputs_of(surrogate))
        predictions[name] = surrogate.predict(inputs_of(surrogate))
    bad, expected = write_bad_files(folder, good)
    jobs = {n: [str(p), f"{p.with_suffix('.x.npy')}", f"{p.with_suffix('.y.npy')}"] for n, p in good.items()}
    (folder / "jobs.json").write_text(json.dumps([jobs, {name: str(path) for name, path in bad.items()}]))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", READER, str(folder / "jobs.json")],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert done.returncode == 0, done.stderr
    answers, memory, seconds = json.loads(done.stdout)
    there = {name: np.load(out) for name, (_, _, out) in jobs.items()}
    return folder, predictions, there, answers, expected, memory, seconds


def test_a_fresh_process_predicts_the_same_bits(fresh_process):
    _, here, there, *_ = fresh_process
    assert set(here) == set(there) == set(SAVED)
    for name, prediction in here.items():
        assert np.array_equal(prediction, there[name]), name


def test_every_spoilt_file_is_a_dataset_error_of_one_line_that_names_the_file(fresh_process):
    folder, _, _, answers, expected, *_ = fresh_process
    assert set(answers) == set(expected)
    for name, answer in answers.items():
        assert answer.startswith(f"DatasetError: {folder}"), f"{name}: {answer}"
        assert "\n" not in answer, name
        with pytest.raises(DatasetError, match=expected[name]):
            raise DatasetError(answer)


@pytest.mark.filterwarnings("ignore")
def test_a_mask_that_does_not_fit_is_refused_before_it_is_applied(tmp_path):
    adapted_by(pac.GP(on="target")).save(tmp_path / "s")  # it has no weights, so that no mask is checked with them
    tensors, header = load_tensors(tmp_path / "s")
    # Broadcast to one shape, the two would take a terabyte.
    vast = {"essential/w": torch.ones(1, 10**6, dtype=torch.bool), "weights/w": torch.ones(10**6, 1)}
    save_tensors(tmp_path / "vast", tensors | vast, header | {"allocated": header | {"tensors": []}})
    with pytest.raises(
        DatasetError, match=r"^[^\n]*vast is not a complete surrogate: the essential mask does not fit the weights$"
    ):
        Surrogate.load(tmp_path / "vast")


def test_no_spoilt_file_costs_memory_or_time_or_is_executed(fresh_process):
    folder, *_, memory, seconds = fresh_process
    # The arrays that a header claims would take terabytes; lists of 100,000 numbers and the import of torch stay below 300 MB.
    assert memory < 300, f"{memory:.0f} MB"
    assert seconds < 60
    assert not (folder / "sprung").exists()
    with contextlib.suppress(FileExistsError):
        pickle.loads(pickle.dumps(Trap(folder / "sprung")))
    assert (folder / "sprung").exists()  # the trap itself works


def test_the_scaling_of_a_surrogate_is_that_which_it_was_made_with(tmp_path):
    surrogate = surrogate_of(table())
    surrogate.save(tmp_path / "s")
    loaded = Surrogate.load(tmp_path / "s").scaling
    for side in dataclasses.fields(Scaling):
        for name, column in vars(getattr(surrogate.scaling, side.name)).items():
            assert torch.equal(getattr(getattr(loaded, side.name), name), column)
