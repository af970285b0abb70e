"""The parts of a network that pruning leaves out: by default the readout, as the readouts of the papers are new and dense."""

from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.pruning.importance import not_exempt
from pac_surrogate.surrogates.surrogate import Surrogate

READOUT = ("readout",)


def exempt_modules(surrogate: Surrogate, exempt: tuple[str, ...]) -> tuple[str, ...]:
    """Return tensors and modules under the names of the network, in which the module `readout` may have another name.

    Raises:
        NotApplicableError: if no weight tensor is left to prune.
        ValueError: if an exempt name is unknown.
    """
    modules = tuple(surrogate.readout if name in READOUT else name for name in exempt)
    if exempt and not not_exempt(surrogate.weights, modules):
        raise NotApplicableError(
            f"every weight tensor is exempt from pruning ({', '.join(exempt)}): give exempt=() to prune them"
        )
    return modules
