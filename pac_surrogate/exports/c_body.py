"""The body of a C function that computes a program, with the tables of constants and the functions that it needs."""

from dataclasses import dataclass, field

import numpy as np

from pac_surrogate.exports.c_functions import function
from pac_surrogate.exports.c_kernels import PANELS, WIDEST, kernel
from pac_surrogate.exports.c_memory import Memory
from pac_surrogate.exports.c_text import table_of
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
    Value,
)
from pac_surrogate.utilities.display import Shown

WITH_CONSTANTS = ("linear", "distances", "columns", "convolve", "scale", "clamp")


@dataclass(eq=False, repr=False)
class Parts(Shown):
    """Tables of constants and functions that several bodies share, by name, in the order of their definitions.

    Attributes:
        prefix: the beginning of all names.
    """

    prefix: str
    tables: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    _known: dict[tuple[str, str, bytes], str] = field(default_factory=dict)

    def table(self, role: str, number: int, array: np.ndarray, *, double: bool) -> str:
        """Return the name of a table of a step's constants; equal tables of the same role are written once."""
        kept = np.asarray(array, dtype=array.dtype if array.dtype.kind in "iu" else np.float64 if double else np.float32)
        same = (role, kept.dtype.str, kept.tobytes())
        if same not in self._known:
            self._known[same] = f"{self.prefix}_{role}_{number}"
            self.tables[self._known[same]] = table_of(self._known[same], array, double=double)
        return self._known[same]

    def call(self, needed: list[tuple[str, str]], *arguments: object) -> str:
        """Add functions to those that are written, and return a call of the last one."""
        self.functions = {**self.functions, **{name: text for name, text in needed if name not in self.functions}}
        return f"{self.prefix}_{needed[-1][0]}({', '.join(map(str, arguments))});"


def body_of(program: Program, parts: Parts, *, double: bool) -> tuple[list[str], dict[str, int]]:
    """Return the statements of a function, and how many floats ("f") and doubles ("d") it needs for intermediate values.

    The function has the pointers `x` and one for each result, of floats or of doubles, and the arrays f and d.

    Args:
        program: the program.
        parts: tables and functions, to which those that are needed are added.
        double: whether the function is in double precision throughout.
    """
    body = _Body(program, parts, double=double)
    return body.lines, body.memory.sizes


