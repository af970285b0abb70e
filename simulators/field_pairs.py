"""Pairs of waves, water, and steady fields."""

from simulators.basins import Basins
from simulators.darcy import Darcy
from simulators.ensemble import make_pair
from simulators.helmholtz import Helmholtz, ScreenedPoisson
from simulators.membranes import Membranes
from simulators.poisson import AnisotropicPoisson, SteadyAdvectionDiffusion
from simulators.strings import Strings

FIELDS = (
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
    make_pair(
        "poisson",
        "anisotropic diffusion, then more anisotropic than any of the source's",
        "parameter",
        "hard",
        AnisotropicPoisson((1.0, 5.0)),
        AnisotropicPoisson((5.0, 10.0)),
    ),
    make_pair(
        "poisson_advection",
        "diffusion with the wind neglected, then with it",
        "physics",
        "hard",
        SteadyAdvectionDiffusion(ratio=(0.1, 0.3), advected=False),
        SteadyAdvectionDiffusion(ratio=(0.1, 0.3)),
    ),
    make_pair(
        "poisson_screened",
        "diffusion with losses, then with losses above all of the source's",
        "parameter",
        "hard",
        ScreenedPoisson((1.0, 10.0)),
        ScreenedPoisson((10.0, 15.0)),
    ),
    make_pair(
        "helmholtz",
        "damped waves from random sources, seen everywhere, then at eight receivers",
        "output",
        "hard",
        Helmholtz(),
        Helmholtz(receivers=8),
    ),
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
