"""The same problems as a user of SciPy writes them: `solve_ivp`, one row after the other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
from scipy.integrate import solve_ivp

from simulators.odes.lorenz import Lorenz63
from simulators.odes.lotka_volterra import PredatorsAndPrey
from simulators.odes.oscillators import Oscillators
from simulators.odes.trajectory_ensemble import Trajectories
from speed.evolutions import Evolution

Slope = Callable[[float, np.ndarray], Any]
System = Callable[..., tuple[Slope, list[float]]]  # maps a row's inputs, in the order of the ensemble, to slope and start

TOLERANCE = 1e-8  # relative and absolute tolerance of systems


def duffing(q: float, p: float) -> tuple[Slope, list[float]]:
    def slope(t: float, state: np.ndarray) -> list[float]:
        q, p = state
        return [p, q - q**3]

    return slope, [q, p]


def lotka_volterra(x: float, y: float, a: float, b: float, c: float, d: float) -> tuple[Slope, list[float]]:
    def slope(t: float, state: np.ndarray) -> list[float]:
        x, y = state
        return [x * (a - b * y), y * (d * x - c)]

    return slope, [x, y]


def lorenz(x: float, y: float, z: float, rho: float) -> tuple[Slope, list[float]]:
    def slope(t: float, state: np.ndarray) -> list[float]:
        x, y, z = state
        return [10 * (y - x), x * (rho - z) - y, x * y - 8 / 3 * z]

    return slope, [x, y, z]


SYSTEMS: dict[str, tuple[Trajectories, System]] = {
    "Duffing": (Oscillators(coefficients=(-1.0, 1.0, 0.0, 0.0), tolerance=TOLERANCE), duffing),
    "Lotka-Volterra": (PredatorsAndPrey(tolerance=TOLERANCE), lotka_volterra),
    "Lorenz 63": (Lorenz63(tolerance=TOLERANCE), lorenz),
}


def solve_system(system: System, rows: list[list[float]], times: np.ndarray, method: str, tolerance: float) -> np.ndarray:
    """Return the states of every row at all times, (row, time, component)."""
    found = []
    for row in rows:
        slope, start = system(*row)
        answer = solve_ivp(slope, (0, times[-1]), start, method=method, t_eval=times, rtol=tolerance, atol=tolerance)
        found.append(answer.y.T)
    return np.stack(found)


def solve_burgers(evolution: Evolution, fields: np.ndarray, method: str, tolerance: float) -> np.ndarray:
    """Solve Burgers' equation in the modes that our solver keeps, real and imaginary parts in turn."""
    (points,) = evolution.points
    kept = (points + 2) // 3
    wavenumbers = 2 * np.pi / evolution.length * np.arange(kept)
    decay, transport = -evolution.viscosity * wavenumbers**2, -0.5j * wavenumbers

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        modes = np.ascontiguousarray(state).view(complex)
        velocity = scipy.fft.irfft(modes, points, norm="forward")
        return (decay * modes + transport * scipy.fft.rfft(velocity * velocity, norm="forward")[:kept]).view(float)

    found, end = [], evolution.step * evolution.steps
    for field in fields:
        start = scipy.fft.rfft(field, norm="forward")[:kept].copy().view(float)
        answer = solve_ivp(slope, (0, end), start, method=method, t_eval=[end], rtol=tolerance, atol=tolerance)
        found.append(scipy.fft.irfft(answer.y[:, -1].copy().view(complex), points, norm="forward"))
    return np.stack(found)
