"""How far is each source from its target? Errors of the unchanged source, of scratch and of fine-tuning on every pair.

    python benchmarks/difficulty.py                     all pairs: about 15 minutes on 2 cores, most of it their data
    python benchmarks/difficulty.py --pairs burgers poisson
    python benchmarks/difficulty.py --quick --pairs burgers     a look in seconds; its numbers mean nothing

The model is one for all (MLP 64-64), and nothing is tuned: this grades pairs, and is no comparison of methods. The error of
the unchanged source on the target's test inputs is the `difficulty` that `python -m simulators list` prints: easy below 0.2,
moderate below 0.4, hard above, or where the target has outputs that the source lacks. Writes <out>/difficulty.json and
prints a table.
"""

import argparse
import datetime
import math
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from outputs import write_json

import pac_surrogate as pac
from pac_surrogate import console
from pac_surrogate.methods.method import Method
from simulators.generate import generate
from simulators.pairs import PAIRS, find_pair

METHODS: dict[str, Method | Sequence[Method]] = {
    "source unchanged": pac.SourceUnchanged(),
    "scratch": pac.Scratch(learning_rate=3e-3, strength=1e-3),
    "fine-tune": pac.FineTune(),
}
SIZES = (8, 16, 32)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a look at everything in seconds")
    parser.add_argument("--pairs", nargs="+", help="names of pairs, all by default")
    parser.add_argument("--seeds", type=int, default=3, help="how many, at most 20")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data files")
    parser.add_argument("--device", default="auto", help="auto means CUDA where there is one")
    parser.add_argument("--out", type=Path, default=Path("results/difficulty"), help="folder to write")
    return parser.parse_args()


def main() -> None:
    flags = arguments()
    pairs = [find_pair(name) for name in flags.pairs or PAIRS]
    flags.out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict[str, object]] = {}
    sizes = ", ".join(map(str, SIZES))
    print(f"| pair | shift | difficulty | source | scratch n = {sizes} | fine-tune | seconds |\n|---|---|---|---|---|---|---|")
    for pair in pairs:
        begin = time.perf_counter()
        paths = generate(pair, flags.data / "quick" if flags.quick else flags.data, samples=120 if flags.quick else None)
        source, target = (pac.open_dataset(path) for path in paths.values())
        curve = pac.transfer_curve(
            source,
            target,
            methods=METHODS,
            sizes=(0, *SIZES),
            seeds=flags.seeds,
            model=pac.MLP(hidden=(64, 64)),
            steps=5 if flags.quick else 400,
            pretrain_steps=5 if flags.quick else 2000,
            device=flags.device,
        )
        median = curve[pair.headline].median("seed")
        errors = {str(name): [float(v) for v in median.loc[name]] for name in median["approach"].values}
        seconds = time.perf_counter() - begin
        error = errors["source unchanged"][0]
        measured = "easy" if error < 0.2 else "moderate" if error < 0.4 else "hard"
        rows[pair.name] = {
            "shift": pair.shift,
            "metric": pair.headline,
            "difficulty": measured,
            "errors": {name: [None if math.isnan(v) else v for v in values] for name, values in errors.items()},
            "seconds": round(seconds, 1),
        }
        cells = (", ".join(f"{v:.3f}" for v in errors[name][1:]) for name in ("scratch", "fine-tune"))
        note = "" if measured == pair.difficulty else f" (listed as {pair.difficulty})"
        print(
            f"| {pair.name} | {pair.shift} | {measured}{note} | {error:.3f} | {' | '.join(cells)} | {seconds:.0f} |", flush=True
        )
    config = {
        "command": " ".join(["python", *sys.argv]),
        "sizes": [0, *SIZES],
        "seeds": flags.seeds,
        "model": "MLP 64-64, 2000 steps of pretraining, 400 on the target",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    path = flags.out / "difficulty.json"
    write_json(path, {"config": config, "pairs": rows})
    print(f"\n{len(rows)} pairs; written {path}")


if __name__ == "__main__":
    console.run(main)
