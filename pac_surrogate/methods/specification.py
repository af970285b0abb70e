"""Methods as users specify them: by name or class, as several candidates, or as a grid of hyper-parameters."""

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
    """Return a method as it is, or that of a class or a name with its defaults; several become a choice by cross-validation.

    Raises:
        ValueError: if no method is given, or if something given is not a method.
    """
    single = isinstance(given, str | type | Mapping) or not isinstance(given, Iterable)
    candidates = tuple(map(_as_one, (given,) if single else given))
    if not candidates:
        raise ValueError("method must name at least one candidate")
    if len(candidates) > 1 and any(getattr(candidate, "chooses", False) for candidate in candidates):
        raise ValueError("auto is itself a choice: give it alone, or give other methods without it")
    different = tuple(dict.fromkeys(candidates))  # equal candidates would be tried twice
    return different[0] if len(different) == 1 else CrossValidated(different)


def _as_one(given: Any) -> Method:
    if isinstance(given, str | type):
        return make_method(given)
    if not hasattr(given, "adapt"):
        raise ValueError(f"method must be a method such as pac.PAC(), its name, or a sequence of them, got {got(given)}")
    return given


def as_methods(methods: Any) -> dict[str, Method]:
    """Return a dictionary of methods by name; in a list, the name of a method is the given one or that of its class.

    Raises:
        ValueError: if two methods have the same name, or something given is not a method.
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
    """Return the name of a method that is given without one."""
    while isinstance(method, list | tuple) and method:
        method = method[0]
    return method if isinstance(method, str) else (method if isinstance(method, type) else type(method)).__name__


def method_class(given: Any) -> Any:
    """Return the class of methods of this name; a class is returned as it is.

    Raises:
        ValueError: if no such class exists.
    """
    if isinstance(given, str):
        name = resolve_name(given)
        return getattr(import_module("pac_surrogate"), "Auto" if name == "auto" else name)
    if not isinstance(given, type) or not hasattr(given, "adapt"):
        raise ValueError(f"a method's class or name is needed, such as pac.PAC or 'PAC', got {got(given)}")
    return given


def make_method(method: Any, **values: Any) -> Method:
    """Return the method of this class or name with these hyper-parameters.

    Raises:
        ValueError: if it has no hyper-parameter of a given name, or a value is out of range.
    """
    return make_described(method_class(method), **values)


def make_described(kind: type, **values: Any) -> Any:
    """Create an object of a class from its fields, and report a field whose name is unknown.

    Raises:
        ValueError: if the class has no field of a given name, or a value is out of range.
    """
    known = signature(kind).parameters
    for option in values:
        if option not in known:
            raise ValueError(f"{kind.__name__} has no {option}; it takes {', '.join(sorted(known)) or 'no options'}")
    return kind(**values)


def grid(method: Any, **values: Any) -> tuple[Any, ...]:
    """Make a method for every element of the Cartesian product of the values.

        grid(PAC, sparsity=(0.8, 0.5), strength=(0.02, 0.2))

    Where there are too few samples for a cross-validation, the first method is used.

    Args:
        method: a class of methods, or its name.
        values: one value or several values of each hyper-parameter.
    """
    choices = [tuple(v) if isinstance(v, Iterable) and not isinstance(v, str) else (v,) for v in values.values()]
    return tuple(make_method(method, **dict(zip(values, chosen, strict=True))) for chosen in itertools.product(*choices))
