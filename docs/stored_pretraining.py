"""Tables of the page on pretraining, made from the results of benchmarks/pretraining.py."""

import math
from functools import cache
from typing import Any

import stored

from shared.tables import markdown_table

FILE = "pretraining/pretraining.json"


@cache
def found() -> dict[str, Any]:
    """Return the errors and seconds of each setting, by source."""
    return dict(stored.read(FILE)["sources"])


def settings_table() -> str:
    """Return the errors and the time of each setting: geometric means over the sources, beside those of the first setting."""
    import pretraining

    first, *rest = pretraining.HEAD
    rows = [(name, *(f"{value:.2f}" for value in row)) for name, row in pretraining.rows_of(found())]
    return markdown_table((first, *rest), rows)


def sources_table() -> str:
    """Return for each source the error of the first setting, the least error of all, and the setting that has it."""
    import pretraining

    rows = []
    for source, own in found().items():
        errors = {name: pretraining.mean_error(own[name]) for name in own}
        best = min(errors, key=errors.__getitem__)
        rows.append((f"`{source}`", stored.number(errors[next(iter(pretraining.SETTINGS))]), stored.number(errors[best]), best))
    return markdown_table(("source", "error of the first setting", "least error", "setting with the least error"), rows)


def ratio(setting: str, to: str | None = None) -> str:
    """Return the error of a setting over that of another one, by default the first: the geometric mean over the sources."""
    import pretraining

    to = to or next(iter(pretraining.SETTINGS))
    logs = [math.log(pretraining.mean_error(own[setting]) / pretraining.mean_error(own[to])) for own in found().values()]
    return f"{math.exp(sum(logs) / len(logs)):.2f}"


def convolutional_sentence() -> str:
    """Return the errors of the convolutional network at its learning rates."""
    import pretraining

    own = found()["darcy"]
    parts = [
        f"{pretraining.mean_error(own[name]):.3f} at {training.learning_rate:g}"
        for name, training in pretraining.CONVOLUTIONAL.items()
    ]
    steps = next(iter(pretraining.CONVOLUTIONAL.values())).steps
    return f"A small convolutional network on `darcy`, after {steps} steps, has an error of {stored.listed(parts)}."
