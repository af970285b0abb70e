"""Replacement of a folder that is one data set, such as a Zarr store: it is written completely or not at all."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.replacing import check_folder


@contextmanager
def replacing_folder(path: Path | str, kind: str, holds: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield the path of an empty folder beside `path`, which replaces `path` if the block succeeds and is removed if it fails.

    Args:
        path: path of the folder; what is there must be a folder of this kind, or an empty one.
        kind: the kind with its article, as in "a Zarr store".
        holds: function that returns whether a folder is of this kind.

    Raises:
        DatasetError: if `path` must not be replaced.
    """
    path = Path(path).absolute()
    _check(path, kind, holds)
    path.parent.mkdir(parents=True, exist_ok=True)
    token = f"{os.getpid()}-{secrets.token_hex(4)}.part"
    temporary, earlier = path.with_name(f".{path.name[:60]}.{token}"), path.with_name(f".{path.name[:60]}.old.{token}")
    temporary.mkdir()
    try:
        yield temporary
        _check(path, kind, holds)
        if path.exists():  # a folder with contents cannot be replaced in one step
            path.rename(earlier)
        temporary.rename(path)
    except BaseException:
        if earlier.exists() and not path.exists():
            earlier.rename(path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if path.exists():
            shutil.rmtree(earlier, ignore_errors=True)


def _check(path: Path, kind: str, holds: Callable[[Path], bool]) -> None:
    check_folder(path.parent)
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        raise DatasetError(f"{kind} may replace only another one, this is a file or a link: choose another name")
    if any(path.iterdir()):
        try:
            sound = holds(path)
        except DatasetError:
            sound = False
        if not sound:
            raise DatasetError(f"{kind} may replace only another one, this is another folder: choose another name")
