"""The codec of every predictor but the network: it converts a dataclass, field by field, to arrays and JSON, and back."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, ClassVar, get_args, get_origin

import torch
from torch import Tensor

from pac_surrogate.files import Variable
from pac_surrogate.models import Architecture
from pac_surrogate.models.weights import Weights
from pac_surrogate.predictors.predictor import Predictor, check_finite, part, shapes
from pac_surrogate.utilities.display import Shown, one_line

BASES = ("Network", "Correction", "GaussianProcess", "Processes")  # kinds that may be the base of another predictor


class Coded(Shown):
    """A frozen dataclass of arrays, weights, plain values and other predictors, described by the annotations of its fields.

    The name of a dimension stands for the same length in all arrays; `input` and `output` are the widths of the surrogate. Real
    numbers are float64, whole numbers int64. Weights have the shapes of the weights of the network `base`.
    """

    called: ClassVar[str]  # its name in messages
    prefix: ClassVar[str]  # prefix of the names of its arrays in a file
    positive: ClassVar[tuple[str, ...]] = ()  # fields that must be positive, as divisors are
    not_negative: ClassVar[tuple[str, ...]] = ()
    numbered: ClassVar[str] = "member"  # prefix of the members' names in a file, and name of their dimension
    counts: ClassVar[range] = range(0)  # numbers of members that are allowed
    stored_as: ClassVar[Mapping[str, str]] = {}  # names in files of the fields renamed since the first version

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check values read from a file in ways that the annotations cannot express.

        Args:
            sizes: length of each dimension.

        Raises:
            ValueError: if a value does not fit; the message is one line.
        """

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and JSON for saving."""
        tensors: dict[str, Tensor] = {}
        description: dict[str, Any] = {"kind": type(self).__name__}

        def add(prefix: str, predictor: Predictor) -> dict[str, Any]:
            own, described = predictor.state()
            tensors.update({prefix + name: tensor for name, tensor in own.items()})
            return described

        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            name, value, hint = self.stored_as.get(field.name, field.name), getattr(self, field.name), _hint(field)
            if hasattr(hint, "dim_str"):
                tensors |= {} if value is None else {self.prefix + name: value.contiguous()}
            elif hint == Weights:
                tensors |= {f"{name}/{key}": weight for key, weight in (value or {}).items()}
            elif name == "base":
                description[name] = value and add("base/" if isinstance(value, Coded) else "", value)
            elif name == "members":
                description[name] = [add(f"{self.numbered}{place}/", member) for place, member in enumerate(value)]
            elif hasattr(hint, "to_json"):
                description[name] = value and value.to_json()
            else:
                description[name] = list(value) if isinstance(value, tuple) else value
        return tensors, description

    @classmethod
    def from_state(
        cls,
        tensors: Mapping[str, Tensor],
        description: Mapping[str, Any],
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        model: Architecture | None,
    ) -> Any:
        """Rebuild from a saved state.

        Raises:
            ValueError: if the state does not fit; a damaged state may raise other errors too.
        """
        from pac_surrogate.predictors import PREDICTORS

        def predictor(prefix: str, saved: Mapping[str, Any]) -> Any:
            return PREDICTORS[saved["kind"]].from_state(part(tensors, prefix), saved, inputs, outputs, model)

        sizes = {"input": sum(variable.size for variable in inputs), "output": sum(variable.size for variable in outputs)}
        read: dict[str, Any] = {}
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            name, hint = field.name, _hint(field)
            optional = hint is not field.type
            if hasattr(hint, "dim_str"):
                read[name] = cls._array(name, hint, tensors, sizes, optional=optional)
            elif hint == Weights:
                found = part(tensors, f"{name}/")
                read[name] = cls._weights(name, found, read["base"].weights) if found or not optional else None
            elif name == "base":
                saved = description[name]
                allowed = BASES if hint is Predictor else (hint.__name__,)
                if saved and saved["kind"] not in allowed:
                    raise ValueError(f"no predictor may have a base of the kind {one_line(saved['kind'])!r}")
                below = "" if saved and saved["kind"] == "Network" else "base/"
                read[name] = predictor(below, saved) if saved or not optional else None
            elif name == "members":
                described = description[name]
                if len(described) not in cls.counts or sizes.setdefault(cls.numbered, len(described)) != len(described):
                    raise ValueError(f"{cls.called} does not fit: it cannot have {len(described)} members")
                read[name] = tuple(predictor(f"{cls.numbered}{place}/", one) for place, one in enumerate(described))
            elif hasattr(hint, "from_json"):
                read[name] = hint.from_json(description[name]) if description[name] else None
            else:
                read[name] = cls._plain(name, hint, description[cls.stored_as.get(name, name)])
        strange = set(part(tensors, cls.prefix)) - {cls.stored_as.get(name, name) for name in read}
        if strange:
            raise ValueError(f"{cls.called} does not fit: it has no {one_line(cls.prefix + min(strange))}")
        made = cls(**read)
        made.check(sizes)
        return made

    @classmethod
    def _array(
        cls, name: str, hint: Any, tensors: Mapping[str, Tensor], sizes: dict[str, int], *, optional: bool
    ) -> Tensor | None:
        saved = cls.prefix + cls.stored_as.get(name, name)
        if saved not in tensors and name == "group" and "sample" in sizes:  # files of the first version do not group repeats
            return torch.arange(sizes["sample"])
        if saved not in tensors and optional:
            return None
        check_array(f"{cls.called} does not fit: {saved}", tensors[saved], hint, sizes)
        cls._check_numbers(name, {saved: tensors[saved]})
        return tensors[saved]

    @classmethod
    def _weights(cls, name: str, found: Weights, weights: Weights) -> Weights:
        """Return the weights found in a file in the order of the network's weights."""
        if shapes(found) != shapes(weights) or {weight.dtype for weight in found.values()} != {torch.float64}:
            raise ValueError(
                f"{cls.called} does not fit: {name} must be {torch.float64} and have the shapes of the network's weights"
            )
        cls._check_numbers(name, {f"{name}/{key}": weight for key, weight in found.items()})
        return {key: found[key] for key in weights}

    @classmethod
    def _plain(cls, name: str, hint: Any, saved: Any) -> Any:
        several = get_origin(hint) is tuple
        kind, values = (get_args(hint)[0], tuple(saved)) if several else (hint, (saved,))
        if any(type(value) is not kind and not (kind is float and type(value) is int) for value in values):
            raise ValueError(f"{cls.called} does not fit: {name} must be {kind.__name__}, got {one_line(saved)}")
        return values if several else kind(saved)

    @classmethod
    def _check_numbers(cls, name: str, arrays: Mapping[str, Tensor]) -> None:
        signs = {"positive": name in cls.positive, "not_negative": name in cls.not_negative}
        check_finite(f"the numbers of {cls.called}", arrays, **signs)


