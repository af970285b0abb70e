"""The cost of a surrogate, and the number of predictions from which it pays off."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pac_surrogate.curves.savings import SamplesNeeded, samples_needed_interval
from pac_surrogate.data.conversion import Given, as_dataset
from pac_surrogate.utilities.arguments import check_numbers

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class BreakEven:
    """Cost of a surrogate, in the unit of the given costs, and the number of predictions from which it pays off.

    Attributes:
        needed: number of target samples that the surrogate needs.
        source: cost of the source samples.
        target: cost of the target samples.
        training: cost of training.
        predictions: number of target runs that cost as much as the surrogate, which is cheaper for more predictions.
        low: lower end of the interval of `predictions`.
        high: upper end of the interval of `predictions`.
        direct: cost of running the target for every wanted prediction; None if their number was not given.
    """

    needed: SamplesNeeded
    source: float
    target: float
    training: float
    predictions: float
    low: float
    high: float
    direct: float | None

    @property
    def total(self) -> float:
        """Cost of the surrogate."""
        return self.source + self.target + self.training


def break_even(
    curve: "xr.Dataset | Path | str",
    method: str,
    error: float,
    *,
    source_samples: float,
    source_cost: float,
    target_cost: float,
    training_cost: float = 0.0,
    predictions: float | None = None,
    level: float = 0.9,
    resamples: int = 1000,
    seed: int = 0,
    metric: str | None = None,
) -> BreakEven:
    """Find the number N of predictions above which a surrogate of a given error is cheaper than running the target for each.

    N target_cost = source_samples source_cost + n(error) target_cost + training_cost. Predictions themselves cost nothing, and
    test samples are not counted. Source: the equation is ours.

    Args:
        curve: result of `transfer_curve`, or the path of a saved one.
        method: name of a method of the curve.
        error: error to be reached.
        source_samples: number of simulated source samples.
        source_cost: cost of one source sample [s]; `simulation_costs` reads these two and `target_cost` from data files.
        target_cost: cost of one target sample [s].
        training_cost: cost of pretraining and transfer [s]; `curve["seconds"]` is the time of a transfer.
        predictions: number of wanted predictions, if the cost of running the target for each of them is to be reported.
        level: fraction of the resamples within the interval.
        resamples: number of resamples.
        seed: seed of the resamples.
        metric: a variable of the curve, the headline metric by default.

    Raises:
        ValueError: as `samples_needed_interval`, or if a cost is negative or not finite, or that of a target sample is 0.
    """
    wanted = {} if predictions is None else {"predictions": predictions}
    check_numbers(
        source_samples=source_samples, source_cost=source_cost, target_cost=target_cost, training_cost=training_cost, **wanted
    )
    costs = {"source_samples": source_samples, "source_cost": source_cost, "target_cost": target_cost}
    for name, value in (costs | {"training_cost": training_cost, "predictions": predictions or 0}).items():
        if not 0 <= value < math.inf or (name == "target_cost" and value == 0):
            raise ValueError(f"{name} must be {'above' if name == 'target_cost' else 'at least'} 0 and finite, got {value}")
    needed = samples_needed_interval(curve, method, error, level=level, resamples=resamples, seed=seed, metric=metric)
    source = source_samples * source_cost
    fixed = (source + training_cost) / target_cost
    return BreakEven(
        needed=needed,
        source=source,
        target=needed.samples * target_cost,
        training=training_cost,
        predictions=fixed + needed.samples,
        low=fixed + needed.low,
        high=fixed + needed.high,
        direct=None if predictions is None else predictions * target_cost,
    )


def simulation_costs(source: Given, target: Given) -> dict[str, float]:
    """Read source_samples, source_cost and target_cost for `break_even` from the data.

    Samples of the source's train and valid splits are counted; a cost is the attribute cost_seconds_per_sample [s].

    Raises:
        ValueError: if the data do not state their cost.
    """
    source, target = as_dataset("source", source), as_dataset("target", target)
    costs = [float(data.attributes["cost_seconds_per_sample"]) for data in (source, target)]
    if not all(math.isfinite(cost) for cost in costs):
        raise ValueError(f"cost_seconds_per_sample of source and target is needed, got {costs}: give the costs by hand")
    return {"source_samples": len(source.train) + len(source.valid), "source_cost": costs[0], "target_cost": costs[1]}
