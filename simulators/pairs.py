"""Pairs of simulators: a cheap source with thousands of samples and a dear target with hundreds."""

from dataclasses import replace
from typing import Any

from simulators.advection_diffusion import AdvectionDiffusion
from simulators.allen_cahn import AllenCahn
from simulators.burgers import Burgers
from simulators.ensemble import Ensemble, Pair, Side
from simulators.fisher_kpp import FisherKPP
from simulators.friedman import Friedman
from simulators.gray_scott import GrayScott
from simulators.korteweg_de_vries import KortewegDeVries
from simulators.kuramoto_sivashinsky import KuramotoSivashinsky
from simulators.multi_fidelity import MultiFidelity
from simulators.navier_stokes import NavierStokes
from simulators.periodic_fields import PeriodicFields, Waves
from simulators.plates import Plates
from simulators.rods import Rods


def _pair(
    name: str,
    title: str,
    shift: Any,
    difficulty: Any,
    source: Ensemble,
    target: Ensemble,
    *,
    headline: Any = "rel_l2",
    counts: tuple[int, int, int] = (2000, 200, 200),
    resolved: tuple[float, float] = (1.0, 1.0),
    noise: tuple[float, float] = (0.0, 0.0),
) -> Pair:
    """Return a pair whose sides are named after it; `counts` are the source's, the rest is (source's, target's)."""
    cheap = Side(f"{name} source", source, *counts, resolved[0], noise[0])
    dear = Side(f"{name} target", target, 320, 80, 200, resolved[1], noise[1])
    return Pair(name, title, shift, difficulty, headline, cheap, dear)


HEAT = (
    _pair(
        "heat_equation",
        "rods with cold ends, of a material that conducts up to nine times better",
        "parameter",
        "moderate",
        Rods((5.0, 15.0), None),
        Rods((15.0, 45.0), None),
    ),
    _pair(
        "heat_equation_losses",
        "insulated rods, then rods that lose heat at both ends and conduct better where they are hot",
        "physics",
        "moderate",
        Rods((10.0, 30.0), 0.0, mean=30.0, time=30.0),
        Rods((10.0, 30.0), 800.0, temperature_coefficients=(0.012, 5e-5), mean=30.0, time=30.0),
    ),
    _pair(
        "heat_equation_2d",
        "plates of uneven conductivity on a coarse grid, then on a grid eight times finer",
        "fidelity",
        "moderate",
        Plates(cells=8),
        Plates(cells=64),
        resolved=(4.0, 0.5),
    ),
)

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
    _pair(
        "advection_diffusion",
        "a profile that drifts and spreads, then under the wind and in the medium of one site, inside the source's ranges",
        "parameter",
        "easy",
        CARRIED,
        replace(CARRIED, law=AdvectionDiffusion((0.45, 0.55), (0.003, 0.005))),
    ),
    _pair(
        "advection_diffusion_noise",
        "a profile that drifts and spreads, then measured with an error of 0.2 kg/m^3",
        "noise",
        "easy",
        CARRIED,
        CARRIED,
        noise=(0.0, 0.2),
    ),
    _pair(
        "advection_diffusion_rough",
        "a profile of a few long waves that drifts and spreads, then one of many short waves",
        "input",
        "moderate",
        replace(CARRIED, waves=Waves(modes=6, cutoff=1.0)),
        replace(CARRIED, waves=Waves(modes=6, cutoff=10.0)),
    ),
    _pair(
        "burgers",
        "waves that only spread, then waves that steepen",
        "physics",
        "moderate",
        replace(STEEP, law=Burgers((0.01, 0.04), steepening=0.0)),
        STEEP,
    ),
    _pair(
        "burgers_sharp",
        "waves that steepen into wide fronts, then into fronts several times thinner",
        "parameter",
        "moderate",
        replace(STEEP, law=Burgers((0.02, 0.08))),
        replace(STEEP, law=Burgers((0.005, 0.01)), points=256, steps=128),
    ),
    _pair(
        "burgers_reversed",
        "waves carried to the right, then to the left: what the source knows of places is wrong",
        "negative",
        "hard",
        replace(STEEP, law=Burgers((0.01, 0.02), drift=0.6), waves=Waves(deviation=0.3, modes=6), time=0.4),
        replace(STEEP, law=Burgers((0.01, 0.02), drift=-0.6), waves=Waves(deviation=0.3, modes=6), time=0.4),
    ),
    _pair(
        "fisher_kpp",
        "a population that spreads, then one that grows too",
        "physics",
        "hard",
        replace(SPREADING, law=FisherKPP((0.002, 0.01), growth=0.0)),
        SPREADING,
    ),
    _pair(
        "korteweg_de_vries",
        "solitons from long waves, then from waves of many lengths",
        "input",
        "moderate",
        SOLITONS,
        replace(SOLITONS, waves=replace(SOLITONS.waves, cutoff=4.0)),
    ),
    _pair(
        "kuramoto_sivashinsky",
        "chaos on a grid of 16 points and in long steps, then on 48 points",
        "fidelity",
        "hard",
        replace(CHAOS, points=16, steps=100),
        CHAOS,
    ),
    _pair(
        "allen_cahn",
        "two phases of equal strength, then one that drives the other back",
        "physics",
        "moderate",
        PHASES,
        replace(PHASES, law=AllenCahn((0.02, 0.05), bias=0.2)),
    ),
    _pair(
        "gray_scott",
        "spots and stripes over a range of feed and kill rates, then in a corner of it",
        "parameter",
        "easy",
        SPOTS,
        replace(SPOTS, law=GrayScott((0.03, 0.035), (0.058, 0.06), 2e-4, 1e-4)),
    ),
    _pair(
        "navier_stokes",
        "decaying vortices on a coarse grid, then on one four times finer",
        "fidelity",
        "easy",
        replace(VORTICES, points=16, steps=16),
        VORTICES,
    ),
    _pair(
        "navier_stokes_forced",
        "decaying vortices, then vortices that a force along x drives",
        "physics",
        "hard",
        replace(VORTICES, law=NavierStokes((2e-3, 4e-3)), points=48, steps=40),
        replace(VORTICES, law=NavierStokes((2e-3, 4e-3), drag=0.1, forcing=4.0), points=48, steps=40),
    ),
)

