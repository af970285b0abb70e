"""Names of columns and variables: their units in brackets, and their choice by name or pattern."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from pac_surrogate.files.variables import Variable
from pac_surrogate.utilities.arguments import got
from pac_surrogate.utilities.display import listed

MOST_NAMES = 30
UNIT = re.compile(r"(.*?\S)\s*\[([^\[\]]+)\]\s*")
INDEX = re.compile(r"[\d,\s]*")
INDEXED = re.compile(r"[^*?\[\]]+\[[\d,\s]+\]")  # one number of a vector, such as x[0, 2]


def split_unit(label: str) -> tuple[str, str | None]:
    """Divide a label such as "load [N]" into name and unit; the unit is None if the label has none.

    Whole numbers in brackets are no units but indices, as in "x[0, 2]". The unit of "ratio [-]" is "-", that of a number with
    no dimension, while "1" is the unit of a variable of which none is known.
    """
    found = UNIT.fullmatch(label)
    if found is None or INDEX.fullmatch(found[2]):
        return label, None
    return found[1], found[2].strip()


def name_and_unit(label: str, labels: Iterable[str]) -> tuple[str, str]:
    """Return the name and the unit of the variable of a column among these labels; "1" if no unit is known.

    Where another column has the same name with another unit, the whole label is the name.
    """
    name, unit = split_unit(label)
    several = sum(split_unit(other)[0] == name for other in labels) > 1
    return label if several else name, unit or "1"


def label_of(variable: Variable) -> str:
    """Return the label of a variable's column: its name, with its unit in brackets if it has one."""
    named = variable.units == "1" or split_unit(variable.name)[1] is not None
    return variable.name if named else f"{variable.name} [{variable.units}]"


def find_label(variable: Variable, labels: Iterable[str]) -> str | None:
    """Return the label that names a variable, with or without a unit, or None.

    Raises:
        ValueError: if several labels do, or if its unit is another one.
    """
    labels = list(labels)
    some = [label for label in labels if variable.name in (label, split_unit(label)[0])]
    same = [label for label in some if split_unit(label)[1] == variable.units]
    if len(same) == 1:
        return same[0]
    if variable.name in labels and not same:
        return variable.name
    if len(some) > 1:
        raise ValueError(f"one column of {variable.name} is required, got {listed(some)}: leave the others out")
    if not some:
        return None
    if variable.units != "1":
        raise ValueError(f"{variable.name} must be in {variable.units}, got the column {some[0]}: convert it, or its unit")
    return some[0]


def find_variable(key: str, variables: Iterable[Variable]) -> Variable | None:
    """Return the variable that a key names, with or without its unit in brackets, or None.

    Raises:
        ValueError: if the unit in brackets is another one.
    """
    variables = list(variables)
    name, unit = split_unit(key)
    found = [v for v in variables if v.name == key] or [v for v in variables if v.name == name]
    if not found:
        return None
    if found[0].name != key and "1" not in (unit, found[0].units) and unit != found[0].units:
        raise ValueError(f"{name} must be in {found[0].units}, got {key!r}: convert it")
    return found[0]


def check_different(what: str, names: Sequence[str]) -> None:
    """Refuse equal names, of which one would replace the other.

    Args:
        what: what has these names, for the message, such as "the columns of a table".
        names: the names.

    Raises:
        ValueError: if there are equal ones; the message names the first.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{what} need different names, {twice[0]!r} occurs twice: rename one")


def every(names: Iterable[str]) -> str:
    """Join names with commas, for a message that must show all of them, up to 30."""
    names = list(names)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def check_unit(name: str, own: str, given: str) -> None:
    """Refuse a unit that contradicts the one in a label or an attribute: the numbers would stay as they are.

    Raises:
        ValueError: if both are known and differ.
    """
    if "1" not in (own, given) and own != given:
        raise ValueError(f"{name} is in {own} in the data, units= says {given}: convert the numbers, or correct the data")


def named_exactly(wanted: Any, labels: Sequence[str], *, units: bool = False) -> list[str]:
    """Return the labels that names, and not patterns, choose; see `choose`."""
    names = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(names, list | tuple):
        return []
    return [label for label in labels if label in names or (units and split_unit(label)[0] in names)]


def choose(
    side: str, wanted: Any, labels: Sequence[str], whole: str, *, taken: Sequence[str] = (), units: bool = False
) -> list[str]:
    """Return the labels that names or patterns choose, in the order of the names.

    A name that is a label chooses it, even if it is a pattern too; then, with `units`, one that is a label without its unit.
    Any other text is a pattern, in which `*` stands for any characters, `?` for one, and `[ab]` for one of these; but "p[0]" is
    only a name, that of a number of a vector. A pattern leaves out what the other side has taken, or takes by name.

    Args:
        side: "inputs" or "outputs", for the messages.
        wanted: a name or pattern, or several.
        labels: names of all columns or variables.
        whole: what they belong to, for the messages, such as "the table".
        taken: labels that the other side has chosen, or for the inputs those that the outputs choose by name.
        units: whether units in brackets belong to the labels.

    Raises:
        ValueError: if a name or pattern chooses nothing, or a label is chosen twice.
    """
    patterns = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(patterns, list | tuple) or not all(isinstance(one, str) for one in patterns) or not patterns:
        raise ValueError(f"{side} must be a name or pattern, or a list of them, such as ['a', 'b*'], got {got(wanted)}")
    named = {label: split_unit(label)[0] if units else label for label in labels}
    found: list[str] = []
    for pattern in patterns:
        some = [pattern] if pattern in named else [label for label in labels if named[label] == pattern]
        if len(some) > 1:
            raise ValueError(
                f"{side} names {pattern!r}, which {whole} has with several units, {listed(some)}: name one of these"
            )
        pattern_of = [] if INDEXED.fullmatch(pattern) else labels
        matched = [label for label in pattern_of if fnmatchcase(label, pattern) or fnmatchcase(named[label], pattern)]
        some = some or [label for label in matched if label not in taken and label not in found]
        if not some and not matched:
            near = get_close_matches(pattern, [*labels, *named.values()], n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"{side} names {pattern!r}, {meant or 'but '}{whole} has {every(labels) or 'nothing'}")
        found += some
    twice = [label for label in found if label in taken or found.count(label) > 1]
    if twice:
        raise ValueError(f"inputs and outputs must name each variable of {whole} once, they name {twice[0]!r} twice")
    if not found:
        raise ValueError(f"{side} must name at least one variable that is not on the other side, got {got(wanted)}")
    return found
