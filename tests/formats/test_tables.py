"""Tables of CSV and Parquet, as pandas writes them: names and numbers bit for bit."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from pac_surrogate.files import DatasetError
from pac_surrogate.formats import open_table, write_csv, write_parquet

GENERATOR = np.random.default_rng(0)
TABLE = pd.DataFrame({"load [N]": GENERATOR.normal(size=50), "gauge": GENERATOR.normal(size=50) * 1e-300})
SEPARATED = {
    "a.csv": {"index": False},
    "b.csv": {"index": True},
    "a.tsv": {"index": False, "sep": "\t"},
    "c.csv": {"index": False, "sep": ";"},
    "d.csv": {"index": True, "sep": ";", "quoting": 1},
}


@pytest.mark.parametrize("name", SEPARATED)
def test_a_csv_file_of_pandas_has_the_same_names_and_the_same_numbers_bit_for_bit(name, tmp_path):
    TABLE.to_csv(tmp_path / name, **SEPARATED[name])
    pd.testing.assert_frame_equal(open_table(tmp_path / name), TABLE, check_exact=True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_names_are_read_in_the_encodings_that_spreadsheets_write(encoding, tmp_path):
    pd.DataFrame({"température": [1.0], "Maß": [2.0]}).to_csv(tmp_path / "a.csv", index=False, encoding=encoding)
    assert list(open_table(tmp_path / "a.csv").columns) == ["température", "Maß"]


def test_a_parquet_file_of_pandas_is_the_same_table(tmp_path):
    TABLE.to_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(open_table(tmp_path / "a.parquet"), TABLE, check_exact=True)


def dataset():
    return xr.Dataset(
        {
            "load": (("sample",), GENERATOR.normal(size=5), {"units": "N", "role": "input"}),
            "strain": (("sample", "gauge"), GENERATOR.normal(size=(5, 2)).astype(np.float32), {"units": "1", "role": "output"}),
        },
        attrs={"title": "beams"},
    )


@pytest.mark.parametrize(("name", "write"), [("a.csv", write_csv), ("a.parquet", write_parquet)])
def test_a_dataset_is_written_as_one_column_for_each_number_and_read_back(name, write, tmp_path):
    given = dataset()
    for _ in range(2):  # the second replaces the first
        write(tmp_path / name, given)
    found = open_table(tmp_path / name)
    assert list(found.columns) == ["load", "strain[0]", "strain[1]"]
    np.testing.assert_array_equal(found["load"], given["load"])
    np.testing.assert_array_equal(found[["strain[0]", "strain[1]"]].to_numpy().astype(np.float32), given["strain"])


def test_parquet_keeps_types_units_and_roles(tmp_path):
    write_parquet(tmp_path / "a.parquet", dataset())
    found = open_table(tmp_path / "a.parquet")
    assert found["strain[0]"].dtype == np.float32
    assert found.attrs == {
        "title": "beams",
        "variables": {"load": {"units": "N", "role": "input"}, "strain": {"units": "1", "role": "output"}},
    }


def cut(path):
    TABLE.to_parquet(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


WRONG = {
    "ends in PAR1": ("a.parquet", cut),
    "it has 0 rows": ("a.csv", lambda path: path.write_text("x,y\n")),
    "cannot be read": ("a.csv", lambda path: path.write_text("x,y\n1,2\n3,4,5\n")),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_no_table_is_refused_in_one_line(message, tmp_path):
    name, make = WRONG[message]
    make(tmp_path / name)
    with pytest.raises(DatasetError) as caught:
        open_table(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fields_are_not_written_as_a_table_of_too_many_columns(tmp_path):
    fields = xr.Dataset({"u": (("sample", "x"), np.zeros((2, 2**15)))})
    with pytest.raises(DatasetError, match="1 to 16384 columns along sample, the dataset has 32768"):
        write_csv(tmp_path / "a.csv", fields)
