"""What is pruned together, and what pruning leaves out: by default the readout, as those of the papers are new and dense."""

from typing import Annotated, TypeAlias

from pac_surrogate.methods.hyper_parameters import one_of
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.pruning.groups import GRANULARITIES, group_importance
from pac_surrogate.pruning.importance import not_exempt
from pac_surrogate.surrogates.surrogate import Surrogate

Granularity: TypeAlias = Annotated[str, one_of(*GRANULARITIES)]
READOUT = ("readout",)


def exempt_modules(surrogate: Surrogate, exempt: tuple[str, ...], granularity: str = "weight") -> tuple[str, ...]:
    """Return tensors and modules under the names of the network, in which the module `readout` may have another name.

    The readout is among them, whether it is given or not, if groups of weights are pruned, as it would lose entire outputs.

    Raises:
        NotApplicableError: if no weight tensor is left to prune, or one has no groups of this granularity.
        ValueError: if an exempt name is unknown.
    """
    exempt = exempt if granularity == "weight" else (*exempt, *READOUT)
    modules = tuple(surrogate.readout if name in READOUT else name for name in exempt)
    if exempt and not not_exempt(surrogate.weights, modules):
        raise NotApplicableError(
            f"every weight tensor is exempt from pruning ({', '.join(dict.fromkeys(exempt))}): give exempt=() to prune them"
        )
    if granularity != "weight":
        try:
            group_importance(surrogate.weights, granularity=granularity, exempt=modules)
        except ValueError as error:
            raise NotApplicableError(str(error)) from error
    return modules
