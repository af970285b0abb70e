"""Errors of files in other layouts: one line that starts with the path, whichever library noticed the fault."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.utilities.display import one_line


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn every error of the block into a DatasetError of one line that starts with the path.

    The libraries that read the formats raise errors of many kinds for a damaged file, hence all kinds are caught.
    """
    try:
        yield
    except DatasetError as error:
        line = str(error)
        raise DatasetError(line if line.startswith(one_line(path)) else f"{one_line(path)}: {line}") from None
    except FileNotFoundError as error:
        raise DatasetError(f"{one_line(path)}: a data file is required here, but there is none: check the path") from error
    except PermissionError as error:
        required = "a file that you may read is required"
        raise DatasetError(f"{one_line(path)}: {required}: ask its owner for the permission") from error
    except BlockingIOError as error:
        raise DatasetError(f"{one_line(path)}: the file is being written by another process: wait until that ends") from error
    except MemoryError as error:
        what = "the memory cannot hold what is read"
        raise DatasetError(f"{one_line(path)}: {what}: read fewer samples, or free memory") from error
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        raise DatasetError(
            f"{one_line(path)}: the file cannot be read ({reason}): it is damaged or incomplete, generate or download it again"
        ) from error


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Turn every error of the user or of the disk in the block into a DatasetError of one line that starts with the path."""
    shown = one_line(path)
    try:
        yield
    except (ValueError, TypeError) as error:  # a DatasetError is one; HDF5 lacks a type for some attributes
        line = str(error)
        raise DatasetError(line if line.startswith(shown) else f"{shown}: {line}") from error
    except OSError as error:
        raise DatasetError(
            f"{shown}: the file cannot be written ({error.strerror or one_line(error)}): make room, or choose another path"
        ) from error


def need(package: str, kind: str) -> Any:
    """Import an optional package.

    Raises:
        DatasetError: if it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise DatasetError(f"{kind} needs the package {package}, which is not installed: pip install {package}") from error
