"""The part file `<name>.part`, which holds the samples of a data file that is not yet complete.

    <variable> (sample, ...)   numbers, contiguous; the file has its full size from the start
    written (sample)           checksum of each sample, 0 until it is written
    attribute configuration    digest of the configuration to which the samples belong

It is an HDF5 file on which the HDF5 library never operates: its structure is made in memory and written to the disk as plain
bytes, and numbers are written directly to their places. A full disk is therefore an ordinary error of a write, and nothing
waits in a cache that is flushed when the interpreter ends. A part is resumed only if its structure equals, byte for byte, the
one that would be written now, so that no link or size in a foreign file is ever followed.
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

CHECKSUMS = "written"  # followed by underscores if a variable has that name
TYPE = np.dtype("u8")


class Part:
    """A part file that only this process writes, and that it locks until `close`.

    Args:
        path: path of the part.
        variables: shape (sample, ...) and type of each variable.
        configuration: a text; a part with another configuration is started afresh.
        resume: whether to continue an existing part.

    Raises:
        DatasetError: if it cannot be written, is locked by another process, or is not a regular file with one name.
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
                warnings.warn(f"{path} is damaged or has another configuration: all samples are computed anew", stacklevel=3)
            _write_structure(sketch, self._file)
            self.written = 0
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise self._cannot(error) from error
            raise

    def write(self, stored: Mapping[str, np.ndarray]) -> None:
        """Append samples in the types of their variables: the numbers first, then their checksums.

        If the process is killed or an error occurs at any moment, the earlier samples remain valid.

        Raises:
            DatasetError: if the disk is full or fails.
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
        """Return the numbers of a variable, which are read when they are sliced."""
        return self._rows[name]

    def close(self) -> None:
        """Close the file, so that another process can open it."""
        self._file.close()

    def _checksums_of(self, first: int, blocks: list[np.ndarray]) -> np.ndarray:
        found = np.empty(len(blocks[0]), TYPE)
        views = [(as_bytes(block), block.nbytes // len(block)) for block in blocks if len(block)]
        for row in range(len(found)):
            checksum = zlib.crc32(b"%s %d" % (self._salt, first + row))
            for view, width in views:
                checksum = zlib.crc32(view[row * width : (row + 1) * width], checksum)
            found[row] = checksum + 1  # so that 0 means not written
        return found

    def _count(self) -> int:
        """Count the leading samples whose checksums are right; remove all later checksums, with a warning if there are any."""
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
            line = f"{self._path} is damaged: {written} of {samples} samples are valid, the others are computed anew"
            warnings.warn(line, UserWarning, stacklevel=4)
        return written

    def _cannot(self, error: OSError) -> DatasetError:
        kept = getattr(self, "written", 0)
        if isinstance(error, BlockingIOError):
            return DatasetError(f"{self._path} cannot be written ({error.strerror}): is another process writing it?")
        remedy = f"{kept} samples are kept, make room and call again" if kept else "make room, or choose another folder"
        return DatasetError(f"{self._path} cannot be written ({error.strerror or error}): {remedy}")


def _write_structure(sketch: Sketch, file: BinaryIO) -> None:
    """Write the structure of a part, its first bytes last, and leave the places of the numbers as zeros."""
    file.truncate(0)
    file.truncate(sketch.size)
    for start, data in sorted(sketch.pieces(), reverse=True):
        file.seek(start)
        write_all(file, data)


def _has_structure(file: BinaryIO, sketch: Sketch) -> bool:
    """Return whether a file has the structure of a part, byte for byte."""
    if os.fstat(file.fileno()).st_size != sketch.size:
        return False
    for start, data in sketch.pieces():
        file.seek(start)
        if file.read(len(data)) != data:
            return False
    return True


def _draw(variables: Mapping[str, tuple[tuple[int, ...], str]], configuration: str) -> tuple[Sketch, dict[str, int], int]:
    """Return the structure of a part, and the offsets of each variable's numbers and of the checksums."""
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
    """Open a file for reading and writing, create it if it does not exist, and lock it against other processes."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise DatasetError(f"{path} must be a regular file with one name, it is a link or not a file: remove it")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = open(os.open(path, flags, 0o666), "r+b", buffering=0)  # noqa: SIM115
    try:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise DatasetError(f"{path} must be a regular file with one name, it has another name too: remove it")
        lock(file)
        if not os.path.samestat(found, path.stat()):  # another process has finished and removed it meanwhile
            raise BlockingIOError(11, "Resource temporarily unavailable")
    except BaseException:
        file.close()
        raise
    return file
