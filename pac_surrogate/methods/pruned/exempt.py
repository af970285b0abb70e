"""The parts of a network that pruning leaves out: by default the readout, as the readouts of the papers are new and dense."""

from pac_surrogate.surrogates.surrogate import Surrogate

READOUT = ("readout",)


def exempt_modules(surrogate: Surrogate, exempt: tuple[str, ...]) -> tuple[str, ...]:
    """Return tensors and modules under the names of the network, in which the module `readout` may have another name."""
    return tuple(surrogate.readout if name in READOUT else name for name in exempt)
