"""Plain files below HDF5: numbers at a known place, and files whose errors the HDF5 library never sees.

HDF5 keeps what it could not write and tries again when the file, or the interpreter, is closed; failing again, it crashes.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

FORMAT_VERSION = ("v110", "v110")  # of HDF5, the first in which names, shapes, types and places of chunks carry a checksum
HEAP = b"GCOL\1\0\0\0"  # signature and version of a global heap


@dataclass(frozen=True, eq=False)
class StoredRows:
    """The numbers of a variable that lie in one piece in a file, read and written by rows."""

    file: BinaryIO
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def row_bytes(self) -> int:
        """How many bytes a row takes."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """How many bytes all rows take."""
        return len(self) * self.row_bytes

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, last, _ = rows.indices(len(self))
        values = np.empty((max(0, last - first), *self.shape[1:]), self.dtype)
        view = as_bytes(values)
        self.file.seek(self.start + first * self.row_bytes)
        done = 0
        while done < len(view):
            count = self.file.readinto(view[done:])  # type: ignore[attr-defined]
            if not count:
                raise OSError(5, "the file ends early")
            done += count
        return values

    def write(self, first: int, values: np.ndarray) -> None:
        """Write rows from this one on."""
        self.file.seek(self.start + first * self.row_bytes)
        write_all(self.file, as_bytes(np.ascontiguousarray(values, self.dtype)))


def as_bytes(values: np.ndarray) -> memoryview:
    """The memory of an array in C order."""
    return memoryview(values.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def write_all(file: "BinaryIO | Sketch", data: Any) -> None:
    """Write everything, in more than one go if the system takes less at a time."""
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]


class Sketch:
    """A file in memory: what was written to it and where, for the places between, which may be huge, are zeros.

    Args:
        below: a file that is seen where nothing was written, and is not changed.
    """

    def __init__(self, below: BinaryIO | None = None) -> None:
        self._below = below
        self._writes: list[tuple[int, bytes]] = []
        self._position = 0
        self.size = 0 if below is None else os.fstat(below.fileno()).st_size

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, from the begin (0), from here (1) or from the end (2)."""
        self._position = offset + {0: 0, 1: self._position, 2: self.size}[whence]
        return self._position

    def tell(self) -> int:
        """The present place."""
        return self._position

    def write(self, data: Any) -> int:
        """Write at the present place."""
        written = bytes(data)
        self._writes.append((self._position, written))
        self._position += len(written)
        self.size = max(self.size, self._position)
        return len(written)

    def read(self, size: int) -> bytes:
        """As many bytes as are asked for, behind the end zeros."""
        begin = self._position
        found = bytearray(size) if self._below is None else bytearray(_read_exactly(self._below, begin, size))
        for start, data in self._writes:  # later writes may lie over earlier ones
            first, last = max(start, begin), min(start + len(data), begin + size)
            if first < last:
                found[first - begin : last - begin] = data[first - start : last - start]
        self._position += size
        return bytes(found)

    def truncate(self, size: int | None = None) -> int:
        """Set the size."""
        self.size = self._position if size is None else size
        return self.size

    def flush(self) -> None:
        """Nothing waits here."""

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Where something was written, and what is there now."""
        for start, data in self._writes:
            self.seek(start)
            yield start, self.read(len(data))


def _read_exactly(file: BinaryIO, place: int, size: int) -> bytes:
    """Bytes of a file, behind its end zeros: h5py takes fewer bytes for no error, and HDF5 then trusts whatever memory held."""
    file.seek(place)
    found = bytearray()
    while len(found) < size:
        more = file.read(size - len(found))
        if not more:
            return bytes(found) + bytes(size - len(found))
        found += more
    return bytes(found)


class _Target:
    """The file that HDF5 writes to. After the first error, which is kept, it goes on in memory: HDF5 reads what it wrote."""

    def __init__(self, file: BinaryIO) -> None:
        self._file: BinaryIO | Sketch = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        place = self._file.tell()
        try:
            write_all(self._file, data)
        except OSError as error:
            self._go_on_in_memory(error).seek(place)
            self._file.write(data)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            return self._go_on_in_memory(error).truncate(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int) -> bytes:
        return self._file.read(size) if isinstance(self._file, Sketch) else _read_exactly(self._file, self._file.tell(), size)

    def flush(self) -> None:
        """Nothing waits here."""

    def _go_on_in_memory(self, error: OSError) -> Sketch:
        assert not isinstance(self._file, Sketch)  # memory has no such errors
        self.error, self._file = error, Sketch(self._file)
        return self._file


def lock(file: BinaryIO, *, shared: bool = False) -> None:
    """Keep other processes from a file until it is closed, or, shared, those that write it.

    Raises:
        BlockingIOError: if another process has it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return


class _Source:
    """The file that HDF5 reads from; a damaged heap of texts and references, on which it would loop for ever, is withheld.

    Source: HDF5 file format specification, version 3.0, section III.E (global heap).
    """

    length = 8  # bytes of a size in the file

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sound: set[int] = set()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int) -> bytes:
        place = self._file.tell()
        data = _read_exactly(self._file, place, size)
        if data.startswith(HEAP) and place not in self._sound:
            if not self._is_sound(place):
                return bytes(size)  # which HDF5 refuses, for it has no signature
            self._sound.add(place)
        return data

    def _is_sound(self, place: int) -> bool:
        """Whether the objects of a heap fill it, one after the other; they are as long as they say, the free space too."""
        begin, header = 8 + self.length + -self.length % 8, 8 + self.length
        self._file.seek(place + 8)
        end = int.from_bytes(self._file.read(self.length), "little")
        if end > os.fstat(self._file.fileno()).st_size:
            return False
        self._file.seek(place)
        heap = self._file.read(end)
        for _ in range(2**16 + 1):  # an object has a number of 16 bits
            if begin + header > end:
                return True
            number = int.from_bytes(heap[begin : begin + 2], "little")
            size = int.from_bytes(heap[begin + 8 : begin + header], "little")
            begin += size if number == 0 else header + -header % 8 + size + -size % 8
            if begin > end or (number == 0 and size == 0):
                return False
        return False


@contextmanager
def read_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file that no other process writes.

    Raises:
        BlockingIOError: if one does.
    """
    with open(path, "rb", buffering=0) as file:
        lock(file, shared=True)
        source = _Source(file)
        with h5py.File(source, "r") as opened:
            source.length = opened.id.get_create_plist().get_sizes()[1]
            yield opened


@contextmanager
def create_hdf5(path: Path, shown: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Make a file anew; what is given beside it raises the first error of the disk, to be called now and then.

    Raises:
        OSError: if the disk takes no more, naming the file as it is shown.
    """
    path.unlink(missing_ok=True)
    with open(path, "x+b", buffering=0) as file:
        target = _Target(file)

        def check() -> None:
            if target.error is not None:
                raise OSError(target.error.errno, target.error.strerror, str(shown)) from None

        try:
            with h5py.File(target, "w", track_order=True, libver=FORMAT_VERSION) as made:
                yield made, check
        except Exception:
            check()  # an error of the disk comes before what it led to
            raise
        check()
