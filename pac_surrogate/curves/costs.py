"""What a surrogate costs, and the number of predictions that pays for it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pac_surrogate.curves.savings import SamplesNeeded, samples_needed_interval
from pac_surrogate.data.given import Given, as_dataset
from pac_surrogate.utilities.arguments import check_numbers

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class BreakEven:
    """Cost of a surrogate and the number of predictions that pays for it, in the unit of the costs that were given.

    Attributes:
        needed: target samples.
        source: cost of the source samples.
        target: cost of the target samples.
        training: cost of training.
        predictions: as many runs of the target cost the same; the surrogate is cheaper for any more.
        low: lower end of the interval of `predictions`.
        high: its upper end.
        direct: cost of running the target for every wanted prediction, None if their number was not given.
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
    """Number N of predictions from which a surrogate of a given error is cheaper than running the target for each.

    N target_cost = source_samples source_cost + n(error) target_cost + training_cost. Predictions themselves cost nothing, and
    test samples are not counted. Source: the equation is ours.

    Args:
        curve: from `transfer_curve`, or the path of a saved one.
        method: name of a method of the curve.
        error: to be reached.
        source_samples: how many are simulated.
        source_cost: of one [s]; `simulation_costs` reads all three from data files.
        target_cost: of one target sample [s].
        training_cost: of pretraining and transfer [s]; `curve["seconds"]` is what a transfer took.
        predictions: how many are wanted, if the cost of running the target for them is.
        level: fraction of the resamples within the interval.
        resamples: how many.
        seed: of the resamples.
        metric: a variable of the curve, the headline metric by default.

    Raises:
        ValueError: as `samples_needed_interval`, or if a cost is negative, unknown, or that of a target sample is 0.
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
    """source_samples, source_cost and target_cost of `break_even`, as the data files state them.

    Counts the source's train and valid split; a cost is the file's cost_seconds_per_sample [s].

    Raises:
        ValueError: if a file does not know its cost.
    """
    source, target = as_dataset("source", source), as_dataset("target", target)
    costs = [float(data.attributes["cost_seconds_per_sample"]) for data in (source, target)]
    if not all(math.isfinite(cost) for cost in costs):
        raise ValueError(f"cost_seconds_per_sample of source and target is needed, got {costs}: give the costs by hand")
    return {"source_samples": len(source.train) + len(source.valid), "source_cost": costs[0], "target_cost": costs[1]}
