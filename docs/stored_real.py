"""Tables of the pages on the pairs of other libraries, made from benchmarks/results/real_pairs; see `stored`."""

from functools import cache

import numpy as np
import stored
import xarray as xr

import pac_surrogate as pac
import real_pairs
from real.sections import sections
from real.stored import NAMES
from shared.tables import markdown_table


@cache
def curves() -> dict[str, "xr.Dataset"]:
    """Return the stored transfer curves by pair."""
    return dict(real_pairs.finished(stored.RESULTS / "real_pairs", NAMES))


def pairs_table() -> str:
    """Return sizes, costs, correlations and errors of the unchanged source of the stored pairs."""
    return real_pairs.pairs_table(NAMES, curves())


def pair_sections(pictures: str = "../../benchmarks/real/pictures") -> str:
    """Return a section for each stored pair: what both sides are, where they come from, and a picture."""
    return sections(NAMES, pictures)


def means_table() -> str:
    """Return the geometric means over the pairs, and those of the ratios to fine-tuning."""
    return real_pairs.means_table(curves())


def errors_table() -> str:
    """Return the median errors by pair, size and method, the lowest of each row in bold."""
    rows, methods = [], [str(name) for name in next(iter(curves().values()))["approach"].values]
    for name, curve in curves().items():
        median = pac.summarise(curve)["median"]
        for size in median["size"].values:
            errors = [float(median.sel(approach=method, size=size)) for method in methods]
            least = np.nanmin(errors)
            cells = ("n/a" if np.isnan(e) else f"**{e:.3g}**" if e == least else f"{e:.3g}" for e in errors)
            rows.append((f"`{name}`", int(size), *cells))
    return markdown_table(("pair", "n", *methods), rows)


def wins_sentence() -> str:
    """Return in how many rows of `errors_table` each method has the lowest error."""
    counts: dict[str, int] = {}
    for curve in curves().values():
        median = pac.summarise(curve)["median"]
        for size in median["size"].values:
            own = median.sel(size=size)
            best = str(own["approach"].values[int(np.nanargmin(own.values))])
            counts[best] = counts.get(best, 0) + 1
    total = sum(counts.values())
    named = [f"{name} in {count}" for name, count in sorted(counts.items(), key=lambda one: -one[1])]
    return f"Of the {total} rows, the lowest error is that of {stored.listed(named)}."
