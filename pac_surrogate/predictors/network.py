"""A model with its weights."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.files import Variable
from pac_surrogate.files.variables import state_of, variable_of
from pac_surrogate.models import CNN, MLP, Architecture, Composite, Module, activation_size, check_model, evaluate
from pac_surrogate.models.composite import DeltaNet, InputAugmentation, MultiFidelity
from pac_surrogate.models.network import by_pieces
from pac_surrogate.models.weights import Mask, Weights, pruned_brief
from pac_surrogate.predictors.predictor import check_finite, part, shapes
from pac_surrogate.utilities.display import Shown

ARCHITECTURES: dict[str, type] = {kind.__name__: kind for kind in (MLP, CNN, DeltaNet, InputAugmentation, MultiFidelity)}
PREDICT_NUMBERS = 2**25  # largest number of activations in one batch of a prediction


@dataclass(frozen=True, eq=False, repr=False)
class Network(Shown):
    """A model with its weights.

    Attributes:
        architecture: the description from which the module was built.
        module: the module, which is run with the weights below and never with its own. Surrogates of one shape share it.
        weights: the weights by name, on the CPU.
        essential: mask of the weights that the source task needs, or None before pruning.
        new_readout: whether the readout has outputs that are new to the source.
    """

    architecture: Architecture
    module: nn.Module
    weights: Weights
    essential: Mask | None = None
    new_readout: bool = False

    def _brief(self) -> str:
        if self.essential is None:
            return f"{self.architecture!r}, {sum(weight.numel() for weight in self.weights.values()):,} weights"
        return f"{self.architecture!r}, {pruned_brief(self.weights, self.essential, str(self.module.readout_name))}"

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return next(iter(self.weights.values())).dtype

    @property
    def shape_key(self) -> tuple[Any, ...]:
        """Key by which networks are grouped: those with equal keys run as one stack."""
        return self.architecture, self.dtype, tuple((name, weight.shape) for name, weight in self.weights.items())

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, so that memory stays bounded."""
        size = batch_size or max(1, PREDICT_NUMBERS // activation_size(self.module, x.shape[1]))
        weights = {name: weight.to(x.device) for name, weight in self.weights.items()}
        return by_pieces(lambda rows: evaluate(self.module, weights, rows.to(self.dtype))[:1], x, size)[0]

    def as_module(self) -> nn.Module:
        """Return a copy of the module that holds these weights."""
        module = copy.deepcopy(self.module).to(self.dtype)
        with torch.no_grad():
            for name, weight in module.named_parameters():
                weight.copy_(self.weights[name])
        return module

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return weights, mask and buffers as tensors, and the architecture as JSON."""
        tensors = {f"weights/{name}": weight for name, weight in self.weights.items()}
        tensors |= {f"essential/{name}": mask for name, mask in (self.essential or {}).items()}
        innermost = self.architecture
        while isinstance(innermost, Composite):
            innermost = innermost.base
        if isinstance(innermost, Module):
            tensors |= {f"buffers/{name}": buffer for name, buffer in innermost.module.named_buffers()}
        architecture = _description(self.architecture)
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
        saved = description["architecture"]
        weights, essential, buffers = (part(tensors, prefix) for prefix in ("weights/", "essential/", "buffers/"))
        # A malicious header must cost neither time nor memory: it may describe no more layers than there are tensors, and the
        # shapes are compared on a module without storage before the network is built.
        if _layers(saved) > len(weights):
            raise ValueError("weights do not fit the architecture")
        if isinstance(model, Module):
            model = model.with_buffers(buffers)
        architecture = _architecture(saved, model)
        # The shapes of a given module are known; only the header describes the networks that a composite puts around it.
        own = None if model is None else "base." * _depth(saved)
        around = architecture if model is None else _architecture(saved, MLP(hidden=(1,)))
        with torch.device("meta"):
            expected = shapes(dict(around.build(inputs, outputs).named_parameters()))
        if _without(shapes(weights), own) != _without(expected, own):
            raise ValueError("weights do not fit the architecture")
        network = build_network(architecture, inputs, outputs)
        kinds = {weight.dtype for weight in weights.values()}
        if shapes(weights) != shapes(network.weights) or len(kinds) != 1 or not next(iter(kinds)).is_floating_point:
            raise ValueError("weights do not fit the architecture")
        if essential and (shapes(essential) != shapes(weights) or {m.dtype for m in essential.values()} != {torch.bool}):
            raise ValueError("the essential mask does not fit the weights")
        check_finite("the weights", weights)
        weights = {name: weights[name] for name in network.weights}
        return dataclasses.replace(
            network, weights=weights, essential=essential or None, new_readout=bool(description["new_readout"])
        )


def build_network(architecture: Architecture, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> Network:
    """Build a network with the module's own initial weights; modules that cannot run in a stack are refused."""
    with torch.random.fork_rng(devices=[]):  # torch's layers draw random numbers when built; the caller's stream stays as it is
        module = architecture.build(inputs, outputs)
    check_model(module)
    return Network(architecture, module, {name: weight.detach() for name, weight in module.named_parameters()})


def _description(architecture: Architecture) -> dict[str, Any]:
    """Describe an architecture as JSON."""
    kind = type(architecture).__name__
    if isinstance(architecture, Module):
        return {"kind": kind, "class": type(architecture.module).__qualname__}
    if isinstance(architecture, Composite):
        outputs = [state_of(variable) for variable in architecture.base_outputs]
        base = _description(architecture.base)
        return {"kind": kind, "hidden": architecture.hidden, "base_outputs": outputs, "base": base}
    return {"kind": kind, **dataclasses.asdict(architecture)}  # type: ignore[call-overload]


def _architecture(saved: Mapping[str, Any], model: Architecture | None) -> Architecture:
    """Rebuild an architecture from its description, with `model` as the innermost one if it is given."""
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()}
    kind: str = given.pop("kind")
    if issubclass(ARCHITECTURES.get(kind, object), Composite):
        given["base"] = _architecture(given["base"], model)
        given["base_outputs"] = tuple(map(variable_of, given["base_outputs"]))
    elif model is not None:
        return model
    elif kind not in ARCHITECTURES:
        raise ValueError(f"its model is a module of your own ({saved.get('class', kind)}): pass model=pac.Module(...)")
    return ARCHITECTURES[kind](**given)


def _layers(saved: Mapping[str, Any]) -> int:
    """Return the least number of layers that a description implies."""
    own = max(len(saved.get("hidden", ())), saved.get("blocks", 0), saved.get("levels", 0))
    return own + (1 + _layers(saved["base"]) if "base" in saved else 0)


def _depth(saved: Mapping[str, Any]) -> int:
    """Return the number of networks that a description puts around the innermost one."""
    return 1 + _depth(saved["base"]) if "base" in saved else 0


def _without(found: Mapping[str, torch.Size], prefix: str | None) -> dict[str, torch.Size]:
    return {name: shape for name, shape in found.items() if prefix is None or not name.startswith(prefix)}
