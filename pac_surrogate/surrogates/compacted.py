"""Compaction of predictors: the networks of which they are made lose the units that pruning has disconnected."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from pac_surrogate.files import Variable
from pac_surrogate.files.variables import variables_of_columns
from pac_surrogate.models import Architecture
from pac_surrogate.predictors import Correction, Folds, GaussianProcess, Mixture, Network, OutputGroups, Predictor
from pac_surrogate.predictors.network import build_network
from pac_surrogate.pruning.compaction import compact_network
from pac_surrogate.utilities.display import Shown


@dataclass(frozen=True, eq=False, repr=False)
class Compaction(Shown):
    """The compaction of the predictors of one surrogate.

    What predictors share, such as the source network below the fits of all folds, stays shared.

    Attributes:
        inputs: the input variables.
        outputs: the output variables.
        done: the compacted predictor of each predictor so far, by identity.
        modules: the modules built so far.
    """

    inputs: Sequence[Variable]
    outputs: Sequence[Variable]
    done: dict[int, Predictor] = field(default_factory=dict)
    modules: dict[Architecture, nn.Module] = field(default_factory=dict)

    def predictor(self, given: Predictor) -> Predictor:
        """Return the same map with compacted networks; the predictor itself if nothing can be removed.

        Networks are compacted, and so are the parts of corrections, Gaussian processes, mixtures and groups of outputs. Other
        predictors are returned unchanged, because their kernels or readouts refer to all units of their network.
        """
        if id(given) not in self.done:
            self.done[id(given)] = self._compacted(given)
        return self.done[id(given)]

    def folds(self, given: Folds | None) -> Folds | None:
        """Return the fits without parts of the samples, each with compacted networks."""
        if given is None:
            return None
        return _with(given, members=tuple(map(self.predictor, given.members)))

    def _compacted(self, given: Predictor) -> Predictor:
        if isinstance(given, Network):
            return self._network(given)
        if isinstance(given, Correction | GaussianProcess) and given.base is not None:
            return _with(given, base=self.predictor(given.base))
        if isinstance(given, Mixture):
            return _with(given, members=tuple(map(self.predictor, given.members)))
        if isinstance(given, OutputGroups):
            parts = [Compaction(self.inputs, variables_of_columns(self.outputs, own.tolist())) for own in given.columns]
            members = tuple(part.predictor(member) for part, member in zip(parts, given.members, strict=True))
            folds = tuple(part.folds(own) for part, own in zip(parts, given.folds, strict=True))
            return _with(given, members=members, folds=folds)
        return given

    def _network(self, given: Network) -> Network:
        architecture, weights, essential = compact_network(given.architecture, given.weights, given.essential)
        if architecture == given.architecture:
            return given
        if architecture not in self.modules:
            self.modules[architecture] = build_network(architecture, self.inputs, self.outputs).module
        module = self.modules[architecture]
        return dataclasses.replace(given, architecture=architecture, module=module, weights=weights, essential=essential)


def _with(given: Any, **parts: Any) -> Any:
    """Return the same with other parts; the given object itself if none of them changed.

    Predictors compare by identity, and None is equal to itself.
    """
    return given if all(part == getattr(given, name) for name, part in parts.items()) else dataclasses.replace(given, **parts)
