"""A torch module of the user's own as a surrogate model."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.files import Variable
from pac_surrogate.utilities.arguments import got


@dataclass(frozen=True)
class Module:
    """Wrap a module that maps (sample, input) to (sample, output), or to (prediction, tuple of features).

        class Mine(torch.nn.Module): ...
        surrogate = pac.pretrain(source.train, model=pac.Module(Mine(33, 32), readout="head"))

    Args:
        module: the module; it is copied, never changed. Its layers must define `reset_parameters`, as torch's own layers do, so
            that every seed has its own initial weights.
        readout: name of the submodule that makes the prediction; by default the last submodule that holds weights.
    """

    module: nn.Module
    readout: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.module, nn.Module):
            raise ValueError(f"Module wraps a torch.nn.Module, as in pac.Module(Mine()), got {got(self.module)}")

    def __repr__(self) -> str:
        weights = sum(weight.numel() for weight in self.module.parameters())
        return f"Module({type(self.module).__name__} of {weights:,} weights, readout={self.readout!r})"

    def with_buffers(self, buffers: Mapping[str, Tensor]) -> "Module":
        """Return the same module with other constants (random Fourier frequencies, for example).

        Raises:
            ValueError: if the module's buffers have other names or shapes.
        """
        if not buffers and not list(self.module.buffers()):
            return self
        module = copy.deepcopy(self.module)
        own = dict(module.named_buffers())
        if {name: b.shape for name, b in own.items()} != {name: b.shape for name, b in buffers.items()}:
            raise ValueError(f"the buffers of {type(module).__name__} do not fit: it has {', '.join(own) or 'none'}")
        for name, buffer in own.items():
            buffer.copy_(buffers[name])
        return replace(self, module=module)

    def build(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> "ModuleNetwork":
        """Build the wrapped network, and run two samples through it to check that the widths fit.

        Raises:
            ValueError: if the module fails on the input's width or predicts another number of outputs.
        """
        network = ModuleNetwork(self)
        width, expected = sum(v.size for v in inputs), sum(v.size for v in outputs)
        try:
            with torch.no_grad():
                prediction, _ = network(torch.zeros(2, width, dtype=next(network.parameters()).dtype))
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"{type(self.module).__name__} does not take inputs of shape (sample, {width}): {str(error).splitlines()[0]}"
            ) from error
        if prediction.shape != (2, expected):
            raise ValueError(
                f"{type(self.module).__name__} must predict (sample, {expected}), got {('sample', *prediction.shape[1:])}"
            )
        return network


class ModuleNetwork(nn.Module):
    """The module that a `Module` builds."""

    def __init__(self, architecture: Module) -> None:
        super().__init__()
        self.architecture = architecture
        self.module = copy.deepcopy(architecture.module)
        holders = [name for name, child in self.module.named_modules() if list(child.parameters(recurse=False))]
        if not holders:
            raise ValueError(f"{type(architecture.module).__name__} holds no weights")
        readout = architecture.readout
        if readout is not None and not any(f"{name}.".startswith(f"{readout}.") for name in holders):
            raise ValueError(
                f"readout={readout!r} is no submodule of {type(architecture.module).__name__} that holds weights; "
                f"these do: {', '.join(map(repr, holders))}"
            )
        self.readout_name = f"module.{architecture.readout or holders[-1]}".rstrip(".")

    def forward(self, x: Float[Tensor, "sample input"]) -> tuple[Float[Tensor, "sample output"], tuple[Tensor, ...]]:
        """Return the prediction and the hidden features (none, unless the module returns them)."""
        result = self.module(x)
        return result if isinstance(result, tuple) else (result, ())
