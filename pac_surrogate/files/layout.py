"""The layout of a data file, which is one side of a pair: its variables, the splits of its samples, and their origin.

    <input and output variables> (sample, time, x, y, z, channel)   units, long_name, role, scaling, and of a bounded variable
                                                                    lower_bound, upper_bound (the attributes valid_min and
                                                                    valid_max of CF would mark numbers beyond as missing)
    <axis> (<axis>)                  coordinates of every axis, with units
    split (sample)                   0 train, 1 valid, 2 test
    subset_order (draw, rank)        20 orders of the train split: the first n of a draw are its subset of size n

The writer is in `writer.py`; the reader and the checks are here. Both define the layout.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np
from jaxtyping import Int8, Integer, Num

from pac_surrogate.files.attributes import DatasetError, read_attributes
from pac_surrogate.files.missing import Encoding, read_encoding
from pac_surrogate.files.netcdf import rows_per_chunk
from pac_surrogate.files.netcdf_reader import (
    dimensions,
    open_netcdf,
    open_variable,
    open_variables,
    read_values,
    variable_names,
)
from pac_surrogate.files.splits import DRAWS, SPLITS, check_splits, make_subset_order
from pac_surrogate.files.variables import (
    LAYOUT,
    UNBOUNDED,
    Coordinate,
    Scaling,
    Variable,
    as_bounds,
    bounds_text,
    check_finite,
    complete_coordinates,
)
from pac_surrogate.utilities.display import Shown, printable

SCHEMA_VERSION = 1
CONVENTIONS = "CF-1.11"
MOST_DRAWS = 2**10  # most draws that are read
DESCRIBED_BYTES = 2**27  # of all variables, that are read for a description
BLOCK_BYTES = 2**26  # of all variables, that are held at once while a dataset is written
LONGEST_LINE = 1000  # characters of a description
LARGEST_LAYOUT = 2**28  # bytes of coordinates, splits and orders
BOUNDS = ("lower_bound", "upper_bound")  # attributes of a variable
AXIS_ORDER = ("time", "x", "y", "z", "channel")
HEADLINES = ("rel_l2", "rmse_std")
SIDES = ("source", "target", "unspecified")
MEASURED = ("solver_order_measured", "conservation_residual", "cost_seconds_per_sample")
TEXTS = ("Conventions", "title", "pair", "side", "simulator", "equation", "parameters", "headline", "history", "versions")


@dataclass(frozen=True, eq=False, repr=False)
class Description(Shown):
    """The contents of a file except for the numbers of its variables.

    Attributes:
        inputs: the input variables.
        outputs: the output variables.
        coordinates: coordinates of their axes.
        attributes: global attributes.
        split: split of each sample.
        subset_order: orders of the train split; None if they are still to be drawn, with the seed among the attributes.
        labels: labels of the samples, such as the index of a table, with the name of their dimension; None if there are none.
    """

    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    coordinates: Mapping[str, Coordinate]
    attributes: Mapping[str, Any]
    split: Int8[np.ndarray, " sample"]
    subset_order: Integer[np.ndarray, "draw rank"] | None
    labels: Coordinate | None = None

    def orders(self) -> Integer[np.ndarray, "draw rank"]:
        """Return the orders of the train split, which are drawn if they are not stored."""
        if self.subset_order is None:
            return make_subset_order(self.split, seed=int(self.attributes["seed"]))
        return self.subset_order


def read_description(path: Path | str) -> Description:
    """Read the contents of a file except for the numbers of its variables.

    Raises:
        DatasetError: if the file is missing or damaged, or does not have the structure of the layout.
    """
    with open_netcdf(path) as file:
        return _read_description(file)


def read_rows(path: Path | str, name: str, rows: Integer[np.ndarray, " row"]) -> Num[np.ndarray, "row ..."]:
    """Read these samples of a variable, in this order; each chunk that is needed is read once, and no other chunk is read.

    The numbers are float32 or float64, NaN where the file marks them as missing; variables of the layout itself stay integers.

    Raises:
        DatasetError: if the file cannot be read, or lacks the variable or a sample.
    """
    with open_netcdf(path) as file:
        dataset = open_variable(file, name)
        if dataset.dtype.kind not in "fiu" or not dataset.ndim:
            raise DatasetError(f"{name} must hold numbers for each sample, it holds {dataset.dtype} of shape {dataset.shape}")
        if np.asarray(rows).dtype.kind not in "iu" and np.size(rows):
            got = np.asarray(rows).dtype
            raise DatasetError(f"samples of {name} must be chosen by integers, got {got}: give their numbers")
        encoding = None if name in LAYOUT else read_encoding(dataset)
        wanted, back = np.unique(np.asarray(rows, dtype=np.int64), return_inverse=True)
        if len(wanted) and (wanted[0] < 0 or wanted[-1] >= dataset.shape[0]):
            raise DatasetError(f"{name} has {dataset.shape[0]} samples, {wanted[0]} to {wanted[-1]} were asked for")
        values = np.empty((len(wanted), *dataset.shape[1:]), encoding.dtype if encoding else dataset.dtype)
        step, block = dataset.chunks[0] if dataset.chunks else 1, _rows_per_read(dataset)
        apart = (np.diff(wanted // step) > 1) | (np.diff(wanted // block) > 0)  # adjacent chunks are read at once
        for places in np.split(np.arange(len(wanted)), np.flatnonzero(apart) + 1):
            if len(places):
                first, last = wanted[places[0]], wanted[places[-1]]
                stored = dataset[first : last + 1][wanted[places] - first]
                values[places] = encoding.decode(stored) if encoding else stored
        return values[back]


def read_mark(path: Path | str, name: str, place: tuple[int, ...]) -> str:
    """Return what marks the value of a variable at a place (sample, *axes) as missing; the text is empty if nothing does.

    Raises:
        DatasetError: if the file cannot be read, or lacks the variable.
    """
    with open_netcdf(path) as file:
        dataset = open_variable(file, name)
        return read_encoding(dataset).mark_at(dataset, place)


def validate(path: Path | str) -> None:
    """Check everything that the layout requires, reading chunk by chunk.

    Raises:
        DatasetError: if the file has a fault; the message names the first one.
    """
    with open_netcdf(path) as file:
        description = _read_description(file)
        check_attributes(description.attributes)
        if len(description.orders()) != DRAWS:
            raise DatasetError(f"subset_order must hold {DRAWS} draws, it holds {len(description.orders())}")
        for variable in (*description.inputs, *description.outputs):
            dataset = open_variable(file, variable.name)
            encoding = read_encoding(dataset)
            if dataset.maxshape[0] is not None or dataset.chunks[1:] != dataset.shape[1:]:
                raise DatasetError(f"{variable.name} must be stored in whole samples along an unlimited axis: rewrite the file")
            for start, block in _blocks(dataset, encoding):
                check_finite(variable, block, np.arange(start, start + len(block)), partial(encoding.mark_at, dataset))


def describe(path: Path | str) -> str:
    """Describe the axes, variables, splits and attributes of a file as text; missing numbers do not count in a range.

    Of a file of more than 128 MB, the ranges are those of evenly spaced parts of it, as the text says.

    Raises:
        DatasetError: if the file is missing or damaged, or does not have the structure of the layout.
    """
    with open_netcdf(path) as file:
        found = _read_description(file)
        counts = np.bincount(found.split, minlength=len(SPLITS))
        lines = [f"{path}: {found.attributes.get('title', 'untitled')}", "", "axes"]
        lines.append(f"  {'sample':16}{len(found.split):>8}")
        for name, coordinate in found.coordinates.items():
            ends = f"{coordinate.values[0]:.6g} to {coordinate.values[-1]:.6g}" if coordinate.values.dtype.kind != "U" else ""
            texts = ends or ", ".join(coordinate.values)
            lines.append(f"  {name:16}{len(coordinate.values):>8}  {texts} [{coordinate.units}]  {coordinate.long_name}")
        most = DESCRIBED_BYTES // (len(found.inputs) + len(found.outputs))
        for title, variables in (("inputs", found.inputs), ("outputs", found.outputs)):
            lines += ["", title]
            for variable in variables:
                low, high, missing, read = _range(open_variable(file, variable.name), most)
                axes = f"({', '.join(('sample', *variable.axes))})"
                what = f"{variable.long_name}, {variable.dtype}, scaling {variable.scaling}"
                what += f", {bounds_text(variable.bounds)}" if variable.bounds != UNBOUNDED else ""
                what += f", {missing} missing" if missing else ""
                what += f" (of {read:,} samples)" if read < len(found.split) else ""
                span = f"{low:.6g} to {high:.6g}" if low <= high else "no numbers"
                lines.append(f"  {variable.name:16}{axes}  {span} [{variable.units}]  {what}")
        lines += ["", "splits", "  " + ", ".join(f"{name} {count}" for name, count in zip(SPLITS, counts, strict=True))]
        lines += [f"  {len(found.orders())} draws of the train split", "", "attributes"]
        lines += [f"  {name:24}{value}" for name, value in found.attributes.items()]
        return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} ..." for line in map(printable, lines))


def _read_description(file: h5py.File) -> Description:
    attributes = read_attributes(file)
    got = attributes.get("schema_version", "none")
    if isinstance(got, np.ndarray) or got != SCHEMA_VERSION:
        required = f"schema_version {SCHEMA_VERSION} is required, got {got!s:.60}"
        raise DatasetError(f"{required}: convert the file, or update pac_surrogate")
    names = variable_names(file)
    datasets = open_variables(file, [*names, "sample", "split", "subset_order"])
    dims = {name: dimensions(dataset) for name, dataset in datasets.items()}
    sizes = {name: len(datasets[name]) for name in names if dims[name] == (name,)}
    found: dict[str, list[Variable]] = {"input": [], "output": []}
    for name in names:
        if name not in (*sizes, *LAYOUT):
            role, variable = _read_variable(name, datasets[name], dims[name], sizes)
            found[role].append(variable)
    if not found["input"] or not found["output"]:
        raise DatasetError(f"an input and an output are required, found {len(found['input'])} and {len(found['output'])}")
    read = sum(datasets[name].nbytes for name in {*sizes, "split", "subset_order"} - {"sample", "draw", "rank"})
    if read > LARGEST_LAYOUT:
        raise DatasetError(
            f"axes, split and subset_order must have at most {LARGEST_LAYOUT} bytes, they have {read}: split the file"
        )
    coordinates = []
    for name, dataset in datasets.items():
        if name in sizes and name not in LAYOUT:
            told = read_attributes(dataset)
            meaning = [_text(name, told, attribute) for attribute in ("units", "long_name")]
            coordinates.append(Coordinate(name, _read_complete(name, dataset), *meaning))
    if dims["split"] != ("sample",) or dims["subset_order"] != ("draw", "rank"):
        got = f"{dims['split']} and {dims['subset_order']}"
        raise DatasetError(f"split needs the axes (sample) and subset_order (draw, rank), they have {got}: rewrite the file")
    draws, ranks = datasets["subset_order"].shape
    if draws > MOST_DRAWS or ranks > sizes["sample"]:
        allowed = f"at most {MOST_DRAWS} draws of the {sizes['sample']} samples"
        raise DatasetError(f"subset_order must hold {allowed}, its shape is {(draws, ranks)}: rewrite the file")
    split, order = (_read_complete(name, datasets[name]) for name in ("split", "subset_order"))
    check_splits(split, order, sizes["sample"])
    inputs, outputs = tuple(found["input"]), tuple(found["output"])
    try:
        complete = complete_coordinates([*inputs, *outputs], coordinates)
    except ValueError as error:
        raise DatasetError(str(error)) from error
    return Description(inputs, outputs, complete, attributes, split, order)


def _read_complete(name: str, dataset: h5py.Dataset) -> np.ndarray:
    values = read_values(dataset)
    for place in np.argwhere(np.isnan(values))[:1] if values.dtype.kind == "f" else ():
        mark = read_encoding(dataset).mark_at(dataset, tuple(map(int, place)))
        if mark:
            where = ", ".join(map(str, place))
            raise DatasetError(f"{name} must be finite, it is missing ({mark}) at point {where}: repair it")
    return values


def _read_variable(name: str, dataset: h5py.Dataset, dims: tuple[str, ...], sizes: Mapping[str, int]) -> tuple[str, Variable]:
    attributes = read_attributes(dataset)
    role, units, long_name = (_text(name, attributes, attribute) for attribute in ("role", "units", "long_name"))
    if role not in ("input", "output"):
        raise DatasetError(f"{name} needs the attribute role, 'input' or 'output', it has {role!r:.60}: correct it")
    known = [AXIS_ORDER.index(dim) for dim in dims if dim in AXIS_ORDER]
    if dims[:1] != ("sample",) or known != sorted(known):
        raise DatasetError(f"{name} needs its axes in the order sample, {', '.join(AXIS_ORDER)}, it has {', '.join(dims)}")
    for dim, size in zip(dims, dataset.shape, strict=True):
        if sizes.get(dim) != size:
            raise DatasetError(f"{name} has {size} points along {dim}, its coordinates have {sizes.get(dim, 'none')}")
    scaling: Any = _text(name, attributes, "scaling") if "scaling" in attributes else "standard"
    if scaling not in get_args(Scaling):
        raise DatasetError(f"{name} needs the attribute scaling, 'standard' or 'log', it has {scaling!r:.60}: correct it")
    if dataset.dtype.kind not in "fiu":
        raise DatasetError(f"{name} must hold numbers, it holds texts: number the texts, or remove the variable")
    dtype = read_encoding(dataset).dtype.name
    try:
        bounds = as_bounds(name, [attributes.get(attribute) for attribute in BOUNDS])
        variable = Variable(name, dims[1:], dataset.shape[1:], units, long_name, scaling, dtype, bounds)
    except ValueError as error:
        raise DatasetError(f"{error}: rewrite the file") from error
    return role, variable


def _text(name: str, attributes: Mapping[str, Any], attribute: str) -> str:
    value = attributes.get(attribute)
    if not isinstance(value, str) or not value:
        raise DatasetError(f"{name} needs the attribute {attribute}, it has {value!r:.60}: add it")
    return value


def check_attributes(attributes: Mapping[str, Any]) -> None:
    """Refuse global attributes that are missing or of the wrong kind.

    Raises:
        DatasetError: if there are any; the message names the first.
    """
    for names, kind in ((TEXTS, str), (("seed",), (int, np.integer)), (MEASURED, (int, float, np.number))):
        for name in names:
            if not isinstance(attributes.get(name), kind):
                got = attributes.get(name, "none")
                raise DatasetError(f"the global attribute {name} must be a {'text' if kind is str else 'number'}, got {got!r}")
    for name, allowed in (("side", SIDES), ("headline", HEADLINES)):
        if attributes[name] not in allowed:
            raise DatasetError(f"the global attribute {name} must be one of {', '.join(allowed)}, got {attributes[name]!r}")
    for name in ("parameters", "versions"):
        try:
            json.loads(attributes[name])
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"the global attribute {name} must be JSON, it is not ({error})") from error


def _range(dataset: h5py.Dataset, most: int) -> tuple[float, float, int, int]:
    """Return the least and the greatest of the present numbers, how many are missing, and how many samples were read.

    At most `most` bytes are read, in evenly spaced blocks, but at least one block.
    """
    low, high, missing, read = np.nan, np.nan, 0, 0
    encoding, step = read_encoding(dataset), _rows_per_read(dataset)
    row = max(1, math.prod(dataset.shape[1:]) * dataset.dtype.itemsize)
    for start in evenly_spaced(len(dataset), step, max(1, most // (row * step))):
        block = encoding.decode(dataset[start : start + step])
        low, high = np.fmin(low, np.fmin.reduce(block, axis=None)), np.fmax(high, np.fmax.reduce(block, axis=None))
        missing, read = missing + int(np.isnan(block).sum()), read + len(block)
    return float(low), float(high), missing, read


def evenly_spaced(length: int, step: int, most: int) -> list[int]:
    """Return the starts of at most so many blocks of `step` entries, evenly spaced: all blocks, if they are not more."""
    blocks = -(-length // step)
    return [int(number) * step for number in np.unique(np.linspace(0, blocks - 1, min(blocks, most)).round())]


def _rows_per_read(dataset: h5py.Dataset) -> int:
    """Return how many rows are read at once: complete chunks of about 1 MB together, or one chunk if it is larger."""
    rows = rows_per_chunk(dataset.shape, dataset.dtype.itemsize)
    return max(1, rows // dataset.chunks[0]) * dataset.chunks[0] if dataset.chunks else rows


def _blocks(dataset: h5py.Dataset, encoding: Encoding) -> Iterator[tuple[int, np.ndarray]]:
    step = _rows_per_read(dataset)
    for start in range(0, len(dataset), step):
        yield start, encoding.decode(dataset[start : start + step])
