"""Opening of files: our own, tables, and the files of other programs, all as datasets."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.from_labelled import describe_labelled
from pac_surrogate.data.matching import in_seconds
from pac_surrogate.data.missing_values import Missing
from pac_surrogate.data.names import choose, named_exactly
from pac_surrogate.data.origins import Arrays, DataFile, file_state
from pac_surrogate.data.tables import describe_table
from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.layout import read_description
from pac_surrogate.files.variables import Bounds, Scaling
from pac_surrogate.formats import kind_of, open_arrays, open_table
from pac_surrogate.formats.kinds import TABLES
from pac_surrogate.utilities.arguments import as_path
from pac_surrogate.utilities.display import one_line


def open_dataset(
    path: Path | str,
    inputs: str | Sequence[str] | None = None,
    outputs: str | Sequence[str] | None = None,
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
) -> Dataset:
    """Open a file of data: our own, CSV or Parquet, netCDF, Zarr, HDF5, MATLAB, NPZ, The Well or PDEBench.

    The kind of a file is told by its content. Tables are read into memory as `Dataset.from_pandas` does. All other files are
    opened as `Dataset.from_xarray` does, and their numbers are read when they are needed. Our own files, The Well and PDEBench
    say which variables are inputs and outputs: of The Well and PDEBench, the inputs are the parameters and the fields at the
    first time, the outputs the fields at all later times.

    Args:
        path: the file, or the folder of The Well or Zarr.
        inputs: names or patterns of the input variables or columns; by default those that the file marks, or those of `like`.
        outputs: likewise, for the outputs.
        like: a dataset or a surrogate whose variables, units and categories a file has that is not our own.
        sample: dimension of the samples, where it cannot be told; see `Dataset.from_xarray`.
        valid: fraction of the samples for the choice of a model, if the file has no splits.
        test: fraction of the samples for the measurement of errors, likewise.
        seed: seed of the splits and of the 20 orders of the train split, likewise.
        axes: names of the axes of a variable, by its name, where the file does not name them; see `Dataset.from_xarray`.
        units: unit of a variable or of an axis, by its name, if the file has none.
        scaling: scaling of a variable, by its name; see `Dataset.from_arrays`.
        bounds: bounds of the outputs; see `Dataset.from_arrays`.
        missing: what is done where numbers are missing; see `Dataset.from_arrays`. With "drop" and "mask" all numbers are read.
        attributes: global attributes in addition to those of the file.

    Raises:
        DatasetError: if the file is missing, damaged or of no known kind, lacks a variable, or needs a package that is not
            installed; the message starts with the path.
    """
    path = as_path("path", path).absolute()
    kind = kind_of(path)
    drawn: dict[str, Any] = {"valid": valid, "test": test, "seed": seed}
    meaning: dict[str, Any] = {"units": units, "scaling": scaling, "bounds": bounds, "missing": missing}
    meaning["attributes"] = attributes
    with from_file(path):
        if kind == "native":
            if valid or test or seed or any(meaning.values()) or axes or sample is not None:
                raise ValueError("this file has its own splits and meaning: only inputs= and outputs= apply to it")
            return _native(path, inputs, outputs)
        if kind in TABLES:
            if sample is not None or axes:
                raise ValueError("the rows of a table are its samples, and columns have no axes: leave sample= and axes= out")
            arrays, description = describe_table(open_table(path), inputs, outputs, like, **drawn, **meaning)
            return Dataset(Arrays(arrays, path), description)
        found = describe_labelled(open_arrays(path), inputs, outputs, like, sample, path=path, axes=axes, **drawn, **meaning)
        return Dataset(*found)


@contextmanager
def from_file(path: Path | str) -> Iterator[None]:
    """Let every message about a file start with its path."""
    try:
        yield
    except ValueError as error:
        line, absolute = one_line(error), Path(path).absolute()  # as the readers name it
        raise DatasetError(line if line.startswith((one_line(path), one_line(absolute))) else f"{path}: {line}") from error


def open_inputs(path: Path | str) -> Any:
    """Open a file from which inputs are read: our own as a Dataset, a table as a DataFrame, any other as an xarray Dataset.

    Raises:
        DatasetError: if the file is missing, damaged or of no known kind.
    """
    path = as_path("path", path).absolute()
    kind = kind_of(path)
    if kind == "native":
        return _native(path, None, None)
    return open_table(path) if kind in TABLES else open_arrays(path)


def _native(path: Path, inputs: Any, outputs: Any) -> Dataset:
    """Open a file of our own, with some of its variables if they are named."""
    description = read_description(path)
    names = {v.name: v for v in (*description.inputs, *description.outputs)}
    sides: dict[str, Any] = {}
    own_outputs = [variable.name for variable in description.outputs if variable.name not in named_exactly(inputs, list(names))]
    taken = own_outputs if outputs is None else named_exactly(outputs, list(names))
    for side, wanted in (("inputs", inputs), ("outputs", outputs)):
        own = [variable.name for variable in getattr(description, side) if variable.name not in taken]
        chosen = choose(side, own if wanted is None else wanted, list(names), "the file", taken=taken)
        sides[side] = tuple(names[name] for name in chosen)
        taken = chosen
    axes = {axis for side in sides.values() for variable in side for axis in variable.axes}
    coordinates = {name: in_seconds(one) for name, one in description.coordinates.items() if name in axes}
    described = replace(description, **sides, coordinates=coordinates)
    return Dataset(DataFile(path, len(description.split), file_state(path)), described)
