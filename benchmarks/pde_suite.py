"""All pairs of fields: PAC-Net and its main rivals on every PDE.

    python benchmarks/pde_suite.py            the 1-D fields, 5 seeds: about half an hour on 2 cores
    python benchmarks/pde_suite.py --quick    a look at one pair in seconds; its numbers mean nothing
    python benchmarks/pde_suite.py --full     2-D fields too, with CNNs, and bigger budgets: days on 2 cores

Writes <out>/<pair>/curve.nc and so on, and prints a table a pair and one of all.
"""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
from candidates import CANDIDATES
from comparison import Spending, arguments, compare, run

import pac_surrogate as pac
from simulators.pairs import PAIRS

METHODS = (
    "source unchanged",
    "scratch",
    "linear correction",
    "fine-tune",
    "linear probe",
    "last-layer ridge",
    "L2-SP",
    "PackNet",
    "PAC",
)
# Plates and flows in two dimensions are for CNNs, and for --full.
PLANES = (
    "heat_equation_2d",
    "gray_scott",
    "navier_stokes",
    "navier_stokes_forced",
    "membranes",
    "poisson",
    "poisson_screened",
    "poisson_advection",
    "helmholtz",
    "darcy",
    "darcy_hole",
    "allen_cahn",
)
DEFAULT = Spending(sizes=(4, 16, 64), pretrain_steps=3000, source_steps=1000, steps=400)
FULL = replace(DEFAULT, sizes=(4, 8, 16, 32, 64), seeds=10, pretrain_steps=10_000, source_steps=3000, steps=2000)


def main() -> None:
    mpl.use("Agg")
    fields = tuple(name for name, pair in PAIRS.items() if pair.headline == "rel_l2")
    lines = tuple(name for name in fields if name not in PLANES)
    flags = arguments(__doc__, "pde_suite", pairs=lines, spending=DEFAULT, full=FULL, known=METHODS)
    pairs = (*flags.pairs, *PLANES) if flags.full and flags.pairs == lines else flags.pairs
    rows = []
    for name in pairs:
        methods = {method: CANDIDATES[method] for method in flags.methods}
        curve = compare(name, methods, flags)
        largest = int(curve["size"].max())
        rows.append((name, pac.summarise(curve)["median"].sel(size=largest).values))
    print(f"\nmedian error at n = {max(flags.spending.sizes)}")
    print(f"| pair | {' | '.join(flags.methods)} |\n|{'---|' * (len(flags.methods) + 1)}")
    for name, errors in rows:
        best = np.nanmin(errors)
        cells = ("n/a" if np.isnan(e) else f"**{e:.3f}**" if e == best else f"{e:.3f}" for e in errors)
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    run(main)
