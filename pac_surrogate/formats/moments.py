"""Means and standard deviations of the fields of a dataset of The Well, which its loader reads from `stats.yaml`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

STATISTICS = ("mean", "std", "rms", "mean_delta", "std_delta", "rms_delta")


class Moments:
    """Running moments of a field, component by component, and of its differences between successive times.

    Blocks are merged by the formula of Chan et al. (1983), which does not subtract large numbers from each other:

        M2 = M2_a + M2_b + (mean_b - mean_a)^2 n_a n_b / n,   std^2 = M2 / n.

    Args:
        order: number of component axes, which are the last ones.
    """

    def __init__(self, order: int) -> None:
        self._order = order
        self._sums: dict[str, tuple[int, np.ndarray, np.ndarray]] = {}

    def add(self, block: Num[np.ndarray, "..."], *, time: int | None) -> None:
        """Add the values of some samples; `time` is the axis of time, None if the field has none."""
        self._merge("", block)
        if time is not None:
            self._merge("_delta", np.diff(np.asarray(block, np.float64), axis=time))

    def _merge(self, name: str, block: np.ndarray) -> None:
        axes = tuple(range(block.ndim - self._order))
        count = int(np.prod([block.shape[axis] for axis in axes], dtype=np.int64))
        if not count:
            return
        mean = np.asarray(block.mean(axes, dtype=np.float64))
        squares = np.asarray(np.square(block - mean).sum(axes))
        if name in self._sums:
            earlier, before, spread = self._sums[name]
            total = earlier + count
            squares = spread + squares + np.square(mean - before) * (earlier * count / total)
            mean, count = before + (mean - before) * (count / total), total
        self._sums[name] = (count, mean, squares)

    def statistics(self) -> dict[str, np.ndarray]:
        """Return mean, std and rms, and the same of the differences in time, each with the shape of a component."""
        found = {}
        for name, (count, mean, squares) in self._sums.items():
            found[f"mean{name}"], found[f"std{name}"] = mean, np.sqrt(squares / count)
            found[f"rms{name}"] = np.sqrt(np.square(mean) + squares / count)
        return {name: np.asarray(value) for name, value in found.items()}


def write_stats(path: Path, moments: Mapping[str, Moments]) -> None:
    """Write the moments of all fields as YAML, a mapping from statistic to field."""
    statistics = {name: one.statistics() for name, one in moments.items()}
    lines = []
    for statistic in STATISTICS:
        lines.append(f"{statistic}:")
        lines += [f"  {_quoted(name)}: {_yaml(one[statistic])}" for name, one in statistics.items() if statistic in one]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _yaml(value: Any) -> str:
    if np.ndim(value):
        return f"[{', '.join(map(_yaml, value))}]"
    return f"{float(value):.17e}"  # YAML reads 1e-05, without a point, as a text


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
