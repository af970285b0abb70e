"""Bounds from left-out samples: definitions, coverage, guaranteed levels, and too few samples."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

import pac_surrogate as pac
from pac_surrogate.intervals.bands import check_level, cross_validation_band, normal_band, promise, studentised_band
from pac_surrogate.predictors import LeftOut


@pytest.mark.parametrize(
    ("level", "samples", "rank"), [(0.9, 9, 9), (0.9, 10, 10), (0.9, 19, 18), (0.5, 4, 3), (0.95, 39, 38), (0.8, 4, 4)]
)
def test_the_rank_is_that_of_n_plus_1_times_the_level(level, samples, rank):
    assert check_level(level, samples) == rank


@pytest.mark.parametrize(("level", "needed"), [(0.9, 9), (0.95, 19), (0.99, 99), (0.8, 4), (0.5, 1)])
def test_the_refusal_of_a_level_names_the_number_of_samples_that_it_needs(level, needed):
    check_level(level, needed)
    with pytest.raises(
        ValueError, match=f"level {level} needs {needed} target samples, got {needed - 1}: .*posterior"
    ) as caught:
        check_level(level, needed - 1)
    assert "\n" not in str(caught.value)
    for wrong in (0.0, 1.0, -0.5, math.nan):
        with pytest.raises(ValueError, match="level must be between 0 and 1"):
            check_level(wrong, 100)


def draws(samples, folds, rows, outputs, seed=0):
    """Draw normal numbers: return the fits of their mean without each fold, and the truth at new rows."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(samples, outputs, generator=generator, dtype=torch.float64)
    fold = torch.arange(samples) % folds
    means = torch.stack([y[fold != k].mean(0) for k in range(folds)])
    left_out = means[:, None].expand(folds, rows, outputs)
    new = torch.randn(rows, outputs, generator=generator, dtype=torch.float64)
    return left_out, fold, y - means[fold], new


def test_jackknife_plus_follows_its_definition():
    left_out, fold, residual, _ = draws(12, 12, 3, 2)
    lower, upper = cross_validation_band(left_out, fold, residual, torch.arange(12), 0.8)
    for row in range(3):
        for output in range(2):
            around, size = left_out[:, row, output].numpy(), residual[:, output].abs().numpy()
            # Barber et al.: the floor(alpha (n + 1))-th smallest lower end, the ceil((1 - alpha)(n + 1))-th smallest upper one.
            assert float(lower[row, output]) == np.sort(around - size)[math.floor(0.2 * 13 + 1e-9) - 1]
            assert float(upper[row, output]) == np.sort(around + size)[math.ceil(0.8 * 13) - 1]


@pytest.mark.parametrize("folds", [20, 5])
def test_intervals_of_exchangeable_samples_cover_at_their_level(folds):
    inside = []
    for seed in range(400):
        left_out, fold, residual, new = draws(20, folds, 50, 1, seed)
        lower, upper = cross_validation_band(left_out, fold, residual, torch.arange(20), 0.9)
        inside.append(float(((lower <= new) & (new <= upper)).double().mean()))
    # In theory about 0.9, slightly more for folds of several samples; two standard errors of the mean over 400 draws are 0.005.
    assert 0.885 < np.mean(inside) < 0.93


def test_a_simultaneous_band_covers_all_outputs_together_and_a_pointwise_one_does_not():
    together = {True: [], False: []}
    for seed in range(300):
        left_out, fold, residual, new = draws(30, 30, 40, 8, seed)
        for simultaneous, found in together.items():
            lower, upper = cross_validation_band(left_out, fold, residual, torch.arange(30), 0.8, simultaneous=simultaneous)
            found.append(float(((lower <= new) & (new <= upper)).all(1).double().mean()))
    assert (
        0.76 < np.mean(together[True]) < 0.87
    )  # two standard errors are 0.01; the spreads are estimated from the same residuals
    assert np.mean(together[False]) < 0.35  # 0.8^8 = 0.17 if outputs were independent of the common mean


