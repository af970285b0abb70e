"""The data type of the library: samples of named inputs and outputs, in memory or in a file.

The file is longer than 300 lines because the class is public and the descriptions of its methods are long.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Float, Integer

from pac_surrogate.data.arrays import check_unlabelled
from pac_surrogate.data.data_warnings import DataWarning
from pac_surrogate.data.description import describe_arrays
from pac_surrogate.data.from_labelled import describe_labelled
from pac_surrogate.data.labelled import labelled, with_split
from pac_surrogate.data.missing_values import Missing
from pac_surrogate.data.names import find_variable
from pac_surrogate.data.origins import Arrays, DataFile, Labelled
from pac_surrogate.data.regridding import axes_to_regrid, in_points, on_grid, orders_of
from pac_surrogate.data.rows import Rows, content_order, positions
from pac_surrogate.data.saving import save
from pac_surrogate.data.tables import describe_table, index_of, table_of
from pac_surrogate.files.layout import Description
from pac_surrogate.files.splits import SPLITS
from pac_surrogate.files.variables import Bounds, Coordinate, Scaling, Variable, described
from pac_surrogate.utilities.arguments import as_path, got, whole_numbers
from pac_surrogate.utilities.display import Shown, listed


class Dataset(Shown):
    """Samples of named inputs and outputs; made by `from_arrays`, `from_pandas`, `from_xarray` and `open_dataset`.

    `d[name]` is a variable in its natural shape (sample, *axes); "load [N]" names the variable load if its unit is N.
    `d[rows]`, for a number, a slice, a mask or several numbers, is the dataset of these samples; it has no splits. Numbers are
    read from a file only when they are needed, and only those. Arrays that a dataset returns are copies: changing one does not
    change the dataset.

    Attributes:
        inputs: the input variables.
        outputs: the output variables.
    """

    def __init__(
        self,
        origin: Arrays | DataFile | Labelled,
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
        coordinates: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
        bounds: Mapping[str, Bounds] | Bounds | None = None,
        missing: Missing | None = None,
    ) -> "Dataset":
        """Make a dataset of NumPy or torch arrays (sample, ...), which are copied.

        The variables of a surrogate and of other data are matched by name; those with the default names "input" and "output"
        are matched by position.

        Args:
            x: an array, which becomes the variable "input", or a dictionary of arrays by name.
            y: likewise, with the variable "output"; an array (sample,) is a scalar.
            valid: fraction of the samples for the choice of a model.
            test: fraction of the samples for the measurement of errors.
            seed: seed of the splits and of the 20 orders of the train split.
            axes: names of the axes of each variable, without `sample`, by the variable's name; "input_0", "input_1", ... by
                default. Models and metrics recognise time, x, y and channel.
            units: unit of each variable and of each axis, by its name; "1" by default.
            scaling: scaling of each variable, by its name: "log" where only ratios matter, "standard" by default.
            coordinates: coordinates of the points of each axis, by its name: numbers, texts or a `Coordinate`; the points are
                numbered by default.
            attributes: global attributes of a saved file; see `DatasetWriter`. The headline metric is by default "rel_l2" if
                an output has an axis x or y, else "rmse_std".
            bounds: least and greatest possible number of every output, such as (0, 1) for a fraction, or a dictionary by the
                output's name; None is an open side, as in {"pressure": (0, None)}. A surrogate of these data, as source or
                target, projects its predictions onto the bounds, and cuts its intervals by them: an error never grows by
                that, and an interval never loses the truth. To learn ratios of a positive quantity, choose the scaling "log".
            missing: what is done with samples of which a number is NaN or masked. By default they are refused. "drop" leaves
                these samples out. "mask" keeps them if only outputs are missing, as NaN: such data can be the target of a
                `transfer`, which learns every output from the samples that have it, and nothing else.

        Warns:
            DataWarning: if samples are left out.

        Raises:
            ValueError: if lengths disagree, values are missing or not finite real numbers, a table or labelled array is given,
                integers are larger than float64 holds exactly, outputs are outside their bounds, or the fractions leave
                nothing to train on.
        """
        for name, side in (("x", x), ("y", y)):
            if isinstance(side, Dataset):
                raise ValueError(f"{name} must be an array or a dictionary of arrays, got a Dataset: pass data.{name}")
            check_unlabelled(name, side)
        options: dict[str, Any] = {"axes": axes, "units": units, "scaling": scaling, "attributes": attributes}
        options |= {"valid": valid, "test": test, "seed": seed, "bounds": bounds, "missing": missing}
        arrays, description = describe_arrays(x, y, coordinates=coordinates, **options)
        return cls(Arrays(arrays), description)

    @classmethod
    def from_pandas(
        cls,
        table: Any,
        inputs: Any = None,
        outputs: Any = None,
        *,
        like: Any = None,
        valid: float = 0.0,
        test: float = 0.0,
        seed: int = 0,
        units: Mapping[str, str] | None = None,
        scaling: Mapping[str, Scaling] | None = None,
        bounds: Mapping[str, Bounds] | Bounds | None = None,
        missing: Missing | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> "Dataset":
        """Make a dataset of columns of a pandas DataFrame, which are copied; its index labels the samples.

        The column "load [N]" becomes the variable load with the unit N, and answers to both names. A column of texts among the
        inputs, such as material, becomes an input for each of its categories, "material=steel", which is 1 or 0. Numbers in
        brackets are indices, as in "stress[0]", and the unit of "ratio [-]" is "-", which differs from all others.

        Args:
            table: the DataFrame.
            inputs: names of the input columns, or patterns such as "p_*"; those of `like` by default.
            outputs: likewise, for the outputs.
            like: a dataset or a surrogate whose variables, units and categories these data have too.
            valid: fraction of the samples for the choice of a model.
            test: fraction of the samples for the measurement of errors.
            seed: seed of the splits and of the 20 orders of the train split.
            units: unit of a variable, by its name, if its label has none.
            scaling: scaling of a variable, by its name; see `from_arrays`.
            bounds: bounds of the outputs; see `from_arrays`.
            missing: what is done where numbers are missing; see `from_arrays`.
            attributes: global attributes; see `from_arrays`.

        Raises:
            ValueError: if a column does not exist or has another unit, holds texts among its numbers, texts that look like
                numbers, dates or names of samples, or holds texts as an output; if an entry is missing; or under the conditions
                of `from_arrays`.
        """
        options: dict[str, Any] = {"valid": valid, "test": test, "seed": seed, "attributes": attributes, "bounds": bounds}
        options["missing"] = missing
        arrays, description = describe_table(table, inputs, outputs, like, units=units, scaling=scaling, **options)
        return cls(Arrays(arrays), description)

    @classmethod
    def from_xarray(
        cls,
        dataset: Any,
        inputs: Any = None,
        outputs: Any = None,
        *,
        like: Any = None,
        sample: str | None = None,
        valid: float = 0.0,
        test: float = 0.0,
        seed: int = 0,
        axes: Mapping[str, Sequence[str]] | None = None,
        units: Mapping[str, str] | None = None,
        scaling: Mapping[str, Scaling] | None = None,
        bounds: Mapping[str, Bounds] | Bounds | None = None,
        missing: Missing | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> "Dataset":
        """Make a dataset of variables of an xarray Dataset, with their units, dimensions and coordinates.

        Numbers are copied into memory. Coordinates that are dates become numbers of seconds since 1970-01-01. Only dimensions
        have coordinates; others, such as the latitude of every cell of a curvilinear grid, are left out.

        Args:
            dataset: the Dataset.
            inputs: names of the input variables, or patterns such as "p_*"; by default those of `like`, or those whose
                attribute `role` is "input".
            outputs: likewise, for the outputs.
            like: a dataset or a surrogate that has the same variables; order of the axes, units, scaling and bounds are those
                of its variables where the data do not tell them.
            sample: dimension of the samples; by default the one that all inputs and outputs share, and of several `sample`,
                `realization` or the unlimited one.
            valid: fraction of the samples for the choice of a model; a variable `split` along the samples takes its place.
            test: fraction of the samples for the measurement of errors, likewise.
            seed: seed of the splits and of the 20 orders of the train split.
            axes: names of the axes of a variable, without the sample, by its name, in place of those of its dimensions; models
                and metrics recognise time, x, y and channel. A variable with the name of an axis gives its coordinates.
            units: unit of a variable or of an axis, by its name, if it has no attribute `units`.
            scaling: scaling of a variable, by its name; see `from_arrays`.
            bounds: bounds of the outputs; see `from_arrays`.
            missing: what is done where numbers are missing; see `from_arrays`.
            attributes: global attributes in addition to those of the dataset.

        Raises:
            ValueError: if a variable does not exist or holds no numbers, the dimension of the samples cannot be told, or under
                the conditions of `from_arrays`.
        """
        options: dict[str, Any] = {"valid": valid, "test": test, "seed": seed, "attributes": attributes, "bounds": bounds}
        options["missing"] = missing
        return cls(
            *describe_labelled(dataset, inputs, outputs, like, sample, axes=axes, units=units, scaling=scaling, **options)
        )

    def to_xarray(self) -> Any:
        """Return an xarray Dataset with names, units, roles, coordinates, and the splits unless their seed tells them.

        Coordinates with a unit such as "seconds since 1970-01-01" become dates. `from_xarray` makes an equal dataset of it.
        """
        return self._to_xarray({name: self[name] for name in self._variables})

    def _to_xarray(self, arrays: Mapping[str, Any]) -> Any:
        """Return an xarray Dataset of these arrays, or of xarray Variables that are read when they are indexed."""
        found = labelled(arrays, self.inputs, self.outputs, self.coordinates, labels=self._labels(), attributes=self.attributes)
        return with_split(found, self._description) if self._whole else found

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with a column for each number of a sample, and units in brackets in the labels."""
        arrays = {name: self[name] for name in self._variables}
        return table_of(arrays, [*self.inputs, *self.outputs], index_of(self._labels()))

    def _labels(self) -> Coordinate | None:
        """Return the labels of these samples, or None if they are only numbered."""
        labels = self._description.labels
        if labels is None or self._rows is None:
            return labels
        return replace(labels, values=labels.values[self._rows])

    @property
    def coordinates(self) -> dict[str, Coordinate]:
        """Coordinates of the points of each axis."""
        return dict(self._description.coordinates)

    @property
    def attributes(self) -> dict[str, Any]:
        """Global attributes, such as the origin of the data and their headline metric."""
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
            "missing": f"{int(np.isnan(self.output_matrix).sum()):,} numbers of the outputs" if self.has_missing else None,
            "file": None if self.file is None else str(self.file),
        }

    @overload
    def __getitem__(self, key: str) -> Float[np.ndarray, "sample ..."]: ...
    @overload
    def __getitem__(self, key: Rows) -> "Dataset": ...
    def __getitem__(self, key: str | Rows) -> "np.ndarray | Dataset":
        if not isinstance(key, str):
            rows = positions(key, len(self))
            return self._pick(rows if self._rows is None else self._rows[rows])
        variable = find_variable(key, self._variables.values())
        if variable is None:
            raise ValueError(f"there is no variable {key!r}: this dataset has {', '.join(self._variables)}")
        return self._values(variable.name).copy()

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
        """Numbers of columns of the input matrix and of the output matrix."""
        inputs, outputs = (sum(variable.size for variable in side) for side in (self.inputs, self.outputs))
        return inputs, outputs

    @cached_property
    def has_missing(self) -> bool:
        """Whether some samples lack some outputs, which are then NaN; see `from_arrays`. A file has all of its numbers."""
        return isinstance(self._origin, Arrays) and bool(np.isnan(self._matrix(self.outputs)).any())

    @cached_property
    def train(self) -> "Dataset":
        """The samples to train on, in the order of draw 0: `train[:n]` is `subset(0, n)`."""
        return self._pick_split("train", self._subset_order[0])

    @cached_property
    def valid(self) -> "Dataset":
        """The samples for the choice of a model."""
        return self._pick_split("valid", np.flatnonzero(self._split() == SPLITS.index("valid")))

    @cached_property
    def test(self) -> "Dataset":
        """The samples for the measurement of errors."""
        return self._pick_split("test", np.flatnonzero(self._split() == SPLITS.index("test")))

    @cached_property
    def seen(self) -> "Dataset":
        """The samples that a fit may use: the train split if the dataset has valid or test samples, else all samples."""
        return self.train if self._whole and (self._description.split != SPLITS.index("train")).any() else self

    @cached_property
    def training(self) -> "Dataset":
        """The samples that a fit may use, in an order that depends only on their content.

        Folds and minibatches are drawn by row, and no result may depend on the order in which the rows were given. The rows
        are therefore sorted by their numbers, column by column, and then shuffled with a fixed seed, so that the first rows
        are a random sample of all.
        """
        if self.seen is not self:
            return self.seen.training
        order = content_order(self._matrix(self.inputs), self._matrix(self.outputs))
        if np.array_equal(order, np.arange(len(self))):
            return self
        rows = {name: self._values(name)[order] for name in self._variables}
        found = Dataset(Arrays(rows, self.file), replace(self._description, labels=None), whole=False)
        found.__dict__["training"] = found  # sorting it again would find the same order
        return found

    def has_split(self, name: str) -> bool:
        """Return whether the split of this name ("train", "valid", "test") has any samples."""
        if name not in SPLITS:
            raise ValueError(f"a split is one of {', '.join(SPLITS)}, got {got(name)}")
        return bool((self._split() == SPLITS.index(name)).any())

    def subset(self, draw: int, size: int) -> "Dataset":
        """Return the first `size` samples of a draw of the train split, so that the subset of 8 contains the subset of 4.

        Raises:
            ValueError: if the draw does not exist, or the train split has fewer samples.
        """
        draw, size = whole_numbers(None, draw=draw, size=size)
        order = self._subset_order
        draws, available = order.shape
        if not 0 <= draw < draws:
            raise ValueError(f"draw must be 0 to {draws - 1}, as {draws} are stored, got {draw}: use at most {draws} seeds")
        if not 0 <= size <= available:
            raise ValueError(f"size must be at most {available}, the size of the train split, got {size}: choose a smaller one")
        return self._pick(order[draw, :size])

    def with_matrices(
        self, input_matrix: Float[np.ndarray, "sample input"], output_matrix: Float[np.ndarray, "sample output"]
    ) -> "Dataset":
        """Return a dataset in memory with the same samples, variables and splits but other numbers.

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
        return Dataset(Arrays(arrays, self.file), replace(self._description, labels=self._labels()), whole=self._whole)

    def as_variables(
        self,
        inputs: Sequence[Variable],
        input_columns: Integer[np.ndarray, " input"],
        outputs: Sequence[Variable],
        output_columns: Integer[np.ndarray, " output"],
    ) -> "Dataset":
        """Return a dataset in memory with the same samples and splits, whose columns form other variables.

        Args:
            inputs: the new input variables.
            input_columns: for each column of the new inputs, its column in the input matrix of this dataset.
            outputs: the new output variables.
            output_columns: likewise, for the new outputs and the output matrix.
        """
        matrices = self._matrix(self.inputs)[:, input_columns], self._matrix(self.outputs)[:, output_columns]
        description = replace(self._description, inputs=tuple(inputs), outputs=tuple(outputs), labels=self._labels())
        return Dataset(Arrays({}, self.file), description, np.arange(len(self)), whole=self._whole).with_matrices(*matrices)

    def aligned(self, onto: Any) -> "Dataset":
        """Return the dataset with the points of its axes in the order that they have in another dataset or in a surrogate.

        An axis whose points are others, or only numbered, stays as it is. `transfer` and `predict` do this by themselves.

        Args:
            onto: what has the wanted order, a Dataset or a Surrogate.
        """
        orders = orders_of(self.coordinates, onto.coordinates)
        if not orders:
            return self
        arrays = {name: in_points(variable, self._values(name), orders) for name, variable in self._variables.items()}
        points = {axis: onto.coordinates[axis] for axis in orders}
        known: dict[str, Any] = {"coordinates": {**self.coordinates, **points}, "labels": self._labels()}
        return Dataset(Arrays(arrays), replace(self._description, **known), whole=self._whole)

    def regrid(self, onto: Any) -> "Dataset":
        """Return a dataset in memory with its fields interpolated linearly onto the grid of another dataset or a surrogate.

        Along every axis of numbers, the points of the other grid are reached by linear interpolation between the coordinates of
        this one, which may fall or rise; several axes are taken one after the other. The error is of second order in the
        spacing. It is estimated by leaving out every other point and interpolating there: with half of the points it is four
        times as large. Axes of texts, and those that the other grid does not have, stay as they are.

        Args:
            onto: what has the wanted grid, a Dataset or a Surrogate.

        Warns:
            DataWarning: of the estimated error of each field that is interpolated, as a fraction of its deviation.

        Raises:
            ValueError: if coordinates are not known where lengths differ, units differ, or points lie outside this grid.
        """
        points = axes_to_regrid(self, onto)
        if not points:
            return self
        arrays, sides, line = on_grid({name: self._values(name) for name in self._variables}, self, points)
        if line:
            warnings.warn(line, DataWarning, stacklevel=2)
        known: dict[str, Any] = {"coordinates": {**self.coordinates, **points}, "labels": self._labels()}
        description = replace(self._description, inputs=sides[0], outputs=sides[1], **known)
        return Dataset(Arrays(arrays, self.file), description, whole=self._whole)

    def digest(self) -> str:
        """Return a fingerprint of the numbers: 128 bits of BLAKE2b over both matrices, as hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=16)
        for matrix in (self._matrix(self.inputs), self._matrix(self.outputs)):
            digest.update(f"{matrix.dtype.str}{matrix.shape}".encode())
            digest.update(matrix.tobytes())
        return digest.hexdigest()

    @property
    def file(self) -> Path | None:
        """The file that the numbers are read from, or None for arrays."""
        return self._origin.path

    def save(self, path: Path | str, to: str | None = None) -> None:
        """Write the dataset, in our own layout or in that of another program.

        Args:
            path: .h5 or .nc for our own layout (netCDF-4), which holds everything but labels of the samples and needs a whole
                dataset; .npz, .mat and .zarr for arrays with names, units and coordinates; .csv and .parquet for a table, in
                which units stand in brackets and splits are lost.
            to: "the_well" or "pdebench", layouts that a suffix does not tell.

        Our own layout, The Well and PDEBench are written some samples at a time, so a file may be larger than the memory. For
        the others, all numbers are read.

        Raises:
            ValueError: if the layout cannot be told, our own is asked for and this dataset is only some rows of another, or the
                numbers are from the file of this path, which may hold more than them.
            DatasetError: if the file cannot be written, or the layout cannot hold these variables.
        """
        path = as_path("path", path)
        if self.file is not None and path.resolve() == self.file.resolve():
            raise ValueError(f"a dataset must be saved to another file than {path}, from which it is read: choose another name")
        save(self, path, to)

    def splits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the split of each sample (0 train, 1 valid, 2 test), and the orders of the train split, (draw, rank).

        Raises:
            ValueError: if this dataset is only some rows of another.
        """
        return self._split().copy(), self._subset_order.copy()

    def _values(self, name: str) -> np.ndarray:
        """Return a variable in the dataset's own memory, which must not be given to callers."""
        if name not in self._cache:
            self._cache[name] = self._origin.read(self._variables[name], self._rows)
        return self._cache[name]

    def _matrix(self, variables: Sequence[Variable]) -> np.ndarray:
        columns = [self._values(variable.name).reshape(len(self), variable.size) for variable in variables]
        return np.concatenate(columns, axis=1)

    def _pick(self, rows: np.ndarray) -> "Dataset":
        return Dataset(self._origin, self._description, rows, whole=False)

    def _split(self) -> np.ndarray:
        if not self._whole:
            raise ValueError("splits belong to a whole dataset, not to rows of another one: use that one, or from_arrays")
        return self._description.split

    @cached_property
    def _subset_order(self) -> np.ndarray:
        self._split()
        return self._description.orders()

    def _pick_split(self, name: str, rows: np.ndarray) -> "Dataset":
        if not len(rows):
            raise ValueError(f"samples of the {name} split are required, but there are none: choose some, as from_arrays does")
        return self._pick(rows)
