"""The compressibility factor of natural gas along an isotherm: the equation of Peng and Robinson against GERG-2008.

The mixture of methane, ethane, carbon dioxide and nitrogen is above its critical temperature, so that one phase exists.
"""

import numpy as np
from scipy.optimize import brentq

from pac_surrogate.files import Coordinate, Variable
from real.pair import Arrays, Input, RealPair, Side, need, solve_rows

NAME = "natural_gas"
GAS_CONSTANT = 8.314462618  # J mol-1 K-1
PRESSURES = np.linspace(0.5, 25.0, 40)  # MPa
# Critical temperature [K], critical pressure [Pa] and acentric factor of methane, ethane, carbon dioxide and nitrogen.
CRITICAL = ((190.564, 305.322, 304.1282, 126.192), (4.5992e6, 4.8722e6, 7.3773e6, 3.3958e6), (0.01142, 0.0995, 0.22394, 0.0372))


def fractions_of(row: dict[str, float]) -> list[float]:
    """Return the mole fractions of methane, ethane, carbon dioxide and nitrogen; methane is what remains."""
    others = [row["ethane"], row["carbon_dioxide"], row["nitrogen"]]
    return [1.0 - sum(others), *others]


def peng_robinson(inputs: Arrays) -> Arrays:
    """Return Z = p v / (R T) of the cubic equation, without interaction between unlike molecules."""
    thermo = need("thermo", "thermo", NAME)

    def solve(row: dict[str, float]) -> dict[str, list[float]]:
        states = (
            thermo.PRMIX(Tcs=CRITICAL[0], Pcs=CRITICAL[1], omegas=CRITICAL[2], zs=fractions_of(row), T=row["temperature"], P=p)
            for p in 1e6 * PRESSURES
        )
        return {"compressibility": [getattr(state, "Z_g", None) or state.Z_l for state in states]}

    return solve_rows(solve, inputs)


def gerg(inputs: Arrays) -> Arrays:
    """Return Z = p v / (R T) of the reference equation of the mixture."""
    coolprop = need("CoolProp.CoolProp", "CoolProp", NAME)
    state = coolprop.AbstractState("HEOS", "Methane&Ethane&CarbonDioxide&Nitrogen")
    state.specify_phase(coolprop.iphase_gas)

    def solve(row: dict[str, float]) -> dict[str, list[float]]:
        state.set_mole_fractions(fractions_of(row))
        thermal = GAS_CONSTANT * row["temperature"]

        def missed(density: float, pressure: float) -> float:
            state.update(coolprop.DmolarT_INPUTS, density, row["temperature"])
            return state.p() / pressure - 1

        # CoolProp's own iteration for the density fails at some of these states. The isotherm is monotone, since the mixture
        # is above its critical temperature, so that each density is bracketed from the one before.
        factors, low = [], 0.0
        for pressure in 1e6 * PRESSURES:
            high = max(1.2 * low, pressure / thermal)
            while missed(high, pressure) < 0:
                high *= 1.2
            low = brentq(missed, low or 1e-3 * high, high, args=(pressure,), xtol=1e-9, rtol=1e-12)
            factors.append(pressure / (low * thermal))
        return {"compressibility": factors}

    return solve_rows(solve, inputs)


PAIR = RealPair(
    name=NAME,
    title="compressibility of natural gas after Peng and Robinson, then after GERG-2008",
    inputs=(
        Input("temperature", 260.0, 400.0, "K", "temperature"),
        Input("ethane", 0.0, 0.15, "1", "mole fraction of ethane"),
        Input("carbon_dioxide", 0.0, 0.2, "1", "mole fraction of carbon dioxide"),
        Input("nitrogen", 0.0, 0.15, "1", "mole fraction of nitrogen"),
    ),
    outputs=(Variable("compressibility", ("pressure",), (40,), "1", "compressibility factor p v / (R T)"),),
    coordinates=(Coordinate("pressure", PRESSURES, "MPa", "pressure"),),
    source=Side(
        "thermo, PRMIX (Bell and contributors)",
        "p = R T / (v - b) - a(T) / (v^2 + 2 b v - b^2), van der Waals mixing without interaction coefficients",
        peng_robinson,
    ),
    target=Side(
        "CoolProp, HEOS mixture (Bell et al. 2014)", "a(T, rho, x) = a_ideal + a_residual + departure, GERG-2008", gerg
    ),
    packages=("thermo", "CoolProp"),
    licence="thermo: MIT; CoolProp: MIT",
    citation="Peng and Robinson, Ind. Eng. Chem. Fundam. 15 (1976) 59; Kunz and Wagner, J. Chem. Eng. Data 57 (2012) 3032",
)
