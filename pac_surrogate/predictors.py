"""Predictors: maps between standardised inputs and outputs, each arrays and JSON."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.files import Variable
from pac_surrogate.models import CNN, MLP, Architecture, Module, activation_size, check_model, evaluate
from pac_surrogate.weights import Mask, Weights

ARCHITECTURES: dict[str, type] = {"MLP": MLP, "CNN": CNN}
PREDICT_NUMBERS = 2**25  # activations of one batch of a prediction


@runtime_checkable
class Predictor(Protocol):
    """What a surrogate puts between its scalings."""

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict standardised outputs."""
        ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give tensors and JSON for saving."""
        ...


@dataclass(frozen=True)
class Network:
    """A model with its weights.

    Attributes:
        architecture: what built the module.
        module: run with the weights below; its own are never used. Surrogates of one shape share it.
        weights: by name, on the CPU.
        essential: mask of the weights that the source task needs, or None before pruning.
        new_readout: the readout is not the source's: its outputs are new.
    """

    architecture: Architecture
    module: nn.Module
    weights: Weights
    essential: Mask | None = None
    new_readout: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return next(iter(self.weights.values())).dtype

    @property
    def shape_key(self) -> tuple[Any, ...]:
        """Networks of equal key run as one stack."""
        return self.architecture, self.dtype, tuple((name, weight.shape) for name, weight in self.weights.items())

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, so that memory stays bounded."""
        size = batch_size or max(1, PREDICT_NUMBERS // activation_size(self.module, x.shape[1]))
        weights = {name: weight.to(x.device) for name, weight in self.weights.items()}
        parts = [evaluate(self.module, weights, rows.to(self.dtype))[0] for rows in x.split(size)]
        return torch.cat(parts)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give weights, mask and architecture."""
        tensors = {f"weights/{name}": weight for name, weight in self.weights.items()}
        tensors |= {f"essential/{name}": mask for name, mask in (self.essential or {}).items()}
        kind = type(self.architecture).__name__
        if isinstance(self.architecture, Module):
            tensors |= {f"buffers/{name}": buffer for name, buffer in self.architecture.module.named_buffers()}
            architecture = {"kind": kind, "class": type(self.architecture.module).__qualname__}
        else:
            architecture = {"kind": kind, **dataclasses.asdict(self.architecture)}  # type: ignore[call-overload]
        return tensors, {"kind": "Network", "architecture": architecture, "new_readout": self.new_readout}

    @classmethod
    def from_state(
        cls,
        tensors: Mapping[str, Tensor],
        description: Mapping[str, Any],
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        model: Architecture | None,
    ) -> "Network":
        """Rebuild from a saved state."""
        saved = dict(description["architecture"])
        kind = saved.pop("kind")
        if kind not in ARCHITECTURES and model is None:
            raise ValueError(f"its model is a module of your own ({saved.get('class', kind)}): pass model=pac.Module(...)")
        weights, essential, buffers = (_part(tensors, prefix) for prefix in ("weights/", "essential/", "buffers/"))
        architecture = model.with_buffers(buffers) if isinstance(model, Module) else model
        if architecture is None:
            given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
            # A hostile header costs neither time nor memory: no more layers than there are tensors, and those without numbers.
            if max(len(given.get("hidden", ())), given.get("blocks", 0), given.get("levels", 0)) > len(weights):
                raise ValueError("weights do not fit the architecture")
            architecture = ARCHITECTURES[kind](**given)
            with torch.device("meta"):
                expected = _shapes(dict(architecture.build(inputs, outputs).named_parameters()))
            if _shapes(weights) != expected:
                raise ValueError("weights do not fit the architecture")
        network = build_network(architecture, inputs, outputs)
        kinds = {weight.dtype for weight in weights.values()}
        if _shapes(weights) != _shapes(network.weights) or len(kinds) != 1 or not next(iter(kinds)).is_floating_point:
            raise ValueError("weights do not fit the architecture")
        if essential and (_shapes(essential) != _shapes(weights) or {m.dtype for m in essential.values()} != {torch.bool}):
            raise ValueError("the essential mask does not fit the weights")
        weights = {name: weights[name] for name in network.weights}
        return dataclasses.replace(
            network, weights=weights, essential=essential or None, new_readout=bool(description["new_readout"])
        )


@dataclass(frozen=True)
class Correction:
    """A corrected network: slope * f(x) + offset + x @ linear, for each output.

    Attributes:
        base: the network that is corrected.
        slope: (output,).
        offset: (output,).
        linear: (input, output), zero where the correction has no such term.
    """

    base: Network
    slope: Float[Tensor, " output"]
    offset: Float[Tensor, " output"]
    linear: Float[Tensor, "input output"]

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict the base and correct it, float64."""
        slope, offset, linear = (tensor.to(x.device) for tensor in (self.slope, self.offset, self.linear))
        return slope * self.base.predict(x, batch_size=batch_size).double() + offset + x.double() @ linear

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give the base's state and the correction."""
        tensors, description = self.base.state()
        correction = {"slope": self.slope, "offset": self.offset, "linear": self.linear}
        return tensors | {f"correction/{n}": t for n, t in correction.items()}, {"kind": "Correction", "base": description}

    @classmethod
    def from_state(
        cls,
        tensors: Mapping[str, Tensor],
        description: Mapping[str, Any],
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        model: Architecture | None,
    ) -> "Correction":
        """Rebuild from a saved state."""
        base = Network.from_state(tensors, description["base"], inputs, outputs, model)
        correction = _part(tensors, "correction/")
        rows, columns = (sum(variable.size for variable in side) for side in (inputs, outputs))
        if _shapes(correction) != {"slope": (columns,), "offset": (columns,), "linear": (rows, columns)}:
            raise ValueError("the correction does not fit the inputs and outputs")
        return cls(base, **correction)


def build_network(architecture: Architecture, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> Network:
    """Build a network with the module's own initial weights, refusing modules that cannot run in a stack."""
    with torch.random.fork_rng(devices=[]):  # what torch's layers draw on being built is not the caller's to pay
        module = architecture.build(inputs, outputs)
    check_model(module)
    return Network(architecture, module, {name: weight.detach() for name, weight in module.named_parameters()})


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in weights.items()}
