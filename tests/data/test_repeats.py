"""Repeated inputs: found, left out together in leave-one-out, counted once; repeated measurements inform the noise estimate."""

import numpy as np
import pytest
import torch
from cases import surrogate as small
from drawing import normal as draws

import pac_surrogate as pac
from pac_surrogate.data.repeats import NEAR, count_of, group_mean, group_sum, groups_of, repeated, sample_weights
from pac_surrogate.intervals.bands import cross_validation_band, order_statistic, studentised_band
from pac_surrogate.kernels.spectrum import Spectrum
from pac_surrogate.methods.around.linear_correction import RidgeLines, fit_lines
from pac_surrogate.predictors import LeftOut
from pac_surrogate.selection.candidates import RIDGES, candidates
from pac_surrogate.selection.stacking import explain, weigh

RNG = np.random.default_rng(0)
input_of = torch.tensor([0, 1, 2, 1, 3, 4, 0, 1])  # one input twice, one three times, and three single ones


def test_equal_and_nearly_equal_inputs_form_one_group_and_others_do_not():
    x = draws(5, 3)
    x = torch.cat([x, x[1:2] + 0.99 * NEAR, x[2:3] + torch.tensor([0.0, 1.01 * NEAR, 0.0]), x[:1]])
    assert groups_of(x).tolist() == [0, 1, 2, 3, 4, 1, 5, 0]
    assert groups_of(x[:5]).tolist() == [0, 1, 2, 3, 4]
    assert groups_of(x[:0]).tolist() == []
    assert groups_of(x[:1]).tolist() == [0]
    chain = 0.9 * NEAR * torch.arange(4, dtype=torch.float64)[:, None]
    assert groups_of(chain).tolist() == [0, 0, 0, 0]  # each is close to the next


def test_sums_means_and_sample_weights_are_those_of_the_groups():
    values = draws(8, 2)
    for i in range(8):
        own = values[input_of == input_of[i]]
        torch.testing.assert_close(group_sum(values, input_of)[i], own.sum(0), rtol=1e-14, atol=1e-15)
        torch.testing.assert_close(group_mean(values, input_of)[input_of[i]], own.mean(0), rtol=1e-14, atol=1e-15)
        assert float(sample_weights(input_of)[i]) == 1 / len(own)
    assert count_of(input_of) == 5
    assert [members.tolist() for members in repeated(input_of)] == [[0, 6], [1, 3, 7]]


@pytest.mark.parametrize("shared", [False, True])
def test_a_kernel_leaves_repeats_out_together(shared):
    """Compare with fits to the other samples: the residuals, and the squared residuals that those fits expect."""
    outputs = 2
    root = draws(5, 3, seed=1)[input_of] if shared else draws(5, 4, outputs, seed=1)[input_of].permute(0, 2, 1).reshape(16, 4)
    gram, residual, ratio = root @ root.T, draws(8, outputs), 0.3
    found = Spectrum.of(gram, residual, input_of, shared=shared).solve(ratio)
    for number in range(5):
        own, rest = input_of == number, input_of != number
        if not shared:
            own, rest = (mask.repeat_interleave(outputs) for mask in (own, rest))
        r = residual if shared else residual.reshape(-1, 1)
        seen = gram[rest][:, rest] + ratio * torch.eye(int(rest.sum())).double()
        solved = torch.linalg.solve(seen, r[rest])
        expected = r[own] - gram[own][:, rest] @ solved
        members = input_of == number
        torch.testing.assert_close(found.left_out[members], expected.reshape(-1, outputs), rtol=0, atol=1e-11)
        scale = (r[rest] * solved).sum(0) / len(r[rest])  # s^2 of the other samples
        spread = gram[own][:, own] - gram[own][:, rest] @ torch.linalg.solve(seen, gram[rest][:, own])
        variance = (spread.diagonal() + ratio)[:, None] * scale
        torch.testing.assert_close(
            found.left_out_variance[members], variance.reshape(int(members.sum()), outputs), rtol=1e-9, atol=0
        )


@pytest.mark.parametrize("linear", [False, True])
def test_lines_leave_repeats_out_together(linear):
    x, y, before = draws(5, 3, seed=1)[input_of], draws(8, 2, seed=2), draws(5, 2, seed=3)[input_of]
    for lines, strength in zip(RidgeLines.grid(before, x, y, RIDGES, linear=linear), RIDGES, strict=True):
        for i in range(8):
            rest = input_of != input_of[i]
            own = strength * 8 / int(rest.sum())  # keeps strength times samples
            a, b, c = fit_lines(before[rest], x[rest], y[rest], strength=own, linear=linear)
            guess = a * before + b + x @ c
            torch.testing.assert_close(lines.left_out[i], (y - guess)[i], rtol=0, atol=1e-5)


