"""Water on its saturation curve: the cubic equation of Peng and Robinson against the reference equation IAPWS-95.

The cubic equation misses the density of the liquid by a fifth, and the other quantities by little.
"""

import numpy as np

from real.pair import Arrays, Input, RealPair, Side, need, scalar

NAME = "water_saturation"


def saturated(inputs: Arrays, fluid: str) -> Arrays:
    """Return pressure, densities and heat of vaporisation on the saturation curve, from one of CoolProp's equations."""
    coolprop = need("CoolProp.CoolProp", "CoolProp", NAME)

    def state(what: str, quality: float) -> np.ndarray:
        return np.array([coolprop.PropsSI(what, "T", float(t), "Q", quality, fluid) for t in inputs["temperature"]])

    return {
        "log10_pressure": np.log10(state("P", 0.0)),
        "liquid_density": state("D", 0.0),
        "log10_vapour_density": np.log10(state("D", 1.0)),
        "vaporisation_heat": (state("H", 1.0) - state("H", 0.0)) / 1000,
    }


def peng_robinson(inputs: Arrays) -> Arrays:
    """Return the saturated states of the cubic equation."""
    return saturated(inputs, "PR::Water")


def iapws(inputs: Arrays) -> Arrays:
    """Return the saturated states of the reference equation."""
    return saturated(inputs, "HEOS::Water")


PAIR = RealPair(
    name=NAME,
    title="saturated water from a cubic equation of state, then from IAPWS-95",
    inputs=(Input("temperature", 280.0, 640.0, "K", "temperature"),),
    outputs=(
        scalar("log10_pressure", "1", "decimal logarithm of the saturation pressure in Pa"),
        scalar("liquid_density", "kg m-3", "density of the saturated liquid"),
        scalar("log10_vapour_density", "1", "decimal logarithm of the density of the saturated vapour in kg m-3"),
        scalar("vaporisation_heat", "kJ kg-1", "heat of vaporisation"),
    ),
    coordinates=(),
    source=Side("CoolProp, PR::Water (Bell et al. 2014)", "p = R T / (v - b) - a(T) / (v^2 + 2 b v - b^2)", peng_robinson),
    target=Side("CoolProp, HEOS::Water (Bell et al. 2014)", "a(T, rho) = a_ideal + a_residual of IAPWS-95", iapws),
    packages=("CoolProp",),
    licence="CoolProp: MIT",
    citation="Peng and Robinson, Ind. Eng. Chem. Fundam. 15 (1976) 59; Wagner and Pruss, JPCRD 31 (2002) 387",
)