def test_the_promised_level_is_the_bound_of_the_theorems():
    assert promise(0.9, 20, 20) == pytest.approx(0.8)
    # Theorem 4: 1 - 2 alpha - min{2 (1 - 1/K) / (n/K + 1), (1 - K/n) / (K + 1)}
    assert promise(0.9, 100, 10) == pytest.approx(0.8 - min(2 * 0.9 / 11, 0.9 / 11))
    assert promise(0.9, 1000, 2) == pytest.approx(0.8 - min(2 * 0.5 / 501, 0.998 / 3))
    assert promise(0.4, 20, 20) == 0.0


def test_studentised_bounds_scale_with_the_deviation_and_take_the_order_statistic():
    studentised = torch.tensor([[0.5], [2.0], [1.0], [3.0]], dtype=torch.float64)
    mean, deviation = torch.zeros(2, 1, dtype=torch.float64), torch.tensor([[1.0], [4.0]], dtype=torch.float64)
    lower, upper = studentised_band(mean, deviation, studentised, torch.arange(4), 0.6)  # ceil(5 x 0.6) = third of four
    assert upper[:, 0].tolist() == [2.0, 8.0]
    assert lower[:, 0].tolist() == [-2.0, -8.0]


def test_normal_bounds_are_quantiles_with_bonferronis_correction_for_all_outputs():
    mean, deviation = torch.ones(1, 10, dtype=torch.float64), torch.full((1, 10), 2.0, dtype=torch.float64)
    lower, upper = normal_band(mean, deviation, 0.9)
    np.testing.assert_allclose(upper, 1 + 2 * norm.ppf(0.95), atol=1e-12)
    np.testing.assert_allclose(lower, 1 - 2 * norm.ppf(0.95), atol=1e-12)
    _, upper = normal_band(mean, deviation, 0.9, simultaneous=True)
    np.testing.assert_allclose(upper, 1 + 2 * norm.ppf(1 - 0.1 / 2 / 10), atol=1e-12)


def linear_case(samples=12, seed=0, outputs=2):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(300, 3))
    y = np.tanh(x @ generator.normal(size=(3, outputs))) + 0.3 * generator.normal(size=(300, outputs))
    source = pac.Dataset.from_arrays(x[:200], y[:200])
    target = pac.Dataset.from_arrays(x[200 : 200 + samples], 1.2 * y[200 : 200 + samples] + 0.1)
    surrogate = pac.pretrain(source, model=pac.MLP(hidden=(8,)), steps=200)
    return surrogate, source, target, x[220:], 1.2 * y[220:] + 0.1


@pytest.mark.filterwarnings("ignore::pac_surrogate.ExtrapolationWarning")
@pytest.mark.parametrize("method", [pac.FineTune(), pac.EWC(samples=20), "auto"])
def test_every_method_predicts_with_an_interval_in_the_layout_of_its_input(method, tmp_path):
    surrogate, source, target, x, y = linear_case()
    adapted = pac.transfer(surrogate, target, method=method, source=source, steps=50, source_steps=20)
    found = adapted.predict_interval(x, 0.8)
    np.testing.assert_array_equal(found.mean, adapted.predict(x))
    assert found.lower.shape == found.upper.shape == (len(x), 2)
    assert bool((found.lower < found.mean).all() & (found.mean < found.upper).all())
    assert found.promised == (None if method == "auto" else pytest.approx(promise(0.8, 12, 10)))
    assert 0.5 < np.mean((found.lower <= y) & (y <= found.upper)) <= 1.0
    named = adapted.predict_interval({"input": torch.as_tensor(x)}, 0.8)
    np.testing.assert_allclose(named.upper["output"].numpy(), found.upper, rtol=1e-12)
    wide = adapted.predict_interval(x, 0.8, simultaneous=True)
    assert float(np.mean(wide.upper - wide.lower)) > float(np.mean(found.upper - found.lower))
    believed = adapted.predict_interval(x, 0.99, interval="posterior")
    assert believed.promised is None
    assert bool((believed.lower < believed.upper).all())
    adapted.save(tmp_path / "s.safetensors")
    again = pac.Surrogate.load(tmp_path / "s.safetensors").predict_interval(x, 0.8)
    np.testing.assert_array_equal(again.lower, found.lower)
    far = adapted.predict_interval(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 100.0]]), 0.8)
    assert far.extrapolates.tolist() == [False, True]


