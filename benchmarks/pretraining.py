"""Which architecture and which training does a source network need? Settings of `pretrain` compared on ten sources.

    python benchmarks/pretraining.py             10 sources, 33 settings, 2 seeds: half an hour on one core
    python benchmarks/pretraining.py --report    the table of the finished trainings
    python benchmarks/pretraining.py --quick     a short run of every part, in seconds; its numbers mean nothing

Every setting differs from the first one by what its name says. All of them have the same 2,000 source samples, and the seeds of
a setting are one stack. The error is the standardised error `rmse_std` on the source's test split, which no training sees,
averaged over the seeds. The table shows geometric means over the sources of this error, divided by the least of all settings on
the source and by that of the first setting. Seconds are those of the processor, for all seeds together, because other work may
share the machine. "Early stopping" keeps the weights with the least error on validation samples: either those of the valid
split, which the other settings do not use, or a tenth of the 2,000, on which the network is then not trained. A finished
training is not computed again. Writes <out>/pretraining.json.
"""

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import pac_surrogate as pac
from pac_surrogate.data.metrics import rmse_std
from pac_surrogate.models import Architecture
from pac_surrogate.pretraining import pretrain_seeds
from pac_surrogate.runner import Solver
from shared.command import Out, Report
from shared.comparison import Comparison
from shared.files import write_json
from shared.provenance import origin
from shared.setting import Setting, Spending
from shared.tables import text_table

SOURCES = (
    *("branin", "hartmann", "borehole", "friedman_4", "oscillator_noise"),
    *("lotka_volterra", "lorenz_63", "heat_equation", "burgers", "darcy"),
)
SAMPLES = 2000
TENTH = 0.1  # fraction of the samples that a setting may hold out
COMPARISON = Comparison(
    "pretraining",
    SOURCES,
    (),
    Spending(seeds=2),
    quick_pairs=("branin", "heat_equation"),
    quick_spending=Spending(seeds=2, samples=120),
)
QUICK_STEPS = 5


@dataclass(frozen=True)
class Training:
    """A setting of `pretrain`; the validation samples are none, those of the "valid" split, or a held-out "tenth"."""

    model: Architecture
    steps: int = 3000
    learning_rate: float = 1e-3
    batch_size: int = 128
    validation: Literal["", "valid", "tenth"] = ""


def mlp(*hidden: int, activation: str = "gelu", **training: Any) -> Training:
    return Training(pac.MLP(hidden or (128, 128), activation), **training)


WIDE, THREE, FOUR = (256, 256), (128,) * 3, (128,) * 4
TENTH_OUT: dict[str, Any] = {"validation": "tenth"}
SETTINGS: dict[str, Training] = {
    "2 layers of 128, gelu, 3000 steps, rate 1e-3": mlp(),
    "width 64": mlp(64, 64),
    "width 256": mlp(*WIDE),
    "1 layer": mlp(128),
    "3 layers": mlp(*THREE),
    "4 layers": mlp(*FOUR),
    "relu": mlp(activation="relu"),
    "silu": mlp(activation="silu"),
    "tanh": mlp(activation="tanh"),
    "1000 steps": mlp(steps=1000),
    "10000 steps": mlp(steps=10_000),
    "rate 3e-4": mlp(learning_rate=3e-4),
    "rate 3e-3": mlp(learning_rate=3e-3),
    "rate 1e-2": mlp(learning_rate=1e-2),
    "batches of 32": mlp(batch_size=32),
    "early stopping, valid split": mlp(validation="valid"),
    "early stopping, a tenth held out": mlp(**TENTH_OUT),
    "10000 steps, early stopping, valid split": mlp(steps=10_000, validation="valid"),
    "rate 3e-3, 1000 steps": mlp(learning_rate=3e-3, steps=1000),
    "rate 3e-3, 10000 steps": mlp(learning_rate=3e-3, steps=10_000),
    "rate 3e-3, width 64": mlp(64, 64, learning_rate=3e-3),
    "rate 3e-3, width 256": mlp(*WIDE, learning_rate=3e-3),
    "rate 3e-3, 3 layers": mlp(*THREE, learning_rate=3e-3),
    "rate 3e-3, 4 layers": mlp(*FOUR, learning_rate=3e-3),
    "rate 3e-3, 3 layers of 256": mlp(256, 256, 256, learning_rate=3e-3),
    "rate 3e-3, tanh": mlp(activation="tanh", learning_rate=3e-3),
    "rate 3e-3, early stopping, a tenth held out": mlp(learning_rate=3e-3, **TENTH_OUT),
    "rate 1e-2, early stopping, a tenth held out": mlp(learning_rate=1e-2, **TENTH_OUT),
    "rate 3e-3, 3 layers, early stopping, a tenth held out": mlp(*THREE, learning_rate=3e-3, **TENTH_OUT),
    "rate 1e-2, 3 layers, early stopping, a tenth held out": mlp(*THREE, learning_rate=1e-2, **TENTH_OUT),
    "rate 3e-3, 4 layers, early stopping, a tenth held out": mlp(*FOUR, learning_rate=3e-3, **TENTH_OUT),
    "rate 1e-2, 4 layers, early stopping, a tenth held out": mlp(*FOUR, learning_rate=1e-2, **TENTH_OUT),
    "rate 3e-3, 3 layers, 10000 steps, early stopping, a tenth held out": mlp(
        *THREE, learning_rate=3e-3, steps=10_000, **TENTH_OUT
    ),
}
# The rate of a convolutional network, for fields in two dimensions.
CONVOLUTIONAL = {
    f"CNN, 500 steps, rate {rate}, early stopping, a tenth held out": Training(
        pac.CNN(channels=8, blocks=1, levels=2, padding="zero"), steps=500, learning_rate=float(rate), **TENTH_OUT
    )
    for rate in ("1e-3", "3e-3", "1e-2")
}
OF_SOURCE = {"darcy": {**SETTINGS, **CONVOLUTIONAL}}
Found = dict[str, dict[str, dict[str, Any]]]  # source, setting: errors of the seeds and seconds
HEAD = ("setting", "error / least", "largest", "error / first", "seconds", "seconds / first")


