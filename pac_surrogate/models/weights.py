"""Weights are dictionaries name -> tensor; a mask is such a dictionary of booleans.

Nothing here changes a tensor in place. A *stack* has a leading `run` axis on every tensor.
"""

import hashlib
from collections.abc import Iterable, Mapping, MutableMapping, Sequence

import torch
from torch import Tensor

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


def fingerprint(*named: Mapping[str, Tensor], known: MutableMapping[Tensor, bytes] | None = None) -> bytes:
    """A digest of tensors with their names.

    Args:
        named: the tensors.
        known: remembers the digests of large tensors, which must not change meanwhile.
    """
    # Each part says how long it is, so that no two lists of tensors give the same bytes.
    content, known = hashlib.blake2b(digest_size=16), {} if known is None else known
    for tensors in named:
        content.update(f"{len(tensors)} tensors ".encode())
        for name, tensor in tensors.items():
            content.update(repr((name, tensor.dtype, *tensor.shape)).encode())
            content.update(_bits(tensor) if tensor.numel() < LARGE else _digest_of(tensor, known))
    return content.digest()


def _bits(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().numpy().tobytes()


def _digest_of(tensor: Tensor, known: MutableMapping[Tensor, bytes]) -> bytes:
    found = known.get(tensor)
    if found is None:
        found = known[tensor] = hashlib.blake2b(_bits(tensor), digest_size=16).digest()
    return found


def digest(settings: object, tensors: Iterable[Mapping[str, Tensor]]) -> str:
    """A name for a computation by its content: settings by their `repr`, tensors by their bits."""
    content = repr((settings, torch.__version__)).encode() + fingerprint(*tensors)
    return hashlib.blake2b(content, digest_size=16).hexdigest()
