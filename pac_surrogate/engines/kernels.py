"""Products of a sparse matrix with vectors, compiled by numba for the processor at hand.

Each kernel is a loop in Python around a step in LLVM's intermediate language, which states the vectors of the processor that
the compiler does not find by itself. A kernel is compiled at its first call, which takes some tenths of a second, and numba is
imported then.

The rows of a matrix W are kept one after the other: the numbers `value[k]` and their columns `column[k]` for k from `start[i]`
to `start[i + 1]` belong to row i. Rows are filled up with zeros of column 0 to a multiple of `TOGETHER`.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

Kernel: TypeAlias = Callable[..., None]
TOGETHER = 8  # numbers of a row that are summed independently, so that no sum waits for the one before
GROUP, BLOCK = 16, 32  # rows and columns of the blocks of `blocks_kernel`: 16 numbers fill a vector of AVX-512
CONTRACT = ("contract",)  # a product and a sum may be one instruction; no sum is reordered, and NaN stays NaN


class _Code:
    """LLVM's instructions with unaligned loads from addresses, which are integers of 64 bits."""

    def __init__(self, builder: Any) -> None:
        from llvmlite import ir

        self.ir, self.builder = ir, builder
        self.integer, self.number = ir.IntType(64), ir.FloatType()

    def vector(self, kind: Any, lanes: int) -> Any:
        return self.ir.VectorType(kind, lanes)

    def address(self, base: Any, index: Any, size: int | Any) -> Any:
        return self.builder.add(base, self.builder.mul(index, size if not isinstance(size, int) else self.integer(size)))

    def load(self, address: Any, kind: Any) -> Any:
        found = self.builder.load(self.builder.inttoptr(address, kind.as_pointer()))
        found.align = 1
        return found

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer())).align = 1

    def put(self, vector: Any, value: Any, lane: int) -> Any:
        return self.builder.insert_element(vector, value, self.ir.IntType(32)(lane))

    def splat(self, number: Any, kind: Any) -> Any:
        nothing = self.ir.Constant(kind, self.ir.Undefined)
        lanes = self.ir.Constant(self.vector(self.ir.IntType(32), kind.count), [0] * kind.count)
        return self.builder.shuffle_vector(self.put(nothing, number, 0), nothing, lanes)

    def multiply_add(self, left: Any, right: Any, total: Any) -> Any:
        return self.builder.fadd(total, self.builder.fmul(left, right, flags=CONTRACT), flags=CONTRACT)

    def sum(self, values: Sequence[Any]) -> Any:
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [self.builder.fadd(left, right, flags=CONTRACT) for left, right in pairs]
        return values[0]

    def loop(
        self, first: Any, end: Any, step: int, start: Sequence[Any], body: Callable[[Any, list[Any]], list[Any]]
    ) -> list[Any]:
        """Carry values from `start` through the calls body(k, values) for k = first, first + step, ... below end."""
        builder, before = self.builder, self.builder.basic_block
        inside, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_unsigned("<", first, end), inside, after)
        builder.position_at_end(inside)
        place = builder.phi(self.integer)
        carried = [builder.phi(value.type) for value in start]
        found = body(place, list(carried))
        following = builder.add(place, self.integer(step))
        for phi, initial, value in zip([place, *carried], [first, *start], [following, *found], strict=True):
            phi.add_incoming(initial, before)
            phi.add_incoming(value, inside)
        builder.cbranch(builder.icmp_unsigned("<", following, end), inside, after)
        builder.position_at_end(after)
        results = []
        for initial, value in zip(start, found, strict=True):
            phi = builder.phi(value.type)
            phi.add_incoming(initial, before)
            phi.add_incoming(value, inside)
            results.append(phi)
        return results


