"""Generate some samples of every pair, plot them, and compare the measured properties of its simulators with the declared ones.

    python benchmarks/verification.py                             all pairs, 200 source samples each: minutes on 2 cores
    python benchmarks/verification.py --pairs heat_equation burgers --page /tmp/page
    python benchmarks/verification.py --quick --pairs heat_equation --page /tmp/page      6 samples: seconds

Writes <page>/README.md with a table of verified properties, a table of the pairs and a section for each pair, a picture of
each pair in <page>/pictures, and a JSON file of all numbers; prints the first table. `simulators.generate` has measured the
orders, residuals and costs and written them into the data files; a complete file with the same configuration is not written
again. The section on time steps is read from the file of `benchmarks/step_errors.py`.

Exit status: 0; 1 with a list if an order differs from the declared one by more than 0.15 or a file violates the layout; 2 for
an invalid flag.
"""

import io
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
import typer
from PIL import Image

import pac_surrogate as pac
from pac_surrogate.files import read_description, validate
from pac_surrogate.files.replacing import Kind, check_output, check_own_folder, replacing
from pac_surrogate.plots.style import COLOURS
from shared.command import Data, Pairs, Quick, Seed, run
from shared.files import JSON, write_json, write_text
from shared.provenance import machine, today
from shared.tables import markdown_table
from simulators.ensemble import Pair, Side
from simulators.generate import generate
from simulators.pairs import PAIRS, find_pair

MEASURED = {
    "order_measured": "solver_order_measured",
    "residual": "conservation_residual",
    "seconds": "cost_seconds_per_sample",
}
QUICK_SAMPLES = 6
STEPS = Path(__file__).parent / "results" / "step_errors.md"  # written by step_errors.py
Record = dict[str, Any]

HEADING = "# Simulators\n"
PAGE = Kind("a page of this command", lambda path: path.read_text(encoding="utf-8", errors="replace").startswith(HEADING))


