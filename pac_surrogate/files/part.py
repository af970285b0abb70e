"""The samples of a data file that is not yet whole: `<name>.part`, an HDF5 file that the HDF5 library never touches.

    <variable> (sample, ...)   numbers, contiguous, all of whose places exist from the start
    written (sample)           checksum of each sample, 0 until it is written
    attribute configuration    what the samples belong to

The structure is made in memory and written to the disk as plain bytes; numbers go straight to their places. So a full disk is
an error of a write like any other, and nothing waits in a cache that is flushed when the interpreter ends. A part is resumed
only if its structure is, byte for byte, the one that would be written now: nothing in it is followed, be it a link or a size.
"""

import os
import stat
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.netcdf import rows_per_chunk
from pac_surrogate.files.storage import Sketch, StoredRows, as_bytes, lock, write_all

CHECKSUMS = "written"  # with underscores behind it where a variable has that name
TYPE = np.dtype("u8")


class Part:
    """A part that this process alone writes, held until `close`.

    Args:
        path: of the part.
        variables: shape (sample, ...) and type of each.
        configuration: a text; a part of another one is started afresh.
        resume: whether to go on with a part that is there.

    Raises:
        DatasetError: if it cannot be written, is held by another process, or is no regular file with one name.
    """

    def __init__(
        self, path: Path, variables: Mapping[str, tuple[tuple[int, ...], str]], configuration: str, *, resume: bool
    ) -> None:
        self._path, self._salt = path, configuration.encode()
        sketch, places, checksums = _draw(variables, configuration)
        try:
            self._file = _open_alone(path)
        except OSError as error:
            raise self._cannot(error) from error
        self._rows = {
            name: StoredRows(self._file, places[name], shape, np.dtype(dtype)) for name, (shape, dtype) in variables.items()
        }
        samples = len(next(iter(self._rows.values())))
        self._checksums = StoredRows(self._file, checksums, (samples,), TYPE)
        try:
            if resume and _has_structure(self._file, sketch):
                self.written = self._count()
                return
            self._file.seek(0)
            if resume and self._file.read(1).strip(b"\0"):  # else its structure was never complete
                warnings.warn(f"{path} is damaged or of another description: all samples are computed anew", stacklevel=3)
            _write_structure(sketch, self._file)
            self.written = 0
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise self._cannot(error) from error
            raise

    def write(self, stored: Mapping[str, np.ndarray]) -> None:
        """Append samples in the types of their variables: the numbers first, then their checksums.

        A kill or an error at any moment leaves the samples before these.

        Raises:
            DatasetError: if the disk takes no more.
        """
        count = len(next(iter(stored.values())))
        blocks = [np.ascontiguousarray(stored[name]) for name in self._rows]
        try:
            for rows, block in zip(self._rows.values(), blocks, strict=True):
                rows.write(self.written, block)
            self._checksums.write(self.written, self._checksums_of(self.written, blocks))
        except OSError as error:
            raise self._cannot(error) from error
        self.written += count

    def rows(self, name: str) -> StoredRows:
        """The numbers of a variable, read where they are asked for."""
        return self._rows[name]

    def close(self) -> None:
        """Let another process have it."""
        self._file.close()

    def _checksums_of(self, first: int, blocks: list[np.ndarray]) -> np.ndarray:
        found = np.empty(len(blocks[0]), TYPE)
        views = [(as_bytes(block), block.nbytes // len(block)) for block in blocks if len(block)]
        for row in range(len(found)):
            checksum = zlib.crc32(b"%s %d" % (self._salt, first + row))
            for view, width in views:
                checksum = zlib.crc32(view[row * width : (row + 1) * width], checksum)
            found[row] = checksum + 1  # so that 0 is none
        return found

    def _count(self) -> int:
        """How many samples from the first on have their checksum; says what follows them, if it is not nothing."""
        samples, written = len(self._checksums), 0
        row = sum(rows.row_bytes for rows in self._rows.values())
        step = rows_per_chunk((samples, row), 1)
        while written < samples:
            given = self._checksums[written : written + step]
            if not given[0]:
                break
            given = given[: int((given == 0).argmax()) or len(given)]
            blocks = [rows[written : written + len(given)] for rows in self._rows.values()]
            wrong = np.flatnonzero(given != self._checksums_of(written, blocks))
            written += int(wrong[0]) if len(wrong) else len(given)
            if len(wrong):
                break
        damaged = False
        for start in range(written, samples, 2**17):
            rest = self._checksums[start : start + 2**17]
            if rest.any():
                self._checksums.write(start, np.zeros_like(rest))
                damaged = True
        if damaged:
            line = f"{self._path} is damaged: {written} of {samples} samples are whole, the others are computed anew"
            warnings.warn(line, UserWarning, stacklevel=4)
        return written

    def _cannot(self, error: OSError) -> DatasetError:
        kept = getattr(self, "written", 0)
        if isinstance(error, BlockingIOError):
            return DatasetError(f"{self._path} cannot be written ({error.strerror}): is another process writing it?")
        remedy = f"{kept} samples are kept, make room and call again" if kept else "make room, or choose another folder"
        return DatasetError(f"{self._path} cannot be written ({error.strerror or error}): {remedy}")


def _write_structure(sketch: Sketch, file: BinaryIO) -> None:
    """Write the structure of a part, its first bytes last, and leave the places of the numbers empty."""
    file.truncate(0)
    file.truncate(sketch.size)
    for start, data in sorted(sketch.pieces(), reverse=True):
        file.seek(start)
        write_all(file, data)


def _has_structure(file: BinaryIO, sketch: Sketch) -> bool:
    """Whether a file has the structure of a part, byte for byte."""
    if os.fstat(file.fileno()).st_size != sketch.size:
        return False
    for start, data in sketch.pieces():
        file.seek(start)
        if file.read(len(data)) != data:
            return False
    return True


def _draw(variables: Mapping[str, tuple[tuple[int, ...], str]], configuration: str) -> tuple[Sketch, dict[str, int], int]:
    """The structure of a part, and where the numbers of each variable and the checksums begin."""
    sketch = Sketch()
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    samples, checksums = next(iter(variables.values()))[0][0], CHECKSUMS
    while checksums in variables:
        checksums += "_"
    with h5py.File(sketch, "w") as file:
        file.attrs["configuration"] = configuration
        places = {
            name: file.create_dataset(name, shape, dtype, dcpl=creation.copy()).id.get_offset() or 0
            for name, (shape, dtype) in {**variables, checksums: ((samples,), TYPE.str)}.items()
        }
    return sketch, {name: places[name] for name in variables}, places[checksums]


def _open_alone(path: Path) -> BinaryIO:
    """Open a file for reading and writing, which is made if there is none, and keep other processes from it."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise DatasetError(f"{path} must be a file of its own, it is a link or no file: remove it")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = open(os.open(path, flags, 0o666), "r+b", buffering=0)  # noqa: SIM115
    try:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise DatasetError(f"{path} must be a file of its own, it has another name too: remove it")
        lock(file)
        if not os.path.samestat(found, path.stat()):  # it was finished, and removed, just now
            raise BlockingIOError(11, "Resource temporarily unavailable")
    except BaseException:
        file.close()
        raise
    return file
