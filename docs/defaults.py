"""The settings of a method with their default values, as the pages on methods show them, read from its dataclass."""

import dataclasses
from typing import Any

from IPython.display import Markdown

LONG = 6  # a longer list of numbers is described by its length and its ends


def defaults(method: type) -> Markdown:
    """Return one line with the settings of a method and their default values, read from the fields of its dataclass."""
    fields = dataclasses.fields(method)
    if not fields:
        return Markdown("**Settings and defaults:** there are none.")
    shown = [f"`{field.name}` = {_value(field)}" for field in fields]
    return Markdown(f"**Settings and defaults:** {', '.join(shown)}.")


def _value(field: "dataclasses.Field[Any]") -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"`{type(field.default_factory()).__name__}()`"
    if field.default is dataclasses.MISSING:
        return "to be given"
    value = field.default
    if isinstance(value, tuple) and len(value) > LONG:
        return f"{len(value)} numbers from {min(value):g} to {max(value):g}"
    return f"`{value!r}`"
