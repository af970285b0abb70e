"""A cantilever under an inclined force at its tip: the formula for small deflections against the elastica.

Where the deflection is small beside the length, the formula is nearly exact; longer and thinner beams bend less than it says.
The part of the force along the beam, which the formula ignores, stiffens or softens the beam.
"""

from functools import partial

import numpy as np
from scipy.integrate import solve_bvp

from pac_surrogate.files import Coordinate, Variable
from real.pair import Arrays, Input, RealPair, Side, rows_of

NAME = "cantilever"
STATIONS = np.linspace(0.0, 1.0, 41)[1:]  # of the length of the beam; the clamped end does not move
TOLERANCE = 1e-6
LOADED = (0.25, 0.5, 1.0)  # parts of the load, each of which starts from the shape under the one before


def stiffness_of(row: dict[str, float]) -> float:
    """Return the bending stiffness E I of a rectangular section [N m^2]."""
    return 1e9 * row["modulus"] * (1e-3 * row["width"]) * (1e-3 * row["height"]) ** 3 / 12


def euler_bernoulli(inputs: Arrays) -> Arrays:
    """Return the deflection w(s) = F_n s^2 (3 L - s) / (6 E I) + q s^2 (6 L^2 - 4 L s + s^2) / (24 E I).

    F_n is the part of the tip's force that is normal to the beam, and q is a load along its length.
    """
    curves = []
    for row in rows_of(inputs):
        length, force, load = row["length"], row["force"] * np.cos(np.radians(row["inclination"])), row["load"]
        s = STATIONS * length
        bent = force * s**2 * (3 * length - s) / 6 + load * s**2 * (6 * length**2 - 4 * length * s + s**2) / 24
        curves.append(bent / stiffness_of(row))
    return {"deflection": np.array(curves)}


def elastica(inputs: Arrays) -> Arrays:
    """Return the deflection y(s) with y' = sin theta of the beam that bends without limit and does not stretch.

    E I theta'' = -(F_n + q (L - s)) cos theta + F_t sin theta with theta(0) = 0 and theta'(L) = 0, where F_t pulls along the
    beam, by collocation of fourth order (SciPy's solve_bvp, tolerance 1e-6). In units of the length: t = s / L.

    Raises:
        ValueError: if the collocation does not converge.
    """
    return {"deflection": np.array([_bend(row) for row in rows_of(inputs)])}


def _bend(row: dict[str, float]) -> np.ndarray:
    length, angle = row["length"], np.radians(row["inclination"])
    scale = length**2 / stiffness_of(row)
    normal, along = scale * row["force"] * np.cos(angle), scale * row["force"] * np.sin(angle)
    load = scale * length * row["load"]

    def slopes(t: np.ndarray, state: np.ndarray, part: float) -> np.ndarray:
        theta, bend, _ = state
        turning = along * np.sin(theta) - (normal + load * (1 - t)) * np.cos(theta)
        return np.stack([bend, part * turning, np.sin(theta)])

    def ends(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.array([left[0], right[1], left[2]])

    mesh, guess = np.linspace(0.0, 1.0, 21), np.zeros((3, 21))
    for part in LOADED:
        found = solve_bvp(partial(slopes, part=part), ends, mesh, guess, tol=TOLERANCE, max_nodes=5000)
        mesh, guess = found.x, found.y
    if not found.success:
        raise ValueError(f"the collocation of the elastica must converge, it did not for {row}: {found.message}")
    return length * found.sol(STATIONS)[2]


PAIR = RealPair(
    name=NAME,
    title="cantilever with small deflections, then the elastica with large ones",
    inputs=(
        Input("length", 0.4, 0.7, "m", "length"),
        Input("width", 20.0, 30.0, "mm", "width of the section"),
        Input("height", 2.0, 3.0, "mm", "height of the section"),
        Input("modulus", 70.0, 210.0, "GPa", "Young's modulus"),
        Input("force", 0.5, 8.0, "N", "force at the tip"),
        Input("inclination", -30.0, 30.0, "degree", "angle between the force and the normal of the beam, positive if it pulls"),
        Input("load", 0.0, 5.0, "N m-1", "load along the length"),
    ),
    outputs=(Variable("deflection", ("station",), (40,), "m", "deflection at a station along the beam"),),
    coordinates=(Coordinate("station", STATIONS, "1", "distance from the clamped end along the beam, over its length"),),
    source=Side(
        "formula of Euler and Bernoulli", "E I w'''' = q, w(0) = w'(0) = w''(L) = 0, E I w'''(L) = -F_n", euler_bernoulli
    ),
    target=Side(
        "SciPy, solve_bvp (Virtanen et al. 2020)",
        "E I theta'' = -(F_n + q (L - s)) cos theta + F_t sin theta, y' = sin theta, theta(0) = theta'(L) = 0",
        elastica,
    ),
    packages=(),
    licence="SciPy: BSD-3-Clause",
    citation="Timoshenko and Gere, Theory of Elastic Stability (1961); Kierzenka and Shampine, ACM TOMS 27 (2001) 299",
)
