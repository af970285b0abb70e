"""Columns of pandas DataFrames as variables: names, units, categories, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import pac_surrogate as pac
from pac_surrogate.data.names import choose, split_unit


def beams(rows=6):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "length [m]": rng.uniform(0.3, 1, rows),
            "load [N]": rng.integers(1, 9, rows),
            "material": ["steel", "copper"] * (rows // 2),
            "tip [mm]": rng.uniform(size=rows),
            "turn [rad]": rng.uniform(size=rows),
        },
        index=pd.Index([f"run {i}" for i in range(rows)], name="run"),
    )


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("load [N]", ("load", "N")),
        ("load[kg m-3]", ("load", "kg m-3")),
        ("ratio [-]", ("ratio", "-")),
        ("x[0]", ("x[0]", None)),
        ("x[1]", ("x[1]", None)),
        ("x[0, 2] [m]", ("x[0, 2]", "m")),
        ("load", ("load", None)),
        ("[N]", ("[N]", None)),
    ],
)
def test_a_unit_in_brackets_is_the_unit_and_a_number_is_an_index(label, expected):
    assert split_unit(label) == expected


def test_an_exact_name_wins_over_a_pattern():
    labels = ["load [N]", "load N", "p_1", "p_2"]
    assert choose("inputs", "load [N]", labels, "the table", units=True) == ["load [N]"]
    assert choose("inputs", ["p_*", "load N"], labels, "the table", units=True) == ["p_1", "p_2", "load N"]
    assert choose("outputs", "*", labels, "the table", taken=["p_1"]) == ["load [N]", "load N", "p_2"]


def test_a_pattern_leaves_out_what_the_other_side_names_whichever_side_that_is(tmp_path):
    table = pd.DataFrame({"p0": [1.0, 2.0, 3.0], "p1": [2.0, 3.0, 5.0], "y [m]": [1.0, 3.0, 2.0]})
    arrays = table.rename(columns={"y [m]": "y"}).to_xarray()
    pac.Dataset.from_arrays({"p0": [1.0, 2.0], "p1": [2.0, 3.0]}, {"y": [1.0, 3.0]}).save(tmp_path / "own.nc")

    def opened(*sides):
        return (
            pac.Dataset.from_pandas(table, *sides),
            pac.Dataset.from_xarray(arrays, *sides),
            pac.open_dataset(tmp_path / "own.nc", *sides),
        )

    for inputs, outputs, expected in (("*", "y", ["p0", "p1", "y"]), ("y", "*", ["y", "p0", "p1"]), ("*", ["p1"], None)):
        for data in opened(inputs, outputs):
            assert [v.name for v in (*data.inputs, *data.outputs)] == (expected or ["p0", "y", "p1"])
    with pytest.raises(ValueError, match="must name each variable of the data once, they name 'y' twice"):
        pac.Dataset.from_xarray(arrays, "y", "y")


def test_a_number_in_brackets_is_an_index_and_no_pattern():
    labels = ["p0", "p1", "p[1]"]
    with pytest.raises(ValueError, match=r"inputs names 'p\[0\]', did you mean 'p\[1\]'\? the table has p0, p1"):
        choose("inputs", "p[0]", labels, "the table")
    assert choose("inputs", "p[1]", labels, "the table") == ["p[1]"]
    assert choose("inputs", "p[0-9]", labels, "the table") == ["p0", "p1"]


def test_names_units_categories_numbers_and_labels_come_from_the_table_and_go_back():
    table = beams()
    data = pac.Dataset.from_pandas(table, inputs=["length", "load [N]", "material"], outputs=["tip", "turn"], valid=0.2)
    assert [(v.name, v.units) for v in data.inputs] == [
        ("length", "m"),
        ("load", "N"),
        ("material=copper", "1"),
        ("material=steel", "1"),
    ]
    assert [(v.name, v.units) for v in data.outputs] == [("tip", "mm"), ("turn", "rad")]
    np.testing.assert_array_equal(data["load [N]"], table["load [N]"])
    np.testing.assert_array_equal(data["load"], table["load [N]"])
    np.testing.assert_array_equal(data["material=steel"], [1, 0, 1, 0, 1, 0])
    back = data.to_pandas()
    assert list(back.index) == list(table.index)
    assert back.index.name == "run"
    pd.testing.assert_series_equal(back["tip [mm]"], table["tip [mm]"])
    few = data[[4, 1]].to_pandas()
    assert list(few.index) == ["run 4", "run 1"]


def test_another_table_of_the_same_kind_is_read_like_the_first():
    source = pac.Dataset.from_pandas(beams(), ["length", "load", "material"], "t*")
    target = pac.Dataset.from_pandas(beams().query("material == 'steel'").rename(columns={"load [N]": "load"}), like=source)
    assert [v.name for v in target.inputs] == [v.name for v in source.inputs]
    np.testing.assert_array_equal(target["material=copper"], 0)
    with pytest.raises(ValueError, match=r"load must be in N, got the column load \[kN\]"):
        pac.Dataset.from_pandas(beams().rename(columns={"load [N]": "load [kN]"}), like=source)
    strange = beams().replace({"material": {"steel": "bronze"}})
    with pytest.raises(ValueError, match="material must be one of copper, steel, got 'bronze'"):
        pac.Dataset.from_pandas(strange, like=source)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda t: t.drop(columns="tip [mm]"), r"outputs names 'tip', but the table has length \[m\]"),
        (
            lambda t: t.assign(**{"length [m]": ["0.5", "1", "x", "2", "3", "4"]}),
            r"length \[m\] must hold numbers, it holds 'x' in row 2",
        ),
        (lambda t: t.assign(**{"length [m]": [0.5, None, 1, 2, 3, 4]}), "length must be finite, it is nan at sample 1"),
        (lambda t: t.assign(**{"tip [mm]": "high"}), r"outputs must be numbers, tip \[mm\] holds texts such as 'high'"),
        (lambda t: t.assign(**{"length [m]": pd.date_range("2020", periods=6)}), "holds times: subtract a reference"),
        (lambda t: t.assign(**{"length [mm]": 1.0}), r"which the table has with several units, length \[m\], length \[mm\]"),
        (lambda t: pd.concat([t.assign(material=f"kind {i}") for i in range(51)]), "at most 50 can be categories"),
        (lambda t: t.iloc[:0], "at least one row"),
        (lambda t: t.set_axis([*t.columns[:-1], "length [m]"], axis=1), "occurs twice"),
    ],
)
def test_what_a_table_cannot_be_is_one_line(change, line):
    with pytest.raises(ValueError, match=line) as error:
        pac.Dataset.from_pandas(change(beams()), ["length", "load", "material"], "tip")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (["1,5", "2,5"] * 3, "must hold numbers, or categories that begin with a letter, it holds texts such as '1,5'"),
        (["1,500", "-2,500"] * 3, "write 1.5 for 1,5 and 1500 for 1,500"),
        (["5 mm", ".7 mm"] * 3, "units in the label only"),
        (["2020-01-01", "2020-01-02"] * 3, "dates as a number of days"),
        ([f"s{i}" for i in range(6)], "each of its 6 texts occurs once, as names of samples do: leave the column out"),
        ([" "] * 6, "all of its entries are blank"),
    ],
)
def test_numbers_dates_and_names_of_samples_in_texts_are_no_categories(texts, line):
    with pytest.raises(ValueError, match=line) as error:
        pac.Dataset.from_pandas(beams().assign(material=texts), ["length", "material"], "tip")
    assert "\n" not in str(error.value)


def test_a_categorical_may_begin_with_digits_and_is_read_from_texts_and_from_numbers():
    table = beams().assign(kind=pd.Categorical(["2D", "3D"] * 3), grade=pd.Categorical([2, 1] * 3, categories=[1, 2, 3]))
    data = pac.Dataset.from_pandas(table, ["kind", "grade"], "tip")
    assert [v.name for v in data.inputs] == ["kind=2D", "kind=3D", "grade=1", "grade=2", "grade=3"]
    plain = table.assign(kind=table["kind"].astype(str) + " ", grade=[2, 1, 2, 1, 2, 1])
    for given in (plain, plain.assign(grade=plain["grade"].astype(float)), plain.assign(grade=plain["grade"].astype(str))):
        for again in (pac.Dataset.from_pandas(given, like=data), pac.Dataset.from_pandas(given, ["kind", "grade"], like=data)):
            np.testing.assert_array_equal(again.input_matrix, data.input_matrix)
    with pytest.raises(ValueError, match="grade must be one of 1, 2, 3, got '4'"):
        pac.Dataset.from_pandas(plain.assign(grade=4), like=data)
    surrogate = pac.pretrain(data, model=pac.MLP(hidden=(4,)), steps=5)
    np.testing.assert_array_equal(surrogate.predict(plain), surrogate.predict(table))


def test_a_missing_category_is_a_missing_number():
    table = beams().assign(material=["steel", None, "copper", " ", "steel ", "copper"])
    with pytest.warns(pac.DataWarning, match="2 of 6 samples are left out"):
        data = pac.Dataset.from_pandas(table, ["length", "material"], "tip", missing="drop")
    np.testing.assert_array_equal(data["material=steel"], [1, 0, 1, 0])


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("unit", ["1", "K", "-"])
def test_variables_of_several_numbers_go_to_a_table_and_back(size, unit):
    draw = np.random.default_rng(0)
    data = pac.Dataset.from_arrays(
        {"p": draw.normal(size=(9, size))}, {"u": draw.normal(size=(9, size))}, units={"u": unit, "p": unit}
    )
    table = data.to_pandas()
    again = pac.Dataset.from_pandas(table, like=data)
    for name in ("p", "u"):
        np.testing.assert_array_equal(again[name], data[name])
    surrogate = pac.pretrain(data, model=pac.MLP(hidden=(4,)), steps=5)
    adapted = pac.transfer(surrogate, data[1:], method="LinearCorrection")
    found = adapted.predict_interval(table, 0.5).to_pandas()
    np.testing.assert_array_equal(found.iloc[:, : 3 * size : 3], adapted.predict(data))
    after = "" if unit == "1" else f" [{unit}]"
    assert list(found.columns[3:6]) == [f"u[1]{after}", f"u[1]_lower{after}", f"u[1]_upper{after}"]


def test_a_number_without_unit_is_in_no_other_unit():
    table = pd.DataFrame({"b [-]": [0.1, 0.2, 0.3], "y": [1.0, 2.0, 3.0]})
    data = pac.Dataset.from_pandas(table, "b", "y")
    pd.testing.assert_frame_equal(data.to_pandas(), table)
    for label in ("b", "b [-]", "b[-]"):
        again = pac.Dataset.from_pandas(table.set_axis([label, "y"], axis=1), like=data)
        np.testing.assert_array_equal(again["b"], data["b"])
    with pytest.raises(ValueError, match=r"b must be in -, got the column b \[%\]"):
        pac.Dataset.from_pandas(table.rename(columns={"b [-]": "b [%]"}), like=data)


def test_the_column_in_the_unit_of_the_variable_wins():
    data = pac.Dataset.from_pandas(pd.DataFrame({"a [m]": [1.0, 2.0], "y": [1.0, 2.0]}), "a", "y")
    both = pd.DataFrame({"a": [1000.0, 2000.0], "a [m]": [3.0, 4.0], "y": [1.0, 2.0]})
    np.testing.assert_array_equal(pac.Dataset.from_pandas(both, like=data)["a"], [3, 4])
    with pytest.raises(ValueError, match=r"one column of a is required, got a \[mm\], a \[km\]"):
        pac.Dataset.from_pandas(both.set_axis(["a [mm]", "a [km]", "y"], axis=1), like=data)


def test_labels_of_rows_that_are_missing_are_kept_apart_from_texts():
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "y": 0.0}, index=["run", None, "x"])
    data = pac.Dataset.from_pandas(table, "a", "y")
    assert data.to_pandas().index.tolist()[::2] == ["run", "x"]
    assert str(data.to_pandas().index[1]) in ("None", "nan")


def test_names_that_would_replace_each_other_are_refused():
    draw = np.random.default_rng(0)

    def interval(*outputs):
        table = pd.DataFrame({"a": draw.normal(size=9)} | {name: draw.normal(size=9) for name in outputs})
        data = pac.Dataset.from_pandas(table, "a", list(outputs))
        adapted = pac.transfer(pac.pretrain(data, model=pac.MLP(hidden=(4,)), steps=5), data[1:], method="LinearCorrection")
        return adapted.predict_interval(table, 0.5), adapted.predict_interval(data.to_xarray(), 0.5)

    for outputs, name in ((("T", "T_lower"), "T_lower"), (("T", "extrapolates"), "extrapolates")):
        of_table, of_arrays = interval(*outputs)
        for convert in (of_table.to_pandas, of_arrays.to_xarray):
            with pytest.raises(ValueError, match=rf"need different names, '{name}' occurs twice: rename one"):
                convert()
    fields = pac.Dataset.from_arrays({"a": [1.0]}, {"u": np.zeros((1, 2)), "u[1]": [0.0]})
    with pytest.raises(ValueError, match=r"'u\[1\]' occurs twice"):
        fields.to_pandas()


def test_units_of_the_argument_are_those_of_columns_that_state_none():
    table = beams().rename(columns={"length [m]": "length"})
    data = pac.Dataset.from_pandas(table, "length", "tip", units={"length": "cm", "tip [mm]": "mm"})
    assert (data.inputs[0].units, data.outputs[0].units) == ("cm", "mm")
    with pytest.raises(ValueError, match="units must name chosen columns, got 'load'"):
        pac.Dataset.from_pandas(table, "length", "tip", units={"load": "kN"})
    with pytest.raises(ValueError, match="tip is in mm in the data, units= says m: convert the numbers"):
        pac.Dataset.from_pandas(table, "length", "tip", units={"tip": "m"})


def test_predictions_of_a_table_have_its_index_and_units():
    table = beams(40)
    data = pac.Dataset.from_pandas(table, ["length", "load", "material"], ["tip", "turn"])
    surrogate = pac.pretrain(data, model=pac.MLP(hidden=(4,)), steps=5)
    adapted = pac.transfer(surrogate, table[:12], method="FineTune", steps=5)
    new = table[["turn [rad]", "material", "load [N]", "length [m]"]][20:25]  # another order, and a column too many
    found = adapted.predict(new)
    assert list(found.columns) == ["tip [mm]", "turn [rad]"]
    pd.testing.assert_index_equal(found.index, new.index)
    expected = adapted.predict(data[20:25])
    np.testing.assert_array_equal(found.to_numpy(), expected)
    interval = adapted.predict_interval(new, level=0.8)
    pd.testing.assert_frame_equal(interval.mean, found)
    joined = interval.to_pandas()
    assert list(joined.columns)[:3] == ["tip [mm]", "tip_lower [mm]", "tip_upper [mm]"]
    assert (joined["tip_lower [mm]"] <= joined["tip_upper [mm]"]).all()
    assert joined["extrapolates"].dtype == bool
    with pytest.raises(ValueError, match="material must be one of copper, steel, got 'glass'"):
        adapted.predict(new.assign(material="glass"))
    with pytest.raises(ValueError, match=r"a column length \[m\] is required"):
        adapted.predict(new.drop(columns="length [m]"))
    with pytest.raises(ValueError, match=r"load must be in N, got the column load \[kN\]"):
        adapted.predict(new.rename(columns={"load [N]": "load [kN]"}))


def test_the_full_label_of_a_column_answers_in_a_dictionary_too():
    table = beams(40)
    data = pac.Dataset.from_pandas(table, ["length", "load"], "tip")
    surrogate = pac.pretrain(data, model=pac.MLP(hidden=(4,)), steps=5)
    found = surrogate.predict({"load [N]": [3.0], "length": [0.5]})
    assert found.keys() == {"tip"}
    with pytest.raises(ValueError, match=r"load must be in N, got 'load \[kN\]'"):
        surrogate.predict({"load [kN]": [3.0], "length": [0.5]})


def test_fields_are_columns_in_c_order_and_too_many_are_no_table():
    y = np.arange(12.0).reshape(2, 2, 3)
    data = pac.Dataset.from_arrays({"a": [1.0, 2.0]}, {"u": y}, units={"u": "K"})
    table = data.to_pandas()
    assert list(table.columns) == ["a", *(f"u[{i}, {j}] [K]" for i in range(2) for j in range(3))]
    np.testing.assert_array_equal(table.to_numpy()[:, 1:], y.reshape(2, 6))
    np.testing.assert_array_equal(pac.Dataset.from_pandas(table, like=data)["u"], y)
    with pytest.raises(ValueError, match="at most 16384 columns, got 16386"):
        pac.Dataset.from_arrays({"a": [1.0]}, {"u": np.zeros((1, 16385))}).to_pandas()


def test_missing_entries_are_refused_dropped_or_kept_as_gaps():
    table = beams()
    table.loc[["run 1", "run 4"], "tip [mm]"] = np.nan
    sides = ["length", "load"], ["tip", "turn"]
    with pytest.raises(ValueError, match=r"tip must be finite, it is nan at sample 1.*missing='drop' or missing='mask'"):
        pac.Dataset.from_pandas(table, *sides)
    with pytest.warns(pac.DataWarning, match="2 of 6 samples are left out, because numbers are missing: tip in 2"):
        kept = pac.Dataset.from_pandas(table, *sides, missing="drop")
    assert kept.to_pandas().index.tolist() == ["run 0", "run 2", "run 3", "run 5"]
    pd.testing.assert_frame_equal(kept.to_pandas(), table.dropna()[kept.to_pandas().columns].astype({"load [N]": float}))
    masked = pac.Dataset.from_pandas(table, *sides, missing="mask")
    assert masked.has_missing
    np.testing.assert_array_equal(masked["tip"], table["tip [mm]"])
    with pytest.raises(ValueError, match=r"length must be finite, it is nan at sample 2.*missing='drop'"):
        pac.Dataset.from_pandas(
            table.assign(**{"length [m]": table["length [m]"].where(table.index != "run 2")}), *sides, missing="mask"
        )
