"""`TransferRegressor`: the same numbers as `transfer`, its sources, deviations and names, and scikit-learn's own tools."""

import math
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pac_surrogate as pac
from pac_surrogate.sklearn import TransferRegressor, sources

pytestmark = pytest.mark.filterwarnings("ignore::pac_surrogate.ExtrapolationWarning")

MODEL = pac.MLP(hidden=(16,))
DRAW = np.random.default_rng(0)
X = DRAW.uniform(-1, 1, (300, 2))
FEW = DRAW.uniform(-1, 1, (12, 2))
NEW = DRAW.uniform(-1, 1, (400, 2))


def cheap(x):
    return np.sin(3 * x[:, 0]) + x[:, 1] ** 2


def expensive(x):
    return 1.5 * cheap(x) + 0.3 * x[:, 0]


@pytest.fixture(scope="module")
def source():
    return pac.pretrain(X, cheap(X), model=MODEL, steps=3000, learning_rate=1e-2)


@pytest.fixture
def pretrainings(monkeypatch):
    """Forget all pretrained surrogates, and record the seed of each pretraining."""
    seeds = []

    def counted(*arguments, **options):
        seeds.append(options["seed"])
        return pac.pretrain(*arguments, **options)

    monkeypatch.setattr(sources, "_KNOWN", {})
    monkeypatch.setattr(sources, "pretrain", counted)
    return seeds


def short(source, method="L2SP", **options):
    return TransferRegressor(
        source, method, **{"model": MODEL, "pretrain_steps": 20, "steps": 20, "source_steps": 20, **options}
    )


# The same numbers as the functions of the library -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pair", "dataset", "splits", "data file"])
def test_a_source_of_data_gives_the_numbers_of_pretrain_and_transfer(kind, tmp_path):
    data = pac.Dataset.from_arrays(X, cheap(X), valid=0.2 if kind == "splits" else 0)
    data.save(tmp_path / "data.h5")
    given = {"pair": (X, cheap(X)), "data file": str(tmp_path / "data.h5")}.get(kind, data)
    for method in ("PAC", "LinearCorrection"):
        pretrained = pac.pretrain(data, model=MODEL, steps=20, seed=3)
        direct = pac.transfer(pretrained, FEW, expensive(FEW), method=method, source=data, seed=3, steps=20, source_steps=20)
        regressor = short(given, method, random_state=3).fit(FEW, expensive(FEW))
        np.testing.assert_array_equal(regressor.predict(NEW), direct.predict(NEW))
        assert regressor.choice_ is None


def test_a_surrogate_and_its_file_give_the_numbers_of_transfer(source, tmp_path):
    source.save(tmp_path / "source.safetensors")
    for method, samples in (("auto", None), ("PAC", (X, cheap(X)))):
        direct = pac.transfer(source, FEW, expensive(FEW), method=method, source=samples, steps=20, source_steps=20)
        for given in (source, tmp_path / "source.safetensors"):
            regressor = short(given, method, model=None, source_data=samples).fit(FEW, expensive(FEW))
            np.testing.assert_array_equal(regressor.predict(NEW), direct.predict(NEW))
            assert (regressor.choice_ and regressor.choice_.method) == (direct.choice and direct.choice.method)


def test_a_source_helps_where_the_target_is_a_linear_function_of_it(source):
    """Twelve samples of a smooth function of two inputs leave a Gaussian process an error that the source's shape removes."""
    with_source, alone = (TransferRegressor(given, intervals=False).fit(FEW, expensive(FEW)) for given in (source, None))
    left = [1 - r2_score(expensive(NEW), regressor.predict(NEW)) for regressor in (with_source, alone)]
    assert left[0] < 0.1 * left[1]  # the network itself explains all but a thousandth of the source
    assert left[1] < 1  # better than the mean


def test_shapes_of_outputs_are_those_of_fit(source):
    y = expensive(FEW)
    both = pac.pretrain(X, np.stack([cheap(X), -cheap(X)], 1), model=MODEL, steps=20)
    for given, outputs in ((source, y), (source, y[:, None]), (both, np.stack([y, -y], 1)), (None, np.stack([y, -y], 1))):
        mean, deviation = short(given, "auto").fit(FEW, outputs).predict(NEW, return_std=True)
        assert mean.shape == deviation.shape == (400, *outputs.shape[1:])
        assert (deviation > 0).all()