def check_array(what: str, array: Tensor, hint: Any, sizes: dict[str, int]) -> None:
    """Check that an array fits its annotation, and add the lengths of its new dimensions to `sizes`.

    Args:
        what: name of the array in messages.
        array: the array as read from a file.
        hint: annotation of its shape and type, such as `Float[Tensor, "sample output"]`.
        sizes: length of each dimension known so far.

    Raises:
        ValueError: if the array does not fit; the message is one line.
    """
    dtype = next(one for one in (torch.float64, torch.int64, torch.bool) if str(one).removeprefix("torch.") in hint.dtypes)
    dimensions = hint.dim_str.split()
    shape = tuple(int(one) if one.isdigit() else sizes.get(one, one) for one in dimensions)
    known = [length if isinstance(own, str) else own for own, length in zip(shape, array.shape, strict=False)]
    if array.ndim != len(shape) or array.shape != tuple(known) or array.dtype != dtype:
        expected = str(shape).replace("'", "")
        raise ValueError(f"{what} must be {dtype} of shape {expected}, got {array.dtype} {tuple(array.shape)}")
    sizes.update(zip(dimensions, array.shape, strict=True))


def _hint(field: dataclasses.Field[Any]) -> Any:
    """Return the annotation of a field, without `None`."""
    options = [one for one in get_args(field.type) if one is not NoneType]
    return options[0] if NoneType in get_args(field.type) else field.type
