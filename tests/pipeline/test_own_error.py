"""What a source network is known to miss of its own source, and the warnings about it."""

import dataclasses
import warnings
from typing import ClassVar

import numpy as np
import pytest
import torch
from cases import initial_surrogate

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.pipeline import _warn_of_source
from pac_surrogate.predictors import Mixture, Network
from pac_surrogate.predictors.choice import CandidateError, Choice
from pac_surrogate.prepare import prepare
from pac_surrogate.pretraining import _held_out, _warn_of_error
from pac_surrogate.surrogates.own_error import known_error, own_error

SMALL = {"model": pac.MLP(hidden=(16, 16)), "steps": 300, "learning_rate": 1e-2, "device": "cpu"}
NOTHING, BOTTLENECK = "the inputs explain almost nothing", "the source network is the bottleneck"


def table(samples, seed=0):
    """Return inputs and a smooth function of them."""
    x = np.random.default_rng(seed).uniform(-1, 1, size=(samples, 3))
    return x, np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2]


def messages(call):
    """Return the result of a call and the texts of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    return result, [str(one.message) for one in caught]


def exact(shift, scale=1.0, samples=60):
    """Return a surrogate of two outputs which is off by known amounts, and the data: f - y is `shift` in each output."""
    x = np.linspace(-1, 1, samples)[:, None]
    y = {"a": scale * x[:, 0], "b": np.stack([x[:, 0], -x[:, 0]], axis=1), "c": np.full(samples, 3.0)}
    data = pac.Dataset.from_arrays({"x": x}, y)
    found = initial_surrogate(pac.Module(torch.nn.Linear(1, 4)), data)
    # Standardised, every output is the standardised input or its negative, and the constant one is 0.
    weights = {"module.weight": torch.tensor([[1.0], [1.0], [-1.0], [0.0]]).double()}
    weights["module.bias"] = torch.tensor(shift, dtype=torch.float64)
    return dataclasses.replace(found, predictor=dataclasses.replace(found.network, weights=weights)), data


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_the_error_is_in_deviations_of_each_output_and_leaves_constant_ones_out(scale):
    found, data = exact([0.3, 0.4, 0.0, 5.0], scale)
    measured = own_error(found, data)
    assert measured["samples"] == 60
    assert list(measured["outputs"]) == ["a", "b"]  # c does not vary, so no error of it has a scale
    # Closed forms, to the rounding of sums of 60 numbers in float64.
    assert measured["outputs"]["a"] == pytest.approx(0.3, rel=1e-12)
    assert measured["outputs"]["b"] == pytest.approx(np.sqrt(0.16 / 2), rel=1e-12)
    assert measured["error"] == pytest.approx(np.sqrt((0.09 + 0.16) / 3), rel=1e-12)
    assert measured["explained"] == pytest.approx(1 - (0.09 + 0.16) / 3, rel=1e-12)  # the outputs' mean square is 1


def test_predicting_the_mean_has_an_error_of_one_and_explains_nothing():
    found, data = exact([0.0] * 4)
    weights = {name: torch.zeros_like(weight) for name, weight in found.weights.items()}
    found = dataclasses.replace(found, predictor=dataclasses.replace(found.network, weights=weights))
    measured = own_error(found, data)
    assert (measured["error"], measured["explained"]) == pytest.approx((1.0, 0.0), abs=1e-12)  # rounding of a variance of 1
    assert measured["standard_error"] < 1e-12  # both mean squares are the same number for each sample


def test_the_standard_error_of_the_explained_fraction_is_its_deviation_over_samples():
    """Noise of variance 0.7 on a signal of variance 0.3: a = 0.7, b = 1, and the fraction is 0.3.

    The reference is the deviation of the estimate over 2,000 sets of 200 samples, which is known to 1 / sqrt(4,000), or 1.6 %;
    the linearisation of the ratio leaves terms of order 1 / 200. The mean over the sets has a standard error below 0.002.
    """
    generator = np.random.default_rng(0)
    x, noise = generator.normal(size=(2000, 200)), generator.normal(size=(2000, 200))
    signal = np.sqrt(0.3) * x
    ours, means = 0.7 * noise**2, (signal + np.sqrt(0.7) * noise) ** 2
    found = 1 - ours.mean(1) / means.mean(1)
    assert found.mean() == pytest.approx(0.3, abs=0.01)
    base, _ = exact([0.0] * 4)
    columns = base.scaling.outputs
    scaling = dataclasses.replace(
        base.scaling, outputs=dataclasses.replace(columns, mean=torch.zeros(4).double(), deviation=torch.ones(4).double())
    )
    single = torch.tensor([[0.3**0.5], [0.0], [0.0], [0.0]]).double()
    weights = {"module.weight": single, "module.bias": torch.zeros(4).double()}
    inputs = dataclasses.replace(base.scaling.inputs, mean=torch.zeros(1).double(), deviation=torch.ones(1).double())
    base = dataclasses.replace(
        base,
        scaling=dataclasses.replace(scaling, inputs=inputs),
        predictor=dataclasses.replace(base.network, weights=weights),
    )
    errors = []
    for row in range(50):
        y = np.zeros((200, 4))
        y[:, 0] = signal[row] + np.sqrt(0.7) * noise[row]
        samples = pac.Dataset.from_arrays({"x": x[row]}, {"a": y[:, 0], "b": y[:, 1:3], "c": y[:, 3]})
        errors.append(own_error(base, samples)["standard_error"])
    assert np.mean(errors) == pytest.approx(found.std(), rel=0.1)


def test_what_cannot_be_measured_is_none():
    found, data = exact([0.3, 0.4, 0.0, 5.0])
    assert own_error(found, data[:0]) is None
    assert own_error(found, data[:1])["standard_error"] is None
    infinite = {"module.weight": found.weights["module.weight"], "module.bias": torch.full((4,), np.inf).double()}
    broken = dataclasses.replace(found, predictor=dataclasses.replace(found.network, weights=infinite))
    assert own_error(broken, data) is None


def test_pretrain_keeps_the_error_on_samples_that_it_was_not_trained_on(tmp_path):
    x, y = table(400)
    unseen = pac.Dataset.from_arrays(*table(100, seed=1))
    surrogate = pac.pretrain(x, y, valid=unseen, **SMALL)
    kept = surrogate.provenance["validation"]
    # The training's own scales and the same weights: only the rounding of float32 lies between.
    missed = np.sqrt(np.mean((surrogate.predict(unseen.x) - unseen.y) ** 2)) / y.std()
    assert kept["error"] == pytest.approx(missed, rel=1e-4)
    assert kept["samples"] == 100
    assert f"validated on  100 samples, error {kept['error']:.3g} of the deviation\n" in f"{surrogate!r}\n"
    surrogate.save(tmp_path / "s")
    loaded = pac.Surrogate.load(tmp_path / "s")
    assert loaded.provenance["validation"] == kept
    assert repr(loaded) == repr(surrogate)
    adapted = pac.transfer(surrogate, unseen[:8], method=pac.SourceUnchanged(), intervals=False)
    assert "validated on    100 samples" in repr(adapted)  # what is known of its source


def test_a_tenth_of_the_samples_is_held_out_and_not_trained_on():
    x, y = table(300)
    surrogate = pac.pretrain(x, y, **SMALL)
    assert surrogate.provenance["validation"]["samples"] == 30
    assert "validated on  30 of these samples, error " in repr(surrogate)
    whole = pac.pretrain(x, y, valid=0, **SMALL)
    assert "validation" not in whole.provenance
    assert surrogate.provenance["data"] == whole.provenance["data"]  # both are known by all their samples
    torch.testing.assert_close(surrogate.scaling.outputs.deviation, whole.scaling.outputs.deviation, rtol=0, atol=0)
    # A network which interpolates any ten outputs it trains on would have no error on them; noise cannot be foreseen.
    noise = np.random.default_rng(2).normal(size=120)
    learned = {**SMALL, "model": pac.MLP(hidden=(64, 64)), "steps": 600}
    lost = messages(lambda: pac.pretrain(x[:120], noise, **learned))[0].provenance["validation"]["error"]
    assert 0.6 < lost < 1.4  # 1 with a sampling error of 1 / sqrt(24) = 0.2, two of which are granted
    memorised = pac.pretrain(x[:120], noise, valid=0, **learned)
    assert np.std(memorised.predict(x[:120]) - noise) < 0.3 * noise.std()


def test_samples_of_one_input_are_held_out_together():
    x, y = table(60)
    data = pac.Dataset.from_arrays(np.repeat(x, 5, axis=0), np.repeat(y, 5) + np.tile(np.arange(5.0), 60))
    kept, held = _held_out(data, fit_scaling(data), 0.1)
    inputs = [{tuple(row) for row in part.input_matrix} for part in (kept, held)]
    assert [len(part) for part in inputs] == [54, 6]
    assert inputs[0].isdisjoint(inputs[1])
    assert sorted([*kept.output_matrix[:, 0], *held.output_matrix[:, 0]]) == sorted(data.output_matrix[:, 0])
    everything = _held_out(data[:5], fit_scaling(data), 0.9)  # one input: it is kept
    assert [len(part) for part in everything] == [5, 0]


def test_fewer_than_a_hundred_samples_are_all_trained_on_and_splits_are_used():
    x, y = table(99)
    assert "validation" not in pac.pretrain(x, y, **{**SMALL, "steps": 2}).provenance
    assert pac.pretrain(x, y, valid=0.2, **{**SMALL, "steps": 2}).provenance["validation"]["samples"] == 20
    split = pac.Dataset.from_arrays(x, y, valid=0.3)
    by_split, given = (pac.pretrain(split, valid=valid, **SMALL) for valid in (None, split.valid))
    assert by_split.provenance["validation"] == given.provenance["validation"]
    assert all(torch.equal(by_split.weights[name], given.weights[name]) for name in given.weights)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", ["good", "noisy", "shuffled"])
def test_inputs_that_explain_nothing_are_named_and_noise_is_not(kind, seed):
    """Of 2,000 samples 200 validate: the standard error is 0.07 for a fraction of 0.3, and 0.01 where nothing is explained."""
    x, y = table(2000, seed)
    generator = np.random.default_rng(seed)
    if kind == "shuffled":
        y = generator.permutation(y)
    elif kind == "noisy":  # the signal is 0.3 of the variance
        y = y + generator.normal(size=2000) * y.std() * np.sqrt(0.7 / 0.3)
    surrogate, said = messages(lambda: pac.pretrain(x, y, **SMALL))
    assert len(said) == (kind == "shuffled")
    explained = surrogate.provenance["validation"]["explained"]
    if kind == "shuffled":
        assert said[0].startswith(NOTHING)
        assert "on 200 validation samples; were rows joined wrongly, or are steps=300 too few?" in said[0]
        assert abs(explained) < 0.05
    else:
        low, high = {"good": (0.95, 1.0), "noisy": (0.1, 0.5)}[
            kind
        ]  # at most 0.3 + 3 standard errors, less what is not learned
        assert low < explained < high


def test_a_few_samples_are_no_evidence_that_inputs_explain_nothing():
    """Two standard errors of ten samples reach a tenth wherever the estimate is not far below 0: 10 samples, fraction 0.3."""
    kept = {"samples": 10, "error": 0.9, "outputs": {"y": 0.9}, "explained": 0.02, "standard_error": 0.05}
    found, _ = exact([0.0] * 4)
    for explained, deviation, count in ((0.02, 0.05, 0), (0.02, 0.03, 1), (0.2, 0.0, 0), (-0.5, 0.2, 1), (None, None, 0)):
        entry = {**kept, "explained": explained, "standard_error": deviation}
        _, said = messages(
            lambda entry=entry: _warn_of_error(dataclasses.replace(found, provenance={"steps": 9, "validation": entry}))
        )
        assert len(said) == count, (explained, deviation)


@pytest.fixture(scope="module")
def poor():
    """A source network that was trained for so few steps that it misses a third of a deviation or more, and its source."""
    x, y = table(600)
    surrogate = pac.pretrain(x, y, **{**SMALL, "steps": 20})
    assert 0.2 < surrogate.provenance["validation"]["error"] < 0.9
    return surrogate, x, y


def target(samples, factor=1.1):
    x, y = table(samples, seed=5)
    return pac.Dataset.from_arrays(x, factor * y)


def test_a_poor_source_network_is_named_where_its_error_is_what_is_left(poor):
    """The target is the source but for a factor of 1.1, so that a linear correction leaves the error of the network alone."""
    _, said = messages(lambda: pac.transfer(poor[0], target(24), method=pac.LinearCorrection()))
    assert [line.startswith(BOTTLENECK) for line in said] == [True]
    assert "pretrain it with more steps, a wider network or more samples" in said[0]
    good = pac.pretrain(poor[1], poor[2], **{**SMALL, "steps": 1500})
    noisy = pac.Dataset.from_arrays(target(24).x, target(24).y + np.random.default_rng(0).normal(size=24))
    # The good network misses a few hundredths of a deviation; noise of one deviation is left, which no source would remove.
    assert messages(lambda: pac.transfer(good, noisy, method=pac.LinearCorrection()))[1] == []


@dataclasses.dataclass(frozen=True)
class Independent(pac.LinearCorrection):
    """A method which states that it does not use the source; its result is that of the linear correction."""

    needs_target: ClassVar[bool] = True


def test_nothing_is_said_where_the_source_network_is_not_used_or_no_samples_were_left_out(poor):
    for method in (pac.Scratch(), pac.GP(on="target"), Independent()):
        assert messages(lambda method=method: pac.transfer(poor[0], target(24), method=method, steps=20))[1] == []
    for options in ({"intervals": False}, {"method": pac.SourceUnchanged(), "intervals": False}):
        options = {"method": pac.LinearCorrection(), **options}
        assert messages(lambda options=options: pac.transfer(poor[0], target(24), **options))[1] == []


def test_new_outputs_and_an_unknown_error_say_nothing(poor):
    x, y = table(24, seed=5)
    new = pac.Dataset.from_arrays({"input": x}, {"other": 1.1 * y})
    named = dataclasses.replace(poor[0], outputs=(dataclasses.replace(poor[0].outputs[0], name="known"),))
    _, said = messages(lambda: pac.transfer(named, new, method=pac.FineTune(), steps=5))
    assert not any(line.startswith(BOTTLENECK) for line in said)
    unknown = dataclasses.replace(poor[0], provenance={})
    assert messages(lambda: pac.transfer(unknown, target(24), method=pac.LinearCorrection()))[1] == []


def test_the_error_is_measured_on_the_split_of_the_source_if_the_surrogate_keeps_none(poor):
    source = pac.Dataset.from_arrays(poor[1], poor[2], valid=0.2)
    unknown = dataclasses.replace(poor[0], provenance={})
    _, said = messages(lambda: pac.transfer(unknown, target(24), method=pac.LinearCorrection(), source=source))
    assert [line.startswith(BOTTLENECK) for line in said] == [True]
    only = own_error(unknown, source.valid)["outputs"]
    assert known_error(unknown, source) == only
    assert known_error(unknown, source.train) == {} == known_error(unknown)
    kept = dict(poor[0].provenance["validation"]["outputs"])
    assert known_error(poor[0], source) == kept != only  # what pretrain measured comes first
    transferred = dataclasses.replace(poor[0], provenance={**poor[0].provenance, "transfer": {}})
    assert known_error(transferred, source) == {}  # the network has changed since it was measured


@pytest.mark.parametrize("kept", [None, 3, [], {"outputs": 1}, {"outputs": {"a": "0.1", "b": None, "c": float("nan")}}])
def test_a_provenance_that_holds_anything_else_is_ignored(kept):
    found, _ = exact([0.0] * 4)
    strange = dataclasses.replace(found, provenance={"validation": kept})
    assert known_error(strange) == {}
    assert "validated on" not in repr(strange)


def test_the_weight_of_the_source_network_in_a_choice_counts_what_uses_it():
    names = {"all weights": 0.2, "GP on the target": 0.4, "scratch": 0.1, "shift of the source's process": 0.25, "ATL": 0.05}
    rows = tuple(CandidateError(name, 0.1, 0.01, weight) for name, weight in names.items())
    choice = Choice("GP on the target", "", "", rows)
    assert choice.weight_of_network == pytest.approx(0.25, rel=1e-12)


@pytest.mark.parametrize(
    ("error", "left", "warned"), [(0.3, 0.3, 1), (0.3, 0.44, 0), (0.3, 0.4, 1), (0.3, 0.16, 1), (0.3, 0.14, 0)]
)
def test_half_of_the_squared_error_is_the_threshold_and_what_was_overcome_is_not_named(error, left, warned):
    """0.3^2 = 0.09 is half of 0.424^2, and four times 0.15^2; the standard error of what is left is 0."""
    source, data = exact([0.0] * 4)
    source = dataclasses.replace(source, provenance={"validation": {"outputs": {"a": 0.3, "b": 0.3}}})
    prepared = prepare(source, data[:20], None)
    network = prepared.surrogate.predictor
    assert isinstance(network, Network)
    choice = Choice("all weights", "", "", (CandidateError("all weights", left, 0.0, 1.0),))
    mixed = dataclasses.replace(prepared.surrogate, predictor=Mixture(torch.ones(1, dtype=torch.float64), (network,), choice))
    _, said = messages(lambda: _warn_of_source(source, None, prepared, mixed))
    assert len(said) == warned
