"""Methods by name or class, and grids of them."""

import itertools
from collections.abc import Iterable
from importlib import import_module
from inspect import signature
from typing import Any

from pac_surrogate.arguments import got
from pac_surrogate.method_names import resolve_name
from pac_surrogate.transfer.method import Method


def method_class(given: Any) -> Any:
    """The class of this name, or a class of methods as it is.

    Raises:
        ValueError: if there is none.
    """
    if isinstance(given, str) and (name := resolve_name(given)) != "auto":
        return getattr(import_module("pac_surrogate.transfer"), name)
    if not isinstance(given, type) or not hasattr(given, "stages"):
        raise ValueError(f"a method's class or name is needed, such as pac.PAC or 'PAC', got {got(given)}")
    return given


def make_method(method: Any, **values: Any) -> Method:
    """The method of this class or name with these hyper-parameters.

    Raises:
        ValueError: if it has none of such a name, or a value is out of range.
    """
    return make_described(method_class(method), **values)


def make_described(kind: type, **values: Any) -> Any:
    """An object of a class by its fields, one of which may be misspelt.

    Raises:
        ValueError: if there is none of such a name, or a value is out of range.
    """
    known = signature(kind).parameters
    for option in values:
        if option not in known:
            raise ValueError(f"{kind.__name__} has no {option}; it takes {', '.join(sorted(known)) or 'no options'}")
    return kind(**values)


def grid(method: Any, **values: Any) -> tuple[Any, ...]:
    """Make every combination of hyper-parameters; the first serves where there are too few samples to choose.

    grid(PAC, sparsity=(0.8, 0.5), strength=(0.02, 0.2))

    Args:
        method: a class of methods, or its name.
        values: several of each hyper-parameter, or one.
    """
    choices = [tuple(v) if isinstance(v, Iterable) and not isinstance(v, str) else (v,) for v in values.values()]
    return tuple(make_method(method, **dict(zip(values, chosen, strict=True))) for chosen in itertools.product(*choices))
