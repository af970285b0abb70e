"""A program as a Python module that needs NumPy alone, with one file of arrays."""

import hashlib
import io
import json
import keyword
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pac_surrogate.exports.description import Export
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.exports.in_numpy_functions import ABOUT_STD, BEGINNING, END, FUNCTIONS, ONE_RESULT, TEXT_OF_FUNCTION
from pac_surrogate.exports.program import (
    Apply,
    Cast,
    Clamp,
    Combine,
    Distances,
    Gather,
    Join,
    Linear,
    Product,
    Program,
    Scale,
    Step,
    Value,
    reads,
)

CACHE = 2**18  # bytes that the values of a block of samples should take, so that they stay in the processor's cache
EFFICIENT = (
    256  # samples that a block should have even so if all values are vectors: products with large weights are slow for fewer
)
MEMORY = 2**25  # bytes that these may take at most
LARGE = 1000  # numbers for each sample beyond which a value is deleted after its last use


def write_numpy(export: Export, folder: Path) -> None:
    """Write a module `<name>.py` and its arrays `<name>.npz` into a folder that exists.

    The module needs Python 3.9 and NumPy 1.22 or newer. It has the functions `predict`, `outside`, and `std` if the program has
    that result, and the lists INPUTS and OUTPUTS with the name, unit and range of each column. Names are data in the file of
    arrays, never code, and no array is pickled. The same export gives the same bytes.

    Raises:
        NotExportableError: if no module may bear the name.
    """
    if keyword.iskeyword(export.name) or export.name in (*sys.stdlib_module_names, "numpy"):
        owner = "NumPy, which the module imports," if export.name == "numpy" else "Python itself"
        raise NotExportableError(f"{owner} uses the name {export.name}, which no module of yours should bear: choose another")
    writer = _Writer(export.program)
    parts = [BEGINNING.replace("STD", ABOUT_STD if "std" in export.program.results else "").replace("NAME", export.name)]
    results = [
        ONE_RESULT.replace("RESULT", result)
        .replace("BLOCK", str(writer.samples_of_a_block(result)))
        .replace("STEPS", "\n".join(f"    {line}" for line in writer.lines(result)))
        .replace("PUBLIC", "predict" if result == "y" else result)
        .replace("WHAT", "outputs" if result == "y" else "standard deviation of the outputs")
        for result in export.program.results
    ]
    parts += [f"{name} = {text}\n" for name, text in sorted(writer.globals.items())]
    parts += [TEXT_OF_FUNCTION[name] for name in FUNCTIONS if name in writer.functions]
    description = {
        "inputs": [column.to_json() for column in export.inputs],
        "outputs": [column.to_json() for column in export.outputs],
        "about": dict(export.about),
    }
    arrays = {
        "description": np.frombuffer(json.dumps(description).encode("ascii"), dtype=np.uint8),
        "lower": np.array([column.lower for column in export.inputs]),
        "upper": np.array([column.upper for column in export.inputs]),
        **writer.arrays,
    }
    file = folder / f"{export.name}.npz"
    _save(file, arrays)
    text = "".join([*parts, *results, END]).replace("DIGEST", hashlib.sha256(file.read_bytes()).hexdigest())
    (folder / f"{export.name}.py").write_text(text, encoding="ascii", newline="\n")


