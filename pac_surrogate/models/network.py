"""Evaluation of a module with one set of weights or a stack of them."""

from collections.abc import Callable, Mapping, Sequence
from threading import RLock
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.files import Variable
from pac_surrogate.models.weights import Weights, stack

# `functional_call` puts weights into a module and takes them out again, so only one thread at a time may use a module.
_BORROWED = RLock()
REFUSED = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd, nn.RNNBase)


@runtime_checkable
class Architecture(Protocol):
    """A frozen description of a model."""

    def build(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> nn.Module:
        """Build the module for these variables."""
        ...


def check_model(model: nn.Module) -> None:
    """Refuse layers that a stack of functional runs does not support: batch statistics, dropout, state.

    Raises:
        ValueError: if there is one; the message names it. GroupNorm and LayerNorm are supported.
    """
    for name, child in model.named_modules():
        if isinstance(child, REFUSED) or getattr(child, "track_running_stats", False):
            raise ValueError(
                f"{type(child).__name__} at {name!r} keeps state between samples or is random, so that a run would depend on "
                f"its batch; use GroupNorm or LayerNorm, or no dropout"
            )


def initial_weights(model: nn.Module, generator: torch.Generator) -> Weights:
    """Draw initial weights for a model with the `reset_parameters` of its layers; float32, from a CPU generator.

    Raises:
        ValueError: if a weight belongs to a layer without `reset_parameters`.
    """
    holders = [(name, child) for name, child in model.named_modules() if list(child.parameters(recurse=False))]
    for name, child in holders:
        if not hasattr(child, "reset_parameters"):
            raise ValueError(f"{type(child).__name__} at {name!r} holds weights but has no reset_parameters(): define it")
    saved = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    with torch.random.fork_rng(devices=[]):
        # Only the CPU's generator is seeded: `torch.manual_seed` would reseed those of all GPUs too.
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        for _, child in holders:
            child.reset_parameters()
        fresh = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(saved[name])
    return fresh


def evaluate(
    model: nn.Module, weights: Mapping[str, Tensor], x: Float[Tensor, "sample input"]
) -> tuple[Float[Tensor, "sample output"], tuple[Tensor, ...]]:
    """Return the prediction and features of one set of weights, in the precision and on the device of `x`."""
    if hasattr(model, "forward_stack"):
        prediction, features = model.forward_stack({n: w[None] for n, w in weights.items()}, x[None])  # type: ignore[operator]
        return prediction[0], tuple(feature[0] for feature in features)
    constants = {
        name: buffer.to(x.device, x.dtype if buffer.is_floating_point() else buffer.dtype)
        for name, buffer in model.named_buffers()
    }
    with _BORROWED:
        return torch.func.functional_call(model, {**constants, **weights}, (x,))


def evaluate_stack(
    model: nn.Module, weights: Mapping[str, Tensor], x: Float[Tensor, "run sample input"]
) -> tuple[Float[Tensor, "run sample output"], tuple[Tensor, ...]]:
    """Return the predictions and features of a stack of weights, each on its own samples."""
    if hasattr(model, "forward_stack"):
        return model.forward_stack(weights, x)  # type: ignore[operator]  # a method, which stubs take for a weight
    if len(x) == 1:  # a single run needs no vmap, which takes longer than a small module
        prediction, features = evaluate(model, {name: weight[0] for name, weight in weights.items()}, x[0])
        return prediction[None], tuple(feature[None] for feature in features)
    return torch.func.vmap(lambda w, rows: evaluate(model, w, rows))(dict(weights), x)


def evaluate_many(
    model: nn.Module,
    weights: Sequence[Weights],
    inputs: Sequence[Float[Tensor, "_sample input"]],
    *,
    numbers: int = 2**25,
) -> list[Float[Tensor, "_sample output"]]:
    """Return the predictions of many sets of weights, each on its own samples, in stacks of about `numbers` activations."""
    width = activation_size(model, inputs[0].shape[1]) if inputs else 1
    order = sorted(range(len(inputs)), key=lambda run: len(inputs[run]))
    predictions: list[Tensor | None] = [None] * len(inputs)
    while order:
        rows = len(inputs[order[0]])
        alike = [run for run in order if len(inputs[run]) == rows][: max(1, numbers // max(1, rows * width))]
        order = order[len(alike) :]
        with torch.no_grad():
            if len(alike) == 1:
                predictions[alike[0]] = _evaluate_one(model, weights[alike[0]], inputs[alike[0]], max(1, numbers // width))
                continue
            stacked, _ = evaluate_stack(model, stack([weights[run] for run in alike]), torch.stack([inputs[r] for r in alike]))
        for position, run in enumerate(alike):
            predictions[run] = stacked[position]
    return [prediction for prediction in predictions if prediction is not None]


def _evaluate_one(
    model: nn.Module, weights: Weights, x: Float[Tensor, "sample input"], size: int
) -> Float[Tensor, "sample output"]:
    return by_pieces(lambda rows: evaluate(model, weights, rows)[:1], x, size)[0]


def by_pieces(
    solve: Callable[[Float[Tensor, "row input"]], Sequence[Tensor]], x: Float[Tensor, "sample input"], size: int
) -> list[Tensor]:
    """Apply `solve`, which returns one or several results, to some rows at a time, and join the pieces.

    Each piece is copied into the joined array immediately. If small pieces were kept until the end, they would lie between the
    large arrays that are freed meanwhile, and the allocator of the C library could not reuse the gaps: memory would grow as if
    nothing were freed. Pieces are kept only if they require a gradient.
    """
    first, *rest = x.split(size)
    found = list(solve(first))
    if not rest:
        return found
    if any(part.requires_grad for part in found):
        return [torch.cat(parts) for parts in zip(found, *(solve(rows) for rows in rest), strict=True)]
    wholes = [part.new_empty(len(x), *part.shape[1:]) for part in found]
    for place, rows in enumerate((first, *rest)):
        found = list(solve(rows)) if place else found
        for whole, part in zip(wholes, found, strict=True):
            whole[place * size : place * size + len(rows)] = part
    return wholes


_SIZES: WeakKeyDictionary[nn.Module, dict[int, int]] = WeakKeyDictionary()  # results of `activation_size`


def activation_size(model: nn.Module, inputs: int) -> int:
    """Estimate how many numbers a forward pass keeps for one sample, for the planning of memory."""
    sizes = _SIZES.setdefault(model, {})
    if inputs not in sizes:
        sizes[inputs] = _activation_size(model, inputs)
    return sizes[inputs]


def _activation_size(model: nn.Module, inputs: int) -> int:
    weights = dict(model.named_parameters())
    made: list[int] = []
    x = torch.zeros(1, inputs, dtype=next(iter(weights.values())).dtype)
    with _BORROWED, torch.no_grad():
        # A user's module may return some of its features or none, but its layers compute them all.
        layers = [module for module in model.modules() if next(module.children(), None) is None]
        hooks = [layer.register_forward_hook(lambda _layer, _given, found: made.append(_numbers(found))) for layer in layers]
        try:
            prediction, features = evaluate(model, weights, x)
        finally:
            for hook in hooks:
                hook.remove()
    returned = sum(feature.numel() for feature in features) or sum(weight.shape[0] for weight in weights.values())
    return inputs + prediction.numel() + 3 * max(returned, sum(made))


def _numbers(found: Any) -> int:
    parts = found if isinstance(found, list | tuple) else (found,)
    return sum(part.numel() for part in parts if isinstance(part, Tensor))
