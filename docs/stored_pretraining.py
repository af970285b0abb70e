"""Tables of the page on pretraining, made from the results of benchmarks/pretraining.py."""

import math
from collections.abc import Sequence
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


def ratio(setting: str, to: str | None = None, sources: Sequence[str] = ()) -> str:
    """Return the error of a setting over that of another one, by default the first: the geometric mean over the sources."""
    import pretraining

    to = to or next(iter(pretraining.SETTINGS))
    logs = [
        math.log(pretraining.mean_error(own[setting]) / pretraining.mean_error(own[to]))
        for name, own in found().items()
        if name in (sources or found())
    ]
    return f"{math.exp(sum(logs) / len(logs)):.2f}"


def early_stopping_sentences() -> str:
    """Return what early stopping costs and gains, overall and on the noisy source."""
    import pretraining

    own = found()["friedman_4"]
    long, fast = "10000 steps", "rate 3e-3"
    valid, tenth = f"{long}, early stopping, valid split", f"{fast}, early stopping, a tenth held out"

    def noisy(name: str) -> str:
        return f"{pretraining.mean_error(own[name]):.3f}"

    def quiet(name: str, to: str) -> str:
        return ratio(name, to, [source for source in found() if source != "friedman_4"])

    base = next(iter(pretraining.SETTINGS))
    return (
        f"On the noisy source, validation samples of the valid split reduce the error after 10,000 steps from {noisy(long)} to"
        f" {noisy(valid)}, and a held-out tenth reduces that at a rate of 0.003 from {noisy(fast)} to {noisy(tenth)}. On the"
        f" nine others, where samples can only be lost, the held-out tenth multiplies the error by"
        f" {quiet('early stopping, a tenth held out', base)} at a rate of 0.001 and by {quiet(tenth, fast)} at 0.003."
    )


def defaults_sentences() -> str:
    """Return the defaults of `pretrain` and what they gain over the first setting of the study."""
    import inspect

    import pac_surrogate as pac

    given = {name: one.default for name, one in inspect.signature(pac.pretrain).parameters.items()}
    model = pac.MLP()
    setting = "rate 3e-3, early stopping, a tenth held out"
    return (
        f"`pretrain` has the defaults `{model}`, `steps={given['steps']}` and `learning_rate={given['learning_rate']}`."
        f" With the held-out tenth, its error is {ratio(setting)} of that of the first setting, in the same time."
    )


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
