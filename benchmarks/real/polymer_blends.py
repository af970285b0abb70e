"""Measured photodegradation of polymer blends for solar cells: films with the polymer WF3 against films with PCE10.

Both sets hold the same 1,020 compositions of four materials, some of them measured several times, of which the mean is taken.
Nothing is computed here: a side looks its measurements up by the composition. Since the compositions are equal, those of the
target's training samples are also among the source's.
"""

import csv
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float

from real.pair import Arrays, Input, Points, RealPair, Side, scalar

NAME = "polymer_blends"
COUNTS = ((720, 100), (80, 20, 200))


@cache
def measurements(polymer: str) -> tuple[Float[np.ndarray, "film material"], Float[np.ndarray, " film"]]:
    """Return the compositions, in ascending order, and the degradation of each.

    Raises:
        ValueError: if the package that carries the tables is not installed.
    """
    # The package imports TensorFlow or warns of its absence: only its tables are read.
    package = find_spec("olympus")
    if package is None or package.origin is None:
        raise ValueError(f"the pair {NAME} needs the package olymp, which is missing: pip install 'pac_surrogate[real]'")
    path = Path(package.origin).parent / "datasets" / f"dataset_photo_{polymer}" / "data.csv"
    with path.open(encoding="utf-8", newline="") as file:
        table = np.array([[float(cell) for cell in row] for row in csv.reader(file)])
    films, which = np.unique(table[:, :4].round(6), axis=0, return_inverse=True)
    which = which.reshape(-1)
    return films, np.bincount(which, table[:, 4]) / np.bincount(which)


def look_up(inputs: Arrays, polymer: str) -> Arrays:
    """Return the measured degradation of films with these compositions."""
    films, degradation = measurements(polymer)
    wanted = np.stack(list(inputs.values()), 1)
    nearest = [int(np.abs(films - film).sum(1).argmin()) for film in wanted]
    return {"degradation": degradation[nearest]}


def wf3(inputs: Arrays) -> Arrays:
    """Return the measurements of blends with WF3."""
    return look_up(inputs, "wf3")


def pce10(inputs: Arrays) -> Arrays:
    """Return the measurements of blends with PCE10."""
    return look_up(inputs, "pce10")


def designs(seed: int) -> tuple[Points, Points, Points]:
    """Return compositions of the source's samples, of some of them for the target, and of the common test split."""
    films, _ = measurements("pce10")
    order = np.random.default_rng((seed, 4)).permutation(len(films))
    (train, valid), (few, kept, test) = COUNTS
    rest = order[test : test + train + valid]
    return films[rest], films[np.random.default_rng((seed, 5)).permutation(rest)[: few + kept]], films[order[:test]]


PAIR = RealPair(
    name=NAME,
    title="measured photodegradation of blends with the polymer WF3, then with PCE10",
    inputs=(
        Input("polymer", 0.0, 1.0, "1", "fraction of WF3 in the source, of PCE10 in the target"),
        Input("p3ht", 0.0, 1.0, "1", "fraction of P3HT"),
        Input("pcbm", 0.0, 1.0, "1", "fraction of PCBM"),
        Input("oidtbr", 0.0, 1.0, "1", "fraction of oIDTBR"),
    ),
    outputs=(scalar("degradation", "1", "loss of optical absorption under light"),),
    coordinates=(),
    source=Side("measurement (Langner, Häse et al. 2020), data set photo_wf3 of Olympus", "none, measured", wf3),
    target=Side("measurement (Langner, Häse et al. 2020), data set photo_pce10 of Olympus", "none, measured", pce10),
    packages=("olymp",),
    licence="tables of Olympus: MIT, (c) 2020 Aspuru-Guzik group",
    citation="Langner et al., Adv. Mater. 32 (2020) 1907801; Häse et al., Mach. Learn.: Sci. Technol. 2 (2021) 035021",
    counts=COUNTS,
    designs=designs,
)
