"""Targets of which some samples lack some outputs: each output is learned from its own samples, and nothing else changes."""

from functools import cache

import numpy as np
import pytest
import torch
from cases import MODELS, initial_surrogate
from shortened import shorten_searches

import pac_surrogate as pac
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.missing_values import groups_of_outputs
from pac_surrogate.data.rows import content_order
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.files.tensors import load_tensors, save_tensors
from pac_surrogate.predictors import OutputGroups
from pac_surrogate.surrogates.surrogate import Surrogate

METHODS = {
    "GP": pac.GP(on="target"),
    "GP on the residual": pac.GP(on="residual"),
    "co-kriging": pac.CoKriging(),
    "linear correction": pac.LinearCorrection(),
    "last-layer ridge": pac.LastLayerRidge(),
    "ATL": pac.ATL(),
    "candidates": [pac.LinearCorrection(), pac.SourceUnchanged()],
    "fine-tune": pac.FineTune(),
    "PAC": pac.PAC(),
    "auto": "auto",
}
NAMES = ("lift", "drag", "torque")


def values(x, change=0.0):
    return {
        "lift": np.sin(x[:, 0]) + (0.5 + change) * x[:, 1],
        "drag": 3 + np.tanh(x[:, 1]) * (1 + change),
        "torque": 1e3 * (x[:, 0] * x[:, 1] + change),
    }


X = np.random.default_rng(0).uniform(-1, 1, (40, 2))
SOURCE = Dataset.from_arrays(X, values(X))
START = initial_surrogate(pac.MLP(hidden=(6,)), SOURCE)
FEW = np.random.default_rng(1).uniform(-1, 1, (18, 2))
NEW = np.random.default_rng(2).uniform(-1, 1, (15, 2))
LACKING = {"lift": [], "drag": [0, 3, 4, 9], "torque": [0, 3, 4, 9]}  # two groups: lift alone, drag with torque


def incomplete(lacking=LACKING, order=None, **options):
    y = {name: own.copy() for name, own in values(FEW, 0.2).items()}
    for name, rows in lacking.items():
        y[name][rows] = np.nan
    rows = np.arange(len(FEW)) if order is None else order
    return Dataset.from_arrays(FEW[rows], {name: own[rows] for name, own in y.items()}, missing="mask", **options)


def alone(names, lacking=LACKING):
    """Return the target of some outputs with the samples that have them."""
    rows = np.setdiff1d(np.arange(len(FEW)), lacking[names[0]])
    return Dataset.from_arrays(FEW[rows], {name: values(FEW, 0.2)[name][rows] for name in names})


def transfer(data, method, *, surrogate=START, **options):
    few = {"source": SOURCE, "steps": 15, "source_steps": 5, "intervals": False}
    return pac.transfer(surrogate, data, method=method, **{**few, **options})


@pytest.fixture(autouse=True)
def short_searches(request, monkeypatch):
    """Cut the searches of Gaussian processes: equal numbers are equal at each of their steps. Errors need the whole search."""
    if "lowers_the_error" not in request.node.name:
        shorten_searches(monkeypatch)


@cache
def fitted(name, outputs=None, *, intervals=False):
    """Return the transfer of the incomplete target, or of some of its outputs alone; each is computed once."""
    data = incomplete() if outputs is None else alone(list(outputs))
    return transfer(data, METHODS[name], intervals=intervals, source=None if name == "auto" else SOURCE)


def of_groups(name, **options):
    return [fitted(name, names, **options) for names in (("lift",), ("drag", "torque"))]


@pytest.mark.parametrize("name", METHODS)
def test_each_output_is_predicted_as_by_a_transfer_of_its_own_samples_alone(name):
    found = fitted(name)
    assert isinstance(found.predictor, OutputGroups)
    assert found.predictor.labels == ("lift", "drag, torque")
    parts = [np.reshape(one.predict(NEW), (len(NEW), -1)) for one in of_groups(name)]
    np.testing.assert_array_equal(found.predict(NEW), np.concatenate(parts, axis=1))


