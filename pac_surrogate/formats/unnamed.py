"""Arrays without named axes, of NPZ, MATLAB and plain HDF5 files: the names that their axes get, and how names are stored.

The first axis is the sample. NPZ and MAT files that are written here also hold `metadata_json`, a text with the names of the
axes, the units, roles and all other attributes, with which reading restores them. Other programs see one more text.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.formats.lazy import relabelled
from pac_surrogate.utilities.display import listed, one_line

METADATA = "metadata_json"
SHARED = "sample"


def named_dimensions(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the names of the axes of each array.

    Arrays whose first axis has the length of the samples share the dimension `sample`, and their other axes are `<name>_0`,
    `<name>_1`, ...; all axes of the other arrays are named in this way. The number of samples is the length of the first axis
    that holds the most numbers in all arrays together, so that the coordinates of a grid do not pass for samples. Where the
    inputs and outputs that are chosen later are none of these, they tell the samples; see `data.labelled.with_samples`.
    """
    weights: dict[int, int] = {}
    for shape in shapes.values():
        if shape:
            weights[shape[0]] = weights.get(shape[0], 0) + int(np.prod(shape, dtype=np.float64))
    samples = max(weights, key=lambda length: (weights[length], length), default=-1)
    found = {}
    for name, shape in shapes.items():
        shared = (SHARED,) if shape[:1] == (samples,) else ()
        own = [f"{name}_{axis}" for axis in range(len(shape) - len(shared))]
        found[name] = (*shared, *(f"{axis}_" if axis in shapes else axis for axis in own))  # arrays may be named like axes
    return found


def collect(
    variables: Mapping[str, xr.Variable | np.ndarray], left_out: Mapping[str, str], attributes: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Return arrays as a Dataset with named dimensions.

    Args:
        variables: arrays, or lazy variables whose dimensions are to be named here; an array without axes becomes an attribute.
        left_out: what is not numbers, by name, with what it is instead; the attribute `left_out` lists it.
        attributes: other attributes.

    Raises:
        DatasetError: if no array is left.
    """
    scalars = {name: one for name, one in variables.items() if not one.shape}
    arrays = {name: one for name, one in variables.items() if one.shape}
    names = [f"{name} ({what})" for name, what in left_out.items()]
    if not arrays:
        got = f"it holds {listed(names)}" if names else "it holds none"
        raise DatasetError(f"arrays of real numbers, with the samples along the first axis, are required: {got}")
    dims = named_dimensions({name: one.shape for name, one in arrays.items()})
    attributes = {**(attributes or {}), **{name: np.asarray(one).item() for name, one in scalars.items()}}
    if names:
        attributes["left_out"] = ", ".join(names)
    found = {
        name: relabelled(one, one.attrs, dims[name]) if isinstance(one, xr.Variable) else xr.Variable(dims[name], one)
        for name, one in arrays.items()
    }
    return xr.Dataset(found, attrs=attributes)


def is_numeric(dtype: np.dtype) -> bool:
    """Return whether a type holds real numbers, or flags."""
    return dtype.kind in "fiub"


def metadata_of(dataset: xr.Dataset, stored: Mapping[str, str]) -> str:
    """Return the JSON text with the names and attributes of a Dataset, whose arrays are stored under the names `stored`.

    Coordinates that are texts are in it too.
    """
    variables = {
        str(name): {
            "stored": stored.get(str(name)),
            "dims": list(map(str, variable.dims)),
            "shape": list(variable.shape),
            "attributes": plain(variable.attrs),
            **({} if str(name) in stored else {"values": np.asarray(variable.values).astype(str).tolist()}),
        }
        for name, variable in dataset.variables.items()
    }
    return json.dumps(
        {"variables": variables, "coordinates": sorted(map(str, dataset.coords)), "attributes": plain(dataset.attrs)}
    )


def restore(text: str, arrays: Mapping[str, Any]) -> xr.Dataset:
    """Return the Dataset of arrays by stored name, each an array or a lazy variable, and of the text of `metadata_of`.

    Raises:
        DatasetError: if the text and the arrays do not belong together.
    """
    try:
        told = json.loads(text)
        variables = {}
        for name, entry in told["variables"].items():
            dims, shape = tuple(entry["dims"]), tuple(entry["shape"])
            if entry["stored"] is None:
                values = np.array(entry["values"], dtype=np.str_).reshape(shape)
                variables[name] = xr.Variable(dims, values, entry["attributes"])
                continue
            one = arrays[entry["stored"]]
            if isinstance(one, xr.Variable):
                variables[name] = relabelled(one, entry["attributes"], dims)
            else:
                variables[name] = xr.Variable(dims, np.asarray(one).reshape(shape), entry["attributes"])
        return xr.Dataset(variables, attrs=told["attributes"]).set_coords(told["coordinates"])
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DatasetError(
            f"{METADATA} must describe the arrays of the file, it does not ({one_line(error)}): rewrite it"
        ) from error


def plain(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes as texts, numbers and lists, which JSON knows."""
    return {
        str(name): value.tolist() if isinstance(value, np.ndarray | np.generic) else value for name, value in attributes.items()
    }


def texts_apart(dataset: xr.Dataset) -> tuple[list[str], list[str]]:
    """Return the names of the variables that hold numbers, and of those that hold texts.

    Raises:
        DatasetError: if one holds neither.
    """
    numbers, texts = [], []
    for name, variable in dataset.variables.items():
        if is_numeric(variable.dtype):
            numbers.append(str(name))
        elif variable.dtype.kind in "UT" or _all_texts(variable.values):
            texts.append(str(name))
        else:
            raise DatasetError(f"{name} must hold real numbers or texts, it holds {variable.dtype}: convert or drop it")
    return numbers, texts


def _all_texts(values: Iterable[Any]) -> bool:
    array = np.asarray(values)
    return array.dtype == object and all(isinstance(one, str) for one in array.ravel())
