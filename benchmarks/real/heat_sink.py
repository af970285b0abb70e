"""A cooling fin: the formula of a slender fin against a plane field with radiation and varying conductivity, in scikit-fem.

Fins of poor conductors are colder at their skin than in their middle, which the formula ignores.
"""

import numpy as np

from pac_surrogate.files import Coordinate, Variable
from real.pair import Arrays, Input, RealPair, Side, need, solve_rows

NAME = "heat_sink"
ALONG, ACROSS = np.linspace(0.05, 1.0, 20), np.linspace(0.0, 1.0, 9)  # over the length; over half of the thickness
STEFAN_BOLTZMANN = 5.670374419e-8  # W m-2 K-4
CELLS = (40, 8)
SMALL = 1e-6  # K, the last change of Newton's iteration


def slender(inputs: Arrays) -> Arrays:
    """Return theta = theta_b (cosh m (L - x) + r sinh m (L - x)) / (cosh m L + r sinh m L), the same across the fin.

    m^2 = 2 h / (k d) and r = h / (m k), for the thickness d and convection at the tip too; radiation is ignored, and k is
    constant.
    """

    def solve(row: dict[str, float]) -> dict[str, np.ndarray]:
        length, half, film = 1e-3 * row["length"], 0.5e-3 * row["thickness"], row["convection"]
        m = np.sqrt(film / (row["conductivity"] * half))
        ratio = film / (m * row["conductivity"])
        left = m * length * (1 - ALONG)
        profile = (np.cosh(left) + ratio * np.sinh(left)) / (np.cosh(m * length) + ratio * np.sinh(m * length))
        excess = row["base"] - row["air"]
        return {"temperature": np.repeat((row["air"] + excess * profile)[:, None], len(ACROSS), 1)}

    return solve_rows(solve, inputs)


def plane(inputs: Arrays) -> Arrays:
    """Return the temperature T(x, y) of the upper half of the fin.

    div(k (1 + b (T - T_air)) grad T) = 0; T = T_base at x = 0; on the top and the tip the flux h (T - T_air) + e sigma (T^4 -
    T_air^4) leaves. Quadratic elements on 40 by 8 quadrilaterals, Newton's method.

    Raises:
        ValueError: if Newton's method does not converge.
    """
    fem = need("skfem", "scikit-fem", NAME)
    helpers = need("skfem.helpers", "scikit-fem", NAME)
    grid = np.stack([axis.reshape(-1) for axis in np.meshgrid(ALONG, ACROSS, indexing="ij")])

    def solve(row: dict[str, float]) -> dict[str, np.ndarray]:
        size = 1e-3 * np.array([row["length"], row["thickness"] / 2])
        mesh = fem.MeshQuad.init_tensor(*(np.linspace(0, one, n + 1) for one, n in zip(size, CELLS, strict=True)))
        basis = fem.Basis(mesh, fem.ElementQuad2())
        cooled = mesh.facets_satisfying(
            lambda x: np.isclose(x[0], size[0], atol=1e-9) | np.isclose(x[1], size[1], atol=1e-9), boundaries_only=True
        )
        skin = basis.boundary(cooled)
        air, film, emitted = row["air"], row["convection"], row["emissivity"] * STEFAN_BOLTZMANN
        k, slope = row["conductivity"], row["conductivity_slope"]

        @fem.BilinearForm
        def tangent(u, v, w):  # type: ignore[no-untyped-def]
            inside = k * (1 + slope * (w["t"] - air)) * helpers.dot(helpers.grad(u), helpers.grad(v))
            return inside + k * slope * u * helpers.dot(helpers.grad(w["t"]), helpers.grad(v))

        @fem.LinearForm
        def residual(v, w):  # type: ignore[no-untyped-def]
            return k * (1 + slope * (w["t"] - air)) * helpers.dot(helpers.grad(w["t"]), helpers.grad(v))

        @fem.BilinearForm
        def skin_tangent(u, v, w):  # type: ignore[no-untyped-def]
            return (film + 4 * emitted * w["t"] ** 3) * u * v

        @fem.LinearForm
        def skin_residual(v, w):  # type: ignore[no-untyped-def]
            return (film * (w["t"] - air) + emitted * (w["t"] ** 4 - air**4)) * v

        base = basis.get_dofs(lambda x: np.isclose(x[0], 0, atol=1e-9)).all()
        temperature = np.full(basis.N, row["base"])
        for _ in range(30):
            inside, outside = basis.interpolate(temperature), skin.interpolate(temperature)
            matrix = tangent.assemble(basis, t=inside) + skin_tangent.assemble(skin, t=outside)
            vector = residual.assemble(basis, t=inside) + skin_residual.assemble(skin, t=outside)
            change = fem.solve(*fem.condense(matrix, -vector, D=base))
            temperature = temperature + change
            if np.abs(change).max() < SMALL:
                return {"temperature": (basis.probes(grid * size[:, None]) @ temperature).reshape(len(ALONG), len(ACROSS))}
        raise ValueError(f"Newton's method must converge in 30 steps, it did not for {row}: narrow the ranges")

    return solve_rows(solve, inputs)


PAIR = RealPair(
    name=NAME,
    title="cooling fin as a slender fin, then as a plane field with radiation",
    inputs=(
        Input("length", 30.0, 80.0, "mm", "length of the fin"),
        Input("thickness", 8.0, 30.0, "mm", "thickness of the fin"),
        Input("conductivity", 0.5, 20.0, "W m-1 K-1", "thermal conductivity at the temperature of the air", log=True),
        Input("conductivity_slope", -0.001, 0.002, "K-1", "relative change of the conductivity with temperature"),
        Input("convection", 10.0, 100.0, "W m-2 K-1", "heat transfer coefficient"),
        Input("emissivity", 0.1, 0.95, "1", "emissivity"),
        Input("base", 350.0, 600.0, "K", "temperature of the base"),
        Input("air", 280.0, 310.0, "K", "temperature of the air and the surroundings"),
    ),
    outputs=(Variable("temperature", ("along", "across"), (20, 9), "K", "temperature"),),
    coordinates=(
        Coordinate("along", ALONG, "1", "distance from the base over the length"),
        Coordinate("across", ACROSS, "1", "distance from the middle over half of the thickness"),
    ),
    source=Side("formula of a slender fin", "k d theta'' = 2 h theta, theta(0) = theta_b, -k theta'(L) = h theta(L)", slender),
    target=Side(
        "scikit-fem, ElementQuad2 (Gustafsson and McBain 2020)",
        "div(k(T) grad T) = 0, -k(T) dT/dn = h (T - T_air) + e sigma (T^4 - T_air^4)",
        plane,
    ),
    packages=("scikit-fem",),
    licence="scikit-fem: BSD-3-Clause",
    citation="Incropera et al., Fundamentals of Heat and Mass Transfer, section 3.6; Gustafsson and McBain, JOSS 5 (2020) 2369",
    counts=((800, 80), (80, 20, 120)),
)
