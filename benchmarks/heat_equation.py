"""Compare transfer methods on the heat equation: error against the number of target samples.

    python benchmarks/heat_equation.py              one pair, 9 methods, 5 seeds: 1 to 3 minutes on 2 cores
    python benchmarks/heat_equation.py --quick      a look at everything, in seconds; its numbers mean nothing
    python benchmarks/heat_equation.py --full       three pairs (a CNN in 2-D), 10 seeds, longer training: hours on 2 cores

Generates the data if they are not there, pretrains the source surrogates of all seeds as one stack, tunes every method with the
same number of trials by cross-validation on the target training samples, and reads the test split once. Writes
<out>/<pair>/curve.nc, curve.csv, curve.png, fields.png and config.json. An interrupted run goes on where it stopped.
"""

import argparse
import io
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import xarray as xr
from comparison import peak_memory, print_table, run, write_config
from outputs import write_figure

import pac_surrogate as pac
from pac_surrogate.methods.method import Method
from pac_surrogate.surrogates.many import predict_many
from simulators.generate import generate
from simulators.pairs import find_pair

RATES = (1e-3, 3e-3)
# Every list begins with the method's defaults, which serve where there are too few samples to tune.
PAC = (
    pac.PAC(),
    pac.PAC(learning_rate=3e-3),
    pac.PAC(learning_rate=3e-3, sparsity=0.5),
    pac.PAC(learning_rate=3e-3, sparsity=0.5, strength=0.002),
)
METHODS: dict[str, Method | Sequence[Method]] = {
    "source unchanged": pac.SourceUnchanged(),
    "scratch": pac.grid(pac.Scratch, learning_rate=RATES, strength=(0.0, 1e-3)),
    "linear correction": pac.grid(pac.LinearCorrection, strength=(0.1, 0.01, 1e-3, 1.0)),
    "fine-tune": pac.grid(pac.FineTune, learning_rate=(1e-3, 3e-3, 3e-4, 1e-4)),
    "fine-tune, body x 0.1": pac.grid(pac.FineTune, body_rate=(0.1,), learning_rate=(1e-3, 3e-3, 1e-2, 3e-4)),
    "linear probe": pac.grid(pac.LinearProbe, learning_rate=RATES, strength=(0.0, 0.01)),
    "L2": pac.grid(pac.L2, learning_rate=RATES, strength=(0.1, 1e-3)),
    "L2-SP": pac.grid(pac.L2SP, learning_rate=RATES, strength=(0.1, 0.01)),
    "PackNet": pac.grid(pac.PackNet, learning_rate=RATES, sparsity=(0.8, 0.5)),
    "PAC": PAC,
}
ABLATIONS: dict[str, Method | Sequence[Method]] = {
    "PAC, random mask": [replace(candidate, criterion="random") for candidate in PAC],
    "PAC, flipped mask": [replace(candidate, flip=True) for candidate in PAC],
    "PAC, no allocate": [replace(candidate, allocate=False) for candidate in PAC],
}


@dataclass(frozen=True)
class Setting:
    """What a run may spend."""

    pairs: tuple[str, ...] = ("heat_equation",)
    methods: tuple[str, ...] = tuple(name for name in METHODS if name != "L2")
    sizes: tuple[int, ...] = (0, 4, 8, 16, 32, 64)
    seeds: int = 5
    samples: int | None = None
    pretrain_steps: int = 4000
    source_steps: int = 1000
    steps: int = 700
    folds: int = 5
    batch_size: int = 128


# A plate costs the CNN hundreds of times the work that a rod costs the MLP.
PLATES = {
    "sizes": (0, 8, 32),
    "seeds": 3,
    "folds": 2,
    "batch_size": 32,
    "pretrain_steps": 1500,
    "source_steps": 500,
    "steps": 200,
}
DEFAULT = Setting()
FULL = replace(
    DEFAULT,
    pairs=("heat_equation", "heat_equation_losses", "heat_equation_2d"),
    methods=(*METHODS, *ABLATIONS),
    seeds=10,
    pretrain_steps=10_000,
    source_steps=3000,
    steps=2000,
)
FULL_PLATES = {**PLATES, "seeds": 5, "pretrain_steps": 3000, "source_steps": 1000, "steps": 400}
QUICK = Setting(sizes=(0, 4, 8), seeds=2, samples=120, pretrain_steps=60, source_steps=20, steps=20, folds=2)