@pytest.mark.parametrize("name", ["linear correction", "GP on the residual", "auto"])
@pytest.mark.parametrize("interval", ["jackknife", "posterior"])
def test_intervals_are_those_of_each_output_alone(name, interval, tmp_path):
    parts = name != "auto"  # which leaves samples out by itself
    found = fitted(name, intervals=parts)
    band = found.predict_interval(NEW, 0.8, interval=interval)
    others = [one.predict_interval(NEW, 0.8, interval=interval) for one in of_groups(name, intervals=parts)]
    for end in ("mean", "lower", "upper"):
        each = [np.reshape(getattr(one, end), (len(NEW), -1)) for one in others]
        np.testing.assert_array_equal(getattr(band, end), np.concatenate(each, axis=1))
    promises = [one.promised for one in others]
    assert band.promised == (None if None in promises else min(promises))
    found.save(tmp_path / "s")
    loaded = Surrogate.load(tmp_path / "s")
    np.testing.assert_array_equal(loaded.predict(NEW), found.predict(NEW))
    np.testing.assert_array_equal(loaded.predict_interval(NEW, 0.8, interval=interval).upper, band.upper)
    assert (loaded.choice and loaded.choice.reason) == (found.choice and found.choice.reason)
    assert repr(loaded) == repr(found)


def test_a_band_for_all_outputs_together_divides_what_it_may_miss_among_the_groups():
    """Bonferroni: at level 0.8 each of two groups has 0.9, and the sum of what they may miss is promised."""
    band = fitted("linear correction", intervals=True).predict_interval(NEW, 0.8, simultaneous=True)
    each = of_groups("linear correction", intervals=True)
    others = [one.predict_interval(NEW, 0.9, simultaneous=True) for one in each]
    parts = [np.reshape(one.upper, (len(NEW), -1)) for one in others]
    np.testing.assert_allclose(band.upper, np.concatenate(parts, axis=1), rtol=1e-12)  # 1 - 0.2 / 2 is 0.9 to rounding
    assert band.promised == pytest.approx(sum(one.promised for one in others) - 1, abs=1e-12)


def test_a_level_that_the_groups_cannot_reach_is_named_as_it_was_given():
    """At level 0.96 each of two groups has 0.98, which needs 49 samples, since 1 / (1 - 0.98) - 1 is 49."""
    found = fitted("linear correction", intervals=True)
    line = r"a band of level 0.96 for all outputs together has level 0.98 for each of the 2 groups of outputs that have the "
    with pytest.raises(ValueError, match=line + r"same samples: level 0.98 needs 49 target samples, got \d+: lower it, or use"):
        found.predict_interval(NEW, 0.96, simultaneous=True)
    with pytest.raises(ValueError, match=r"^level 0.98 needs 49 target samples"):
        found.predict_interval(NEW, 0.98)
    for level in (-0.5, 1.5):  # half of what -0.5 may miss is a level between 0 and 1, but of no band
        with pytest.raises(ValueError, match=rf"level must be between 0 and 1, got {level}"):
            found.predict_interval(NEW, level, simultaneous=True)


def test_variances_and_draws_are_those_of_the_groups():
    found = fitted("co-kriging").posterior(NEW)
    others = [one.posterior(NEW) for one in of_groups("co-kriging")]
    parts = [np.reshape(one.variance, (len(NEW), -1)) for one in others]
    np.testing.assert_array_equal(found.variance, np.concatenate(parts, axis=1))
    drawn, count = found.draws(4000, seed=1), 4000
    # Of 4,000 draws: a standard error of 1/63 of the deviation for the mean, five of them.
    assert (np.abs(drawn.mean(0) - found.mean) < 5 * np.sqrt(found.variance / count) + 1e-9).all()
    # Groups are independent: the correlation of 4,000 draws has the standard error 1/63.
    assert abs(np.corrcoef(drawn[:, 0, 0], drawn[:, 0, 1])[0, 1]) < 5 / 63
    assert fitted("linear correction").posterior(NEW).variance is None


def test_without_a_missing_number_nothing_changes():
    plain, masked = Dataset.from_arrays(FEW, values(FEW, 0.2)), incomplete({})
    assert not masked.has_missing
    assert plain.digest() == masked.digest()
    for method in (pac.GP(on="residual"), pac.FineTune()):
        before, after = (transfer(data, method, intervals=True) for data in (plain, masked))
        np.testing.assert_array_equal(before.predict(NEW), after.predict(NEW))
        assert type(before.predictor) is type(after.predictor)


