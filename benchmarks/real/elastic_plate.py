"""A plate with a hole under tension: linear triangles on a coarse mesh against quadratic ones on a fine mesh, in scikit-fem.

One quarter of the plate is computed. Its displacement is read on rays between the elliptic hole and the outer edge. The coarse
mesh is too stiff.
"""

import numpy as np
from jaxtyping import Float

from pac_surrogate.files import Coordinate, Variable
from real.pair import Arrays, Input, RealPair, Side, need, solve_rows

NAME = "elastic_plate"
LENGTH, WIDTH = 0.1, 0.05  # m, of the quarter
CORNER = np.arctan2(WIDTH, LENGTH)
FRACTIONS, ANGLES = np.linspace(0.02, 0.98, 13), np.linspace(1.0, 89.0, 13)  # of the way to the edge; degrees


def place(
    fraction: Float[np.ndarray, " point"], angle: Float[np.ndarray, " point"], radii: tuple[float, float]
) -> Float[np.ndarray, "axis point"]:
    """Return points of the quarter between the elliptic hole (fraction 0) and the outer edge (fraction 1), along rays."""
    cosine, sine = np.cos(angle), np.sin(angle)
    hole = 1 / np.hypot(cosine / radii[0], sine / radii[1])
    edge = np.where(angle <= CORNER, LENGTH / np.maximum(cosine, 1e-9), WIDTH / np.maximum(sine, 1e-9))
    distance = hole + fraction * (edge - hole)
    return np.stack([distance * cosine, distance * sine])


def solve_plate(inputs: Arrays, cells: int, quadratic: bool) -> Arrays:
    """Return the displacement in plane stress on a mesh of 2 `cells` rays, half of them to either side of the corner.

    div sigma = 0, sigma = 2 mu eps + lambda tr(eps) I with mu = E / (2 (1 + nu)) and lambda = E nu / (1 - nu^2). The line x = 0
    does not move in x, and the line y = 0 not in y; a tension and a shear stress act on the right edge.
    """
    fem = need("skfem", "scikit-fem", NAME)
    elasticity = need("skfem.models.elasticity", "scikit-fem", NAME)
    element = fem.ElementVector(fem.ElementTriP2() if quadratic else fem.ElementTriP1())
    rays = np.concatenate([np.linspace(0, CORNER, cells + 1), np.linspace(CORNER, np.pi / 2, cells + 1)[1:]])
    plain = fem.MeshTri.init_tensor(np.linspace(0, 1, cells + 1) ** 1.5, rays)
    fractions, angles = (grid.reshape(-1) for grid in np.meshgrid(FRACTIONS, np.radians(ANGLES), indexing="ij"))

    def solve(row: dict[str, float]) -> dict[str, np.ndarray]:
        radii = 1e-3 * row["hole_length"], 1e-3 * row["hole_width"]
        mesh = fem.MeshTri(place(plain.p[0], plain.p[1], radii), plain.t)
        basis = fem.Basis(mesh, element)
        modulus, ratio = 1e9 * row["modulus"], row["poisson_ratio"]
        form = elasticity.linear_elasticity(Lambda=modulus * ratio / (1 - ratio**2), Mu=modulus / (2 * (1 + ratio)))
        tension, shear = 1e6 * row["tension"], 1e6 * row["shear"]
        right = basis.boundary(mesh.facets_satisfying(lambda x: np.isclose(x[0], LENGTH), boundaries_only=True))
        load = fem.LinearForm(lambda v, w: tension * v.value[0] + shear * v.value[1]).assemble(right)
        fixed = [basis.get_dofs(lambda x, i=i: np.isclose(x[i], 0, atol=1e-9)).all([f"u^{i + 1}"]) for i in (0, 1)]
        moved = fem.solve(*fem.condense(form.assemble(basis), load, D=np.concatenate(fixed)))
        along, across = (basis.probes(place(fractions, angles, radii)) @ moved).reshape(2, len(FRACTIONS), len(ANGLES))
        return {"displacement_x": 1e6 * along, "displacement_y": 1e6 * across}

    return solve_rows(solve, inputs)


def coarse(inputs: Arrays) -> Arrays:
    """Return the displacement with 16 linear triangles."""
    return solve_plate(inputs, cells=2, quadratic=False)


def fine(inputs: Arrays) -> Arrays:
    """Return the displacement with 1,600 quadratic triangles."""
    return solve_plate(inputs, cells=20, quadratic=True)


PAIR = RealPair(
    name=NAME,
    title="plate with a hole on 16 linear triangles, then on 1,600 quadratic ones",
    inputs=(
        Input("modulus", 60.0, 210.0, "GPa", "Young's modulus"),
        Input("poisson_ratio", 0.2, 0.45, "1", "Poisson's ratio"),
        Input("tension", 20.0, 100.0, "MPa", "tension on the right edge"),
        Input("shear", -20.0, 20.0, "MPa", "shear stress on the right edge"),
        Input("hole_length", 10.0, 40.0, "mm", "half axis of the hole along the tension"),
        Input("hole_width", 10.0, 40.0, "mm", "half axis of the hole across the tension"),
    ),
    outputs=tuple(
        Variable(f"displacement_{axis}", ("fraction", "angle"), (13, 13), "um", f"displacement in {axis}") for axis in "xy"
    ),
    coordinates=(
        Coordinate("fraction", FRACTIONS, "1", "fraction of the way from the hole to the edge along a ray"),
        Coordinate("angle", ANGLES, "degree", "angle of the ray from the direction of the tension"),
    ),
    source=Side("scikit-fem, ElementTriP1 (Gustafsson and McBain 2020)", "div sigma = 0, plane stress, 16 triangles", coarse),
    target=Side("scikit-fem, ElementTriP2 (Gustafsson and McBain 2020)", "div sigma = 0, plane stress, 1,600 triangles", fine),
    packages=("scikit-fem",),
    licence="scikit-fem: BSD-3-Clause",
    citation="Gustafsson and McBain, J. Open Source Softw. 5 (2020) 2369",
    headline="rel_l2",
    counts=((400, 50), (80, 20, 120)),
)
