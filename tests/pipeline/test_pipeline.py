"""Pretraining, tuning and transfer as a user calls them."""

import numpy as np
import pytest
import torch
from adapting import transferred

import pac_surrogate as pac
from pac_surrogate.methods.case import Budget
from pac_surrogate.methods.cross_validated import CrossValidated
from pac_surrogate.methods.folds import parts_of
from pac_surrogate.prepare import prepare
from pac_surrogate.runner import Solver, run

GENERATOR = np.random.default_rng(0)
X = GENERATOR.uniform(-1, 1, size=(400, 3))
SOURCE = pac.Dataset.from_arrays(X, np.sin(2 * X[:, :1]) + X[:, 1:2] * X[:, 2:], valid=0.1, test=0.2)
TARGET = pac.Dataset.from_arrays(X, np.sin(2 * X[:, :1]) + 1.5 * X[:, 1:2] * X[:, 2:] + 0.3, test=0.5, seed=1)


@pytest.fixture(scope="module")
def surrogate():
    return pac.pretrain(SOURCE.train, model=pac.MLP(hidden=(16, 16)), steps=1000, learning_rate=5e-3, valid=SOURCE.valid)


def test_a_pretrained_surrogate_predicts_unseen_source_data(surrogate):
    error = surrogate.predict(SOURCE.test.x) - SOURCE.test.y
    assert np.sqrt(np.mean(error**2)) / SOURCE.test.y.std() < 0.15  # predicting the mean has an error of 1


def test_the_weights_depend_on_the_seed_and_are_reproducible_bit_for_bit(surrogate):
    again = pac.pretrain(SOURCE.train, model=pac.MLP(hidden=(16, 16)), steps=1000, learning_rate=5e-3, valid=SOURCE.valid)
    other = pac.pretrain(SOURCE.train, model=pac.MLP(hidden=(16, 16)), steps=50, seed=1)
    assert all(torch.equal(surrogate.weights[name], again.weights[name]) for name in again.weights)
    assert not torch.equal(surrogate.weights["readout.weight"], other.weights["readout.weight"])


def test_transfer_beats_the_unchanged_source_and_scratch_on_a_related_target(surrogate):
    errors = {
        method: np.sqrt(
            np.mean((pac.transfer(surrogate, TARGET.train[:20], method=method).predict(TARGET.test.x) - TARGET.test.y) ** 2)
        )
        for method in (pac.SourceUnchanged(), pac.Scratch(learning_rate=3e-3), pac.FineTune(learning_rate=3e-3))
    }
    unchanged, scratch, fine_tune = errors.values()
    assert fine_tune < 0.7 * unchanged
    assert fine_tune < 0.7 * scratch


def errors_of(candidates, case):
    """Return the cross-validation error of each candidate."""
    asking = CrossValidated(candidates).errors(case)
    try:
        asking.send(run(next(asking), Solver(device="cpu")))
    except StopIteration as end:
        return end.value


def test_tuning_chooses_the_candidate_of_least_held_out_error_and_uses_no_other_data(surrogate):
    candidates = (pac.FineTune(learning_rate=1e-9), pac.FineTune(learning_rate=3e-3))
    data = TARGET.train[:10]
    result = transferred(surrogate, data, candidates, steps=300)
    assert result.method == candidates[1]
    errors = errors_of(candidates, prepare(surrogate, data, None).case(Budget(steps=300), 0))
    assert errors[1] < errors[0]
    # With a rate of 1e-9 the source is unchanged, and its held-out error over all folds is its error on the data.
    truth, guess = data.y, surrogate.predict(data.x)
    deviation = float(surrogate.scaling.outputs.deviation[0])
    assert errors[0] == pytest.approx(np.mean((guess - truth) ** 2) / deviation**2, rel=1e-4)
    assert transferred(surrogate, TARGET.train[:3], candidates, steps=5).method == candidates[0]


def test_folds_are_disjoint_cover_the_data_and_are_the_same_for_every_method(surrogate):
    case = prepare(surrogate, TARGET.train[:13], None).case(Budget(), 7)
    folds = parts_of(case.group, 7, 5)
    assert [part.tolist() for part in folds] == [part.tolist() for part in parts_of(case.group, 7, 5)]
    assert sorted(np.concatenate(folds)) == list(range(13))
    for part in folds:
        rest = case.without(part).target
        assert len(rest) + len(part) == 13
        assert not set(map(tuple, rest.x)) & set(map(tuple, case.target.x[part]))
    assert len(parts_of(case.group[:4], 7, 5)) == 4
    group = torch.tensor([0, 1, 2, 0, 3, 3])
    for part in parts_of(group, 7, 3):
        rest = np.setdiff1d(np.arange(6), part)
        assert not set(group[rest].tolist()) & set(group[part].tolist())  # repeated inputs are in one fold


