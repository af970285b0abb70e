"""Missing and packed numbers, as the attributes of a netCDF variable or the mask of a NumPy array describe them.

    decoded = scale_factor * stored + add_offset

A stored number is missing if it equals `_FillValue` or a number of `missing_value`, or lies outside `valid_min`, `valid_max` or
`valid_range`. Without `_FillValue`, a point for which netCDF reserved space but to which nothing was written is missing too.
Source: CF conventions 1.11, sections 2.5.1 and 8.1; netCDF User Guide, attribute conventions and fill values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool

from pac_surrogate.files.attributes import DatasetError, name_of, read_attribute, read_stored_attribute
from pac_surrogate.utilities.resolution import LARGEST_INTEGER

DEFAULT_FILLS: dict[str, float] = {  # none for bytes, because all their values are needed
    **dict.fromkeys(("f4", "f8"), 9.969209968386869e36),
    **{"i2": -32767, "i4": -2147483647, "i8": -9223372036854775806},
    **{"u2": 65535, "u4": 4294967295, "u8": 18446744073709551614},
}
LIMITS: dict[str, dict[str, Callable[[Any, Any], Any]]] = {
    "valid_min": {"below": np.less},
    "valid_max": {"above": np.greater},
    "valid_range": {"below": np.less, "above": np.greater},
}
MOST_MARKS = 2**8  # of numbers that mean missing
REPAIR = "repair or drop this sample"


@dataclass(frozen=True, eq=False)
class Limit:
    """A bound of the valid numbers: of the decoded numbers if `decoded`, else of the stored numbers."""

    is_beyond: Callable[[Any, Any], Any]
    bound: Any
    meaning: str
    decoded: bool


@dataclass(frozen=True, eq=False)
class Encoding:
    """The encoding in which a variable's numbers are stored.

    Attributes:
        name: name of the variable.
        stored: type of the stored numbers, in the byte order of this machine and with the sign that `_Unsigned` gives.
        dtype: type of the decoded numbers, a floating-point type.
        scale: factor of packed numbers.
        offset: offset of packed numbers.
        marks: stored numbers that mean missing, each with a description.
        limits: bounds beyond which a number is missing.
    """

    name: str
    stored: np.dtype
    dtype: np.dtype
    scale: float | None = None
    offset: float | None = None
    marks: tuple[tuple[Any, str], ...] = ()
    limits: tuple[Limit, ...] = ()

    @property
    def is_packed(self) -> bool:
        """Whether a decoded number differs from the stored one."""
        return self.scale is not None or self.offset is not None

    def is_plain(self, dataset: h5py.Dataset) -> bool:
        """Return whether the stored numbers need no decoding, and no number can be marked as missing."""
        return dataset.dtype.kind == self.stored.kind and not (self.is_packed or self.marks or self.limits)

    def decode(self, values: Any, *, keep_integers: bool = False) -> np.ndarray:
        """Return the numbers that the stored values represent, NaN where missing.

        Args:
            values: stored values, as h5py reads them.
            keep_integers: whether integers stay integers if they are not packed and none is missing.

        Raises:
            DatasetError: if float64 does not hold an integer exactly.
        """
        numbers = self._with_sign(values)
        missing = self._is_missing(numbers)
        missing = missing if missing is not None and missing.any() else None
        if keep_integers and numbers.dtype.kind in "iu" and not self.is_packed and missing is None:
            return numbers
        decoded = self._unpack(numbers, missing)
        return decoded if missing is None else np.where(missing, self.dtype.type(np.nan), decoded)

    def mark_at(self, dataset: h5py.Dataset, place: tuple[int, ...]) -> str:
        """Return why the number at this place is missing, as a text; it is empty if the number is present."""
        number = self._with_sign(dataset[place])
        for mark, meaning in self.marks:
            if number == mark:
                return f"{number[()]!s}, {meaning}"
        for limit in self.limits:
            shown = self._unpack(number) if limit.decoded else number
            if limit.is_beyond(shown, limit.bound):
                return f"{shown[()]!s}, {limit.meaning}"
        return ""

    def _with_sign(self, values: Any) -> np.ndarray:
        return np.asarray(values).astype(self.stored, copy=False)  # integers of the other sign wrap around

    def _is_missing(self, numbers: np.ndarray) -> np.ndarray | None:
        missing = np.isin(numbers, np.array([mark for mark, _ in self.marks], self.stored)) if self.marks else None
        for limit in self.limits:
            beyond = limit.is_beyond(self._unpack(numbers, missing) if limit.decoded else numbers, limit.bound)
            missing = beyond if missing is None else missing | beyond
        return missing

    def _unpack(self, numbers: np.ndarray, missing: np.ndarray | None = None) -> np.ndarray:
        if self.is_packed:
            with np.errstate(over="ignore", invalid="ignore"):  # numbers that overflow the type become infinite
                scaled = numbers.astype(np.float64) * (1.0 if self.scale is None else self.scale)
                return np.asarray(scaled + (self.offset or 0.0), self.dtype)
        if numbers.dtype.kind in "iu" and numbers.dtype.itemsize == 8:
            large = (numbers > LARGEST_INTEGER) | (numbers < -LARGEST_INTEGER)
            large = large if missing is None else large & ~missing
            if large.any():
                got = f"{self.name} must hold integers up to 2**53, which float64 holds exactly, it holds {numbers[large][0]}"
                raise DatasetError(f"{got}: subtract a constant or store it as float64")
        return numbers.astype(self.dtype, copy=False)


def read_encoding(dataset: h5py.Dataset) -> Encoding:
    """Read the encoding of a dataset of numbers from its attributes.

    Limits of a floating-point type apply to the decoded numbers of packed integers, as the User Guide states; all other marks
    and limits apply to the stored numbers. Decoded numbers are float64; they are float32 if float32 holds all stored numbers
    and the factor and offset that unpack them, if any, are float32. Integers that are not packed become float64.

    Raises:
        DatasetError: if an attribute is invalid; the message names the variable and the attribute.
    """
    name = name_of(dataset)
    stored = _stored_type(name, dataset)
    scale, offset = (_read_factor(name, dataset, attribute) for attribute in ("scale_factor", "add_offset"))
    factors = [factor for factor in (scale, offset) if factor is not None]
    single = stored.itemsize <= 4 if stored.kind == "f" else stored.itemsize <= 2 and bool(factors)
    single = single and all(factor.dtype.kind == "f" and factor.dtype.itemsize <= 4 for factor in factors)
    longer = stored.kind == "f" and stored.itemsize > 8 and not factors
    return Encoding(
        name,
        stored,
        np.dtype(np.float32) if single else stored if longer else np.dtype(np.float64),
        None if scale is None else float(scale),
        None if offset is None else float(offset),
        _read_marks(name, dataset, stored),
        _read_limits(name, dataset, stored, packed=bool(factors)),
    )


def without_mask(
    name: str, values: Any, axes: Sequence[str] = ("sample",), *, first: int = 0, remedy: str = REPAIR
) -> np.ndarray:
    """Return the numbers of an array, of a masked array, or of a list of them, of which none may be masked.

    Args:
        name: name of the variable.
        values: the array.
        axes: names of its first axes; the message calls a position along other axes a component.
        first: number of the first sample.
        remedy: advice at the end of the message.

    Raises:
        DatasetError: if a value is masked; the message names the variable and the place of the first masked value.
    """
    if not isinstance(values, list | tuple):
        values = np.asanyarray(values)  # keeps the mask of an object that NumPy reads as a masked array
    if not _has_mask(values):
        return np.asarray(values)
    mask = np.asarray(_mask(values))
    if mask.dtype.kind == "b" and mask.any():
        index = [int(number) for number in np.unravel_index(int(mask.argmax()), mask.shape)]
        index = [index[0] + first, *index[1:]] if index else []
        place = place_of(axes, index)
        raise DatasetError(f"{name} must be finite, it is missing (masked){' at ' if place else ''}{place}: {remedy}")
    return np.asarray(_data(values))


def split_mask(values: Any) -> tuple[Any, Bool[np.ndarray, "..."] | None]:
    """Return the numbers of an array and where they are masked, with 0 in these places; None if it has no mask."""
    if not isinstance(values, list | tuple) and not hasattr(values, "detach"):
        values = np.asanyarray(values)  # keeps the mask of an object that NumPy reads as a masked array
    if not _has_mask(values):
        return values, None
    mask = np.asarray(_mask(values))
    return np.where(mask, 0, np.asarray(_data(values))), mask


def place_of(axes: Sequence[str], index: Sequence[int]) -> str:
    """Describe the place of a number by the names of its axes, as `sample 3, x 5`; without names, `sample 3, component 1`."""
    named = [f"{axis} {number}" for axis, number in zip(axes, index, strict=False)]
    rest = [str(number) for number in index[len(named) :]]
    component = f"component {rest[0] if len(rest) == 1 else '({})'.format(', '.join(rest))}"
    return ", ".join([*named, component] if rest else named)


def _has_mask(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return any(_has_mask(value) for value in values)
    return isinstance(values, np.ma.MaskedArray)


def _mask(values: Any) -> Any:
    if isinstance(values, list | tuple):
        return np.array([_mask(value) for value in values])
    return np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else np.zeros(np.shape(values), bool)


def _data(values: Any) -> Any:
    return np.array([_data(value) for value in values]) if isinstance(values, list | tuple) else np.asarray(values)


def _stored_type(name: str, dataset: h5py.Dataset) -> np.dtype:
    kind = dataset.dtype.kind
    unsigned = read_attribute(dataset, "_Unsigned")
    if isinstance(unsigned, str) and unsigned.lower() in ("true", "false", ""):
        integers = {"true": "u", "false": "i", "": kind}[unsigned.lower()]
        return np.dtype(f"{kind if kind == 'f' else integers}{dataset.dtype.itemsize}")
    raise DatasetError(f"{name} needs 'true' or 'false' as its attribute _Unsigned, it has {unsigned!r:.60}: correct it")


def _read_numbers(name: str, dataset: h5py.Dataset, attribute: str, count: int | None = 1) -> list[Any]:
    """Read the numbers of an attribute, none if it is absent; `count` numbers are required, or one or more if None."""
    if attribute not in dataset.attrs:
        return []
    value = read_stored_attribute(dataset, attribute).ravel()
    if value.dtype.kind not in "fiu" or not 0 < len(value) <= MOST_MARKS or len(value) != (count or len(value)):
        what = {
            None: "one or more numbers" if len(value) <= MOST_MARKS else f"at most {MOST_MARKS} numbers",
            1: "one number",
        }.get(count, f"{count} numbers")
        shown = read_attribute(dataset, attribute)
        got = f"{len(shown)} numbers" if isinstance(shown, np.ndarray) and shown.dtype.kind in "fiu" else f"{shown!r:.60}"
        raise DatasetError(f"{name} needs {what} as its attribute {attribute}, it has {got}: correct the attribute")
    return list(value)


def _read_factor(name: str, dataset: h5py.Dataset, attribute: str) -> Any:
    for value in _read_numbers(name, dataset, attribute):
        if not np.isfinite(value) or (attribute == "scale_factor" and value == 0):
            required = "a finite number other than 0" if attribute == "scale_factor" else "a finite number"
            raise DatasetError(f"{name} needs {required} as its attribute {attribute}, it has {value}: correct the attribute")
        return value
    return None


def _read_marks(name: str, dataset: h5py.Dataset, stored: np.dtype) -> tuple[tuple[Any, str], ...]:
    marks = [
        (_as_stored(name, attribute, value, stored, dataset.dtype.kind), f"its {attribute}")
        for attribute, count in (("_FillValue", 1), ("missing_value", None))
        for value in _read_numbers(name, dataset, attribute, count)
    ]
    default = DEFAULT_FILLS.get(dataset.dtype.str[1:])
    if default is not None and "_FillValue" not in dataset.attrs and dataset.id.get_create_plist().fill_value_defined():
        mark = np.asarray(default).astype(dataset.dtype)
        if dataset.fillvalue == mark:
            marks.append((mark.astype(stored)[()], "netCDF's default fill value"))
    return tuple((mark, meaning) for mark, meaning in marks if not np.isnan(mark))  # NaN is missing without any mark


def _read_limits(name: str, dataset: h5py.Dataset, stored: np.dtype, *, packed: bool) -> tuple[Limit, ...]:
    limits: list[Limit] = []
    for attribute, sides in LIMITS.items():
        values = _read_numbers(name, dataset, attribute, len(sides))
        for (side, is_beyond), value in zip(sides.items(), values, strict=False):
            decoded = packed and stored.kind in "iu" and value.dtype.kind == "f"
            bound = float(value) if decoded else _as_bound(value, stored, dataset.dtype.kind)
            if np.isnan(bound):
                raise DatasetError(f"{name} needs a number as its attribute {attribute}, it has nan: correct the attribute")
            limits.append(Limit(is_beyond, bound, f"{side} the {bound!s} of its {attribute}", decoded))
        if len(values) == 2 and limits[-2].bound > limits[-1].bound:
            got = f"it has {limits[-2].bound} and {limits[-1].bound}: swap them"
            raise DatasetError(f"{name} needs the least and the greatest number as its attribute {attribute}, {got}")
    return tuple(limits)


def _as_stored(name: str, attribute: str, value: Any, stored: np.dtype, kind: str) -> Any:
    bound = _as_bound(value, stored, kind)
    if stored.kind == "f":
        held = np.isinf(bound) <= np.isinf(value)
    else:
        held = np.isfinite(bound) and bound == int(bound) and np.iinfo(stored).min <= bound <= np.iinfo(stored).max
    if not held:
        got = f"it has {value}: correct the attribute"
        raise DatasetError(f"{name} needs a number that {stored} can hold as its attribute {attribute}, {got}")
    return stored.type(bound if stored.kind == "f" else int(bound))


def _as_bound(value: Any, stored: np.dtype, kind: str) -> Any:
    """Return a number of an attribute in the stored floating-point type, or as a number of Python.

    If `_Unsigned` changes the sign of the stored integers' type, a number of the attribute that only the original type holds is
    converted too.
    """
    if stored.kind == "f":
        with np.errstate(over="ignore"):
            return stored.type(value)
    number = value.item() if value.dtype.itemsize <= 8 else float(value)
    if kind == stored.kind or not isinstance(number, int):
        return number
    modulus = 2 ** (8 * stored.itemsize)
    if stored.kind == "u":
        return number + modulus if -modulus // 2 <= number < 0 else number
    return number - modulus if modulus // 2 <= number < modulus else number
