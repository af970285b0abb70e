"""The runner: problems solved once, isolated failures, the order of execution, and the time of each method."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from adapting import case_of, outcome, outcomes
from cases import dataset, same, surrogate

import pac_surrogate as pac
from pac_surrogate import runner
from pac_surrogate.files import Coordinate
from pac_surrogate.methods.cross_validated import CrossValidated
from pac_surrogate.methods.folds import LeaveOut, parts_of
from pac_surrogate.methods.method import NotApplicableError, Outcome
from pac_surrogate.methods.problems import Measure
from pac_surrogate.methods.pulled.bss import SpectralShrinkage
from pac_surrogate.methods.pulled.resemblance import resemble
from pac_surrogate.methods.tuned.lora import LowRank
from pac_surrogate.perturbation import Perturbation
from pac_surrogate.plan import make_plan
from pac_surrogate.predictors import Folds
from pac_surrogate.solvers.training import fit
from pac_surrogate.surrogates.batch_prediction import predict_many


def case(seed=0, *, samples=6, start=None, **spent):
    given = {"steps": 5, "source_steps": 7, "batch_size": 4} | spent
    return case_of(start or surrogate("MLP"), dataset("MLP", samples, 3, 0.4), dataset("MLP", 20, 1), seed=seed, **given)


@dataclass(frozen=True)
class Tuned:
    """A method that trains all weights, in one or several trainings in turn; `name` distinguishes equal methods."""

    name: str = ""
    rate: float = 1e-3
    times: int = 1

    def adapt(self, case):
        tuned = case.surrogate
        for _ in range(self.times):
            tuned = yield case.on_target(tuned, make_plan(tuned.weights), self.rate)
        return tuned


@dataclass(frozen=True)
class Posed:
    """A method whose Plan a function makes from the weights."""

    plan: Callable[[Any], Any]

    def adapt(self, case):
        return (yield case.on_target(case.surrogate, self.plan(case.surrogate.weights)))


@dataclass(frozen=True, eq=False)
class Waiting:
    """A method that waits for other methods and keeps their outcomes."""

    others: list[Any]
    told: list[Any] = field(default_factory=list)

    def adapt(self, case):
        self.told.extend((yield [(other, case) for other in self.others]))
        return case.surrogate


@dataclass(frozen=True, eq=False)
class Failing:
    """A method that diverges or is refused in its second training; it records the stages that it reached."""

    how: str
    reached: list[str] = field(default_factory=list)

    def adapt(self, case):
        tuned = yield case.on_target(case.surrogate, make_plan(case.surrogate.weights), 2e-3)
        self.reached.append("second")
        try:
            if self.how == "refused":
                raise NotApplicableError("not here")
            if self.how == "measured":
                yield Measure(refuse, tuned, case.target)
            else:
                yield case.on_target(tuned, make_plan({name: w * torch.inf for name, w in tuned.weights.items()}))
            self.reached.append("third")
        finally:
            self.reached.append("closed")
        return tuned


def refuse(surrogate, data):
    raise NotApplicableError("not here")


@pytest.fixture
def trained(monkeypatch):
    """Record every call of the trainer: its seeds, steps, learning rates, data, and number of samples of each run."""
    calls = []

    def counted(module, plans, datasets, **options):
        calls.append({**options, "data": datasets, "samples": [len(data) for data in datasets]})
        return [dataclasses.replace(result, seconds=1.0) for result in fit(module, plans, datasets, **options)]

    monkeypatch.setattr(runner, "fit", counted)
    return calls


def runs(calls):
    return sum(len(call["seeds"]) for call in calls)


# Equal problems -------------------------------------------------------------------------------------------------------------


def test_equal_problems_are_trained_once_even_if_posed_by_different_methods_or_on_copies(trained):
    first, second, again = outcomes([Tuned("a"), Tuned("b"), Posed(make_plan)], case(), case(), case())
    assert runs(trained) == 1
    assert same(first.surrogate.weights, second.surrogate.weights)
    assert same(first.surrogate.weights, again.surrogate.weights)


def test_equal_methods_on_equal_cases_are_executed_once(trained):
    calls = []

    @dataclass(frozen=True)
    class Counted:
        def adapt(self, case):
            calls.append(case)
            return case.surrogate

    start = surrogate("MLP")
    outcomes([Counted(), Counted()], case(start=start), case(start=start))
    outcomes([Counted(), Counted()], case(start=start), case(seed=1, start=start))
    assert len(calls) == 1 + 2


def scaled(start, **changes):
    columns = dataclasses.replace(start.scaling.outputs, deviation=2 * start.scaling.outputs.deviation)
    return dataclasses.replace(start, scaling=dataclasses.replace(start.scaling, outputs=columns))


def essential_of(weights, value):
    return {name: torch.full_like(weight, value, dtype=torch.bool) for name, weight in weights.items()}


PLANS = {
    "start": lambda w: make_plan({name: weight + 1e-9 for name, weight in w.items()}),
    "trainable": lambda w: make_plan(w, trainable={name: torch.tensor(name != "readout.bias") for name in w}),
    "anchor": lambda w: make_plan(w, anchor=1.0),
    "strength": lambda w: make_plan(w, strength=1e-12),
    "rate": lambda w: make_plan(w, rate={"readout.bias": 0.5}),
    "essential": lambda w: make_plan(w, essential=essential_of(w, True)),
    "other essential": lambda w: make_plan(w, essential=essential_of(w, False)),
    "regulariser": lambda w: make_plan(w, regulariser=resemble(w, prediction=1.0)),
    "numbers of a regulariser": lambda w: make_plan(w, regulariser=resemble(w, prediction=2.0)),
    "settings of a regulariser": lambda w: make_plan(
        w, regulariser=SpectralShrinkage(1, {"strength": torch.ones(()).double()})
    ),
    "other settings": lambda w: make_plan(w, regulariser=SpectralShrinkage(2, {"strength": torch.ones(()).double()})),
    "perturbation": lambda w: make_plan(w, perturbation=Perturbation(radius=0.05)),
    "reparametrisation": lambda w: make_plan(w, reparametrisation=LowRank((), 1.0)),
}
CASES = {
    "seed": case(seed=1),
    "data": case(samples=7),
    "steps": case(steps=6),
    "batch size": case(batch_size=3),
    "weights": case(start=surrogate("MLP", seed=1)),
    "precision": case(start=surrogate("MLP", torch.float32)),
    "scale": case(start=scaled(surrogate("MLP"))),
}


def test_problems_are_distinguished_by_everything_that_they_depend_on(trained):
    methods = [Tuned(), Tuned(rate=2e-3), *map(Posed, PLANS.values()), *(Tuned() for _ in CASES)]
    own = [case()] * (2 + len(PLANS)) + list(CASES.values())
    found = outcomes(methods, *own)
    assert runs(trained) == len(methods) == 2 + len(PLANS) + len(CASES)
    for method, one, together in zip(methods, own, found, strict=True):
        alone = outcome(method, one).surrogate
        for name, weight in alone.weights.items():
            # Five steps in float64 or float32; a run that was given the result of another problem would differ by 1e-3.
            bound = 1e-10 if weight.dtype == torch.float64 else 1e-5
            assert float((together.surrogate.weights[name] - weight).abs().max()) < bound, (method, name)


def test_the_seed_orders_the_minibatches_of_each_case():
    """Adam's first step moves every weight by the learning rate, 1e-3, against the sign of its gradient, for any size.

    So after one step two runs either agree in a weight or differ by 2e-3. With batches of 4 of 6 samples, which depend on
    the seed, some weights differ; with batches of all 6 samples, where only the order depends on the seed, none does.
    """
    for batch_size, differ in ((4, True), (6, False)):
        own = [case(seed=seed, batch_size=batch_size, steps=1) for seed in (0, 1)]
        first, second = (result.surrogate.weights for result in outcomes([Tuned(), Tuned()], *own))
        away = torch.cat([(first[name] - second[name]).abs().flatten() for name in first]) / 2e-3
        apart = away > 0.5
        # Adam adds 1e-8 to the size of the gradient, which exceeds 1e-5 here.
        torch.testing.assert_close(away, apart.double(), rtol=0, atol=1e-3)
        assert bool(apart.any()) == differ


def test_outputs_of_another_name_are_another_target():
    start, own = surrogate("MLP"), dataset("MLP", 6, 3, 0.4)
    new = dataset("MLP", 6, 3, 0.4, "pressure")
    assert own.digest() == new.digest()
    kept, fresh = outcomes([pac.FineTune()] * 2, case_of(start, own, steps=3), case_of(start, new, steps=3))
    assert [variable.name for variable in kept.surrogate.outputs] == ["temperature"]
    assert [variable.name for variable in fresh.surrogate.outputs] == ["pressure"]
    assert not torch.equal(kept.surrogate.weights["readout.weight"], fresh.surrogate.weights["readout.weight"])


@pytest.mark.parametrize("method", [pac.FineTune(), pac.SourceUnchanged()])
def test_each_result_keeps_the_provenance_of_its_own_surrogate_though_the_problem_is_solved_once(method, trained):
    starts = [dataclasses.replace(surrogate("MLP"), provenance={"made": made}) for made in ("here", "there")]
    found = outcomes([method] * 2, *(case(start=start) for start in starts))
    assert runs(trained) == (1 if method == pac.FineTune() else 0)
    assert [result.surrogate.provenance["made"] for result in found] == ["here", "there"]


@dataclass(frozen=True, eq=False)
class Measuring:
    """A method that requests a measurement and keeps the result; it compares equal to no other method."""

    asked: Measure
    told: list[Any] = field(default_factory=list)

    def adapt(self, case):
        self.told.append((yield self.asked))
        return case.surrogate


MEASURED = []  # sizes of the measured data, in turn; the test that reads the list empties it


def summed(surrogate, data, factor):
    MEASURED.append(len(data))
    return factor * float(data.output_matrix.sum() + sum(weight.sum() for weight in surrogate.weights.values()))


def summed_otherwise(surrogate, data, factor):
    return summed(surrogate, data, factor) + 1.0


def told(*asked):
    """Return the results of measurements that are requested at the same time."""
    methods = [Measuring(one) for one in asked]
    outcomes(methods, case())
    return [answer for method in methods for answer in method.told]


def measurement(function=summed, start=None, samples=6, settings=(2.0,)):
    """Return a new object made from the same numbers, so that only its content can identify it."""
    own = case(samples=samples, start=start)
    return Measure(function, own.surrogate, own.target, settings)


def test_a_measurement_is_made_once_for_all_methods_that_request_it():
    MEASURED.clear()
    asked = measurement()
    answers = told(asked, measurement(), asked)
    assert MEASURED == [6]
    outputs = asked.surrogate.scaling.standardise(asked.data).output_matrix.sum()
    weights = sum(float(weight.sum()) for weight in asked.surrogate.weights.values())
    assert answers == [pytest.approx(2.0 * (outputs + weights), rel=1e-12)] * 3  # sums of some 200 numbers, in another order


@pytest.mark.parametrize(
    "other",
    [
        {"samples": 7},
        {"start": surrogate("MLP", seed=1)},
        {"start": scaled(surrogate("MLP"))},
        {"function": summed_otherwise},
        {"settings": (3.0,)},
    ],
    ids=["data", "surrogate", "scale", "function", "settings"],
)
def test_measurements_that_differ_in_one_thing_are_two(other):
    MEASURED.clear()
    found = told(measurement(), measurement(**other))
    assert [len(data) for data in (measurement().data, measurement(**other).data)] == MEASURED
    assert found == [*told(measurement()), *told(measurement(**other))]
    assert found[0] != found[1]


def relabelled(start, side, **changes):
    return dataclasses.replace(start, **{side: tuple(dataclasses.replace(one, **changes) for one in getattr(start, side))})


def with_folds(start):
    ones = torch.ones(2, 8)
    rest = Folds((start.predictor,) * 2, torch.arange(2), ones, torch.arange(2), ones, ones)
    return dataclasses.replace(start, folds=rest)


def with_coordinate(name="x", first=0.0, units="m"):
    points = Coordinate(name, np.arange(8.0) + first, units)
    return dataclasses.replace(surrogate("MLP"), coordinates={name: points})


PLAIN = surrogate("MLP")


def with_predictor(**changes):
    return dataclasses.replace(PLAIN, predictor=dataclasses.replace(PLAIN.network, **changes))


def from_lower(scaling):
    return dataclasses.replace(scaling, inputs=dataclasses.replace(scaling.inputs, low=scaling.inputs.low - 1))


ALIKE = {
    "source": [case_of(PLAIN, dataset("MLP", 6, 3, 0.4), dataset("MLP", 20, seed)) for seed in (1, 2)],
    "no source": [case_of(PLAIN, dataset("MLP", 6, 3, 0.4), source) for source in (dataset("MLP", 20, 1), None)],
    "target": [case(), case(samples=7)],
    "budget": [case(), case(source_steps=8)],
    "seed": [case(), case(seed=1)],
    "weights": [case(), case(start=surrogate("MLP", seed=1))],
    "scale": [case(), case(start=scaled(PLAIN))],
    "folds": [case(start=with_folds(PLAIN)), case(start=with_folds(PLAIN)), case()],
    "provenance": [case(), case(start=dataclasses.replace(PLAIN, provenance={"made": "here"}))],
    "an axis": [case(), case(start=with_coordinate())],
    "points of an axis": [case(start=with_coordinate()), case(start=with_coordinate(first=1.0))],
    "name of an axis": [case(start=with_coordinate()), case(start=with_coordinate("y"))],
    "units of an axis": [case(start=with_coordinate()), case(start=with_coordinate(units="km"))],
    "units of inputs": [case(), case(start=relabelled(PLAIN, "inputs", units="K"))],
    "units of outputs": [case(), case(start=relabelled(PLAIN, "outputs", units="K"))],
    "layout of inputs": [case(), case(start=dataclasses.replace(PLAIN, given_inputs=PLAIN.inputs[::-1]))],
    "layout of outputs": [case(), case(start=dataclasses.replace(PLAIN, given_outputs=PLAIN.outputs))],
    "a mask": [case(), case(start=with_predictor(essential=essential_of(PLAIN.weights, True)))],
    "a range of inputs": [case(), case(start=dataclasses.replace(PLAIN, scaling=from_lower(PLAIN.scaling)))],
    "a new readout": [case(), case(start=with_predictor(new_readout=True))],
}


@pytest.mark.parametrize("differing", ALIKE)
def test_a_method_is_executed_on_each_of_the_cases_that_differ_in_one_thing(differing):
    keeping = Keeping()
    found = outcomes([keeping] * len(ALIKE[differing]), *ALIKE[differing])
    assert keeping.cases == ALIKE[differing]
    assert [one.surrogate for one in found] == [one.surrogate for one in ALIKE[differing]]


def test_a_method_on_cases_of_equal_content_is_executed_once():
    keeping, own = Keeping(), [case(start=with_coordinate()) for _ in range(2)]
    outcomes([keeping] * 2, *own)
    assert keeping.cases == own[:1]


def positive(start):
    """Return samples of the surrogate's variables that are positive, so that they have logarithms."""
    data = dataset("MLP", 6, 3)
    assert data.inputs == start.inputs
    return data.with_matrices(np.exp(data.input_matrix), np.exp(data.output_matrix))


