"""A prediction as a program: a list of steps on matrices, one matrix per value and sample, with constants in NumPy arrays.

A program is what all exports are written from. Its steps are few, so that each format needs a rule for few of them, and simple,
so that derivatives of a program are programs again (see `derivatives`). Every value is a matrix (row, column) for each sample;
a vector has one column, and a field has a row for each channel and a column for each grid point. Values are in single or in
double precision, whatever the precision of the inputs: a step computes in the precision of its result.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from pac_surrogate.utilities.display import Shown

ACTIVATIONS = ("gelu", "relu", "silu", "tanh")
FUNCTIONS = (*ACTIVATIONS, *(f"slope of {name}" for name in ACTIVATIONS), "exp", "log", "sqrt", "square")


@dataclass(frozen=True)
class Value:
    """A matrix (row, column) for each sample.

    Attributes:
        number: number of the step that makes it; -1 is the input of the program.
        rows: number of rows.
        columns: number of columns.
        double: whether it is in double precision.
    """

    number: int
    rows: int
    columns: int = 1
    double: bool = True

    @property
    def size(self) -> int:
        """Numbers for each sample."""
        return self.rows * self.columns


@dataclass(frozen=True, eq=False, repr=False)
class Linear(Shown):
    """weight @ value + bias.

    Attributes:
        value: (k, s).
        weight: (o, k).
        bias: (o,), or None for 0.
        names: names of the network's weight and bias that these arrays are, or None; see `derivatives`.
    """

    value: Value
    weight: Float[np.ndarray, "o k"]
    bias: Float[np.ndarray, " o"] | None = None
    names: tuple[str, str] | None = None


@dataclass(frozen=True)
class Window:
    """The convolution that begins with a gathering of neighbours: one row for each channel and each place in the kernel.

    Attributes:
        grid: lengths of the grid's axes.
        kernel: odd width of the kernel on each axis.
        padding: periodic | zero | replicate.
    """

    grid: tuple[int, ...]
    kernel: int
    padding: str


@dataclass(frozen=True, eq=False, repr=False)
class Gather(Shown):
    """Numbers of a value in another order; any may occur several times or not at all.

    Attributes:
        value: any matrix, whose entry (i, j) has the number i * columns + j.
        index: for each entry of the result, the number of an entry of the value, or -1 for 0 (row, column).
        window: set if a convolution begins here. Where only `Linear` steps read the result, a format may compute these as
            convolutions.
    """

    value: Value
    index: Int[np.ndarray, "row column"]
    window: Window | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Apply(Shown):
    """A function of each entry.

    relu, tanh, exp, sqrt and square are as usual, gelu(z) = z (1 + erf(z / sqrt(2))) / 2, silu(z) = z / (1 + exp(-z)), and
    `slope of f` is the derivative of f, for relu 0 at z = 0. log(z) is NaN for z <= 0, so that no later step hides it.
    """

    value: Value
    function: str


@dataclass(frozen=True, eq=False, repr=False)
class Combine(Shown):
    """left + right ("add") or left * right ("multiply"), entry by entry; equal shapes."""

    left: Value
    right: Value
    operation: str


@dataclass(frozen=True, eq=False, repr=False)
class Scale(Shown):
    """value * factor + offset, entry by entry.

    Attributes:
        value: (row, column).
        factor: (row or 1, column or 1).
        offset: likewise.
    """

    value: Value
    factor: Float[np.ndarray, "_row _column"]
    offset: Float[np.ndarray, "_other_row _other_column"]


@dataclass(frozen=True, eq=False, repr=False)
class Join(Shown):
    """The rows of several values, one value after the other; equal columns."""

    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Distances(Shown):
    """Squares of distances to points, sum_k (value_k - points_ik)^2, computed from the differences.

    Attributes:
        value: (k, 1).
        points: (n, k); the result is (n, 1).
    """

    value: Value
    points: Float[np.ndarray, "n k"]


@dataclass(frozen=True, eq=False, repr=False)
class Product(Shown):
    """left @ right', for left (o, s) and right (k, s)."""

    left: Value
    right: Value


