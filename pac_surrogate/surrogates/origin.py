"""What a provenance says, as texts; that of a loaded file may hold anything."""

from collections.abc import Mapping
from typing import Any

from pac_surrogate.utilities.display import listed

VALIDATION = "validation"  # entry of the provenance with the source's own error; see `own_error`
DISTILLED = "distilled"  # entry of the provenance of a network that was trained on a surrogate's predictions; see `distil`


def samples_of(origin: Mapping[str, Any]) -> str | None:
    """Describe the number of samples and the seed in a provenance."""
    return f"{origin['samples']:,} samples, seed {origin.get('seed')}" if isinstance(origin.get("samples"), int) else None


def distilled(origin: Mapping[str, Any]) -> str | None:
    """Describe from what a network was distilled."""
    kept = origin.get(DISTILLED)
    if not isinstance(kept, Mapping) or not isinstance(kept.get("error"), float):
        return None
    return (
        f"{kept.get('samples')} predictions of a {kept.get('predictor')}, which adds an error of {kept['error']:.3g} deviations"
    )


def validated(origin: Mapping[str, Any]) -> str | None:
    """Describe the error on validation samples that a provenance holds."""
    kept = origin.get(VALIDATION)
    if not isinstance(kept, Mapping) or not isinstance(kept.get("error"), float):
        return None
    outputs: Any = kept.get("outputs")
    each = outputs if isinstance(outputs, Mapping) and all(isinstance(one, float) for one in outputs.values()) else {}
    named = f" ({listed([f'{name} {error:.3g}' for name, error in each.items()])})" if len(each) > 1 else ""
    whose = "of these samples" if kept.get("held_out") else "samples"
    return f"{kept.get('samples')} {whose}, error {kept['error']:.3g} of the deviation{named}"
