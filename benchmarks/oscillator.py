"""Roll out a surrogate of one time step of an oscillator over a hundred steps.

    python benchmarks/oscillator.py            harmonic to damped, to Duffing, unforced to forced: about 10 minutes on 2 cores
    python benchmarks/oscillator.py --quick    a short run of every part, in seconds; its numbers mean nothing
    python benchmarks/oscillator.py --full     10 seeds, longer training

The surrogate maps (q, p, cos t, sin t) to the change of (q, p) over a step of 0.1 (PAC-Net's ODE setting; Myung et al., ICML
2022; their step and sampling are not public, so these are our own). Source: 4,000 steps from random states; target: n steps.
The surrogate is applied to its own predictions for 100 steps from 100 random starts and compared with the true trajectory: root
mean square error over the standard deviation of the true states, and error of the energy over the standard deviation of the
true energy. A rollout that leaves |q|, |p| <= 100 has an infinite error. Writes <out>/rollout.json and rollout.png.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

import pac_surrogate as pac
from pac_surrogate.curves.errors import METRICS
from pac_surrogate.methods.specification import as_method
from pac_surrogate.models import Architecture
from pac_surrogate.plots.style import in_style
from pac_surrogate.prepare import prepare
from pac_surrogate.runner import Solver, run
from pac_surrogate.surrogates.batch_prediction import predict_many
from pac_surrogate.surrogates.surrogate import Surrogate
from shared.candidates import CANDIDATES, RIVALS
from shared.comparison import Comparison
from shared.figures import write_figure
from shared.files import write_json
from shared.grids import FEWEST, bounds_of, bounds_table
from shared.provenance import write_config
from shared.setting import Setting, Spending, pretrain_sources
from shared.tables import markdown_table
from simulators.numerics.runge_kutta import solve_dopri5
from simulators.odes.oscillators import Oscillators
from simulators.pairs import find_pair

STEP, STEPS, STARTS, SOURCE = 0.1, 100, 100, 4000
PAIRS = ("oscillator_damped", "oscillator_duffing", "oscillator_forced")
SPENDING = Spending(sizes=(8, 32, 128), seeds=3, pretrain_steps=4000, source_steps=4000, steps=400)
COMPARISON = Comparison("oscillator", PAIRS, RIVALS, SPENDING, model=pac.MLP(hidden=(128, 128), activation="tanh"))
SMALL = pac.MLP(hidden=(64, 64), activation="tanh")  # with --quick
TARGET = 400
MEASURES = ("trajectory", "energy", "step")


def main(setting: Setting) -> None:
    began = time.perf_counter()
    spending, results, bounds = setting.spending, {}, {}
    methods = {name: CANDIDATES[name] for name in setting.methods}
    for name in setting.pairs:
        pair = find_pair(name)
        source, target = pair.source.ensemble, pair.target.ensemble
        if not isinstance(source, Oscillators) or not isinstance(target, Oscillators):
            raise ValueError(f"{name} is not a pair of oscillators: choose from {', '.join(PAIRS)}")
        results[name], chosen = roll_out(source, target, setting.methods, spending, setting.device, setting.model or SMALL)
        for measure in MEASURES:
            print(f"\n{name}: {measure} error, median over {spending.seeds} seeds")
            print(error_table(results[name], measure, spending.sizes))
        print(
            f"\n{name}: steps on the source after pretraining, and step error on the source, median over {spending.seeds} seeds"
        )
        print(source_table(results[name]))
        bounds[name] = bounds_of(chosen, methods)
        print(f"\n{name}: choices from the grids at n >= {FEWEST}: fraction at either end, and median over seeds")
        print(bounds_table(bounds[name]))
    write_config(setting.out, setting.described(), methods, time.perf_counter() - began, setting.device)
    write_json(setting.out / "bounds.json", bounds)
    write_json(setting.out / "rollout.json", results)
    write_figure(setting.figure("rollout"), draw(results, spending.sizes))


def flow(
    oscillator: Oscillators, start: Float[Tensor, "sample 3"], times: Float[Tensor, " time"]
) -> Float[Tensor, "sample time 2"]:
    """Return the states (q, p) at these times after each row's own time t; a row of `start` is (q, p, t)."""
    field, moment = oscillator._field({}), start[:, 2]
    state = torch.cat([start[:, :2], torch.zeros(len(start), 1, dtype=start.dtype)], dim=1)
    return solve_dopri5(lambda t, y: field(t + moment, y), state, times)[:, :, :2]


