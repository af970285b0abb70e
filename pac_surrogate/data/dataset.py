"""The data type of the library: samples of named inputs and outputs, in memory or still in their file."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias, Union, overload

import numpy as np
from jaxtyping import Float, Integer

from pac_surrogate.data.arrays import as_numbers, check_unlabelled
from pac_surrogate.files.missing import without_mask
from pac_surrogate.files.native import (
    SPLITS,
    Coordinate,
    Description,
    Scaling,
    Variable,
    as_axes,
    check_finite,
    complete_coordinates,
    default_axes,
    make_split,
    make_subset_order,
    read_description,
    read_mark,
    read_rows,
)
from pac_surrogate.files.netcdf import DatasetError
from pac_surrogate.files.writer import DatasetWriter
from pac_surrogate.utilities.arguments import as_options, as_path, check_numbers, got, whole_numbers
from pac_surrogate.utilities.display import Shown, listed

Rows: TypeAlias = int | np.integer | slice | Sequence[int] | np.ndarray
Given: TypeAlias = Union["Dataset", Path, str, Sequence[Any]]  # what `as_dataset` takes
BLOCK_BYTES = 2**26
UNKNOWN = {
    **dict.fromkeys(("title", "pair"), "arrays"),
    **dict.fromkeys(("simulator", "equation"), "unknown"),
    **dict.fromkeys(("solver_order_measured", "conservation_residual", "cost_seconds_per_sample"), float("nan")),
    **{"side": "unspecified", "parameters": "{}", "history": "from arrays"},
}


@dataclass(frozen=True, eq=False, repr=False)
class Arrays(Shown):
    """Numbers in memory."""

    values: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def read(self, variable: Variable, rows: Integer[np.ndarray, " sample"] | None) -> Float[np.ndarray, "sample ..."]:
        """These rows of a variable, all of them for None."""
        return self.values[variable.name] if rows is None else self.values[variable.name][rows]


@dataclass(frozen=True, eq=False, repr=False)
class DataFile(Shown):
    """Numbers in a file, which must stay the file that it was when it was opened."""

    path: Path
    samples: int
    state: tuple[int, ...]

    def __len__(self) -> int:
        return self.samples

    def read(self, variable: Variable, rows: Integer[np.ndarray, " sample"] | None) -> Float[np.ndarray, "sample ..."]:
        """These rows of a variable, all of them for None."""
        rows = np.arange(self.samples) if rows is None else rows
        values = read_rows(self.path, variable.name, rows)
        if file_state(self.path) != self.state:
            raise DatasetError(f"{self.path}: the file has changed since it was opened: open it again")
        try:
            check_finite(variable, values, rows, partial(read_mark, self.path, variable.name))
        except DatasetError as error:
            raise DatasetError(f"{self.path}: {error}") from None
        return values


class Dataset(Shown):
    """Samples of named inputs and outputs; made by `Dataset.from_arrays` and `open_dataset`.

    `d[name]` is a variable in its natural shape (sample, *axes). `d[rows]`, for a number, a slice, a mask or several numbers,
    is the dataset of these samples; it has no splits. Numbers are read from a file when they are asked for, and only those.
    Arrays that a dataset gives out are copies: changing one does not change the dataset.

    Attributes:
        inputs: the input variables.
        outputs: the output variables.
    """

    def __init__(
        self,
        origin: Arrays | DataFile,
        description: Description,
        rows: Integer[np.ndarray, " sample"] | None = None,
        *,
        whole: bool = True,
    ) -> None:
        if not isinstance(description, Description):
            raise ValueError("a Dataset is made by Dataset.from_arrays(x, y), or by open_dataset(path) of a file")
        self._origin, self._description, self._rows, self._whole = origin, description, rows, whole
        self.inputs, self.outputs = description.inputs, description.outputs
        self._variables = {variable.name: variable for variable in (*self.inputs, *self.outputs)}
        self._cache: dict[str, np.ndarray] = {}

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any,
        *,
        valid: float = 0.0,
        test: float = 0.0,
        seed: int = 0,
        axes: Mapping[str, tuple[str, ...]] | None = None,
        units: Mapping[str, str] | None = None,
        scaling: Mapping[str, Scaling] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> "Dataset":
        """A dataset of NumPy or torch arrays (sample, ...), which are copied.

        Names matter: a surrogate and other data are matched by the names of their variables. The default names "input" and
        "output" mean position instead.

        Args:
            x: an array, the variable "input", or a dictionary of names and arrays.
            y: likewise, the variable "output"; an array (sample,) is a scalar.
            valid: share of the samples to choose a model with.
            test: share of the samples to measure errors with.
            seed: of the splits and of the 20 orders of the train split.
            axes: of a variable, by its name, the names of its axes without `sample`; "input_0", "input_1", ... unless given.
                Models and metrics know time, x, y and channel.
            units: of a variable, by its name; "1" unless given.
            scaling: of a variable, by its name: "log" where only ratios matter, "standard" unless given.
            attributes: global attributes of a saved file; see `DatasetWriter`. The headline is "rel_l2" where an output has an
                axis x or y, else "rmse_std", unless it is given.

        Raises:
            ValueError: if lengths disagree, values are missing or no finite real numbers, a table or labelled array is given,
                integers are larger than float64 holds exactly, or a share leaves nothing to train on.
        """
        for name, side in (("x", x), ("y", y)):
            if isinstance(side, Dataset):
                raise ValueError(f"{name} must be an array or a dictionary of arrays, got a Dataset: give its own, data.{name}")
            check_unlabelled(name, side)
        given = (x if isinstance(x, Mapping) else {"input": x}, y if isinstance(y, Mapping) else {"output": y})
        sides = [{name: _numbers(name, values) for name, values in side.items()} for side in given]
        arrays = sides[0] | sides[1]
        if not all(sides) or len(arrays) < len(sides[0]) + len(sides[1]):
            raise ValueError(f"inputs and outputs of different names are required, got {[*sides[0]]} and {[*sides[1]]}")
        samples = len(next(iter(arrays.values())))
        for name, values in arrays.items():
            if len(values) != samples or samples == 0:
                raise ValueError(f"variables must have the same number of samples, at least 1; {name} has {len(values)}")
        axes, units, scaling = (
            as_options(label, option, arrays, example)
            for label, option, example in (("axes", axes, ("x",)), ("units", units, "K"), ("scaling", scaling, "log"))
        )
        if not isinstance(attributes or {}, Mapping):
            raise ValueError(f"attributes must be a dictionary, as {{'headline': 'rel_l2'}}, got {got(attributes)}")
        variables = {
            name: Variable(
                name,
                as_axes(name, axes.get(name, default_axes(name, values.ndim - 1)), values.ndim - 1),
                values.shape[1:],
                units.get(name, "1"),
                scaling=scaling.get(name, "standard"),
                dtype=values.dtype.name,
            )
            for name, values in arrays.items()
        }
        for name, values in arrays.items():
            check_finite(variables[name], values, np.arange(samples))
        inputs, outputs = (tuple(variables[name] for name in side) for side in sides)
        (seed,) = whole_numbers(seed=seed)
        split = make_split(samples, valid=_share("valid", valid, samples), test=_share("test", test, samples), seed=seed)
        headline = "rel_l2" if any({"x", "y"} & set(variable.axes) for variable in outputs) else "rmse_std"
        described = {**UNKNOWN, "headline": headline, "seed": seed, **(attributes or {})}
        coordinates = complete_coordinates([*inputs, *outputs])
        order = make_subset_order(split, seed=seed)
        return cls(Arrays(arrays), Description(inputs, outputs, coordinates, described, split, order))

    @property
    def coordinates(self) -> dict[str, Coordinate]:
        """Where the points of each axis lie."""
        return dict(self._description.coordinates)

    @property
    def attributes(self) -> dict[str, Any]:
        """Where the data come from, and their headline metric."""
        return dict(self._description.attributes)

    def __len__(self) -> int:
        return len(self._origin) if self._rows is None else len(self._rows)

    def _shown(self) -> dict[str, Any]:
        kinds = np.bincount(self._description.split, minlength=3) if self._whole else np.zeros(3, dtype=np.int64)
        splits = [f"{count:,} {name}" for name, count in zip(SPLITS, kinds.tolist(), strict=True) if count]
        return {
            "samples": f"{len(self):,}" + (f" ({', '.join(splits)})" if len(splits) > 1 else ""),
            "inputs": listed([described(variable) for variable in self.inputs]),
            "outputs": listed([described(variable) for variable in self.outputs]),
            "file": str(self._origin.path) if isinstance(self._origin, DataFile) else None,
        }

    @overload
    def __getitem__(self, key: str) -> Float[np.ndarray, "sample ..."]: ...
    @overload
    def __getitem__(self, key: Rows) -> "Dataset": ...
    def __getitem__(self, key: str | Rows) -> "np.ndarray | Dataset":
        if not isinstance(key, str):
            positions = _positions(key, len(self))
            return self._pick(positions if self._rows is None else self._rows[positions])
        if key not in self._variables:
            raise ValueError(f"there is no variable {key!r}: this dataset has {', '.join(self._variables)}")
        return self._values(key).copy()

    @property
    def x(self) -> Float[np.ndarray, "sample ..."]:
        """Inputs: in the natural shape if there is one variable, else the matrix."""
        return self[self.inputs[0].name] if len(self.inputs) == 1 else self.input_matrix

    @property
    def y(self) -> Float[np.ndarray, "sample ..."]:
        """Outputs: in the natural shape if there is one variable, else the matrix."""
        return self[self.outputs[0].name] if len(self.outputs) == 1 else self.output_matrix

    @property
    def input_matrix(self) -> Float[np.ndarray, "sample input"]:
        """All inputs as columns: each variable flattened in C order, one after the other."""
        return self._matrix(self.inputs)

    @property
    def output_matrix(self) -> Float[np.ndarray, "sample output"]:
        """All outputs as columns: each variable flattened in C order, one after the other."""
        return self._matrix(self.outputs)

    @property
    def widths(self) -> tuple[int, int]:
        """How many columns the input and the output matrix have."""
        inputs, outputs = (sum(variable.size for variable in side) for side in (self.inputs, self.outputs))
        return inputs, outputs

    @cached_property
    def train(self) -> "Dataset":
        """The samples to train on, in the order of draw 0: `train[:n]` is `subset(0, n)`."""
        return self._pick_split("train", self._splits().subset_order[0])

    @cached_property
    def valid(self) -> "Dataset":
        """The samples to choose a model with."""
        return self._pick_split("valid", np.flatnonzero(self._splits().split == SPLITS.index("valid")))

    @cached_property
    def test(self) -> "Dataset":
        """The samples to measure errors with."""
        return self._pick_split("test", np.flatnonzero(self._splits().split == SPLITS.index("test")))

    @cached_property
    def seen(self) -> "Dataset":
        """The samples that a fit may see: of a dataset with valid or test samples the train split, of any other all."""
        return self.train if self._whole and (self._description.split != SPLITS.index("train")).any() else self

    @cached_property
    def training(self) -> "Dataset":
        """The samples that a fit may see, in an order that nothing but their content decides.

        Folds and minibatches are drawn by row, and no result is to depend on the order in which the rows were given. So they
        are sorted by their numbers, columns in turn, and then shuffled by a fixed seed: the first of them are a sample of all.
        """
        if self.seen is not self:
            return self.seen.training
        order = content_order(self._matrix(self.inputs), self._matrix(self.outputs))
        if np.array_equal(order, np.arange(len(self))):
            return self
        rows = {name: self._values(name)[order] for name in self._variables}
        found = Dataset(Arrays(rows), self._description, whole=False)
        found.__dict__["training"] = found  # sorting it again would find the same order
        return found

    def has_split(self, name: str) -> bool:
        """Whether the split of this name ("train", "valid", "test") has any samples."""
        if name not in SPLITS:
            raise ValueError(f"a split is one of {', '.join(SPLITS)}, got {got(name)}")
        return bool((self._splits().split == SPLITS.index(name)).any())

    def subset(self, draw: int, size: int) -> "Dataset":
        """The first `size` samples of a draw of the train split: the subset of 8 contains the subset of 4.

        Raises:
            ValueError: if there is no such draw, or the train split is smaller.
        """
        draw, size = whole_numbers(None, draw=draw, size=size)
        order = self._splits().subset_order
        draws, available = order.shape
        if not 0 <= draw < draws:
            raise ValueError(f"draw must be 0 to {draws - 1}, {draws} are stored, got {draw}: use at most {draws} seeds")
        if not 0 <= size <= available:
            raise ValueError(f"a subset has at most the {available} samples of the train split, got size {size}: ask for fewer")
        return self._pick(order[draw, :size])

    def with_matrices(
        self, input_matrix: Float[np.ndarray, "sample input"], output_matrix: Float[np.ndarray, "sample output"]
    ) -> "Dataset":
        """The same samples, variables and splits with other numbers, in memory.

        Raises:
            ValueError: if a matrix does not have a row for each sample and a column for each number of a sample.
        """
        arrays: dict[str, np.ndarray] = {}
        for side, variables, matrix in (("input", self.inputs, input_matrix), ("output", self.outputs, output_matrix)):
            shape = (len(self), sum(variable.size for variable in variables))
            if getattr(matrix, "shape", None) != shape:
                raise ValueError(
                    f"the {side} matrix must have shape (sample, {side}) = {shape}, got {getattr(matrix, 'shape', got(matrix))}"
                )
            first = 0
            for variable in variables:
                columns = matrix[:, first : first + variable.size]
                arrays[variable.name] = columns.reshape(len(self), *variable.shape).copy()
                first += variable.size
        return Dataset(Arrays(arrays), self._description, whole=self._whole)

    def as_variables(
        self,
        inputs: Sequence[Variable],
        input_columns: Integer[np.ndarray, " input"],
        outputs: Sequence[Variable],
        output_columns: Integer[np.ndarray, " output"],
    ) -> "Dataset":
        """The same samples and splits under other variables, in memory.

        Args:
            inputs: the new input variables.
            input_columns: the column of this dataset's input matrix that each of their columns is.
            outputs: the new output variables.
            output_columns: likewise, of the output matrix.
        """
        matrices = self._matrix(self.inputs)[:, input_columns], self._matrix(self.outputs)[:, output_columns]
        description = replace(self._description, inputs=tuple(inputs), outputs=tuple(outputs))
        return Dataset(Arrays({}), description, np.arange(len(self)), whole=self._whole).with_matrices(*matrices)

    def digest(self) -> str:
        """A fingerprint of the numbers: 128 bits of BLAKE2b over both matrices, as hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=16)
        for matrix in (self._matrix(self.inputs), self._matrix(self.outputs)):
            digest.update(f"{matrix.dtype.str}{matrix.shape}".encode())
            digest.update(matrix.tobytes())
        return digest.hexdigest()

    @property
    def file(self) -> Path | None:
        """The file that the numbers are read from, or None for arrays."""
        return self._origin.path if isinstance(self._origin, DataFile) else None

    def save(self, path: Path | str) -> None:
        """Write the whole dataset, with its splits, in our layout; see `files.native`.

        Raises:
            ValueError: if this dataset is only some rows of another.
        """
        inputs, outputs = (
            [replace(v, dtype=self[:0][v.name].dtype.name) for v in side] for side in (self.inputs, self.outputs)
        )
        path = as_path("path", path)
        step = max(1, BLOCK_BYTES // (8 * sum(variable.size for variable in self._variables.values())))
        splits = self._splits()
        with DatasetWriter(
            path,
            inputs=inputs,
            outputs=outputs,
            coordinates=self.coordinates,
            samples=len(self),
            split=splits.split,
            subset_order=splits.subset_order,
            attributes=self.attributes,
            resume=False,
        ) as writer:
            for start in range(0, len(self), step):
                block = self[start : start + step]
                writer.write({name: block[name] for name in self._variables})
            writer.finish()

    def _values(self, name: str) -> np.ndarray:
        """A variable in the dataset's own memory, which nobody else is to be given."""
        if name not in self._cache:
            self._cache[name] = self._origin.read(self._variables[name], self._rows)
        return self._cache[name]

    def _matrix(self, variables: Sequence[Variable]) -> np.ndarray:
        columns = [self._values(variable.name).reshape(len(self), variable.size) for variable in variables]
        return np.concatenate(columns, axis=1)

    def _pick(self, rows: np.ndarray) -> "Dataset":
        return Dataset(self._origin, self._description, rows, whole=False)

    def _splits(self) -> Description:
        if not self._whole:
            raise ValueError("splits belong to a whole dataset, this one is rows of another: ask that one, or use from_arrays")
        return self._description

    def _pick_split(self, name: str, rows: np.ndarray) -> "Dataset":
        if not len(rows):
            raise ValueError(f"samples of the {name} split are required, there are none: choose some, as from_arrays does")
        return self._pick(rows)


def open_dataset(path: Path | str) -> Dataset:
    """Open a file in our layout; its numbers are read when they are asked for.

    Raises:
        DatasetError: if the file is missing or damaged, or its structure is not that of the layout.
    """
    path = as_path("path", path).absolute()
    description = read_description(path)
    return Dataset(DataFile(path, len(description.split), file_state(path)), description)


def as_dataset(name: str, given: Any, outputs: Any = None) -> Dataset:
    """A dataset as it is, the one in a file, or one of arrays (x, y).

    Args:
        name: of the argument, for the message.
        given: a Dataset, the path of a data file, or a pair of what `Dataset.from_arrays` takes.
        outputs: y, where `given` is x alone.

    Raises:
        ValueError: if it is none of these.
    """
    if outputs is not None:
        if any(
            isinstance(one, Dataset | Shown | str | Path | bool | int | float | type) or hasattr(one, "adapt")
            for one in (given, outputs)
        ):
            raise ValueError(
                f"what follows {name} must be the outputs y of an array x of inputs, got {got(given)} and {got(outputs)}: "
                "give what else there is by name, as in source=..., method=..."
            )
        given = (given, outputs)
    if isinstance(given, Dataset):
        return given
    if isinstance(given, str | Path):
        return open_dataset(given)
    if isinstance(given, list | tuple) and len(given) == 2:
        return Dataset.from_arrays(*given)
    raise ValueError(
        f"{name} must be a Dataset, the path of a data file, or two arrays (x, y), got {got(given)}: "
        "Dataset.from_arrays(x, y) makes one"
    )


def described(variable: Variable) -> str:
    """Name, shape and unit of a variable, as `temperature (time 3, x 32) [K]`."""
    named = variable.axes != default_axes(variable.name, len(variable.axes))
    sizes = [f"{axis} {n}" if named else str(n) for axis, n in zip(variable.axes, variable.shape, strict=True)]
    shape = f" ({', '.join(sizes)})" if sizes else ""
    return f"{variable.name}{shape}{f' [{variable.units}]' if variable.units != '1' else ''}"


def file_state(path: Path) -> tuple[int, ...]:
    """What changes when a file is replaced."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def content_order(*matrices: Float[np.ndarray, "sample _column"]) -> Integer[np.ndarray, " sample"]:
    """An order of rows that their content decides: sorted by the columns in turn, then shuffled by a fixed seed."""
    samples = len(matrices[0])
    order, rank = np.arange(samples), np.zeros(samples, dtype=np.int64)
    for column in (column for matrix in matrices for column in matrix.T):
        if len(order) == 0 or rank[order[-1]] == samples - 1:  # as many ranks as rows: nothing is left to decide
            break
        order = np.lexsort((column, rank))
        rises = (np.diff(rank[order]) > 0) | (np.diff(column[order]) > 0)
        rank[order] = np.concatenate([[0], np.cumsum(rises)])
    return order[np.random.default_rng(0).permutation(samples)]


def _numbers(name: str, values: Any) -> np.ndarray:
    array = as_numbers(name, values)
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array (sample, ...) of real numbers, got one number")
    return array


def _share(name: str, share: float, samples: int) -> int:
    check_numbers(**{name: share})
    if not 0 <= share < 1:
        raise ValueError(f"valid and test are shares of the samples, at least 0 and below 1, got {share}")
    return max(1, round(share * samples)) if share else 0


def _positions(key: Rows, length: int) -> np.ndarray:
    if isinstance(key, slice):
        return np.arange(length)[key]
    index = np.asarray(without_mask("rows", key, remedy="fill the mask first"))
    if index.dtype.kind == "b" and index.shape == (length,):
        return np.flatnonzero(index)
    if index.ndim > 1 or (index.dtype.kind not in "iu" and index.size):
        got = f"{index.dtype} of shape {index.shape}"
        raise ValueError(f"rows are chosen by numbers, a slice, or a mask of length {length}, got {got}")
    index = np.atleast_1d(index).astype(np.int64)
    if ((index < -length) | (index >= length)).any():
        raise IndexError(f"rows must be below {length}, the number of samples, got {index.min()} to {index.max()}")
    return index % max(1, length)
