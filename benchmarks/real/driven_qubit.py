"""A driven qubit: the formula of Rabi against the master equation with losses, in QuTiP.

The formula ignores relaxation and dephasing, and the half of the drive that turns against the qubit and makes its population
oscillate quickly.
"""

import numpy as np

from pac_surrogate.files import Coordinate, Variable
from real.pair import Arrays, Input, RealPair, Side, need, solve_rows

NAME = "driven_qubit"
TIMES = np.linspace(0.0, 20.0, 41)[1:]  # ns


def rabi(inputs: Arrays) -> Arrays:
    """Return the population P(t) = (Omega / W)^2 sin^2(W t / 2) of the upper level, with W^2 = Omega^2 + Delta^2."""
    drive, detuning = (2 * np.pi * 1e-3 * inputs[name][:, None] for name in ("rabi_frequency", "detuning"))
    total = np.hypot(drive, detuning)
    return {"population": (drive / total * np.sin(total * TIMES / 2)) ** 2}


def lindblad(inputs: Arrays) -> Arrays:
    """Return the population of the upper level from the full drive, with relaxation at the rate 1/T1 and dephasing at 1/T2.

    H = -omega sigma_z / 2 + Omega cos((omega + Delta) t + phase) sigma_x, in the laboratory's frame.
    """
    qutip = need("qutip", "qutip", NAME)
    lower, upper = qutip.basis(2, 0), qutip.basis(2, 1)
    sigma_x, sigma_z, down = qutip.sigmax(), qutip.sigmaz(), lower * upper.dag()

    def solve(row: dict[str, float]) -> dict[str, np.ndarray]:
        level, drive = 2 * np.pi * row["level_frequency"], 2 * np.pi * 1e-3 * row["rabi_frequency"]
        tone, phase = level + 2 * np.pi * 1e-3 * row["detuning"], np.radians(row["phase"])
        flips = [sigma_x, lambda t: drive * np.cos(tone * t + phase)]
        loss = 1 / row["relaxation_time"]
        dephasing = 1 / row["dephasing_time"]
        found = qutip.mesolve(
            [-0.5 * level * sigma_z, flips],
            lower,
            [0.0, *TIMES],
            c_ops=[np.sqrt(loss) * down, np.sqrt(dephasing / 2) * sigma_z],
            e_ops=[upper * upper.dag()],
            options={"atol": 1e-9, "rtol": 1e-7, "nsteps": 10000, "max_step": 0.1 / row["level_frequency"]},
        )
        return {"population": found.expect[0][1:]}

    return solve_rows(solve, inputs)


PAIR = RealPair(
    name=NAME,
    title="driven qubit in the rotating-wave approximation, then with the full drive and losses",
    inputs=(
        Input("level_frequency", 0.2, 1.0, "GHz", "frequency of the transition"),
        Input("rabi_frequency", 20.0, 120.0, "MHz", "strength of the drive"),
        Input("detuning", -60.0, 60.0, "MHz", "frequency of the drive less that of the transition"),
        Input("phase", 0.0, 180.0, "degree", "phase of the drive at the start"),
        Input("relaxation_time", 5.0, 100.0, "ns", "relaxation time T1", log=True),
        Input("dephasing_time", 5.0, 100.0, "ns", "time of pure dephasing", log=True),
    ),
    outputs=(Variable("population", ("time",), (40,), "1", "population of the upper level"),),
    coordinates=(Coordinate("time", TIMES, "ns", "time since the drive was switched on"),),
    source=Side("formula of Rabi (1937)", "P = (Omega / W)^2 sin^2(W t / 2), W^2 = Omega^2 + Delta^2", rabi),
    target=Side(
        "QuTiP, mesolve (Johansson et al. 2013)",
        "rho' = -i [H(t), rho] + D[sigma_-](rho) / T1 + D[sigma_z](rho) / (2 T_phi), H = -omega sigma_z / 2 + Omega"
        " cos((omega + Delta) t + phase) sigma_x",
        lindblad,
    ),
    packages=("qutip",),
    licence="QuTiP: BSD-3-Clause",
    citation="Rabi, Phys. Rev. 51 (1937) 652; Johansson, Nation and Nori, Comput. Phys. Commun. 184 (2013) 1234",
    counts=((1000, 100), (80, 20, 120)),
)
