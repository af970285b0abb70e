"""Displayed results: a few lines for any contents, a table in a notebook; `==` and `hash` never fail."""

import copy
import dataclasses
import html
import importlib
import pkgutil
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import nn

import pac_surrogate
import pac_surrogate as pac
from pac_surrogate.methods.case import Budget
from pac_surrogate.predictors import KINDS
from pac_surrogate.prepare import prepare
from pac_surrogate.runner import Solver, run
from pac_surrogate.utilities.display import Shown, brief, cut

LONGEST = 1000  # characters of a repr: a screen shows four times as many
DRAW = np.random.default_rng(0)
X = DRAW.uniform(-1, 1, (60, 32))
SOURCE = pac.Dataset.from_arrays(X, np.sin(X), valid=0.1, test=0.2)
TARGET = pac.Dataset.from_arrays(X, 1.2 * np.sin(X), test=0.5, seed=1)
METHODS = [getattr(pac, name) for name in pac.__all__ if hasattr(getattr(pac, name), "adapt")]


@pytest.fixture(scope="module")
def shown():
    """Return one example of everything that a user may display, by name."""
    surrogate = pac.pretrain(SOURCE, model=pac.MLP(hidden=(64, 64)), steps=2)
    data, budget = TARGET.train[:8], Budget(2, 2)
    few = {"steps": 2, "source_steps": 2, "source": SOURCE}
    adapted = pac.transfer(surrogate, data, source=SOURCE)
    methods = {"PAC": pac.PAC(), "GP": pac.GP(), "correction": pac.LinearCorrection(), "ATL": pac.ATL(), "L2": pac.L2()}
    transferred = {name: pac.transfer(surrogate, data, method=method, **few) for name, method in methods.items()}
    one = pac.pretrain((X[:, :1], X[:, :1]), model=pac.MLP((8,)), steps=2)
    prepared = prepare(surrogate, data, SOURCE)
    (result,) = run([(pac.L2(), case := prepared.case(budget, 0))], Solver(device="cpu"))
    plan = pac.make_plan(surrogate.weights)
    (fitted,) = pac.fit(surrogate.model, [plan], [SOURCE], seeds=[0], steps=2, learning_rate=1e-3)
    curve = pac.transfer_curve(
        SOURCE, TARGET, methods=["PAC", "fine-tune"], sizes=(4, 8), seeds=2, steps=2, source_steps=2, pretrain_steps=2
    )
    wide = pac.Dataset.from_arrays({f"a long name of an input {i}": X[:, 0] for i in range(300)}, {"y": X}, units={"y": "K"})
    return {
        **{f"surrogate, {name}": found for name, found in transferred.items()},
        **{f"predictor, {name}": found.predictor for name, found in transferred.items()},
        **{f"method, {method.__name__}": method() for method in METHODS},
        **{f"mixture, member {i}": member for i, member in enumerate(adapted.predictor.members)},
        "surrogate": surrogate,
        "surrogate of wide data": pac.pretrain(wide, model="MLP", steps=2),
        "surrogate of one number": one,
        "surrogate, auto": adapted,
        "predictor": surrogate.predictor,
        "predictor, auto": adapted.predictor,
        "folds": transferred["L2"].folds,
        "scaling": surrogate.scaling,
        "columns": surrogate.scaling.inputs,
        "choice": adapted.choice,
        "interval": transferred["L2"].predict_interval(X, 0.5),
        "interval by name": transferred["L2"].predict_interval({"input": torch.tensor(X)}, 0.5),
        "data": SOURCE,
        "rows": SOURCE.train[:0],
        "wide data": wide,
        "coordinate": wide.coordinates["y_0"],
        "variable": wide.outputs[0],
        "prepared": prepared,
        "case": case,
        "result": result,
        "budget": budget,
        "plan": plan,
        "fit": fitted,
        "architectures": (pac.MLP(), pac.CNN()),
        "module": pac.Module(nn.Sequential(*(nn.Linear(32, 32) for _ in range(100)))),
        "needed": pac.samples_needed_interval(curve, "PAC", 9.0),
        "saved": pac.samples_saved(curve, "PAC", 9.0)["fine-tune"],
        "cost": pac.break_even(curve, "PAC", 9.0, source_samples=3, source_cost=1, target_cost=2),
    }