# Without a source -----------------------------------------------------------------------------------------------------------


def test_without_a_source_auto_is_a_gaussian_process_or_a_network_where_it_does_not_apply(monkeypatch):
    def method_of(regressor):
        return regressor.fit(FEW, expensive(FEW)).surrogate_.provenance["transfer"]["method"]

    assert method_of(short(None, "auto")) == repr(pac.GP(on="target"))
    monkeypatch.setattr(sources, "SAMPLES", 11)
    assert method_of(short(None, "auto")) == repr(pac.Scratch())
    monkeypatch.setattr(sources, "SAMPLES", 12)
    assert method_of(short(None, pac.Auto())) == repr(pac.GP(on="target"))
    assert method_of(short(None, [pac.Scratch(), pac.Scratch(strength=0.1)])).startswith("Scratch")


def test_without_a_source_only_methods_of_the_target_alone_apply():
    for method in ("PAC", pac.GP(), [pac.Scratch(), pac.FineTune()], pac.Auto(trained=True)):
        with pytest.raises(ValueError, match=r"adapts a source, and source=None: pass a source"):
            short(None, method).fit(FEW, expensive(FEW))


def test_the_process_of_the_target_is_that_of_a_transfer_with_any_source_of_these_scales():
    pretrained = pac.pretrain(FEW, expensive(FEW), model=MODEL, steps=0)
    with pytest.warns(pac.DataWarning, match="exchanged"):
        direct = pac.transfer(pretrained, FEW, expensive(FEW), method=pac.GP(on="target"))
    regressor = TransferRegressor().fit(FEW, expensive(FEW))
    np.testing.assert_array_equal(regressor.predict(NEW), direct.predict(NEW))


# Sources --------------------------------------------------------------------------------------------------------------------


def test_equal_data_are_pretrained_once_by_clones_and_in_a_search(pretrainings):
    regressor = short((X, cheap(X)), intervals=False)
    clone(regressor).fit(FEW, expensive(FEW))
    methods = ["fine-tune", pac.L2SP(strength=0.1)]
    GridSearchCV(regressor, {"method": methods}, cv=3).fit(FEW, expensive(FEW))
    shuffled = np.random.default_rng(1).permutation(300)
    clone(regressor).set_params(source=pac.Dataset.from_arrays(X[shuffled], cheap(X)[shuffled])).fit(FEW, expensive(FEW))
    assert pretrainings == [0]


@pytest.mark.parametrize(
    "other",
    [
        {"source": (X, 2 * cheap(X))},
        {"source": pac.Dataset.from_arrays(X, cheap(X), units={"output": "K"})},
        {"source": pac.Dataset.from_arrays(X, cheap(X), valid=0.2)},
        {"model": pac.MLP(hidden=(8,))},
        {"pretrain_steps": 10},
        {"batch_size": 64},
        {"random_state": 1},
    ],
    ids=["numbers", "units", "splits", "model", "steps", "batch", "seed"],
)
def test_other_data_and_settings_are_pretrained_anew(other, pretrainings):
    regressor = short((X, cheap(X)), intervals=False).fit(FEW, expensive(FEW))
    regressor.set_params(**other).fit(FEW, expensive(FEW))
    assert len(pretrainings) == 2


def test_a_process_remembers_the_last_pretrained_surrogates_and_no_module_of_the_user(pretrainings):
    regressor = short((X, cheap(X)), "LinearCorrection", pretrain_steps=1, intervals=False)
    for seed in range(sources.REMEMBERED + 1):
        regressor.set_params(random_state=seed).fit(FEW, expensive(FEW))
    assert len(sources._KNOWN) == sources.REMEMBERED
    regressor.fit(FEW, expensive(FEW))  # the last one is remembered
    regressor.set_params(random_state=0).fit(FEW, expensive(FEW))  # and the first is not
    assert pretrainings == [*range(sources.REMEMBERED + 1), 0]
    regressor.set_params(model=torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.GELU(), torch.nn.Linear(4, 1)))
    for _ in range(2):
        regressor.fit(FEW, expensive(FEW))
    assert len(pretrainings) == sources.REMEMBERED + 4


