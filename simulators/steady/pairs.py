"""Pairs of steady fields on a periodic square."""

from simulators.ensemble import make_pair
from simulators.steady.helmholtz_ensemble import Helmholtz, ScreenedPoisson
from simulators.steady.poisson_ensemble import AnisotropicPoisson, SteadyAdvectionDiffusion

STEADY = (
    make_pair(
        "poisson",
        "anisotropic diffusion, then diffusion more anisotropic than any of the source's",
        "parameter",
        "hard",
        AnisotropicPoisson((1.0, 5.0)),
        AnisotropicPoisson((5.0, 10.0)),
    ),
    make_pair(
        "poisson_advection",
        "diffusion with advection neglected, then with advection",
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
)
