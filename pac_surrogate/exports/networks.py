"""Networks as programs: multilayer perceptrons, convolutional networks and composites."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.exports.program import Program, Value, Window
from pac_surrogate.models.cnn import SPACE, CNNNetwork
from pac_surrogate.models.composite import CompositeNetwork, DeltaNet, LinearAndNonlinear
from pac_surrogate.models.mlp import MLPNetwork
from pac_surrogate.predictors import Network


@dataclass(frozen=True)
class Evaluated:
    """A network's prediction and hidden features as values of a program; see `models`."""

    prediction: Value
    features: tuple[Value, ...]


def network(program: Program, base: Network, x: Value) -> Evaluated:
    """Add the steps of a network; `x` and the results have the precision of its weights.

    Raises:
        NotExportableError: if it is a module of the user's own.
    """
    arrays = {name: weight.detach().cpu().double().numpy() for name, weight in base.weights.items()}
    return _module(program, base.module, arrays, x, "")


def _module(program: Program, module: nn.Module, arrays: Mapping[str, np.ndarray], x: Value, prefix: str) -> Evaluated:
    match module:
        case MLPNetwork():
            return _mlp(program, module, arrays, x, prefix)
        case CNNNetwork():
            return _cnn(program, module, arrays, x, prefix)
        case CompositeNetwork():
            return _composite(program, module, arrays, x, prefix)
        case _:
            kind = type(getattr(module, "module", module)).__name__
            raise NotExportableError(
                f"{kind} is a module of your own, of which only torch knows what it computes: train a network on its "
                "predictions with surrogate.distil(model=pac.MLP(...)), and export that"
            )


def _layer(program: Program, arrays: Mapping[str, np.ndarray], name: str, h: Value) -> Value:
    """Add the layer of this name, weight h + bias; a convolution's weight has a column for each channel and place."""
    names = f"{name}.weight", f"{name}.bias"
    weight = arrays[names[0]]
    return program.linear(h, weight.reshape(len(weight), -1), arrays[names[1]], names)


def _mlp(program: Program, module: MLPNetwork, arrays: Mapping[str, np.ndarray], x: Value, prefix: str) -> Evaluated:
    features, h = [], x
    for layer in range(len(module.hidden)):
        h = program.apply(module.architecture.activation, _layer(program, arrays, f"{prefix}hidden.{layer}", h))
        features.append(h)
    return Evaluated(_layer(program, arrays, f"{prefix}readout", h), tuple(features))


def _composite(
    program: Program, module: CompositeNetwork, arrays: Mapping[str, np.ndarray], x: Value, prefix: str
) -> Evaluated:
    below = _module(program, module.base, arrays, x, f"{prefix}base.")
    delta = isinstance(module.architecture, DeltaNet)
    seen = x if delta else program.join([x, below.prediction])
    if isinstance(module.small, LinearAndNonlinear):
        above = _linear_and_nonlinear(program, module.small, arrays, seen, f"{prefix}small.")
    else:
        above = _mlp(program, module.small, arrays, seen, f"{prefix}small.")
    prediction = program.add([below.prediction, above.prediction]) if delta else above.prediction
    return Evaluated(prediction, (*below.features, *above.features))


def _linear_and_nonlinear(
    program: Program, module: LinearAndNonlinear, arrays: Mapping[str, np.ndarray], v: Value, prefix: str
) -> Evaluated:
    features, h = [], v
    for layer in range(len(module.hidden)):
        h = program.apply("gelu", _layer(program, arrays, f"{prefix}hidden.{layer}", h))
        features.append(h)
    read = program.join([v, program.scale(h, np.tanh(arrays[f"{prefix}mix.a"]))])
    return Evaluated(_layer(program, arrays, f"{prefix}readout", read), (*features, read))


