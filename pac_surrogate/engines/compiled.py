"""The engine of sparse networks: products with the numbers that are not 0, in kernels that are compiled for the processor."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Integer

from pac_surrogate.engines.kernels import BLOCK, GROUP, TOGETHER, columns_kernel, has_blocks, joined_kernel, vector_kernel
from pac_surrogate.engines.layers import Layer, Map, in_single

LARGEST_TILE = 64  # samples that are computed at once: their features fit into the second cache, and a row into the registers
WORTH = 3  # a number outside the blocks takes as long as three places inside
ALIGNED = 16  # numbers of a line of the cache


def sparse_in_numba(layers: Sequence[Layer], batch_size: int) -> Map:
    """Return products with compressed rows, in single precision; layers that are not sparse stay dense, in NumPy.

    Args:
        layers: layers of the network.
        batch_size: samples of most calls; others are answered as well, in tiles of this many samples or 64.
    """
    layers = in_single(layers)
    return _one_by_one(layers) if batch_size == 1 else _in_tiles(layers, min(LARGEST_TILE, 1 << (batch_size - 1).bit_length()))


def _in_tiles(layers: Sequence[Layer], tile: int) -> Map:
    rows = [compressed_rows(layer.weight) if layer.sparse else None for layer in layers]
    columns = [layer.bias[:, None] for layer in layers]

    def predict(x: np.ndarray) -> np.ndarray:
        found = np.empty((len(layers[-1].bias), -(-len(x) // tile) * tile), dtype=np.float32)
        for first in range(0, len(x), tile):
            h = _aligned(x.shape[1], tile)
            part = x[first : first + tile].T
            h[:, : part.shape[1]] = part
            h[:, part.shape[1] :] = 0
            for layer, row, column in zip(layers, rows, columns, strict=True):
                z = _aligned(len(layer.bias), tile)
                if row is None:
                    np.matmul(layer.weight, h, out=z)
                    z += column
                else:
                    columns_kernel(tile, row[1].itemsize == 4)(*row, layer.bias, h, z)
                layer.activate(z)
                h = z
            found[:, first : first + tile] = h
        return found[:, : len(x)].T

    return predict


def _one_by_one(layers: Sequence[Layer]) -> Map:
    outputs = len(layers[-1].bias)
    layers = _in_whole_blocks(layers)
    products = [_product(layer) for layer in layers]
    width = layers[0].weight.shape[1]

    def predict(x: np.ndarray) -> np.ndarray:
        found = np.empty((len(x), outputs), dtype=np.float32)
        h = np.zeros(width, dtype=np.float32)
        for number, sample in enumerate(x):
            h[: len(sample)] = sample
            z = h
            for layer, product in zip(layers, products, strict=True):
                z = product(z)
                layer.activate(z)
            found[number] = z[:outputs]
        return found

    return predict


def _in_whole_blocks(layers: Sequence[Layer]) -> list[Layer]:
    """Fill the layers up with inputs and units of weight 0 where a sparse product needs whole blocks; act(0) is 0."""
    found = []
    for number, layer in enumerate(layers):
        rows, columns = layer.weight.shape
        rows += -rows % BLOCK if layer.sparse or number < len(layers) - 1 else 0
        columns += -columns % BLOCK if layer.sparse or number else 0
        weight, bias = np.zeros((rows, columns), dtype=np.float32), np.zeros(rows, dtype=np.float32)
        weight[: len(layer.weight), : layer.weight.shape[1]] = layer.weight
        bias[: len(layer.bias)] = layer.bias
        found.append(Layer(weight, bias, layer.activation, layer.sparse))
    return found


def _product(layer: Layer) -> Callable[[Float[np.ndarray, " input"]], Float[np.ndarray, " output"]]:
    """Return the function W h + b."""
    weight, bias = layer.weight, layer.bias
    if not layer.sparse:

        def dense(h: np.ndarray) -> np.ndarray:
            z = weight @ h
            z += bias
            return z

        return dense
    in_blocks, rest = split_blocks(weight) if has_blocks() else (None, weight)
    rows = compressed_rows(rest)
    wide, blocks = rows[1].itemsize == 4, in_blocks or ()
    kernel = joined_kernel(in_blocks[0].shape[2], wide) if in_blocks else vector_kernel(wide)

    def product(h: np.ndarray) -> np.ndarray:
        z = np.empty(len(bias), dtype=np.float32)
        kernel(*rows, bias, h, z, *blocks)
        return z

    return product


Rows: TypeAlias = tuple[Integer[np.ndarray, " row+1"], Integer[np.ndarray, " number"], Float[np.ndarray, " number"]]
Blocks: TypeAlias = tuple[Integer[np.ndarray, "across down slot lane"], Float[np.ndarray, "across down slot lane"]]


def compressed_rows(weight: Float[np.ndarray, "row column"]) -> Rows:
    """Return start, column and value of the numbers that are not 0; rows are filled up to a multiple of `TOGETHER`."""
    row, column = np.nonzero(weight)
    count = np.bincount(row, minlength=len(weight))
    filled = -(-count // TOGETHER) * TOGETHER
    start = np.concatenate([[0], np.cumsum(filled)])
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(start[:-1], count)
    columns = np.zeros(start[-1], dtype=np.uint16 if weight.shape[1] <= 1 << 16 else np.uint32)
    values = np.zeros(start[-1], dtype=np.float32)
    columns[place], values[place] = column, weight[row, column]
    return start, columns, values


def split_blocks(weight: Float[np.ndarray, "row column"]) -> tuple[Blocks | None, Float[np.ndarray, "row column"]]:
    """Split a matrix into the numbers that `blocks_kernel` multiplies and the rest, W = blocks + rest.

    The rows of all blocks have the same number of places. It is the largest one for which a third of the places are used that
    the last increase has added, because a number outside the blocks takes about three times as long as a place inside.

    Returns:
        Column and value for the kernel, or None if no number of places is worth it; and the rest.
    """
    rows, columns = weight.shape
    row, column = np.nonzero(weight)
    across = column // BLOCK
    # Each number's place among those of its row and block: `nonzero` lists rows one by one, in the order of their columns.
    owner = row * (columns // BLOCK) + across
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    slots = int(np.count_nonzero(WORTH * np.bincount(place) >= rows * (columns // BLOCK)))
    if not slots:
        return None, weight
    inside = place < slots
    row, column, across, place = row[inside], column[inside], across[inside], place[inside]
    shape = columns // BLOCK, rows // GROUP, slots, GROUP
    columns_inside, values = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.float32)
    where = across, row // GROUP, place, row % GROUP
    columns_inside[where], values[where] = column % BLOCK, weight[row, column]
    rest = weight.copy()
    rest[row, column] = 0
    return (columns_inside, values), rest


def _aligned(rows: int, columns: int) -> Float[np.ndarray, "row column"]:
    """Return an array that begins with a line of the cache, so that no vector lies in two of them."""
    memory = np.empty(rows * columns + ALIGNED, dtype=np.float32)
    first = -(memory.ctypes.data // 4) % ALIGNED
    return memory[first : first + rows * columns].reshape(rows, columns)
