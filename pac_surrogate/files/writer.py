"""Streamed and resumable writing of a data file, which is written completely or not at all."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int8, Integer, Num

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.layout import AXIS_ORDER, BOUNDS, CONVENTIONS, MEASURED, SCHEMA_VERSION, check_attributes
from pac_surrogate.files.missing import without_mask
from pac_surrogate.files.netcdf import KINDS, NetcdfVariable, rows_per_chunk, write_netcdf
from pac_surrogate.files.replacing import check_output
from pac_surrogate.files.splits import SPLITS, check_splits
from pac_surrogate.files.unfinished import Part
from pac_surrogate.files.variables import Coordinate, Variable, check_finite, complete_coordinates, state_of
from pac_surrogate.utilities.resolution import check_exact


class DatasetWriter:
    """Writer of a data file in batches of any number of samples; a run that was killed continues where it stopped.

    Samples are first stored in `<name>.part`, each with a checksum, so that the part stays readable if the run is killed at any
    moment, and damage is noticed: a warning states that samples from the first damaged one on must be written anew.
    `finish` writes the file itself in a fixed order and with fixed chunks, so that its bytes do not depend on the batches.
    A part of another configuration (variables, splits, coordinates, attributes given here) is started afresh, with a warning.

    Global attributes, here or in `finish`: title, pair, side ("source", "target" or "unspecified"), simulator, equation,
    parameters (a mapping, stored as JSON), headline ("rel_l2" or "rmse_std"), history, seed, and the measured quantities
    solver_order_measured, conservation_residual, cost_seconds_per_sample (NaN if not measured). `versions`, a mapping, is
    completed; Conventions and schema_version are added.

    Args:
        path: path of the file; the name of the part is this name with `.part` added.
        inputs: input variables.
        outputs: output variables.
        coordinates: coordinates of the axes; the points of axes without coordinates are numbered.
        samples: number of samples in the finished file.
        split: split of each sample: 0 train, 1 valid, 2 test.
        subset_order: orders of the train split.
        attributes: global attributes; those that are known only at the end are passed to `finish`.
        resume: whether to continue an existing part, and to keep a part that is left unfinished.

    Raises:
        ValueError: if the arguments contradict each other.
        DatasetError: if the path is that of a file of another kind, or if the part cannot be written, for example because
            another process writes it.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        coordinates: Sequence[Coordinate] | Mapping[str, Coordinate] = (),
        samples: int,
        split: Int8[np.ndarray, " sample"],
        subset_order: Integer[np.ndarray, "draw rank"],
        attributes: Mapping[str, Any],
        resume: bool = True,
    ) -> None:
        self._path, self._samples, self._resume = Path(path), samples, resume
        self._variables = {variable.name: variable for variable in (*inputs, *outputs)}
        self._roles = {v.name: "input" for v in inputs} | {v.name: "output" for v in outputs}
        if not inputs or not outputs or len(self._variables) != len(inputs) + len(outputs):
            raise ValueError(f"inputs and outputs of different names are required, got {[v.name for v in (*inputs, *outputs)]}")
        check_splits(split, subset_order, samples)
        self._coordinates = complete_coordinates([*inputs, *outputs], coordinates)
        self._split, self._subset_order = split, subset_order.astype(np.int32)
        self._attributes = _complete_attributes(attributes)
        check_output(self._path, KINDS["data file"])  # before any samples are computed
        self._part_path = self._path.with_name(self._path.name + ".part")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        stored = {name: ((samples, *variable.shape), variable.dtype) for name, variable in self._variables.items()}
        self._part = Part(self._part_path, stored, self._configuration(), resume=resume)
        self._sizes: dict[str, np.ndarray] = {}  # largest sizes of the numbers passed, if stored in another type

    @property
    def written(self) -> int:
        """Number of samples on disk."""
        return self._part.written

    def write(self, arrays: Mapping[str, Num[np.ndarray, "sample ..."]]) -> None:
        """Append samples, as arrays by the name of the variable; they are on disk when the method returns.

        Raises:
            DatasetError: if names, shapes or lengths are not those announced, a value is masked, not finite, or too large or
                too precise for its type, or the disk is full or fails; samples that were written earlier are kept.
        """
        first = self.written
        if arrays.keys() != self._variables.keys():
            raise DatasetError(f"every variable ({', '.join(self._variables)}) is required, got {', '.join(arrays)}")
        stored = {}
        for name, variable in self._variables.items():
            given = without_mask(name, arrays[name], ("sample", *variable.axes), first=first)
            if given.dtype.kind not in "fiub":
                raise DatasetError(f"{name} must hold real numbers, got {given.dtype}: convert it")
            with np.errstate(over="ignore"):  # numbers that overflow float32 become infinite and are refused
                stored[name] = _exact(name, given).astype(variable.dtype)
            count = len(np.atleast_1d(next(iter(stored.values()))))
            if stored[name].shape != (count, *variable.shape) or first + count > self._samples:
                allowed = f"{min(count, self._samples - first)} samples of shape {variable.shape}"
                raise DatasetError(f"{name} must be {allowed}, as the others, got an array of shape {stored[name].shape}")
            check_finite(variable, stored[name], np.arange(first, first + count))
            if given.dtype != stored[name].dtype:
                self._sizes[name] = np.maximum(self._sizes.get(name, 0.0), _sizes(variable, given.astype(np.float64)))
        self._part.write(stored)

    def finish(self, attributes: Mapping[str, Any] | None = None) -> None:
        """Write the file from its part, with these additional global attributes, and remove the part.

        Raises:
            DatasetError: if samples or attributes are missing, all numbers of a column are too small for their type, or the
                file cannot be written.
        """
        if self.written != self._samples:
            raise DatasetError(f"{self._path} needs {self._samples} samples, {self.written} are written: write the others")
        complete = _complete_attributes({**self._attributes, **(attributes or {})})
        check_attributes(complete)
        self._check_digits()
        draws, ranks = self._subset_order.shape
        numbered = [Coordinate(name, np.arange(size, dtype=np.int32)) for name, size in (("draw", draws), ("rank", ranks))]
        sample = Coordinate("sample", np.arange(self._samples, dtype=np.int32), "1", "number of the sample")
        layout = {
            coordinate.name: NetcdfVariable((coordinate.name,), coordinate.values, _meaning(coordinate))
            for coordinate in (sample, *self._coordinates.values(), *numbered)
        }
        for name, variable in self._variables.items():
            bounds = zip(BOUNDS, variable.bounds, strict=True)
            meaning = {**_meaning(variable), "role": self._roles[name], "scaling": variable.scaling}
            meaning |= {attribute: np.float64(bound) for attribute, bound in bounds if bound is not None}
            layout[name] = NetcdfVariable(("sample", *variable.axes), self._part.rows(name), meaning)
        flags = {"flag_values": np.arange(len(SPLITS), dtype=np.int8), "flag_meanings": " ".join(SPLITS)}
        layout["split"] = NetcdfVariable(("sample",), self._split, {"long_name": "what the sample is for", **flags})
        order = {"long_name": "samples of the train split in the order of each draw"}
        layout["subset_order"] = NetcdfVariable(("draw", "rank"), self._subset_order, order)
        try:
            write_netcdf(self._path, layout, complete)
        except OSError as error:
            kept = f"all samples are kept in {self._part_path.name}, " if self._resume else ""
            raise DatasetError(f"{self._path} cannot be written ({error.strerror}): {kept}make room and call again") from error
        self.close()
        self._part_path.unlink(missing_ok=True)

    def _check_digits(self) -> None:
        """Refuse columns whose numbers are all so small that they are stored as 0 or with fewer digits, unless all are 0."""
        for name, given in self._sizes.items():
            variable, least = self._variables[name], float(np.finfo(self._variables[name].dtype).tiny)
            if not ((given > 0) & (given < least)).any():
                continue
            part = self._part.rows(name)
            step = rows_per_chunk(part.shape, part.dtype.itemsize)
            blocks = (part[start : start + step] for start in range(0, len(part), step))
            lost = (given > 0) & (np.max([_sizes(variable, block) for block in blocks], axis=0) < least)
            if lost.any():
                raise DatasetError(
                    f"{name} must have numbers of {least:.2g} at least, below which {variable.dtype} lacks digits, got "
                    f"{given[lost].max():.3g} at most: use dtype='float64', a smaller unit, or 0 where zero is meant"
                )

    def close(self) -> None:
        """Close the part and keep it, so that it can be resumed; without `resume`, remove it."""
        self._part.close()
        if not self._resume:
            self._part_path.unlink(missing_ok=True)

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _configuration(self) -> str:
        variables = [{**state_of(variable), "role": self._roles[name]} for name, variable in self._variables.items()]
        meanings = [_meaning(coordinate) for coordinate in self._coordinates.values()]
        attributes = {name: value for name, value in self._attributes.items() if name not in ("history", *MEASURED)}
        text = json.dumps([variables, meanings, attributes], sort_keys=True, default=str)
        digest = hashlib.blake2b(text.encode(), digest_size=16)
        for values in (self._split, self._subset_order, *(np.asarray(c.values) for c in self._coordinates.values())):
            digest.update(f"{values.dtype}{values.shape}".encode())
            digest.update(values.tobytes())
        return digest.hexdigest()


