"""The unchanged source: the baseline that every transfer has to beat."""

from dataclasses import dataclass
from typing import ClassVar

from pac_surrogate.methods.case import Case
from pac_surrogate.surrogates.surrogate import Surrogate


@dataclass(frozen=True)
class SourceUnchanged:
    """Predict the target with the source surrogate itself; no target sample is used."""

    learns_outputs: ClassVar[bool] = False

    def adapt(self, case: Case) -> Surrogate:
        """Return the source."""
        return case.surrogate
