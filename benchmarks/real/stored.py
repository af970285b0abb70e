"""The data files of the pairs: written from their functions, opened, and described.

The train and valid splits of the two sides have independent inputs. Their test splits have the same inputs in the same order:
a file of the source also holds what the unchanged source says about the target's test split.
"""

import importlib
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int8

import pac_surrogate as pac
from pac_surrogate.data.metrics import rel_l2, rmse_std
from pac_surrogate.files import DatasetWriter, make_split, make_subset_order
from pac_surrogate.utilities.environment import version_of
from real.pair import Arrays, RealPair

DATA = Path(__file__).parent / "data"
NAMES = (
    "water_saturation",
    "real_gas",
    "natural_gas",
    "sea_water",
    "polymer_blends",
    "diode",
    "driven_qubit",
    "neuron",
    "cantilever",
    "elastic_pendulum",
    "satellite",
    "elastic_plate",
    "heat_sink",
    "room_acoustics",
    "water_network",
    "waiting_line",
)
METRICS: Mapping[str, Callable[..., float]] = {"rel_l2": rel_l2, "rmse_std": rmse_std}
TEST = 2  # number of the test split


def find_real_pair(name: str) -> RealPair:
    """Return the pair with this name.

    Raises:
        ValueError: if no pair has this name.
    """
    if name not in NAMES:
        raise ValueError(f"there is no stored pair {name!r}: choose one of {', '.join(NAMES)}")
    return importlib.import_module(f"real.{name}").PAIR


def open_pair(name: str, folder: Path = DATA) -> tuple[pac.Dataset, pac.Dataset]:
    """Return the stored source and target of a pair."""
    source, target = (pac.open_dataset(folder / name / f"{side}.h5") for side in ("source", "target"))
    return source, target


def write_pair(pair: RealPair, folder: Path = DATA, seed: int = 0) -> dict[str, Path]:
    """Compute all samples of a pair and write `<folder>/<pair>/source.h5` and `target.h5`.

    Args:
        pair: the pair.
        folder: folder in which each pair has its own folder.
        seed: seed of the inputs, splits and subsets.

    Returns:
        The path of each side.

    Raises:
        ValueError: if a package is missing, or an output is not finite.
    """
    (train, valid), (few, kept, test) = pair.counts
    own, others, both = pair.draw(seed)
    (source, source_cost), (target, target_cost) = (
        _timed(side.solve, inputs, measured=pair.designs is not None)
        for side, inputs in ((pair.source, own), (pair.target, others))
    )
    unchanged, truth = pair.source.solve(both), (pair.reference or pair.target.solve)(both)
    measured = {
        "correlation": correlation(_stored(unchanged), _stored(truth)),
        "unchanged_error": unchanged_error(_stored(unchanged), _stored(truth), pair.headline),
    }
    paths = {role: folder / pair.name / f"{role}.h5" for role in ("source", "target")}
    splits = (
        make_split(train + valid + test, valid=valid, test=test, seed=seed),
        make_split(few + kept + test, valid=kept, test=test, seed=seed + 1),
    )
    _write(pair, "source", paths["source"], splits[0], seed, ({**own, **source}, {**both, **unchanged}), source_cost, {})
    _write(pair, "target", paths["target"], splits[1], seed, ({**others, **target}, {**both, **truth}), target_cost, measured)
    return paths


def correlation(source: Arrays, target: Arrays) -> float:
    """Return Pearson's correlation over the samples, the mean over all outputs that vary on both sides."""
    found = []
    for name, values in source.items():
        a, b = (one.reshape(len(one), -1).astype(np.float64) for one in (values, target[name]))
        a, b = a - a.mean(0), b - b.mean(0)
        scale = np.sqrt((a**2).sum(0) * (b**2).sum(0))
        found.append((a * b).sum(0)[scale > 0] / scale[scale > 0])
    return float(np.concatenate(found).mean())


def unchanged_error(source: Arrays, target: Arrays, headline: str) -> float:
    """Return the error of the source's outputs as predictions of the target's, over all outputs together."""
    return METRICS[headline](*(np.concatenate([v.reshape(len(v), -1) for v in one.values()], 1) for one in (source, target)))


def common_outputs(name: str, folder: Path = DATA) -> tuple[Arrays, Arrays]:
    """Return the stored outputs of source and target at the inputs of the test split, which both have in common."""
    source, target = (side.test for side in open_pair(name, folder))
    names = [variable.name for variable in target.outputs]
    return {one: source[one] for one in names}, {one: target[one] for one in names}


def _stored(arrays: Arrays) -> Arrays:
    return {name: values.astype(np.float32) for name, values in arrays.items()}


def _timed(solve: Callable[[Arrays], Arrays], inputs: Arrays, measured: bool) -> tuple[Arrays, float]:
    """Return the outputs, and the processor seconds that a sample took; NaN if the outputs were measured, not computed."""
    solve({name: values[:1] for name, values in inputs.items()})  # so that imports and compilations are not counted
    began = time.process_time()
    outputs = solve(inputs)
    seconds = (time.process_time() - began) / len(next(iter(inputs.values())))
    return outputs, math.nan if measured else seconds


def _write(
    pair: RealPair,
    role: str,
    path: Path,
    split: Int8[np.ndarray, " sample"],
    seed: int,
    parts: tuple[Arrays, Arrays],
    cost: float,
    measured: Mapping[str, float],
) -> None:
    """Write one side: its own samples in the train and valid splits, the common ones in the test split."""
    side = getattr(pair, role)
    attributes = {
        "title": f"{pair.name}, {role}: {pair.title}",
        "pair": pair.name,
        "side": role,
        "simulator": side.simulator,
        "equation": side.equation,
        "parameters": {f"range of {one.name}": [one.low, one.high] for one in pair.inputs},
        "headline": pair.headline,
        "seed": seed,
        "versions": {package: version_of(package) for package in ("scipy", *pair.packages)},
        "licence": pair.licence,
        "citation": pair.citation,
    }
    own, both = parts
    arrays: dict[str, Float[np.ndarray, "sample ..."]] = {}
    for name, values in own.items():
        arrays[name] = np.empty((len(split), *values.shape[1:]))
        arrays[name][split != TEST] = values
        arrays[name][split == TEST] = both[name]
    with DatasetWriter(
        path,
        inputs=[one.variable for one in pair.inputs],
        outputs=pair.outputs,
        coordinates=pair.coordinates,
        samples=len(split),
        split=split,
        subset_order=make_subset_order(split, seed=seed),
        attributes=attributes,
        resume=False,
    ) as writer:
        writer.write(arrays)
        when = f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}"
        writer.finish(
            {
                "solver_order_measured": math.nan,
                "conservation_residual": math.nan,
                "cost_seconds_per_sample": cost,
                "history": f"{when} python benchmarks/real_pairs.py --regenerate --pairs {pair.name}",
                **measured,
            }
        )
