"""Weights are dictionaries name -> tensor; a mask is such a dictionary of booleans.

No function here changes a tensor in place. A *stack* has a leading `run` axis on every tensor.
"""

import hashlib
from collections.abc import Iterable, Mapping, MutableMapping, Sequence

import torch
from torch import Tensor

Weights = dict[str, Tensor]
Mask = dict[str, Tensor]
LARGE = 1000  # least size of a tensor whose digest is cached


def prunable(weights: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the weight tensors, which have two axes or more; biases and norm layers have one, and are kept."""
    return [name for name, weight in weights.items() if weight.ndim >= 2]


def masked(weights: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> Weights:
    """Return the weights where the mask is true, +0.0 elsewhere.

    A product with the mask would give -0.0 in places, and a model that equals another only up to the signs of zeros.
    """
    return {name: torch.where(mask[name], weight, 0.0) for name, weight in weights.items()}


def redundant(essential: Mapping[str, Tensor]) -> Mask:
    """Return the complement of an essential mask, which marks the weights that pruning has freed."""
    return {name: ~mask for name, mask in essential.items()}


def inside(weights: Mapping[str, Tensor], module: str) -> Mask:
    """Return the mask of every weight that belongs to the module of this name (`readout` holds `readout.weight`)."""
    found = {name: torch.tensor(name == module or name.startswith(module + ".")) for name in weights}
    if not any(bool(mask) for mask in found.values()):
        raise ValueError(f"no weights belong to a module named {module!r}; the tensors are: {', '.join(weights)}")
    return found


def sparsity(essential: Mapping[str, Tensor]) -> float:
    """Return the realised sparsity, the pruned fraction of the weight tensors of a full-shaped mask."""
    names = prunable(essential)
    return sum(int((~essential[n]).sum()) for n in names) / max(1, sum(essential[n].numel() for n in names))


def pruned_brief(weights: Mapping[str, Tensor], essential: Mapping[str, Tensor], readout: str) -> str:
    """Describe a pruned network: the sparsity of its body, all but the readout, and how many of all its weights are not 0.

    The two may disagree, as PAC trains the weights that are not essential on the target.
    """
    own = inside(essential, readout)
    body = sparsity({name: mask for name, mask in essential.items() if not bool(own[name])})
    nonzero = sum(int(weight.count_nonzero()) for weight in weights.values())
    total = sum(weight.numel() for weight in weights.values())
    return f"sparsity {body:.2f} of the body, {nonzero:,} of {total:,} weights not zero"


def stack(runs: Sequence[Mapping[str, Tensor]]) -> Weights:
    """Put a leading run axis on every tensor."""
    return {name: torch.stack([run[name] for run in runs]) for name in runs[0]}


def unstack(stacked: Mapping[str, Tensor]) -> list[Weights]:
    """Undo `stack`; every run is copied to its own memory, so that keeping one run does not keep them all."""
    count = next(iter(stacked.values())).shape[0]
    return [{name: tensor[run].clone() for name, tensor in stacked.items()} for run in range(count)]


def fingerprint(*named: Mapping[str, Tensor], known: MutableMapping[Tensor, bytes] | None = None) -> bytes:
    """Compute a digest of tensors with their names.

    Args:
        named: the tensors by name.
        known: cache of the digests of large tensors, which must not change meanwhile.
    """
    # Each part begins with its length, so that different lists of tensors never give the same bytes.
    content, known = hashlib.blake2b(digest_size=16), {} if known is None else known
    for tensors in named:
        content.update(f"{len(tensors)} tensors ".encode())
        for name, tensor in tensors.items():
            content.update(repr((name, tensor.dtype, *tensor.shape)).encode())
            content.update(_bits(tensor) if tensor.numel() < LARGE else _digest_of(tensor, known))
    return content.digest()


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have the same shape, type and bits; +0.0 and -0.0 differ."""
    return one.shape == other.shape and one.dtype == other.dtype and _bits(one) == _bits(other)


def _bits(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().numpy().tobytes()


def _digest_of(tensor: Tensor, known: MutableMapping[Tensor, bytes]) -> bytes:
    found = known.get(tensor)
    if found is None:
        found = known[tensor] = hashlib.blake2b(_bits(tensor), digest_size=16).digest()
    return found


def digest(settings: object, tensors: Iterable[Mapping[str, Tensor]]) -> str:
    """Return a name for a computation that depends on its content: the `repr` of its settings and the bits of its tensors."""
    content = repr((settings, torch.__version__)).encode() + fingerprint(*tensors)
    return hashlib.blake2b(content, digest_size=16).hexdigest()