def test_what_a_mask_keeps_lowers_the_error():
    """Of 18 samples only 6 are complete: with 18 samples of the lift, its error is the smaller one."""
    lacking = {"lift": [], "drag": range(12), "torque": range(12)}
    masked = transfer(incomplete(lacking), pac.GP(on="target"))
    y = {name: own.copy() for name, own in values(FEW, 0.2).items()}
    for name, rows in lacking.items():
        y[name][list(rows)] = np.nan
    line = "12 of 18 samples are left out, because numbers are missing: drag in 12, torque in 12$"
    with pytest.warns(pac.DataWarning, match=line):
        dropped_data = Dataset.from_arrays(FEW, y, missing="drop")
    assert len(dropped_data) == 6
    dropped = transfer(dropped_data, pac.GP(on="target"))
    truth = values(NEW, 0.2)["lift"]
    errors = [np.sqrt(np.mean((one.predict(NEW)[:, 0] - truth) ** 2)) for one in (masked, dropped)]
    assert errors[0] < 0.5 * errors[1], errors
    # What was measured in the six samples alone is learned alike, but not together with the lift.
    np.testing.assert_allclose(masked.predict(NEW)[:, 1], values(NEW, 0.2)["drag"], atol=1.0)


def test_the_order_of_the_rows_changes_nothing():
    order = np.random.default_rng(3).permutation(len(FEW))
    one, other = (transfer(incomplete(order=rows), pac.LastLayerRidge(), intervals=True) for rows in (None, order))
    np.testing.assert_array_equal(one.predict(NEW), other.predict(NEW))
    assert one.provenance["transfer"]["data"] == other.provenance["transfer"]["data"]
    assert incomplete().digest() != incomplete(order=order).digest()
    assert incomplete().training.digest() == incomplete(order=order).training.digest()


def test_a_number_and_a_missing_one_are_different_contents():
    """Rows that agree but for a missing number, and for numbers after it, are told apart in every order."""
    rows = np.array([[1.0, 2.0, 5.0], [1.0, np.nan, 4.0], [1.0, np.nan, 5.0], [1.0, 2.0, 5.0], [1.0, 3.0, 4.0]])
    first = rows[content_order(rows)]
    for order in np.random.default_rng(0).permuted(np.tile(np.arange(5), (10, 1)), axis=1):
        np.testing.assert_array_equal(rows[order][content_order(rows[order])], first)