def test_a_source_that_is_none_is_refused_in_one_line(source, tmp_path):
    y = expensive(FEW)
    with pytest.raises(ValueError, match=r"^source must be a Surrogate, a Dataset, the path .* got 3$"):
        TransferRegressor(3).fit(FEW, y)
    with pytest.raises(pac.DatasetError, match="a data file is required here, but there is none"):
        TransferRegressor(tmp_path / "none.h5").fit(FEW, y)
    with pytest.raises(ValueError, match=r"^source_data are the samples of a source that is a surrogate"):
        TransferRegressor((X, cheap(X)), source_data=(X, cheap(X))).fit(FEW, y)
    with pytest.raises(ValueError, match=r"^PAC trains on source samples, and the source is a surrogate: pass source_data"):
        TransferRegressor(source, "PAC").fit(FEW, y)


# Names of inputs ------------------------------------------------------------------------------------------------------------


def test_a_table_is_matched_with_the_source_by_the_names_of_its_columns():
    named = pac.Dataset.from_arrays({"a": X[:, 0], "b": X[:, 1]}, cheap(X))
    regressor = short(named).fit(FEW, expensive(FEW))
    table, new = (pd.DataFrame({"b": x[:, 1], "a": x[:, 0]}) for x in (FEW, NEW))
    by_name = short(named).fit(table, expensive(FEW))
    assert list(by_name.feature_names_in_) == ["b", "a"]
    np.testing.assert_array_equal(by_name.predict(new), regressor.predict(NEW))
    tables = short((pd.DataFrame(X, columns=["a", "b"]), pd.Series(cheap(X)))).fit(table, expensive(FEW))
    np.testing.assert_array_equal(tables.predict(new), regressor.predict(NEW))
    with pytest.raises(ValueError, match="same order"):
        by_name.predict(new[["a", "b"]])
    with pytest.raises(ValueError, match="the surrogate has the inputs a"):
        short(named).fit(table.rename(columns={"a": "c"}), expensive(FEW))


# Deviations -----------------------------------------------------------------------------------------------------------------


def test_the_deviation_is_that_of_the_posterior_with_noise_where_there_is_one():
    regressor = TransferRegressor(intervals=False).fit(FEW, 1e3 + 50 * expensive(FEW))
    mean, deviation = regressor.predict(NEW, return_std=True)
    found = regressor.surrogate_.posterior(NEW, noise=True)
    np.testing.assert_array_equal(mean, found.mean)
    # A difference of two bounds loses digits by their ratio to it, of at most 1e6 here.
    np.testing.assert_allclose(deviation, np.sqrt(found.variance), rtol=1e-9)


def test_the_deviation_of_other_methods_is_that_of_left_out_residuals(source):
    regressor = short(source).fit(FEW, expensive(FEW))
    _, deviation = regressor.predict(NEW, return_std=True)
    surrogate, folds = regressor.surrogate_, regressor.surrogate_.folds
    unit = float(surrogate.scaling.outputs.deviation[0])
    fits = folds.predict(surrogate.standardised(torch.as_tensor(NEW)))[:, :, 0].numpy()
    residual = folds.residual[:, 0].numpy()
    expected = unit * np.sqrt(fits.var(0, ddof=1) + np.mean(residual**2))
    np.testing.assert_allclose(deviation, expected, rtol=1e-9)
    with pytest.raises(ValueError, match="intervals=True"):
        short(source, intervals=False).fit(FEW, expensive(FEW)).predict(NEW, return_std=True)


@pytest.mark.parametrize("method", [pac.LinearCorrection(), "auto", pac.GP(on="target")], ids=["lines", "auto", "process"])
def test_one_deviation_covers_two_thirds_of_new_observations(method, source):
    """100 residuals give a deviation to 7%, or 21% in three standard errors: a normal observation is inside with 57 to 77%.

    Errors of the fit add to the noise in what is observed and in the deviation. The 4,000 new observations add a standard error
    of 1% to their fraction, and three of them to the bounds.
    """
    draw = np.random.default_rng(5)
    x, new = draw.uniform(-1, 1, (100, 2)), draw.uniform(-1, 1, (4000, 2))
    y, truth = (expensive(at) + 0.3 * draw.normal(size=len(at)) for at in (x, new))
    mean, deviation = TransferRegressor(source, method).fit(x, y).predict(new, return_std=True)
    covered = np.mean(np.abs(truth - mean) < deviation)
    low, high = (math.erf((1 + change) / math.sqrt(2)) for change in (-0.21, 0.21))
    assert low - 0.03 < covered < high + 0.03


