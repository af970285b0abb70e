"""Options of the command line that say how a data file is read: which of its variables, and what they mean."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

Inputs = Annotated[
    list[str] | None,
    typer.Option(help="Name or pattern of input columns or variables; repeatable.", show_default="as marked in the file"),
]
Outputs = Annotated[
    list[str] | None,
    typer.Option(help="Name or pattern of output columns or variables; repeatable.", show_default="as marked in the file"),
]
Sample = Annotated[str | None, typer.Option(help="Dimension of the samples, if it cannot be told.", show_default=False)]
Log = Annotated[
    list[str] | None, typer.Option(help="Variable of which only ratios matter, on a logarithmic scale; repeatable.")
]
Units = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=UNIT", help="Unit of a variable or of an axis, such as load=kN; repeatable."),
]
Axes = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=AXES", help="Axes of a field but the sample, such as u=time,x; repeatable."),
]
Bounds = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=LOW,HIGH", help="Bounds of an output, such as fraction=0,1 or, open to one side, mass=0,; repeatable."
    ),
]
Missing = Annotated[
    str | None, typer.Option(help="drop leaves samples out in which numbers are missing.", show_default="they are refused")
]
Valid = Annotated[float, typer.Option(help="Fraction of the samples for validation, if the file has no splits.")]
Test = Annotated[float, typer.Option(help="Fraction of the samples for the test split, if the file has none.")]


def meaning(
    *,
    sample: str | None = None,
    log: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
    bounds: Sequence[str] | None = None,
    missing: str | None = None,
) -> dict[str, Any]:
    """Return the options of `open_dataset` that say how a file is read.

    Raises:
        ValueError: if an option is not of its form.
    """
    if missing not in (None, "drop", "mask"):
        raise ValueError(f"--missing must be drop or mask, got {missing!r:.60}")
    return {
        "sample": sample,
        "scaling": dict.fromkeys(log, "log") if log else None,
        "units": _by_name("--units", "NAME=UNIT, such as load=kN", units, str),
        "axes": _by_name("--axes", "NAME=AXES, such as u=time,x", axes, _names),
        "bounds": _by_name("--bounds", "NAME=LOW,HIGH with numbers, such as fraction=0,1 or mass=0,", bounds, _ends),
        "missing": missing,
    }


def _by_name(option: str, form: str, given: Sequence[str] | None, parse: Callable[[str], Any]) -> dict[str, Any] | None:
    """Return the values of a repeated option by the names of the variables; a name may hold = itself, as categories do."""
    found: dict[str, Any] = {}
    for text in given or ():
        name, _, value = text.rpartition("=")
        try:
            parsed = parse(value.strip())
        except ValueError:
            parsed = None
        if not name.strip() or parsed in (None, ""):
            raise ValueError(f"{option} must be {form}, got {text!r:.60}")
        if name.strip() in found:
            raise ValueError(f"{option} names {name.strip()!r:.60} twice: leave one out")
        found[name.strip()] = parsed
    return found or None


def _names(text: str) -> tuple[str, ...] | None:
    names = tuple(name.strip() for name in text.split(","))
    return names if all(names) else None


def _ends(text: str) -> tuple[float | None, float | None]:
    low, high = text.split(",")
    return float(low) if low.strip() else None, float(high) if high.strip() else None
