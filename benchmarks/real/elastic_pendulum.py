"""A swinging rod: a rigid pendulum against a chain of twelve bodies with elastic joints, in MuJoCo.

Rods of low stiffness bend as they swing. The rigid pendulum does not depend on the stiffness.
"""

import numpy as np
from scipy.integrate import solve_ivp

from pac_surrogate.files import Coordinate, Variable
from real.pair import Arrays, Input, RealPair, Side, need, solve_rows

NAME = "elastic_pendulum"
TIMES = np.linspace(0.0, 2.0, 41)[1:]
LINKS = 12
STEP = 5e-4  # s
GRAVITY = 9.81


def rigid(inputs: Arrays) -> Arrays:
    """Return the tip of a rigid rod that starts at rest: I phi'' = -g L (m / 2 + M) sin phi - c phi', I = L^2 (m / 3 + M)."""

    def solve(row: dict[str, float]) -> dict[str, np.ndarray]:
        length, rod, tip = row["length"], row["rod_mass"], row["tip_mass"]
        inertia = length**2 * (rod / 3 + tip)
        weight = GRAVITY * length * (rod / 2 + tip)

        def slope(time: float, state: np.ndarray) -> list[float]:
            return [state[1], -(weight * np.sin(state[0]) + row["damping"] * state[1]) / inertia]

        start = [np.radians(row["angle"]), 0.0]
        found = solve_ivp(slope, (0.0, TIMES[-1]), start, t_eval=TIMES, rtol=1e-8, atol=1e-10)
        return {"tip": length * np.stack([np.sin(found.y[0]), -np.cos(found.y[0])], 1)}

    return solve_rows(solve, inputs)


def flexible(inputs: Arrays) -> Arrays:
    """Return the tip of a chain of equal links: a damped hinge at the top, and springs of stiffness n E I / L between links."""
    mujoco = need("mujoco", "mujoco", NAME)
    every = round(TIMES[0] / STEP)

    def solve(row: dict[str, float]) -> dict[str, np.ndarray]:
        model = mujoco.MjModel.from_xml_string(chain(row))
        data = mujoco.MjData(model)
        data.qpos[0] = np.radians(row["angle"])
        tip = []
        for _ in TIMES:
            mujoco.mj_step(model, data, every)
            mujoco.mj_kinematics(model, data)
            tip.append([data.site_xpos[0][0], data.site_xpos[0][2]])
        return {"tip": np.array(tip)}

    return solve_rows(solve, inputs)


def chain(row: dict[str, float]) -> str:
    """Return MuJoCo's description of the chain; it hangs along -z and turns about -y, so that a positive angle leads to +x."""
    link, mass = row["length"] / LINKS, row["rod_mass"] / LINKS
    spring = row["stiffness"] * LINKS / row["length"]
    bodies, closed = "", ""
    for i in range(LINKS):
        joint = f'damping="{row["damping"]:.9g}"' if i == 0 else f'stiffness="{spring:.9g}" damping="{2e-3 * spring:.9g}"'
        bodies += f'<body pos="0 0 {-link if i else 0:.9g}"><joint type="hinge" axis="0 -1 0" {joint}/>'
        bodies += (
            f'<inertial pos="0 0 {-link / 2:.9g}" mass="{mass:.9g}" '
            f'diaginertia="{mass * link**2 / 12:.9g} {mass * link**2 / 12:.9g} {mass * link**2 / 1200:.9g}"/>'
        )
        closed += "</body>"
    end = (
        f'<site name="tip" pos="0 0 {-link:.9g}"/><body pos="0 0 {-link:.9g}"><inertial pos="0 0 0" '
        f'mass="{row["tip_mass"]:.9g}" diaginertia="1e-7 1e-7 1e-7"/></body>'
    )
    option = f'<option timestep="{STEP}" gravity="0 0 {-GRAVITY}" integrator="implicitfast"/>'
    return f"<mujoco>{option}<worldbody>{bodies}{end}{closed}</worldbody></mujoco>"


PAIR = RealPair(
    name=NAME,
    title="rigid swinging rod, then a chain of twelve elastic links",
    inputs=(
        Input("length", 0.5, 1.0, "m", "length of the rod"),
        Input("rod_mass", 0.2, 1.0, "kg", "mass of the rod"),
        Input("tip_mass", 0.05, 0.5, "kg", "mass at its tip"),
        Input("angle", 20.0, 120.0, "degree", "angle at the start, from the vertical"),
        Input("damping", 0.0, 0.2, "N m s rad-1", "damping of the hinge"),
        Input("stiffness", 0.02, 1.0, "N m2", "bending stiffness of the rod, which the rigid rod ignores", log=True),
    ),
    outputs=(Variable("tip", ("time", "channel"), (40, 2), "m", "position of the tip below the hinge"),),
    coordinates=(
        Coordinate("time", TIMES, "s", "time since the release"),
        Coordinate("channel", np.array(["x", "z"]), "1", "direction"),
    ),
    source=Side(
        "SciPy, solve_ivp (Virtanen et al. 2020)",
        "L^2 (m / 3 + M) phi'' = -g L (m / 2 + M) sin phi - c phi'",
        rigid,
    ),
    target=Side(
        "MuJoCo, mj_step (Todorov et al. 2012)",
        "M(q) q'' + C(q, q') = tau(q, q'), 12 hinges with springs 12 E I / L between the links",
        flexible,
    ),
    packages=("mujoco",),
    licence="MuJoCo: Apache-2.0; SciPy: BSD-3-Clause",
    citation="Todorov, Erez and Tassa, MuJoCo: a physics engine for model-based control, IROS 2012",
)
