"""The posterior of a surrogate: its variance, its joint draws, units and layouts, and predictors that have none."""

import numpy as np
import pytest
import torch
from cases import initial_surrogate

import pac_surrogate as pac

X = np.random.default_rng(0).uniform(1, 2, size=(40, 2))
FEW = np.random.default_rng(1).uniform(1, 2, size=(9, 2))
NEW = np.random.default_rng(2).uniform(1, 2, size=(6, 2))


def values(x, factor=1.0):
    return factor * np.stack([np.exp(x[:, 0]) * x[:, 1], 3 + np.sin(3 * x[:, 1])], axis=1)


def noisy(x, seed):
    return values(x, 1.2) + 0.05 * np.random.default_rng(seed).normal(size=(len(x), 2))


SOURCE, TARGET = pac.Dataset.from_arrays(X, values(X)), pac.Dataset.from_arrays(FEW, noisy(FEW, 3))
METHODS = {
    "co-kriging": pac.CoKriging(),
    "target": pac.GP(on="target"),
    "residual": pac.GP(on="residual", kernel="rbf"),
    "augmented": pac.GP(on="augmented"),
}


def adapted(method, target=TARGET, source=SOURCE):
    surrogate = initial_surrogate(pac.MLP(hidden=(4,)), source, torch.float32)
    return pac.transfer(surrogate, target, method=method, source=source, intervals=False)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_draws_have_the_mean_and_the_variance_of_the_posterior(method):
    result = adapted(method)
    for noise in (False, True):
        found = result.posterior(NEW, noise=noise)
        np.testing.assert_allclose(found.mean, result.predict(NEW))
        drawn = found.draws(4000, seed=1)
        assert drawn.shape == (4000, 6, 2)
        deviation = np.sqrt(found.variance)
        # Of 4,000 draws: a standard error of 1/63 of the deviation for the mean, 1/89 for the deviation itself; five of them.
        # In a mixture of members the tails are heavier, hence the factor of two for the deviation.
        assert (np.abs(drawn.mean(0) - found.mean) < 5 * deviation / 63 + 1e-9).all()
        np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.12, atol=1e-9)
    quiet, loud = (result.posterior(NEW, noise=noise).variance for noise in (False, True))
    assert (loud > quiet).all()
    np.testing.assert_array_equal(found.draws(3, seed=5), found.draws(3, seed=5))
    assert not np.array_equal(found.draws(3, seed=5), found.draws(3, seed=6))


def test_draws_are_joint():
    """At two inputs that nearly agree, the values of a draw nearly agree."""
    near = NEW[[0, 0]] + [[0.0, 0.0], [1e-3, 0.0]]
    found = adapted(METHODS["co-kriging"]).posterior(near)
    drawn = found.draws(300)
    apart = np.abs((drawn[:, 0] - found.mean[0]) - (drawn[:, 1] - found.mean[1]))
    assert (apart < 0.2 * np.sqrt(found.variance[0]) + 1e-6).all()


def test_the_variance_is_small_at_the_samples_and_grows_away_from_them():
    clean = pac.Dataset.from_arrays(FEW, values(FEW, 1.2))
    for method in ("co-kriging", "target"):
        result = adapted(METHODS[method], clean)
        at, far = (result.posterior(x).variance.mean(0) for x in (FEW, np.array([[5.0, 5.0]])))
        assert (at < 1e-3 * far).all()


def test_an_interval_of_the_posterior_needs_no_left_out_fits():
    result = adapted(METHODS["co-kriging"])
    band, found = result.predict_interval(NEW, 0.95, interval="posterior"), result.posterior(NEW, noise=True)
    assert band.promised is None
    np.testing.assert_allclose(band.upper - band.mean, 1.959964 * np.sqrt(found.variance), rtol=1e-5)
    with pytest.raises(ValueError, match="intervals=True"):
        result.predict_interval(NEW, 0.5)