def _exact(name: str, given: np.ndarray) -> np.ndarray:
    """Return the numbers, and refuse integers above 2**53 and long doubles that float64 would round.

    Raises:
        DatasetError: if there are any; the message names the variable.
    """
    try:
        check_exact(name, given)
    except ValueError as error:
        raise DatasetError(str(error)) from None
    return given


def _sizes(variable: Variable, values: np.ndarray) -> np.ndarray:
    """Return the largest size in each column; a field's is over all points, because its tails may vanish beside the rest."""
    axes = (0, *(1 + i for i, axis in enumerate(variable.axes) if axis in AXIS_ORDER[:-1]))
    return np.asarray(np.abs(values).max(axes, initial=0.0))


def _complete_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    versions = {package: _version(package) for package in ("pac_surrogate", "numpy", "h5py")}
    given = {name: json.dumps(v, sort_keys=True) if isinstance(v, Mapping) else v for name, v in attributes.items()}
    try:
        earlier = json.loads(given.get("versions", "{}"))
    except (TypeError, ValueError, RecursionError):
        earlier = None
    if not isinstance(earlier, dict):
        got = given["versions"]
        raise DatasetError(f"the global attribute versions must be a JSON object, got {got!r:.60}: correct it, or leave it out")
    given["versions"] = json.dumps(versions | earlier, sort_keys=True)
    return {"Conventions": CONVENTIONS, "schema_version": SCHEMA_VERSION, **given}


def _meaning(item: Variable | Coordinate) -> dict[str, Any]:
    return {"units": item.units, "long_name": item.long_name}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