def outputs_of(surrogate, data):
    return data.output_matrix.copy()


def inputs_of(surrogate, data):
    return data.input_matrix.copy()


@pytest.mark.parametrize(("side", "function"), [("inputs", inputs_of), ("outputs", outputs_of)])
@pytest.mark.parametrize("statistic", ["mean", "deviation", "logarithmic"])
def test_the_same_data_are_scaled_separately_for_each_surrogate(side, function, statistic):
    start = surrogate("MLP")
    columns = getattr(start.scaling, side)
    changed = ~columns.logarithmic if statistic == "logarithmic" else 2 * getattr(columns, statistic) + 1
    scaling = dataclasses.replace(start.scaling, **{side: dataclasses.replace(columns, **{statistic: changed})})
    other, data = dataclasses.replace(start, scaling=scaling), positive(start)
    found = told(*(Measure(function, one, data) for one in (start, other)))
    for one, values in zip((start, other), found, strict=True):
        np.testing.assert_array_equal(values, function(one, one.scaling.standardise(data)))
    assert (found[0] != found[1]).all()


def test_runs_on_equal_data_with_equal_scaling_share_one_copy(trained):
    outcomes([Tuned(), Tuned(rate=2e-3), Tuned(rate=3e-3)], case(), case(), case(start=surrogate("MLP", seed=1)))
    (call,) = trained
    assert len({id(data) for data in call["data"]}) == 1


