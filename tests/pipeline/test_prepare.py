"""Matching data and surrogate: by name or position, in any order and any units, and with the rows of the train split only."""

import warnings

import numpy as np
import pandas
import pytest
import torch
import xarray
from adapting import transferred
from cases import dataset, same
from cases import surrogate as by_hand
from every_method import METHODS

import pac_surrogate as pac
from pac_surrogate.data.matching import match_columns, strange_grids
from pac_surrogate.files import Coordinate
from pac_surrogate.surrogates.batch_prediction import predict_many
from pac_surrogate.surrogates.surrogate import Surrogate

RNG = np.random.default_rng(0)
NAMES = ("L", "h", "P", "E")
ROWS = {name: RNG.random(300) + 1 for name in NAMES}
SMALL, NEW = ({name: RNG.random(n) + 1 for name in NAMES} for n in (12, 50))


def beam(x, factor=1.0):
    """Return deflection, stress and weight of a cantilever, dimensionless."""
    x = dict(x)
    return {
        "deflection": factor * 4 * x["P"] * x["L"] ** 3 / (x["E"] * x["h"] ** 3),
        "stress": factor * 6 * x["P"] * x["L"] / x["h"] ** 2,
        "weight": x["L"] * x["h"],
    }


def pick(variables, names):
    return {name: variables[name] for name in names}


def matrix(variables):
    return np.stack(list(variables.values()), axis=1)


SOURCE = pac.Dataset.from_arrays(ROWS, beam(ROWS))


@pytest.fixture(scope="module")
def surrogate():
    return pac.pretrain(SOURCE, model=pac.MLP(hidden=(16, 16)), steps=400, learning_rate=3e-3)


@pytest.fixture(scope="module")
def plain(surrogate):
    """Predictions of a transfer whose target has the source's order of variables."""
    adapted = pac.transfer(surrogate, pac.Dataset.from_arrays(SMALL, beam(SMALL, 1.2)), source=SOURCE)
    return adapted.predict(NEW)


# Names and positions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", pac.FineTune(), pac.PAC()])
def test_variables_in_another_order_are_the_same_problem_and_predictions_have_that_order(surrogate, method):
    names, outputs = ("E", "P", "h", "L"), ("weight", "deflection", "stress")
    kept, turned = (
        pac.transfer(
            surrogate,
            pac.Dataset.from_arrays(pick(SMALL, x), pick(beam(SMALL, 1.2), y)),
            method=method,
            source=SOURCE,
            steps=20,
        )
        for x, y in ((NAMES, tuple(beam(SMALL))), (names, outputs))
    )
    expected = kept.predict(NEW)
    found = turned.predict(NEW)  # by name, in any order
    assert tuple(found) == outputs
    for name in outputs:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9)
    as_matrix = turned.predict(matrix(pick(NEW, names)))  # by position: the order of the target data
    np.testing.assert_array_equal(as_matrix, matrix(found))
    data = pac.Dataset.from_arrays(NEW, beam(NEW))  # in the source's order
    nameless = pac.Dataset.from_arrays(matrix(pick(NEW, names)), np.ones(50))
    for given in (data, nameless):
        np.testing.assert_array_equal(turned.predict(given), as_matrix)
        np.testing.assert_array_equal(predict_many([turned], [given])[0], as_matrix)
    if method != "auto":  # its result is not a network, so no transfer can start from it
        positions = pac.Dataset.from_arrays(matrix(pick(SMALL, names)), matrix(pick(beam(SMALL, 1.2), outputs)))
        again = pac.transfer(turned, positions, method=pac.SourceUnchanged())  # by position in the layout of the arrays
        np.testing.assert_array_equal(again.predict(matrix(pick(NEW, names))), as_matrix)
    band = turned.predict_interval(matrix(pick(NEW, names)), 0.8)
    assert ((band.lower <= as_matrix) & (as_matrix <= band.upper)).mean() > 0.9
    np.testing.assert_array_equal(band.mean, as_matrix)


def test_a_surrogate_with_another_order_is_loaded_as_it_was_saved(surrogate, tmp_path):
    data = pac.Dataset.from_arrays(pick(SMALL, NAMES[::-1]), pick(beam(SMALL), ("weight", "deflection", "stress")))
    adapted = pac.transfer(surrogate, data, method=pac.LinearCorrection())
    adapted.save(tmp_path / "s")
    loaded = Surrogate.load(tmp_path / "s")
    x = matrix(pick(NEW, NAMES[::-1]))
    np.testing.assert_array_equal(loaded.predict(x), adapted.predict(x))
    assert (loaded.given_inputs, loaded.given_outputs) == (adapted.given_inputs, adapted.given_outputs)


