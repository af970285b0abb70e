"""Generate some samples of every pair, plot them, and compare the measured properties of its simulators with the declared ones.

    python benchmarks/verification.py                             all pairs, 200 source samples each: minutes on 2 cores
    python benchmarks/verification.py --pairs heat_equation burgers --out /tmp/some/verification.json
    python benchmarks/verification.py --quick --pairs heat_equation                       6 samples: seconds

Writes a JSON file of all numbers and a picture of each pair, and prints two tables: the equations, and their verified
properties. The book (docs/simulators.md and the folder beside it) makes its tables from the JSON file in benchmarks/results and
shows the pictures in simulators/pictures. `simulators.generate` has measured the orders, residuals and costs and written them
into the data files; a complete file with the same configuration is not written again.

Exit status: 0; 1 with a list if an order differs from the declared one by more than 0.15 or a file violates the layout; 2 for
an invalid flag.
"""

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

import pac_surrogate as pac
from pac_surrogate.files import read_description, validate
from pac_surrogate.files.replacing import check_output, check_own_folder
from shared.command import Data, Pairs, Quick, Seed, run
from shared.figures import write_small_figure
from shared.files import JSON, write_json
from shared.provenance import machine, today
from shared.tables import markdown_table
from simulators.ensemble import STORED_AS, Pair, Side
from simulators.generate import generate
from simulators.pairs import PAIRS, find_pair

MEASURED = {
    "order_measured": "solver_order_measured",
    "residual": "conservation_residual",
    "seconds": "cost_seconds_per_sample",
}
QUICK_SAMPLES = 6
Record = dict[str, Any]