# Failures -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["diverged", "refused", "measured"])
def test_a_method_that_fails_ends_alone_and_is_not_advanced_any_more(how):
    """The other methods end as beside a method that does not fail, except for rounding in stacks of another size."""
    own, neighbours = case(), [Tuned("a", times=3), Tuned("b", 5e-3, times=3)]
    sick, sound = Failing(how), Tuned("c", 2e-3, times=3)
    before, _, after = outcomes([neighbours[0], sound, neighbours[1]], own)
    first, failed, last = outcomes([neighbours[0], sick, neighbours[1]], own)
    assert not failed.sound
    assert (failed.diverged, failed.refused) == ((0, None) if how == "diverged" else (None, "not here"))
    assert failed.surrogate is own.surrogate
    assert sick.reached == ["second", "closed"]
    for expected, found in ((before, first), (after, last)):
        assert found.sound
        weights = found.surrogate.weights
        assert all(float((weights[n] - w).abs().max()) < 1e-10 for n, w in expected.surrogate.weights.items())  # as above


def test_a_method_that_is_refused_at_once_ends_alone():
    @dataclass(frozen=True)
    class Refused:
        def adapt(self, case):
            raise NotApplicableError("never")

    own = case()
    first, failed = outcomes([Tuned(), Refused()], own)
    assert (failed.refused, failed.diverged, failed.method) == ("never", None, Refused())
    assert failed.surrogate is own.surrogate
    assert same(first.surrogate.weights, outcome(Tuned(), own).surrogate.weights)


