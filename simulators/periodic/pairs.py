"""Pairs of fields that evolve on a periodic box."""

from dataclasses import replace

from simulators.ensemble import make_pair
from simulators.periodic.advection_diffusion import AdvectionDiffusion
from simulators.periodic.allen_cahn import AllenCahn
from simulators.periodic.burgers import Burgers
from simulators.periodic.field_ensemble import PeriodicFields, Waves
from simulators.periodic.fisher_kpp import FisherKPP
from simulators.periodic.gray_scott import GrayScott
from simulators.periodic.korteweg_de_vries import KortewegDeVries
from simulators.periodic.kuramoto_sivashinsky import KuramotoSivashinsky
from simulators.periodic.navier_stokes import NavierStokes

RIPPLES = Waves(deviation=0.5, modes=6)
STEEP = PeriodicFields(Burgers((0.01, 0.04)), RIPPLES, time=0.3)
CARRIED = PeriodicFields(AdvectionDiffusion((0.2, 0.8), (0.001, 0.02)), Waves(modes=6), time=0.5, reported=32, points=32)
SPREADING = PeriodicFields(
    FisherKPP((0.002, 0.01)), Waves(-2.0, 2.0, modes=6, between=(0.0, 1.0)), time=0.5, reported=32, steps=32
)
SOLITONS = PeriodicFields(
    KortewegDeVries((0.5, 1.0)), Waves(deviation=0.4, modes=5, cutoff=1.0), time=0.5, length=20.0, steps=150
)
CHAOS = PeriodicFields(KuramotoSivashinsky((0.9, 1.1)), Waves(modes=5), time=5.0, length=22.0, points=48, steps=400)
PHASES = PeriodicFields(AllenCahn((0.02, 0.05)), Waves(deviation=0.5, modes=6), time=1.0, points=256, steps=32)
SPOTS = PeriodicFields(
    GrayScott((0.03, 0.05), (0.057, 0.063), 2e-4, 1e-4),
    Waves(-2.0, 2.0, modes=6, between=(0.0, 0.5)),
    time=100.0,
    axes=2,
    reported=32,
    points=64,
    steps=40,
)
VORTICES = PeriodicFields(NavierStokes((1e-3, 2e-3)), Waves(deviation=6.0, modes=6), time=0.5, axes=2, points=64, steps=64)
PERIODIC = (
    make_pair(
        "advection_diffusion",
        "a profile that drifts and spreads, then one with velocity and diffusivity from a narrow part of the source's ranges",
        "parameter",
        "easy",
        CARRIED,
        replace(CARRIED, pde=AdvectionDiffusion((0.45, 0.55), (0.003, 0.005))),
    ),
    make_pair(
        "advection_diffusion_noise",
        "a profile that drifts and spreads, then measured with an error of 0.2 kg/m^3",
        "noise",
        "easy",
        CARRIED,
        CARRIED,
        noise=(0.0, 0.2),
    ),
    make_pair(
        "advection_diffusion_rough",
        "a profile of a few long waves that drifts and spreads, then one of many short waves",
        "input",
        "hard",
        replace(CARRIED, waves=Waves(modes=6, cutoff=1.0)),
        replace(CARRIED, waves=Waves(modes=6, cutoff=10.0)),
    ),
    make_pair(
        "burgers",
        "waves that only spread, then waves that steepen",
        "physics",
        "moderate",
        replace(STEEP, pde=Burgers((0.01, 0.04), steepening=0.0)),
        STEEP,
    ),
    make_pair(
        "burgers_sharp",
        "waves that steepen into wide fronts, then into fronts several times thinner",
        "parameter",
        "hard",
        replace(STEEP, pde=Burgers((0.02, 0.08)), steps=128),
        replace(STEEP, pde=Burgers((0.005, 0.01)), points=256, steps=128),
    ),
    make_pair(
        "burgers_reversed",
        "waves carried to the right, then waves carried to the left, for which the source predicts wrong positions",
        "negative",
        "hard",
        replace(STEEP, pde=Burgers((0.01, 0.02), drift=0.6), waves=Waves(deviation=0.3, modes=6), time=0.4),
        replace(STEEP, pde=Burgers((0.01, 0.02), drift=-0.6), waves=Waves(deviation=0.3, modes=6), time=0.4),
    ),
    make_pair(
        "fisher_kpp",
        "a population that spreads, then one that grows too",
        "physics",
        "hard",
        replace(SPREADING, pde=FisherKPP((0.002, 0.01), growth=0.0)),
        SPREADING,
    ),
    make_pair(
        "korteweg_de_vries",
        "solitons from long waves, then from waves of many lengths",
        "input",
        "hard",
        SOLITONS,
        replace(SOLITONS, waves=replace(SOLITONS.waves, cutoff=4.0)),
        resolved=(2.0, 2.0),
    ),
    make_pair(
        "kuramoto_sivashinsky",
        "chaos on a grid of 16 points and in long steps, then on 48 points",
        "fidelity",
        "moderate",
        replace(CHAOS, points=16, steps=100),
        CHAOS,
        resolved=(1.0, 2.0),
    ),
    make_pair(
        "allen_cahn",
        "two phases of equal strength, then one that drives the other back",
        "physics",
        "moderate",
        PHASES,
        replace(PHASES, pde=AllenCahn((0.02, 0.05), bias=0.2)),
    ),
    make_pair(
        "gray_scott",
        "spots and stripes over a range of feed and kill rates, then in a corner of it",
        "parameter",
        "moderate",
        SPOTS,
        replace(SPOTS, pde=GrayScott((0.03, 0.035), (0.058, 0.06), 2e-4, 1e-4)),
        resolved=(2.0, 2.0),
    ),
    make_pair(
        "navier_stokes",
        "decaying vortices on a coarse grid, then on one four times finer",
        "fidelity",
        "hard",
        replace(VORTICES, points=16, steps=16),
        VORTICES,
    ),
    make_pair(
        "navier_stokes_forced",
        "decaying vortices, then vortices that a force along x drives",
        "physics",
        "hard",
        replace(VORTICES, pde=NavierStokes((2e-3, 4e-3)), points=48, steps=40),
        replace(VORTICES, pde=NavierStokes((2e-3, 4e-3), drag=0.1, forcing=1.0), points=48, steps=40),
    ),
)
