"""A program as a torch module: the meaning of every step, and what `torch.export` saves."""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pac_surrogate.exports.program import (
    ACTIVATIONS,
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
)


def _slope_of_gelu(z: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(z / math.sqrt(2))) + z * torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def _slope_of_silu(z: Tensor) -> Tensor:
    s = torch.sigmoid(z)
    return s * (1 + z * (1 - s))


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": torch.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "slope of gelu": _slope_of_gelu,
    "slope of relu": lambda z: (z > 0).to(z),
    "slope of silu": _slope_of_silu,
    "slope of tanh": lambda z: 1 - torch.tanh(z).square(),
    "exp": torch.exp,
    "log": lambda z: torch.where(z > 0, z, torch.nan).log(),
    "sqrt": torch.sqrt,
    "square": torch.square,
}
assert set(ACTIVATIONS) < set(FUNCTIONS)


class ProgramModule(nn.Module):
    """Evaluates a program.

    Args:
        program: the program.
        single: whether the interface is in float32; otherwise it is in float64.
    """

    def __init__(self, program: Program, *, single: bool = False) -> None:
        super().__init__()
        self.program, self.single, self.order = program, single, program.used()
        for number in self.order:
            step, double = program.steps[number], program.values[number].double
            for name, array in vars(step).items():
                if isinstance(array, np.ndarray):
                    kept = torch.tensor(np.ascontiguousarray(array))
                    kept = kept.to(torch.float64 if double else torch.float32) if kept.is_floating_point() else kept
                    self.register_buffer(f"{name}_{number}", kept)

    def forward(self, x: Float[Tensor, "sample input"]) -> dict[str, Float[Tensor, "sample _output"]]:
        """Return each result of the program by its name, as rows of numbers."""
        found = {-1: x.double()[:, :, None]}
        for number in self.order:
            found[number] = self._step(number, self.program.steps[number], found)
        precision = torch.float32 if self.single else torch.float64
        return {name: found[value.number].flatten(1).to(precision) for name, value in self.program.results.items()}

    def _step(self, number: int, step: Step, found: dict[int, Tensor]) -> Tensor:
        def own(value: Value) -> Tensor:
            return found[value.number]

        def array(name: str) -> Tensor:
            return getattr(self, f"{name}_{number}")

        match step:
            case Linear():
                product = array("weight") @ own(step.value)
                return product if step.bias is None else product + array("bias")[:, None]
            case Gather():
                flat, index = own(step.value).flatten(1), array("index")
                taken = flat[:, index.clamp_min(0).flatten()].unflatten(1, index.shape)
                return torch.where(index >= 0, taken, 0.0) if bool((step.index < 0).any()) else taken
            case Apply():
                return FUNCTIONS[step.function](own(step.value))
            case Combine():
                left, right = own(step.left), own(step.right)
                return left + right if step.operation == "add" else left * right
            case Scale():
                return own(step.value) * array("factor") + array("offset")
            case Join():
                return torch.cat([own(value) for value in step.values], 1)
            case Distances():
                return (own(step.value).mT - array("points")).square().sum(-1, keepdim=True)
            case Product():
                return own(step.left) @ own(step.right).mT
            case Clamp():
                value = own(step.value)
                return torch.where(torch.isfinite(value), value.clamp(array("lower"), array("upper")), value)
            case Cast():
                return own(step.value).to(torch.float64 if self.program.values[number].double else torch.float32)
