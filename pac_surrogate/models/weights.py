"""Weights are dictionaries name -> tensor; a mask is such a dictionary of booleans.

Nothing here changes a tensor in place. A *stack* has a leading `run` axis on every tensor.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

Weights = dict[str, Tensor]
Mask = dict[str, Tensor]
LARGE = 1000  # numbers of a tensor whose digest is worth keeping


def prunable(weights: Mapping[str, Tensor]) -> list[str]:
    """Names of the weight tensors: two axes or more. Biases and the weights of norm layers have one and stay."""
    return [name for name, weight in weights.items() if weight.ndim >= 2]


def masked(weights: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> Weights:
    """Weights where the mask is true, +0.0 elsewhere.

    A product would leave -0.0 behind, and with it a model that equals another only up to signs of zero.
    """
    return {name: torch.where(mask[name], weight, 0.0) for name, weight in weights.items()}


def redundant(essential: Mapping[str, Tensor]) -> Mask:
    """The complement of an essential mask: what pruning freed."""
    return {name: ~mask for name, mask in essential.items()}


def inside(weights: Mapping[str, Tensor], module: str) -> Mask:
    """The mask of every weight that belongs to the module of this name (`readout` holds `readout.weight`)."""
    found = {name: torch.tensor(name == module or name.startswith(module + ".")) for name in weights}
    if not any(bool(mask) for mask in found.values()):
        raise ValueError(f"no weights belong to a module named {module!r}; the tensors are: {', '.join(weights)}")
    return found


def sparsity(essential: Mapping[str, Tensor]) -> float:
    """Realised sparsity: the pruned fraction of the weight tensors of a full-shaped mask."""
    names = prunable(essential)
    return 1.0 - sum(int(essential[n].sum()) for n in names) / max(1, sum(essential[n].numel() for n in names))


def stack(runs: Sequence[Mapping[str, Tensor]]) -> Weights:
    """Put a leading run axis on every tensor."""
    return {name: torch.stack([run[name] for run in runs]) for name in runs[0]}


def unstack(stacked: Mapping[str, Tensor]) -> list[Weights]:
    """Undo `stack`; every run gets memory of its own, so that keeping one does not keep them all."""
    count = next(iter(stacked.values())).shape[0]
    return [{name: tensor[run].clone() for name, tensor in stacked.items()} for run in range(count)]


def fingerprint(*named: Mapping[str, Tensor]) -> bytes:
    """A digest of tensors with their names; that of a large tensor is kept as long as the tensor lives and is not changed."""
    content = hashlib.blake2b(digest_size=16)
    for tensors in named:
        content.update(f"{len(tensors)} tensors".encode())
        for name, tensor in tensors.items():
            content.update(repr(name).encode())
            content.update(_of_tensor(tensor))
    return content.digest()


_KNOWN: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # version and digest of tensors that were asked for


def _of_tensor(tensor: Tensor) -> bytes:
    if tensor.numel() < LARGE or tensor.is_inference():  # of which torch does not tell whether they were changed
        return _digest_of(tensor)
    version, known = _KNOWN.get(tensor, (None, b""))
    if version != tensor._version:
        known = _digest_of(tensor)
        _KNOWN[tensor] = (tensor._version, known)
    return known


def _digest_of(tensor: Tensor) -> bytes:
    content = hashlib.blake2b(repr((tuple(tensor.shape), tensor.dtype)).encode(), digest_size=16)
    content.update(tensor.detach().cpu().contiguous().numpy().data)
    return content.digest()


def digest(settings: object, tensors: Iterable[Mapping[str, Tensor]]) -> str:
    """A name for a computation by its content: settings by their `repr`, tensors by their bits."""
    content = hashlib.blake2b(repr((settings, torch.__version__)).encode(), digest_size=16)
    for named in tensors:
        for name, tensor in named.items():
            content.update(repr((name, tuple(tensor.shape), tensor.dtype)).encode())
            content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()
