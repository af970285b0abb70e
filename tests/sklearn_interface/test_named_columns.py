"""`TransferRegressor` with tables: units in the names of columns, sources in files of tables; and with bounds of an output."""

import numpy as np
import pandas as pd
import pytest

import pac_surrogate as pac
from pac_surrogate.sklearn import TransferRegressor

pytestmark = pytest.mark.filterwarnings("ignore::pac_surrogate.ExtrapolationWarning")

MODEL = pac.MLP(hidden=(8,))
DRAW = np.random.default_rng(0)
X, FEW, NEW = (DRAW.uniform(-1, 1, (rows, 2)) for rows in (100, 12, 50))


def cheap(x):
    return np.sin(3 * x[:, 0]) + x[:, 1] ** 2


def expensive(x):
    return 1.5 * cheap(x) + 0.3 * x[:, 0]


def short(source, method="L2SP", **options):
    return TransferRegressor(source, method, model=MODEL, pretrain_steps=20, steps=20, source_steps=20, **options)


def test_units_in_the_names_of_columns_are_those_of_the_source():
    table = pd.DataFrame({"a [m]": X[:, 0], "b": X[:, 1], "y [K]": cheap(X)})
    few, new = (pd.DataFrame({"b": x[:, 1], "a [m]": x[:, 0]}) for x in (FEW, NEW))
    given = pac.Dataset.from_pandas(table, ["a", "b"], "y")
    expected = short(given).fit(FEW, expensive(FEW)).predict(NEW)
    regressor = short(given).fit(few, expensive(FEW))
    np.testing.assert_array_equal(regressor.predict(new), expected)
    assert [(v.name, v.units) for v in regressor.surrogate_.inputs] == [("a", "m"), ("b", "1")]
    pair = short((table[["a [m]", "b"]], table["y [K]"])).fit(few, expensive(FEW))
    np.testing.assert_array_equal(pair.predict(new), expected)
    with pytest.raises(ValueError, match="a is in m in the surrogate and in mm in the data"):
        short(given).fit(few.rename(columns={"a [m]": "a [mm]"}), expensive(FEW))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_in_a_file_is_a_source_whose_columns_are_those_of_fit(suffix, tmp_path):
    table = pd.DataFrame({"note": "ok", "b": X[:, 1], "y [K]": cheap(X), "z": -cheap(X), "a [m]": X[:, 0]})
    path = tmp_path / f"source{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    few, y = pd.DataFrame(FEW, columns=["a [m]", "b"]), pd.Series(expensive(FEW), name="y")
    for outputs in (["y"], ["z", "y [K]"]):
        given = pac.Dataset.from_pandas(table, ["a", "b"], outputs)
        right = y if outputs == ["y"] else pd.DataFrame({"z": -y, "y [K]": y})
        expected = short(given, "PAC").fit(FEW, right.to_numpy()).predict(NEW)
        found = short(path, "PAC").fit(few, right)
        np.testing.assert_array_equal(found.predict(pd.DataFrame(NEW, columns=few.columns)), expected)
    trained = pac.pretrain(given, model=MODEL, steps=20)
    read, direct = (short(trained, "PAC", source_data=samples).fit(few, right) for samples in (path, given))
    np.testing.assert_array_equal(read.surrogate_.predict(NEW), direct.surrogate_.predict(NEW))
    for x, right in ((FEW, y), (few, y.to_numpy()), (few, y.rename(None))):
        with pytest.raises(ValueError, match="pass X to fit as a DataFrame and y as a Series or a DataFrame with the names"):
            short(path).fit(x, right)
    with pytest.raises(ValueError, match=r"y must be in K, got 'y \[C\]'"):
        short(path).fit(few, y.rename("y [C]"))


def test_bounds_of_an_output_leave_its_deviation():
    """Where the prediction lies at the bound, an interval within the bounds has half the width, or none.

    The output 1 + x_0 is not negative where it was observed, and its extrapolation to x_0 = -20 is.
    """
    data = (pac.Dataset.from_arrays(X, 1 + X[:, 0], bounds=bounds) for bounds in (None, (0, None)))
    sources = (pac.pretrain(one, model=MODEL, steps=300, learning_rate=1e-2) for one in data)
    plain, bounded = (TransferRegressor(one, "LinearCorrection").fit(FEW, 1 + FEW[:, 0]) for one in sources)
    (mean, deviation), (cut, same) = (regressor.predict(20 * NEW, return_std=True) for regressor in (plain, bounded))
    assert (mean < 0).any()
    np.testing.assert_array_equal(cut, np.maximum(mean, 0))
    np.testing.assert_array_equal(same, deviation)


def test_outputs_with_the_names_of_the_source_are_matched_by_name_in_any_order():
    rng = np.random.default_rng(3)
    x = pd.DataFrame(rng.uniform(size=(60, 2)), columns=["a", "b"])
    y = pd.DataFrame({"small [m]": x["a"] + x["b"], "large [N]": 1e3 + 1e2 * x["a"] * x["b"]})
    source = pac.Dataset.from_pandas(x.join(y), ["a", "b"], ["small", "large"])
    surrogate = pac.pretrain(source, model=pac.MLP(hidden=(8,)), steps=300)
    given = TransferRegressor(surrogate, "LinearCorrection").fit(x[:20], y[:20])
    turned = TransferRegressor(surrogate, "LinearCorrection").fit(x[:20], y[["large [N]", "small [m]"]][:20])
    np.testing.assert_allclose(turned.predict(x)[:, ::-1], given.predict(x), rtol=1e-6)  # sums in another order
    one = TransferRegressor(surrogate, "LinearCorrection").fit(x[:20], y["large [N]"][:20])
    assert one.predict(x).shape == (60,)
    # By position it would be the correction of the other output, whose mean is 1,000 times smaller.
    np.testing.assert_allclose(one.predict(x), y["large [N]"], rtol=0.05)
    with pytest.raises(ValueError, match="large is in N in the surrogate and in kN in the data"):
        TransferRegressor(surrogate).fit(x[:20], y["large [N]"][:20].rename("large [kN]"))
