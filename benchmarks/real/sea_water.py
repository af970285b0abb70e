"""Sea water: a linear equation of state and a short formula for the speed of sound against the equation TEOS-10.

The linear equation misses that warm water expands more, and that pressure stiffens it.
"""

import numpy as np

from real.pair import Arrays, Input, RealPair, Side, need, scalar

NAME = "sea_water"


def linear(inputs: Arrays) -> Arrays:
    """Return density from constant coefficients at 10 degrees C, 35 g/kg and no pressure, and sound by Medwin's formula.

    rho = 1026.97 (1 - 1.7e-4 (t - 10) + 7.6e-4 (S - 35) + 4.4e-6 p), and Medwin (1975) with the depth z [m] = p [dbar].
    """
    t, s, p = (inputs[name] for name in ("temperature", "salinity", "pressure"))
    sound = 1449.2 + 4.6 * t - 0.055 * t**2 + 0.00029 * t**3 + (1.34 - 0.010 * t) * (s - 35) + 0.016 * p
    return {
        "density": 1026.97 * (1 - 1.7e-4 * (t - 10) + 7.6e-4 * (s - 35) + 4.4e-6 * p),
        "sound_speed": sound,
        "thermal_expansion": np.full_like(t, 1.7) + 0.08 * (t - 10),
    }


def teos(inputs: Arrays) -> Arrays:
    """Return density, speed of sound and thermal expansion of TEOS-10 in 75 terms."""
    gsw = need("gsw", "gsw", NAME)
    state = inputs["salinity"], inputs["temperature"], inputs["pressure"]
    return {
        "density": gsw.rho(*state),
        "sound_speed": gsw.sound_speed(*state),
        "thermal_expansion": 1e4 * gsw.alpha(*state),
    }


PAIR = RealPair(
    name=NAME,
    title="sea water from a linear equation of state, then from TEOS-10",
    inputs=(
        Input("temperature", 0.0, 30.0, "degC", "conservative temperature"),
        Input("salinity", 20.0, 40.0, "g kg-1", "absolute salinity"),
        Input("pressure", 0.0, 4000.0, "dbar", "pressure above that of the air"),
    ),
    outputs=(
        scalar("density", "kg m-3", "density"),
        scalar("sound_speed", "m s-1", "speed of sound"),
        scalar("thermal_expansion", "1e-4 K-1", "thermal expansion coefficient"),
    ),
    coordinates=(),
    source=Side(
        "linear equation of state; Medwin (1975)",
        "rho = 1026.97 (1 - 1.7e-4 (t - 10) + 7.6e-4 (S - 35) + 4.4e-6 p); c = 1449.2 + 4.6 t - 0.055 t^2 + 0.00029 t^3"
        " + (1.34 - 0.01 t) (S - 35) + 0.016 z; alpha = 1.7 + 0.08 (t - 10)",
        linear,
    ),
    target=Side("gsw, rho, sound_speed and alpha (McDougall and Barker 2011)", "v(S, t, p), a polynomial of 75 terms", teos),
    packages=("gsw",),
    licence="gsw: BSD-3-Clause",
    citation="Medwin, J. Acoust. Soc. Am. 58 (1975) 1318; Roquet et al., Ocean Model. 90 (2015) 29",
)