class _Body:
    def __init__(self, program: Program, parts: Parts, *, double: bool) -> None:
        self.program, self.parts, self.double = program, parts, double
        self.memory, self.lines = Memory(program, double=double), list[str]()
        if not double:
            self.memory.place(program.x)
            self._copy(program.x, "x")
        for position, number in enumerate(self.memory.order):
            if not self.memory.is_view(number):
                self._step(position, number, program.values[number])
            self.memory.release(position)
        for name, value in program.results.items():
            self._loop(value.size, f"{name}[i] = {self._cast()}({self.memory.pointer(value)})[i];")

    def _cast(self) -> str:
        return "" if self.double else "(float)"

    def _loop(self, size: int, statement: str) -> None:
        self.lines += [f"for (i = 0; i < {size}; i++)", f"    {statement}"]

    def _copy(self, value: Value, source: str) -> None:
        """Copy numbers of any precision to a value."""
        cast = "(float)" if self.memory.array(value) == "f" else ""
        self._loop(value.size, f"({self.memory.pointer(value)})[i] = {cast}({source})[i];")

    def _suffix(self, value: Value) -> str:
        """Return the types of a step, see `c_kernels.TYPES`; constants are floats if the step is in single precision."""
        return ("d" if value.double else "m") if self.double else ("d" if value.double else "f")

    def _kernel(self, name: str, value: Value, *arguments: object, width: int = 0) -> None:
        suffix = self._suffix(value)
        suffix = suffix if name in WITH_CONSTANTS or suffix == "f" else "d"
        self.lines.append(self.parts.call(kernel(self.parts.prefix, name, suffix, width), *arguments))

    def _table(self, role: str, value: Value, array: np.ndarray) -> str:
        return self.parts.table(role, value.number, array, double=value.double)

    def _in_place(self, position: int, value: Value, old: Value, *, keep: bool = False) -> str:
        """Return the address of a value with the numbers of another one, which a step may then change."""
        if keep or not self.memory.take_over(value, old, position):
            source = self.memory.pointer(old)
            self.memory.place(value)
            self._copy(value, source)
        return self.memory.pointer(value)

    def _step(self, position: int, number: int, value: Value) -> None:
        step, pointer = self.program.steps[number], self.memory.pointer
        match step:
            case Linear():
                self._linear(step, value)
            case Gather():
                self._gather(step, value)
            case Apply():
                address = self._in_place(position, value, step.value)
                suffix = "f" if self._suffix(value) == "f" else "d"
                self.lines.append(self.parts.call(function(self.parts.prefix, step.function, suffix), value.size, address))
            case Combine():
                same = self.memory.same(step.left, step.right)
                taken = not same and self.memory.take_over(value, step.right, position)
                old, other = (step.right, step.left) if taken else (step.left, step.right)
                source = pointer(other)
                address = pointer(value) if taken else self._in_place(position, value, old, keep=same)
                self._kernel(step.operation, value, value.size, address, source)
            case Scale():
                self._rows("scale", position, value, step.value, factor=step.factor, offset=step.offset)
            case Clamp():
                self._rows("clamp", position, value, step.value, lower=step.lower, upper=step.upper)
            case Join():
                self.memory.place(value)
                array, first = self.memory.pointer(value).split(" + ")
                for one in step.values:
                    self._loop(one.size, f"({array} + {first})[i] = ({pointer(one)})[i];")
                    first = str(int(first) + one.size)
            case Distances():
                table = self._table("points", value, panelled(step.points))
                zero = self._table("zero", value, np.zeros(1))
                address, sizes = self.memory.place(value), (step.value.rows, value.rows)
                self._kernel("distances", value, *sizes, pointer(step.value), table, zero, address)
            case Product():
                shapes = (step.left.rows, step.right.rows, step.left.columns)
                self._kernel("product", value, *shapes, pointer(step.left), pointer(step.right), self.memory.place(value))
            case Cast():
                source = pointer(step.value)
                self.memory.place(value)
                self._copy(value, source)

    def _rows(self, name: str, position: int, value: Value, old: Value, **arrays: np.ndarray) -> None:
        """Change a value in place with two constants for each row, or for each entry if they differ between columns."""
        each = any(array.shape[1] > 1 for array in arrays.values()) or value.columns == 1
        rows, columns = (value.size, 1) if each else (value.rows, value.columns)
        shape = (value.rows, value.columns) if each else (value.rows, 1)
        tables = [self._table(role, value, np.broadcast_to(array, shape)) for role, array in arrays.items()]
        self._kernel(name, value, rows, columns, self._in_place(position, value, old), *tables)

    def _linear(self, step: Linear, value: Value) -> None:
        inputs, outputs, memory = step.weight.shape[1], len(step.weight), self.memory
        bias = self._table("bias", value, np.zeros(outputs) if step.bias is None else step.bias)
        if value.columns == 1 and step.value.number not in memory.convolutions:
            weight = self._table("weight", value, panelled(step.weight))
            self._kernel("linear", value, inputs, outputs, memory.pointer(step.value), weight, bias, memory.place(value))
            return
        weight = self._table("weight", value, step.weight)
        width = next((size for size in reversed(PANELS) if size >= value.columns), PANELS[0])
        width = min(width, WIDEST[self._suffix(value)])
        gather = self.program.steps[step.value.number] if step.value.number in memory.convolutions else None
        sizes: tuple[object, ...] = (inputs, outputs, value.columns)
        source, name = step.value, "columns"
        if isinstance(gather, Gather) and (window := gather.window) is not None:
            source, name = gather.value, "convolve"
            high, height = (window.kernel, window.grid[0]) if len(window.grid) == 2 else (1, 1)
            channels = source.size // int(np.prod(window.grid))
            sizes = (channels, high, window.kernel, f"'{window.padding[0]}'", height, window.grid[-1], outputs)
        address = memory.place(value)
        tile = memory.temporary(memory.array(value), inputs * width)
        self._kernel(name, value, *sizes, memory.pointer(source), weight, bias, tile, address, width=width)

    def _gather(self, step: Gather, value: Value) -> None:
        source, address = self.memory.pointer(step.value), self.memory.place(value)
        if (step.index < 0).all():
            self._loop(value.size, f"({address})[i] = 0;")
            return
        if (pattern := strides_of(step.index.ravel())) is not None:
            self._nested(source, address, *pattern)
            return
        rows, columns = step.index.shape
        if columns > 2 and (step.index >= 0).all() and (np.diff(step.index, 2, axis=1) == 0).all():
            first = self._table("first", value, step.index[:, 0])
            stride = self._table("stride", value, step.index[:, 1] - step.index[:, 0])
            self._kernel("lines", value, rows, columns, first, stride, source, address)
            return
        self._kernel("gather", value, value.size, self._table("index", value, step.index), source, address)

    def _nested(self, source: str, address: str, start: int, loops: list[tuple[int, int]]) -> None:
        """Copy numbers whose places are a start plus multiples of the variables of nested loops."""
        place, terms = "0", str(start)
        lines = []
        for depth, (length, stride) in enumerate(loops):
            one = f"i{depth}"
            lines.append(f"{'    ' * (depth + 1)}for ({one} = 0; {one} < {length}; {one}++)")
            place = one if depth == 0 else f"({place}) * {length} + {one}"
            terms += f" + {one} * {stride}"
        names = ", ".join(f"i{depth}" for depth in range(len(loops)))
        body = f"{'    ' * (len(loops) + 1)}({address})[{place}] = ({source})[{terms}];"
        declared = [f"    int {names};"] if loops else []
        self.lines += ["{", *declared, *lines, body, "}"]


def panelled(weight: np.ndarray) -> np.ndarray:
    """Return weights in the order in which panels read them; see `c_kernels`."""
    parts, first = [], 0
    while len(weight) - first >= PANELS[-1]:
        size = next(size for size in PANELS if size <= len(weight) - first)
        parts.append(weight[first : first + size].T.ravel())
        first += size
    return np.concatenate([*parts, weight[first:].ravel()])


def strides_of(index: np.ndarray, deepest: int = 6) -> tuple[int, list[tuple[int, int]]] | None:
    """Return the start, and (length, stride) of nested loops, outermost first, that give these numbers in order, or None."""
    loops: list[tuple[int, int]] = []
    if len(index) == 0 or (index < 0).any():
        return None
    while len(index) > 1:
        steps = np.diff(index)
        changes = np.flatnonzero(steps != steps[0])
        length = int(changes[0]) + 1 if len(changes) else len(index)
        if len(index) % length or len(loops) == deepest:
            return None
        blocks = index.reshape(-1, length)
        if (np.diff(blocks, axis=1) != steps[0]).any():
            return None
        loops.insert(0, (length, int(steps[0])))
        index = blocks[:, 0]
    return int(index[0]), loops
