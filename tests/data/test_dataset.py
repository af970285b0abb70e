"""The dataset: its samples, their order, and their values."""

import os
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pac_surrogate.data import origins as module
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.opening import open_dataset
from pac_surrogate.files import DatasetError, DatasetWriter, Variable, validate

SAMPLES = 50
NUMBERS = np.arange(SAMPLES, dtype=np.float64)
X = {
    "initial": (NUMBERS[:, None, None] + np.arange(6).reshape(2, 3) / 10).astype(np.float32),
    "conductivity": NUMBERS + 0.25,
}
Y = {"temperature": NUMBERS[:, None] * 100 + np.arange(4)}


def make(**options: Any) -> Dataset:
    return Dataset.from_arrays(X, Y, **({"valid": 0.1, "test": 0.2, "seed": 7} | options))


def numbers_of(data: Dataset) -> list[float]:
    """Return the numbers of the samples of a dataset, read from its contents."""
    return (data["conductivity"] - 0.25).tolist()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    make().save(tmp_path / "rods.h5")
    return tmp_path / "rods.h5"


def test_variables_keep_their_shape_and_matrices_hold_them_in_c_order() -> None:
    data = make()
    np.testing.assert_array_equal(data["initial"], X["initial"])
    columns = [*(X["initial"][:, i, j] for i in range(2) for j in range(3)), X["conductivity"]]
    np.testing.assert_array_equal(data.input_matrix, np.stack(columns, axis=1))
    np.testing.assert_array_equal(data.output_matrix, Y["temperature"])
    assert [variable.name for variable in data.inputs] == ["initial", "conductivity"]
    assert [variable.size for variable in data.inputs] == [6, 1]


def test_one_variable_is_passed_in_its_shape_and_several_as_a_matrix() -> None:
    data = make()
    np.testing.assert_array_equal(data.x, data.input_matrix)
    fields = Dataset.from_arrays(X["initial"], NUMBERS)
    np.testing.assert_array_equal(fields.x, X["initial"])
    np.testing.assert_array_equal(fields.y, NUMBERS)
    assert fields.input_matrix.shape == (SAMPLES, 6)
    assert fields.output_matrix.shape == (SAMPLES, 1)
    assert fields.inputs == (Variable("input", ("input_0", "input_1"), (2, 3)),)
    assert fields.outputs == (Variable("output"),)


def test_float32_stays_float32_and_everything_else_becomes_float64() -> None:
    single = X["initial"]
    assert Dataset.from_arrays(single, NUMBERS).input_matrix.dtype == np.float32
    assert make().input_matrix.dtype == np.float64  # float32 beside float64
    for values in (np.arange(3), np.array([True, False, True]), np.arange(3, dtype=np.float16)):
        found = Dataset.from_arrays(values, np.ones(3)).x
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_tensors_give_the_same_dataset_as_arrays(kind: torch.dtype) -> None:
    values = torch.arange(6, dtype=kind).reshape(3, 2)
    if kind.is_floating_point:
        values.requires_grad_()
    data = Dataset.from_arrays(values, {"y": torch.ones(3)})
    np.testing.assert_array_equal(data.x, [[0, 1], [2, 3], [4, 5]])
    assert data.x.dtype == (np.float32 if kind in (torch.float32, torch.bfloat16) else np.float64)


