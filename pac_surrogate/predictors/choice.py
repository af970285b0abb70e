"""The record of an automatic choice of method: which candidate was chosen, and why."""

import html
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pac_surrogate.utilities.display import Shown

# Ends of the names of candidates that do without the network.
WITHOUT_NETWORK = ("scratch", "GP on the target", "the source's process", "co-kriging")


@dataclass(frozen=True)
class CandidateError:
    """Leave-one-out error of a candidate, measured on samples that it had not seen.

    Attributes:
        name: name of the candidate.
        error: root mean square of its leave-one-out residuals, in units of the outputs' scale; each input counts once.
        standard_error: standard error of `error`, from the variation between inputs.
        weight: weight of the candidate in the prediction.
    """

    name: str
    error: float
    standard_error: float
    weight: float


@dataclass(frozen=True, repr=False)
class Choice(Shown):
    """The method that `Auto` chose, with the reason.

    Attributes:
        method: the candidate with the largest weight.
        runner_up: the candidate with the least leave-one-out error among the others, or "" if there are no others.
        reason: the reason in plain words.
        table: all candidates, the best first.
        worse_than_source: estimated probability that the prediction has a larger error than the unchanged source; None where
            the source has no prediction.
        worse_than_scratch: the same probability for a model of the target samples alone: a trained network if there is one,
            otherwise the Gaussian process; None if there is neither.
    """

    method: str
    runner_up: str
    reason: str
    table: tuple[CandidateError, ...]
    worse_than_source: float | None = None
    worse_than_scratch: float | None = None

    @property
    def weight_of_network(self) -> float:
        """The weight of the candidates that use the source network."""
        return sum(one.weight for one in self.table if not one.name.endswith(WITHOUT_NETWORK))

    def _shown(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "runner-up": self.runner_up or None,
            "reason": self.reason,
            "table": f"{len(self.table)} candidates; print(choice) shows them",
            "worse than the unchanged source": _chance(self.worse_than_source),
            "worse than without the source": _chance(self.worse_than_scratch),
        }

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def __str__(self) -> str:
        width = max(len(one.name) for one in self.table) if self.table else 0
        lines = [f"{s.name:{width}s}  {s.error:9.4f} +- {s.standard_error:.4f}  weight {s.weight:.2f}" for s in self.table]
        than = {"the unchanged source": self.worse_than_source, "without the source": self.worse_than_scratch}
        chances = [f"chance of a larger error than {name}: {value:.0%}" for name, value in than.items() if value is not None]
        return "\n".join([self.reason, *lines, *chances])

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Choice":
        """Rebuild from plain values."""
        return cls(**{**saved, "table": tuple(CandidateError(**one) for one in saved["table"])})


def _chance(chance: float | None) -> str | None:
    return None if chance is None else f"estimated chance {chance:.0%}"
