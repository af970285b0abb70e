"""Networks that are trained on the predictions of a surrogate."""

import dataclasses

import numpy as np
import pytest
import torch
from export_cases import INPUTS, NEW, cnn, fields, source, surrogates, table

import pac_surrogate as pac
from pac_surrogate.surrogates.design import uniform_inputs

SHORT = {"model": pac.MLP(hidden=(16,)), "samples": 400, "steps": 300}


def test_the_error_that_a_distilled_network_adds_is_that_of_its_difference_from_the_original():
    surrogate = surrogates()["Mixture"]
    distilled = surrogate.distil(**SHORT)
    told = distilled.provenance["distilled"]
    x = np.random.default_rng(7).uniform(INPUTS.min(0), INPUTS.max(0), size=(2000, 3))
    difference = (distilled.predict(x) - surrogate.predict(x)) / surrogate.scaling.outputs.deviation.numpy()
    measured = np.sqrt(np.mean(difference**2))
    # It was measured at 40 other inputs, whose mean square has a relative error of about sqrt(2 * 3 / 40) for a heavy tail.
    assert 0.4 * measured < told["error"] < 2.5 * measured
    assert told["error"] < 0.3, "a network of 16 units learns most of a smooth function"
    assert set(told["outputs"]) == {"force", "stress"}
    assert (told["predictor"], told["samples"]) == ("Mixture", 400)
    assert f"400 predictions of a Mixture, which adds an error of {told['error']:.3g}" in repr(distilled)


def test_a_distilled_surrogate_is_a_network_with_the_same_variables_and_range(tmp_path):
    surrogate = surrogates()["GaussianProcess on the target"]
    distilled = surrogate.distil(**SHORT)
    assert (distilled.inputs, distilled.outputs) == (surrogate.inputs, surrogate.outputs)
    assert distilled.network.architecture == SHORT["model"]
    np.testing.assert_array_equal(distilled.scaling.inputs.ends()[0], surrogate.scaling.inputs.ends()[0])
    distilled.save(tmp_path / "small.safetensors")
    np.testing.assert_array_equal(pac.Surrogate.load(tmp_path / "small.safetensors").predict(NEW), distilled.predict(NEW))


def test_random_inputs_fill_the_box_of_the_training_data_uniformly():
    surrogate = pac.pretrain(table(2.0, scaling={"load": "log"}), model=pac.MLP(hidden=(2,)), steps=1)
    drawn = uniform_inputs(surrogate.inputs, surrogate.scaling.inputs, 4000, np.random.default_rng(0))
    low, high = INPUTS.min(0), INPUTS.max(0)
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    scaled = (drawn - low) / (high - low)
    scaled[:, 2] = np.log(drawn[:, 2] / low[2]) / np.log(high[2] / low[2])
    # The mean of 4000 uniform numbers has the standard error 0.289 / sqrt(4000) = 0.0046, their variance one of 0.0012.
    np.testing.assert_allclose(scaled.mean(0), 0.5, atol=0.025)
    np.testing.assert_allclose(scaled.var(0), 1 / 12, atol=0.007)


def test_exactly_one_of_the_categories_of_a_column_is_drawn():
    import pandas as pd

    frame = pd.DataFrame({"material": ["steel", "wood", "glass"] * 10, "load": np.arange(30.0), "tip": np.arange(30.0) ** 2})
    data = pac.Dataset.from_pandas(frame, inputs=["material", "load"], outputs=["tip"])
    surrogate = pac.pretrain(data, model=pac.MLP(hidden=(2,)), steps=1)
    names = [variable.name for variable in surrogate.inputs]
    drawn = uniform_inputs(surrogate.inputs, surrogate.scaling.inputs, 300, np.random.default_rng(0))
    materials = drawn[:, [i for i, name in enumerate(names) if name.startswith("material=")]]
    assert set(np.unique(materials)) == {0.0, 1.0}
    assert (materials.sum(1) == 1).all()
    assert (materials.mean(0) > 0.2).all()
    without = dataclasses.replace(
        surrogate.scaling.inputs, high=torch.where(torch.arange(4) == 0, 0.0, surrogate.scaling.inputs.high)
    )
    drawn = uniform_inputs(surrogate.inputs, without, 300, np.random.default_rng(0))
    assert set(drawn[:, 0]) == {0.0}, "a category that no training sample has is not drawn"


def test_a_number_with_an_equals_sign_in_its_name_is_no_category():
    x = np.random.default_rng(0).uniform(300.0, 400.0, size=(30, 2))
    data = pac.Dataset.from_arrays({"T=a": x[:, 0], "T=b": x[:, 1]}, x.sum(1))
    surrogate = pac.pretrain(data, model=pac.MLP(hidden=(2,)), steps=1)
    drawn = uniform_inputs(surrogate.inputs, surrogate.scaling.inputs, 100, np.random.default_rng(0))
    assert drawn.min() >= 300
    assert (drawn.std(0) > 20).all()


def test_constant_outputs_add_no_error():
    surrogate = pac.pretrain(INPUTS, np.full(len(INPUTS), 5.0), model=pac.MLP(hidden=(2,)), steps=1)
    assert surrogate.distil(pac.MLP(hidden=(2,)), samples=20, steps=1).provenance["distilled"]["error"] == 0.0


def test_fields_are_distilled_at_given_inputs_only():
    surrogate = cnn()
    with pytest.raises(ValueError, match=r"a is a field.*pass inputs="):
        surrogate.distil(**SHORT)
    distilled = surrogate.distil(pac.MLP(hidden=(8,)), inputs=fields(1.0), steps=50)
    assert distilled.provenance["distilled"]["samples"] == 32, "a tenth of 40 measures the error, and a tenth chooses"
    assert distilled.predict(fields(1.0)).shape == (40, 8)


def test_equal_calls_give_equal_networks_and_other_seeds_others():
    first, second, other = (source().distil(pac.MLP(hidden=(3,)), samples=50, steps=5, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.predict(NEW), second.predict(NEW))
    assert not np.array_equal(first.predict(NEW), other.predict(NEW))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples must be a whole number of at least 1, got 0"),
        ({"model": "MLPs"}, "MLPs"),
        ({"inputs": np.ones((5, 3))}, "samples=400 has no meaning"),
        ({"inputs": np.ones((5, 3)), "samples": None}, "10 different samples or more, of which a fifth is held out, got 5"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as refused:
        source().distil(**{**SHORT, **options})
    assert "\n" not in str(refused.value)