@pytest.mark.parametrize("names", [("stress",), ("weight", "deflection")])
def test_a_target_with_some_of_the_outputs_keeps_their_rows_of_the_readout(surrogate, names, plain):
    target = pac.Dataset.from_arrays(SMALL, pick(beam(SMALL, 1.2), names))
    unchanged = pac.transfer(surrogate, target, method=pac.SourceUnchanged()).predict(NEW)
    for name in names:
        np.testing.assert_allclose(unchanged[name], surrogate.predict(NEW)[name], rtol=1e-5)  # float32, summed in another order
    adapted = pac.transfer(surrogate, target, source=SOURCE)
    truth, found = beam(NEW, 1.2), adapted.predict(NEW)
    for name in names:
        ours, whole = (np.sqrt(np.mean((one[name] - truth[name]) ** 2)) for one in (found, plain))
        assert ours < 3 * whole  # the choice differs with the outputs; a new readout would have at least ten times the error
    tuned = pac.transfer(surrogate, target, method=pac.PAC(), source=SOURCE, steps=5, source_steps=5)
    assert not tuned.network.new_readout


def test_new_outputs_are_trained_beside_those_of_the_source(surrogate):
    extra = {"cost": SMALL["L"] ** 2 * SMALL["E"], "stress": beam(SMALL, 1.2)["stress"]}
    target = pac.Dataset.from_arrays(SMALL, extra)
    with pytest.warns(
        pac.DataWarning, match="outputs cost are new to the surrogate, which has deflection, stress, weight"
    ) as w:
        adapted = pac.transfer(surrogate, target, method=pac.FineTune(), steps=0, intervals=False)
    assert len(w) == 1
    assert adapted.network.new_readout
    rows = [list(beam(SMALL)).index("stress")]
    assert torch.equal(adapted.weights["readout.weight"][1:], surrogate.weights["readout.weight"][rows])
    assert not adapted.weights["readout.weight"][0].any()
    np.testing.assert_allclose(adapted.predict(NEW)["stress"], surrogate.predict(NEW)["stress"], rtol=1e-5)
    np.testing.assert_allclose(adapted.predict(NEW)["cost"], extra["cost"].mean(), rtol=1e-6)
    with pytest.warns(pac.DataWarning, match="outputs cost are new"):
        chosen = pac.transfer(surrogate, target, source=SOURCE)
    truth = beam(NEW, 1.2)["stress"]
    assert np.sqrt(np.mean((chosen.predict(NEW)["stress"] - truth) ** 2)) < 0.2 * truth.std()  # without its rows, 0.4


def test_channels_of_a_cnn_are_kept_by_name():
    x, fields = RNG.normal(size=(30, 8)), {n: RNG.normal(size=(30, 8)) for n in ("u", "v", "w")}
    axes = dict.fromkeys(("a", "u", "v", "w", "q"), ("x",))
    source = pac.Dataset.from_arrays({"a": x}, pick(fields, ("u", "v")), axes=pick(axes, ("a", "u", "v")))
    surrogate = pac.pretrain(source, model=pac.CNN(channels=4, blocks=1), steps=5)
    target = pac.Dataset.from_arrays({"a": x[:6]}, {"v": fields["v"][:6]}, axes=pick(axes, ("a", "v")))
    found = pac.transfer(surrogate, target, method=pac.SourceUnchanged()).predict(x[:3])
    np.testing.assert_allclose(found, surrogate.predict({"a": x[:3]})["v"], rtol=1e-4, atol=1e-5)
    both = pac.Dataset.from_arrays({"a": x[:6]}, {"q": fields["w"][:6], "u": fields["u"][:6]}, axes=pick(axes, ("a", "q", "u")))
    with pytest.warns(pac.DataWarning, match="outputs q are new"):
        adapted = pac.transfer(surrogate, both, method=pac.FineTune(), steps=0, intervals=False)
    np.testing.assert_allclose(adapted.predict({"a": x[:3]})["u"], surrogate.predict({"a": x[:3]})["u"], rtol=1e-4, atol=1e-5)


