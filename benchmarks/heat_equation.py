"""Compare transfer methods on the heat equation: error against the number of target samples.

    python benchmarks/heat_equation.py              one pair, 10 methods, 4 seeds: 2 to 5 minutes on 2 cores
    python benchmarks/heat_equation.py --quick      a short run of every part, in seconds; its numbers mean nothing
    python benchmarks/heat_equation.py --full       three pairs (a CNN in 2-D), 10 seeds, longer training: hours on 2 cores

Generates the data if they are missing, pretrains the source surrogates of all seeds as one stack, tunes every method with the
same number of trials by cross-validation on the target training samples, and reads the test split once. Writes
<out>/<pair>/curve.nc, curve.csv, curve.png, fields.png, config.json and bounds.json (which values of the grids were chosen).
An interrupted run continues where it stopped.
The pairs are heat_equation, heat_equation_losses and heat_equation_2d.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
import typer
import xarray as xr

import pac_surrogate as pac
from pac_surrogate.plots.panels import whole_figure
from pac_surrogate.surrogates.batch_prediction import predict_many
from shared.candidates import CANDIDATES, pac_candidates
from shared.command import check_known
from shared.comparison import Comparison, Methods, compare
from shared.figures import write_figure
from shared.setting import QUICK, Setting, Spending

PLAIN = ("source unchanged", "linear correction", "scratch", "fine-tune", "fine-tune, source longer")
METHODS: Methods = {"auto": pac.Auto()} | {
    name: CANDIDATES[name] for name in (*PLAIN, "L2-SP", "L2-SP, source longer", "PAC", "PAC, frozen biases")
}
# Methods that --full compares in addition.
MORE_METHODS: Methods = {name: CANDIDATES[name] for name in ("fine-tune, body x 0.1", "linear probe", "L2", "PackNet")} | {
    "PAC, random mask": pac_candidates(criterion="random"),
    "PAC, flipped mask": pac_candidates(flip=True),
    "PAC, no allocate": pac_candidates(allocate=False),
}
PAIRS = ("heat_equation", "heat_equation_losses", "heat_equation_2d")
COMPARISON = Comparison(
    "heat_equation",
    PAIRS[:1],
    tuple(METHODS),
    Spending(sizes=(0, 8, 16, 32, 64), seeds=4, pretrain_steps=4000, source_steps=4000, steps=400),
    full_pairs=PAIRS,
    full_methods=tuple(MORE_METHODS),
    quick_spending=replace(QUICK, sizes=(0, 4, 8), pretrain_steps=60, steps=20),
    model=pac.MLP(hidden=(128, 128)),
)
# A plate costs the CNN hundreds of times the work that a rod costs the MLP.
PLATES = Spending(sizes=(0, 8, 32), seeds=3, batch_size=32, pretrain_steps=1500, source_steps=500, steps=200)
FULL_PLATES = replace(PLATES, seeds=5, pretrain_steps=3000, source_steps=1000, steps=400)


def main(
    setting: Setting,
    stack_memory: Annotated[int | None, typer.Option(min=1, help="Maximum memory of one stack of runs, in megabytes.")] = None,
) -> None:
    check_known("pair", setting.pairs, PAIRS)
    methods = {name: {**METHODS, **MORE_METHODS}[name] for name in setting.methods}
    for pair in setting.pairs:
        plates = pair.endswith("2d") and not setting.quick
        own = replace(setting.allow(FULL_PLATES if setting.full else PLATES), model=None) if plates else setting  # a CNN
        curve = compare(pair, methods, own, stack_memory=stack_memory and stack_memory * 2**20)
        draw_fields(pair, curve, own)


def draw_fields(pair: str, curve: "xr.Dataset", setting: Setting) -> None:
    """Draw fields of the best method, PAC and fine-tune at the largest size (first seed)."""
    _, target = setting.open(pair, say=lambda line: None)
    largest = int(curve["size"].max())
    medians = pac.summarise(curve)["median"].sel(size=largest)
    if bool(medians.isnull().all()):
        print("  no method has a result at the largest size: fields.png is not drawn")
        return
    best = str(medians["approach"].values[int(np.nanargmin(medians.values))])
    shown = {f"best: {best}": best} | {
        name: name for name in ("PAC", "fine-tune") if name in curve["approach"].values and name != best
    }
    samples = target.test[[0, 1, 2]]
    variable = target.outputs[0]
    predictions = {}
    for label, name in shown.items():
        saved = setting.out / pair / "surrogates" / f"{name}.safetensors"
        if saved.exists():  # a diverged run saves no surrogate
            (prediction,) = predict_many([pac.Surrogate.load(saved)], [samples])
            predictions[label] = prediction[:, : variable.size].reshape(-1, *variable.shape)
    coordinate = target.coordinates["x"]
    panels = pac.plot_fields(
        samples[variable.name],
        predictions,
        x=coordinate.values,
        name=variable.name,
        units=variable.units,
        axis=f"x [{coordinate.units}]",
        title=f"{curve.attrs['pair']}: n = {largest} target samples, seed {int(curve['seed'][0])}",
    )
    write_figure(setting.figure(f"{pair}/fields"), whole_figure(panels[0, 0]))


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
