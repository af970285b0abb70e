"""Pairs of conducting rods and plates."""

from simulators.ensemble import make_pair
from simulators.heat.plate_ensemble import Plates
from simulators.heat.rod_ensemble import Rods

HEAT = (
    make_pair(
        "heat_equation",
        "rods with cold ends, then rods of a material that conducts up to nine times better",
        "parameter",
        "moderate",
        Rods((5.0, 15.0), None),
        Rods((15.0, 45.0), None),
    ),
    make_pair(
        "heat_equation_losses",
        "insulated rods, then rods that lose heat at both ends and conduct better where they are hot",
        "physics",
        "moderate",
        Rods((10.0, 30.0), 0.0, mean=30.0, time=30.0),
        Rods((10.0, 30.0), 800.0, temperature_coefficients=(0.012, 5e-5), mean=30.0, time=30.0),
    ),
    make_pair(
        "heat_equation_2d",
        "plates of uneven conductivity on a coarse grid, then on a grid eight times finer",
        "fidelity",
        "hard",
        Plates(cells=8),
        Plates(cells=64),
        resolved=(4.0, 0.5),
    ),
    make_pair(
        "heat_equation_robin",
        "rods whose ends are held cold, then rods that lose heat through a film at both ends",
        "boundary",
        "moderate",
        Rods((10.0, 30.0), None),
        Rods((10.0, 30.0), 800.0, cold_start=True),
    ),
)
