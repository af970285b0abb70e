"""ATL: exact leave-one-out errors, the choice of layers, and the readout that is saved."""

import numpy as np
import pytest
import torch
from adapting import transferred
from cases import MODELS, dataset, surrogate
from closed_forms import solve
from sklearn.linear_model import Ridge

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.files import DatasetError
from pac_surrogate.files.tensors import load_tensors, save_tensors
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.methods.tuned.atl import ATL, _greedy, _group_lasso, _last_layer, feature_statistics, fit_readout
from pac_surrogate.predictors import FeatureReadout, build_network
from pac_surrogate.predictors.feature_readout import pooled_features
from pac_surrogate.surrogates.surrogate import Surrogate

FORMS = {"greedy": _greedy, "group lasso": _group_lasso, "last layer": lambda features, *_: _last_layer(features)}


def statistics_of(source, kind="MLP"):
    return feature_statistics(source, source.scaling.standardise(dataset(kind, 60, 1)))


def measured(kind):
    """The source, and its features standardised on 40 samples."""
    source = surrogate(kind)
    statistics = statistics_of(source, kind)
    target = source.scaling.standardise(dataset(kind, 40, 10, 0.4))
    prediction, features = pooled_features(source.network, torch.as_tensor(target.input_matrix))
    scaled = [(f - mean) / deviation for f, (mean, deviation) in zip(features, statistics, strict=True)]
    return source, target, prediction.detach(), [f.detach() for f in scaled]


