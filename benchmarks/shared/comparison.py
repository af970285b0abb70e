"""Comparisons of methods: their defaults, their flags, their transfer curves and the table of errors."""

import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import xarray as xr
from typer import Option

import pac_surrogate as pac
from pac_surrogate.methods.method import Method
from pac_surrogate.models import Architecture
from pac_surrogate.plots.panels import whole_figure
from shared.command import FINISHED, FORMATS, NAMES, Data, Device, Figures, Full, Out, Quick, Seeds, Sizes, check_known, run
from shared.figures import write_figure
from shared.files import write_json
from shared.grids import FEWEST, bounds_of, bounds_table
from shared.provenance import write_config
from shared.setting import QUICK, Setting, Spending
from shared.tables import text_table
from simulators.ensemble import Pair
from simulators.pairs import find_pair

Methods = Mapping[str, Method | Sequence[Method]]


@dataclass(frozen=True)
class Comparison:
    """The defaults of a benchmark that compares methods.

    Attributes:
        name: name of the benchmark and of its folder of results.
        pairs, methods: names of the pairs and methods compared by default.
        spending: sizes, seeds and training budget of every method.
        full_pairs, full_sizes: pairs and sizes with --full, if they differ.
        full_methods: methods that --full compares in addition.
        quick_pairs, quick_methods, quick_spending: the same with --quick, if they differ; by default only the first pair.
        model: architecture of the source networks, by default the small one of `model_of`, as always with --quick.
        stored: folder with the data of the pairs, if they are stored and not generated.
    """

    name: str
    pairs: Sequence[str]
    methods: Sequence[str]
    spending: Spending
    full_pairs: Sequence[str] = ()
    full_sizes: tuple[int, ...] = ()
    full_methods: Sequence[str] = ()
    quick_pairs: Sequence[str] = ()
    quick_methods: Sequence[str] = ()
    quick_spending: Spending = QUICK
    model: Architecture | None = None
    stored: Path | None = None

    def run(self, main: Callable[..., object], description: str | None, without: Sequence[str] = ()) -> None:
        """Run a benchmark with the flags of a comparison.

        Args:
            main: takes the setting; further parameters are flags of its own, which replace common flags of the same name.
            description: the docstring of the script.
            without: names of the common flags that it does not have.
        """
        known = (*self.methods, *self.full_methods)
        default_pairs = f"Names of pairs, by default {' '.join(self.pairs)}."

        def settle(
            quick: Quick = False,
            full: Full = False,
            pairs: Annotated[list[str] | None, Option(metavar=NAMES, help=default_pairs)] = None,
            methods: Annotated[list[str] | None, Option(metavar=NAMES, help=f"From: {', '.join(known)}.")] = None,
            sizes: Sizes = None,
            seeds: Seeds = None,
            device: Device = "auto",
            data: Data = Path("data"),
            out: Out = None,
            figures: Figures = "png",
        ) -> Setting:
            if quick and full:
                raise ValueError("--quick and --full exclude each other: give one of them")
            for name in pairs or ():
                find_pair(name) if self.stored is None else check_known("pair", [name], self.pairs)
            check_known("method", methods or (), known)
            check_known("format", [figures], FORMATS)
            if quick:
                chosen = (self.quick_pairs or self.pairs[:1], self.quick_methods or self.methods, self.quick_spending)
            elif full:
                chosen = (self.full_pairs or self.pairs, known, self.spending.longer(self.full_sizes))
            else:
                chosen = (self.pairs, self.methods, self.spending)
            setting = Setting(
                pairs=tuple(pairs or chosen[0]),
                methods=tuple(methods or chosen[1]),
                spending=chosen[2],
                data=data,
                out=out or Path(f"results/{self.name}{'_quick' if quick else '_full' if full else ''}"),
                device=device,
                figures=figures,
                model=None if quick else self.model,
                quick=quick,
                full=full,
                stored=self.stored,
                asked=({"sizes": tuple(sorted(sizes))} if sizes else {}) | ({"seeds": seeds} if seeds else {}),
            )
            return setting.allow(chosen[2])

        _, *own = inspect.signature(main).parameters.values()
        left_out = {*without, *(flag.name for flag in own)}
        common = [flag for flag in inspect.signature(settle).parameters.values() if flag.name not in left_out]

        def command(**given: Any) -> object:
            mine = {flag.name: given.pop(flag.name) for flag in own}
            return main(settle(**given), **mine)

        command.__signature__ = inspect.Signature([*common, *own])  # type: ignore[attr-defined]
        run(command, description, FINISHED)


