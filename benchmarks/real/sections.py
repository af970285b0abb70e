"""Sections of the book, one for each pair, made from its module."""

import sys
from collections.abc import Sequence

from real.pair import Input, RealPair
from real.stored import find_real_pair


def section(pair: RealPair) -> str:
    """Return what a reader needs to know of a pair, in Markdown: the two sides, the inputs, and where they come from."""
    said = (sys.modules[f"real.{pair.name}"].__doc__ or "").strip().replace("\n\n", "\n")
    lines = [
        f"{role}: {side.simulator}; `{side.equation}`" for role, side in (("source", pair.source), ("target", pair.target))
    ]
    lines += [f"inputs: {inputs_of(pair.inputs)}", f"outputs: {outputs_of(pair)}"]
    lines += [f"literature: {pair.citation}", f"licence: {pair.licence}"]
    return "\n".join((said, "", *(f"- {line}" for line in lines)))


def inputs_of(inputs: Sequence[Input]) -> str:
    """Return the ranges of the inputs in running text; those that differ only at the end of their names are listed once."""
    ranges: dict[str, list[str]] = {}
    for one in inputs:
        unit = "" if one.units == "1" else f" {one.units}"
        scale = ", in equal ratios" if one.log else ""
        ranges.setdefault(f"{one.low:g} to {one.high:g}{unit}{scale}", []).append(one.long_name)
    return "; ".join(f"{', '.join(names)} ({limits})" for limits, names in ranges.items())


def outputs_of(pair: RealPair) -> str:
    """Return the outputs with their units and the numbers of points along their axes."""
    parts = []
    for variable in pair.outputs:
        unit = "" if variable.units == "1" else f" [{variable.units}]"
        shape = " x ".join(f"{size} points of {axis}" for axis, size in zip(variable.axes, variable.shape, strict=True))
        parts.append(f"{variable.long_name}{unit}{f' at {shape}' if shape else ''}")
    return "; ".join(parts)


def sections(names: Sequence[str], pictures: str) -> str:
    """Return the sections of some pairs, each with its picture from a folder, which is relative to the page."""
    texts = []
    for name in names:
        pair = find_real_pair(name)
        texts += [f"### {name}", section(pair), f"![source and target of {name}]({pictures}/{name}.png)"]
    return "\n\n".join(texts)