@pytest.mark.parametrize(("samples", "features"), [(7, 20), (15, 4), (2, 3)])
@pytest.mark.parametrize("strength", [1e-6, 0.1, 10.0])
@pytest.mark.parametrize("repeats", [False, True])
def test_leave_one_out_errors_are_those_of_n_fits(samples, features, strength, repeats):
    generator = np.random.default_rng(0)
    phi, y = generator.normal(size=(samples, features)) + 3.0, generator.normal(size=(samples, 2))
    group = np.arange(samples)
    if repeats and samples > 2:
        group[[4, 6]] = 1  # three samples of one input
        phi[[4, 6]] = phi[1]
    fitted = fit_readout(torch.as_tensor(phi), torch.as_tensor(y), (strength,), torch.as_tensor(group))
    ridge = samples * strength / 2

    def refit(rows):
        p, t = phi[rows] - phi[rows].mean(0), y[rows] - y[rows].mean(0)
        # Augmented rows: the normal equations of 20 features and 6 samples would lose the digits that are compared.
        stacked = np.r_[p, ridge**0.5 * np.eye(features)]
        coefficients = np.linalg.lstsq(stacked, np.r_[t, np.zeros((features, 2))], rcond=None)[0]
        return coefficients, y[rows].mean(0) - phi[rows].mean(0) @ coefficients

    for left_out in range(samples):
        coefficients, intercept = refit(np.flatnonzero(group != group[left_out]))
        error = y[left_out] - phi[left_out] @ coefficients - intercept
        np.testing.assert_allclose(fitted.errors[left_out], error, atol=1e-10)
    coefficients, intercept = refit(np.arange(samples))
    np.testing.assert_allclose(fitted.coefficients, coefficients, atol=1e-10)
    np.testing.assert_allclose(fitted.intercept, intercept, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_a_sample_left_out_has_no_part_in_the_choice_of_layers_and_strength(form):
    draws = torch.Generator().manual_seed(0)
    features = [torch.randn(11, 4, generator=draws, dtype=torch.float64) for _ in range(3)]
    target = features[1][:, :2] + 0.3 * torch.randn(11, 2, generator=draws, dtype=torch.float64)
    method = ATL(form=form)
    choose = FORMS[form]
    found, phi = method.residuals(features, target, torch.arange(11)), torch.cat(features, dim=1)
    for i in range(11):
        unseen, rest = torch.arange(11) % 5 != i % 5, torch.arange(11) != i
        apart = torch.arange(int(unseen.sum()))
        mask = torch.cat(choose([feature[unseen] for feature in features], target[unseen], method.strengths, apart))
        strength = fit_readout(phi[unseen][:, mask], target[unseen], method.strengths, apart).strength
        # The ridge, strength times the number of samples, stays the same.
        alone = fit_readout(phi[rest][:, mask], target[rest], (strength * 11 / 10,), torch.arange(10))
        expected = target[i] - phi[i, mask] @ alone.coefficients - alone.intercept
        torch.testing.assert_close(found[i], expected, rtol=0, atol=1e-9)


def test_the_strength_with_the_least_leave_one_out_error_is_taken():
    generator = torch.Generator().manual_seed(0)
    phi, noise = (torch.randn(30, width, generator=generator, dtype=torch.float64) for width in (5, 1))
    strengths, apart = (1e-6, 1e-3, 1.0, 1e3), torch.arange(30)
    for target, best in ((phi @ torch.ones(5, 1).double(), 1e-6), (noise, 1e3)):
        alone = {s: float(fit_readout(phi, target, (s,), apart).squared.mean()) for s in strengths}
        assert min(alone, key=alone.get) == fit_readout(phi, target, strengths, apart).strength == best
    # Of two samples, one is left for each fit, which predicts that sample: the strengths tie, and the strongest is taken.
    assert fit_readout(phi[:2], noise[:2], strengths, apart[:2]).strength == 1e3


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("form", ["greedy", "group lasso"])
@pytest.mark.parametrize("anchor", ["source", "zero"])
def test_atl_has_no_larger_leave_one_out_error_than_the_last_layer_alone(kind, form, anchor):
    source, target, prediction, features = measured(kind)
    better = 0
    for samples in (2, 3, 5, 8, 20, 40):
        method, some = ATL(form=form, anchor=anchor), target[:samples]
        readout = method.solve(source.network, some, statistics_of(source, kind))
        y = torch.as_tensor(some.output_matrix) - (prediction[:samples] if anchor == "source" else 0.0)
        used = readout.coefficients.abs().sum(1) > 0
        chosen = torch.cat([features[layer][:samples] for layer in readout.layers], dim=1)[:, used]
        apart = torch.arange(samples)
        ours, last = (
            float(fit_readout(phi, y, method.strengths, apart).squared.mean()) for phi in (chosen, features[-1][:samples])
        )
        assert ours <= last * (1 + 1e-9)  # rounding
        better += ours < 0.9 * last
    assert better > 0  # otherwise the choice would have no effect


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("anchor", ["source", "zero"])
def test_a_difference_from_the_anchor_that_is_linear_in_one_layer_is_recovered_and_the_layer_is_chosen(kind, anchor):
    source, target, prediction, features = measured(kind)
    for layer, feature in enumerate(features):
        direction = torch.randn(feature.shape[1], 8, generator=torch.Generator().manual_seed(layer), dtype=torch.float64)
        y = feature @ direction + 2.0 + (prediction if anchor == "source" else 0.0)
        data = target.with_matrices(target.input_matrix, y.numpy())
        readout = ATL(anchor=anchor).solve(source.network, data[:25], statistics_of(source, kind))
        assert readout.layers == (layer,)
        # The weakest ridge of the grid, 1e-8, changes the prediction by about as much.
        np.testing.assert_allclose(readout.predict(torch.as_tensor(target.input_matrix)).detach(), y, atol=1e-5)


def test_the_group_lasso_finds_the_few_features_that_matter():
    source, target, prediction, features = measured("MLP")
    direction = torch.randn(2, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = prediction + torch.stack([features[0][:, 3], features[1][:, 5]], dim=1) @ direction
    data = target.with_matrices(target.input_matrix, y.numpy())
    readout = ATL(form="group lasso").solve(source.network, data, statistics_of(source))
    used = torch.nonzero(readout.coefficients.abs().sum(1)).flatten().tolist()
    assert readout.layers == (0, 1)
    assert {3, 9 + 5} <= set(used)  # layer 0 has 9 features
    assert len(used) < 9 + 8
    np.testing.assert_allclose(readout.predict(torch.as_tensor(target.input_matrix)).detach(), y, atol=1e-5)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("anchor", ["source", "zero"])
def test_an_endless_strength_leaves_the_anchor_and_an_intercept(kind, anchor):
    source, target, prediction, _ = measured(kind)
    readout = ATL(strengths=(1e12,), anchor=anchor).solve(source.network, target[:10], statistics_of(source, kind))
    y, known = torch.as_tensor(target.output_matrix), prediction if anchor == "source" else torch.zeros_like(prediction)
    expected = known + (y - known)[:10].mean(0)
    # Coefficients are at most the residual times 2 / (strength n) times the sum of some hundred features, all of order 1.
    np.testing.assert_allclose(readout.predict(torch.as_tensor(target.input_matrix)), expected, atol=1e-9)


@pytest.mark.parametrize("anchor", ["source", "zero"])
def test_the_last_layer_form_is_the_ridge_of_scikit_learn_of_the_difference_from_the_anchor(anchor):
    source, target, prediction, features = measured("MLP")
    y, known = target.output_matrix, prediction.numpy() if anchor == "source" else 0.0
    ridge = Ridge(alpha=20 * 0.1 / 2).fit(features[-1][:20], (y - known)[:20])
    method = ATL(strengths=(0.1,), form="last layer", anchor=anchor)
    readout = method.solve(source.network, target[:20], statistics_of(source))
    assert readout.layers == (len(features) - 1,)
    found = readout.predict(torch.as_tensor(target.input_matrix)).detach()
    np.testing.assert_allclose(found, known + ridge.predict(features[-1]), atol=1e-10)  # two solvers in float64


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("form", FORMS)
def test_both_anchors_are_the_same_for_outputs_that_the_source_lacks(kind, form):
    target, inputs = dataset(kind, 12, 10, 0.4, "pressure"), dataset(kind, 60, 1)
    given = (surrogate(kind), target, ATL(form=form), inputs), (surrogate(kind), target, ATL(form=form, anchor="zero"), inputs)
    source, zero = (transferred(*case, steps=5).surrogate.predict(inputs) for case in given)
    np.testing.assert_array_equal(source, zero)  # adding 0 is exact
    assert source.std() > 0


def test_features_are_standardised_by_the_source():
    source, _, _, _ = measured("MLP")
    _, features = pooled_features(
        source.network, torch.as_tensor(source.scaling.standardise(dataset("MLP", 60, 1)).input_matrix)
    )
    for feature, (mean, deviation) in zip(features, statistics_of(source), strict=True):
        scaled = (feature.detach() - mean) / deviation
        np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(scaled.square().mean(0), 1, atol=1e-12)


@pytest.mark.parametrize("kind", MODELS)
def test_no_samples_give_the_source_one_sample_a_refusal_and_two_samples_a_prediction(kind):
    none, one, two = (solve(ATL(), kind, samples, torch.float32) for samples in (0, 1, 2))
    before = surrogate(kind, torch.float32).weights
    assert all(torch.equal(none.surrogate.weights[name], weight) for name, weight in before.items())
    assert "needs target samples of 2 inputs" in one.refused
    assert isinstance(two.surrogate.predictor, FeatureReadout)
    assert np.isfinite(two.surrogate.predict(dataset(kind, 60, 1))).all()


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("anchor", ["source", "zero"])
def test_a_loaded_readout_predicts_the_same_bits_and_batches_do_not_matter(kind, anchor, tmp_path):
    result = solve(ATL(anchor=anchor), kind, 20, torch.float32).surrogate
    result.save(tmp_path / "atl")
    loaded, x = pac.Surrogate.load(tmp_path / "atl"), dataset(kind, 60, 1)
    assert np.array_equal(loaded.predict(x), result.predict(x))
    assert loaded.predictor.layers == result.predictor.layers
    np.testing.assert_allclose(result.predict(x, batch_size=7), result.predict(x), atol=1e-12)


@pytest.mark.parametrize(
    ("key", "value"),
    [("layers", [7]), ("layers", [-1]), ("layers", []), ("layers", [0, 0]), ("layers", [True]), ("corrects", 1)],
)
def test_hostile_files_are_refused(key, value, tmp_path):
    solve(ATL(), "MLP", 20).surrogate.save(tmp_path / "atl")
    tensors, header = load_tensors(tmp_path / "atl")
    header["predictor"][key] = value
    save_tensors(tmp_path / "atl", tensors, header)
    with pytest.raises(DatasetError, match="feature readout"):
        pac.Surrogate.load(tmp_path / "atl")


def test_damaged_arrays_are_refused(tmp_path):
    solve(ATL(), "MLP", 20).surrogate.save(tmp_path / "atl")
    tensors, header = load_tensors(tmp_path / "atl")
    for broken in (tensors["readout/coefficients"][1:], tensors["readout/coefficients"].float()):
        save_tensors(tmp_path / "atl", {**tensors, "readout/coefficients": broken}, header)
        with pytest.raises(DatasetError, match="the feature readout does not fit: readout/coefficients must be"):
            pac.Surrogate.load(tmp_path / "atl")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ATL(strengths=(0.0,)), "positive"),
        (lambda: ATL(strengths=()), "one or more"),
        (lambda: ATL(strengths=(-1.0,)), "one or more positive numbers"),
        (lambda: ATL(form="best"), "form must be 'greedy', 'group lasso' or 'last layer', got 'best'"),
        (lambda: ATL(anchor="mean"), "anchor must be 'source' or 'zero', got 'mean'"),
        (lambda: pac.transfer(surrogate("MLP"), dataset("MLP", 4, 2), method=ATL()), "trains on source data"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_module_without_features_is_not_applicable():
    data = dataset("MLP", 6, 10)
    network = build_network(pac.Module(torch.nn.Linear(9, 8)), data.inputs, data.outputs)
    source = Surrogate(network, fit_scaling(data), data.inputs, data.outputs)
    with pytest.raises(NotApplicableError, match="returns none"):
        ATL().solve(source.network, data, feature_statistics(source, data))