def test_default_names_are_matched_by_position_with_real_names(surrogate, plain):
    x, y = matrix(SMALL), matrix(beam(SMALL, 1.2))
    adapted = pac.transfer(surrogate, pac.Dataset.from_arrays(x, y), source=SOURCE)
    np.testing.assert_allclose(adapted.predict(matrix(NEW)), matrix(plain), rtol=1e-9)
    nameless = pac.pretrain(pac.Dataset.from_arrays(matrix(ROWS), matrix(beam(ROWS))), model=pac.MLP(hidden=(8,)), steps=20)
    named = pac.transfer(nameless, pac.Dataset.from_arrays(SMALL, beam(SMALL)), method=pac.LinearCorrection())
    np.testing.assert_array_equal(matrix(named.predict(NEW)), named.predict(matrix(NEW)))
    assert tuple(named.predict(NEW)) == ("deflection", "stress", "weight")


@pytest.mark.parametrize("side", ["source", "target"])
def test_one_number_per_sample_may_be_an_array_or_a_column(side):
    x, few, new = RNG.random((200, 2)), RNG.random((10, 2)), RNG.random((5, 2))
    answers = []
    for column in (False, True):
        shapes = {
            "source": (-1, 1) if column and side == "source" else (-1,),
            "target": (-1, 1) if column and side == "target" else (-1,),
        }
        source = pac.Dataset.from_arrays(x, x.sum(1).reshape(shapes["source"]))
        surrogate = pac.pretrain(source, model=pac.MLP(hidden=(8,)), steps=50)
        adapted = pac.transfer(surrogate, pac.Dataset.from_arrays(few, 2 * few.sum(1).reshape(shapes["target"])), source=source)
        found = adapted.predict(new)
        assert found.shape == (
            (5, 1) if shapes["target"] == (-1, 1) else (5,)
        )  # the shape of the target: a difference never broadcasts
        answers.append(found.ravel())
    np.testing.assert_array_equal(*answers)


def test_inputs_that_do_not_match_are_refused_in_one_line(surrogate):
    for names, message in (
        (
            ("L", "h", "P"),
            r"the surrogate has the inputs L \(\), h \(\), P \(\), E \(\), the data have L \(\), h \(\), P \(\)$",
        ),
        ((*NAMES, "T"), r"leave T out, or give the source a constant column of that name and pretrain with it"),
    ):
        x = {name: RNG.random(5) + 1 for name in names}
        with pytest.raises(ValueError, match=message) as caught:
            pac.transfer(surrogate, pac.Dataset.from_arrays(x, RNG.random((5, 3))), source=SOURCE)
        assert "\n" not in str(caught.value)


def test_units_must_agree_where_both_are_known_and_1_means_unknown():
    kelvin, pascal, unknown, celsius = ({"y": unit} if unit else {} for unit in ("K", "Pa", "", "degC"))
    data = {
        key: pac.Dataset.from_arrays({"x": RNG.random(9)}, {"y": RNG.random(9)}, units=units)
        for key, units in {"K": kelvin, "Pa": pascal, "": unknown, "degC": celsius}.items()
    }
    surrogate = pac.pretrain(data["K"], model=pac.MLP(hidden=(4,)), steps=2)
    with pytest.raises(ValueError, match="y is in K in the surrogate and in degC in the data: convert one"):
        pac.transfer(surrogate, data["degC"], method=pac.FineTune())
    adapted = pac.transfer(surrogate, data[""], method=pac.FineTune(), steps=1, intervals=False)
    assert adapted.outputs[0].units == "K"
    unknown = pac.pretrain(data[""], model=pac.MLP(hidden=(4,)), steps=2)
    adapted = pac.transfer(unknown, data["Pa"], method=pac.FineTune(), steps=1, intervals=False)
    assert adapted.outputs[0].units == "Pa"
    arrays = pac.Dataset.from_arrays(RNG.random((9, 1)), RNG.random(9))  # no names and no units: a target of arrays
    pac.transfer(surrogate, arrays, method=pac.FineTune(), steps=1, intervals=False)


# Grids --------------------------------------------------------------------------------------------------------------------


