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


def write_all(file: BinaryIO, data: Any) -> None:
    """Write everything, in more than one go if the system takes less at a time."""
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]


class _Target:
    """The file that HDF5 writes to: the first error is kept, and everything after it is let go."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        self._keeping(lambda: write_all(self._file, data))
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        self._keeping(lambda: self._file.truncate(size))
        return size or 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def flush(self) -> None:
        """Nothing waits here."""

    def _keeping(self, act: Callable[[], object]) -> None:
        if self.error is None:
            try:
                act()
            except OSError as error:
                self.error = error


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
        data = self._file.read(size)
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
            with h5py.File(target, "w", track_order=True, libver=("v110", "v110")) as made:
                yield made, check
        except Exception:
            check()  # an error of the disk comes before what it led to
            raise
        check()
