"""The source as it is: what every transfer has to beat."""

from dataclasses import dataclass

from pac_surrogate.transfer.method import Stage


@dataclass(frozen=True)
class SourceUnchanged:
    """Predict the target with the source surrogate itself; no target sample is used."""

    def stages(self) -> tuple[Stage, ...]:
        """No stage."""
        return ()
