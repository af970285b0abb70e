"""Origins of a dataset's numbers: arrays in memory, or a file from which they are read when they are needed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from pac_surrogate.data.arrays import as_numbers
from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.layout import read_mark, read_rows
from pac_surrogate.files.variables import Variable, check_finite
from pac_surrogate.utilities.display import Shown, one_line


@dataclass(frozen=True, eq=False, repr=False)
class Arrays(Shown):
    """Numbers in memory.

    Attributes:
        values: the numbers by the name of the variable, (sample, *axes).
        path: the file from which they have been read; None if they are not from a file.
    """

    values: Mapping[str, np.ndarray]
    path: Path | None = None

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def read(self, variable: Variable, rows: Integer[np.ndarray, " sample"] | None) -> Float[np.ndarray, "sample ..."]:
        """Return these rows of a variable, all rows if None."""
        return self.values[variable.name] if rows is None else self.values[variable.name][rows]


@dataclass(frozen=True, eq=False, repr=False)
class DataFile(Shown):
    """Numbers in a file, which must not change after it has been opened."""

    path: Path
    samples: int
    state: tuple[Any, ...]

    def __len__(self) -> int:
        return self.samples

    def read(self, variable: Variable, rows: Integer[np.ndarray, " sample"] | None) -> Float[np.ndarray, "sample ..."]:
        """Return these rows of a variable, all rows if None."""
        rows = np.arange(self.samples) if rows is None else rows
        values = read_rows(self.path, variable.name, rows)
        if file_state(self.path) != self.state:
            raise DatasetError(f"{self.path}: the file has changed since it was opened: open it again")
        try:
            check_finite(variable, values, rows, partial(read_mark, self.path, variable.name))
        except DatasetError as error:
            raise DatasetError(f"{self.path}: {error}") from None
        return values


@dataclass(frozen=True, eq=False, repr=False)
class Labelled(Shown):
    """Numbers in an xarray Dataset that reads them when they are indexed.

    Attributes:
        dataset: the dataset.
        sample: its dimension of the samples.
        path: the file, which must not change after it has been opened.
        state: state of the file when it was opened.
    """

    dataset: Any
    sample: str
    path: Path
    state: tuple[Any, ...]

    def __len__(self) -> int:
        return int(self.dataset.sizes[self.sample])

    def read(self, variable: Variable, rows: Integer[np.ndarray, " sample"] | None) -> Float[np.ndarray, "sample ..."]:
        """Return these rows of a variable, all rows if None."""
        rows = np.arange(len(self)) if rows is None else rows
        array = self.dataset[variable.name].transpose(self.sample, *variable.axes)
        try:
            values = as_numbers(variable.name, array.isel({self.sample: rows}).values).astype(variable.dtype, copy=False)
            if file_state(self.path) != self.state:
                raise DatasetError("the file has changed since it was opened: open it again")
            check_finite(variable, values, rows)
        except (ValueError, OSError, RuntimeError, KeyError) as error:
            raise DatasetError(f"{self.path}: {one_line(error)}") from (None if isinstance(error, DatasetError) else error)
        return values


def file_state(path: Path) -> tuple[Any, ...]:
    """Return the inode, the size and the modification time of a file, which change when it is replaced.

    The state of a folder is that of all files in it, because its own times do not change when one of them is written to.
    """
    if path.is_dir():
        files = sorted(Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        return tuple((str(one), *file_state(one)) for one in files if one.is_file())
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