def main(
    quick: Quick = False,
    pairs: Pairs = None,
    data: Data = Path("data/verification"),
    samples: Annotated[int, typer.Option(help="Source samples per pair; also the maximum for a target.")] = 200,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="Device of the solvers: cpu or cuda.")] = "cpu",
    page: Annotated[
        Path | None, typer.Option(help="Folder of the page, by default simulators, or results/verification for some pairs.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file to write, by default results/verification.json, or beside the page for some pairs."),
    ] = None,
) -> int:
    mpl.use("Agg")
    chosen = [find_pair(name) for name in pairs or PAIRS]
    whole = not pairs and not quick
    out = out or (Path("results") if whole and not page else page or Path("results/verification")) / "verification.json"
    page = page or Path("simulators" if whole else "results/verification")
    samples = QUICK_SAMPLES if quick else samples
    check_output(page / "README.md", PAGE)
    check_output(out, JSON)
    check_own_folder(page / "pictures")
    (page / "pictures").mkdir(parents=True, exist_ok=True)
    records, faults = [], []
    for pair in chosen:
        began = time.perf_counter()
        paths = generate(pair, data / "quick" if quick else data, samples=samples, seed=seed, device=device)
        measured = [measure(pair, role, path) for role, path in paths.items()]
        picture = page / "pictures" / f"{pair.name}.png"
        picture.unlink(missing_ok=True)
        if not any(record["broken"] for record in measured):
            draw(pair, paths, picture)
        records += measured
        faults += [fault for record in measured for fault in record["faults"]]
        print(f"{pair.name}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    foot = origin(seed, samples, device)
    table = verification_table(records)
    write_text(page / "README.md", "\n".join(write_page(chosen, table, faults, foot)) + "\n", PAGE)
    content = {**foot, "sides": [without_nan(record) for record in records], "faults": faults}
    write_json(out, content)
    print(table)
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
    figure = pac.plot_samples(source, target, title=pair.title)[0, 0].figure
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    plt.close(figure)
    # The palette saves two thirds of the bytes; without metadata, the same data give the same file.
    image = Image.open(drawn).convert("RGB").quantize(palette=palette(), dither=Image.Dither.NONE)
    with replacing(picture) as temporary:
        image.save(temporary, format="PNG", optimize=True)


def palette() -> Image.Image:
    """Return the colours of our figures: both colour maps, greys, and lines with their antialiased edges."""
    maps = [mpl.colormaps[name](np.linspace(0, 1, count))[:, :3] for name, count in (("viridis", 88), ("RdBu_r", 89))]
    greys = np.linspace(0, 1, 32)[:, None].repeat(3, 1)
    edges = [1 - np.linspace(0.1, 1, 9)[:, None] * (1 - np.array(mpl.colors.to_rgb(colour))) for colour in COLOURS[:5]]
    colours = np.concatenate([*maps, greys, *edges])
    image = Image.new("P", (1, 1))
    image.putpalette((255 * colours).round().astype(np.uint8).tobytes())
    return image


def verification_table(records: Sequence[Record]) -> str:
    """Return a table with a row for each set of declared properties and the ranges of the measured ones over its sides."""
    rows: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        declared = (record["equation"], record["scheme"], f"{record['order']:.3g}", record["invariant"])
        rows.setdefault(declared, []).append(record)
    lines = []
    for (equation, scheme, order, invariant), sides in rows.items():
        cells = (
            f"`{equation}`",
            scheme,
            order.replace("nan", "n/a"),
            spread([f"{record['order_measured']:.2f}" for record in sides]),
            invariant or "none",
            spread([f"{record['residual']:.0e}" for record in sides]),
            spread([f"{1000 * record['seconds']:.2f}" for record in sides]),
            ", ".join(dict.fromkeys(record["pair"] for record in sides)),
        )
        lines.append(cells)
    head = ("equation", "scheme", "order", "measured", "invariant", "residual", "ms per sample", "pairs")
    return markdown_table(head, lines)


def spread(numbers: Sequence[str]) -> str:
    """Return the range of printed numbers, from the smallest to the largest."""
    known = sorted((number for number in set(numbers) if number != "nan"), key=float)
    return " to ".join(dict.fromkeys((known[0], known[-1]))) if known else "n/a"


def write_page(pairs: Sequence[Pair], table: str, faults: Sequence[str], foot: Mapping[str, Any]) -> Iterator[str]:
    yield HEADING
    yield (
        "Each pair of simulators has a cheap source with thousands of samples and an expensive target with hundreds. Every"
        " solver is batched in torch float64 and runs on any device; every ensemble draws random inputs and solves the equation"
        " for them. This page is generated by `python benchmarks/verification.py`: its pictures and numbers come from the data"
        " files that it has written. `tests/simulators/test_*.py` compare the solvers with exact solutions, observed orders,"
        " conserved quantities and symmetries; this page shows what `simulators.generate` measures whenever it writes a file.\n"
    )
    yield "## What is verified\n"
    yield (
        "Order: the declared order of convergence in the width of cells and steps, and the order measured on two samples under"
        " refinement by 1, 2 and 4 (n/a: exact up to round-off or a tolerance). Residual: the largest relative violation of the"
        " invariant over 64 samples, or over all if there are fewer. A row that several sides share states ranges.\n"
    )
    yield table
    if faults:
        yield "\nDifferences from the declared properties:\n"
        yield from (f"- {fault}" for fault in faults)
    if len(pairs) == len(PAIRS) and STEPS.exists():
        yield f"\n{STEPS.read_text(encoding='utf-8').strip()}"
    yield "\n## Pairs\n"
    yield (
        "Difficulty: the error of the unchanged source surrogate on the target, easy below 0.2, moderate below 0.4, otherwise"
        " hard (`benchmarks/difficulty.py`). Samples: train + valid + test of the source, then of the target, as"
        " `python -m simulators generate` writes them.\n"
    )
    rows = []
    for pair in pairs:
        counts = ", ".join(" + ".join(f"{n:,}" for n in side.counts()) for side in (pair.source, pair.target))
        rows.append((f"[{pair.name}](#{pair.name})", pair.shift, pair.difficulty, pair.headline, pair.title, counts))
    yield markdown_table(("pair", "shift", "difficulty", "headline", "source, then target", "samples"), rows)
    for pair in pairs:
        yield from section(pair)
    yield "\n---\n"
    made = f"{foot['date']}, seed {foot['seed']}, {foot['samples']} source samples per pair"
    yield f"{made}, {foot['hardware']}, torch {foot['torch']}: `{foot['command']}`"


def section(pair: Pair) -> Iterator[str]:
    source, target = pair.source, pair.target
    yield f"\n## {pair.name}\n"
    yield f"{pair.title[0].upper()}{pair.title[1:]}.\n"
    if source.ensemble.equation == target.ensemble.equation:
        yield f"- both: `{source.ensemble.equation}`"
    else:
        yield f"- source: `{source.ensemble.equation}`"
        yield f"- target: `{target.ensemble.equation}`"
    changed = list(changes(source, target))
    yield from (f"- {line}" for line in changed or ["no parameter differs"])
    yield f"\n```\npython -m simulators generate {pair.name}\n```\n"
    yield f"![samples of {pair.name}](pictures/{pair.name}.png)"


def changes(source: Side, target: Side) -> Iterator[str]:
    """Yield the differences between two sides as "name: source's value -> target's value"."""
    for name, before, after in differences(
        {"simulator": source.ensemble.simulator, "outputs": names(source), **source.parameters},
        {"simulator": target.ensemble.simulator, "outputs": names(target), **target.parameters},
    ):
        yield f"{name}: {write_value(before)} -> {write_value(after)}"


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