def rods(points, length=1.0, samples=9, name="x", units="m"):
    """Return a field with its own grid, as if it came from a file."""
    data = pac.Dataset.from_arrays({"a": RNG.random(samples)}, {"u": RNG.random((samples, points))}, axes={"u": ("x",)})
    axis = Coordinate(name, np.linspace(0, length, points), units)
    data._description.coordinates["x"] = axis
    return data


def test_a_variable_on_another_grid_gives_a_warning_with_both_grids():
    surrogate = pac.pretrain(rods(16), model=pac.MLP(hidden=(4,)), steps=2)
    line = r"u is 16 points of x \(0 to 1 m\) in the surrogate and 32 points of x \(0 to 1 m\) in the target"
    with pytest.warns(pac.DataWarning, match=f"{line}, so it gets a new readout"):
        pac.transfer(surrogate, rods(32), method=pac.FineTune(), steps=1, intervals=False)
    with pytest.warns(pac.DataWarning, match=r"the axis x is 0 to 1 m in the surrogate and 0 to 2 m in the data"):
        pac.transfer(surrogate, rods(16, 2.0), method=pac.FineTune(), steps=1, intervals=False)
    with pytest.warns(pac.DataWarning, match=r"the axis x is 0 to 1 m in the surrogate and 0 to 1 mm in the data"):
        pac.transfer(surrogate, rods(16, units="mm"), method=pac.FineTune(), steps=1, intervals=False)
    pac.transfer(surrogate, rods(16), method=pac.FineTune(), steps=1, intervals=False)


def test_a_loaded_surrogate_has_its_grid_and_arrays_have_none(tmp_path):
    surrogate = pac.pretrain(rods(16), model=pac.MLP(hidden=(4,)), steps=2)
    surrogate.save(tmp_path / "s")
    with pytest.warns(pac.DataWarning, match="0 to 1 m in the surrogate and 0 to 2 m"):
        pac.transfer(Surrogate.load(tmp_path / "s"), rods(16, 2.0), method=pac.FineTune(), steps=1, intervals=False)
    numbered = pac.Dataset.from_arrays({"a": RNG.random(9)}, {"u": RNG.random((9, 16))}, axes={"u": ("x",)})
    pac.transfer(surrogate, numbered, method=pac.FineTune(), steps=1, intervals=False)


def test_grids_are_compared_in_float32_precision_and_channels_by_name():
    x = np.linspace(0, 1, 9)
    (variable,) = pac.Dataset.from_arrays(x, {"u": np.ones((9, 9))}, axes={"u": ("x",)}).outputs
    for other, same_grid in ((x.astype(np.float32), True), (x + 1e-7, True), (x + 1e-4, False), (x[::-1], False)):
        lines = strange_grids({"x": Coordinate("x", x)}, [variable], {"x": Coordinate("x", other)})
        assert (lines == []) == same_grid
    texts = [{"x": Coordinate("x", np.array(names))} for names in (["u", "v"], ["v", "u"])]
    assert strange_grids(texts[0], [variable], texts[1]) == ["the axis x is u, v in the surrogate and v, u in the data"]


# Tables with labels -------------------------------------------------------------------------------------------------------


def test_labels_are_never_lost_in_silence(surrogate):
    table = pandas.DataFrame(pick(SMALL, NAMES[::-1]))  # another order than that of the surrogate
    whole = xarray.Dataset({name: ("run", SMALL[name]) for name in NAMES[::-1]})
    alone = xarray.DataArray(matrix(SMALL), dims=("sample", "input"))
    by_name = {name: table[name] for name in NAMES}
    for given, message in (
        (table, r"is a pandas DataFrame, whose columns would be taken by position: use Dataset.from_pandas, or pass the "),
        (alone, r"is an xarray DataArray, whose dimensions have names that would be lost"),
        (whole, r"is an xarray Dataset"),
        ({**by_name, "L": alone}, r"L is an xarray DataArray"),
    ):
        asks = [lambda x: pac.Dataset.from_arrays(x, np.ones(12))]
        if given is not table and given is not whole:  # these two are matched by their names
            others = surrogate.predict, surrogate.predict_interval, lambda x: pac.next_samples(surrogate, None, x, 2)
            asks += others
        for ask in asks:
            with pytest.raises(ValueError, match=message) as caught:
                ask(given)
            assert "\n" not in str(caught.value)
    expected = surrogate.predict(SMALL)
    np.testing.assert_array_equal(matrix(surrogate.predict(by_name)), matrix(expected))
    np.testing.assert_array_equal(surrogate.predict(table).to_numpy(), matrix(expected))
    for name, values in expected.items():
        np.testing.assert_array_equal(surrogate.predict(whole)[name], values)
    chosen = [pac.next_samples(surrogate, None, given, 2) for given in (SMALL, table, whole)]
    np.testing.assert_array_equal(chosen[0], chosen[1])
    np.testing.assert_array_equal(chosen[0], chosen[2])


