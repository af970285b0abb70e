"""What does pruning save when a surrogate is used? Errors, sizes and times of pruned networks beside the dense one.

    python benchmarks/deploy.py                   all three parts: about half an hour on one core of two busy ones
    python benchmarks/deploy.py --parts small     one part; small takes a minute, large six, and recipes seven for each pair
    python benchmarks/deploy.py --report          the tables and figures of the finished parts
    python benchmarks/deploy.py --quick           a short run of every part, in seconds; its numbers mean nothing

recipes  six recipes prune the source to 80, 90 and 95 % of zeros and train all other weights on the target. "Unstructured" are
         single weights, "structured" whole units, of which 1 - sqrt(1 - s) are pruned for a sparsity s, so that as many weights
         remain in a square layer. The dense network takes as many steps on source and target. LTH-T takes these steps on the
         source in every round. The learning rate on the target is chosen from seven by cross-validation for every network.
large    the same for one recipe and four layers of 1,024 units, with the times of every engine of `Surrogate.optimise`.
small    three layers of 64 units, whose time is that of the calls: from Python and from C, and a million rows through C.

A ratio of errors is the median over seeds of the error over that of the dense network of the same seed. A ratio of times is
that of the dense network in torch over the fastest engine. Both are processor times of a call from physical inputs to physical
outputs in NumPy, measured in turn on one thread, for the network of the first seed; numbers in parentheses are quartiles. Loops
in C and the million rows are timed by the clock, and the least time is taken. Everything needs `pip install -e '.[deploy]'`,
and the C export also the system's compiler. Writes <out>/<part>.json, <out>/deploy.png, and the curves of the trainings. What
is finished under the same setting is not computed again.
"""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

from typer import Option

import pac_surrogate as pac
from deployment import networks, small, tables
from deployment.networks import RECIPES
from pac_surrogate.utilities.environment import processor, version_of
from shared.command import NAMES, Report, check_known
from shared.comparison import Comparison
from shared.figures import write_figure
from shared.files import write_json
from shared.provenance import origin
from shared.setting import QUICK, Setting, Spending

PARTS = ("small", "large", "recipes")
PAIRS = ("borehole", "oscillator_duffing", "heat_equation")
SPARSITIES, QUICK_SPARSITIES = (0.8, 0.9, 0.95), (0.9,)
COMPARISON = Comparison(
    "deploy",
    PAIRS,
    tuple(RECIPES),
    Spending(sizes=(32,), seeds=3, pretrain_steps=2000, source_steps=400, steps=200),
    quick_methods=("GMP", "LTH-T"),
    quick_spending=dataclasses.replace(QUICK, sizes=(8,)),
    model=pac.MLP((256,) * 3, "relu"),
)
LARGE, LARGE_PAIR, LARGE_RECIPE, LARGE_SPARSITIES = pac.MLP((1024,) * 4, "relu"), "borehole", "GMP", (0.9, 0.95)
LARGE_SPENDING = Spending(sizes=(32,), seeds=1, pretrain_steps=1000, source_steps=500, steps=200)
ACTIVATIONS = ("relu", "gelu", "silu", "tanh")


def main(
    setting: Setting,
    parts: Annotated[list[str] | None, Option(metavar=NAMES, help=f"From: {', '.join(PARTS)}; by default all.")] = None,
    report: Report = False,
) -> None:
    check_known("part", parts or (), PARTS)
    if not report:
        networks.check_installed()
        compute = {"small": compute_small, "large": compute_large, "recipes": compute_recipes}
        for part in parts or PARTS:
            compute[part](setting)
    found = {part: read(setting.out / f"{part}.json") for part in PARTS}
    if not any(found.values()):
        raise ValueError(f"nothing is finished under {setting.out}: run without --report")
    print(tables.report(found))
    if found["recipes"] or found["large"]:
        write_figure(setting.figure("deploy"), tables.draw(found["recipes"], found["large"]))


def compute_recipes(setting: Setting) -> None:
    """Measure the recipes on the pairs that are missing, and write the file after each of them."""
    sparsities = QUICK_SPARSITIES if setting.quick else SPARSITIES
    path = setting.out / "recipes.json"
    described = {**setting.described(), "recipes": list(setting.methods), "sparsities": list(sparsities)}
    pairs = finished(path, described)
    for pair in setting.pairs:
        if pair not in pairs:
            pairs[pair] = networks.measure(pair, setting.methods, sparsities, setting, 0.01 if setting.quick else 0.5)
            write(path, described, pairs, setting)


def compute_large(setting: Setting) -> None:
    """Measure the large networks, if they are missing."""
    own = dataclasses.replace(setting, model=LARGE, out=setting.out / "large")
    own = dataclasses.replace(own, model=pac.MLP((64,) * 2, "relu")) if setting.quick else own.allow(LARGE_SPENDING)
    path, described = setting.out / "large.json", {**own.described(), "recipe": LARGE_RECIPE, "pair": LARGE_PAIR}
    if not finished(path, described):
        sparsities = QUICK_SPARSITIES if setting.quick else LARGE_SPARSITIES
        seconds = 0.01 if setting.quick else 10.0
        found = networks.measure(LARGE_PAIR, (LARGE_RECIPE,), sparsities, own, seconds, every=True)
        write(path, described, found, setting)


def compute_small(setting: Setting) -> None:
    """Measure small networks with the activation functions that are missing."""
    seconds, rows, loops = (0.01, 1000, 2) if setting.quick else (5.0, 1_000_000, 500)
    path, described = setting.out / "small.json", {"model": "MLP 3 x 64", "rows": rows, "seconds": seconds}
    measured = finished(path, described)
    for activation in ACTIVATIONS[:1] if setting.quick else ACTIVATIONS:
        if activation not in measured:
            measured[activation] = small.measure(activation, seconds, rows, loops)
            print(f"{activation} is measured", flush=True)
            write(path, described, measured, setting)


def read(path: Path) -> dict[str, Any]:
    """Return the content of a part's file, empty if there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def finished(path: Path, described: dict[str, Any]) -> dict[str, Any]:
    """Return the results of a file that were measured under the same setting."""
    content = read(path)
    same = content and content["config"]["setting"] == json.loads(json.dumps(described))
    return content["results"] if same else {}


def write(path: Path, described: dict[str, Any], results: dict[str, Any], setting: Setting) -> None:
    config = {"setting": described, **origin(setting.device)}
    config["hardware"] |= {"processor": processor()}
    config["versions"] |= {name: version_of(name) for name in ("scipy", "numba", "onnxruntime")}
    write_json(path, {"config": config, "results": results})


if __name__ == "__main__":
    COMPARISON.run(main, __doc__, without=("full",))
