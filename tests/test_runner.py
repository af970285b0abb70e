"""The runner: what is solved once, what stays alone with its failure, who is served first, and what it all cost."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
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
from pac_surrogate.methods.leave_out import LeaveOut, parts_of
from pac_surrogate.methods.method import NotApplicableError, Outcome
from pac_surrogate.methods.problems import Measure
from pac_surrogate.methods.pulled.bss import SpectralShrinkage
from pac_surrogate.methods.pulled.resemblance import resemble
from pac_surrogate.methods.tuned.lora import LowRank
from pac_surrogate.perturbation import Perturbation
from pac_surrogate.plan import make_plan
from pac_surrogate.predictors import Folds
from pac_surrogate.solvers.training import fit
from pac_surrogate.surrogates.many import predict_many


def case(seed=0, *, samples=6, start=None, **spent):
    given = {"steps": 5, "source_steps": 7, "batch_size": 4} | spent
    return case_of(start or surrogate("MLP"), dataset("MLP", samples, 3, 0.4), dataset("MLP", 20, 1), seed=seed, **given)


@dataclass(frozen=True)
class Tuned:
    """All weights train, in one or several trainings, one after the other; `name` tells equal ones apart."""

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
    """A Plan that a function makes of the weights."""

    plan: Callable[[Any], Any]

    def adapt(self, case):
        return (yield case.on_target(case.surrogate, self.plan(case.surrogate.weights)))


@dataclass(frozen=True, eq=False)
class Waiting:
    """A method that waits for others and keeps what it is told."""

    others: list[Any]
    told: list[Any] = field(default_factory=list)

    def adapt(self, case):
        self.told.extend((yield [(other, case) for other in self.others]))
        return case.surrogate


@dataclass(frozen=True, eq=False)
class Failing:
    """A method that fails in its second training, or is refused there; it keeps how far it came."""

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
    """Every call of the trainer: its seeds, steps, learning rates, and how many samples each run has."""
    calls = []

    def counted(module, plans, datasets, **options):
        calls.append({**options, "samples": [len(data) for data in datasets]})
        return [dataclasses.replace(result, seconds=1.0) for result in fit(module, plans, datasets, **options)]

    monkeypatch.setattr(runner, "fit", counted)
    return calls


def runs(calls):
    return sum(len(call["seeds"]) for call in calls)


# Equal problems -------------------------------------------------------------------------------------------------------------


def test_equal_problems_are_trained_once_whoever_poses_them_and_from_whatever_copy(trained):
    first, second, again = outcomes([Tuned("a"), Tuned("b"), Posed(make_plan)], case(), case(), case())
    assert runs(trained) == 1
    assert same(first.surrogate.weights, second.surrogate.weights)
    assert same(first.surrogate.weights, again.surrogate.weights)


def test_an_equal_method_on_an_equal_case_is_followed_once(trained):
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
    "behaviour": lambda w: make_plan(w, behaviour=resemble(w, prediction=1.0)),
    "numbers of a behaviour": lambda w: make_plan(w, behaviour=resemble(w, prediction=2.0)),
    "settings of a behaviour": lambda w: make_plan(w, behaviour=SpectralShrinkage(1, {"strength": torch.ones(()).double()})),
    "other settings": lambda w: make_plan(w, behaviour=SpectralShrinkage(2, {"strength": torch.ones(()).double()})),
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


def test_problems_are_told_apart_by_everything_that_they_depend_on(trained):
    methods = [Tuned(), Tuned(rate=2e-3), *map(Posed, PLANS.values()), *(Tuned() for _ in CASES)]
    own = [case()] * (2 + len(PLANS)) + list(CASES.values())
    found = outcomes(methods, *own)
    assert runs(trained) == len(methods) == 2 + len(PLANS) + len(CASES)
    for method, one, together in zip(methods, own, found, strict=True):
        alone = outcome(method, one).surrogate
        for name, weight in alone.weights.items():
            # Five steps in float64, or in float32; a run that was given another's result is 1e-3 away where they differ at all.
            bound = 1e-10 if weight.dtype == torch.float64 else 1e-5
            assert float((together.surrogate.weights[name] - weight).abs().max()) < bound, (method, name)


def test_the_seed_orders_the_minibatches_of_each_case():
    first, second = outcomes([Tuned(), Tuned()], case(seed=0), case(seed=1))
    assert max(float((first.surrogate.weights[n] - w).abs().max()) for n, w in second.surrogate.weights.items()) > 1e-5


def test_outputs_of_another_name_are_another_target():
    start, own = surrogate("MLP"), dataset("MLP", 6, 3, 0.4)
    new = dataset("MLP", 6, 3, 0.4, "pressure")
    assert own.digest() == new.digest()
    kept, fresh = outcomes([pac.FineTune()] * 2, case_of(start, own, steps=3), case_of(start, new, steps=3))
    assert [variable.name for variable in kept.surrogate.outputs] == ["temperature"]
    assert [variable.name for variable in fresh.surrogate.outputs] == ["pressure"]
    assert not torch.equal(kept.surrogate.weights["readout.weight"], fresh.surrogate.weights["readout.weight"])


@pytest.mark.parametrize("method", [pac.FineTune(), pac.SourceUnchanged()])
def test_each_keeps_what_its_own_surrogate_remembers_though_the_problem_is_solved_once(method, trained):
    starts = [dataclasses.replace(surrogate("MLP"), provenance={"made": made}) for made in ("here", "there")]
    found = outcomes([method] * 2, *(case(start=start) for start in starts))
    assert runs(trained) == (1 if method == pac.FineTune() else 0)
    assert [result.surrogate.provenance["made"] for result in found] == ["here", "there"]


def test_a_measurement_is_made_once_for_all_who_ask_for_the_same():
    measured = []

    def measure(surrogate, data, factor):
        measured.append(len(data))
        return factor * float(data.output_matrix.sum())

    @dataclass(frozen=True)
    class Measuring:
        name: str
        factor: float
        told: list[float] = field(default_factory=list, compare=False)

        def adapt(self, case):
            self.told.append((yield Measure(measure, case.surrogate, case.target, (self.factor,))))
            return case.surrogate

    methods = [Measuring("a", 2.0), Measuring("b", 2.0), Measuring("c", 3.0)]
    own = case()
    outcomes(methods, own)
    scaled = own.surrogate.scaling.standardise(own.target).output_matrix.sum()
    assert measured == [6, 6]
    assert [method.told for method in methods] == [[2.0 * scaled], [2.0 * scaled], [3.0 * scaled]]


def test_measurements_on_other_data_of_other_networks_and_by_other_functions_are_others():
    measured = []

    def measure(surrogate, data):
        measured.append(len(data))
        return float(data.output_matrix.sum()) + float(surrogate.weights["readout.bias"].sum())

    def another(surrogate, data):
        return -measure(surrogate, data)

    @dataclass(frozen=True)
    class Measuring:
        function: Callable[..., float]
        told: list[float] = field(default_factory=list, compare=False)

        def adapt(self, case):
            self.told.append((yield Measure(self.function, case.surrogate, case.target)))
            return case.surrogate

    start = surrogate("MLP")
    bias = {**start.weights, "readout.bias": start.weights["readout.bias"] + 1}
    moved = dataclasses.replace(start, predictor=dataclasses.replace(start.network, weights=bias))
    methods, cases = [Measuring(measure), Measuring(another)], [case(), case(samples=5), case(start=moved)]
    outcomes([method for method in methods for _ in cases], *cases * 2)
    assert len(measured) == 6
    for told, sign in zip((method.told for method in methods), (1, -1), strict=True):
        expected = [
            sign
            * (
                float(one.surrogate.scaling.standardise(one.target).output_matrix.sum())
                + float(one.surrogate.weights["readout.bias"].sum())
            )
            for one in cases
        ]
        assert sorted(told) == sorted(expected)  # the same sums in the same order: equal to the last bit


def test_a_source_with_other_samples_is_another_case():
    @dataclass(frozen=True)
    class Seeing:
        seen: list[int] = field(default_factory=list, compare=False)

        def adapt(self, case):
            self.seen.append(len(case.source))
            return case.surrogate

    method, own = Seeing(), case()
    outcomes([method] * 3, own, own, dataclasses.replace(own, source=own.source[:7]))
    assert method.seen == [20, 7]


def folds_of(network):
    apart, zeros = torch.arange(2), torch.zeros(2, 8, dtype=torch.float64)
    return Folds((network, network), apart, zeros, apart, torch.ones_like(zeros), zeros)


def with_predictor(start, **changes):
    return dataclasses.replace(start, predictor=dataclasses.replace(start.network, **changes))


CHANGES = {
    "coordinates": lambda start: dataclasses.replace(start, coordinates={"x": Coordinate("x", np.arange(3.0))}),
    "folds": lambda start: dataclasses.replace(start, folds=folds_of(start.network)),
    "layout of inputs": lambda start: dataclasses.replace(start, given_inputs=start.inputs),
    "layout of outputs": lambda start: dataclasses.replace(start, given_outputs=start.outputs),
    "unit": lambda start: dataclasses.replace(
        start, inputs=(dataclasses.replace(start.inputs[0], units="K"), *start.inputs[1:])
    ),
    "new readout": lambda start: with_predictor(start, new_readout=True),
    "mask": lambda start: with_predictor(start, essential={n: torch.ones_like(w).bool() for n, w in start.weights.items()}),
    "range": lambda start: dataclasses.replace(start, scaling=lower(start.scaling)),
}


def lower(scaling):
    return dataclasses.replace(scaling, inputs=dataclasses.replace(scaling.inputs, low=scaling.inputs.low - 1))


@pytest.mark.parametrize("change", CHANGES)
def test_a_method_is_followed_again_where_a_surrogate_would_hand_on_something_else(change):
    @dataclass(frozen=True)
    class Counted:
        calls: list[int] = field(default_factory=list, compare=False)

        def adapt(self, case):
            self.calls.append(1)
            return case.surrogate

    method, start = Counted(), surrogate("MLP")
    own = case(start=start)
    outcomes([method] * 3, own, dataclasses.replace(own), dataclasses.replace(own, surrogate=CHANGES[change](start)))
    assert len(method.calls) == 2


def test_data_are_taken_in_the_scales_of_each_surrogate():
    """Scales that differ in the logarithm alone: the same mean and deviation, other numbers."""

    def standardised(surrogate, data):
        return data.input_matrix

    @dataclass(frozen=True)
    class Measuring:
        told: list[Any] = field(default_factory=list, compare=False)

        def adapt(self, case):
            self.told.append((yield Measure(standardised, case.surrogate, case.target)))
            return case.surrogate

    method, start = Measuring(), surrogate("MLP")
    columns, positive = start.scaling.inputs, case().target
    positive = positive.with_matrices(np.abs(positive.input_matrix) + 0.1, positive.output_matrix)
    logarithmic = dataclasses.replace(columns, logarithmic=~columns.logarithmic)
    other = dataclasses.replace(start, scaling=dataclasses.replace(start.scaling, inputs=logarithmic))
    cases = [dataclasses.replace(case(), surrogate=one, target=positive) for one in (start, other)]
    outcomes([method] * 2, *cases)
    for told, one in zip(method.told, (start, other), strict=True):
        np.testing.assert_array_equal(told, one.scaling.standardise(positive).input_matrix)


def test_runs_stand_in_a_stack_in_the_order_of_their_methods_whoever_was_ready_first(monkeypatch):
    """So that a result does not hang, by rounding, on how often a method has waited before."""

    @dataclass(frozen=True)
    class Late:
        def adapt(self, case):
            yield []
            return (yield case.on_target(case.surrogate, make_plan(case.surrogate.weights), 1e-3))

    rates = []
    monkeypatch.setattr(
        runner, "fit", lambda *given, **options: rates.append(options["learning_rate"]) or fit(*given, **options)
    )
    outcomes([Late(), Tuned(rate=2e-3)], *[case()] * 2)
    assert rates == [[1e-3, 2e-3]]


def test_fits_without_a_part_see_their_samples_in_the_order_of_their_content():
    @dataclass(frozen=True)
    class Seeing:
        seen: list[Any] = field(default_factory=list, compare=False)

        def adapt(self, case):
            self.seen.append(case.target)
            return case.surrogate

    method, own = Seeing(), case(samples=9)
    outcome(LeaveOut(method, parts=3), own)
    assert [len(target) for target in method.seen] == [9, 6, 6, 6]
    for target in method.seen[1:]:
        np.testing.assert_array_equal(target.input_matrix, target.training.input_matrix)
    order = [own.without(part).target.input_matrix for part in parts_of(own.group, own.seed, 3)]
    assert any(not np.array_equal(a, b.input_matrix) for a, b in zip(order, method.seen[1:], strict=True))  # or it said nothing


def test_without_a_sound_fit_of_all_samples_there_are_no_folds():
    @dataclass(frozen=True)
    class FewAlone:
        def adapt(self, case):
            if len(case.target) == 9:
                raise NotApplicableError("nine are too many")
            return case.surrogate

    found = outcome(LeaveOut(FewAlone(), parts=3), case(samples=9))
    assert found.refused == "nine are too many"
    assert found.surrogate.folds is None


def test_folds_of_new_outputs_predict_in_the_scales_of_the_whole_fit():
    """Each fold scales a new output by its own samples; what it predicts is the same in physical units."""
    data = dataset("MLP", 9, 3, 0.4, "pressure")
    own = case_of(surrogate("MLP"), data, steps=3)
    whole = outcome(LeaveOut(pac.FineTune(), parts=3), own).surrogate
    parts = parts_of(own.group, own.seed, 3)
    x = torch.as_tensor(whole.scaling.standardise(own.target).input_matrix)
    predicted = whole.folds.predict(x)
    for number, part in enumerate(parts):
        alone = own.without(part)
        fitted = outcome(pac.FineTune(), dataclasses.replace(alone, target=alone.target.training)).surrogate
        assert not torch.equal(fitted.scaling.outputs.deviation, whole.scaling.outputs.deviation)
        physical = fitted.scaling.outputs.restore(fitted.predictor.predict(x).double())
        # Restored by either scale: float64, numbers of order 1.
        torch.testing.assert_close(whole.scaling.outputs.restore(predicted[number]), physical, rtol=0, atol=1e-9)


@pytest.mark.parametrize("given", [(1, 2), None, 3.0])
def test_a_method_that_asks_for_or_gives_something_else_is_named(given):
    @dataclass(frozen=True)
    class Asking:
        def adapt(self, case):
            yield given

    @dataclass(frozen=True)
    class Giving:
        def adapt(self, case):
            return given

    for method, said in ((Asking(), "Asking.*must yield"), (Giving(), "Giving.*must return")):
        with pytest.raises(ValueError, match=said) as caught:
            outcome(method, case())
        assert "\n" not in str(caught.value)


def test_a_method_may_wait_for_closed_forms_as_often_as_it_likes():
    @dataclass(frozen=True)
    class Patient:
        def adapt(self, case):
            for seed in range(1500):  # more than Python's calls within calls
                yield [(pac.SourceUnchanged(), dataclasses.replace(case, seed=seed))]
            return case.surrogate

    assert outcome(Patient(), case()).sound


# Failures -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["diverged", "refused", "measured"])
def test_a_method_that_fails_ends_alone_and_is_not_advanced_any_more(how):
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
        # In float64, whether two runs share a stack or three changes sums of order 1 by their rounding, in 15 steps of Adam.
        assert all(float((weights[n] - w).abs().max()) < 1e-10 for n, w in expected.surrogate.weights.items())


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


def test_who_waits_is_told_of_failures():
    waiting = Waiting([Tuned(), Failing("diverged"), Failing("refused")])
    assert outcome(waiting, case()).sound
    assert [told.sound for told in waiting.told] == [True, False, False]


# Methods that wait for others -----------------------------------------------------------------------------------------------


def test_outcomes_come_in_the_order_that_was_asked_for_whoever_ends_first():
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


def test_one_that_several_wait_for_is_followed_once_and_told_to_all(trained):
    first, second = Waiting([Tuned("a"), Tuned("a")]), Waiting([Tuned("a")])
    outcomes([first, second], case())
    assert runs(trained) == 1
    assert [len(first.told), len(second.told)] == [2, 1]
    for told in (*first.told, *second.told):
        assert same(told.surrogate.weights, first.told[0].surrogate.weights)


def test_those_that_others_wait_for_are_served_first(trained):
    outcomes([Tuned("free", 1e-3, times=2), Waiting([Tuned("below", 2e-3, times=3), Waiting([Tuned("deep", 3e-3)])])], case())
    assert [call["learning_rate"] for call in trained] == [[3e-3], [2e-3], [2e-3], [2e-3], [1e-3], [1e-3]]


def test_what_all_wait_for_at_one_moment_is_one_call_of_the_trainer(trained):
    outcomes([Tuned("a", 1e-3), Tuned("b", 2e-3), Waiting([Tuned("c", 3e-3), Tuned("d", 4e-3)])], case())
    assert [call["learning_rate"] for call in trained] == [[3e-3, 4e-3], [1e-3, 2e-3]]


@dataclass(frozen=True)
class Handing:
    """A method in whose place another goes on, after a training or at once."""

    other: Any
    trains: bool

    def adapt(self, case):
        return self._adapt(case) if self.trains else self.other

    def _adapt(self, case):
        yield case.on_target(case.surrogate, make_plan(case.surrogate.weights), 7e-3)
        return self.other


@pytest.mark.parametrize("trains", [True, False])
def test_a_method_may_end_with_another_that_goes_on(trains):
    own = case()
    found = outcome(Handing(Handing(Tuned(times=2), trains), trains), own)
    assert found.method == Tuned(times=2)
    assert same(found.surrogate.weights, outcome(Tuned(times=2), own).surrogate.weights)


def test_a_method_may_end_with_the_outcome_of_one_that_it_waited_for():
    @dataclass(frozen=True)
    class Passing:
        def adapt(self, case):
            return (yield [(Tuned(), case)])[0]

    assert outcome(Passing(), case()).method == Tuned()


# Time -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Late:
    """A method that trains, and only then waits for another."""

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
def test_seconds_add_up_to_what_was_spent(methods, trained):
    found = outcomes(list(methods), case())
    assert runs(trained) > 0
    # A run counts a second here; what else is spent is what these methods and the runner take, milliseconds.
    assert sum(result.seconds for result in found) == pytest.approx(runs(trained), abs=0.4)
    assert all(result.seconds >= 0 for result in found)


# Leaving samples out --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Keeping:
    """The source unchanged; it keeps the cases that it was given."""

    cases: list[Any] = field(default_factory=list)

    def adapt(self, case):
        self.cases.append(case)
        return case.surrogate


def repeated():
    """A case of 9 samples of 5 inputs."""
    data = dataset("MLP", 9, 3, 0.4)
    x, y = data.input_matrix.copy(), data.output_matrix
    inputs = np.array([0, 1, 2, 0, 3, 1, 0, 4, 4])
    x = x[inputs]
    repeats = pac.Dataset.from_arrays({"initial": x[:, :8], "conductivity": x[:, 8]}, {"temperature": y})
    return case_of(surrogate("MLP"), repeats, dataset("MLP", 20, 1), seed=3, steps=5), inputs


def rows_of(data, whole):
    """The places in the whole of the samples of a part, by their outputs, which are all different."""
    equal = (data.output_matrix[:, None] == whole.output_matrix).all(2)
    assert (equal.sum(1) == 1).all()
    return equal.argmax(1)


@pytest.mark.parametrize("parts", [2, 3, 10])
def test_each_fit_has_all_samples_but_those_of_its_part_and_repeats_of_an_input_are_together(parts):
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
        assert np.abs(residual - (y - alone.predictor.predict(x).numpy())[gone]).max() > 1e-4


@dataclass(frozen=True)
class Shifted:
    """The source, its predictions moved by a number in standardised units: by another where the samples are fewer."""

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
    """A case whose target is the source's prediction, moved by a number in standardised units."""
    start, data = surrogate("MLP"), dataset("MLP", samples, 3)
    (y,) = predict_many([start], [data])
    y = y + by * start.scaling.outputs.deviation.numpy()
    inputs = {"initial": data.input_matrix[:, :8], "conductivity": data.input_matrix[:, 8]}
    return case_of(start, pac.Dataset.from_arrays(inputs, {"temperature": y.reshape(samples, 8)}), folds=4)


