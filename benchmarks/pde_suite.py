"""Compare PAC-Net with its main rivals on all pairs of fields.

    python benchmarks/pde_suite.py            the 1-D fields, 5 seeds: about half an hour on 2 cores
    python benchmarks/pde_suite.py --quick    a short run of one pair, in seconds; its numbers mean nothing
    python benchmarks/pde_suite.py --full     also 2-D fields with CNNs, and bigger budgets: days on 2 cores

Writes <out>/<pair>/curve.nc and further files, and prints a table for each pair and one of all pairs.
"""

import numpy as np

import pac_surrogate as pac
from shared.candidates import CANDIDATES
from shared.comparison import Comparison, compare
from shared.setting import Setting, Spending
from shared.tables import markdown_table
from simulators.pairs import PAIRS

METHODS = (
    "source unchanged",
    "scratch",
    "linear correction",
    "fine-tune",
    "fine-tune, source longer",
    "linear probe",
    "last-layer ridge",
    "L2-SP",
    "L2-SP, source longer",
    "PackNet",
    "PAC",
)
# Fields in two dimensions need CNNs and are only included by --full.
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
LINES = tuple(name for name, pair in PAIRS.items() if pair.headline == "rel_l2" and name not in PLANES)
SPENDING = Spending(sizes=(4, 16, 64), pretrain_steps=3000, source_steps=1000, steps=400)
COMPARISON = Comparison("pde_suite", LINES, METHODS, SPENDING, full_pairs=(*LINES, *PLANES), full_sizes=(4, 8, 16, 32, 64))


def main(setting: Setting) -> None:
    largest, rows = max(setting.spending.sizes), []
    for name in setting.pairs:
        curve = compare(name, {method: CANDIDATES[method] for method in setting.methods}, setting)
        errors = pac.summarise(curve)["median"].sel(size=largest).values
        best = np.nanmin(errors)
        rows.append((name, *("n/a" if np.isnan(e) else f"**{e:.3f}**" if e == best else f"{e:.3f}" for e in errors)))
    print(f"\nmedian error at n = {largest}")
    print(markdown_table(("pair", *setting.methods), rows))


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
