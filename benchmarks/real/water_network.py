"""Pressures in a water network: demands that are always met, in EPANET, against demands that fall with the pressure, in WNTR.

Where the pressure suffices for all demands, the two agree. Elsewhere the source finds low and even negative pressures.
"""

from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pac_surrogate.files import Coordinate, Variable
from real.pair import Arrays, Input, RealPair, Side, need, solve_rows

NAME = "water_network"
SIDE = 3  # junctions along each side of the square network
SPACING = 300.0  # m
JUNCTIONS = tuple(f"J{i}{j}" for i in range(1, SIDE + 1) for j in range(1, SIDE + 1))


def network_of(wntr: Any, row: dict[str, float]) -> Any:
    """Return a square grid of pipes with a junction at each crossing and a reservoir at one corner."""
    network = wntr.network.WaterNetworkModel()
    network.options.time.duration = 0
    for k, name in enumerate(JUNCTIONS):
        i, j = divmod(k, SIDE)
        network.add_junction(name, base_demand=1e-3 * row[f"demand_{name}"], elevation=2.0 * (i + j))
    network.add_reservoir("R", base_head=row["reservoir_head"])
    pipes = [("R", "J11", row["main_diameter"])]
    for i in range(1, SIDE + 1):
        for j in range(1, SIDE + 1):
            pipes += [(f"J{i}{j}", f"J{i + 1}{j}", row["diameter"])] if i < SIDE else []
            pipes += [(f"J{i}{j}", f"J{i}{j + 1}", row["diameter"])] if j < SIDE else []
    for begin, end, diameter in pipes:
        network.add_pipe(
            f"{begin}-{end}", begin, end, length=SPACING, diameter=1e-3 * diameter, roughness=row["roughness"], minor_loss=0.0
        )
    return network


def demand_driven(inputs: Arrays) -> Arrays:
    """Return the pressures [m of water] if every demand is met, which may need pressures below 0, from EPANET.

    Continuity at each junction; the head loss of Hazen and Williams in each pipe,
    h = 10.67 L Q^1.852 / (C^1.852 d^4.871).
    """
    wntr = need("wntr", "wntr", NAME)

    def solve(row: dict[str, float]) -> dict[str, np.ndarray]:
        network = network_of(wntr, row)
        with TemporaryDirectory() as folder:
            found = wntr.sim.EpanetSimulator(network).run_sim(file_prefix=f"{folder}/network")
        return {"pressure": at_junctions(found)}

    return solve_rows(solve, inputs)


def pressure_dependent(inputs: Arrays) -> Arrays:
    """Return the pressures if a demand falls as the square root of p / p_required below the required pressure, from WNTR."""
    wntr = need("wntr", "wntr", NAME)

    def solve(row: dict[str, float]) -> dict[str, np.ndarray]:
        network = network_of(wntr, row)
        network.options.hydraulic.demand_model = "PDD"
        network.options.hydraulic.required_pressure = row["required_pressure"]
        network.options.hydraulic.minimum_pressure = 0.0
        return {"pressure": at_junctions(wntr.sim.WNTRSimulator(network).run_sim())}

    return solve_rows(solve, inputs)


def at_junctions(found: Any) -> np.ndarray:
    """Return the pressures at the junctions from the results of a simulation of one moment."""
    return found.node["pressure"][list(JUNCTIONS)].to_numpy(dtype=np.float64)[0]


PAIR = RealPair(
    name=NAME,
    title="water network whose demands are always met, then fall with the pressure",
    inputs=(
        *(Input(f"demand_{name}", 1.0, 8.0, "L s-1", f"demand at junction {name}") for name in JUNCTIONS),
        Input("reservoir_head", 20.0, 45.0, "m", "head of the reservoir"),
        Input("main_diameter", 180.0, 300.0, "mm", "diameter of the main from the reservoir"),
        Input("diameter", 100.0, 200.0, "mm", "diameter of the other pipes"),
        Input("roughness", 80.0, 140.0, "1", "coefficient C of Hazen and Williams"),
        Input("required_pressure", 10.0, 30.0, "m", "pressure at which a demand is met, which the source ignores"),
    ),
    outputs=(Variable("pressure", ("junction",), (SIDE**2,), "m", "pressure in metres of water"),),
    coordinates=(Coordinate("junction", np.array(JUNCTIONS), "1", "name of the junction"),),
    source=Side(
        "EPANET 2.2, through WNTR (Rossman et al. 2020)",
        "sum Q = demand, h = 10.67 L Q^1.852 / (C^1.852 d^4.871)",
        demand_driven,
    ),
    target=Side(
        "WNTR, WNTRSimulator with the demand model PDD (Klise et al. 2017)",
        "sum Q = demand min(1, sqrt(p / p_required)), h = 10.67 L Q^1.852 / (C^1.852 d^4.871)",
        pressure_dependent,
    ),
    packages=("wntr",),
    licence="WNTR: BSD-3-Clause; EPANET: MIT",
    citation="Wagner et al., J. Water Resour. Plan. Manag. 114 (1988) 276; Klise et al., Environ. Model. Softw. 95 (2017) 420",
    counts=((800, 80), (80, 20, 120)),
)