def test_a_fit_that_fails_leaves_no_folds():
    found = outcome(LeaveOut(Shifted(0.5, 0.5, 8, least=8)), moved())
    assert found.sound
    assert found.surrogate.folds is None
    assert outcome(LeaveOut(Shifted(0.5, 0.5, 8, least=9)), moved()).refused == "too few"


# Choosing -------------------------------------------------------------------------------------------------------------------


def test_the_candidate_that_errs_least_on_samples_held_out_is_chosen_whatever_it_does_on_those_it_has_seen():
    good, memory, bad = Shifted(0.4, 0.4, 8), Shifted(0.5, 0.9, 8), Shifted(0.7, 0.7, 8)
    for candidates in ((good, memory, bad), (bad, memory, good), (memory, good, bad)):
        found = outcome(CrossValidated(candidates), moved())
        assert found.method == good
        assert same(found.surrogate.weights, outcome(good, moved()).surrogate.weights)


def test_the_errors_are_mean_squares_over_samples_held_out_standardised():
    asking = CrossValidated((Shifted(0.4, 0.4, 8), Shifted(0.5, 0.9, 8), Shifted(0.5, 0.5, 8, least=7))).errors(moved())
    asked = next(asking)
    assert [len(one.target) for _, one in asked] == [6] * 12
    with pytest.raises(StopIteration) as end:
        asking.send(outcomes([method for method, _ in asked], *(one for _, one in asked)))
    np.testing.assert_allclose(end.value.value, [0.01, 0.16, np.inf], rtol=1e-10)  # (0.5 - 0.4)^2, (0.5 - 0.9)^2