@pytest.mark.parametrize("kind", [np.ma.masked_less, None])
def test_a_masked_value_counts_as_missing_in_every_kind_of_input(surrogate, kind):
    x = matrix(SMALL)
    x[3, 1] = -9999.0
    masked = np.ma.masked_less(x, 0) if kind is not None else [*(np.ma.masked_less(row, 0) for row in x)]
    rows = {name: np.ma.masked_less(x[:, i], 0) for i, name in enumerate(NAMES)}
    for ask in (
        lambda given: pac.Dataset.from_arrays(given, np.ones(12)),
        surrogate.predict,
        lambda given: pac.next_samples(surrogate, None, given, 2),
        lambda given: pac.next_samples(surrogate, given, SMALL, 2),
    ):
        for given in (masked, rows):
            with pytest.raises(ValueError, match=r"must be finite, it is missing \(masked\) at sample 3"):
                ask(given)
    kept = np.ma.masked_array(matrix(SMALL), mask=False)
    np.testing.assert_array_equal(surrogate.predict(kept), surrogate.predict(matrix(SMALL)))


# Order, units, offsets ----------------------------------------------------------------------------------------------------

BUDGET = {"steps": 12, "source_steps": 12, "batch_size": 16}
EVERY = {**METHODS, "auto": pac.Auto(), "co-kriging": pac.CoKriging(source_samples=30)}
GRID = 2.0**-10  # numbers of ten bits, so that sums and products with powers of two are exact


def numbers(samples, seed):
    """Return inputs and outputs of few bits, so that a change of units or an offset causes no rounding."""
    generator = np.random.default_rng(seed)
    x = np.round(generator.normal(size=(samples, 3)) / GRID) * GRID
    y = np.stack([np.tanh(x @ [1.0, -0.5, 0.3]), x[:, 0] * x[:, 1]], axis=1) * (1 + 0.2 * seed)
    return x, np.round(y / GRID) * GRID


def answer(method, *, rows=slice(None), source_rows=slice(None), unit=(1.0, 1.0), offset=(0.0, 0.0)):
    """Return predictions and bounds, converted to the original units."""

    def data(samples, seed, chosen):
        x, y = numbers(samples, seed)
        return pac.Dataset.from_arrays((unit[0] * x + offset[0])[chosen], (unit[1] * y + offset[1])[chosen])

    source, target = data(50, 0, source_rows), data(12, 1, rows)
    surrogate = pac.pretrain(source, model=pac.MLP(hidden=(6,)), steps=12)
    result = transferred(surrogate, target, method, source, **BUDGET)
    assert (result.refused, result.diverged) == (None, None)
    adapted = result.surrogate
    x = unit[0] * numbers(9, 2)[0] + offset[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pac.ExtrapolationWarning)
        found = [adapted.predict(x)]
        if adapted.choice is not None:
            band = adapted.predict_interval(x, 0.8)
            found += [band.lower, band.upper]
    return [(values - offset[1]) / unit[1] for values in found], adapted


@pytest.mark.parametrize("name", EVERY)
def test_no_method_depends_on_the_order_of_the_rows_the_units_or_an_offset(name):
    plain, chosen = answer(EVERY[name])
    generator = np.random.default_rng(5)
    shuffled, _ = answer(EVERY[name], rows=generator.permutation(12), source_rows=generator.permutation(50))
    scaled, other = answer(EVERY[name], unit=(2.0**20, 2.0**-30))
    moved, _ = answer(EVERY[name], offset=(1024.0, -4096.0))
    decades, _ = answer(EVERY[name], unit=(1e6, 1e-9))
    for ours, order, units, offset, decade in zip(plain, shuffled, scaled, moved, decades, strict=True):
        np.testing.assert_array_equal(order, ours)
        np.testing.assert_array_equal(units, ours)  # powers of two are exact
        # The standardised numbers differ by rounding: 1e-16 and, because of means near the offsets, 1e-13. Training in float32
        # and searches for length scales enlarge this to 1e-3. A wrong scale would give 1, and so would another optimum.
        np.testing.assert_allclose(offset, ours, rtol=0, atol=0.02)
        np.testing.assert_allclose(decade, ours, rtol=0, atol=0.02)
    if chosen.choice is not None:
        assert other.choice.method == chosen.choice.method