def test_a_process_leaves_repeats_out_together():
    """Use the hyper-parameters of a fit without the fold: the residuals are those of the other samples alone."""
    x, y = draws(5, 2, seed=1)[input_of], draws(8, 1, seed=2)
    data = pac.Dataset.from_arrays(x.numpy(), y.numpy())
    found = pac.GP(on="target").left_out(small("MLP").network, data)
    assert len(found.predictor.points) == 8  # every sample is used in the fit
    for number in range(5):
        rest = input_of % 5 != number  # each of the five inputs is one fold
        alone = pac.GP(on="target").solve(small("MLP").network, pac.Dataset.from_arrays(x[rest].numpy(), y[rest].numpy()))
        # Both searches end where two steps gain less than 1e-7 of the evidence.
        torch.testing.assert_close(found.residual[~rest], y[~rest] - alone.predict(x[~rest]), rtol=0, atol=1e-3)


def test_a_repeated_sample_is_weighted_once():
    """The weights of candidates, and the reported errors of the choice, are those of the samples without repeats."""
    residuals, apart = draws(3, 5, 1) * torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)[:, None, None], torch.arange(5)
    found = {str(k): LeftOut(small("MLP").network, own) for k, own in enumerate(residuals)}
    again = {str(k): LeftOut(small("MLP").network, own) for k, own in enumerate(residuals[:, input_of])}
    weights = weigh(residuals, 5)
    weights_of_samples = sample_weights(input_of)[:, None].sqrt()
    torch.testing.assert_close(weigh(residuals[:, input_of] * weights_of_samples, 5), weights, rtol=1e-9, atol=1e-12)
    once, twice = (
        explain(some, weights, residuals[1][rows].square().mean(1), group)
        for some, rows, group in ((found, apart, apart), (again, input_of, input_of))
    )
    assert [(a.name, pytest.approx(a.error), pytest.approx(a.standard_error)) for a in once.table] == [
        (b.name, b.error, b.standard_error) for b in twice.table
    ]


def test_the_expected_variance_comes_from_other_inputs():
    candidate = LeftOut(small("MLP").network, draws(8, 2))
    for i in range(8):
        expected = candidate.residual[input_of != input_of[i]].square().mean(0)
        torch.testing.assert_close(candidate.expected(input_of)[i], expected, rtol=1e-12, atol=0)


def test_an_order_statistic_counts_every_input_once():
    values = torch.tensor([3.0, 1.0, 2.0, 1.0, 5.0, 4.0, 3.0, 1.0], dtype=torch.float64)
    weight = sample_weights(input_of)  # each input counted once: 1, 2, 3, 4, 5
    assert [float(order_statistic(values, weight, rank)) for rank in range(1, 6)] == [1.0, 2.0, 3.0, 4.0, 5.0]
    apart = torch.arange(8)
    assert float(order_statistic(values, sample_weights(apart), 5)) == 3.0


def test_bands_of_repeated_samples_equal_those_of_single_samples():
    residual, studentised, around, deviation = draws(5, 2), draws(5, 2).abs(), draws(5, 3, 2), draws(3, 2, seed=4).abs()
    apart, mean = torch.arange(5), torch.zeros(3, 2, dtype=torch.float64)
    for simultaneous in (False, True):
        options = {"simultaneous": simultaneous}
        once = cross_validation_band(around, apart, residual, apart, 0.8, **options)
        again = cross_validation_band(around, input_of, residual[input_of], input_of, 0.8, **options)
        torch.testing.assert_close(once, again, rtol=1e-12, atol=1e-14)
        once = studentised_band(mean, deviation, studentised, apart, 0.8, **options)
        assert torch.equal(once[1], studentised_band(mean, deviation, studentised[input_of], input_of, 0.8, **options)[1])
    with pytest.raises(ValueError, match=r"level 0\.9 needs 9 target samples, got 5"):
        cross_validation_band(around, input_of, residual[input_of], input_of, 0.9)


def plain(x):
    return np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2]


def moved(x):
    return 1.2 * np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * x[:, 0]


X, FEW, NEW = RNG.random((400, 3)), RNG.random((12, 3)), RNG.random((200, 3))
SOURCE = pac.Dataset.from_arrays(X, plain(X))


@pytest.fixture(scope="module")
def surrogate():
    return pac.pretrain(SOURCE, model=pac.MLP(hidden=(16, 16)), steps=400, learning_rate=3e-3)


def judged(adapted):
    band, truth = adapted.predict_interval(NEW, 0.9), moved(NEW)
    error = np.sqrt(np.mean((adapted.predict(NEW) - truth) ** 2)) / truth.std()
    return error, np.mean((truth >= band.lower) & (truth <= band.upper)), np.mean(band.upper - band.lower) / truth.std()


