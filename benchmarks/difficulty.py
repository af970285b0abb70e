"""How far is each source from its target? Errors of the unchanged source, of scratch and of fine-tuning on every pair.

    python benchmarks/difficulty.py                     all pairs: about 15 minutes on 2 cores, mostly for their data
    python benchmarks/difficulty.py --pairs burgers poisson
    python benchmarks/difficulty.py --quick --pairs burgers     a short run in seconds; its numbers mean nothing

All pairs have the same model (MLP 64-64), and nothing is tuned: this grades pairs and does not compare methods. The error of
the unchanged source on the target's test inputs gives the `difficulty` that `python -m simulators list` prints: easy below 0.2,
moderate below 0.4, otherwise hard, also if the target has outputs that the source lacks. Writes <out>/difficulty.json and
prints a table.
"""

import math
import time
from pathlib import Path
from typing import Annotated

from typer import Option

import pac_surrogate as pac
from shared.comparison import Comparison, Methods
from shared.files import write_json
from shared.provenance import origin
from shared.setting import Setting, Spending
from shared.tables import markdown_row, markdown_table
from simulators.pairs import PAIRS

METHODS: Methods = {
    "source unchanged": pac.SourceUnchanged(),
    "scratch": pac.Scratch(learning_rate=3e-3, strength=1e-3),
    "fine-tune": pac.FineTune(),
}
SIZES = (0, 8, 16, 32)
COMPARISON = Comparison(
    "difficulty",
    tuple(PAIRS),
    tuple(METHODS),
    Spending(sizes=SIZES, seeds=3, pretrain_steps=2000, steps=400),
    quick_pairs=tuple(PAIRS),
    quick_spending=Spending(sizes=SIZES, seeds=3, samples=120, pretrain_steps=5, steps=5),
)


def main(setting: Setting, out: Annotated[Path, Option(help="Folder of the results.")] = Path("results/difficulty")) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict[str, object]] = {}
    sizes = ", ".join(map(str, SIZES[1:]))
    # A row is printed as soon as it is measured: all pairs take a quarter of an hour.
    print(markdown_table(("pair", "shift", "difficulty", "source", f"scratch n = {sizes}", "fine-tune", "seconds"), []))
    for name in setting.pairs:
        begin, pair = time.perf_counter(), PAIRS[name]
        source, target = setting.open(name, say=lambda line: None)
        model, budget = pac.MLP(hidden=(64, 64)), setting.spending.of_curve()
        curve = pac.transfer_curve(source, target, methods=METHODS, model=model, device=setting.device, **budget)
        median = curve[pair.headline].median("seed")
        errors = {str(name): [float(v) for v in median.loc[name]] for name in median["approach"].values}
        seconds = time.perf_counter() - begin
        error = errors["source unchanged"][0]
        measured = "easy" if error < 0.2 else "moderate" if error < 0.4 else "hard"
        rows[name] = {
            "shift": pair.shift,
            "metric": pair.headline,
            "difficulty": measured,
            "errors": {name: [None if math.isnan(v) else v for v in values] for name, values in errors.items()},
            "seconds": round(seconds, 1),
        }
        cells = (", ".join(f"{v:.3f}" for v in errors[name][1:]) for name in ("scratch", "fine-tune"))
        note = "" if measured == pair.difficulty else f" (listed as {pair.difficulty})"
        print(markdown_row((name, pair.shift, f"{measured}{note}", f"{error:.3f}", *cells, f"{seconds:.0f}")))
    config = {
        "sizes": SIZES,
        "seeds": setting.spending.seeds,
        "model": "MLP 64-64, 2000 steps of pretraining, 400 on the target",
        **origin(setting.device),
    }
    path = out / "difficulty.json"
    write_json(path, {"config": config, "pairs": rows})
    print(f"\n{len(rows)} pairs; written {path}")


if __name__ == "__main__":
    COMPARISON.run(main, __doc__, without=("full", "methods", "sizes", "figures"))