def test_the_source_stage_is_solved_once_for_all_that_share_it(surrogate, monkeypatch):
    trained = []
    original = pac.runner.fit
    monkeypatch.setattr(
        pac.runner, "fit", lambda model, plans, *a, **k: trained.append(len(plans)) or original(model, plans, *a, **k)
    )
    methods = (pac.PAC(strength=0.02), pac.PAC(strength=0.2), pac.PackNet())
    source = SOURCE.train
    cases = [prepare(surrogate, TARGET.subset(k, 5), source).case(Budget(steps=5, source_steps=5), 0) for k in (0, 1)]
    results = run([(method, case) for method in methods for case in cases], Solver(device="cpu"))
    assert trained == [1, 6]
    for name, mask in results[0].surrogate.essential.items():
        assert all(torch.equal(result.surrogate.essential[name], mask) for result in results)


def test_the_range_of_a_transferred_surrogate_covers_source_and_target(surrogate):
    wide = pac.Dataset.from_arrays(3 * X[:30], TARGET.y[:30])
    adapted = pac.transfer(surrogate, wide, method=pac.FineTune(), steps=5)
    with pytest.warns(pac.ExtrapolationWarning):
        surrogate.predict(wide.x)
    adapted.predict(wide.x)  # the tests turn warnings into errors


def test_outputs_that_the_source_lacks_get_a_new_readout(surrogate):
    outputs = np.c_[100 + 10 * TARGET.y[:, :1], TARGET.y[:, :1] ** 2, TARGET.y[:, :1] ** 3]
    target = pac.Dataset.from_arrays(X, {"flux": outputs}, test=0.5)
    source = SOURCE.train
    for method in (pac.FineTune(learning_rate=3e-3), pac.PAC(), pac.L2SP(), pac.LinearProbe(learning_rate=1e-2)):
        with pytest.warns(
            pac.DataWarning, match="outputs flux are new to the surrogate, which has output, and get a new readout"
        ):
            adapted = pac.transfer(surrogate, target.train[:60], method=method, source=source)
        prediction = adapted.predict(target.test.x)
        assert prediction.shape == (200, 3)
        assert adapted.network.new_readout
        # The first output is one of the source's at another scale: the error must be smaller than that of its mean.
        assert np.sqrt(np.mean((prediction[:, 0] - target.test.y[:, 0]) ** 2)) < 0.8 * target.test.y[:, 0].std()


def test_methods_that_need_source_data_name_the_missing_argument(surrogate):
    for method in (pac.PAC(), pac.PackNet()):
        with pytest.raises(ValueError, match="pass source="):
            pac.transfer(surrogate, TARGET.train[:5], method=method)
    pac.transfer(surrogate, TARGET.train[:5], method=pac.PAC(allocate=False), steps=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"data": pac.Dataset.from_arrays(X[:5, :2], X[:5, :1])},
            r"the surrogate has the inputs input \(3,\), the data have input \(2,\)",
        ),
        ({"method": "Magic"}, "unknown method 'Magic': choose from auto, .*PAC"),
        ({"method": pac.MLP()}, r"method must be a method such as pac.PAC\(\), its name, or a sequence of them, got an MLP"),
        ({"method": ()}, "at least one candidate"),
        ({"folds": 1}, "folds >= 2"),
        ({"method": pac.FineTune(learning_rate=1e30)}, "diverged at step"),
        (
            {"data": pac.Dataset.from_arrays(X[:5], {"flux": X[:5]}), "method": pac.SourceUnchanged()},
            r"SourceUnchanged cannot give outputs that the source lacks \(flux\): choose a method that trains on the target",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(surrogate, change, message):
    arguments = {"data": TARGET.train[:5], "method": pac.FineTune(), "steps": 5} | change
    with pytest.raises(ValueError, match=message) as caught:
        pac.transfer(surrogate, arguments.pop("data"), **arguments)
    assert "\n" not in str(caught.value)


def test_only_a_network_can_be_the_source_of_a_transfer(surrogate):
    corrected = pac.transfer(surrogate, TARGET.train[:5], method=pac.LinearCorrection())
    with pytest.raises(ValueError, match="starts from a network"):
        pac.transfer(corrected, TARGET.train[:5], method=pac.FineTune())


def test_diverged_pretraining_is_reported():
    with pytest.raises(ValueError, match="pretraining diverged at step"):
        pac.pretrain(SOURCE.train, steps=20, learning_rate=1e30)


def test_the_source_task_of_a_pac_surrogate_is_what_prune_and_allocate_makes(surrogate):
    source = SOURCE.train
    whole = pac.transfer(surrogate, TARGET.train[:8], method=pac.PAC(), source=source, steps=50, source_steps=50)
    allocated = pac.prune_and_allocate(surrogate, source, sparsity=0.8, steps=50)
    for name, weight in whole.source_task().weights.items():
        assert torch.equal(weight, allocated.weights[name])
