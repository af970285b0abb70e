"""The current of a silicon diode: the formula of Shockley against the equations of drift and diffusion, in DEVSIM.

The formula ignores the recombination within the junction, which dominates at low voltages, and the resistance of the silicon
and its flooding with carriers, which limit the current at high ones. DEVSIM takes its linear algebra from a library that it
loads: MKL, which pip installs beside it, or the one that the environment variable DEVSIM_MATH_LIBS names.
"""

import io
import os
import sys
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pac_surrogate.files import Coordinate, Variable
from real.pair import Arrays, Input, RealPair, Side, need, rows_of

NAME = "diode"
VOLTAGES = np.linspace(0.05, 0.9, 18)
CHARGE, THERMAL = 1.602176634e-19, 1.380649e-23 * 300 / 1.602176634e-19  # C; V at 300 K
INTRINSIC = 1e10  # cm-3, as in DEVSIM's physics of silicon
MOBILITIES = (400.0, 200.0)  # electrons and holes, cm2 V-1 s-1


def shockley(inputs: Arrays) -> Arrays:
    """Return log10 of J = q n_i^2 (D_n / (N_A L_n tanh(W_p / L_n)) + D_p / (N_D L_p tanh(W_n / L_p))) (exp(V / V_t) - 1).

    L^2 = D tau. The contacts lie W from the junction. It ignores recombination within the junction, the resistance of the
    regions and high injection.
    """
    acceptors, donors = inputs["acceptors"], inputs["donors"]
    saturation = np.zeros_like(acceptors)
    for mobility, doping in zip(MOBILITIES, (acceptors, donors), strict=True):
        diffusion = mobility * THERMAL
        reach = np.sqrt(diffusion * 1e-9 * inputs["lifetime"])
        saturation = saturation + diffusion / (doping * reach * np.tanh(0.5e-4 * inputs["length"] / reach))
    current = CHARGE * INTRINSIC**2 * saturation[:, None] * np.expm1(VOLTAGES / THERMAL)
    return {"log10_current": np.log10(current)}


@cache
def simulator() -> tuple[Any, Any]:
    """Return DEVSIM and its physics of silicon, after it has been told where a library of linear algebra lies."""
    found = sorted(Path(sys.prefix, "lib").glob("libmkl_rt.so*"))
    if found:
        os.environ.setdefault("DEVSIM_MATH_LIBS", str(found[0]))
    devsim = need("devsim", "devsim (with mkl)", NAME)
    return devsim, need("devsim.python_packages.simple_physics", "devsim (with mkl)", NAME)


def drift_diffusion(inputs: Arrays) -> Arrays:
    """Return log10 of the current density [A cm-2] in one dimension, with recombination after Shockley, Read and Hall.

    Poisson's equation and the continuity of electrons and holes, in finite volumes with the fluxes of Scharfetter and Gummel.
    """
    with redirect_stdout(io.StringIO()):  # DEVSIM prints each iteration
        return {"log10_current": np.array([_curve(row) for row in rows_of(inputs)])}


def _curve(row: dict[str, float]) -> np.ndarray:
    devsim, physics = simulator()
    length, device, region = 1e-4 * row["length"], "diode", "silicon"
    devsim.create_1d_mesh(mesh=device)
    for place, spacing, tag in (
        (0.0, length / 50, "left"),
        (length / 2, length / 2000, "middle"),
        (length, length / 50, "right"),
    ):
        devsim.add_1d_mesh_line(mesh=device, pos=place, ps=spacing, tag=tag)
    for tag in ("left", "right"):
        devsim.add_1d_contact(mesh=device, name=tag, tag=tag, material="metal")
    devsim.add_1d_region(mesh=device, material="Si", region=region, tag1="left", tag2="right")
    devsim.finalize_mesh(mesh=device)
    devsim.create_device(mesh=device, device=device)
    try:
        physics.SetSiliconParameters(device, region, 300)
        given = {"taun": 1e-9 * row["lifetime"], "taup": 1e-9 * row["lifetime"], "n_i": INTRINSIC}
        given |= dict(zip(("mu_n", "mu_p"), MOBILITIES, strict=True))
        for name, value in given.items():
            devsim.set_parameter(device=device, region=region, name=name, value=value)
        doping = f"ifelse(x < {length / 2}, -{row['acceptors']}, {row['donors']})"
        devsim.node_model(device=device, region=region, name="NetDoping", equation=doping)
        return _sweep(devsim, physics, device, region)
    finally:
        devsim.delete_device(device=device)
        devsim.delete_mesh(mesh=device)


def _sweep(devsim: Any, physics: Any, device: str, region: str) -> np.ndarray:
    """Solve Poisson's equation alone, then all three for rising voltages, and return the logarithm of the current at each."""
    create = physics.CreateSolution
    create(device, region, "Potential")
    physics.CreateSiliconPotentialOnly(device, region)
    for contact in ("left", "right"):
        devsim.set_parameter(device=device, name=physics.GetContactBiasName(contact), value=0.0)
        physics.CreateSiliconPotentialOnlyContact(device, region, contact)
    solve = {"type": "dc", "maximum_iterations": 60, "relative_error": 1e-10}
    devsim.solve(absolute_error=1.0, **solve)
    for carrier in ("Electrons", "Holes"):
        create(device, region, carrier)
        devsim.set_node_values(device=device, region=region, name=carrier, init_from=f"Intrinsic{carrier}")
    physics.CreateSiliconDriftDiffusion(device, region)
    for contact in ("left", "right"):
        physics.CreateSiliconDriftDiffusionAtContact(device, region, contact)
    devsim.solve(absolute_error=1e10, **solve)
    currents = []
    for voltage in VOLTAGES:
        devsim.set_parameter(device=device, name=physics.GetContactBiasName("left"), value=float(voltage))
        devsim.solve(absolute_error=1e10, **solve)
        parts = (
            devsim.get_contact_current(device=device, contact="left", equation=f"{carrier}ContinuityEquation")
            for carrier in ("Electron", "Hole")
        )
        currents.append(sum(parts))
    return np.log10(np.abs(currents))


PAIR = RealPair(
    name=NAME,
    title="current of a silicon diode from Shockley's formula, then from drift and diffusion",
    inputs=(
        Input("acceptors", 1e15, 1e18, "cm-3", "density of acceptors on the left", log=True),
        Input("donors", 1e15, 1e18, "cm-3", "density of donors on the right", log=True),
        Input("lifetime", 1.0, 1000.0, "ns", "lifetime of electrons and holes", log=True),
        Input("length", 4.0, 20.0, "um", "length of the diode"),
    ),
    outputs=(Variable("log10_current", ("voltage",), (18,), "1", "decimal logarithm of the current density in A cm-2"),),
    coordinates=(Coordinate("voltage", VOLTAGES, "V", "forward voltage"),),
    source=Side(
        "formula of Shockley (1949)",
        "J = q n_i^2 (D_n / (N_A L_n tanh(W / L_n)) + D_p / (N_D L_p tanh(W / L_p))) (exp(V / V_t) - 1)",
        shockley,
    ),
    target=Side(
        "DEVSIM, solve with simple_physics (Sanchez 2022)",
        "eps psi'' = -q (p - n + N), J_n' = q U, J_p' = -q U, U = (n p - n_i^2) / (tau (n + p + 2 n_i))",
        drift_diffusion,
    ),
    packages=("devsim", "mkl"),
    licence="DEVSIM: Apache-2.0; MKL: Intel Simplified Software License",
    citation="Shockley, Bell Syst. Tech. J. 28 (1949) 435; Sanchez, J. Open Source Softw. 7 (2022) 3898",
)