def test_statistics_are_those_of_the_numbers_that_are_present():
    data, field = incomplete(), np.random.default_rng(0).normal(size=(10, 4, 3))
    scale = fit_scaling(data).outputs
    for column, name in enumerate(NAMES):
        own = fit_scaling(alone([name])).outputs
        for number in ("mean", "deviation", "low", "high", "logarithmic"):
            np.testing.assert_allclose(getattr(scale, number)[column], getattr(own, number)[0], rtol=1e-14)
    field[3] = np.nan  # a whole field, and one channel of another
    field[5, :, 1] = np.nan
    masked = Dataset.from_arrays(np.arange(10.0), {"v": field}, axes={"v": ("x", "channel")}, missing="mask")
    found = fit_scaling(masked).outputs
    np.testing.assert_allclose(found.mean.reshape(4, 3)[0], np.nanmean(field, axis=(0, 1)), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(found.deviation.reshape(4, 3)[2], np.nanstd(field, axis=(0, 1)), rtol=1e-13)


def test_groups_are_the_outputs_with_the_same_samples():
    present = np.array([[1, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1]], dtype=bool)
    found = [(columns.tolist(), rows.tolist()) for columns, rows in groups_of_outputs(present)]
    assert found == [([0, 3], [0, 1, 2]), ([1], [0, 2]), ([2], [1, 2])]


def test_columns_of_one_array_may_be_missing_in_a_multilayer_perceptron():
    """The columns of an array are fitted as variables of their own would be, up to the order of the sums in their scales."""
    y, truth = np.column_stack(list(values(X).values())), np.column_stack(list(values(FEW, 0.2).values()))
    start = initial_surrogate(pac.MLP(hidden=(6,)), Dataset.from_arrays(X, y))
    truth[[0, 3, 4, 9], 1:] = np.nan
    options = {"surrogate": start, "source": Dataset.from_arrays(X, y)}
    for method in (pac.LastLayerRidge(), pac.FineTune()):
        found = transfer(Dataset.from_arrays(FEW, truth, missing="mask"), method, **options)
        assert found.predictor.labels == ("output[0]", "output[1, 2]")
        # Rounding of 1e-16 in the scales passes a few dozen steps of Adam, of which each may double it, or one solve.
        np.testing.assert_allclose(found.predict(NEW), transfer(incomplete(), method).predict(NEW), rtol=1e-9)


def test_an_output_that_is_new_to_the_source_is_learned_from_its_samples():
    y = {"lift": values(FEW, 0.2)["lift"], "new": np.where(np.arange(18) < 12, FEW[:, 0] ** 2, np.nan)}
    with pytest.warns(pac.DataWarning, match="new are new"):
        found = transfer(Dataset.from_arrays(FEW, y, missing="mask"), pac.LastLayerRidge())
    with pytest.warns(pac.DataWarning, match="new are new"):
        own = transfer(Dataset.from_arrays(FEW[:12], {"new": y["new"][:12]}), pac.LastLayerRidge())
    lift = transfer(Dataset.from_arrays(FEW, {"lift": y["lift"]}), pac.LastLayerRidge())
    np.testing.assert_array_equal(found.predict(NEW), np.column_stack([lift.predict(NEW), own.predict(NEW)]))


def test_a_field_of_a_convolutional_network_is_missing_as_a_whole():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(30, 8))
    y = {"u": np.tanh(x), "v": np.roll(x, 1, axis=1)}
    axes = {"input": ("x",), "u": ("x",), "v": ("x",)}
    start = initial_surrogate(MODELS["CNN"], Dataset.from_arrays(x, y, axes=axes))
    few = {name: own[:10].copy() for name, own in y.items()}
    few["v"][:4] = np.nan
    data = Dataset.from_arrays(x[:10], few, axes=axes, missing="mask")
    found = transfer(data, pac.FineTune(), surrogate=start, source=None).predict({"input": x[10:]})
    own = Dataset.from_arrays(x[4:10], {"v": y["v"][4:10]}, axes={"input": ("x",), "v": ("x",)})
    np.testing.assert_array_equal(found["v"], transfer(own, pac.FineTune(), surrogate=start, source=None).predict(x[10:]))
    few["v"][5, 2] = np.nan
    data = Dataset.from_arrays(x[:10], few, axes=axes, missing="mask")
    with pytest.raises(ValueError, match="must lack a field of a convolutional network as a whole, they lack some points of v"):
        transfer(data, pac.FineTune(), surrogate=start, source=None)


def test_the_choice_names_the_candidates_of_each_group():
    choice, others = fitted("auto").choice, [one.choice for one in of_groups("auto")]
    assert choice.method == f"lift: {others[0].method}; drag, torque: {others[1].method}"
    assert choice.reason == f"lift: {others[0].reason}; drag, torque: {others[1].reason}"
    assert [one.name for one in choice.table[: len(others[0].table)]] == [f"lift: {one.name}" for one in others[0].table]
    assert len(choice.table) == sum(len(one.table) for one in others)


def test_the_warning_about_the_source_network_is_that_of_each_group():
    """The source is wrong by a known error on the torque alone, and a shift corrects nothing of it."""
    noise = np.random.default_rng(5).normal(size=len(FEW))
    y = values(FEW)
    y["torque"] = y["torque"] + 300 * noise
    y["torque"][:5] = np.nan
    poor = {"validation": {"outputs": {"lift": 0.0, "drag": 0.0, "torque": 1.0}, "error": 1.0, "samples": 9}}
    start = Surrogate(START.predictor, START.scaling, START.inputs, START.outputs, provenance=poor)
    data = Dataset.from_arrays(FEW, y, missing="mask")
    with pytest.warns(pac.DataWarning, match="bottleneck of torque: its error") as caught:
        transfer(data, pac.LinearCorrection(), surrogate=start, intervals=True)
    assert len([one for one in caught if "bottleneck" in str(one.message)]) == 1


def test_samples_without_any_output_are_left_out_and_the_result_is_an_ordinary_one():
    lacking = {name: [0, 3, 4, 9] for name in NAMES}
    found = transfer(incomplete(lacking), pac.LinearCorrection())
    np.testing.assert_array_equal(
        found.predict(NEW), transfer(alone(list(NAMES), lacking), pac.LinearCorrection()).predict(NEW)
    )
    assert not isinstance(found.predictor, OutputGroups)