def _save(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an uncompressed .npz file whose bytes depend on the arrays alone: no date, and the same on every machine."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            small_end_first = array.astype(array.dtype.newbyteorder("<"), order="C")
            np.lib.format.write_array(buffer, small_end_first, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")  # its date is 1980-01-01
            entry.create_system = 3
            archive.writestr(entry, buffer.getvalue())


class _Writer:
    """Writes each step as a line of NumPy, where a vector is an array (..., row), and a matrix an array (..., row, column).

    Attributes:
        arrays: the arrays of the file, by name.
        globals: what the module's constants are, by name.
        functions: names of the functions that the lines call.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.arrays: dict[str, np.ndarray] = {}
        self.globals: dict[str, str] = {}
        self.functions: set[str] = set()
        self._names: dict[tuple[Any, ...], str] = {}

    def _constant(self, prefix: str, number: int, array: np.ndarray, *, double: bool, text: str = "{}") -> str:
        """Return the name of a constant; equal ones of several steps are stored once."""
        kind: Any = np.int32 if array.dtype.kind in "iu" else np.float64 if double else np.float32
        stored = np.array(array, dtype=kind, order="C")
        key = (text, stored.dtype.str, stored.shape, stored.tobytes())
        if key not in self._names:
            self._names[key] = name = f"{prefix}{number}"
            self.arrays[name] = stored
            self.globals[name] = text.format(f'_ARRAYS["{name}"]')
        return self._names[key]

    def _call(self, name: str) -> str:
        self.functions |= {name, "_over_normal"} if "gelu" in name else {name}
        return name

    def lines(self, result: str) -> list[str]:
        """Return the lines of a function that evaluates a result; they read x and end with `return`."""
        value = self.program.results[result]
        steps, lines = self.program.used(result), []
        for number, dying in zip(steps, self._last_uses(steps, value), strict=True):
            lines += self._step(number, self.program.steps[number])
            if large := [one for one in dying if one.size >= LARGE]:
                lines.append(f"del {', '.join(map(_name, large))}")
        flat = self._flat(value)
        return [*lines, f"return {flat if value.double else f'{flat}.astype(np.float64)'}"]

    def _last_uses(self, steps: list[int], result: Value) -> list[list[Value]]:
        """Return, for each step, the values that no later step reads; the input and the result are not among them."""
        seen, found = {-1, result.number}, []
        for number in reversed(steps):
            dying = {value.number: value for value in reads(self.program.steps[number]) if value.number not in seen}
            seen |= dying.keys()
            found.append([dying[one] for one in sorted(dying)])
        return found[::-1]

    def samples_of_a_block(self, result: str) -> int:
        """Return a number of samples of a block that is fast and whose values take `MEMORY` bytes at most, but at least 1."""
        steps = self.program.used(result)
        held, largest = 0, 1
        for number, dying in zip(steps, self._last_uses(steps, self.program.results[result]), strict=True):
            step, value = self.program.steps[number], self.program.values[number]
            held += value.size * _width(value)
            match step:
                case Distances():
                    spare = step.points.size
                case Apply():
                    spare = 3 * value.size
                case _:
                    spare = sum(one.size for one in reads(step))
            largest = max(largest, held + spare * _width(value))
            held -= sum(one.size * _width(one) for one in dying if one.size >= LARGE)
        efficient = 1 if any(self.program.values[number].columns > 1 for number in steps) else EFFICIENT
        return max(1, CACHE // largest, min(efficient, MEMORY // largest))

    def _flat(self, value: Value) -> str:
        """Return an expression for the numbers of a value as a vector."""
        name = _name(value)
        return name if value.columns == 1 else f"{name}.reshape({name}.shape[:-2] + ({value.size},))"

    def _step(self, number: int, step: Step) -> list[str]:
        result = self.program.values[number]
        target, double, vector = f"v{number}", result.double, result.columns == 1

        def column(array: np.ndarray, prefix: str) -> str:
            # NumPy multiplies by an array without axes faster than by an array of one number or a number of Python.
            shaped = array.reshape(()) if array.size == 1 else array[..., 0] if vector else array
            return self._constant(prefix, number, shaped, double=double)

        match step:
            case Linear():
                if vector:
                    weight = self._constant("W", number, step.weight, double=double, text="{}.T")
                    lines = [f"{target} = {_name(step.value)}.dot({weight})"]
                else:
                    weight = self._constant("W", number, step.weight, double=double)
                    lines = [f"{target} = np.matmul({weight}, {_name(step.value)})"]
                return lines if step.bias is None else [*lines, f"{target} += {column(step.bias[:, None], 'b')}"]
            case Gather():
                return [f"{target} = {self._gathered(number, step)}"]
            case Apply(function="relu"):
                return [f"{target} = np.maximum({_name(step.value)}, {column(np.zeros((1, 1)), 'zero')})"]  # NaN stays NaN
            case Apply():
                direct = step.function in ("tanh", "exp", "sqrt", "square")
                name = f"np.{step.function}" if direct else self._call(f"_{step.function.replace(' ', '_')}")
                return [f"{target} = {name}({_name(step.value)})"]
            case Combine():
                sign = "+" if step.operation == "add" else "*"
                return [f"{target} = {_name(step.left)} {sign} {_name(step.right)}"]
            case Scale():
                text = _name(step.value)
                if (step.factor != 1).any():
                    text += f" * {column(step.factor, 'f')}"
                if (step.offset != 0).any():
                    text += f" + {column(step.offset, 'o')}"
                return [f"{target} = {text}"]
            case Join():
                return [f"{target} = np.concatenate(({', '.join(map(_name, step.values))}), {-1 if vector else -2})"]
            case Distances():
                points = self._constant("p", number, step.points, double=double)
                return [
                    f"{target} = {_name(step.value)}[..., None, :] - {points}",
                    f'{target} = np.einsum("...nk,...nk->...n", {target}, {target})',
                ]
            case Product():
                left, right = (
                    f"{_name(one)}[..., None]" if one.columns == 1 else _name(one) for one in (step.left, step.right)
                )
                product = f"np.matmul({left}, {right}.swapaxes(-1, -2))"
                return [f"{target} = {f'{product}[..., 0]' if vector else product}"]
            case Clamp():
                lower, upper = (
                    self._constant(prefix, number, ends[:, 0] if vector else ends, double=double)
                    for prefix, ends in (("l", step.lower), ("u", step.upper))
                )
                return [f"{target} = {self._call('_clamp')}({_name(step.value)}, {lower}, {upper})"]
            case Cast():
                return [f"{target} = {_name(step.value)}.astype(np.float{64 if double else 32})"]

    def _gathered(self, number: int, step: Gather) -> str:
        value, index = step.value, step.index
        flat, (rows, columns) = self._flat(value), index.shape
        if index.size == value.size and np.array_equal(index.ravel(), np.arange(value.size)):
            name, axes = _name(value), 1 if value.columns == 1 else 2
            return flat if columns == 1 else f"{name}.reshape({name}.shape[:-{axes}] + {index.shape})"
        first = int(index[0, 0])
        if columns == 1 and first >= 0 and np.array_equal(index[:, 0], np.arange(first, first + rows)):
            return f"{flat}[..., {first}:{first + rows}]"
        if (index < 0).all():
            shape = (rows,) if columns == 1 else index.shape
            return f"np.zeros(x.shape[:-1] + {shape}, np.float{64 if value.double else 32})"
        if (index < 0).any():
            flat = f"{self._call('_with_zero')}({flat})"  # the number -1 is then that of the last entry
        own = self._constant("i", number, index[:, 0] if columns == 1 else index, double=False, text="{}.astype(np.intp)")
        return f"{flat}.take({own}, -1)"


def _name(value: Value) -> str:
    return "x" if value.number == -1 else f"v{value.number}"


def _width(value: Value) -> int:
    return 8 if value.double else 4