def main(
    quick: Quick = False,
    pairs: Pairs = None,
    data: Data = Path("data/verification"),
    samples: Annotated[int, typer.Option(help="Source samples per pair; also the maximum for a target.")] = 200,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="Device of the solvers: cpu or cuda.")] = "cpu",
    pictures: Annotated[
        Path | None,
        typer.Option(help="Folder of the pictures, by default simulators/pictures, or beside the JSON file for some pairs."),
    ] = None,
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("results/verification/verification.json"),
) -> int:
    chosen = [find_pair(name) for name in pairs or PAIRS]
    whole = not pairs and not quick
    pictures = pictures or (Path("simulators/pictures") if whole else out.parent / "pictures")
    samples = QUICK_SAMPLES if quick else samples
    check_output(out, JSON)
    check_own_folder(pictures)
    pictures.mkdir(parents=True, exist_ok=True)
    records, faults = [], []
    for pair in chosen:
        began = time.perf_counter()
        paths = generate(pair, data / "quick" if quick else data, samples=samples, seed=seed, device=device)
        measured = [measure(pair, role, path) for role, path in paths.items()]
        picture = pictures / f"{pair.name}.png"
        picture.unlink(missing_ok=True)
        if not any(record["broken"] for record in measured):
            draw(pair, paths, picture)
        records += [without_nan(record) for record in measured]
        faults += [fault for record in measured for fault in record["faults"]]
        print(f"{pair.name}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    write_json(out, {**origin(seed, samples, device), "sides": records, "faults": faults})
    print(equation_table(records))
    print(f"\n{property_table(records)}")
    if faults:
        print("\n".join((f"\n{len(faults)} faults", *faults)), file=sys.stderr)
    return 1 if faults else 0


def measure(pair: Pair, role: str, path: Path) -> Record:
    """Return the properties that the file states, those that its ensemble declares, and the differences as faults."""
    side = getattr(pair, role)
    ensemble = side.ensemble
    attributes = read_description(path).attributes
    record = {
        "pair": pair.name,
        "side": role,
        **{name: getattr(ensemble, name) for name in ("simulator", "equation", "scheme", "order", "invariant")},
        "parameters": side.parameters,
        "resolved": side.resolved,
        **{name: float(attributes[attribute]) for name, attribute in MEASURED.items()},
        "broken": False,
        "faults": [],
    }
    try:
        validate(path)
    except pac.DatasetError as error:
        record |= {"broken": True, "faults": [f"{pair.name}, {role}: {error}"]}
    order, found = ensemble.order, record["order_measured"]
    if not math.isnan(order) and not abs(found - order) <= 0.15:
        record["faults"].append(f"{pair.name}, {role}: order {order:g} is declared, {found:.2f} was measured")
    return record


def draw(pair: Pair, paths: Mapping[str, Path], picture: Path) -> None:
    source, target = (pac.open_dataset(paths[role]).train for role in ("source", "target"))
    write_small_figure(picture, pac.plot_samples(source, target, title=pair.title)[0, 0].figure)


def rows_of(records: Sequence[Record]) -> list[list[Record]]:
    """Group the sides with equal declared properties, which share a row of the tables."""
    rows: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        declared = (record["equation"], record["scheme"], order_of(record), record["invariant"])
        rows.setdefault(declared, []).append(record)
    return list(rows.values())


def equation_table(records: Sequence[Record]) -> str:
    """Return a table of the equations, numbered from 1, with their schemes and the pairs that solve them."""
    lines = [
        (number, f"`{sides[0]['equation']}`", sides[0]["scheme"], ", ".join(dict.fromkeys(side["pair"] for side in sides)))
        for number, sides in enumerate(rows_of(records), start=1)
    ]
    return markdown_table(("no.", "equation", "scheme", "pairs"), lines)


def property_table(records: Sequence[Record]) -> str:
    """Return a table of the declared properties and the ranges of the measured ones, with the numbers of `equation_table`.

    Rows that have neither an order nor an invariant, as closed forms, are left out; the table is "" if no row is left.
    """
    lines = []
    for number, sides in enumerate(rows_of(records), start=1):
        order, invariant = order_of(sides[0]), sides[0]["invariant"]
        if order == "n/a" and not invariant:
            continue
        measured = spread([f"{value:.2f}" for side in sides if (value := side["order_measured"]) is not None])
        residual = spread([f"{value:.0e}" for side in sides if (value := side["residual"]) is not None])
        cost = spread([f"{1000 * side['seconds']:.2f}" for side in sides])
        lines.append((number, order, measured, invariant or "none", residual, cost))
    head = ("no.", "order", "measured", "invariant", "residual", "ms per sample")
    return markdown_table(head, lines) if lines else ""


def order_of(record: Record) -> str:
    return "n/a" if record["order"] is None or math.isnan(record["order"]) else f"{record['order']:.3g}"


def spread(numbers: Sequence[str]) -> str:
    """Return the range of printed numbers, from the smallest to the largest."""
    known = sorted(set(numbers), key=float)
    return " to ".join(dict.fromkeys((known[0], known[-1]))) if known else "n/a"


def section(pair: Pair) -> str:
    """Return the equations of a pair and what differs between its sides, as a list in Markdown."""
    source, target = pair.source, pair.target
    if source.ensemble.equation == target.ensemble.equation:
        lines = [f"both: `{source.ensemble.equation}`"]
    else:
        lines = [f"{role}: `{side.ensemble.equation}`" for role, side in (("source", source), ("target", target))]
    lines += list(changes(source, target)) or ["no parameter differs"]
    return "\n".join(f"- {line}" for line in lines)


def changes(source: Side, target: Side) -> Iterator[str]:
    """Yield the differences between two sides as "name: source's value -> target's value"."""
    for name, before, after in differences(
        {"simulator": source.ensemble.simulator, "outputs": names(source), **source.parameters},
        {"simulator": target.ensemble.simulator, "outputs": names(target), **target.parameters},
    ):
        own = name.removeprefix(f"{STORED_AS['pde']}.")  # the key that an equation has in files
        yield f"{own}: {write_value(before)} -> {write_value(after)}"


def names(side: Side) -> list[str]:
    return [quantity.name for quantity in side.ensemble.outputs]


def differences(source: Mapping[str, Any], target: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the entries of nested dictionaries that differ, as (dotted name, source's, target's); a missing one is None."""
    for name in dict.fromkeys((*source, *target)):
        before, after = source.get(name), target.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from differences(before, after, f"{within}{name}.")
        elif before != after:
            yield f"{within}{name}", before, after


def write_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {write_value(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return f"({', '.join(map(write_value, value))})"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def without_nan(record: Record) -> Record:
    """Replace NaN by None, because JSON has null but no NaN."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in record.items()}


def origin(seed: int, samples: int, device: str) -> dict[str, Any]:
    """Return the settings and the machine with which these results were made."""
    threads = torch.get_num_threads()
    used = "" if device.startswith("cuda") else f", {threads} thread{'s' if threads > 1 else ''}"
    return {
        "date": today(),
        "seed": seed,
        "samples": samples,
        "hardware": machine(device) + used,
        "torch": torch.__version__,
        "command": " ".join(["python benchmarks/verification.py", *sys.argv[1:]]),
    }


if __name__ == "__main__":
    run(main, __doc__, "finished data files are kept, the same command continues from there")
