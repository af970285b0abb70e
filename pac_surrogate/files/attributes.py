"""Texts and attributes of HDF5 files, such as names and units, in any encoding in which another program stored them.

A text is read as UTF-8. A text that is not valid UTF-8 is read as Latin-1, in which every byte is a character: Fortran, IDL and
LabVIEW store a degree sign in this way. All texts that are written are valid UTF-8.
"""

import math
import unicodedata
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np

from pac_surrogate.utilities.display import one_line

LONG_TEXT = 2**15  # HDF5 stores attributes of up to twice this length in place
LONGEST_MESSAGE = 390
MOST_ATTRIBUTES = {"variable": 2**7, "file": 2**9}
MOST_CHARACTERS = 2**20  # of the attributes of a variable, or of the global ones
FORMAT = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS", "_NCProperties"}
TEXT_CHECKSUM = "text_crc32"
ENCODING = {
    TEXT_CHECKSUM,
    "_FillValue",
    "missing_value",
    "valid_min",
    "valid_max",
    "valid_range",
    "scale_factor",
    "add_offset",
    "_Unsigned",
}


class DatasetError(ValueError):
    """Error that a data file is missing, damaged or does not have the required layout.

    The message is one line of at most `LONGEST_MESSAGE` characters, regardless of what it quotes from the file: control
    characters are escaped, and the middle of a longer message is left out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, LONGEST_MESSAGE))


def is_name(text: str) -> bool:
    """Return whether a text can name a variable or an axis in a file, and can be printed in one line of a table."""
    return text not in ("", ".") and "/" not in text and not any(unicodedata.category(one) == "Cc" for one in text)


def as_text(stored: bytes | str) -> str:
    """Decode a text of h5py, which returns bytes that are not UTF-8 as bytes or as surrogate escapes.

    Raises:
        ValueError: if a character is half a surrogate pair, which no encoding has.
    """
    try:
        raw = stored if isinstance(stored, bytes) else stored.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"a text must be valid Unicode, {stored!r:.60} is not: remove the lone surrogates") from error
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def text_checksum(texts: Iterable[str]) -> int:
    """Return the CRC-32 of some texts in this order, with a null character between them."""
    return zlib.crc32("\0".join(texts).encode())


def name_of(item: h5py.File | h5py.Dataset) -> str:
    """Return the name of a dataset without the slash of the root group; it is empty for the file itself."""
    return as_text(item.name).removeprefix("/")


def read_attributes(item: h5py.File | h5py.Dataset) -> dict[str, Any]:
    """Read the attributes of a file or dataset, without those that only encode the format or the numbers.

    Raises:
        DatasetError: if there are too many or too long ones, or one cannot be read.
    """
    kind, hidden = ("variable", FORMAT | ENCODING) if isinstance(item, h5py.Dataset) else ("file", FORMAT)
    most, count = MOST_ATTRIBUTES[kind], len(item.attrs)
    whose = repr(name_of(item)) if name_of(item) else "the file"
    if count > most:
        raise DatasetError(f"{whose} must have at most {most} attributes, it has {count}: rewrite the file")
    found, length = {}, 0
    for name in item.attrs:
        if _is_shown(as_text(name), hidden):
            value = found[as_text(name)] = read_attribute(item, name)
            length += len(value) if isinstance(value, str) else 0
            if length > MOST_CHARACTERS:
                raise DatasetError(f"the attributes of {whose} must have at most {MOST_CHARACTERS} characters, they have more")
    return found


def read_attribute(item: h5py.File | h5py.Dataset, name: str | bytes) -> Any:
    """Read one attribute, a text or numbers; the result is empty if the attribute does not exist."""
    stored = read_stored_attribute(item, name)
    value = stored.item() if stored.size == 1 else stored
    return as_text(value) if isinstance(value, bytes | str) else value


def read_stored_attribute(item: h5py.File | h5py.Dataset, name: str | bytes) -> np.ndarray:
    """Read the value of an attribute in its stored type; it is an empty text if the attribute does not exist.

    Raises:
        DatasetError: if it is too long, or of a type that is neither text nor numbers.
    """
    if name not in item.attrs:
        return np.array("")
    attribute = item.attrs.get_id(name)
    where = f"the attribute {as_text(name)!r}" + (f" of {name_of(item)}" if name_of(item) else "")
    try:
        shape, text = attribute.shape, h5py.check_string_dtype(attribute.dtype)
        if shape is not None and math.prod(shape) > (2**16 if text is None else 1):
            raise DatasetError(f"{where} must be short, its shape is {shape}: rewrite the file")
        return np.array("") if shape is None else np.asarray(item.attrs[name])
    except TypeError as error:  # h5py has no NumPy type for it
        raise DatasetError(f"{where} must be a text or numbers, it is neither ({error}): rewrite or remove it") from error


def write_attributes(item: h5py.File | h5py.Dataset, attributes: Mapping[str, Any]) -> None:
    """Write texts, numbers and rows of numbers.

    Raises:
        ValueError: if a value is of another kind, or is masked.
    """
    for name, value in attributes.items():
        if isinstance(value, str):  # of fixed length, stored in place: damage cannot send the HDF5 library elsewhere
            text = as_text(value).encode()
            length = max(1, len(text))
            item.attrs.create(as_text(name), text, dtype=h5py.string_dtype(length=length if length <= LONG_TEXT else None))
            continue
        numbers = np.asarray(value, dtype=np.int8 if isinstance(value, bool | np.bool_) else None)
        if numbers.dtype.kind not in "fiu" or numbers.ndim > 1 or np.ma.is_masked(value):
            raise ValueError(f"the attribute {name!r} must be a text or numbers, it is {value!r}: write it as JSON text")
        item.attrs[as_text(name)] = numbers


def _is_shown(name: str, hidden: set[str]) -> bool:
    return name not in hidden and "_Netcdf4" not in name