def settle(pair: str, flags: argparse.Namespace) -> Setting:
    """What a pair may spend: the chosen budget, then what the flags say."""
    setting = QUICK if flags.quick else FULL if flags.full else DEFAULT
    if pair.endswith("2d") and not flags.quick:
        setting = replace(setting, **(FULL_PLATES if flags.full else PLATES))  # type: ignore[arg-type]
    return replace(
        setting,
        seeds=flags.seeds if flags.seeds is not None else setting.seeds,
        sizes=tuple(flags.sizes or setting.sizes),
        methods=tuple(flags.methods or setting.methods),
        pairs=tuple(flags.pairs or setting.pairs),
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--quick", action="store_true", help="a look at everything in seconds")
    budget.add_argument("--full", action="store_true", help="three pairs, more seeds, longer training")
    parser.add_argument("--device", default="auto", help="auto means CUDA where there is one")
    parser.add_argument("--seeds", type=int, help="how many, at most 20")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of target samples")
    parser.add_argument("--methods", nargs="+", help=f"from: {', '.join((*METHODS, *ABLATIONS))}")
    parser.add_argument("--pairs", nargs="+", help=f"from: {', '.join(FULL.pairs)}")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data files")
    parser.add_argument("--out", type=Path, help="folder to write, results/heat_equation[_quick|_full] by default")
    parser.add_argument("--stack-memory", type=int, help="megabytes that one stack of runs may take")
    return parser.parse_args()


def main() -> None:
    mpl.use("Agg")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log file shows what has been done
    began = time.perf_counter()
    flags = arguments()
    chosen_pairs = flags.pairs or (FULL if flags.full else DEFAULT).pairs
    for label, chosen, known in (
        ("method", flags.methods or (), (*METHODS, *ABLATIONS)),
        ("pair", chosen_pairs, FULL.pairs),
    ):
        for name in chosen:
            if name not in known:
                raise ValueError(f"unknown {label} {name!r}: choose from {', '.join(known)}")
    for pair in chosen_pairs:
        run_pair(pair, settle(pair, flags), flags)
    print(f"\nall: {time.perf_counter() - began:.0f} s, peak memory {peak_memory():.2f} GB")


def run_pair(pair: str, setting: Setting, flags: argparse.Namespace) -> None:
    began = time.perf_counter()
    out = flags.out or Path(f"results/heat_equation{'_quick' if flags.quick else '_full' if flags.full else ''}")
    folder = out / pair
    data = flags.data / "quick" if flags.quick else flags.data
    generate(find_pair(pair), data, samples=setting.samples, say=lambda line: print(f"  {line}"))
    source, target = (pac.open_dataset(data / pair / f"{side}.h5") for side in ("source", "target"))
    print(f"{pair}: {len(source.train)} source and up to {max(setting.sizes)} target samples, {len(target.test)} test samples")
    print(f"  data ready after {time.perf_counter() - began:.0f} s")
    model = pac.CNN(channels=8, blocks=1, levels=2, padding="zero") if pair.endswith("2d") else pac.MLP(hidden=(64, 64))
    curve = pac.transfer_curve(
        source,
        target,
        methods={name: (METHODS | ABLATIONS)[name] for name in setting.methods},
        sizes=setting.sizes,
        seeds=setting.seeds,
        model=model,
        steps=setting.steps,
        source_steps=setting.source_steps,
        pretrain_steps=setting.pretrain_steps,
        folds=setting.folds,
        batch_size=setting.batch_size,
        device=flags.device,
        stack_memory=None if flags.stack_memory is None else flags.stack_memory * 2**20,
        out=folder,
    )
    write_figures(curve, target, folder)
    seconds = time.perf_counter() - began
    methods = {name: (METHODS | ABLATIONS)[name] for name in setting.methods}
    write_config(folder, {**vars(setting), "stack_memory_megabytes": flags.stack_memory}, methods, seconds, flags.device)
    print_table(curve)
    print(f"  {seconds:.0f} s; results in {folder}")


def write_figures(curve: "xr.Dataset", target: pac.Dataset, folder: Path) -> None:
    """Draw the curve, and fields of the best method, PAC and fine-tune at the largest size (first seed)."""
    write_figure(folder / "curve.png", pac.plot_curve(curve), dpi=150)
    largest = int(curve["size"].max())
    medians = pac.summarise(curve)["median"].sel(size=largest)
    if bool(medians.isnull().all()):
        print("  no method has an answer at the largest size: no fields.png")
        return
    best = str(medians["approach"].values[int(np.nanargmin(medians.values))])
    shown = {f"best: {best}": best} | {
        name: name for name in ("PAC", "fine-tune") if name in curve["approach"].values and name != best
    }
    samples = target.test[[0, 1, 2]]
    variable = target.outputs[0]
    predictions = {}
    for label, name in shown.items():
        saved = folder / "surrogates" / f"{name}.safetensors"
        if saved.exists():  # a diverged run leaves none
            (prediction,) = predict_many([pac.Surrogate.load(saved)], [samples])
            predictions[label] = prediction[:, : variable.size].reshape(-1, *variable.shape)
    coordinate = target.coordinates["x"]
    figure = pac.plot_fields(
        samples[variable.name],
        predictions,
        x=coordinate.values,
        name=variable.name,
        units=variable.units,
        axis=f"x [{coordinate.units}]",
        title=f"{curve.attrs['pair']}: n = {largest} target samples, seed {int(curve['seed'][0])}",
    )
    write_figure(folder / "fields.png", figure, dpi=150)


if __name__ == "__main__":
    run(main)
