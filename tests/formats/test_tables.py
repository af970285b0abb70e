"""Tables of CSV and Parquet, as pandas writes them: names and numbers bit for bit."""

import numpy as np
import pandas as pd
import pytest

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


@pytest.mark.parametrize("text", ["x,y\n1,2,\n3,4,\n", "x,y,\n1,2,\n3,4,\n", "\nx,y\n\n1,2\n\n3,4\n", ",x,y\n0,1,2,\n1,3,4,\n"])
def test_separators_at_the_ends_of_lines_and_blank_lines_move_no_number_to_another_column(text, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    pd.testing.assert_frame_equal(open_table(tmp_path / "a.csv"), pd.DataFrame({"x": [1, 3], "y": [2, 4]}))


@pytest.mark.parametrize("text", ["x,z\n1,2\n", "Notes of a meeting, to be kept.\n", "y,x,y_lower\n1,2,3\n", "\x00"])
def test_a_csv_file_with_other_columns_is_not_replaced(text, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DatasetError, match="a CSV file with the columns x, y may replace only another one"):
        write_csv(tmp_path / "a.csv", pd.DataFrame({"x": [1], "y": [2]}))
    assert (tmp_path / "a.csv").read_text() == text


def test_a_parquet_file_of_pandas_is_the_same_table(tmp_path):
    TABLE.to_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(open_table(tmp_path / "a.parquet"), TABLE, check_exact=True)


@pytest.mark.parametrize(("name", "write"), [("a.csv", write_csv), ("a.parquet", write_parquet)])
@pytest.mark.parametrize("index", [None, pd.Index([f"run {i}" for i in range(50)], name="run")])
def test_a_table_is_written_and_read_back_with_its_labels(name, write, index, tmp_path):
    given = TABLE if index is None else TABLE.set_index(index)
    for _ in range(2):  # the second replaces the first
        write(tmp_path / name, given)
    found = open_table(tmp_path / name)
    if name == "a.csv" and index is not None:  # an index with a name is a column of a CSV file
        found = found.set_index("run")
    pd.testing.assert_frame_equal(found, given, check_exact=True)


def cut(path):
    TABLE.to_parquet(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


WRONG = {
    "ends in PAR1": ("a.parquet", cut),
    "it has 0 rows": ("a.csv", lambda path: path.write_text("x,y\n")),
    "Expected 2 fields in line 3, saw 3": ("a.csv", lambda path: path.write_text("x,y\n1,2\n3,4,5\n")),
    "(line 2 has 3, and the first line 2)": ("a.csv", lambda path: path.write_text("x,y\n1,2,3\n3,4,5\n")),
    "(line 2 has 2, and the first line 1): name all": ("a.csv", lambda path: path.write_text("x\n1,5\n")),
    "(row 1 has 3, and the first line 2)": ("a.csv", lambda path: path.write_text("x,y\n1,2,\n3,4,5\n")),
    "'x' occurs twice": ("a.csv", lambda path: path.write_text("x,y, x\n1,2,3\n")),
    "save it as UTF-8": ("a.csv", lambda path: path.write_text("x,y\n1,2\n", encoding="utf-16")),
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