def test_every_displayed_object_takes_a_few_lines(shown):
    for name, one in shown.items():
        assert 0 < len(repr(one)) < LONGEST, name
        assert len(repr(one).splitlines()) <= 12, name
        assert max(map(len, repr(one).splitlines())) < 600, name  # a method with all settings is one line
        assert "tensor(" not in repr(one), name
        assert "array(" not in repr(one), name


def test_the_display_of_an_object_names_its_contents(shown):
    error = shown["surrogate, PAC"].provenance["validation"]["error"]
    assert repr(shown["surrogate, PAC"]).splitlines()[:7] == [
        "Surrogate:",
        "  predictor       MLP(hidden=(64, 64), activation='gelu'), sparsity 0.80 of the body, 8,352 of 8,352 weights not zero",
        "  inputs          input (32)",
        "  outputs         output (32)",
        "  trained on      42 samples, seed 0",
        f"  validated on    6 samples, error {error:.3g} of the deviation",
        "  transferred to  8 samples, seed 0",
    ]
    assert "choice          " in repr(shown["surrogate, auto"])
    assert "(60, 32) float64, " in repr(shown["interval"])
    assert "  inputs   300: a long name of an input 0, " in repr(shown["wide data"])
    assert "y (32) [K]" in repr(shown["wide data"])
    assert "42 train, 6 valid, 12 test" in repr(shown["data"])
    assert brief(np.array([1.0, 3.0])) == "(2,) float64, 1 to 3"
    assert brief(torch.tensor([True, False])) == "(2,), true for 1 of 2"
    assert brief({"w": torch.zeros(3, 4), "b": torch.zeros(3)}) == "2 tensors, 15 numbers"
    assert cut("a\n  b" + "c" * 500).startswith("a bccc")


def test_the_display_in_a_notebook_is_a_table_with_escaped_texts(shown):
    pages = [one for one in shown.values() if hasattr(one, "_repr_html_")]
    assert {pac.Surrogate, pac.Dataset, type(shown["interval"]), type(shown["choice"])} <= {type(page) for page in pages}
    for one in pages:
        assert ElementTree.fromstring(one._repr_html_()).tag in ("table", "pre")
    strange = pac.Dataset.from_arrays(X, X, units={"output": "<b>K</b> & so on"})._repr_html_()
    assert "output (32) [&lt;b&gt;K&lt;/b&gt; &amp; so on]" in strange
    assert "<b>" not in strange
    page = shown["choice"]._repr_html_()
    assert all(html.escape(one.name) in page for one in shown["choice"].table)  # the whole table of candidates


def test_results_can_be_compared_and_used_as_keys(shown):
    for name, one in shown.items():
        assert one == one, name  # a generated comparison of arrays would raise
        assert isinstance(one == copy.copy(one), bool), name
        assert one != "another", name
        assert {one: name}[one] == name, name


def dataclasses_of_the_library():
    for module in pkgutil.walk_packages(pac_surrogate.__path__, "pac_surrogate."):
        for kind in vars(importlib.import_module(module.name)).values():
            if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == module.name:
                yield kind


def test_no_dataclass_compares_or_prints_arrays():
    """Generated comparisons of arrays have no truth value, and generated reprs of them fill screens."""
    seen = list(dataclasses_of_the_library())
    assert {pac.Surrogate, pac.Plan, pac.PAC, *KINDS} <= set(seen)
    words = ("Tensor", "ndarray", "Mapping", "dict[", "Weights", "Surrogate", "Dataset")
    for kind in seen:
        fields = [field for field in dataclasses.fields(kind) if any(word in str(field.type) for word in words)]
        if any(field.compare for field in fields):
            assert kind.__eq__ is object.__eq__, kind
            assert kind.__hash__ is object.__hash__, kind
        if any(field.repr for field in fields):
            assert issubclass(kind, Shown), kind