def test_a_waiting_method_receives_failed_outcomes():
    waiting = Waiting([Tuned(), Failing("diverged"), Failing("refused")])
    assert outcome(waiting, case()).sound
    assert [told.sound for told in waiting.told] == [True, False, False]


# Methods that wait for others -----------------------------------------------------------------------------------------------


def test_outcomes_have_the_order_of_the_request_regardless_of_which_method_ends_first():
    own, methods = case(), [Tuned("slow", times=3), pac.SourceUnchanged(), Tuned("fast", 2e-3), Tuned("slow", times=3)]
    waiting = Waiting(methods)
    outcome(waiting, own)
    assert [told.method for told in waiting.told] == methods
    for method, told in zip(methods, waiting.told, strict=True):
        assert isinstance(told, Outcome)
        alone = outcome(method, own).surrogate.weights
        assert all(float((told.surrogate.weights[n] - w).abs().max()) < 1e-10 for n, w in alone.items())  # rounding of stacks


def test_lists_within_lists_and_empty_lists():
    own, inner, none = case(), Waiting([Tuned("a"), Tuned("b", 2e-3)]), Waiting([])
    outer = Waiting([inner, Tuned("c", 3e-3), none])
    assert outcome(outer, own).sound
    assert [told.method for told in outer.told] == [inner, Tuned("c", 3e-3), none]
    assert [told.method for told in inner.told] == [Tuned("a"), Tuned("b", 2e-3)]
    assert none.told == []


def test_a_method_that_several_wait_for_is_executed_once_and_its_outcome_sent_to_all(trained):
    first, second = Waiting([Tuned("a"), Tuned("a")]), Waiting([Tuned("a")])
    outcomes([first, second], case())
    assert runs(trained) == 1
    assert [len(first.told), len(second.told)] == [2, 1]
    for told in (*first.told, *second.told):
        assert same(told.surrogate.weights, first.told[0].surrogate.weights)