def steps_of(oscillator: Oscillators, count: int, seed: int, reach: float = 2.0) -> pac.Dataset:
    """Return single steps from random states and times."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(count, 3, generator=generator, dtype=torch.float64) * 2 - 1
    start = start * torch.tensor([reach, reach, math.pi], dtype=torch.float64)
    change = flow(oscillator, start, torch.tensor([STEP], dtype=torch.float64))[:, 0] - start[:, :2]
    return pac.Dataset.from_arrays(phases(start), change, valid=0.1, test=0.1, seed=seed)


def phases(start: Float[Tensor, "sample 3"]) -> Float[Tensor, "sample 4"]:
    """Return the inputs of the surrogate: q, p, cos t, sin t."""
    return torch.cat([start[:, :2], start[:, 2:].cos(), start[:, 2:].sin()], dim=1)


def energy(oscillator: Oscillators, states: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch"]:
    alpha, beta, *_ = oscillator.coefficients
    position, momentum = states[..., 0], states[..., 1]
    return momentum**2 / 2 + alpha * position**2 / 2 + beta * position**4 / 4


def roll_out(
    source: Oscillators, target: Oscillators, methods: tuple[str, ...], spending: Spending, device: str, model: Architecture
) -> tuple[dict[str, dict[str, Any]], "xr.Dataset"]:
    """Return the errors of every method, name -> measure -> (size, seed), and the chosen candidates as in a transfer curve.

    Besides MEASURES, each method has `source_steps`, its steps on the source after pretraining, and `dense` and `allocated`,
    the step errors on the source of the pretrained network and of PAC's allocated one (None elsewhere).
    """
    few = spending.samples or SOURCE
    cheap, expensive = steps_of(source, few, seed=1), steps_of(target, max(TARGET, 2 * max(spending.sizes)), seed=2)
    seeds = range(spending.seeds)
    solver = Solver(device)
    surrogates = pretrain_sources(cheap, model, spending, solver)
    train = cheap.train
    cases = [
        prepare(surrogates[seed], expensive.subset(seed, size), train).case(spending.budget, seed)
        for size in spending.sizes
        for seed in seeds
    ]
    given = [(as_method(CANDIDATES[name]), case) for name in methods for case in cases]
    outcomes = run(given, solver)
    adapted = [outcome.surrogate for outcome in outcomes]
    generator = torch.Generator().manual_seed(3)
    start = torch.cat([torch.rand(STARTS, 2, generator=generator).double() * 3 - 1.5, torch.zeros(STARTS, 1).double()], dim=1)
    true = flow(target, start, STEP * torch.arange(1, STEPS + 1, dtype=torch.float64)).numpy()
    found = trajectories(adapted, start.numpy())
    sound = np.array([outcome.sound for outcome in outcomes])  # else the surrogate is the unchanged source
    scale, spread = true.reshape(-1, 2).std(0), energy(target, true).std()
    shape = (len(methods), len(spending.sizes), spending.seeds)
    found[~sound] = np.nan
    errors = {
        "trajectory": np.sqrt((((found - true) / scale) ** 2).mean((1, 2, 3))).reshape(shape),
        "energy": np.sqrt(((energy(target, found) - energy(target, true)) ** 2).mean((1, 2))).reshape(shape) / spread,
        "step": np.array([step_error(o.surrogate, expensive) if o.sound else np.nan for o in outcomes]).reshape(shape),
        "source_steps": np.array([outcome.source_steps for outcome in outcomes]).reshape(shape),
        "dense": np.broadcast_to([step_error(s, cheap) for s in surrogates], shape),
        "allocated": np.array([s.allocated and step_error(s.allocated, cheap) for s in adapted], dtype=object).reshape(shape),
    }
    chosen = np.array([repr(outcome.method) for outcome in outcomes]).reshape(shape)
    axes = {"approach": list(methods), "size": list(spending.sizes), "seed": list(seeds)}
    named = {name: {measure: values[i].tolist() for measure, values in errors.items()} for i, name in enumerate(methods)}
    return named, xr.Dataset({"chosen": (list(axes), chosen)}, axes)


def step_error(surrogate: Surrogate, data: pac.Dataset) -> float:
    (prediction,) = predict_many([surrogate], [data.test])
    return float(METRICS["rmse_std"](prediction, data.test.output_matrix))


def trajectories(surrogates: list[Surrogate], start: Float[np.ndarray, "sample 3"]) -> Float[np.ndarray, "run sample time 2"]:
    """Return the trajectories of every surrogate, which is applied to its own predictions."""
    state, states = np.repeat(start[None, :, :2], len(surrogates), axis=0), []
    for step in range(STEPS):
        moment = np.full((len(start), 1), step * STEP)
        inputs = [np.concatenate([rows, np.cos(moment), np.sin(moment)], axis=1) for rows in state]
        change = predict_many(surrogates, [pac.Dataset.from_arrays(rows, np.zeros((len(rows), 2))) for rows in inputs])
        state = state + np.stack(change)
        state = np.where(np.abs(state).max((1, 2), keepdims=True) > 100, np.inf, state)
        states.append(state)
        # A rollout that has left continues from zero, since infinity cannot be an input; it is marked again below.
        state = np.where(np.isfinite(state), state, 0.0)
    gone = np.cumsum(~np.isfinite(np.stack(states)).all((2, 3)), axis=0) > 0
    return np.where(gone[:, :, None, None], np.inf, np.stack(states)).transpose(1, 2, 0, 3)


def error_table(errors: Mapping[str, Any], measure: str, sizes: Sequence[int]) -> str:
    """Return the median errors of every method on a pair, in one of MEASURES, as Markdown."""
    rows = [(name, *(f"{np.median(row):.3g}" for row in found[measure])) for name, found in errors.items()]
    return markdown_table(("method", *(f"n = {n}" for n in sizes)), rows)


def source_table(errors: Mapping[str, Any]) -> str:
    """Return the steps on the source after pretraining of every method, and PAC's allocated error beside the dense one."""
    rows = []
    for name, found in errors.items():
        allocated = [value for row in found["allocated"] for value in row if value is not None]
        kept = f"{np.median(allocated):.3g}" if allocated else ""
        rows.append((name, f"{np.median(found['source_steps']):,.0f}", kept, f"{np.median(found['dense']):.3g}"))
    return markdown_table(("method", "steps on the source", "allocated", "dense"), rows)


@in_style()
def draw(results: Mapping[str, Any], sizes: Sequence[int]) -> Figure:
    """Draw the errors of trajectory and energy against the number of target steps, with a column for each pair."""
    figure, axes = plt.subplots(2, len(results), figsize=(3.4 * len(results), 7), squeeze=False, layout="constrained")
    for column, (pair, errors) in enumerate(results.items()):
        for axis, measure in zip(axes[:, column], ("trajectory", "energy"), strict=True):
            for name, found in errors.items():
                axis.plot(sizes, [np.median(row) for row in found[measure]], marker="o", label=name)
            axis.set(xscale="log", yscale="log", xlabel="target steps n", ylabel=f"{measure} error", title=pair)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