FIDELITIES = {
    "forrester": ("Forrester's function of one variable", "hard"),
    "branin": ("Branin's function of two variables, the cheap one hardly correlated", "hard"),
    "currin": ("Currin's function of two variables", "easy"),
    "park_a": ("Park's first function of four variables", "easy"),
    "park_b": ("Park's second function of four variables", "hard"),
    "borehole": ("flow through a borehole, eight variables", "hard"),
    "hartmann": ("Hartmann's function of six variables", "hard"),
    "piston": ("cycle time of a piston, seven variables", "hard"),
    "circuit": ("voltage of a push-pull circuit, six variables", "hard"),
    "wing": ("weight of a light aircraft's wing, ten variables", "hard"),
}
FRIEDMAN = {0: "easy", 1: "moderate", 2: "hard", 4: "hard", 8: "hard"}
TABLES = (
    *(
        _pair(
            name,
            f"{title}: cheap formula, then dear",
            "fidelity",
            difficulty,
            MultiFidelity(name, "low", "sobol"),
            MultiFidelity(name, "high", "sobol"),
            headline="rmse_std",
        )
        for name, (title, difficulty) in FIDELITIES.items()
    ),
    *(
        _pair(
            f"friedman_{dissimilarity}",
            f"Friedman #1 with noise 1, from a source whose coefficients differ by d = {dissimilarity}",
            "parameter",
            difficulty,
            Friedman(float(dissimilarity), task_seed=5),
            Friedman(),
            headline="rmse_std",
            counts=(10_000, 500, 9_500),
            noise=(1.0, 1.0),
        )
        for dissimilarity, difficulty in FRIEDMAN.items()
    ),
    _pair(
        "friedman_shuffled",
        "Friedman #1 with noise 1, from a source in which the five features that matter are the other five",
        "negative",
        "hard",
        Friedman(relevant=(10, 9, 8, 7, 6)),
        Friedman(),
        headline="rmse_std",
        counts=(10_000, 500, 9_500),
        noise=(1.0, 1.0),
    ),
)

PAIRS = {pair.name: pair for pair in (*HEAT, *PERIODIC, *TABLES)}


def find_pair(name: str) -> Pair:
    """Return the pair of that name.

    Raises:
        ValueError: if there is none.
    """
    if name not in PAIRS:
        raise ValueError(f"there is no pair {name!r}: choose one of {', '.join(PAIRS)}")
    return PAIRS[name]
