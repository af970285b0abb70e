"""Methods as users give them: by name or class, several to choose from, grids of hyper-parameters."""

import itertools
from collections.abc import Iterable, Mapping
from importlib import import_module
from inspect import signature
from typing import Any, TypeAlias

from pac_surrogate.methods.cross_validated import CrossValidated
from pac_surrogate.methods.method import Method
from pac_surrogate.methods.method_names import resolve_name
from pac_surrogate.utilities.arguments import got

Choosable: TypeAlias = Method | type | str  # a method, or the class or name of one


def as_method(given: Any) -> Method:
    """A method as it is, or the one of a class or a name, with its defaults; of several, the one that cross-validation chooses.

    Raises:
        ValueError: if there is none, or one is no method.
    """
    single = isinstance(given, str | type | Mapping) or not isinstance(given, Iterable)
    candidates = tuple(map(_as_one, (given,) if single else given))
    if not candidates:
        raise ValueError("method must name at least one candidate")
    if len(candidates) > 1 and any(getattr(candidate, "chooses", False) for candidate in candidates):
        raise ValueError("auto chooses by itself: give it alone, and other methods without it")
    different = tuple(dict.fromkeys(candidates))  # equal ones would be one, tried twice
    return different[0] if len(different) == 1 else CrossValidated(different)


def _as_one(given: Any) -> Method:
    if isinstance(given, str | type):
        return make_method(given)
    if not hasattr(given, "adapt"):
        raise ValueError(f"method must be a method such as pac.PAC(), its name, or a sequence of them, got {got(given)}")
    return given


def as_methods(methods: Any) -> dict[str, Method]:
    """Methods by name: a dictionary of them, or a list, in which each goes by its own name or that of its class.

    Raises:
        ValueError: if two have one name, or one is no method.
    """
    if not isinstance(methods, Mapping):
        listed = [methods] if isinstance(methods, str | type) or not isinstance(methods, Iterable) else list(methods)
        names = [_label(method) for method in listed]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(
                f"each method needs a name of its own, got {twice[0]} twice: give a dictionary by name, whose values may be "
                "several candidates of one method"
            )
        methods = dict(zip(names, listed, strict=True))
    return {name: as_method(method) for name, method in methods.items()}


def _label(method: Any) -> str:
    """What a method goes by that is given without a name."""
    while isinstance(method, list | tuple) and method:
        method = method[0]
    return method if isinstance(method, str) else (method if isinstance(method, type) else type(method)).__name__


def method_class(given: Any) -> Any:
    """The class of this name, or a class of methods as it is.

    Raises:
        ValueError: if there is none.
    """
    if isinstance(given, str):
        name = resolve_name(given)
        return getattr(import_module("pac_surrogate"), "Auto" if name == "auto" else name)
    if not isinstance(given, type) or not hasattr(given, "adapt"):
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
    """Make a method of every element of the Cartesian product of the values; the first serves where samples are too few.

    grid(PAC, sparsity=(0.8, 0.5), strength=(0.02, 0.2))

    Args:
        method: a class of methods, or its name.
        values: several of each hyper-parameter, or one.
    """
    choices = [tuple(v) if isinstance(v, Iterable) and not isinstance(v, str) else (v,) for v in values.values()]
    return tuple(make_method(method, **dict(zip(values, chosen, strict=True))) for chosen in itertools.product(*choices))
