"""Residual convolutional network on 1-D and 2-D grids, with optional U-Net levels.

Fields enter as channels, and variables without a grid axis (a conductivity, for example) as constant channels. Datasets have
channels last and flat columns; only this file converts them to channels first.
"""

import itertools
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from pac_surrogate.files import Variable
from pac_surrogate.models.activations import activation
from pac_surrogate.utilities.arguments import got, settings

SPACE = ("x", "y")
PADDINGS = {"periodic": "circular", "zero": "constant", "replicate": "replicate"}


@settings
class CNN:
    """A residual convolutional network: lift, residual blocks h + C2 act(C1 act(h)), pointwise readout.

    With U-Net levels, each level halves the grid and doubles the channels, and skip connections are added on the way up
    (Ronneberger et al. 2015 concatenate them; a sum keeps the widths and the weights on the way up small).

    Args:
        channels: channels on the finest grid.
        blocks: residual blocks on each level.
        kernel: odd width of the convolutions.
        padding: periodic | zero | replicate, to match the boundary condition (zero for a fixed value of the standardised field
            at the side, replicate for an insulated side).
        levels: number of times that the grid is halved; its sizes must be divisible by 2**levels.
        activation: gelu | relu | silu | tanh.
        inner: channels between the two convolutions of each residual block: first of the blocks on the way down, level by level
            from the finest grid, then of those on the way up, by levels likewise; () means as many as the level has.
            `Surrogate.compact` makes blocks that are narrower inside.
    """

    channels: int = 24
    blocks: int = 2
    kernel: int = 3
    padding: str = "replicate"
    levels: int = 0
    activation: str = "gelu"
    inner: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.channels < 1 or self.blocks < 1 or self.levels < 0:
            raise ValueError(
                f"CNN needs channels >= 1, blocks >= 1 and levels >= 0, "
                f"got channels={self.channels}, blocks={self.blocks}, levels={self.levels}"
            )
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"CNN needs an odd kernel width, got kernel={self.kernel}")
        if self.padding not in list(PADDINGS):  # a list, because values without a hash must be compared too
            raise ValueError(f"unknown padding {got(self.padding)}: choose from {', '.join(PADDINGS)}")
        activation(self.activation)
        if self.inner and (len(self.inner) != self.blocks * (2 * self.levels + 1) or min(self.inner) < 1):
            raise ValueError(
                f"inner must be () or a width of at least 1 for each of the {self.blocks * (2 * self.levels + 1)} residual "
                f"blocks, got {got(self.inner)}"
            )

    def build(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> "CNNNetwork":
        """Build the network for these variables, whose grid axes are x, or x and y.

        Raises:
            ValueError: if the variables share no grid, or levels or kernel do not fit it.
        """
        return CNNNetwork(self, tuple(inputs), tuple(outputs))


class CNNNetwork(nn.Module):
    """The module that a `CNN` builds.

    Its features are the fields after every group of residual blocks. The activation function is applied to the last one, so
    that it is what the readout reads.
    """

    readout_name = "readout"

    def __init__(self, architecture: CNN, inputs: tuple[Variable, ...], outputs: tuple[Variable, ...]) -> None:
        super().__init__()
        self.architecture, self.inputs, self.outputs = architecture, inputs, outputs
        self.activation = activation(architecture.activation)
        self.grid = _common_grid(inputs, outputs)
        if architecture.levels > max(self.grid).bit_length():
            raise ValueError(
                f"levels={got(architecture.levels)} halve a grid of {self.grid} more often than possible: use fewer"
            )
        if any(size % 2**architecture.levels for size in self.grid):
            raise ValueError(
                f"levels={architecture.levels} needs a grid that is divisible by {2**architecture.levels}, got {self.grid}"
            )
        coarsest = min(self.grid) // 2**architecture.levels
        if architecture.padding == "periodic" and architecture.kernel // 2 > coarsest:
            raise ValueError(
                f"periodic padding needs a grid of {architecture.kernel // 2} or more points for kernel={architecture.kernel}, "
                f"got {coarsest} on the coarsest level"
            )
        convolution = nn.Conv1d if len(self.grid) == 1 else nn.Conv2d
        widths = [architecture.channels * 2**level for level in range(architecture.levels + 1)]
        kernel, inner = architecture.kernel, iter(architecture.inner)

        def blocks(width: int) -> nn.ModuleList:
            between = [next(inner, width) for _ in range(architecture.blocks)]
            return nn.ModuleList(
                nn.ModuleList((convolution(width, own, kernel), convolution(own, width, kernel))) for own in between
            )

        self.lift = convolution(sum(_channels(v) for v in inputs), widths[0], kernel)
        self.down = nn.ModuleList(blocks(width) for width in widths)
        self.widen = nn.ModuleList(convolution(a, b, 1) for a, b in itertools.pairwise(widths))
        self.narrow = nn.ModuleList(convolution(b, a, 1) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(blocks(width) for width in widths[:-1])
        self.readout = convolution(widths[0], sum(_channels(v) for v in outputs), 1)

    def blind_to(self, weights: Mapping[str, Tensor], columns: Bool[Tensor, " input"]) -> dict[str, Tensor]:
        """Return the weights of a network that does not see these input columns; a channel is unseen if all its columns are."""
        unseen = torch.zeros(len(columns), dtype=torch.float64).masked_fill(~columns, 1.0)
        seen = self._to_channels(unseen[None, None]).flatten(1).any(1)
        first = weights["lift.weight"]
        return {**weights, "lift.weight": torch.where(seen.view(1, -1, *(1,) * len(self.grid)), first, 0.0)}

    def rows_of(self, output: Variable) -> int:
        """Return how many rows of the readout an output has: one for each of its channels."""
        return _channels(output)

    def forward(
        self, x: Float[Tensor, "sample input"]
    ) -> tuple[Float[Tensor, "sample output"], tuple[Float[Tensor, "sample channel ..."], ...]]:
        """Return the prediction and the hidden features."""
        weights = {name: weight[None] for name, weight in self.named_parameters()}
        prediction, features = self.forward_stack(weights, x[None])
        return prediction[0], tuple(feature[0] for feature in features)

    def forward_stack(
        self, weights: Mapping[str, Tensor], x: Float[Tensor, "run sample input"]
    ) -> tuple[Float[Tensor, "run sample output"], tuple[Float[Tensor, "run sample channel ..."], ...]]:
        """Evaluate many networks of this shape at once, as groups of one convolution."""
        runs = len(x)
        features = []

        def convolve(name: str, h: Tensor) -> Tensor:
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            border = (weight.shape[-1] // 2,) * (2 * len(self.grid))
            padded = functional.pad(h, border, mode=PADDINGS[self.architecture.padding]) if border[0] else h
            apply = functional.conv1d if len(self.grid) == 1 else functional.conv2d
            return apply(padded, weight.flatten(0, 1), bias.flatten(), groups=runs)

        def blocks(name: str, h: Tensor) -> Tensor:
            for block in range(self.architecture.blocks):
                inner = convolve(f"{name}.{block}.0", self.activation(h))
                h = h + convolve(f"{name}.{block}.1", self.activation(inner))
            features.append(h.unflatten(1, (runs, -1)).transpose(0, 1))
            return h

        pool = functional.avg_pool1d if len(self.grid) == 1 else functional.avg_pool2d
        h, skips = convolve("lift", self._to_channels(x)), []
        levels = self.architecture.levels
        for level in range(levels):
            h = blocks(f"down.{level}", h)
            skips.append(h)
            h = convolve(f"widen.{level}", pool(h, 2))
        h = blocks(f"down.{levels}", h)
        for level in reversed(range(levels)):
            h = functional.interpolate(convolve(f"narrow.{level}", h), scale_factor=2.0, mode="nearest") + skips[level]
            h = blocks(f"up.{level}", h)
        features[-1] = self.activation(features[-1])
        h = convolve("readout", self.activation(h))
        return self._to_columns(h.unflatten(1, (runs, -1)).transpose(0, 1)), tuple(features)

    def _to_channels(self, x: Float[Tensor, "run sample input"]) -> Float[Tensor, "sample run_channel ..."]:
        """Convert columns to channels; the runs are folded into the channel axis."""
        parts = []
        for variable, columns in zip(self.inputs, x.split([v.size for v in self.inputs], dim=-1), strict=True):
            if set(variable.axes) & set(SPACE):
                field = columns.unflatten(-1, variable.shape)
                order = sorted(range(len(variable.axes)), key=lambda a: variable.axes[a] in SPACE)
                field = field.permute(0, 1, *(2 + a for a in order))
                parts.append(field.reshape(*x.shape[:2], _channels(variable), *self.grid))
            else:
                constant = columns.reshape(*columns.shape, *(1,) * len(self.grid))
                parts.append(constant.expand(*constant.shape[:3], *self.grid))
        return torch.cat(parts, dim=2).transpose(0, 1).flatten(1, 2)

    def _to_columns(self, h: Float[Tensor, "run sample channel ..."]) -> Float[Tensor, "run sample output"]:
        parts = []
        for variable, channels in zip(self.outputs, h.split([_channels(v) for v in self.outputs], dim=2), strict=True):
            order = sorted(range(len(variable.axes)), key=lambda a: variable.axes[a] in SPACE)
            field = channels.reshape(*h.shape[:2], *(variable.shape[a] for a in order))
            back = [order.index(a) for a in range(len(order))]
            parts.append(field.permute(0, 1, *(2 + a for a in back)).flatten(2))
        return torch.cat(parts, dim=-1)


def _channels(variable: Variable) -> int:
    size = 1
    for axis, length in zip(variable.axes, variable.shape, strict=True):
        size *= 1 if axis in SPACE else length
    return size


def _common_grid(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> tuple[int, ...]:
    """Return the grid that all fields share."""
    grids = {}
    for variable in (*inputs, *outputs):
        lengths = dict(zip(variable.axes, variable.shape, strict=True))
        if grid := tuple((axis, lengths[axis]) for axis in variable.axes if axis in SPACE):
            grids[variable.name] = grid
        elif variable in outputs:
            raise ValueError(
                f"a CNN predicts fields on x or (x, y); the output {variable.name} has axes {variable.axes}: use MLP"
            )
    if len(set(grids.values())) != 1 or not grids:
        raise ValueError(f"a CNN needs all fields on one grid, got {grids}")
    (grid,) = set(grids.values())
    if tuple(axis for axis, _ in grid) != SPACE[: len(grid)]:
        raise ValueError(f"a CNN needs the grid axes x or (x, y) in this order, got {tuple(axis for axis, _ in grid)}")
    return tuple(length for _, length in grid)
