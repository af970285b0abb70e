"""The parts of a surrogate as arrays and JSON, and its provenance."""

import dataclasses
import json
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.matching import in_seconds, match_all
from pac_surrogate.data.scaling import Columns, Scaling
from pac_surrogate.files import Coordinate, DatasetError, Variable
from pac_surrogate.files.tensors import load_tensors
from pac_surrogate.files.variables import variable_of
from pac_surrogate.models import Architecture
from pac_surrogate.models.weights import same_bits
from pac_surrogate.predictors import PREDICTORS, Folds
from pac_surrogate.predictors.codec import check_array
from pac_surrogate.predictors.predictor import check_finite, part, shapes
from pac_surrogate.utilities.display import one_line

SCHEMA = 1
ALLOCATED = "allocated/"  # prefix of the names of the tensors of an allocated source


def provenance(data: Dataset, **settings: Any) -> dict[str, Any]:
    """Return how a surrogate was made, as plain JSON values: data hash, number of samples, versions and settings."""
    return {
        "data": data.training.digest(),
        "samples": len(data),
        "versions": dict(_versions()),
        **json.loads(json.dumps(settings, default=repr)),
    }


@cache
def _versions() -> dict[str, str]:
    """Return the versions of Python and the libraries; cached, since reading each from its files takes a millisecond."""
    return {name: version(name) for name in ("torch", "numpy", "pac_surrogate")} | {"python": platform.python_version()}


def columns_of(tensors: Mapping[str, Tensor], side: str, variables: Sequence[Variable]) -> Columns:
    """Read the scaling of one side, with one number for each column."""
    saved, width = {}, sum(variable.size for variable in variables)
    for each in dataclasses.fields(Columns):
        name = f"scaling/{side}/{each.name}"
        saved[each.name] = tensors[name]
        check_array(name, tensors[name], each.type, {"column": width})
    check_finite(f"the scaling of the {side}", saved)
    if bool((saved["deviation"] < 0).any()) or bool((saved["low"] > saved["high"]).any()):  # 0 means that nothing varied
        raise ValueError(f"the scaling of the {side} has a negative deviation, or a range whose ends are exchanged")
    return Columns(**saved)


def given_of(header: Mapping[str, Any], side: str, own: Sequence[Variable]) -> tuple[Variable, ...] | None:
    """Read the variables in the order of arrays, if they are saved, and check that they match the surrogate's own."""
    saved = header.get("given", {}).get(side)
    if not saved:
        return None
    variables = tuple(map(variable_of, saved))
    match_all(side, variables, own)
    match_all(side, own, variables)
    return variables


def coordinate_state(coordinate: Coordinate) -> dict[str, Any]:
    """Describe coordinates as JSON."""
    values = np.asarray(coordinate.values).tolist()
    return {"name": coordinate.name, "values": values, "units": coordinate.units, "long_name": coordinate.long_name}


def coordinate_of(entry: Mapping[str, Any]) -> Coordinate:
    """Rebuild coordinates from JSON."""
    values = np.array(entry["values"])
    if values.ndim != 1 or values.dtype.kind not in "fiuU":
        raise ValueError("the coordinates of an axis must be one row of numbers or texts")
    return in_seconds(Coordinate(str(entry["name"]), values, str(entry["units"]), str(entry["long_name"])))


def what_the_mask_lacks(tensors: Mapping[str, Tensor], allocated: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of an allocated source that the essential mask of the calibrated surrogate does not restore."""
    restored = behind_the_mask(tensors)
    lacking = [name for name, tensor in allocated.items() if not (name in restored and same_bits(tensor, restored[name]))]
    return {f"{ALLOCATED}{name}": allocated[name] for name in lacking}


def behind_the_mask(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a saved surrogate with a weight of 0 wherever its essential mask is false.

    Raises:
        ValueError: if there is no mask, or one does not fit its weights.
    """
    masks, weights = part(tensors, "essential/"), part(tensors, "weights/")
    # Masks of other shapes would be broadcast, to a size that a small file can make large.
    if shapes(masks) != shapes(weights) or {mask.dtype for mask in masks.values()} != {torch.bool}:
        raise ValueError("the essential mask does not fit the weights")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith((ALLOCATED, Folds.prefix))}
    return kept | {f"weights/{name}": torch.where(masks[name], weight, 0.0) for name, weight in weights.items()}


def read_allocated(tensors: Mapping[str, Tensor], header: Mapping[str, Any], model: Architecture | None) -> dict[str, Any]:
    """Read the fields of an allocated source.

    Raises:
        ValueError: if a tensor is missing.
    """
    own = part(tensors, ALLOCATED)
    if sorted(own) != header["tensors"]:
        raise ValueError("tensors of its allocated source are missing")
    return _fields(behind_the_mask(tensors) | own, header, model)


def read_fields(path: Path, model: Architecture | None) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Read the fields of the surrogate in a file, and those of its allocated source if it keeps one.

    Raises:
        DatasetError: if the file is missing, damaged or not a surrogate.
    """
    tensors, header = load_tensors(path)
    shown = one_line(path)
    if not isinstance(header, dict) or header.get("format") != "pac_surrogate":
        raise DatasetError(f"{shown} holds no surrogate: save one with Surrogate.save")
    if header.get("schema") != SCHEMA:
        raise DatasetError(f"{shown} has surrogate schema {one_line(header.get('schema'))}, this version reads {SCHEMA}")
    try:
        fields, described = _fields(tensors, header, model), header.get("allocated")
        return fields, read_allocated(tensors, described, model) if described else None
    except KeyError as error:
        raise DatasetError(f"{shown} is not a complete surrogate: it lacks {one_line(error)}") from error
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise DatasetError(f"{shown} is not a complete surrogate: {one_line(error) or type(error).__name__}") from error


def _fields(tensors: Mapping[str, Tensor], header: Mapping[str, Any], model: Architecture | None) -> dict[str, Any]:
    inputs, outputs = (tuple(variable_of(entry) for entry in header[side]) for side in ("inputs", "outputs"))
    scaling = Scaling(columns_of(tensors, "inputs", inputs), columns_of(tensors, "outputs", outputs))
    kind = PREDICTORS[header["predictor"]["kind"]]
    return {
        "predictor": kind.from_state(tensors, header["predictor"], inputs, outputs, model),
        "scaling": scaling,
        "inputs": inputs,
        "outputs": outputs,
        "provenance": dict(header["provenance"]),
        "folds": Folds.from_state(tensors, header["folds"], inputs, outputs, model) if header.get("folds") else None,
        "given_inputs": given_of(header, "inputs", inputs),
        "given_outputs": given_of(header, "outputs", outputs),
        "coordinates": {c.name: c for c in map(coordinate_of, header.get("coordinates", []))},
    }