def test_a_dataset_does_not_change_with_the_arrays_that_it_was_made_from() -> None:
    values = np.zeros((3, 2))
    tensor = torch.zeros(3)
    data = Dataset.from_arrays(values, tensor)
    values[:] = 1.0
    tensor[:] = 1.0
    assert data.x.max() == data.y.max() == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_by_name_and_place(bad: float) -> None:
    spoiled = X["initial"].copy()
    spoiled[31, 1, 2] = bad
    with pytest.raises(ValueError, match=f"initial must be finite, it is {bad} at sample 31, row 1, column 2"):
        Dataset.from_arrays(X | {"initial": spoiled}, Y, axes={"initial": ("row", "column")})


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.ones((3, 2)), np.ones(4), {}, "same number of samples, at least 1; output has 4"),
        (np.ones((0, 2)), np.ones(0), {}, "at least 1; input has 0"),
        (np.ones((3, 0)), np.ones(3), {}, r"input needs axes of length 1 or more, got shape \(0,\)"),
        (np.float64(3), np.ones(3), {}, r"input must be an array \(sample, ...\) of real numbers"),
        (np.ones(3, complex), np.ones(3), {}, "input must hold real numbers, got complex128"),
        (np.array(["a", "b", "c"]), np.ones(3), {}, "input must hold real numbers, got <U1"),
        (np.array([1, None, 2], object), np.ones(3), {}, "input must hold real numbers, got object"),
        ({"u": np.ones(3)}, {"u": np.ones(3)}, {}, "inputs and outputs of different names"),
        ({}, np.ones(3), {}, "inputs and outputs of different names"),
        (np.ones(3), np.ones(3), {"units": {"u": "K"}}, r"must name variables \(input, output\), got u"),
        (np.ones((3, 2)), np.ones(3), {"axes": {"input": ("x", "y")}}, "one axis name for each axis"),
        (np.ones((3, 2)), np.ones((3, 4)), {"axes": {"input": ("x",), "output": ("x",)}}, "axis x of output has 4 points"),
        (np.ones(3), np.ones(3), {"valid": 0.5, "test": 0.5}, "3 samples must leave one to train on"),
        (np.ones(3), np.ones(3), {"valid": 1.0}, "at least 0 and below 1, got 1.0"),
    ],
)
def test_invalid_datasets_are_refused_in_one_line(x: Any, y: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        Dataset.from_arrays(x, y, **options)
    assert "\n" not in str(raised.value)


def test_splits_contain_every_sample_once() -> None:
    data = make()
    parts = [numbers_of(part) for part in (data.train, data.valid, data.test)]
    assert [len(part) for part in parts] == [35, 5, 10]
    assert sorted(np.concatenate(parts)) == NUMBERS.tolist()
    assert len(Dataset.from_arrays(np.ones(30), np.ones(30), valid=0.01).valid) == 1  # not empty if above 0


def test_a_split_is_known_to_be_empty_before_it_is_read() -> None:
    data = make(valid=0.0)
    assert [data.has_split(name) for name in ("train", "valid", "test")] == [True, False, True]


def test_the_subset_of_eight_contains_that_of_four_and_draws_differ() -> None:
    data = make()
    for draw in range(20):
        assert numbers_of(data.subset(draw, 8))[:4] == numbers_of(data.subset(draw, 4))
        assert set(numbers_of(data.subset(draw, 35))) == set(numbers_of(data.train))
    assert len({tuple(numbers_of(data.subset(draw, 4))) for draw in range(20)}) == 20
    assert numbers_of(data.train[:8]) == numbers_of(data.subset(0, 8))
    assert len(data.subset(3, 0)) == 0
    assert data.subset(3, 0).output_matrix.shape == (0, 4)


def test_a_seed_gives_the_same_subsets_and_another_seed_others() -> None:
    assert numbers_of(make().subset(2, 9)) == numbers_of(make().subset(2, 9))
    assert numbers_of(make().subset(2, 9)) != numbers_of(make(seed=8).subset(2, 9))
    assert numbers_of(make().test) != numbers_of(make(seed=8).test)


def test_missing_splits_are_named_in_one_line() -> None:
    data = make(valid=0.0)
    for ask, message in (
        (lambda: data.valid, "samples of the valid split are required, but there are none"),
        (lambda: data.subset(20, 4), "draw must be 0 to 19, as 20 are stored, got 20: use at most 20 seeds"),
        (lambda: data.subset(-1, 4), "draw must be 0 to 19, as 20 are stored, got -1"),
        (lambda: data.subset(0, 41), "size must be at most 40, the size of the train split, got 41"),
        (lambda: data.subset(0, -1), "got -1"),
        (lambda: data.train.test, "splits belong to a whole dataset"),
        (lambda: data[:50].train, "splits belong to a whole dataset"),
        (lambda: data.train.subset(0, 4), "splits belong to a whole dataset"),
        (lambda: data["pressure"], "no variable 'pressure': this dataset has initial, conductivity, temperature"),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            ask()
        assert "\n" not in str(raised.value)


ROWS = st.one_of(
    st.slices(SAMPLES),
    st.lists(st.integers(-SAMPLES, SAMPLES - 1), max_size=8),
    st.lists(st.booleans(), min_size=SAMPLES, max_size=SAMPLES).map(np.array),
)


@given(first=ROWS, second=st.slices(8))
def test_rows_of_rows_are_those_of_the_arrays(first: Any, second: slice) -> None:
    data, expected = make(), NUMBERS[first if not isinstance(first, list) else np.array(first, int)]
    assert numbers_of(data[first]) == expected.tolist()
    assert numbers_of(data[first][second]) == expected[second].tolist()


def test_one_row_is_a_dataset_of_one_sample() -> None:
    data = make()
    assert numbers_of(data[3]) == [3.0]
    assert numbers_of(data[np.int64(-1)]) == [49.0]
    assert [numbers_of(row) for row in data[:3]] == [[0.0], [1.0], [2.0]]
    for rows in (50, -51, [0, 50]):
        with pytest.raises(IndexError, match="below 50"):
            data[rows]
    for rows in (np.array([0.5]), np.ones((2, 2), int), np.ones(49, bool)):
        with pytest.raises(ValueError, match="a mask of length 50"):
            data[rows]


def test_new_matrices_are_split_into_variables_as_they_were_joined() -> None:
    data = make().train[5:12]
    new = data.with_matrices(2 * data.input_matrix, data.output_matrix - 1)
    np.testing.assert_array_equal(new["conductivity"], 2 * data["conductivity"])
    np.testing.assert_array_equal(new["initial"], 2 * data["initial"].astype(np.float64))
    np.testing.assert_array_equal(new["temperature"], data["temperature"] - 1)
    np.testing.assert_array_equal(new.input_matrix, 2 * data.input_matrix)
    assert (new.inputs, new.outputs, new.coordinates) == (data.inputs, data.outputs, data.coordinates)
    with pytest.raises(ValueError, match="splits belong to a whole dataset"):
        new.train  # noqa: B018
    with pytest.raises(ValueError, match=r"the input matrix must have shape \(sample, input\) = \(7, 7\), got \(7, 6\)"):
        data.with_matrices(data.input_matrix[:, 1:], data.output_matrix)
    with pytest.raises(ValueError, match=r"the output matrix must have .* = \(7, 4\), got \(7, 3\)"):
        data.with_matrices(data.input_matrix, data.output_matrix[:, 1:])


def test_a_complete_dataset_with_new_matrices_keeps_its_splits() -> None:
    data = make()
    new = data.with_matrices(data.input_matrix, -data.output_matrix)
    assert numbers_of(new.subset(4, 9)) == numbers_of(data.subset(4, 9))
    np.testing.assert_array_equal(new.test.y, -data.test.y)


def test_the_digest_depends_on_every_number_and_on_nothing_else() -> None:
    data = make()
    assert data.digest() == make(seed=8, units={"initial": "K"}).digest()
    assert len(data.digest()) == 32
    moved = data.output_matrix.copy()
    moved[17, 2] = np.nextafter(moved[17, 2], np.inf)
    others = [
        data.with_matrices(data.input_matrix, moved),
        data.with_matrices(data.input_matrix.astype(np.float32), data.output_matrix),
        data[::-1],
        data[:49],
    ]
    assert len({data.digest(), *(other.digest() for other in others)}) == 5


def test_a_saved_dataset_is_valid_and_is_read_completely(saved: Path) -> None:
    options = {"units": {"initial": "K"}, "scaling": {"conductivity": "log"}, "axes": {"initial": ("x", "channel")}}
    data = make(**options, attributes={"title": "Rods", "headline": "rmse_std"})
    data.save(saved)
    validate(saved)
    found = open_dataset(saved)
    assert len(found) == SAMPLES
    assert (found.inputs, found.outputs) == (data.inputs, data.outputs)
    for name in (*X, *Y):
        np.testing.assert_array_equal(found[name], data[name])
        assert found[name].dtype == data[name].dtype
    assert found.digest() == data.digest()
    assert found.inputs[0] == Variable("initial", ("x", "channel"), (2, 3), "K")
    assert found.attributes["title"] == "Rods"
    assert found.attributes.items() >= {k: v for k, v in data.attributes.items() if v == v}.items()
    np.testing.assert_array_equal(found.coordinates["channel"].values, data.coordinates["channel"].values)
    for part in ("train", "valid", "test"):
        assert numbers_of(getattr(found, part)) == numbers_of(getattr(data, part))
    assert numbers_of(found.subset(13, 6)) == numbers_of(data.subset(13, 6))


def test_saving_a_saved_dataset_again_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    found = open_dataset(saved)
    found.save(tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == saved.read_bytes()
    with pytest.raises(ValueError, match="splits belong to a whole dataset"):
        found.train.save(tmp_path / "part.h5")
    assert sorted(os.listdir(tmp_path)) == ["again.h5", "rods.h5"]


def test_a_failed_save_leaves_the_old_file_and_nothing_else(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fail(self: DatasetWriter, attributes: object = None) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(DatasetWriter, "finish", fail)
    with pytest.raises(OSError, match="no space left"):
        make(seed=8).save(saved)
    assert os.listdir(saved.parent) == ["rods.h5"]
    assert saved.read_bytes() == before


def test_the_headline_suits_the_outputs_unless_it_is_given() -> None:
    field = {"axes": {"temperature": ("x",)}}
    assert make().attributes["headline"] == "rmse_std"
    assert make(**field).attributes["headline"] == "rel_l2"
    assert make(**field, attributes={"headline": "rmse_std"}).attributes["headline"] == "rmse_std"


def test_only_the_requested_rows_are_read_and_only_once(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, list[int]]] = []
    read = module.read_rows

    def spy(path: Path, name: str, rows: np.ndarray) -> np.ndarray:
        asked.append((name, rows.tolist()))
        return read(path, name, rows)

    monkeypatch.setattr(module, "read_rows", spy)
    data = open_dataset(saved)
    some = data.train[:20][::5]
    assert (len(data), len(some), asked) == (SAMPLES, 4, [])
    expected = [int(number) for number in numbers_of(make().subset(0, 20))[::5]]
    np.testing.assert_array_equal(some["temperature"], Y["temperature"][expected])
    assert asked == [("temperature", expected)]
    np.testing.assert_array_equal(some.output_matrix, Y["temperature"][expected])
    np.testing.assert_array_equal(some.input_matrix[:, 6], X["conductivity"][expected])
    assert asked == [(name, expected) for name in ("temperature", "initial", "conductivity")]


def test_a_value_in_a_file_that_is_not_finite_is_refused_when_it_is_read(saved: Path) -> None:
    with h5py.File(saved, "r+") as file:
        file["temperature"][17, 2] = np.nan
    data = open_dataset(saved)
    np.testing.assert_array_equal(data[:17].y, Y["temperature"][:17])
    with pytest.raises(DatasetError, match=r"rods\.h5: temperature must be finite, it is nan at sample 17, component 2"):
        data[[40, 17]].y  # noqa: B018


def test_a_file_that_was_replaced_is_not_mixed_with_the_one_that_was_opened(saved: Path) -> None:
    data = open_dataset(saved)
    make(seed=8).save(saved)
    with pytest.raises(DatasetError, match=r"rods\.h5: the file has changed since it was opened: open it again"):
        data.train.x  # noqa: B018
    assert numbers_of(open_dataset(saved).train) == numbers_of(make(seed=8).train)


def test_a_missing_file_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"absent\.h5: a data file is required here, but there is none"):
        open_dataset(tmp_path / "absent.h5")


def test_a_dataset_can_be_pickled_for_another_process(saved: Path) -> None:
    for data in (make().train, open_dataset(saved).train):
        copy = pickle.loads(pickle.dumps(data))
        assert copy.digest() == data.digest()


def test_the_repr_of_a_dataset_describes_its_contents() -> None:
    sides = "  inputs   initial (2, 3), conductivity\n  outputs  temperature (4)"
    sides = "  inputs   initial (2, 3), conductivity\n  outputs  temperature (4)"
    whole = f"Dataset:\n  samples  50 (35 train, 5 valid, 10 test)\n{sides}"
    assert repr(make()) == whole
    assert repr(make().train) == whole.replace("50 (35 train, 5 valid, 10 test)", "35")
