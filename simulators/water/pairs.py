"""Pairs of basins of shallow water."""

from simulators.ensemble import make_pair
from simulators.water.basin_ensemble import Basins

WATER = (
    make_pair(
        "shallow_water",
        "waves in a basin by first-order fluxes on 64 cells, then by second-order ones on 128",
        "fidelity",
        "moderate",
        Basins(cells=64, limiter="first order"),
        Basins(),
        resolved=(8.0, 2.0),
    ),
    make_pair(
        "shallow_water_friction",
        "waves in a basin, then slowed by the friction of its bed",
        "physics",
        "moderate",
        Basins(),
        Basins(friction=0.4),
        resolved=(2.0, 2.0),
    ),
)
