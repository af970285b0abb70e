"""Plain files below HDF5: numbers at known offsets, and files whose write errors are hidden from the HDF5 library.

HDF5 keeps data that it could not write and tries again when the file, or the interpreter, is closed; if that fails, it crashes.
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

FORMAT_VERSION = ("v110", "v110")  # the first of HDF5 with checksums of names, shapes, types and offsets of chunks
HEAP = b"GCOL\1\0\0\0"  # signature and version of a global heap


@dataclass(frozen=True, eq=False)
class StoredRows:
    """The numbers of a variable that are contiguous in a file, read and written by rows."""

    file: BinaryIO
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def row_bytes(self) -> int:
        """Number of bytes of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Number of bytes of all rows."""
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
        """Write rows, starting at row `first`."""
        self.file.seek(self.start + first * self.row_bytes)
        write_all(self.file, as_bytes(np.ascontiguousarray(values, self.dtype)))


def as_bytes(values: np.ndarray) -> memoryview:
    """Return the memory of an array in C order."""
    return memoryview(values.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def write_all(file: "BinaryIO | Sketch", data: Any) -> None:
    """Write all data, in several calls if the system takes only a part at a time."""
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]


class Sketch:
    """A file in memory that stores only what was written to it, because the gaps of zeros between may be huge.

    Args:
        below: a file that is read where nothing was written, and is not changed.
    """

    def __init__(self, below: BinaryIO | None = None) -> None:
        self._below = below
        self._writes: list[tuple[int, bytes]] = []
        self._position = 0
        self.size = 0 if below is None else os.fstat(below.fileno()).st_size

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place counted from the beginning (0), from the current place (1) or from the end (2)."""
        self._position = offset + {0: 0, 1: self._position, 2: self.size}[whence]
        return self._position

    def tell(self) -> int:
        """Return the current place."""
        return self._position

    def write(self, data: Any) -> int:
        """Write at the current place."""
        written = bytes(data)
        self._writes.append((self._position, written))
        self._position += len(written)
        self.size = max(self.size, self._position)
        return len(written)

    def read(self, size: int) -> bytes:
        """Read exactly `size` bytes, zeros beyond the end."""
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
        """Do nothing, because nothing is buffered."""

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Yield the offset of each write, and the bytes that are there now."""
        for start, data in self._writes:
            self.seek(start)
            yield start, self.read(len(data))


def _read_exactly(file: BinaryIO, place: int, size: int) -> bytes:
    """Read exactly `size` bytes, zeros beyond the end: h5py ignores a short read, and HDF5 would use undefined memory."""
    file.seek(place)
    found = bytearray()
    while len(found) < size:
        more = file.read(size - len(found))
        if not more:
            return bytes(found) + bytes(size - len(found))
        found += more
    return bytes(found)


class _Target:
    """The file that HDF5 writes to; after the first error, which is kept, it continues in memory, for HDF5 to read it again."""

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
        """Do nothing, because nothing is buffered."""

    def _go_on_in_memory(self, error: OSError) -> Sketch:
        assert not isinstance(self._file, Sketch)  # memory has no such errors
        self.error, self._file = error, Sketch(self._file)
        return self._file


def lock(file: BinaryIO, *, shared: bool = False) -> None:
    """Lock a file until it is closed: against all other processes, or, if shared, only against those that write it.

    Raises:
        BlockingIOError: if another process has locked it.
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
    """The file that HDF5 reads from, which hides a damaged heap of texts and references, on which HDF5 would loop forever.

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
                return bytes(size)  # zeros have no signature, so HDF5 refuses them
            self._sound.add(place)
        return data

    def _is_sound(self, place: int) -> bool:
        """Return whether the objects of a heap, with their declared lengths and the free space, fill it exactly."""
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
    """Open a file for reading, if no other process writes it.

    Raises:
        BlockingIOError: if another process writes it.
    """
    with open(path, "rb", buffering=0) as file:
        lock(file, shared=True)
        source = _Source(file)
        with h5py.File(source, "r") as opened:
            source.length = opened.id.get_create_plist().get_sizes()[1]
            yield opened


@contextmanager
def create_hdf5(path: Path, shown: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Create a file anew, and yield it with a function, to be called now and then, that raises the first error of the disk.

    Raises:
        OSError: if the disk is full or fails; the error names the file `shown`.
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
            check()  # an error of the disk takes precedence over its consequences
            raise
        check()