def test_each_input_is_weighted_once_in_a_choice(surrogate):
    rows = [*range(12), 0, 0, 0, 0, 0]
    target = pac.Dataset.from_arrays(FEW[rows], moved(FEW[rows]))
    with pytest.warns(pac.DataWarning, match="repeat inputs"):
        mixture = pac.transfer(surrogate, target).predictor
    data = surrogate.scaling.standardise(target.training)
    group = groups_of(torch.as_tensor(data.input_matrix))
    residuals = torch.stack([candidate.residual for candidate in candidates(surrogate, data).values()])
    expected = weigh(residuals * sample_weights(group)[:, None].sqrt(), 12)
    kept = expected[expected > 0].sort(descending=True).values
    torch.testing.assert_close(mixture.weights, kept, rtol=1e-6, atol=1e-9)
    assert float((weigh(residuals, 12).sort(descending=True).values[: len(kept)] - kept).abs().max()) > 1e-3


@pytest.mark.parametrize("rows", [[*range(12), *range(12)], [*range(12), 3], [*range(12), 0, 0, 0]])
def test_repeated_rows_harm_neither_the_choice_nor_its_intervals(surrogate, rows):
    """12 doubled rows have given an error of 0.49 instead of 0.03, and intervals that covered nothing."""
    once = judged(pac.transfer(surrogate, pac.Dataset.from_arrays(FEW, moved(FEW)), source=SOURCE))
    with pytest.warns(
        pac.DataWarning, match=r"target samples repeat inputs, to a ten-thousandth of a deviation \(.* and 1[25]"
    ):
        adapted = pac.transfer(surrogate, pac.Dataset.from_arrays(FEW[rows], moved(FEW[rows])), source=SOURCE)
    again = judged(adapted)
    assert again[0] < 2 * once[0] + 0.005  # same function and inputs; the ratios of a grid differ by half a decade
    assert again[1] > 0.75  # nominally 0.9 from 12 inputs; the standard deviation of the coverage is 0.08
    assert again[2] < 3 * once[2] + 0.02
    assert adapted.choice.table[0].error > 1e-6  # 1e-9 was the error of a copy


@pytest.mark.parametrize("method", [pac.LinearCorrection(), pac.GP(on="target"), pac.ATL(), pac.FineTune(learning_rate=3e-3)])
def test_folds_keep_repeats_together(surrogate, method):
    rows = [*range(12), 0, 5, 5]
    with pytest.warns(pac.DataWarning, match="repeat inputs"):
        adapted = pac.transfer(
            surrogate, pac.Dataset.from_arrays(FEW[rows], moved(FEW[rows])), source=SOURCE, method=method, steps=20
        )
    folds = adapted.folds
    assert count_of(folds.group) == 12
    assert len(folds.members) == 10
    for number in range(12):
        assert len(set(folds.fold[folds.group == number].tolist())) == 1
    assert adapted.predict_interval(NEW, 0.9).promised is not None
    with pytest.raises(ValueError, match=r"needs 19 target samples, got 12"):
        adapted.predict_interval(NEW, 0.95)


def test_repeats_of_a_noisy_measurement_inform_the_noise_estimate(surrogate):
    """Use 4 readings of each of 12 inputs, noise 0.3 deviations: intervals hold new readings, and repeats lower the error."""
    noise = 0.3 * moved(NEW).std()
    generator, covered, errors = np.random.default_rng(1), [], []
    for _ in range(4):
        few = generator.random((12, 3))
        rows = np.repeat(np.arange(12), 4)
        y = moved(few[rows]) + noise * generator.normal(size=48)
        with pytest.warns(pac.DataWarning, match="repeat inputs"):
            adapted = pac.transfer(surrogate, pac.Dataset.from_arrays(few[rows], y), source=SOURCE)
        single = pac.transfer(surrogate, pac.Dataset.from_arrays(few, y[::4]), source=SOURCE)
        band = adapted.predict_interval(NEW, 0.9)
        reading = moved(NEW) + noise * generator.normal(size=200)
        covered.append(np.mean((reading >= band.lower) & (reading <= band.upper)))
        errors.append([np.sqrt(np.mean((one.predict(NEW) - moved(NEW)) ** 2)) for one in (adapted, single)])
    # 12 inputs calibrate each band: the coverage of one draw has a standard deviation of 0.08, the mean of four draws 0.04.
    assert 0.76 < np.mean(covered) <= 1.0
    assert np.mean(errors, axis=0)[0] < np.mean(errors, axis=0)[1]  # four readings contain more information than one