# Tools of scikit-learn ------------------------------------------------------------------------------------------------------


def test_a_scaler_before_a_fit_of_the_target_alone_changes_nothing_but_rounding():
    y = expensive(FEW)
    plain = TransferRegressor(intervals=False).fit(FEW, y)
    scaled = make_pipeline(StandardScaler(), TransferRegressor(intervals=False)).fit(1000 * FEW + 5000, y)
    # Rounding moves the end of the search for the hyper-parameters, where the evidence is flat.
    np.testing.assert_allclose(scaled.predict(1000 * NEW + 5000), plain.predict(NEW), atol=1e-3)


def test_a_transformed_target_takes_a_source_of_transformed_outputs():
    inside = short((X, cheap(X)))
    outside = TransformedTargetRegressor(inside, func=np.log, inverse_func=np.exp).fit(FEW, np.exp(expensive(FEW)))
    np.testing.assert_allclose(outside.predict(NEW), np.exp(inside.fit(FEW, expensive(FEW)).predict(NEW)), rtol=1e-6)


def test_a_search_finds_the_method_that_generated_the_target(source):
    """The target is twice the prediction of the source, which a linear correction is, and the source itself is not."""
    x = NEW[:24]
    methods = ["SourceUnchanged", *pac.grid("LinearCorrection", strength=(1e-6, 1.0))]
    search = GridSearchCV(TransferRegressor(source, intervals=False), {"method": methods}, cv=KFold(4), n_jobs=2)
    search.fit(x, 2 * source.predict(x))
    assert search.best_params_ == {"method": methods[1]}
    assert search.best_score_ > 0.999
    assert r2_score(2 * source.predict(NEW), search.predict(NEW)) > 0.999


def test_cross_validation_leaves_samples_out_of_the_transfer(source):
    found = cross_val_score(TransferRegressor(source, "LinearCorrection", intervals=False), FEW, expensive(FEW), cv=KFold(3))
    for explained, (kept, left) in zip(found, KFold(3).split(FEW), strict=True):
        direct = pac.transfer(source, FEW[kept], expensive(FEW)[kept], method="LinearCorrection", intervals=False)
        residual = expensive(FEW)[left] - direct.predict(FEW[left])
        spread = expensive(FEW)[left] - expensive(FEW)[left].mean()
        np.testing.assert_allclose(explained, 1 - (residual @ residual) / (spread @ spread), rtol=1e-12)


@pytest.mark.parametrize("method", ["auto", "PAC", "GP", "DeltaNetwork"])
def test_a_pickled_estimator_predicts_the_same_bits(method, source):
    samples = (X, cheap(X)) if method == "PAC" else None
    regressor = short(source, method, source_data=samples, intervals=method != "GP").fit(FEW, expensive(FEW))
    again = pickle.loads(pickle.dumps(regressor))
    for one, other in zip(*(r.predict(NEW, return_std=True) for r in (regressor, again)), strict=True):
        np.testing.assert_array_equal(one, other)
    unfitted = pickle.loads(pickle.dumps(clone(regressor)))
    np.testing.assert_array_equal(unfitted.fit(FEW, expensive(FEW)).predict(NEW), regressor.predict(NEW))


def test_the_random_state_is_the_seed():
    def predicted(state):
        return short(None, "Scratch", random_state=state, intervals=False).fit(FEW, expensive(FEW)).predict(NEW)

    np.testing.assert_array_equal(predicted(4), predicted(4))
    assert not np.array_equal(predicted(4), predicted(5))
    np.testing.assert_array_equal(predicted(np.random.RandomState(1)), predicted(np.random.RandomState(1)))
    assert not np.array_equal(predicted(None), predicted(None))


def test_importing_the_package_imports_no_scikit_learn():
    program = "import sys, pac_surrogate as pac; pac.transfer; print([n for n in sys.modules if 'sklearn' in n])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