@pytest.mark.filterwarnings("ignore::pac_surrogate.ExtrapolationWarning")
def test_a_set_point_of_the_source_has_the_scale_of_the_target_in_any_unit():
    x, few, new = RNG.random((200, 3)), RNG.random((12, 3)), RNG.random((100, 3))

    def truth(x):
        return 1.2 * np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * x[:, 0]

    errors = {}
    for jitter in (0.0, 1e-9):
        held = x.copy()
        held[:, 2] = 0.5 + jitter * RNG.normal(size=200)
        for unit in (1.0, 1e6, 1e-6):
            scale = np.array([1.0, 1.0, unit])
            source = pac.Dataset.from_arrays(held * scale, np.sin(3 * x[:, 0]) + 0.5 * x[:, 1])
            surrogate = pac.pretrain(source, model=pac.MLP(hidden=(16, 16)), steps=300, learning_rate=3e-3)
            with pytest.warns(
                pac.DataWarning, match="source holds the input input at a set point, or nearly, and the target varies"
            ):
                adapted = pac.transfer(surrogate, pac.Dataset.from_arrays(few * scale, truth(few)), source=source)
            error = np.sqrt(np.mean((adapted.predict(new * scale) - truth(new)) ** 2)) / truth(new).std()
            errors[jitter, unit] = error
    assert max(errors.values()) < 0.5  # a scale from the jitter would give 1e15, the mean of the target's values 1
    for jitter in (0.0, 1e-9):
        same_jitter = [error for (own, _), error in errors.items() if own == jitter]
        assert max(same_jitter) < 1.2 * min(same_jitter) + 0.02


def test_an_output_that_is_constant_in_the_source_is_learned_from_the_target():
    x, few, new = RNG.random((200, 2)), RNG.random((12, 2)), RNG.random((100, 2))
    for jitter in (0.0, 1e-9):
        source = pac.Dataset.from_arrays(x, {"T": x.sum(1), "p": 1e5 + jitter * RNG.normal(size=200)})
        surrogate = pac.pretrain(source, model=pac.MLP(hidden=(16,)), steps=200, learning_rate=3e-3)
        target = pac.Dataset.from_arrays(few, {"T": 1.1 * few.sum(1), "p": 1e5 + 50 * few[:, 0]})
        for method in ("auto", pac.FineTune(learning_rate=1e-2)):
            with pytest.warns(pac.DataWarning, match="the source holds the output p at a set point"):
                adapted = pac.transfer(surrogate, target, method=method, source=source, steps=300, intervals=False)
            truth, found = np.stack([1.1 * new.sum(1), 1e5 + 50 * new[:, 0]], 1), adapted.predict(new)
            assert (np.sqrt(np.mean((found - truth) ** 2, 0)) < 0.4 * truth.std(0)).all()
        with pytest.warns(pac.DataWarning, match="the source holds the output p"):
            unchanged = pac.transfer(surrogate, target, method=pac.SourceUnchanged()).predict(new)
        np.testing.assert_allclose(unchanged[:, 1], 1e5, rtol=1e-9)  # the value of the source, in any scale
        np.testing.assert_allclose(unchanged[:, 0], surrogate.predict(new)[:, 0], rtol=1e-6)


# Which data a fit may use -------------------------------------------------------------------------------------------------


def test_a_fit_uses_only_the_train_rows_of_a_dataset_with_splits():
    x = RNG.random((60, 2))
    whole = pac.Dataset.from_arrays(x, x.sum(1), valid=0.2, test=0.3)
    surrogate, train, every = (
        pac.pretrain(data, model=pac.MLP(hidden=(6,)), steps=8) for data in (whole, whole.train, whole[:])
    )
    assert same(surrogate.weights, train.weights)
    assert not same(surrogate.weights, every.weights)
    target = pac.Dataset.from_arrays(x[:30], 2 * x[:30].sum(1), test=0.5)
    answers = [
        pac.transfer(surrogate, data, method=pac.FineTune(learning_rate=1e-2), source=source, steps=40).predict(x)
        for data, source in ((target, whole), (target.train, whole.train), (target[:], whole))
    ]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert np.abs(answers[0] - answers[2]).max() > 1e-4
    assert pac.transfer(surrogate, target, source=whole).predictor.studentised.shape == (15, 1)