def compare(
    pair: str, methods: Methods, setting: Setting, *, tasks: Sequence[Pair] = (), folder: str | None = None, **options: Any
) -> "xr.Dataset":
    """Compute and draw the transfer curves of methods on a pair, and print their table and how the grids were used.

    An interrupted run continues with what is already in its folder.

    Args:
        pair: name of the pair.
        methods: methods, or candidates for tuning, by name.
        setting: budget of the methods, device and folders.
        tasks: pairs that take the place of the pair, one for each seed; by default the pair itself for all seeds.
        folder: name of the folder in that of the results, by default that of the pair.
        options: further arguments of `transfer_curve`.
    """
    began = time.perf_counter()
    budget = setting.spending.of_curve() | options
    folder = folder or pair
    path = setting.out / folder
    curves = []
    parts: Sequence[str | Pair] = tasks or [pair]
    for seed, part in enumerate(parts):
        source, target = setting.open(part)
        own = {"seeds": [seed], "out": path / f"task_{seed}"} if tasks else {"out": path}
        given = {"methods": methods, "model": setting.model_of(target), "device": setting.device, **budget, **own}
        curves.append(pac.transfer_curve(source, target, **given))
    curve = curves[0]
    if tasks:
        curve = xr.concat(curves, "seed", combine_attrs="override").assign_attrs(title=f"transfer curve {pair}", pair=pair)
        pac.save_curve(curve, path)
    write_figure(setting.figure(f"{folder}/curve"), whole_figure(pac.plot_curve(curve)))
    seconds = time.perf_counter() - began
    write_config(path, setting.described() | options, methods, seconds, setting.device)
    print(f"\n{pair}: {len(source.train)} source samples, {len(target.test)} test samples, {seconds:.0f} s; results in {path}")
    print_curve(curve)
    bounds = bounds_of(curve, methods)
    write_json(path / "bounds.json", bounds)
    if bounds:
        print(f"\n  choices from the grids at n >= {FEWEST}: fraction at either end, and median over seeds")
        print(bounds_table(bounds))
    return curve


def print_curve(curve: "xr.Dataset") -> None:
    """Print the budget of the methods, and the medians and quartiles of their errors over seeds, one row for each method.

    The last columns are medians at the largest size: gradient steps on the source after pretraining, the error on the source's
    test split, and that of PAC's allocated source, beside the pretrained one in parentheses.
    """
    headline = curve.attrs["headline"]
    budget = json.loads(curve.attrs["budget"])
    print(f"  {curve.attrs['model']}; {budget['pretrain_steps']} steps of pretraining, {budget['source_steps']} of allocate,")
    print(
        f"  {budget['steps']} on the target; tuned by {budget['folds']}-fold cross-validation; the first candidate below n = 4"
    )
    print(f"\n  {headline} on the target test split, median [quartiles] over {curve.sizes['seed']} seeds; * lowest median")
    summary = pac.summarise(curve)
    least = summary["median"].min("approach")
    sizes, rows = curve["size"].values, []
    largest = curve.sel(size=sizes.max())
    spent, forgotten, allocated = (largest[name].median("seed") for name in ("source_steps", "source_error", "allocated_error"))
    dense, shown = float(curve["dense_error"].median()), bool(allocated.notnull().any())
    for name in curve["approach"].values:
        cells = []
        for n in sizes:
            low, median, high = (float(summary[part].sel({"approach": name, "size": n})) for part in ("low", "median", "high"))
            broken = int(curve["diverged"].sel({"approach": name, "size": n}).sum())
            mark = "*" if median == float(least.sel(size=n)) else " "
            text = "n/a" if np.isnan(median) else f"{median:.4f}{mark}[{low:.4f}, {high:.4f}]"
            cells.append(text + (f" {broken} diverged" if broken else ""))
        steps, after, before = (float(found.loc[name]) for found in (spent, forgotten, allocated))
        kept = "n/a" if np.isnan(after) else f"{after:.4f}"
        source = "" if np.isnan(before) else f"{before:.4f} ({dense:.4f})"
        rows.append((name, budget["candidates"][str(name)], *cells, f"{steps:.0f}", kept, *[source] * shown))
    heads = ("source steps", "source error", *["allocated (dense)"] * shown)
    print(text_table(("method", "trials", *(f"n = {n}" for n in sizes), *heads), rows))
