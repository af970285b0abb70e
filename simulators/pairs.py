"""All pairs of simulators: each has a cheap source with thousands of samples and an expensive target with hundreds."""

from simulators.ensemble import Pair
from simulators.heat.pairs import HEAT
from simulators.odes.pairs import TRAJECTORIES
from simulators.periodic.pairs import PERIODIC
from simulators.porous.pairs import POROUS
from simulators.steady.pairs import STEADY
from simulators.tables.pairs import TABLES
from simulators.water.pairs import WATER
from simulators.waves.pairs import WAVES

PAIRS = {pair.name: pair for pair in (*HEAT, *PERIODIC, *TRAJECTORIES, *WAVES, *WATER, *STEADY, *POROUS, *TABLES)}


def find_pair(name: str) -> Pair:
    """Return the pair with this name.

    Raises:
        ValueError: if no pair has this name.
    """
    if name not in PAIRS:
        raise ValueError(f"there is no pair {name!r}: choose one of {', '.join(PAIRS)}")
    return PAIRS[name]
