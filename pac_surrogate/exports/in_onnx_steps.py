"""The steps of a program as nodes of an ONNX graph."""

import math
from typing import Any

import numpy as np

from pac_surrogate.exports.networks import patches_of
from pac_surrogate.exports.normal import DENOMINATOR, LARGEST, NUMERATOR
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
    Window,
    reads,
)

_BATCH = 0  # in the shape of a Reshape: the length of the value's first axis


class Graph:
    """Nodes and constants. A vector is a tensor (batch, row), a matrix a tensor (batch, row, column).

    Only operators that onnxruntime's CPU kernels compute in double precision are used there: among those of the steps, Erf and
    Conv are not.

    Args:
        program: the program; all its steps that its results need are written at once.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        order = program.used()
        self._convolutions = {number for number in order if self._is_convolution(number, order)}
        self._names = {-1: self._cast("x", double=True)}
        for number in order:
            if number not in self._convolutions:
                self._names[number] = self._step(program.steps[number], program.values[number])

    def result(self, name: str) -> None:
        """Add the output of this name, in single precision."""
        flat = self._flat(self.program.results[name])
        self._node("Cast", flat, output=name, to=_FLOAT)

    def _node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        import onnx

        name = output or f"v{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def _constant(self, array: Any) -> str:
        """Return the name of a constant array; equal ones are stored once."""
        import onnx

        array = np.array(array, order="C")
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = f"c{len(self._constants)}"
            self.initializers.append(onnx.numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def _number(self, value: float, *, double: bool) -> str:
        return self._constant(np.array(value, dtype=_type(double)))

    def _cast(self, name: str, *, double: bool) -> str:
        return self._node("Cast", name, to=_DOUBLE if double else _FLOAT)

    def _reshape(self, name: str, *shape: int) -> str:
        return self._node("Reshape", name, self._constant(np.array((_BATCH, *shape), dtype=np.int64)))

    def _flat(self, value: Value) -> str:
        """Return the numbers of a value as a vector."""
        name = self._names[value.number]
        return name if value.columns == 1 else self._reshape(name, value.size)

    def _matrix(self, value: Value) -> str:
        """Return a value as a matrix even if it is a vector."""
        name = self._names[value.number]
        return self._reshape(name, value.rows, 1) if value.columns == 1 else name

    def _transposed(self, value: Value) -> str:
        """Return the transpose of a value, a matrix."""
        if 1 in (value.rows, value.columns):
            return self._reshape(self._names[value.number], value.columns, value.rows)
        if value.double:  # onnxruntime 1.18 joins Transpose and MatMul to an operator without a kernel in double precision
            return self._gathered(value, np.arange(value.size).reshape(value.rows, value.columns).T)
        return self._node("Transpose", self._names[value.number], perm=[0, 2, 1])

    def _step(self, step: Step, result: Value) -> str:
        double, vector = result.double, result.columns == 1

        def constant(array: np.ndarray) -> str:
            return self._constant((array[..., 0] if vector else array).astype(_type(double)))

        def own(value: Value) -> str:
            return self._names[value.number]

        match step:
            case Linear():
                return self._linear(step, result)
            case Gather():
                return self._gather(step)
            case Apply():
                return self._apply(step.function, own(step.value), double)
            case Combine():
                return self._node("Add" if step.operation == "add" else "Mul", own(step.left), own(step.right))
            case Scale():
                name = own(step.value)
                if (step.factor != 1).any():
                    name = self._node("Mul", name, constant(step.factor))
                return self._node("Add", name, constant(step.offset)) if (step.offset != 0).any() else name
            case Join():
                return self._node("Concat", *map(own, step.values), axis=1)
            case Distances():
                # The points lie along the last axis, so that onnxruntime adds whole rows, and one operator squares and adds, so
                # that (batch, k, n) is held once. A node for each of the k inputs holds no less, as its arena frees late.
                points = self._constant(step.points.T.astype(_type(double)))
                difference = self._node("Sub", self._reshape(own(step.value), step.value.rows, 1), points)
                return self._node("ReduceSumSquare", difference, axes=[1], keepdims=0)
            case Product():
                product = self._node("MatMul", self._matrix(step.left), self._transposed(step.right))
                return self._reshape(product, result.rows) if vector else product
            case Clamp():
                return self._clamp(step, own(step.value), vector)
            case Cast():
                return self._cast(own(step.value), double=double)

    def _linear(self, step: Linear, result: Value) -> str:
        kind = _type(result.double)
        bias = None if step.bias is None else step.bias.astype(kind)
        if step.value.number in self._convolutions:
            return self._convolution(step, bias, result)
        weight, value = self._constant(step.weight.astype(kind)), self._names[step.value.number]
        if result.columns == 1:
            return self._node("Gemm", value, weight, *([] if bias is None else [self._constant(bias)]), transB=1)
        product = self._node("MatMul", weight, value)
        return product if bias is None else self._node("Add", product, self._constant(bias[:, None]))

    def _is_convolution(self, number: int, order: list[int]) -> bool:
        """Return whether a step is the gathering of a convolution in single precision, whose result nothing else reads."""
        step = self.program.steps[number]
        if not isinstance(step, Gather) or step.window is None or step.value.double:
            return False
        readers = [
            self.program.steps[one] for one in order if number in {value.number for value in reads(self.program.steps[one])}
        ]
        return (
            all(isinstance(one, Linear) for one in readers)
            and step.value.columns == math.prod(step.window.grid)
            and np.array_equal(step.index, patches_of(step.window, step.value.rows))
        )

    def _convolution(self, step: Linear, bias: np.ndarray | None, result: Value) -> str:
        gather = self.program.steps[step.value.number]
        assert isinstance(gather, Gather)
        assert gather.window is not None
        window, channels = gather.window, gather.value.rows
        fields = self._reshape(self._names[gather.value.number], channels, *window.grid)
        weight = step.weight.reshape(len(step.weight), channels, *[window.kernel] * len(window.grid)).astype(np.float32)
        arrays = [self._constant(one) for one in (weight, bias) if one is not None]
        padding = window.kernel // 2 if window.padding == "zero" else 0
        pads = [padding] * (2 * len(window.grid))
        convolved = self._node("Conv", self._padded(fields, window), *arrays, kernel_shape=weight.shape[2:], pads=pads)
        return self._reshape(convolved, result.rows, result.columns)

    def _padded(self, name: str, window: Window) -> str:
        """Continue fields (batch, channel, *grid) periodically or with their border's values; Conv itself pads with 0."""
        if window.padding == "zero":
            return name
        mode: Any = {"periodic": "wrap", "replicate": "edge"}[window.padding]
        for axis, length in enumerate(window.grid, start=2):
            name = self._node(
                "Gather", name, self._constant(np.pad(np.arange(length), window.kernel // 2, mode=mode)), axis=axis
            )
        return name

    def _gather(self, step: Gather) -> str:
        value, (rows, columns) = step.value, step.index.shape
        if (step.index < 0).all():
            return self._zeros((rows,) if columns == 1 else (rows, columns), double=value.double)
        return self._gathered(value, step.index)

    def _gathered(self, value: Value, index: np.ndarray) -> str:
        flat, (rows, columns) = self._flat(value), index.shape
        if index.size == value.size and np.array_equal(index.ravel(), np.arange(value.size)):
            return flat if columns == 1 else self._reshape(flat, rows, columns)
        if (index < 0).any():
            flat = self._node("Concat", flat, self._zeros((1,), double=value.double), axis=1)
            index = np.where(index < 0, value.size, index)
        shape = (rows,) if columns == 1 else (rows, columns)
        return self._node("Gather", flat, self._constant(index.reshape(shape).astype(np.int64)), axis=1)

    def _zeros(self, shape: tuple[int, ...], *, double: bool) -> str:
        import onnx

        batch = self._node("Gather", self._node("Shape", "x"), self._constant(np.array([0])), axis=0)
        whole = self._node("Concat", batch, self._constant(np.array(shape)), axis=0)
        return self._node(
            "ConstantOfShape", whole, value=onnx.numpy_helper.from_array(np.zeros(1, dtype=_type(double)), "zero")
        )

    def _clamp(self, step: Clamp, name: str, vector: bool) -> str:
        within = name
        for compare, ends in (("Less", step.lower), ("Greater", step.upper)):
            if np.isfinite(ends).any():
                bound = self._constant((ends[:, 0] if vector else ends).astype(_type(step.value.double)))
                within = self._node("Where", self._node(compare, within, bound), bound, within)
        return self._node("Where", self._node("IsInf", name), name, within)

    def _apply(self, function: str, z: str, double: bool) -> str:
        def number(value: float) -> str:
            return self._number(value, double=double)

        def node(operator: str, *inputs: str) -> str:
            return self._node(operator, *inputs)

        match function:
            case "relu" | "tanh" | "exp" | "sqrt":
                return node(function.capitalize(), z)
            case "square":
                return node("Mul", z, z)
            case "log":
                return node("Log", node("Where", node("Greater", z, number(0.0)), z, number(math.nan)))
            case "silu" if (
                double
            ):  # z Sigmoid(z) becomes an operator of which onnxruntime 1.18 has no kernel in double precision
                return node("Div", z, node("Add", node("Exp", node("Neg", z)), number(1.0)))
            case "silu":
                return node("Mul", z, node("Sigmoid", z))
            case "gelu" if double:
                return node("Div", z, self._over_normal(z))
            case "gelu":  # in the form that onnxruntime replaces by one operator
                one_and_erf = node("Add", node("Erf", node("Div", z, number(math.sqrt(2)))), number(1.0))
                return node("Mul", node("Mul", z, one_and_erf), number(0.5))
            case "slope of relu":
                return self._cast(node("Greater", z, number(0.0)), double=double)
            case "slope of tanh":
                tanh = node("Tanh", z)
                return node("Sub", number(1.0), node("Mul", tanh, tanh))
            case "slope of silu":
                s = node("Sigmoid", z)
                return node("Mul", s, node("Add", number(1.0), node("Mul", z, node("Sub", number(1.0), s))))
            case "slope of gelu":
                if double:
                    normal = node("Div", number(1.0), self._over_normal(z))
                else:
                    erf = node("Erf", node("Mul", z, number(1 / math.sqrt(2))))
                    normal = node("Mul", node("Add", erf, number(1.0)), number(0.5))
                bell = node("Exp", node("Mul", node("Mul", z, z), number(-0.5)))
                return node("Add", normal, node("Mul", node("Mul", z, bell), number(1 / math.sqrt(2 * math.pi))))
            case _:
                raise AssertionError(function)

    def _over_normal(self, z: str) -> str:
        """Return 1 / P(z) in double precision; see `normal`."""

        def number(value: float) -> str:
            return self._number(value, double=True)

        u = self._node("Min", self._node("Mul", z, z), number(LARGEST))
        sums = []
        for coefficients in (NUMERATOR, DENOMINATOR):
            total = number(coefficients[-1])
            for one in coefficients[-2::-1]:
                total = self._node("Add", self._node("Mul", total, u), number(one))
            sums.append(total)
        logarithm = self._node("Mul", z, self._node("Div", *sums))
        return self._node("Add", self._node("Exp", self._node("Neg", logarithm)), number(1.0))


_FLOAT, _DOUBLE = 1, 11  # TensorProto.FLOAT and TensorProto.DOUBLE, which the format fixes


def _type(double: bool) -> Any:
    return np.float64 if double else np.float32