def test_units_and_layouts_are_those_of_the_prediction():
    named = pac.Dataset.from_arrays({"a": X[:, 0], "b": X[:, 1]}, {"u": values(X), "v": values(X)[:, 0]})
    few = pac.Dataset.from_arrays({"a": FEW[:, 0], "b": FEW[:, 1]}, {"u": noisy(FEW, 3), "v": noisy(FEW, 3)[:, 0]})
    result = adapted(METHODS["co-kriging"], few, named)
    asked = {"a": torch.as_tensor(NEW[:, 0]), "b": torch.as_tensor(NEW[:, 1])}
    found = result.posterior(asked)
    assert found.variance["u"].shape == (6, 2)
    assert found.variance["v"].shape == (6,)
    drawn = found.draws(4)
    assert isinstance(drawn["u"], torch.Tensor)
    assert drawn["u"].shape == (4, 6, 2)
    assert drawn["v"].shape == (4, 6)
    # Equal outputs are fitted in one stack; the searches end within 1e-7 of the evidence.
    torch.testing.assert_close(found.variance["u"][:, 0], found.variance["v"], rtol=0.05, atol=1e-9)
    plain = adapted(METHODS["co-kriging"])
    larger = adapted(
        METHODS["co-kriging"], pac.Dataset.from_arrays(FEW, 1024 * noisy(FEW, 3)), pac.Dataset.from_arrays(X, 1024 * values(X))
    )
    np.testing.assert_allclose(larger.posterior(NEW).variance, 2**20 * plain.posterior(NEW).variance, rtol=1e-6)


def test_on_a_logarithmic_scale_the_variance_is_that_of_the_draws():
    logarithmic = [pac.Dataset.from_arrays(x, y, scaling={"output": "log"}) for x, y in ((X, values(X)), (FEW, noisy(FEW, 3)))]
    found = adapted(METHODS["co-kriging"], logarithmic[1], logarithmic[0]).posterior(NEW, noise=True)
    drawn = found.draws(20_000)
    assert (drawn > 0).all()
    np.testing.assert_allclose(drawn.var(0), found.variance, rtol=0.1)  # five standard errors, of a normal distribution
    np.testing.assert_allclose(np.median(drawn, 0), found.mean, rtol=0.01)


def test_a_predictor_without_a_joint_posterior_says_so():
    for method in (pac.SourceUnchanged(), "auto"):
        found = adapted(method).posterior(NEW)
        assert found.variance is None
        with pytest.raises(ValueError, match=r"no joint posterior: transfer with pac\.CoKriging"):
            found.draws(2)


def test_a_saved_surrogate_has_the_same_posterior(tmp_path):
    for name, method in METHODS.items():
        result = adapted(method)
        result.save(tmp_path / name)
        loaded = pac.Surrogate.load(tmp_path / name)
        np.testing.assert_array_equal(loaded.posterior(NEW).variance, result.posterior(NEW).variance)
        np.testing.assert_array_equal(loaded.posterior(NEW).draws(2), result.posterior(NEW).draws(2))


def test_a_closed_form_of_a_network_has_a_variance():
    from dataclasses import replace

    from pac_surrogate.plan import make_plan
    from pac_surrogate.solvers.closed_form import RATIOS, linearise

    surrogate = initial_surrogate(pac.MLP(hidden=(4,)), SOURCE, torch.float64)
    scaled = surrogate.scaling.standardise(TARGET)
    x, y = (torch.as_tensor(matrix).double() for matrix in (scaled.input_matrix, scaled.output_matrix))
    plan = make_plan(surrogate.weights, anchor=surrogate.weights, strength=1.0)
    (solution,) = linearise(surrogate.network, [plan], x, y, kernel="block", ratio=RATIOS)
    found = replace(surrogate, predictor=solution.predictor).posterior(NEW)
    expected = solution.predictor.variance(surrogate.standardised(torch.as_tensor(NEW)))
    np.testing.assert_allclose(found.variance, expected * surrogate.scaling.outputs.deviation.square())
    with pytest.raises(ValueError, match="no joint posterior"):
        found.draws(1)
