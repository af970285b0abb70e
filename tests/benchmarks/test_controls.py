"""The control that trains the dense source as long as its rivals do: what is trained, how often, and how steps are counted."""

import dataclasses

import numpy as np
import pytest
import torch
from adapting import case_of, outcome, outcomes
from cases import dataset, same, surrogate
from paths import BENCHMARKS

import pac_surrogate as pac
from pac_surrogate import runner
from pac_surrogate.methods.cross_validated import CrossValidated
from pac_surrogate.methods.method import check_case
from pac_surrogate.plan import make_plan
from pac_surrogate.solvers.training import fit


@pytest.fixture
def longer(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from shared.controls import TrainedLonger

    return TrainedLonger


@pytest.fixture
def on_source(monkeypatch):
    """Record the steps, learning rate and plan of each run on 20 samples, which are those of the source."""
    calls = []

    def counted(module, plans, datasets, **options):
        rates = options["learning_rate"]
        found = zip(plans, datasets, rates, strict=True)
        calls.extend((options["steps"], rate, plan) for plan, data, rate in found if len(data) == 20)
        return fit(module, plans, datasets, **options)

    monkeypatch.setattr(runner, "fit", counted)
    return calls


def case(seed=0, source=True, **spent):
    given = {"steps": 5, "source_steps": 7, "batch_size": 4} | spent
    data = dataset("MLP", 20, 1) if source else None
    return case_of(surrogate("MLP"), dataset("MLP", 6, 3, 0.4), data, seed=seed, **given)


@dataclasses.dataclass(frozen=True)
class Tuned:
    """A method that trains all weights on the source."""

    def adapt(self, case):
        return (yield case.on_source(case.surrogate, make_plan(case.surrogate.weights)))


@pytest.mark.parametrize(
    "method", [pac.SourceUnchanged(), pac.FineTune(), pac.L2SP(), pac.LinearCorrection(), pac.LastLayerRidge(), pac.Auto()]
)
def test_the_method_adapts_the_source_after_a_training_of_all_its_weights(longer, method):
    own = case()
    trained = outcome(Tuned(), own).surrogate
    assert not same(trained.weights, own.surrogate.weights)
    expected = outcome(method, dataclasses.replace(own, surrogate=trained))
    found = outcome(longer(method), own)
    x = torch.as_tensor(own.target.input_matrix)
    # Some ten steps in float64, in other stacks.
    torch.testing.assert_close(found.surrogate.predictor.predict(x), expected.surrogate.predictor.predict(x), rtol=0, atol=1e-9)
    assert found.method == longer(method)
    assert repr(method) in repr(found.method)


def test_the_steps_and_the_learning_rate_are_those_of_the_budget_or_given(longer, on_source):
    found = outcomes([longer(pac.FineTune()), longer(pac.FineTune(), steps=3, learning_rate=2e-3)], case())
    assert sorted(call[:2] for call in on_source) == [(3, 2e-3), (7, 1e-3)]
    assert [one.source_steps for one in found] == [7, 3]
    for _, _, plan in on_source:
        assert all(bool(mask.all()) for mask in plan.trainable.values())
        assert all(float(strength) == 0 for strength in plan.strength.values())


def test_steps_of_the_method_on_the_source_are_added(longer):
    assert outcome(longer(pac.PAC()), case()).source_steps == 7 + 7
    assert outcome(longer(pac.PAC(), steps=2), case()).source_steps == 2 + 7


def test_a_method_that_fails_fails_with_the_steps_until_then(longer):
    diverged, refused = outcomes([longer(pac.FineTune(learning_rate=1e300)), longer(pac.BSS(count=9))], case())
    assert diverged.diverged is not None
    assert "BSS with count=9" in refused.refused
    assert diverged.source_steps == refused.source_steps == 7


def test_equal_trainings_on_the_source_are_made_once_for_all_candidates_folds_and_sizes(longer, on_source):
    candidates = tuple(longer(method) for method in pac.grid(pac.L2SP, strength=(0.1, 0.01)))
    chosen = outcome(CrossValidated(candidates), case(folds=3))
    assert chosen.method in candidates
    assert chosen.source_steps == 7
    assert len(on_source) == 1  # seven fits or eight: two candidates without each of three folds, and the chosen one
    on_source.clear()
    outcomes([longer(pac.FineTune()), longer(pac.LinearCorrection()), longer(pac.FineTune())], case(), case(), case(seed=1))
    assert len(on_source) == 2  # one for each seed


def test_a_curve_tunes_the_control_like_any_other_method(longer, on_source):
    x = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    source = pac.Dataset.from_arrays(x[:25], np.sin(x[:25, :1]), test=5 / 25)
    target = pac.Dataset.from_arrays(x, 1.2 * np.sin(x[:, :1]) + x[:, 1:], test=0.5)
    methods = {
        "fine-tune": pac.grid(pac.FineTune, learning_rate=(1e-3, 1e-2)),
        "fine-tune, longer": [longer(method) for method in pac.grid(pac.FineTune, learning_rate=(1e-3, 1e-2))],
    }
    assert len(source.train) == 20
    budget = {"steps": 5, "source_steps": 4, "pretrain_steps": 3, "folds": 2, "device": "cpu"}
    given = [pac.pretrain(source.train, model=pac.MLP(hidden=(4,)), seed=seed, steps=3, device="cpu") for seed in (0, 1)]
    on_source.clear()
    del budget["pretrain_steps"]
    curve = pac.transfer_curve(source, target, methods=methods, sizes=(0, 4, 8), seeds=2, surrogates=given, **budget)
    assert [steps for steps, _, _ in on_source] == [4, 4]  # once for each seed
    assert (curve["source_steps"].loc["fine-tune, longer"] == 4).all()
    assert (curve["source_steps"].loc["fine-tune"] == 0).all()
    for chosen in curve["chosen"].loc["fine-tune, longer"].values.flat:
        assert chosen.startswith("TrainedLonger(method=FineTune(learning_rate=")


def test_the_control_needs_what_its_method_needs_and_source_samples(longer):
    check_case(longer(pac.FineTune()), case())
    with pytest.raises(ValueError, match="TrainedLonger trains on source data: pass source="):
        check_case(longer(pac.FineTune()), case(source=False))
    empty = dataclasses.replace(case(), target=case().target[:0])
    check_case(longer(pac.FineTune()), empty)
    with pytest.raises(ValueError, match="needs target samples"):
        check_case(longer(pac.Scratch()), empty)


def test_full_runs_train_no_stage_shorter(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from shared.setting import Spending

    for source_steps in (500, 1000, 4000, 10_000):
        own = Spending(source_steps=source_steps)
        longer = own.longer()
        assert longer.source_steps > source_steps
        assert (longer.steps, longer.pretrain_steps, longer.seeds) > (own.steps, own.pretrain_steps, own.seeds)


def test_plates_have_a_cnn_and_rods_the_named_network(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.chdir(tmp_path)
    import heat_equation

    models = {}

    def note(pair, methods, setting, **options):
        models[pair] = setting.model

    monkeypatch.setattr(heat_equation, "compare", note)
    monkeypatch.setattr(heat_equation, "draw_fields", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["heat_equation", "--pairs", "heat_equation", "heat_equation_2d"])
    heat_equation.COMPARISON.run(heat_equation.main, heat_equation.__doc__)
    assert models == {"heat_equation": pac.MLP(hidden=(128, 128)), "heat_equation_2d": None}
