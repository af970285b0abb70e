"""Families of functions: names, units and bounds of their inputs, and the sources of their formulas."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from simulators.quantities import Quantity, number
from simulators.tables import multi_fidelity_functions as functions

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Bound:
    """The description of one input, and the range over which a function is intended to be used."""

    name: str
    low: float
    high: float
    units: str = "1"
    long_name: str = "coordinate"


@dataclass(frozen=True)
class Family:
    """A function in two fidelities.

    Attributes:
        name: key in `FAMILIES`.
        bounds: bounds of the inputs, in the order of the columns.
        output: description of the value.
        high: the high-fidelity version, a function of points (sample, input).
        low: the cheap version.
        source: references for high and low.
    """

    name: str
    bounds: tuple[Bound, ...]
    output: Quantity
    high: Function
    low: Function
    source: str

    def level(self, fidelity: str) -> Function:
        """Return `high` or `low`.

        Raises:
            ValueError: if the fidelity is neither.
        """
        if fidelity not in ("high", "low"):
            raise ValueError(f'fidelity must be "high" or "low", got "{fidelity}"')
        return self.high if fidelity == "high" else self.low


def _cube(low: float, high: float, count: int) -> tuple[Bound, ...]:
    return tuple(Bound(f"x{i}", low, high) for i in range(1, count + 1))


_Y = number("y", "1", "value of the function")
_XIONG = "Xiong, Qian & Wu 2013"

FAMILIES = {
    family.name: family
    for family in (
        Family(
            "forrester",
            _cube(0, 1, 1),
            _Y,
            functions.forrester_high,
            functions.forrester_low,
            "Forrester, Sobester & Keane 2007",
        ),
        Family(
            "branin",
            (Bound("x1", -5, 10), Bound("x2", 0, 15)),
            _Y,
            functions.branin_high,
            functions.branin_low,
            "Branin 1972; low: Perdikaris et al. 2017, the middle level",
        ),
        Family("currin", _cube(0, 1, 2), _Y, functions.currin_high, functions.currin_low, f"Currin et al. 1991; low: {_XIONG}"),
        Family("park_a", _cube(0, 1, 4), _Y, functions.park_a_high, functions.park_a_low, f"Cox et al. 2001; low: {_XIONG}"),
        Family("park_b", _cube(0, 1, 4), _Y, functions.park_b_high, functions.park_b_low, f"Cox et al. 2001; low: {_XIONG}"),
        Family(
            "borehole",
            (
                Bound("borehole_radius", 0.05, 0.15, "m", "radius rw of the borehole"),
                Bound("influence_radius", 100, 50_000, "m", "radius r of influence"),
                Bound("upper_transmissivity", 63_070, 115_600, "m2 year-1", "transmissivity Tu of the upper aquifer"),
                Bound("upper_head", 990, 1110, "m", "potentiometric head Hu of the upper aquifer"),
                Bound("lower_transmissivity", 63.1, 116, "m2 year-1", "transmissivity Tl of the lower aquifer"),
                Bound("lower_head", 700, 820, "m", "potentiometric head Hl of the lower aquifer"),
                Bound("borehole_length", 1120, 1680, "m", "length L of the borehole"),
                Bound("borehole_conductivity", 9855, 12_045, "m year-1", "hydraulic conductivity Kw of the borehole"),
            ),
            number("flow", "m3 year-1", "flow of water through the borehole"),
            functions.borehole_high,
            functions.borehole_low,
            f"Harper & Gupta 1983; low: {_XIONG}",
        ),
        Family(
            "hartmann",
            _cube(0.1, 1, 6),
            _Y,
            functions.hartmann_high,
            functions.hartmann_low,
            "Dixon & Szego 1978; low and bounds: Park, Haftka & Kim 2017",
        ),
        Family(
            "piston",
            (
                Bound("mass", 30, 60, "kg", "mass M of the piston"),
                Bound("area", 0.005, 0.02, "m2", "surface area S of the piston"),
                Bound("initial_volume", 0.002, 0.01, "m3", "initial volume V0 of the gas"),
                Bound("spring_constant", 1000, 5000, "N m-1", "spring constant k"),
                Bound("pressure", 90_000, 110_000, "Pa", "atmospheric pressure P0"),
                Bound("ambient_temperature", 290, 296, "K", "ambient temperature Ta"),
                Bound("filling_temperature", 340, 360, "K", "temperature T0 of the filling gas"),
            ),
            number("cycle_time", "s", "time of one cycle of the piston"),
            functions.piston_high,
            functions.piston_low,
            "Kenett & Zacks 1998; low: ours",
        ),
        Family(
            "circuit",
            (
                Bound("base_resistance_1", 50, 150, "kohm", "base resistance Rb1"),
                Bound("base_resistance_2", 25, 70, "kohm", "base resistance Rb2"),
                Bound("feedback_resistance", 0.5, 3, "kohm", "feedback resistance Rf"),
                Bound("collector_resistance_1", 1.2, 2.5, "kohm", "collector resistance Rc1"),
                Bound("collector_resistance_2", 0.25, 1.2, "kohm", "collector resistance Rc2"),
                Bound("gain", 50, 300, "1", "current gain beta of the transistors"),
            ),
            number("voltage", "V", "mid-point voltage of a push-pull circuit without output transformer"),
            functions.circuit_high,
            functions.circuit_low,
            "Ben-Ari & Steinberg 2007; low: ours",
        ),
        Family(
            "wing",
            (
                Bound("area", 150, 200, "ft2", "area S of the wing"),
                Bound("fuel_weight", 220, 300, "lb", "weight W of the fuel in the wing"),
                Bound("aspect_ratio", 6, 10, "1", "aspect ratio A"),
                Bound("sweep", -10, 10, "degree", "quarter-chord sweep s"),
                Bound("dynamic_pressure", 16, 45, "lbf ft-2", "dynamic pressure q at cruise"),
                Bound("taper", 0.5, 1, "1", "taper ratio t"),
                Bound("thickness", 0.08, 0.18, "1", "ratio c of airfoil thickness to chord"),
                Bound("load_factor", 2.5, 6, "1", "ultimate load factor N"),
                Bound("gross_weight", 1700, 2500, "lb", "design gross weight G"),
                Bound("paint_weight", 0.025, 0.08, "lb ft-2", "weight p of the paint per area"),
            ),
            number("weight", "lb", "weight of the wing of a light aircraft"),
            functions.wing_high,
            functions.wing_low,
            "Forrester, Sobester & Keane 2008; low: Eweis-Labolle, Oune & Bostanabad 2022, the second level",
        ),
    )
}


def find_family(function: str) -> Family:
    """Return the family with this name.

    Raises:
        ValueError: if no family has this name.
    """
    if function not in FAMILIES:
        raise ValueError(f'there is no function "{function}": choose one of {", ".join(FAMILIES)}')
    return FAMILIES[function]
