"""A surrogate written for programs without pac_surrogate: ONNX, NumPy, C, or torch's own format.

The module of `Surrogate` imports this one, so that surrogates have no type here.
"""

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pac_surrogate.exports.complete import program_of, restored, standardised
from pac_surrogate.exports.description import Column, Export, labels_of
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.exports.in_torch import ProgramModule
from pac_surrogate.exports.program import Program
from pac_surrogate.files import Variable
from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.replacing import Kind, check_output, check_own_folder, replacing
from pac_surrogate.models.module import ModuleNetwork
from pac_surrogate.predictors import Network
from pac_surrogate.surrogates.layout import places_of_columns
from pac_surrogate.utilities.arguments import as_path, check_flags, got
from pac_surrogate.utilities.display import Shown, one_line
from pac_surrogate.utilities.process import own_settings

MARK = b"written by pac_surrogate"  # in the first line of every text that is exported
PROVENANCE = "pac_surrogate.json"  # file in the archives of torch that describes the columns
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")  # C99 distinguishes 63 characters, and the header adds up to 21 to the name
FORMATS = ("onnx", "numpy", "c", "torch")


@dataclass(frozen=True, repr=False)
class Exported(Shown):
    """What an export wrote.

    Attributes:
        path: the file or the folder.
        format: its format.
        files: the names of the files.
        size: their bytes together.
        numbers: number of the non-zero constants from which the prediction is computed, such as weights.
    """

    path: Path
    format: str
    files: tuple[str, ...]
    size: int
    numbers: int


@own_settings(gradients=False)
def export(surrogate: Any, path: Any, format: str, *, name: str = "surrogate", interval: bool = False) -> Exported:
    """Write a surrogate for programs without pac_surrogate; see `Surrogate.export`."""
    path = as_path("path", path)
    check_flags(interval=interval)
    if format not in FORMATS:
        raise ValueError(f"unknown format {got(format)}: choose {', '.join(FORMATS)}")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"name must be at most 40 letters, digits and underscores, beginning with a letter, got {got(name)}")
    own = isinstance(surrogate.predictor, Network) and isinstance(surrogate.predictor.module, ModuleNetwork)
    if own and interval:
        raise NotExportableError("a module of your own has no posterior, so no deviation can be exported: leave interval out")
    if own and format in ("onnx", "torch"):
        return _write_file(path, format, *_whole_module(surrogate, format))
    described = description(surrogate, name, interval=interval)
    numbers = _numbers(described.program)
    if format in ("onnx", "torch"):
        return _write_file(path, format, _writer(format, described), numbers)
    return _write_folder(path, format, described, numbers)


def description(surrogate: Any, name: str, *, interval: bool) -> Export:
    """Return the program of a surrogate, with the names, units and ranges of its columns in the order of its arrays."""
    program = program_of(
        surrogate.predictor, surrogate.scaling, surrogate.outputs, places_of_columns(surrogate), deviation=interval
    )
    return _described(surrogate, name, program)


def _described(surrogate: Any, name: str, program: Program) -> Export:
    (inputs, outputs), places, scaling = surrogate.layout, places_of_columns(surrogate), surrogate.scaling
    ends = (scaling.inputs.low, scaling.inputs.high, *scaling.inputs.ends())
    columns = _columns(inputs, (*ends, scaling.inputs.logarithmic), np.argsort(places[0]))
    unlimited = torch.full_like(scaling.outputs.low, torch.inf)
    ends = (scaling.outputs.low, scaling.outputs.high, -unlimited, unlimited)
    results = _columns(outputs, (*ends, scaling.outputs.logarithmic), places[1])
    return Export(program, name, columns, results, _about(surrogate))


def _columns(variables: Sequence[Variable], fields: Sequence[Tensor], places: np.ndarray) -> tuple[Column, ...]:
    """Return the columns of some variables from the low, high, lower, upper and logarithmic of all of them."""
    own = zip(labels_of(variables), *(field.numpy()[places].tolist() for field in fields), strict=True)
    return tuple(Column(*label, *values) for label, *values in own)


def _about(surrogate: Any) -> dict[str, Any]:
    """Return what made the surrogate, without dates and machines, so that equal surrogates give equal files."""
    origin = surrogate.provenance
    # That of a loaded file may hold anything.
    adapted, versions = (one if isinstance(one := origin.get(key), Mapping) else {} for key in ("transfer", "versions"))
    found = {
        "predictor": type(surrogate.predictor).__name__,
        "pac_surrogate": versions.get("pac_surrogate"),
        "source_samples": origin.get("samples"),
        "target_samples": adapted.get("samples"),
        "method": adapted.get("method"),
    }
    return {key: value for key, value in found.items() if isinstance(value, str | int)}


def _numbers(program: Program) -> int:
    """Count the numbers of a program that are not 0."""
    arrays = [array for number in program.used() for array in vars(program.steps[number]).values()]
    return sum(int(np.count_nonzero(a)) for a in arrays if isinstance(a, np.ndarray) and a.dtype.kind == "f")


def _writer(format: str, described: Export) -> Callable[[Path], None]:
    if format == "onnx":
        from pac_surrogate.exports.in_onnx import write_onnx

        return lambda path: write_onnx(described, path)
    module = ProgramModule(described.program)
    return lambda path: _save_torch(module, described, path)


