"""Do more layers help? Compare adaptive transfer learning (ATL) with readouts of the last layer alone.

    python benchmarks/feature_selection.py            6 pairs, n = 5 to 50, 5 seeds: about 3 minutes on 2 cores
    python benchmarks/feature_selection.py --quick    a short run of every part, in seconds; its numbers mean nothing
    python benchmarks/feature_selection.py --full     10 seeds, longer training

ATL (Lee et al., arXiv:2111.10937) fits a ridge regression to several layers of the source, which are chosen here by exact
leave-one-out errors. Its control reads the last layer alone, with the same anchor (the source's prediction) and the same grid
of strengths. Writes <out>/<pair>/curve.nc and further files, and prints the chosen layers (seed 0).
"""

import pac_surrogate as pac
from shared.candidates import CANDIDATES
from shared.comparison import Comparison, Methods, compare
from shared.setting import Setting, Spending

PLAIN = ("source unchanged", "fine-tune", "linear probe", "last-layer ridge")
METHODS: Methods = {name: CANDIDATES[name] for name in PLAIN} | {
    "last layer, same anchor and grid": pac.ATL(form="last layer"),
    "ATL": pac.ATL(),
    "ATL, group lasso": pac.ATL(form="group lasso"),
    "ATL, towards 0": pac.ATL(anchor="zero"),
}
PAIRS = ("heat_equation", "burgers", "oscillator_duffing", "oscillator_energy", "lotka_volterra", "friedman_4")
SPENDING = Spending(sizes=(5, 10, 20, 50), pretrain_steps=3000, source_steps=1000, steps=500)
COMPARISON = Comparison("feature_selection", PAIRS, tuple(METHODS), SPENDING)


def main(setting: Setting) -> None:
    for pair in setting.pairs:
        compare(pair, {name: METHODS[name] for name in setting.methods}, setting)
        source, target, (surrogate, *_), _ = setting.pretrain(pair)
        print("  layers that ATL chose, seed 0 (0 is the input):")
        for size in setting.spending.sizes:
            samples = target.subset(0, size)
            adapted = pac.transfer(surrogate, samples, method=pac.ATL(), source=source.train, device=setting.device)
            layers = getattr(adapted.predictor, "layers", ("none: the source unchanged",))
            print(f"    n = {size}: {', '.join(map(str, layers))}")


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
