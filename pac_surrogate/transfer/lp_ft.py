"""LP-FT: probe first, then tune everything."""

import torch

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.plan import Plan
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.fine_tune import FineTune
from pac_surrogate.transfer.linear_probe import LinearProbe
from pac_surrogate.transfer.method import Stage


@settings
class Part:
    """A rule that may take only a part of the budget's steps.

    Args:
        rule: what poses the Plan.
        share: the part, in [0, 1].
    """

    rule: LinearProbe | FineTune
    share: float

    @property
    def learning_rate(self) -> float:
        """That of the rule."""
        return self.rule.learning_rate

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Pose the rule's Plan."""
        return self.rule.plan(surrogate, data, generator)


@settings
class LPFT:
    """Train the readout on the source's features, then all weights from there.

        w_1 = argmin L_T(w) over the readout from w_S;   w_T = argmin L_T(w) over all weights from w_1

    A readout that fits the features already leaves them less to give way to, so they are distorted less. Both stages together
    take the steps of one.
    Source: Kumar, Raghunathan, Jones, Ma & Liang, ICLR 2022 (arXiv:2202.10054).

    Args:
        probe_share: part of the steps that the probe takes, in [0, 1]; 0 is fine-tuning, 1 the linear probe.
        learning_rate: of Adam, for all weights.
        probe_learning_rate: of Adam, for the probe.
    """

    probe_share: float = 0.5
    learning_rate: float = 1e-3
    probe_learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 <= self.probe_share <= 1:
            raise ValueError(f"probe_share must be in [0, 1], got {self.probe_share}")
        self.stages()  # the rules check their own numbers

    def stages(self) -> tuple[Stage, ...]:
        """Probe, then tune, both on the target."""
        probe = Part(LinearProbe(learning_rate=self.probe_learning_rate), self.probe_share)
        tune = Part(FineTune(learning_rate=self.learning_rate), 1.0 - self.probe_share)
        return (("target", probe), ("target", tune))
