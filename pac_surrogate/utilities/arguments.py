"""Checks of users' arguments (plain numbers, names and paths) before they are used; each error is one line."""

import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, dataclass_transform, get_args, get_origin

T = TypeVar("T")
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Range:
    """The values that a field accepts, for its annotation: `Annotated[float, Range("positive", lambda value: value > 0)]`."""

    description: str
    holds: Callable[[Any], bool] = field(repr=False)


@dataclass_transform(frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass of plain values, such as a method or a model.

    Values of fields that are declared as numbers, booleans, values in a `Range`, or tuples of numbers or names are checked
    before the class's own `__post_init__` uses them. A single value is accepted for a tuple of one, and a float without a
    fraction (1e3) for an integer.
    """
    own: Callable[[Any], None] | None = cls.__dict__.get("__post_init__")

    def checked(self: Any) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            found = _of_kind(each.type, each.name, value, _example(each))
            if found is not value:
                object.__setattr__(self, each.name, found)
        if own is not None:
            own(self)
        for each in fields(self):  # last, because the class's own message names the allowed texts
            if each.type is str and not isinstance(getattr(self, each.name), str):
                raise ValueError(f"{each.name} must be a text{_example(each)}, got {got(getattr(self, each.name))}")

    cls.__post_init__ = checked  # type: ignore[attr-defined]
    return dataclass(frozen=True)(cls)


def _example(field: "Field[Any]") -> str:
    return "" if field.default is MISSING or field.default is None else f" such as {field.default!r}"


def _of_kind(kind: Any, name: str, value: Any, example: str) -> Any:
    """Check a value against a field's annotation, and convert it if necessary; other annotations accept every value."""
    if get_origin(kind) in (UnionType, Union) and get_args(kind)[1:] == (NoneType,) and value is not None:
        kind = get_args(kind)[0]
    if get_origin(kind) is Annotated:
        plain, allowed = get_args(kind)
        found = _of_kind(plain, name, value, example)
        if not allowed.holds(found):
            raise ValueError(f"{name} must be {allowed.description}, got {got(value)}")
        return found
    if kind is bool:
        check_flags(**{name: value})
    if kind is int:
        return _whole(name, value, None, example)
    if kind is float:
        _check_real(name, value, example)
    if get_origin(kind) is tuple and get_args(kind)[1:] == (...,) and get_args(kind)[0] in (int, float, str):
        (entry, _), single = get_args(kind), isinstance(value, str) or not isinstance(value, Iterable)
        entries = (value,) if single else tuple(value)
        if entry is str and not all(isinstance(one, str) for one in entries):
            raise ValueError(f"{name} must be a name or several, got {got(value)}")
        found = tuple(_of_kind(entry, name, one, f" or several{example}") for one in entries)
        return value if isinstance(value, tuple) and all(map(operator.is_, found, value)) else found
    return value


def whole_numbers(least: int | None = 0, **given: Any) -> list[int]:
    """Return arguments that must be whole numbers, in their order; a float without a fraction, such as 1e3, is accepted.

    Raises:
        ValueError: if an argument, which the message names, is not a whole number or is below the least.
    """
    return [int(_whole(name, value, least, "")) for name, value in given.items()]


def whole_seed(seed: Any) -> int:
    """Return a seed as an integer that every generator of random numbers accepts.

    Raises:
        ValueError: if it is not a whole number, or is negative or too large.
    """
    (number,) = whole_numbers(seed=seed)
    if number > LARGEST_SEED:
        raise ValueError(f"seed must be a whole number of at most {LARGEST_SEED}, got {got(number)}")
    return number


def _whole(name: str, value: Any, least: int | None, example: str) -> Any:
    found = int(value) if isinstance(value, float) and value.is_integer() else value
    try:
        if isinstance(found, bool):  # which Python takes for 0 or 1
            raise TypeError
        number = operator.index(found)
    except TypeError:
        bound = "" if least is None else f" of at least {least}"
        raise ValueError(f"{name} must be a whole number{bound}{example}, got {got(value)}{_grid(value, example)}") from None
    if least is not None and number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {got(value)}")
    return found if isinstance(found, int) else number  # an integer of NumPy would have another repr


def check_numbers(**given: Any) -> None:
    """Refuse arguments that are not real numbers.

    Raises:
        ValueError: if there is one; the message names it.
    """
    for name, value in given.items():
        _check_real(name, value, "")


def _check_real(name: str, value: Any, example: str) -> None:
    try:
        real = not isinstance(value, str | bytes) and math.isnan(value) in (True, False)
    except (TypeError, ValueError, RuntimeError):  # not a number, or an array or a tensor of several
        real = False
    if not real:
        raise ValueError(f"{name} must be a number{example}, got {got(value)}{_grid(value, example)}")


def check_flags(**given: Any) -> None:
    """Refuse arguments that are neither true nor false, such as the text "no", which Python takes for true.

    Raises:
        ValueError: if there is one; the message names it.
    """
    for name, value in given.items():
        if not isinstance(value, bool | int) and type(value).__name__ != "bool":  # NumPy's type has this name too
            raise ValueError(f"{name} must be True or False, got {got(value)}")


def _grid(value: Any, example: str) -> str:
    """Return the remedy for several values that were given to one hyper-parameter of a method."""
    return ": pac.grid makes a method of each" if example and isinstance(value, list | tuple) else ""


def as_path(name: str, given: Any) -> Path:
    """Return an argument as a path.

    Raises:
        ValueError: if it is not a path.
    """
    if not isinstance(given, str | os.PathLike) or not str(given):
        raise ValueError(f"{name} must be the path of a file or folder, got {got(given)}")
    return Path(given)


def as_options(name: str, given: Any, keys: Iterable[str], example: Any) -> Mapping[str, Any]:
    """Return options by the name of a variable; None means no options.

    Raises:
        ValueError: if the argument is not a dictionary, or names a variable that does not exist.
    """
    keys = list(keys)
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"{name} must be a dictionary by variable, as {name}={{{keys[-1]!r}: {example!r}}}, got {got(given)}")
    if given and not set(given) <= set(keys):
        unknown = ", ".join(str(key) for key in given if key not in keys)
        raise ValueError(f"{name} must name variables ({', '.join(keys)}), got {unknown}")
    return given or {}


def got(value: Any) -> str:
    """Describe a value in a few words, for the end of a message."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, int) and abs(value) > 10**80:  # Python refuses to print numbers of thousands of digits
        return "a number of more than 80 digits"
    if value is None or isinstance(value, bool | int | float | str | bytes | os.PathLike):
        text = repr(str(value) if isinstance(value, os.PathLike) else value)
        return text if len(text) <= 80 else f"{text[:80]}..."
    name = type(value).__name__.removeprefix("nd")  # NumPy's ndarray
    vowel = name[0] in "aeiouAEIOU" or (name[0] in "FHLMNRSX" and not name[1:2].islower())
    kind, shape = f"{'an' if vowel else 'a'} {name}", getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{kind} of shape {tuple(shape)}"
    if isinstance(value, list | tuple):
        return f"{kind} of {len(value)}: ({', '.join(got(one) for one in value[:3])}{', ...' if len(value) > 3 else ''})"
    if isinstance(value, Mapping):
        return f"{kind} of {', '.join(map(str, list(value)[:3])) or 'nothing'}{', ...' if len(value) > 3 else ''}"
    return kind
