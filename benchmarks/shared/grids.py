"""Whether grids of candidates are wide enough: how often cross-validation chose the least or the largest value of a grid."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import xarray as xr

from pac_surrogate.methods.method import Method
from shared.tables import text_table

FEWEST = 8  # number of target samples from which the choices are judged; fewer samples tune badly
HELD = 1e3  # a pull so strong that the weights stay where they are: stronger ones make no difference
# Values beyond which there is nothing: no pull at all, and one that holds all weights.
NATURAL = dict.fromkeys(("strength", "allocate_strength"), (0.0, HELD))


def bounds_of(curve: "xr.Dataset", methods: Mapping[str, Method | Sequence[Method]]) -> dict[str, dict[str, Any]]:
    """Return, by method and hyper-parameter, how often the ends of its grid were chosen at n >= 8.

    Numbers that differ among the candidates of a method are listed, also those of a method within it, such as `recipe.sparsity`
    of SparseTransfer. Each has an entry of

    - `values`: the values of the grid, in increasing order;
    - `least`, `largest`: fraction of the cells in which the least or the largest value was chosen; None for a natural bound,
      such as a strength of 0 or `HELD`, or if there are no cells;
    - `median`: the two middle choices over the seeds at each n (they are equal for an odd number of seeds);
    - `inside`: whether both middle choices lie between the ends of the grid, or at a natural bound, at every n; None if there
      are no cells.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, given in methods.items():
        candidates = {repr(one): numbers_of(one) for one in (given if isinstance(given, Sequence) else (given,))}
        shared = set.intersection(*map(set, candidates.values()))
        varying = {key for key in shared if len({numbers[key] for numbers in candidates.values()}) > 1}
        chosen = curve["chosen"].sel(approach=name, size=curve["size"] >= FEWEST)
        cells = {int(n): [candidates[c] for c in chosen.sel(size=n).values if c in candidates] for n in chosen["size"].values}
        own = {
            key: _bounds(
                key.rpartition(".")[2],
                sorted({numbers[key] for numbers in candidates.values()}),
                {n: sorted(numbers[key] for numbers in seeds) for n, seeds in cells.items() if seeds},
            )
            for key in next(iter(candidates.values()))
            if key in varying
        }
        if own:
            found[name] = own
    return found


def numbers_of(method: Any) -> dict[str, float]:
    """Return the hyper-parameters of a method that are numbers, and those of methods within it, by their dotted names."""
    numbers: dict[str, float] = {}
    for each in fields(method):
        value = getattr(method, each.name)
        if is_dataclass(value):
            numbers |= {f"{each.name}.{name}": number for name, number in numbers_of(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[each.name] = value
    return numbers


def _bounds(name: str, values: list[float], chosen: Mapping[int, list[float]]) -> dict[str, Any]:
    """Return the entry of a hyper-parameter from the values of its grid and the sorted choices at each n."""
    ends = {"least": values[0], "largest": values[-1]}
    real = {end: value for end, value in ends.items() if value not in NATURAL.get(name, ())}
    every = [value for seeds in chosen.values() for value in seeds]
    middle = {n: [seeds[(len(seeds) - 1) // 2], seeds[len(seeds) // 2]] for n, seeds in chosen.items()}
    inside = not any(value in real.values() for both in middle.values() for value in both)
    return {
        "values": values,
        **{end: float(np.mean([v == real[end] for v in every])) if end in real and every else None for end in ends},
        "median": {str(n): both for n, both in middle.items()},
        "inside": inside if every else None,
    }


def bounds_table(bounds: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the result of `bounds_of` as a table in plain text."""
    sizes = sorted({int(n) for own in bounds.values() for entry in own.values() for n in entry["median"]})
    rows = []
    for name, own in bounds.items():
        for key, entry in own.items():
            ends = ("-" if entry[end] is None else f"{entry[end]:.0%}" for end in ("least", "largest"))
            middle = (" to ".join(f"{v:g}" for v in dict.fromkeys(entry["median"].get(str(n), ()))) or "-" for n in sizes)
            inside = {True: "yes", False: "no", None: "-"}[entry["inside"]]
            rows.append((name, key, " ".join(f"{value:g}" for value in entry["values"]), *ends, *middle, inside))
    heads = ("method", "hyper-parameter", "values", "least", "largest", *(f"n = {n}" for n in sizes), "inside")
    return text_table(heads, rows)
