"""Check of a MAT-file of version 5 before SciPy reads it, because a damaged type or length in it can end the process.

Such a file is a row of elements, each a type, a length in bytes and that many bytes. An element of the type matrix holds
elements in turn: flags with the class, dimensions, a name, and the contents, for an array of numbers one element, or two if
they are complex. A compressed element holds others, and has a checksum.
Source: MathWorks, MAT-File Format.
"""

import math
import mmap
import struct
import zlib
from pathlib import Path

from pac_surrogate.files.attributes import DatasetError

HEADER = 128
MATRIX, COMPRESSED, SIGNED, UNSIGNED = 14, 15, 5, 6
SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}  # bytes of an item, by type
CONTAINERS, CHARACTERS, SPARSE, NUMBERS = (1, 2, 3), 4, 5, range(6, 16)  # classes: cells, structures and objects first
COMPLEX = 8
KEPT = 256  # bytes of an element, enough for flags and dimensions
DEEPEST = 64
REMEDY = "it is damaged or incomplete, generate or download it again"


def check_elements(path: Path) -> None:
    """Refuse a file of version 5 whose elements do not fill it exactly; files of version 4 are not looked into.

    Raises:
        DatasetError: if an element is damaged or the file ends early.
    """
    with path.open("rb") as file:
        head = file.read(HEADER)
        orders = {b"IM": "<", b"MI": ">"}
        if len(head) < HEADER or head[126:128] not in orders:
            return
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as whole,
            whole[HEADER:] as rest,
        ):
            if any(kind not in (MATRIX, COMPRESSED) for kind, _ in _elements(rest, orders[head[126:128]], 0)):
                raise DatasetError(f"a MAT-file must hold matrices only, this one holds other elements: {REMEDY}")


def _elements(data: memoryview, order: str, depth: int) -> list[tuple[int, bytes]]:
    """Check the elements in some bytes and in each other, and return their types with their first bytes (`KEPT`)."""
    found = []
    place = 0
    if depth > DEEPEST:
        raise DatasetError(f"matrices must be nested at most {DEEPEST} deep, these are deeper: flatten them")
    while place < len(data):
        if len(data) - place < 8:
            raise DatasetError(f"the file must end with an element, {len(data) - place} bytes are left over: {REMEDY}")
        kind, size = struct.unpack(f"{order}II", data[place : place + 8])
        start = place + 8
        if kind >> 16:  # up to four bytes stand in the place of the length
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        if start + size > len(data) or (start == place + 4 and size > 4):
            raise DatasetError(f"an element of the file must end inside it, one of {size} bytes does not: {REMEDY}")
        with data[start : start + size] as inner:
            if kind == COMPRESSED:
                with memoryview(zlib.decompress(inner)) as plain:
                    _elements(plain, order, depth + 1)
            elif kind == MATRIX:
                _check_matrix(_elements(inner, order, depth + 1), order)
            elif kind not in SIZES or size % SIZES[kind]:
                raise DatasetError(
                    f"an element must have a known type and length, it has type {kind} and {size} bytes: {REMEDY}"
                )
            found.append((kind, bytes(inner[:KEPT])))
        place = place + 8 if start == place + 4 else start + size + (0 if kind == COMPRESSED else -size % 8)
    return found


def _check_matrix(parts: list[tuple[int, bytes]], order: str) -> None:
    """Refuse a matrix that lacks a part that SciPy would read."""
    if not parts:  # an empty cell
        return
    kind, head = parts[0]
    if kind != UNSIGNED or len(head) != 8:
        raise DatasetError(f"a matrix must begin with its flags, one does not: {REMEDY}")
    flags = struct.unpack(f"{order}I", head[:4])[0]
    of_class, count = flags & 0xFF, 1 + bool(flags >> 8 & COMPLEX)
    if of_class in (CHARACTERS, *NUMBERS):
        required = [SIGNED, 1] + [0] * count
    elif of_class == SPARSE:
        required = [SIGNED, 1, SIGNED, SIGNED] + [0] * count
    elif of_class in CONTAINERS:
        inside = [one for one, _ in parts].count(MATRIX)
        dims = parts[1][1] if len(parts) > 1 else b""
        declared = math.prod(struct.unpack(f"{order}{len(dims) // 4}i", dims[: len(dims) // 4 * 4]))
        if len(parts) < 3 or declared > max(inside, 1):
            raise DatasetError(f"an array of {declared} cells or structures must hold as many, one holds {inside}: {REMEDY}")
        return
    else:
        return
    kinds = [one for one, _ in parts[1:]]
    sound = len(kinds) == len(required) and all(
        one == needed or (not needed and one in SIZES and (one < 16 or of_class == CHARACTERS))
        for one, needed in zip(kinds, required, strict=False)
    )
    if not sound:
        raise DatasetError(
            f"a matrix of class {of_class} must have {len(required)} parts after its flags, one has others: {REMEDY}"
        )