def test_methods_that_others_wait_for_are_executed_first(trained):
    outcomes([Tuned("free", 1e-3, times=2), Waiting([Tuned("below", 2e-3, times=3), Waiting([Tuned("deep", 3e-3)])])], case())
    assert [call["learning_rate"] for call in trained] == [[3e-3], [2e-3], [2e-3], [2e-3], [1e-3], [1e-3]]


def test_plans_that_are_requested_at_the_same_time_are_one_call_of_the_trainer(trained):
    outcomes([Tuned("a", 1e-3), Tuned("b", 2e-3), Waiting([Tuned("c", 3e-3), Tuned("d", 4e-3)])], case())
    assert [call["learning_rate"] for call in trained] == [[3e-3, 4e-3], [1e-3, 2e-3]]


@dataclass(frozen=True)
class Slow:
    """A method that first waits for `lists` lists of methods, each of which ends immediately, and then trains."""

    lists: int
    rate: float

    def adapt(self, case):
        for _ in range(self.lists):
            yield [(pac.SourceUnchanged(), case)]
        return (yield case.on_target(case.surrogate, make_plan(case.surrogate.weights), self.rate))


@pytest.mark.parametrize("lists", [(0, 0, 0), (2, 1, 0), (0, 2, 1), (1, 0, 3)])
def test_plans_are_stacked_in_the_order_of_the_methods_regardless_of_which_was_ready_first(lists, trained):
    """The order of the runs changes a stack's numbers by rounding, and changes its file name completely."""
    outcomes([Slow(count, rate) for count, rate in zip(lists, (3e-3, 1e-3, 2e-3), strict=True)], case())
    assert [call["learning_rate"] for call in trained] == [[3e-3, 1e-3, 2e-3]]


def test_plans_of_requested_methods_are_stacked_in_the_order_of_the_methods_that_wait(trained):
    outcomes([Waiting([Slow(2, 3e-3), Slow(0, 1e-3)]), Waiting([Slow(1, 2e-3)])], case())
    assert [call["learning_rate"] for call in trained] == [[3e-3, 1e-3, 2e-3]]


def test_a_method_may_wait_for_a_closed_form_a_thousand_times_in_turn():
    """Python's stack holds 1,000 calls, so each wait must not add a call to those of earlier waits."""
    assert outcome(Slow(1000, 1e-3), case(steps=0)).sound


@dataclass(frozen=True)
class Wrong:
    """A method that yields or returns an object of a wrong type."""

    yields: Any = None
    returns: Any = None

    def adapt(self, case):
        if self.yields is None:
            return self.returns
        return self._adapt()

    def _adapt(self):
        yield self.yields
        return None


@dataclass(frozen=True)
class Forgetful:
    """A method that trains and then returns no result."""

    def adapt(self, case):
        yield case.on_target(case.surrogate, make_plan(case.surrogate.weights))


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (Wrong(yields=(Tuned(), 1)), "must yield Train, Measure or a list"),
        (Wrong(yields="PAC"), "must yield Train, Measure or a list"),
        (Wrong(), "must return a surrogate, an outcome or a method"),
        (Wrong(returns=3.0), "must return a surrogate, an outcome or a method"),
        (Forgetful(), "must return a surrogate, an outcome or a method"),
    ],
)
def test_a_method_that_yields_or_returns_a_wrong_type_is_named_in_one_line(method, said):
    for given in (method, Waiting([Tuned(), method])):
        with pytest.raises(ValueError, match=re.escape(f"adapt of {method} {said}")) as error:
            outcome(given, case())
        assert "\n" not in str(error.value)


@dataclass(frozen=True)
class Handing:
    """A method that another method replaces, after a training or immediately."""

    other: Any
    trains: bool

    def adapt(self, case):
        return self._adapt(case) if self.trains else self.other

    def _adapt(self, case):
        yield case.on_target(case.surrogate, make_plan(case.surrogate.weights), 7e-3)
        return self.other


@pytest.mark.parametrize("trains", [True, False])
def test_a_method_may_end_with_another_method_that_replaces_it(trains):
    own = case()
    found = outcome(Handing(Handing(Tuned(times=2), trains), trains), own)
    assert found.method == Tuned(times=2)
    assert same(found.surrogate.weights, outcome(Tuned(times=2), own).surrogate.weights)


def test_a_method_may_end_with_the_outcome_of_a_method_that_it_waited_for():
    @dataclass(frozen=True)
    class Passing:
        def adapt(self, case):
            return (yield [(Tuned(), case)])[0]

    assert outcome(Passing(), case()).method == Tuned()


# Time -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Late:
    """A method that trains and then waits for another method."""

    other: Any

    def adapt(self, case):
        tuned = yield case.on_target(case.surrogate, make_plan(case.surrogate.weights), 6e-3)
        yield [(self.other, case)]
        return tuned