def test_a_method_that_fails_for_a_group_names_it():
    line = "^drag, torque: .*1"
    with pytest.raises(ValueError, match=line) as caught:
        transfer(incomplete({"lift": [], "drag": range(17), "torque": range(17)}), pac.CoKriging())
    assert "\n" not in str(caught.value)


def test_masked_entries_and_nan_are_the_same():
    y = np.ma.masked_array(np.column_stack(list(values(FEW).values())), mask=False)
    y[2, 1] = np.ma.masked
    y[4] = np.ma.masked
    data = Dataset.from_arrays(FEW, y, missing="mask")
    assert np.isnan(data.output_matrix).sum() == 4
    plain = Dataset.from_arrays(FEW, y.filled(np.nan), missing="mask")
    assert plain.digest() == data.digest()
    whole = np.ma.masked_array(np.arange(18), mask=np.arange(18) == 3)  # integers under a mask
    np.testing.assert_array_equal(np.isnan(Dataset.from_arrays(FEW, whole, missing="mask").y), np.arange(18) == 3)


@pytest.fixture
def masked():
    return incomplete()


def test_what_needs_all_outputs_refuses_in_a_line(masked, tmp_path):
    line = "must have all outputs of every sample, some of drag, torque are missing"
    calls = (
        lambda: pac.pretrain(masked, steps=1),
        lambda: pac.pretrain(SOURCE, valid=masked, steps=1),
        lambda: pac.transfer(START, SOURCE, source=masked),
        lambda: pac.next_samples(START, masked, NEW, 2),
        lambda: pac.transfer_curve(SOURCE, masked, methods={"shift": pac.LinearCorrection()}, sizes=(2,), seeds=1),
        lambda: pac.prune_and_allocate(START, masked),
    )
    for call in calls:
        with pytest.raises(ValueError, match=line) as caught:
            call()
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="drag must be finite, it is nan at sample 0"):
        masked.save(tmp_path / "masked.h5")


def test_what_cannot_be_learned_or_read_is_refused_in_a_line():
    y = {name: own.copy() for name, own in values(FEW).items()}
    y["drag"][3] = np.nan
    gap = FEW.copy()
    gap[0, 1] = np.nan
    remedy = "repair or drop this sample, or pass missing='drop'"
    cases = {
        f"drag must be finite, it is nan at sample 3: {remedy} or missing='mask'$": (FEW, y, None),
        f"input must be finite, it is nan at sample 0, component 1: {remedy}$": (
            gap,
            y,
            None,
        ),
        r"input must be finite, it is nan at sample 0, component 1": (gap, y, "mask"),
        r"drag must be finite, it is inf at sample 3": (FEW, {**y, "drag": np.where(np.isnan(y["drag"]), np.inf, 1)}, "mask"),
        r"at least 1 sample without a missing number is required, got none of 18 \(drag in 18\)": (
            *(FEW, {**y, "drag": np.full(18, np.nan)}, "drop"),
        ),
    }
    for line, (x, outputs, missing) in cases.items():
        with pytest.raises(ValueError, match=line) as caught:
            Dataset.from_arrays(x, outputs, missing=missing)
        assert "\n" not in str(caught.value)
    nothing = Dataset.from_arrays(FEW, {**y, "drag": np.full(18, np.nan)}, missing="mask")
    with pytest.raises(ValueError, match="must have every output in at least 1 training sample, drag is missing in all 18"):
        transfer(nothing, "auto")


def test_damaged_groups_are_refused(tmp_path):
    found = transfer(incomplete(), pac.LinearCorrection(), intervals=True)
    found.save(tmp_path / "s")
    tensors, header = load_tensors(tmp_path / "s")

    def refused(changed_tensors, changed_header, line):
        save_tensors(tmp_path / "damaged", changed_tensors, changed_header)
        with pytest.raises(pac.DatasetError, match=line) as caught:
            Surrogate.load(tmp_path / "damaged")
        assert "\n" not in str(caught.value)

    own = header["predictor"]
    nested = {**own, "members": [own, own["members"][1]]}
    refused(tensors, {**header, "predictor": nested}, "cannot be of the kind OutputGroups")
    refused(tensors, {**header, "predictor": {**own, "labels": ["a"]}}, "numbered 0, 1, ... without a gap")
    refused({**tensors, "groups/group": torch.tensor([0, 1])}, header, "must be torch.int64 of shape")
    refused({**tensors, "groups/group": torch.tensor([0, 0, 1])}, header, "not a complete surrogate")
    refused(tensors, {**header, "predictor": {**own, "members": own["members"][:1]}}, "not a complete surrogate")
    for name, numbers in tensors.items():
        if numbers.is_floating_point() and numbers.numel() and not any(f"fold{k}/" in name for k in range(1, 10)):
            refused({**tensors, name: torch.full_like(numbers, torch.nan)}, header, "must be finite")