def _cnn(program: Program, module: CNNNetwork, arrays: Mapping[str, np.ndarray], x: Value, prefix: str) -> Evaluated:
    architecture = module.architecture
    features: list[Value] = []

    def convolve(name: str, h: Value, grid: tuple[int, ...]) -> Value:
        kernel = arrays[f"{prefix}{name}.weight"].shape[-1]
        window = Window(grid, kernel, architecture.padding)
        patches = program.gather(h, patches_of(window, h.rows), window) if kernel > 1 else h
        return _layer(program, arrays, f"{prefix}{name}", patches)

    def blocks(name: str, h: Value, grid: tuple[int, ...]) -> Value:
        for block in range(architecture.blocks):
            inner = convolve(f"{name}.{block}.0", program.apply(architecture.activation, h), grid)
            outer = convolve(f"{name}.{block}.1", program.apply(architecture.activation, inner), grid)
            h = program.add([h, outer])
        features.append(h)
        return h

    grids = [tuple(size // 2**level for size in module.grid) for level in range(architecture.levels + 1)]
    h, skips = convolve("lift", program.gather(x, _channels_of_columns(module)), grids[0]), []
    for level in range(architecture.levels):
        h = blocks(f"down.{level}", h, grids[level])
        skips.append(h)
        h = convolve(f"widen.{level}", _halved(program, h, grids[level]), grids[level + 1])
    h = blocks(f"down.{architecture.levels}", h, grids[-1])
    for level in reversed(range(architecture.levels)):
        narrow = convolve(f"narrow.{level}", h, grids[level + 1])
        h = blocks(f"up.{level}", program.add([_doubled(program, narrow, grids[level + 1]), skips[level]]), grids[level])
    features[-1] = program.apply(architecture.activation, features[-1])
    h = convolve("readout", features[-1], grids[0])
    return Evaluated(program.gather(h, _columns_of_channels(module)), tuple(features))


def patches_of(window: Window, channels: int) -> np.ndarray:
    """Return the entry that is read for each channel and place in the kernel (row) and grid point (column); -1 for 0."""
    modes = {"periodic": "wrap", "replicate": "edge", "zero": "constant"}
    points = np.arange(np.prod(window.grid)).reshape(window.grid)
    border = {"constant_values": -1} if window.padding == "zero" else {}
    padded = np.pad(points, window.kernel // 2, mode=modes[window.padding], **border)  # type: ignore[call-overload]
    shape = (window.kernel,) * len(window.grid)
    windows = np.lib.stride_tricks.sliding_window_view(padded, shape)  # (*grid, *kernel)
    own = windows.reshape(points.size, -1).T  # (place, point)
    shifted = [np.where(own < 0, -1, own + channel * points.size) for channel in range(channels)]
    return np.concatenate(shifted)


def _halved(program: Program, h: Value, grid: tuple[int, ...]) -> Value:
    """Average pairs of neighbours on each axis."""
    corners = 2 ** len(grid)
    points = np.arange(np.prod(grid)).reshape(grid)
    own = np.stack(
        [points[tuple(slice(o, None, 2) for o in offset)].ravel() for offset in itertools.product((0, 1), repeat=len(grid))]
    )
    index = own[:, None, :] + np.arange(h.rows)[None, :, None] * points.size  # (corner, channel, point)
    gathered = program.gather(h, index.reshape(corners, -1))
    return program.reshape(program.linear(gathered, np.full((1, corners), 1 / corners)), h.rows, own.shape[1])


def _doubled(program: Program, h: Value, grid: tuple[int, ...]) -> Value:
    """Repeat each grid point on each axis."""
    points = np.arange(np.prod(grid)).reshape(grid)
    for axis in range(len(grid)):
        points = points.repeat(2, axis)
    return program.gather(h, points.ravel()[None] + np.arange(h.rows)[:, None] * h.columns)


def _channels_of_columns(module: CNNNetwork) -> np.ndarray:
    """Return the number of the input column that each channel has at each grid point."""
    size, first, parts = int(np.prod(module.grid)), 0, []
    for variable in module.inputs:
        own = np.arange(first, first + variable.size).reshape(variable.shape)
        first += variable.size
        if set(variable.axes) & set(SPACE):
            order = sorted(range(len(variable.axes)), key=lambda axis: variable.axes[axis] in SPACE)
            parts.append(own.transpose(order).reshape(-1, size))
        else:
            parts.append(np.broadcast_to(own.reshape(-1, 1), (variable.size, size)))
    return np.concatenate(parts)


def _columns_of_channels(module: CNNNetwork) -> np.ndarray:
    """Return the number of the entry (channel, grid point) that is each output column."""
    size, first, parts = int(np.prod(module.grid)), 0, []
    for variable in module.outputs:
        order = sorted(range(len(variable.axes)), key=lambda axis: variable.axes[axis] in SPACE)
        own = np.arange(first, first + variable.size).reshape([variable.shape[axis] for axis in order])
        first += variable.size
        parts.append(own.transpose([order.index(axis) for axis in range(len(order))]).ravel())
    assert size > 0
    return np.concatenate(parts).reshape(-1, 1)
