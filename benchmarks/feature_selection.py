"""Do more layers help? Adaptive transfer learning (ATL) beside the probe and the ridge towards the source.

    python benchmarks/feature_selection.py            6 pairs, n = 5 to 50, 5 seeds: about 5 minutes on 2 cores
    python benchmarks/feature_selection.py --quick    a look at everything in seconds; its numbers mean nothing
    python benchmarks/feature_selection.py --full     10 seeds, longer training

ATL (Lee et al., arXiv:2111.10937) reads several layers of the source by ridge regression, here chosen by exact leave-one-out
errors. Writes <out>/<pair>/curve.nc and so on, and prints which layers were chosen (seed 0).
"""

from collections.abc import Sequence
from dataclasses import replace

import matplotlib as mpl
from comparison import Spending, arguments, compare, model_of, open_pair, run, sources

import pac_surrogate as pac
from pac_surrogate.methods.method import Method
from pac_surrogate.methods.tuned.atl import ATL
from pac_surrogate.methods.tuned.last_layer_ridge import LastLayerRidge
from pac_surrogate.runner import Solver

METHODS: dict[str, Method | Sequence[Method]] = {
    "source unchanged": pac.SourceUnchanged(),
    "fine-tune": pac.grid(pac.FineTune, learning_rate=(1e-3, 3e-3)),
    "linear probe": pac.grid(pac.LinearProbe, learning_rate=(3e-3,), strength=(0.0, 0.01)),
    "last-layer ridge": pac.grid(LastLayerRidge, strength=(0.1, 0.01, 1e-3, 1e-4)),
    "ATL": ATL(),
    "ATL, group lasso": ATL(form="group lasso"),
}
PAIRS = ("heat_equation", "burgers", "oscillator_duffing", "oscillator_energy", "lotka_volterra", "friedman_4")
DEFAULT = Spending(sizes=(5, 10, 20, 50), pretrain_steps=3000, source_steps=1000, steps=500)
FULL = replace(DEFAULT, seeds=10, pretrain_steps=10_000, source_steps=3000, steps=2000)


def main() -> None:
    mpl.use("Agg")
    flags = arguments(__doc__, "feature_selection", pairs=PAIRS, spending=DEFAULT, full=FULL, known=tuple(METHODS))
    for pair in flags.pairs:
        compare(pair, {name: METHODS[name] for name in flags.methods}, flags)
        source, target = open_pair(pair, flags.data, flags.spending.samples)
        solver = Solver(flags.device, cache=flags.out / pair / "stacks")
        surrogate = sources(source, model_of(target), flags.spending, solver)[0]
        print("  layers that ATL chose, seed 0 (0 is the input):")
        for size in flags.spending.sizes:
            adapted = pac.transfer(surrogate, target.subset(0, size), method=ATL(), source=source.train, device=flags.device)
            print(
                f"    n = {size}: {', '.join(map(str, getattr(adapted.predictor, 'layers', ('none: the source unchanged',))))}"
            )


if __name__ == "__main__":
    run(main)