def test_the_outputs_of_interleaved_groups_stand_in_their_order():
    groups = OutputGroups((START.predictor,) * 2, (None,) * 2, torch.tensor([0, 1, 1, 0]), ("a", "b"))
    assert groups.placed([torch.tensor([[0.0, 3.0]]), torch.tensor([[1.0, 2.0]])]).tolist() == [[0.0, 1.0, 2.0, 3.0]]
    found = transfer(incomplete({"lift": [5, 6], "drag": [1, 2], "torque": [5, 6]}), pac.LinearCorrection())
    assert found.predictor.labels == ("lift, torque", "drag")
    for name, rows in (("lift", [5, 6]), ("drag", [1, 2]), ("torque", [5, 6])):
        own = transfer(alone([name], {name: rows}), pac.LinearCorrection())
        np.testing.assert_allclose(found.predict({"input": NEW})[name], own.predict(NEW), rtol=1e-9)  # solved beside another


def test_outputs_in_another_order_and_by_position_are_the_same():
    expected = fitted("last-layer ridge").predict({"input": NEW})
    data = incomplete()
    turned = Dataset.from_arrays(FEW, {name: data[name] for name in reversed(NAMES)}, missing="mask")
    found = transfer(turned, METHODS["last-layer ridge"])
    for name in NAMES:
        np.testing.assert_array_equal(found.predict({"input": NEW})[name], expected[name])
    np.testing.assert_array_equal(found.predict(NEW), np.column_stack([expected[name] for name in reversed(NAMES)]))
    listed = transfer(Dataset.from_arrays(FEW, data.output_matrix, missing="mask"), METHODS["last-layer ridge"])
    np.testing.assert_array_equal(listed.predict(NEW), np.column_stack([expected[name] for name in NAMES]))


def test_an_input_at_a_set_point_of_the_source_is_scaled_by_all_samples():
    """The scale of an input is that of all samples, where the source has none: the groups have one scale of inputs."""
    still = Dataset.from_arrays(np.column_stack([X, np.full(40, 7.0)]), values(X))
    start, x = initial_surrogate(pac.MLP(hidden=(6,)), still), np.column_stack([FEW, np.linspace(6, 9, 18)])
    y = {**values(FEW, 0.2), "drag": np.where(np.arange(18) < 9, np.nan, values(FEW, 0.2)["drag"])}
    with pytest.warns(pac.DataWarning, match="at a set point"):
        found = transfer(Dataset.from_arrays(x, y, missing="mask"), pac.LastLayerRidge(), surrogate=start, source=None)
    with pytest.warns(pac.DataWarning, match="at a set point"):
        whole = transfer(Dataset.from_arrays(x, values(FEW, 0.2)), pac.LastLayerRidge(), surrogate=start, source=None)
    np.testing.assert_allclose(found.scaling.inputs.deviation, whole.scaling.inputs.deviation, rtol=1e-15)
    assert np.isfinite(found.predict(x)).all()


def test_rows_of_an_incomplete_dataset_may_be_complete():
    data = incomplete()
    assert data.has_missing
    assert data[:5].has_missing
    assert not data[10:].has_missing
    assert "missing  8 numbers of the outputs" in repr(data)
    assert "missing" not in repr(data[10:])
    with pytest.warns(pac.DataWarning, match="1 of 18 samples are left out, because numbers are missing: input in 1$"):
        dropped = Dataset.from_arrays(np.where(np.arange(18)[:, None] == 2, np.nan, FEW), values(FEW), missing="drop")
    np.testing.assert_array_equal(dropped.x, np.delete(FEW, 2, axis=0))