@cache
def columns_kernel(columns: int, wide: bool) -> Kernel:
    """Return the kernel of Y = W X + b, for X and Y with this number of columns, one for each sample, in contiguous rows.

    A row of Y stays in the processor's registers while the numbers of a row of W pass.

    Args:
        columns: number of columns, at least 2.
        wide: whether the columns of W are numbered in 32 bits instead of 16.

    Returns:
        Function of start, column, value, b, X, Y.
    """
    import numba
    from numba.core import types
    from numba.extending import intrinsic

    size, together = 4 if wide else 2, max(2, min(TOGETHER, 64 // columns))  # a divisor of TOGETHER

    @intrinsic
    def row(_typing: Any, first: Any, end: Any, column: Any, value: Any, x: Any, bias: Any, y: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
            first, end, column, value, x, bias, y = given
            code = _Code(builder)
            tile = code.vector(code.number, columns)

            def step(place: Any, sums: list[Any]) -> list[Any]:
                found = []
                for number, total in enumerate(sums):
                    own = builder.add(place, code.integer(number))
                    source = code.load(code.address(column, own, size), code.ir.IntType(8 * size))
                    values = code.load(code.address(x, builder.zext(source, code.integer), 4 * columns), tile)
                    weight = code.splat(code.load(code.address(value, own, 4), code.number), tile)
                    found.append(code.multiply_add(weight, values, total))
                return found

            nothing = code.ir.Constant(tile, [0.0] * columns)
            sums = code.loop(first, end, together, [code.splat(bias, tile), *[nothing] * (together - 1)], step)
            code.store(code.sum(sums), y)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5, types.float32, types.int64), generate

    @numba.njit(nogil=True)
    def kernel(start: Any, column: Any, value: Any, bias: Any, x: Any, y: Any) -> None:
        columns_at, values_at, x_at, y_at = column.ctypes.data, value.ctypes.data, x.ctypes.data, y.ctypes.data
        for i in range(len(bias)):
            row(start[i], start[i + 1], columns_at, values_at, x_at, bias[i], y_at + 4 * columns * i)

    return kernel


@cache
def vector_kernel(wide: bool) -> Kernel:
    """Return the kernel of y = W x + b for a single vector x.

    Args:
        wide: whether the columns of W are numbered in 32 bits instead of 16.

    Returns:
        Function of start, column, value, b, x, y.
    """
    import numba
    from numba.core import types
    from numba.extending import intrinsic

    size = 4 if wide else 2

    @intrinsic
    def product(_typing: Any, first: Any, end: Any, column: Any, value: Any, x: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
            first, end, column, value, x = given
            code = _Code(builder)
            together = code.vector(code.number, TOGETHER)

            def step(place: Any, sums: list[Any]) -> list[Any]:
                values = code.ir.Constant(together, code.ir.Undefined)
                for lane in range(TOGETHER):
                    own = builder.add(place, code.integer(lane))
                    source = code.load(code.address(column, own, size), code.ir.IntType(8 * size))
                    found = code.load(code.address(x, builder.zext(source, code.integer), 4), code.number)
                    values = code.put(values, found, lane)
                return [code.multiply_add(code.load(code.address(value, place, 4), together), values, sums[0])]

            (sums,) = code.loop(first, end, TOGETHER, [code.ir.Constant(together, [0.0] * TOGETHER)], step)
            return code.sum([builder.extract_element(sums, code.ir.IntType(32)(lane)) for lane in range(TOGETHER)])

        return types.float32(*[types.int64] * 5), generate

    @numba.njit(nogil=True)
    def kernel(start: Any, column: Any, value: Any, bias: Any, x: Any, y: Any) -> None:
        columns_at, values_at, x_at = column.ctypes.data, value.ctypes.data, x.ctypes.data
        for i in range(len(bias)):
            y[i] = bias[i] + product(start[i], start[i + 1], columns_at, values_at, x_at)

    return kernel


@cache
def blocks_kernel(slots: int) -> Kernel:
    """Return the kernel of y += W x for a single vector x and at most `slots` numbers in each row of each block of W.

    A block has 16 rows and 32 columns. Its 32 numbers of x fit into two vectors of the processor, from which one instruction
    of AVX-512 (vpermi2ps) picks those of all 16 rows at once; loading them one by one takes three times as long.

    Args:
        slots: numbers that are kept in each row of each block.

    Returns:
        Function of value and column (block of columns, block of rows, slot, row) with columns from 0 to 31, x, and y; the
        lengths of x and y are multiples of 32 and 16.
    """
    import numba
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def block(_typing: Any, column: Any, value: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
            column, value, x, y = given
            code = _Code(builder)
            vector, picks = code.vector(code.number, GROUP), code.vector(code.ir.IntType(32), GROUP)
            name = "llvm.x86.avx512.vpermi2var.ps.512"
            kind = code.ir.FunctionType(vector, [vector, picks, vector])
            pick = builder.module.globals.get(name) or code.ir.Function(builder.module, kind, name)
            low, high = (code.load(code.address(x, code.integer(half), 4 * GROUP), vector) for half in range(2))
            total = code.load(y, vector)
            for slot in map(code.integer, range(slots)):
                places = code.load(code.address(column, slot, GROUP), code.vector(code.ir.IntType(8), GROUP))
                values = builder.call(pick, [low, builder.zext(places, picks), high])
                total = code.multiply_add(code.load(code.address(value, slot, 4 * GROUP), vector), values, total)
            code.store(total, y)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), generate

    @numba.njit(nogil=True)
    def kernel(column: Any, value: Any, x: Any, y: Any) -> None:
        column_at, value_at, x_at, y_at = column.ctypes.data, value.ctypes.data, x.ctypes.data, y.ctypes.data
        for first in range(0, 4 * len(x), 4 * BLOCK):
            for row in range(0, 4 * len(y), 4 * GROUP):
                block(column_at, value_at, x_at + first, y_at + row)
                column_at += slots * GROUP
                value_at += 4 * slots * GROUP

    return kernel


@cache
def joined_kernel(slots: int, wide: bool) -> Kernel:
    """Return the kernel of y = W x + b with W = blocks + rest, in a single call, since each takes a microsecond or two.

    Returns:
        Function of the arguments of `vector_kernel` for the rest, then column and value of `blocks_kernel`.
    """
    import numba

    from_rows, from_blocks = vector_kernel(wide), blocks_kernel(slots)

    @numba.njit(nogil=True)
    def kernel(start: Any, column: Any, value: Any, bias: Any, x: Any, y: Any, inside: Any, values_inside: Any) -> None:
        from_rows(start, column, value, bias, x, y)
        from_blocks(inside, values_inside, x, y)

    return kernel


def has_blocks() -> bool:
    """Return whether numba compiles for processors with the instruction of `blocks_kernel`; others cannot run it."""
    from numba.core.registry import cpu_target

    return "+avx512f" in str(getattr(cpu_target.target_context.codegen(), "_tm_features", "")).split(",")