@pytest.mark.parametrize(
    "methods",
    [
        (Tuned("a"), Tuned("b"), Tuned("c", 2e-3, times=3)),
        (Tuned("a"), Tuned("a")),
        (Waiting([Tuned("a"), Tuned("b", 2e-3)]), Waiting([Tuned("b", 2e-3), Waiting([Tuned("a")])])),
        (Waiting([Tuned("a"), Tuned("a")]), Tuned("a", times=2)),
        (Tuned("a"), Waiting([Tuned("a")])),
        (Waiting([Tuned("a")]), Tuned("a"), Tuned("a")),
        (Waiting([Tuned("a")]), Late(Tuned("a"))),
        (Handing(Tuned("a"), True), Failing("diverged"), Failing("refused")),
    ],
)
def test_seconds_add_up_to_what_was_spent(methods, trained, monkeypatch):
    """The clock advances by an eighth of a second at every reading, so that all sums of readings are exact."""
    read = []

    def clock():
        read.append(len(read) / 8)
        return read[-1]

    monkeypatch.setattr(runner, "time", SimpleNamespace(perf_counter=clock))
    found = outcomes(list(methods), case())
    assert runs(trained) > 0
    # Each run counts as one second here. Each step or measurement adds an eighth, between the readings at its start and end.
    # Time that several methods share is divided by their number and added up again, with rounding.
    assert sum(result.seconds for result in found) == pytest.approx(runs(trained) + len(read) / 2 / 8, rel=1e-14)
    assert all(result.seconds >= 0 for result in found)


# Steps on the source --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Longer:
    """A method that trains all weights on the source several times in turn."""

    times: int = 1
    rate: float = 1e-3

    def adapt(self, case):
        longer = case.surrogate
        for _ in range(self.times):
            longer = yield case.on_source(longer, make_plan(longer.weights), self.rate)
        return longer


@dataclass(frozen=True)
class RefusedLate:
    """A method that does not apply after a training on the source."""

    def adapt(self, case):
        yield case.on_source(case.surrogate, make_plan(case.surrogate.weights))
        raise NotApplicableError("not here")


INFINITE = 1e300  # a learning rate whose first step is too large for squares in float64


@pytest.mark.parametrize(
    ("method", "steps"),
    [
        (pac.SourceUnchanged(), 0),
        (pac.FineTune(), 0),  # its steps are on the target
        (pac.LastLayerRidge(), 0),
        (pac.PAC(), 7),
        (pac.PAC(allocate=False), 0),
        (pac.SparseTransfer(pac.PAC().stages[0]), 7),  # the recipe's, for which it waits
        (Longer(3), 21),
        (Waiting([Longer(2), Longer(2), Waiting([Longer(1)])]), 14 + 14 + 7),
        (LeaveOut(Longer(2)), 14),  # an outcome that is returned whole keeps its own
        (CrossValidated((Longer(2), Longer(rate=INFINITE))), 14),  # no steps of the trials on the folds
        (CrossValidated((pac.FineTune(), Longer(rate=INFINITE))), 0),
        (Handing(Longer(2), True), 14),
        (Waiting([Longer(), Failing("refused")]), 7),
    ],
)
def test_the_steps_on_the_source_are_those_that_the_result_took(method, steps):
    found = outcome(method, case())
    assert found.sound
    assert found.source_steps == steps


@pytest.mark.parametrize("method", [Longer(2, INFINITE), pac.SparseTransfer(Longer(2, INFINITE)), RefusedLate()])
def test_a_method_that_fails_has_the_steps_on_the_source_until_then(method):
    found = outcome(method, case())
    assert not found.sound
    assert found.source_steps == 7


def test_steps_on_the_source_that_methods_share_count_for_each_of_them(trained):
    found = outcomes([pac.PAC(), pac.PAC(strength=0.2), pac.PAC()], case())
    assert sum(len(call["seeds"]) for call in trained if call["steps"] == 7) == 1
    assert [one.source_steps for one in found] == [7, 7, 7]
    late = Late(pac.PAC())  # waits for a method that has already ended
    assert [one.source_steps for one in outcomes([Waiting([pac.PAC()]), late], case())] == [7, 7]


# Leaving samples out --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Keeping:
    """A method that returns the source unchanged and keeps the cases that it was given."""

    cases: list[Any] = field(default_factory=list)

    def adapt(self, case):
        self.cases.append(case)
        return case.surrogate


def repeated():
    """Return a case of 9 samples with 5 different inputs."""
    data = dataset("MLP", 9, 3, 0.4)
    x, y = data.input_matrix.copy(), data.output_matrix
    inputs = np.array([0, 1, 2, 0, 3, 1, 0, 4, 4])
    x = x[inputs]
    repeats = pac.Dataset.from_arrays({"initial": x[:, :8], "conductivity": x[:, 8]}, {"temperature": y})
    return case_of(surrogate("MLP"), repeats, dataset("MLP", 20, 1), seed=3, steps=5), inputs


def rows_of(data, whole):
    """Return the positions of a part's samples in all samples, found by their outputs, which are all different."""
    equal = (data.output_matrix[:, None] == whole.output_matrix).all(2)
    assert (equal.sum(1) == 1).all()
    return equal.argmax(1)