def _whole_module(surrogate: Any, format: str) -> tuple[Callable[[Path], None], int]:
    """Return what writes a module of the user's own, which torch alone can convert, and the number of its weights."""
    module = WholeModule(surrogate)
    numbers = sum(int(weight.count_nonzero()) for weight in surrogate.weights.values())
    described = _described(surrogate, "surrogate", Program(sum(variable.size for variable in surrogate.inputs)))  # no steps
    if format == "torch":
        return lambda path: _save_torch(module, described, path), numbers
    from pac_surrogate.exports.in_onnx import write_onnx_of_module

    return lambda path: write_onnx_of_module(module, described, path), numbers


class WholeModule(nn.Module):
    """A module of the user's own between physical units: a program before it, and one behind it."""

    def __init__(self, surrogate: Any) -> None:
        super().__init__()
        places = places_of_columns(surrogate)
        before = Program(len(places[0]))
        scaled = before.gather(before.x, places[0].reshape(-1, 1))
        before.results["x"] = standardised(before, surrogate.scaling.inputs, scaled)
        after = Program(len(places[1]))
        y = restored(after, surrogate.scaling.outputs, surrogate.outputs, after.x)
        after.results["y"] = after.gather(y, places[1].reshape(-1, 1))
        self.before, self.module, self.after = ProgramModule(before), surrogate.network.as_module(), ProgramModule(after)
        self.dtype = surrogate.network.dtype
        for weight in self.module.parameters():
            weight.requires_grad = False  # what is exported is not trained any more

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the prediction `y`, (sample, output)."""
        scaled = self.before(x)["x"]
        y = self.after(self.module(scaled.to(self.dtype))[0])["y"]
        return {"y": y + 0.0 * scaled.sum(1, keepdim=True)}  # NaN where an input is not a finite number


def _save_torch(module: nn.Module, described: Export, path: Path) -> None:
    """Write a module by `torch.export`, for any number of samples, with names, units and ranges in a file of its archive.

    Raises:
        NotExportableError: if torch cannot convert the module.
    """
    width = len(described.inputs)
    sides = {"inputs": described.inputs, "outputs": described.outputs}
    about = {side: [column.to_json() for column in columns] for side, columns in sides.items()} | {"about": described.about}
    batch, example = {0: torch.export.Dim("batch", min=1)}, torch.ones(2, width, dtype=torch.float64)
    try:
        exported = torch.export.export(module.eval(), (example,), dynamic_shapes=(batch,))
    except Exception as error:  # torch.export raises errors of many kinds, some of them internal
        raise NotExportableError(
            f"torch.export cannot convert this module ({type(error).__name__}, whose text is the cause of this error): train a "
            "network on its predictions with surrogate.distil(model=pac.MLP(...)), and export that"
        ) from error
    buffer = io.BytesIO()
    torch.export.save(exported, buffer, extra_files={PROVENANCE: json.dumps(about)})
    path.write_bytes(buffer.getvalue())


def _write_file(path: Path, format: str, write: Callable[[Path], None], numbers: int) -> Exported:
    suffix = {"onnx": ".onnx", "torch": ".pt2"}[format]
    if path.suffix.lower() != suffix:
        raise ValueError(f"format={format!r} writes one file, whose name ends with {suffix}, got {path.name}: rename it")
    with _in_one_line(path), replacing(path, OWN) as temporary:
        write(temporary)
    return Exported(path, format, (path.name,), path.stat().st_size, numbers)


def _write_folder(folder: Path, format: str, described: Export, numbers: int) -> Exported:
    """Write the files of an export; the first is put in its place when all of them are complete."""
    if format == "c":
        from pac_surrogate.exports.in_c import write_c as write
    else:
        from pac_surrogate.exports.in_numpy import write_numpy as write
    with _in_one_line(folder), tempfile.TemporaryDirectory() as elsewhere:
        if folder.exists() and not folder.is_dir():
            raise DatasetError(f"{folder}: format={format!r} writes a folder, and this is a file: choose another path")
        write(described, Path(elsewhere))
        contents = {file.name: file.read_bytes() for file in sorted(Path(elsewhere).iterdir())}
        check_own_folder(folder)
        for name in contents:
            check_output(folder / name, OWN)
        for name, content in contents.items():
            with replacing(folder / name, OWN) as temporary:
                temporary.write_bytes(content)
    return Exported(folder, format, tuple(contents), sum(map(len, contents.values())), numbers)


@contextmanager
def _in_one_line(path: Path) -> Iterator[None]:
    """Turn what the operating system reports into an error of one line.

    Raises:
        DatasetError: if nothing can be written at the path.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise DatasetError(f"{one_line(path)}: the export cannot be written there ({reason}): choose another path") from error


def _is_own(path: Path) -> bool:
    """Return whether a file was exported by this package, which each format says in its own place."""
    if zipfile.is_zipfile(path):  # arrays of NumPy, or torch's format
        with zipfile.ZipFile(path) as archive:
            return any(name == "description.npy" or name.endswith(PROVENANCE) for name in archive.namelist())
    with path.open("rb") as file:
        beginning = file.read(1000)
    # A text says it in its first line, and ONNX names the program that made a model at its beginning.
    return MARK in beginning.partition(b"\n")[0] or (path.suffix.lower() == ".onnx" and b"pac_surrogate" in beginning[:40])


OWN = Kind("an exported surrogate", _is_own)
