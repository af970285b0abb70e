"""Pairs of simulators: a cheap source with thousands of samples and a dear target with hundreds."""

from simulators.ensemble import Pair, Side
from simulators.plates import Plates
from simulators.rods import Rods


def find_pair(name: str) -> Pair:
    """Return the pair of that name.

    Raises:
        ValueError: if there is none.
    """
    if name not in PAIRS:
        raise ValueError(f"there is no pair {name!r}: choose one of {', '.join(PAIRS)}")
    return PAIRS[name]


PAIRS = {
    "heat_equation": Pair(
        name="heat_equation",
        title="rods with cold ends, of a material that conducts up to nine times better",
        shift="parameter",
        difficulty="moderate",
        headline="rel_l2",
        source=Side("heat_equation source", Rods((5.0, 15.0), None), 2000, 200, 200),
        target=Side("heat_equation target", Rods((15.0, 45.0), None), 320, 80, 200),
    ),
    "heat_equation_losses": Pair(
        name="heat_equation_losses",
        title="insulated rods, then rods that lose heat at both ends and conduct better where they are hot",
        shift="physics",
        difficulty="moderate",
        headline="rel_l2",
        source=Side("heat_equation_losses source", Rods((10.0, 30.0), 0.0, mean=30.0, time=30.0), 2000, 200, 200),
        target=Side(
            "heat_equation_losses target",
            Rods((10.0, 30.0), 800.0, temperature_coefficients=(0.012, 5e-5), mean=30.0, time=30.0),
            320,
            80,
            200,
        ),
    ),
    "heat_equation_2d": Pair(
        name="heat_equation_2d",
        title="plates of uneven conductivity on a coarse grid, then on a grid eight times finer",
        shift="fidelity",
        difficulty="moderate",
        headline="rel_l2",
        source=Side("heat_equation_2d source", Plates(cells=8), 2000, 200, 200, resolved=4.0),
        target=Side("heat_equation_2d target", Plates(cells=64), 320, 80, 200, resolved=0.5),
    ),
}
