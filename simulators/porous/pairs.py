"""Pairs of porous squares."""

from simulators.ensemble import make_pair
from simulators.porous.darcy_ensemble import Darcy

POROUS = (
    make_pair(
        "darcy",
        "flow through porous squares on a coarse grid, then on one eight times finer",
        "fidelity",
        "moderate",
        Darcy(cells=8, log_deviation=1.5),
        Darcy(cells=64, log_deviation=1.5),
        resolved=(8.0, 1.0),
    ),
    make_pair(
        "darcy_hole",
        "flow through porous squares, then through squares with a solid block in the middle",
        "boundary",
        "hard",
        Darcy(),
        Darcy(hole_radius=0.125),
    ),
)