def test_folds_hold_out_the_samples_that_they_record():
    surrogate, source, target, _, _ = linear_case()
    adapted = pac.transfer(surrogate, target, method=pac.LinearCorrection(strength=0.0), source=source)
    folds = adapted.folds
    scaled = adapted.scaling.standardise(target.training)  # the order in which a fit receives the samples
    x, y = torch.as_tensor(scaled.input_matrix).double(), torch.as_tensor(scaled.output_matrix).double()
    base = surrogate.network.predict(x).double()
    for place in range(len(folds.members)):
        rest = folds.fold != place
        design = torch.stack([base[rest, 0], torch.ones(int(rest.sum()))], dim=1)
        slope, offset = torch.linalg.lstsq(design, y[rest, :1]).solution[:, 0]
        held_out = folds.fold == place
        expected = y[held_out, 0] - slope * base[held_out, 0] - offset
        torch.testing.assert_close(folds.residual[held_out, 0], expected, rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore::pac_surrogate.ExtrapolationWarning")
def test_folds_of_new_outputs_predict_in_the_scale_of_the_surrogate():
    surrogate, _, target, x, _ = linear_case()
    new = pac.Dataset.from_arrays(target.x, {"pressure": 1000 + 50 * target.y[:, 0]})
    with pytest.warns(pac.DataWarning, match="outputs pressure are new"):
        adapted = pac.transfer(surrogate, new, method=pac.LinearProbe(learning_rate=1e-2), steps=400)
    found = adapted.predict_interval(x, 0.8)
    # The bounds are in physical units, around 1,000; the scalings of the folds differ from that of the surrogate.
    assert 900 < float(np.mean(found.lower)) < float(np.mean(found.upper)) < 1100
    prediction = adapted.folds.predict(adapted.scaling.inputs.standardise(torch.as_tensor(x)))
    centre = adapted.scaling.outputs.restore(prediction.mean(0))
    assert float((centre[:, 0] - torch.as_tensor(adapted.predict(x))).abs().max()) < 100


def test_a_surrogate_without_folds_names_the_remedy():
    surrogate, source, target, x, _ = linear_case()
    adapted = pac.transfer(surrogate, target, method=pac.FineTune(), source=source, steps=5, intervals=False)
    with pytest.raises(ValueError, match="intervals=True"):
        adapted.predict_interval(x)
    with pytest.raises(ValueError, match="unknown interval 'magic'"):
        adapted.predict_interval(x, interval="magic")
    few = pac.transfer(surrogate, target[:5], method=pac.FineTune(), source=source, steps=5)
    with pytest.raises(ValueError, match=r"level 0\.9 needs 9 target samples, got 5"):
        few.predict_interval(x)
    assert few.predict_interval(x, interval="posterior").promised is None


class Nothing:
    """A predictor that is never called."""

    def predict(self, x, *, batch_size=None):
        raise AssertionError

    def state(self):
        raise AssertionError


@pytest.mark.parametrize("samples", [9, 19])
def test_simultaneous_bands_of_a_choice_cover_whole_samples(samples):
    generator = torch.Generator().manual_seed(samples)
    level, outputs, covered = 0.9, 50, []
    for _ in range(400):
        residuals = torch.randn(samples, outputs, generator=generator, dtype=torch.float64)
        candidate = LeftOut(Nothing(), residuals)
        studentised = residuals.abs() / candidate.expected(torch.arange(samples)).sqrt()
        deviation = residuals.square().mean(0).sqrt().expand(1, -1)
        mean, apart = torch.zeros(1, outputs).double(), torch.arange(samples)
        lower, upper = studentised_band(mean, deviation, studentised, apart, level, simultaneous=True)
        new = torch.randn(200, outputs, generator=generator, dtype=torch.float64)
        covered.append(float(((lower <= new) & (new <= upper)).all(1).double().mean()))
    # The rank gives 0.9 for exchangeable residuals; the scale of a new sample uses n residuals, that of a left-out sample
    # n - 1. Three standard errors of 400 draws of a band are 0.02. If the scale of a left-out sample included its own
    # residual, the coverage would be 0.22 for 9 samples.
    assert 0.86 < np.mean(covered) < 0.98