@dataclass(frozen=True, eq=False, repr=False)
class Clamp(Shown):
    """min(max(value, lower), upper) where the value is finite; infinities and NaN stay.

    Attributes:
        value: (row, column).
        lower: (row, 1), -inf where there is no bound.
        upper: (row, 1), +inf likewise.
    """

    value: Value
    lower: Float[np.ndarray, "row 1"]
    upper: Float[np.ndarray, "row 1"]


@dataclass(frozen=True, eq=False, repr=False)
class Cast(Shown):
    """The same numbers in another precision."""

    value: Value


Step: TypeAlias = Linear | Gather | Apply | Combine | Scale | Join | Distances | Product | Clamp | Cast


class Program:
    """A list of steps, to which each method adds one and returns its value.

    A step that equals an earlier one is not added again: networks that several parts of a prediction share are evaluated once.

    Attributes:
        x: the input, a column of physical numbers in double precision.
        steps: the steps, each of which reads the input and values of earlier steps.
        values: the value of each step.
        results: the values that the program returns, by name.
    """

    def __init__(self, inputs: int) -> None:
        self.x = Value(-1, inputs)
        self.steps: list[Step] = []
        self.values: list[Value] = []
        self.results: dict[str, Value] = {}
        self._known: dict[tuple[object, ...], Value] = {}

    def _add(self, step: Step, rows: int, columns: int, double: bool) -> Value:
        key = (type(step), rows, columns, double, *map(_content, vars(step).values()))
        if key not in self._known:
            self._known[key] = self._new(step, rows, columns, double)
        return self._known[key]

    def _new(self, step: Step, rows: int, columns: int, double: bool) -> Value:
        value = Value(len(self.steps), rows, columns, double)
        self.steps.append(step)
        self.values.append(value)
        return value

    def linear(
        self,
        value: Value,
        weight: Float[np.ndarray, "o k"],
        bias: Float[np.ndarray, " o"] | None = None,
        names: tuple[str, str] | None = None,
    ) -> Value:
        """Add a `Linear` step."""
        assert weight.shape[1] == value.rows, (weight.shape, value)
        return self._add(Linear(value, weight, bias, names), len(weight), value.columns, value.double)

    def gather(self, value: Value, index: Int[np.ndarray, "row column"], window: Window | None = None) -> Value:
        """Add a `Gather` step; none if it would return the value itself."""
        if index.shape == (value.rows, value.columns) and np.array_equal(index.ravel(), np.arange(value.size)):
            return value
        assert index.size == 0 or -1 <= index.min() <= index.max() < value.size
        rows, columns = index.shape
        return self._add(Gather(value, index, window), rows, columns, value.double)

    def reshape(self, value: Value, rows: int, columns: int = 1) -> Value:
        """Read the entries of a value row by row as a matrix of another shape."""
        return self.gather(value, np.arange(value.size).reshape(rows, columns))

    def constant(self, array: Float[np.ndarray, "row column"], *, like: Value) -> Value:
        """Return a constant in the precision of another value."""
        nothing = self.gather(like, np.full(array.shape, -1))
        return self.scale(nothing, 0.0, array)

    def transpose(self, value: Value) -> Value:
        """Exchange rows and columns."""
        return self.gather(value, np.arange(value.size).reshape(value.rows, value.columns).T)

    def sum_of_rows(self, value: Value, weights: Float[np.ndarray, " row"] | None = None) -> Value:
        """Return the sum over the rows, (1, column), or the weighted sum."""
        return self.linear(value, np.ones((1, value.rows)) if weights is None else weights.reshape(1, -1))

    def repeat(self, value: Value, columns: int) -> Value:
        """Repeat all columns of a value, one block after the other, `columns` times."""
        index = np.arange(value.size).reshape(value.rows, value.columns)
        return self.gather(value, np.tile(index, (1, columns)))

    def apply(self, function: str, value: Value) -> Value:
        """Add an `Apply` step."""
        assert function in FUNCTIONS, function
        return self._add(Apply(value, function), value.rows, value.columns, value.double)

    def combine(self, operation: str, left: Value, right: Value) -> Value:
        """Add a `Combine` step."""
        assert (left.rows, left.columns, left.double) == (right.rows, right.columns, right.double), (left, right)
        return self._add(Combine(left, right, operation), left.rows, left.columns, left.double)

    def add(self, values: Sequence[Value]) -> Value:
        """Return the sum of one or more values."""
        total, *rest = values
        for value in rest:
            total = self.combine("add", total, value)
        return total

    def multiply(self, left: Value, right: Value) -> Value:
        """Return the product of two values, entry by entry."""
        return self.combine("multiply", left, right)

    def scale(self, value: Value, factor: np.ndarray | float, offset: np.ndarray | float = 0.0) -> Value:
        """Add a `Scale` step; vectors are columns, with an entry for each row. None is added if nothing would change."""
        arrays = [np.asarray(one, dtype=np.float64) for one in (factor, offset)]
        factor, offset = (one.reshape(-1, 1) if one.ndim < 2 else one for one in arrays)
        if (factor == 1).all() and (offset == 0).all():
            return value
        return self._add(Scale(value, factor, offset), value.rows, value.columns, value.double)

    def join(self, values: Sequence[Value]) -> Value:
        """Add a `Join` step; none for a single value."""
        if len(values) == 1:
            return values[0]
        assert len({(value.columns, value.double) for value in values}) == 1, values
        return self._add(Join(tuple(values)), sum(v.rows for v in values), values[0].columns, values[0].double)

    def distances(self, value: Value, points: Float[np.ndarray, "n k"]) -> Value:
        """Add a `Distances` step."""
        assert (value.rows, value.columns) == (points.shape[1], 1), (value, points.shape)
        return self._add(Distances(value, points), len(points), 1, value.double)

    def product(self, left: Value, right: Value) -> Value:
        """Add a `Product` step."""
        assert (left.columns, left.double) == (right.columns, right.double), (left, right)
        return self._add(Product(left, right), left.rows, right.rows, left.double)

    def clamp(self, value: Value, lower: np.ndarray, upper: np.ndarray) -> Value:
        """Add a `Clamp` step; none if there are no bounds."""
        if not (np.isfinite(lower).any() or np.isfinite(upper).any()):
            return value
        return self._add(Clamp(value, lower.reshape(-1, 1), upper.reshape(-1, 1)), value.rows, value.columns, value.double)

    def not_negative(self, value: Value) -> Value:
        """Replace numbers below 0, which only rounding makes, by 0."""
        return self.clamp(value, np.zeros(value.rows), np.full(value.rows, np.inf))

    def cast(self, value: Value, *, double: bool) -> Value:
        """Add a `Cast` step; none if the value has this precision."""
        return value if value.double == double else self._add(Cast(value), value.rows, value.columns, double)

    def used(self, *names: str) -> list[int]:
        """Return the numbers of the steps on which the results depend, all or those of some names, in order."""
        return self._behind(*(self.results[name] for name in names or self.results))

    def between(self, first: Value, last: Value) -> list[int]:
        """Return the numbers of the steps that make one value from another, in order."""
        before = {*self._behind(first), first.number}
        return [number for number in self._behind(last) if number not in before]

    def _behind(self, *values: Value) -> list[int]:
        """Return the numbers of the steps that make some values, in order."""
        needed = {value.number for value in values}
        for number in reversed(range(max(needed, default=-1) + 1)):
            if number in needed:
                needed |= {value.number for value in reads(self.steps[number])}
        return sorted(needed - {-1})


def _content(value: object) -> object:
    """Return what tells whether two values of a step are equal."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).digest()
    return value


def reads(step: Step) -> tuple[Value, ...]:
    """Return the values that a step reads."""
    match step:
        case Combine() | Product():
            return step.left, step.right
        case Join():
            return step.values
        case _:
            return (step.value,)