@pytest.mark.parametrize("parts", [2, 3, 10])
def test_each_fit_has_all_samples_except_those_of_its_part_and_repeated_inputs_are_in_one_part(parts):
    keeping, (own, inputs) = Keeping(), repeated()
    found = outcome(LeaveOut(keeping, parts), own)
    assert found.method is keeping
    whole, *others = keeping.cases
    assert whole.target.digest() == own.target.digest()
    assert len(others) == min(parts, 5)
    left_out = []
    for other in others:
        kept = rows_of(other.target, own.target)
        assert len(kept) == len(set(kept))
        gone = np.setdiff1d(np.arange(9), kept)
        assert len(gone) > 0
        assert not set(inputs[gone]) & set(inputs[kept])
        assert (other.surrogate, other.source, other.budget, other.seed) == (own.surrogate, own.source, own.budget, own.seed)
        left_out.append(gone)
    assert sorted(np.concatenate(left_out)) == list(range(9))
    for place, gone in enumerate(left_out):
        assert (found.surrogate.folds.fold[torch.as_tensor(gone)] == place).all()


def test_residuals_are_those_of_fits_that_have_not_seen_the_sample():
    own, _ = repeated()
    found = outcome(LeaveOut(pac.FineTune(learning_rate=1e-2), 3), own).surrogate
    alone = outcome(pac.FineTune(learning_rate=1e-2), own).surrogate
    assert all(float((found.weights[n] - w).abs().max()) < 1e-10 for n, w in alone.weights.items())  # rounding of stacks
    scaled = found.scaling.standardise(own.target)
    x, y = torch.as_tensor(scaled.input_matrix), scaled.output_matrix
    for place in range(3):
        gone = np.flatnonzero(found.folds.fold.numpy() == place)
        rest = outcome(pac.FineTune(learning_rate=1e-2), own.without(gone)).surrogate
        residual = found.folds.residual.numpy()[gone]
        np.testing.assert_allclose(residual, (y - rest.predictor.predict(x).numpy())[gone], atol=1e-9)  # rounding of stacks


@dataclass(frozen=True)
class Shifted:
    """The source, its predictions moved by `whole` in standardised units, or by `fewer` if there are not `samples` samples."""

    whole: float
    fewer: float
    samples: int
    least: int = 0

    def adapt(self, case):
        if len(case.target) < self.least:
            raise NotApplicableError("too few")
        move = self.whole if len(case.target) == self.samples else self.fewer
        network = case.surrogate.network
        weights = network.weights | {"readout.bias": network.weights["readout.bias"] + move}
        return dataclasses.replace(case.surrogate, predictor=dataclasses.replace(network, weights=weights))


def moved(samples=8, by=0.5):
    """Return a case whose target is the prediction of the source, moved by a number in standardised units."""
    start, data = surrogate("MLP"), dataset("MLP", samples, 3)
    (y,) = predict_many([start], [data])
    y = y + by * start.scaling.outputs.deviation.numpy()
    inputs = {"initial": data.input_matrix[:, :8], "conductivity": data.input_matrix[:, 8]}
    return case_of(start, pac.Dataset.from_arrays(inputs, {"temperature": y.reshape(samples, 8)}), folds=4)


def test_residuals_are_not_those_of_the_fit_that_has_seen_all_samples():
    """The target is the source moved by 0.5; the fit of all samples moves it by 0.5, the fits of fewer samples by 0.9."""
    found = outcome(LeaveOut(Shifted(0.5, 0.9, 8), 4), moved()).surrogate
    # Differences of numbers of order 1 to 10 in float64, after scaling and restoring.
    torch.testing.assert_close(found.folds.residual, torch.full((8, 8), -0.4, dtype=torch.float64), rtol=0, atol=1e-13)


def test_the_fit_without_a_part_is_that_of_a_transfer_with_these_samples_in_any_order():
    own, _ = repeated()
    own = dataclasses.replace(own, budget=dataclasses.replace(own.budget, batch_size=3))
    tuning = pac.FineTune(learning_rate=1e-2)
    folds = outcome(LeaveOut(tuning, 3), own).surrogate.folds
    for place, member in enumerate(folds.members):
        kept = np.flatnonzero(folds.fold.numpy() != place)
        for order in (kept, kept[::-1]):
            alone = outcome(tuning, dataclasses.replace(own, target=own.target[order].training)).surrogate.weights
            # Rounding of stacks; other minibatches would change weights by steps of 1e-2.
            assert all(float((member.weights[n] - w).abs().max()) < 1e-10 for n, w in alone.items())


def test_folds_of_outputs_that_are_new_predict_what_their_fits_do_in_physical_units():
    """Each fit scales new outputs by its own samples, and its predictions are converted to the scale of all samples."""
    own, tuning = case_of(surrogate("MLP"), dataset("MLP", 9, 3, 0.4, "pressure"), seed=3, steps=5), pac.FineTune()
    found = outcome(LeaveOut(tuning, 3), own).surrogate
    outputs, x = found.scaling.outputs, torch.as_tensor(found.scaling.standardise(own.target).input_matrix)
    predicted = outputs.restore(found.folds.predict(x)).numpy()
    for place in range(3):
        gone = np.flatnonzero(found.folds.fold.numpy() == place)
        rest = outcome(tuning, own.without(gone)).surrogate
        ratio = rest.scaling.outputs.deviation / outputs.deviation
        assert (ratio != 1).all()
        torch.testing.assert_close(found.folds.slope[place], ratio, rtol=1e-12, atol=0)  # sums of six samples in another order
        (expected,) = predict_many([rest], [own.target])
        expected = expected.reshape(9, 8)
        np.testing.assert_allclose(predicted[place], expected, atol=1e-9)  # rounding of stacks
        residual = (found.folds.residual * outputs.deviation).numpy()[gone]
        np.testing.assert_allclose(residual, (own.target.output_matrix - expected)[gone], atol=1e-9)


