"""Pairs of ordinary differential equations."""

from simulators.ensemble import make_pair
from simulators.odes.lorenz import Lorenz63, Lorenz96
from simulators.odes.lotka_volterra import PredatorsAndPrey
from simulators.odes.oscillators import Oscillators
from simulators.odes.pendulum import Pendulums
from simulators.odes.sir import Epidemics

TRAJECTORIES = (
    make_pair(
        "oscillator_damped",
        "a harmonic oscillator, then a damped one",
        "physics",
        "moderate",
        Oscillators(),
        Oscillators(coefficients=(1.0, 0.0, 0.1, 0.0)),
        headline="rmse_std",
    ),
    make_pair(
        "oscillator_duffing",
        "a harmonic oscillator, then Duffing's with two wells",
        "physics",
        "hard",
        Oscillators(),
        Oscillators(coefficients=(-1.0, 1.0, 0.0, 0.0)),
        headline="rmse_std",
    ),
    make_pair(
        "oscillator_noise",
        "Duffing's oscillator, then measured with an error of 0.1",
        "noise",
        "hard",
        Oscillators(coefficients=(-1.0, 1.0, 0.0, 0.0)),
        Oscillators(coefficients=(-1.0, 1.0, 0.0, 0.0)),
        headline="rmse_std",
        noise=(0.0, 0.1),
    ),
    make_pair(
        "oscillator_forced",
        "an oscillator with two wells, then the same one driven",
        "physics",
        "hard",
        Oscillators(coefficients=(-0.2, 0.2, 0.0, 0.0)),
        Oscillators(coefficients=(-0.2, 0.2, 0.0, 0.15)),
        headline="rmse_std",
    ),
    make_pair(
        "oscillator_energy",
        "position and momentum of a damped oscillator, then its energy",
        "output",
        "hard",
        Oscillators(coefficients=(1.0, 0.0, 0.1, 0.0)),
        Oscillators(coefficients=(1.0, 0.0, 0.1, 0.0), report="energy"),
        headline="rmse_std",
    ),
    make_pair(
        "oscillator_stiff",
        "an oscillator with two wells, then one with a stiff well where the hill was",
        "negative",
        "hard",
        Oscillators(coefficients=(-1.0, 1.0, 0.0, 0.0)),
        Oscillators(coefficients=(4.0, 0.0, 0.0, 0.0)),
        headline="rmse_std",
    ),
    make_pair(
        "pendulum",
        "a linearised pendulum, then the nonlinear pendulum",
        "physics",
        "moderate",
        Pendulums(angle=(-1.0, 1.0), linear=True),
        Pendulums(angle=(-1.0, 1.0)),
        headline="rmse_std",
    ),
    make_pair(
        "lotka_volterra",
        "predators and prey over a range of rates, then with faster rates from its upper part",
        "parameter",
        "moderate",
        PredatorsAndPrey(growth=(0.6, 1.4), predation=(0.6, 1.4), death=(0.6, 1.4), conversion=(0.6, 1.4)),
        PredatorsAndPrey(growth=(1.1, 1.4), predation=(1.1, 1.4), death=(1.1, 1.4), conversion=(1.1, 1.4)),
        headline="rmse_std",
    ),
    make_pair(
        "sir",
        "an epidemic, then one that spreads faster than any of the source's",
        "parameter",
        "hard",
        Epidemics(transmission=(0.3, 0.5)),
        Epidemics(transmission=(0.5, 0.7)),
        headline="rmse_std",
    ),
    make_pair(
        "lorenz_63",
        "Lorenz's convection by Runge-Kutta in 32 steps, then to a tolerance of 1e-8",
        "fidelity",
        "hard",
        Lorenz63(integrator="rk4", steps=1),
        Lorenz63(),
        headline="rmse_std",
        resolved=(32.0, 1.0),
    ),
    make_pair(
        "lorenz_96",
        "weather on a ring observed at two neighbouring sites, then at the two opposite sites",
        "output",
        "hard",
        Lorenz96(sensors=(0, 1)),
        Lorenz96(sensors=(4, 5)),
        headline="rmse_std",
    ),
)