def test_the_errors_are_those_on_each_fold_of_fits_without_it():
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


def test_folds_of_a_choice_keep_repeats_of_an_input_together_and_are_the_same_for_all_candidates():
    first, second, (own, inputs) = Keeping(), Keeping(), repeated()
    outcome(CrossValidated((first, second)), own)
    assert len(first.cases) == 5 + 1  # five folds, and the first of two that err alike goes on
    assert [one.target.digest() for one in second.cases] == [one.target.digest() for one in first.cases[:5]]
    for one in second.cases:
        kept = rows_of(one.target, own.target)
        assert not set(inputs[np.setdiff1d(np.arange(9), kept)]) & set(inputs[kept])


def test_without_anything_to_tell_candidates_apart_the_first_goes_on(trained):
    refused, bad, good = Shifted(0.5, 0.5, 8, least=8), Shifted(0.9, 0.9, 8), Shifted(0.5, 0.5, 3)
    assert outcome(CrossValidated((refused, bad)), moved()).method == bad
    assert outcome(CrossValidated((refused, Shifted(0.5, 0.5, 8, least=7))), moved()).method == refused
    few = Keeping()
    assert outcome(CrossValidated((few, good)), moved(3)).method is few
    assert len(few.cases) == 1
    alone = Keeping()
    outcome(CrossValidated((alone,)), moved())
    assert len(alone.cases) == 1
