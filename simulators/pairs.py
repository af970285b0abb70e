"""All pairs of simulators: a cheap source with thousands of samples and a dear target with hundreds."""

from simulators.ensemble import Pair
from simulators.field_pairs import FIELDS
from simulators.heat_pairs import HEAT
from simulators.periodic_pairs import PERIODIC
from simulators.table_pairs import TABLES
from simulators.trajectory_pairs import TRAJECTORIES

PAIRS = {pair.name: pair for pair in (*HEAT, *PERIODIC, *TRAJECTORIES, *FIELDS, *TABLES)}


def find_pair(name: str) -> Pair:
    """Return the pair of that name.

    Raises:
        ValueError: if there is none.
    """
    if name not in PAIRS:
        raise ValueError(f"there is no pair {name!r}: choose one of {', '.join(PAIRS)}")
    return PAIRS[name]
