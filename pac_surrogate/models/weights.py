"""Weights are dictionaries name -> tensor; a mask is such a dictionary of booleans.

Nothing here changes a tensor in place. A *stack* has a leading `run` axis on every tensor.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    # Each part says how long it is, so that no two lists of tensors give the same bytes.
    content = [part for tensors in named for part in _parts(tensors)]
    return hashlib.blake2b(b"".join(content), digest_size=16).digest()


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[bytes]:
    yield f"{len(tensors)} tensors ".encode()
    for name, tensor in tensors.items():
        yield repr((name, tensor.dtype, *tensor.shape)).encode()
        yield _bits(tensor) if tensor.numel() < LARGE else _kept_digest(tensor)


def _bits(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().numpy().tobytes()


_KNOWN: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # version and digest of tensors that were asked for


def _kept_digest(tensor: Tensor) -> bytes:
    if tensor.is_inference():  # of which torch does not tell whether it was changed
        return hashlib.blake2b(_bits(tensor), digest_size=16).digest()
    version, known = _KNOWN.get(tensor, (None, b""))
    if version != tensor._version:
        known = hashlib.blake2b(_bits(tensor), digest_size=16).digest()
        _KNOWN[tensor] = (tensor._version, known)
    return known


def digest(settings: object, tensors: Iterable[Mapping[str, Tensor]]) -> str:
    """A name for a computation by its content: settings by their `repr`, tensors by their bits."""
    content = repr((settings, torch.__version__)).encode() + fingerprint(*tensors)
    return hashlib.blake2b(content, digest_size=16).hexdigest()