def test_a_failed_fit_of_all_samples_leaves_the_source_without_folds_though_fits_of_fewer_samples_succeed():
    @dataclass(frozen=True)
    class Few:
        """The source, for at most 7 samples."""

        def adapt(self, case):
            if len(case.target) > 7:
                raise NotApplicableError("too many")
            return case.surrogate

    own = moved()
    found = outcome(LeaveOut(Few(), 4), own)
    assert found.refused == "too many"
    assert found.surrogate is own.surrogate
    assert found.surrogate.folds is None


def test_a_fit_that_fails_leaves_no_folds():
    found = outcome(LeaveOut(Shifted(0.5, 0.5, 8, least=8)), moved())
    assert found.sound
    assert found.surrogate.folds is None
    assert outcome(LeaveOut(Shifted(0.5, 0.5, 8, least=9)), moved()).refused == "too few"


# Choosing -------------------------------------------------------------------------------------------------------------------


def test_the_candidate_of_least_held_out_error_is_chosen_regardless_of_its_training_error():
    good, memory, bad = Shifted(0.4, 0.4, 8), Shifted(0.5, 0.9, 8), Shifted(0.7, 0.7, 8)
    for candidates in ((good, memory, bad), (bad, memory, good), (memory, good, bad)):
        found = outcome(CrossValidated(candidates), moved())
        assert found.method == good
        assert same(found.surrogate.weights, outcome(good, moved()).surrogate.weights)


def test_cross_validation_errors_are_mean_squares_over_held_out_samples_in_standardised_units():
    asking = CrossValidated((Shifted(0.4, 0.4, 8), Shifted(0.5, 0.9, 8), Shifted(0.5, 0.5, 8, least=7))).errors(moved())
    asked = next(asking)
    assert [len(one.target) for _, one in asked] == [6] * 12
    with pytest.raises(StopIteration) as end:
        asking.send(outcomes([method for method, _ in asked], *(one for _, one in asked)))
    np.testing.assert_allclose(end.value.value, [0.01, 0.16, np.inf], rtol=1e-10)  # (0.5 - 0.4)^2, (0.5 - 0.9)^2


def test_cross_validation_errors_are_those_on_each_fold_of_fits_without_that_fold():
    own, _ = repeated()
    candidates = (pac.FineTune(learning_rate=1e-2), pac.L2(strength=3.0))
    asking = CrossValidated(candidates).errors(own)
    asked = next(asking)
    with pytest.raises(StopIteration) as end:
        asking.send(outcomes([method for method, _ in asked], *(one for _, one in asked)))
    y = own.surrogate.scaling.standardise(own.target).output_matrix
    for candidate, found in zip(candidates, end.value.value, strict=True):
        squared = np.full(y.shape, np.nan)
        for part in parts_of(own.group, own.seed, own.budget.folds):
            fitted = outcome(candidate, own.without(part)).surrogate
            x = torch.as_tensor(fitted.scaling.standardise(own.target).input_matrix)
            squared[part] = (y - fitted.predictor.predict(x).numpy())[part] ** 2
        assert found == pytest.approx(squared.mean(), rel=1e-8)  # rounding of stacks


def test_folds_of_a_choice_keep_repeated_inputs_together_and_are_the_same_for_all_candidates():
    first, second, (own, inputs) = Keeping(), Keeping(), repeated()
    outcome(CrossValidated((first, second)), own)
    assert len(first.cases) == 5 + 1  # five folds; the first of two candidates with equal errors is then fitted
    assert [one.target.digest() for one in second.cases] == [one.target.digest() for one in first.cases[:5]]
    for one in second.cases:
        kept = rows_of(one.target, own.target)
        assert not set(inputs[np.setdiff1d(np.arange(9), kept)]) & set(inputs[kept])


def test_the_first_candidate_is_chosen_where_nothing_distinguishes_the_candidates(trained):
    refused, bad, good = Shifted(0.5, 0.5, 8, least=8), Shifted(0.9, 0.9, 8), Shifted(0.5, 0.5, 3)
    assert outcome(CrossValidated((refused, bad)), moved()).method == bad
    assert outcome(CrossValidated((refused, Shifted(0.5, 0.5, 8, least=7))), moved()).method == refused
    few = Keeping()
    assert outcome(CrossValidated((few, good)), moved(3)).method is few
    assert len(few.cases) == 1
    alone = Keeping()
    outcome(CrossValidated((alone,)), moved())
    assert len(alone.cases) == 1
