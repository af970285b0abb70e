"""Carbon dioxide: the ideal gas against the reference equation of state, from just above the critical temperature.

The target's critical point lies at 304.13 K and 7.377 MPa, just outside the range of the inputs. Near it the density rises
steeply and the speed of sound has a minimum; the ideal gas has neither.
"""

import numpy as np

from real.pair import Arrays, Input, RealPair, Side, need, rows_of, scalar

NAME = "real_gas"
GAS_CONSTANT = 8.314462618  # J mol-1 K-1
MOLAR_MASS = 0.0440098  # kg mol-1
HEAT_RATIO = 1.29  # of the ideal gas at 300 K, taken as a constant


def ideal_gas(inputs: Arrays) -> Arrays:
    """Return density and speed of sound of an ideal gas of constant heat ratio: rho = p M / (R T), c^2 = gamma R T / M."""
    temperature, pressure = inputs["temperature"], 1e6 * inputs["pressure"]
    specific = GAS_CONSTANT / MOLAR_MASS
    return {
        "density": pressure / (specific * temperature),
        "sound_speed": np.sqrt(HEAT_RATIO * specific * temperature),
    }


def span_wagner(inputs: Arrays) -> Arrays:
    """Return density and speed of sound from the Helmholtz energy of Span and Wagner."""
    coolprop = need("CoolProp.CoolProp", "CoolProp", NAME)
    found = [
        [coolprop.PropsSI(what, "T", row["temperature"], "P", 1e6 * row["pressure"], "CarbonDioxide") for what in ("D", "A")]
        for row in rows_of(inputs)
    ]
    density, sound = np.array(found).T
    return {"density": density, "sound_speed": sound}


PAIR = RealPair(
    name=NAME,
    title="carbon dioxide as an ideal gas, then with its reference equation of state",
    inputs=(
        Input("temperature", 306.0, 450.0, "K", "temperature"),
        Input("pressure", 0.1, 15.0, "MPa", "pressure"),
    ),
    outputs=(scalar("density", "kg m-3", "density"), scalar("sound_speed", "m s-1", "speed of sound")),
    coordinates=(),
    source=Side("formula of the ideal gas", "rho = p M / (R T), c^2 = gamma R T / M with gamma = 1.29", ideal_gas),
    target=Side(
        "CoolProp, HEOS::CarbonDioxide (Bell et al. 2014)",
        "a(T, rho) = a_ideal + a_residual, fitted by Span and Wagner; p = rho^2 da/drho",
        span_wagner,
    ),
    packages=("CoolProp",),
    licence="CoolProp: MIT",
    citation="Span and Wagner, J. Phys. Chem. Ref. Data 25 (1996) 1509; Bell et al., Ind. Eng. Chem. Res. 53 (2014) 2498",
)