def test_exchanged_and_unrelated_data_give_a_warning(surrogate):
    target, source = pac.Dataset.from_arrays(SMALL, beam(SMALL, 1.2)), SOURCE
    options = {"method": pac.LinearCorrection(), "intervals": False}
    with pytest.warns(pac.DataWarning, match="those that the surrogate was pretrained on: are source and target exchanged"):
        pac.transfer(surrogate, source, source=target, **options)
    with pytest.warns(pac.DataWarning, match="source= has 299 samples that are not the 300"):
        pac.transfer(surrogate, target, source=source[:299], **options)
    shuffled = source[RNG.permutation(300)]
    pac.transfer(surrogate, target, source=shuffled, **options)  # the same data
    other = pac.Dataset.from_arrays(pick(ROWS, NAMES[::-1]), beam(ROWS))
    pac.transfer(surrogate, target, source=other, **options)  # the same data with another order of names
    sides = [pac.Dataset.from_arrays(SMALL, beam(SMALL), attributes={"side": side}) for side in ("source", "target")]
    with pytest.warns(pac.DataWarning, match="the target data are marked as a source"):
        pac.transfer(by_names(), sides[0], source=sides[1], **options)


def by_names():
    """A surrogate without a record of its data."""
    return Surrogate(**{**vars(pac.pretrain(SOURCE, model=pac.MLP(hidden=(4,)), steps=1)), "provenance": {}})


def test_target_inputs_far_outside_the_source_give_a_warning(surrogate):
    far = {**SMALL, "L": 1 + 5 * (SMALL["L"] - 1)}
    with pytest.warns(
        pac.ExtrapolationWarning, match=r"the inputs of \d+ of 12 target samples leave the range of the source data by"
    ):
        pac.transfer(surrogate, pac.Dataset.from_arrays(far, beam(far)), method=pac.LinearCorrection(), intervals=False)
    near = {**SMALL, "L": 1 + 1.5 * (SMALL["L"] - 1)}
    pac.transfer(surrogate, pac.Dataset.from_arrays(near, beam(near)), method=pac.LinearCorrection(), intervals=False)


def test_intervals_of_an_earlier_transfer_are_not_kept_in_the_next(surrogate):
    target = pac.Dataset.from_arrays(SMALL, beam(SMALL, 1.2))
    first = pac.transfer(surrogate, target, method=pac.FineTune(), steps=3)
    assert first.folds is not None
    second = pac.transfer(first, target, method=pac.FineTune(), steps=3, intervals=False)
    assert second.folds is None
    with pytest.raises(ValueError, match="intervals=True"):
        second.predict_interval(NEW)


def test_changes_of_returned_arrays_do_not_change_a_dataset(tmp_path):
    x, y = RNG.random((20, 2)), RNG.random((20, 3))
    memory = pac.Dataset.from_arrays(x, {"u": y}, axes={"u": ("x",)}, test=0.2)
    memory.save(tmp_path / "data.h5")
    for data in (memory, pac.open_dataset(tmp_path / "data.h5"), memory.train, memory[3:9]):
        digest = data.digest()
        for give in (lambda d: d.x, lambda d: d.y, lambda d: d["u"], lambda d: d.input_matrix, lambda d: d.output_matrix):
            give(data)[:] = -1.0
            torch.as_tensor(give(data)).zero_()
        data.attributes["headline"] = "mae"
        data.coordinates.clear()
        with pytest.raises(ValueError, match="read-only"):
            data.coordinates["x"].values[0] = 7
        assert data.digest() == digest
        assert data.attributes["headline"] == "rel_l2"
    x[:] = 0.0
    assert memory.x.any()
    matrices = [RNG.random((20, 2)), RNG.random((20, 3))]
    changed = memory.with_matrices(*matrices)
    matrices[0][:] = 0.0
    assert changed.x.any()


# The model ----------------------------------------------------------------------------------------------------------------


