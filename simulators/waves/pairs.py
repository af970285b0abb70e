"""Pairs of strings and membranes."""

from simulators.ensemble import make_pair
from simulators.waves.membrane_ensemble import Membranes
from simulators.waves.string_ensemble import Strings

WAVES = (
    make_pair(
        "strings_free",
        "strings held at both ends, then free ones",
        "boundary",
        "moderate",
        Strings(ends="held"),
        Strings(ends="free"),
    ),
    make_pair(
        "membranes",
        "membranes of uneven wave speed on a coarse grid, then on one four times finer",
        "fidelity",
        "hard",
        Membranes(cells=16),
        Membranes(),
        resolved=(4.0, 1.0),
    ),
)