def main(setting: Setting, report: Report = False, out: Out = None) -> None:
    path = (out or Path(f"results/pretraining{'_quick' if setting.quick else ''}")) / "pretraining.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"sources": {}}
    if not report:
        compute(setting, stored["sources"], path)
    elif not path.exists():
        raise ValueError(f"nothing is finished under {path.parent}: run without --report")
    print_errors(stored["sources"])


def compute(setting: Setting, found: Found, path: Path) -> None:
    """Train the settings that are missing on each source, and write the file after each of them."""
    seeds, samples = setting.spending.seeds, setting.spending.samples or SAMPLES
    for source in setting.pairs:
        own = found.setdefault(source, {})
        asked = OF_SOURCE.get(source, SETTINGS)
        missing = [name for name in asked if len(own.get(name, {}).get("errors", ())) != seeds]
        if not missing:
            continue
        data, _ = setting.open(source)
        for name in missing:
            training = asked[name]
            steps = QUICK_STEPS if setting.quick else training.steps
            own[name] = measure(data, replace(training, steps=steps), seeds, samples, setting.device)
            print(f"{source}: {name}: {np.mean(own[name]['errors']):.4f}, {own[name]['seconds']:.1f} s", flush=True)
            described = {"samples": samples, "seeds": seeds, **origin(setting.device)}
            write_json(path, {"config": described, "sources": found})


def measure(data: pac.Dataset, training: Training, seeds: int, samples: int, device: str) -> dict[str, Any]:
    """Train a setting on a source; return the test errors of its seeds and the processor's seconds of all of them."""
    train = data.train[: min(samples, len(data.train))]
    held = round(TENTH * len(train))
    valid = {"": None, "valid": data.valid, "tenth": train[:held]}[training.validation]
    began = time.process_time()
    surrogates = pretrain_seeds(
        train[held:] if training.validation == "tenth" else train,
        model=training.model,
        seeds=range(seeds),
        steps=training.steps,
        learning_rate=training.learning_rate,
        batch_size=training.batch_size,
        valid=valid,
        solver=Solver(device),
    )
    seconds = time.process_time() - began
    test = data.test
    return {"errors": [rmse_std(one.predict(test), test.y) for one in surrogates], "seconds": round(seconds, 3)}


def rows_of(found: Found) -> list[tuple[str, list[float]]]:
    """Return a row of HEAD for each setting that is finished on every source: geometric means over the sources."""
    names = [name for name in SETTINGS if all(name in own for own in found.values())]
    errors = np.log([[mean_error(own[name]) for name in names] for own in found.values()])
    seconds = np.array([[own[name]["seconds"] for name in names] for own in found.values()])
    above = errors - errors.min(1, keepdims=True)
    means, largest = np.exp(above.mean(0)), np.exp(above.max(0))
    against, slower = np.exp((errors - errors[:, :1]).mean(0)), np.exp(np.log(seconds / seconds[:, :1]).mean(0))
    columns = (means, largest, against, seconds.mean(0), slower)
    return [(name, [float(value) for value in row]) for name, row in zip(names, zip(*columns, strict=True), strict=True)]


def print_errors(found: Found) -> None:
    """Print the geometric means over the sources, and the error of each setting on each source."""
    seeds = {len(one["errors"]) for own in found.values() for one in own.values()}
    print(f"\n  rmse_std on the source's test split, {len(found)} sources, {' or '.join(map(str, sorted(seeds)))} seeds;")
    print("  error / least: geometric mean over sources of the error over the least one of all settings; seconds: all seeds\n")
    print(text_table(HEAD, [(name, *(f"{value:.2f}" for value in row)) for name, row in rows_of(found)]))
    print()
    names = [name for name in {**SETTINGS, **CONVOLUTIONAL} if any(name in own for own in found.values())]
    print(text_table(("setting", *found), [(name, *(shown(own.get(name)) for own in found.values())) for name in names]))


def mean_error(one: Mapping[str, Any]) -> float:
    """Return the mean error of the seeds of a setting."""
    return statistics.mean(one["errors"])


def shown(one: Mapping[str, Any] | None) -> str:
    return "" if one is None else f"{mean_error(one):.4f}"


if __name__ == "__main__":
    COMPARISON.run(main, __doc__, without=("full", "methods", "sizes", "figures"))