def test_the_model_is_a_module_with_the_trained_weights_and_independent_of_the_surrogate(surrogate):
    model, z = surrogate.model, torch.as_tensor(RNG.normal(size=(5, 4)), dtype=torch.float32)
    torch.testing.assert_close(model(z)[0], surrogate.network.predict(z), rtol=1e-5, atol=1e-6)
    before = surrogate.predict(NEW)
    with torch.no_grad():
        next(model.parameters()).zero_()
    for name, values in surrogate.predict(NEW).items():
        np.testing.assert_array_equal(values, before[name])


def test_a_users_module_keeps_its_weights_where_nothing_is_trained():
    torch.manual_seed(3)
    mine = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    x = RNG.random((40, 2))
    data = pac.Dataset.from_arrays(x, x.sum(1))
    kept = pac.pretrain(data, model=pac.Module(mine), steps=0)
    z = torch.as_tensor((x - x.mean(0)) / x.std(0))
    expected = x.sum(1).mean() + x.sum(1).std() * mine(z)[:, 0].detach().numpy()
    np.testing.assert_allclose(kept.predict(x), expected, rtol=1e-12)
    assert all(torch.equal(a, b) for a, b in zip(kept.model.module.parameters(), mine.parameters(), strict=True))
    trained = pac.pretrain(data, model=pac.Module(mine), steps=3)
    assert not torch.equal(trained.model.module[0].weight.double(), mine[0].weight)  # initial weights drawn by the seed


def test_columns_are_matched_by_name_and_new_columns_have_no_match():
    ours = dataset("MLP", 3, 0).inputs
    assert match_columns("inputs", ours, ours[::-1]).tolist() == [8, *range(8)]
    assert match_columns("inputs", ours, ours[1:]).tolist() == [8]
    other = pac.Dataset.from_arrays({"conductivity": np.ones(2), "z": np.ones(2)}, np.ones(2)).inputs
    assert match_columns("inputs", ours, other).tolist() == [8, -1]
    assert by_hand("MLP").arranged(dataset("MLP", 3, 0)).inputs == ours


# The range of the inputs ----------------------------------------------------------------------------------------------------

SEEING = {
    "EWC": pac.EWC(),
    "ATL": pac.ATL(),
    "co-kriging": pac.CoKriging(source_samples=20),
    "PAC": pac.PAC(),
    "auto": "auto",
    "WoodFisher": pac.SparseTransfer(pac.WoodFisher(sparsity=0.5)),
}
BLIND = {"fine-tune": pac.FineTune(), "L2-SP": pac.L2SP()}


def sines(low, high, samples):
    x = np.linspace(low, high, samples)
    return pac.Dataset.from_arrays({"a": x}, {"u": np.sin(2 * x)})


@pytest.fixture(scope="module")
def of_unit_interval():
    return pac.pretrain(sines(0.0, 1.0, 30), model=pac.MLP(hidden=(5, 4)), steps=2)


@pytest.mark.parametrize("samples", [0, 6])
@pytest.mark.parametrize("name", [*SEEING, *BLIND])
def test_the_range_of_inputs_includes_source_samples_where_the_method_uses_them(name, samples, of_unit_interval):
    """The surrogate was pretrained on inputs in [0, 1]; target samples are inside, and the given source samples in [-3, 3]."""
    target = sines(0.2, 0.8, 6)[:samples]
    method = (SEEING | BLIND)[name]
    found = transferred(of_unit_interval, target, method, sines(-3.0, 3.0, 31), steps=2, source_steps=2)
    assert found.sound
    inputs = found.surrogate.scaling.inputs
    assert (inputs.low.tolist(), inputs.high.tolist()) == (([-3.0], [3.0]) if name in SEEING else ([0.0], [1.0]))
    # The margin on either side is a twentieth of the width: 0.3 for [-3, 3], 0.05 for [0, 1].
    asked = torch.tensor([[-3.4], [-3.2], [-0.1], [-0.04], [0.5], [1.04], [1.1], [3.2], [3.4]])
    inside = slice(1, -1) if name in SEEING else slice(3, -3)
    assert not inputs.outside(asked)[inside].any()
    assert int(inputs.outside(asked).sum()) == (2 if name in SEEING else 6)
    mean, deviation = of_unit_interval.scaling.inputs.mean, of_unit_interval.scaling.inputs.deviation
    assert torch.equal(inputs.mean, mean)  # only the range is wider: the scale is that of pretraining
    assert torch.equal(inputs.deviation, deviation)
