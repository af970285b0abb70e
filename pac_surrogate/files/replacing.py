"""The policy for all outputs: which files a result may replace, and how it replaces them.

A result is written completely or not at all, under a temporary name in the same folder. It replaces only a regular file of its
own kind, or an empty one. A link, a device, a pipe or a folder is refused, and so is a file of another kind, which must be the
user's. Temporary files are created exclusively, so that no link is followed. The temporary files of a run that was killed are
removed by the next run that writes to the folder, once their process has ended.
"""

import hashlib
import os
import platform
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.utilities.display import one_line

LONGEST_NAME = 160  # bytes of a name that a temporary name can contain; file systems allow 255
TEMPORARY = re.compile(r"\..+\.([0-9a-f]{8})-(\d{1,10})-[0-9a-f]{8}\.part", re.DOTALL)


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: name with its article, as in "a transfer curve".
        holds: function that returns whether the file at a path, which may be any file, even unreadable, is of this kind.
    """

    name: str
    holds: Callable[[Path], bool]


def by_suffix(suffix: str) -> Kind:
    """Return the kind of tables, figures and exports with this suffix, by which they are recognised."""
    return Kind(f"a {suffix} file", lambda path: path.suffix.lower() == suffix)


def check_output(path: Path | str, kind: Kind | None = None, inputs: Iterable[Path | str] = ()) -> Path:
    """Refuse a path to which a result must not be written; this is checked before long work and before the writing itself.

    Args:
        path: path of the file to be written.
        kind: kind of the file to be written; None allows any regular file to be replaced.
        inputs: files that the same call reads.

    Raises:
        DatasetError: if the path is refused.
    """
    path = Path(path)
    shown = one_line(path)
    try:
        state = path.lstat()
    except FileNotFoundError:
        state = None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise DatasetError(f"{shown}: a file cannot be written there ({reason}): choose another path") from error
    if state is not None:
        for given in map(Path, inputs):
            if given.exists() and path.exists() and given.samefile(path):
                raise DatasetError(f"{shown}: the result would replace a file that it is made from: choose another name")
        if stat.S_ISDIR(state.st_mode):
            raise DatasetError(f"{shown}: the path of a file is required, this is a folder: add a name")
        if not stat.S_ISREG(state.st_mode):
            what = "a link" if stat.S_ISLNK(state.st_mode) else "a device or a pipe"
            raise DatasetError(f"{shown}: a result may replace regular files only, and this is {what}: choose another name")
        if state.st_size and kind is not None and not kind.holds(path):
            raise DatasetError(f"{shown}: {kind.name} may replace only another one, which this is not: choose another name")
    check_folder(path.parent)
    return path


def check_folder(folder: Path | str) -> None:
    """Refuse a folder in which nothing can be written, whether it exists or is still to be made.

    Raises:
        DatasetError: if the folder is refused.
    """
    folder = Path(folder)
    try:
        first = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        sound = first.is_dir() and os.access(first, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{one_line(folder)}: this cannot be a folder ({one_line(error)}): choose another path") from error
    if not sound:
        what = "you may not write there" if first.is_dir() else f"{one_line(first)} is not a folder"
        raise DatasetError(f"{one_line(folder)}: a folder that you may write to is required, {what}: choose another path")


def check_own_folder(folder: Path) -> None:
    """Refuse a link in place of a folder that this package makes, through which files would be written elsewhere.

    Raises:
        DatasetError: if the path is a link or a file.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise DatasetError(f"{one_line(folder)}: a folder of its own is required here, this is a link or a file: remove it")
    check_folder(folder)


@contextmanager
def replacing(path: Path | str, kind: Kind | None = None) -> Iterator[Path]:
    """Yield the path of a temporary file beside `path`, which replaces `path` if the block succeeds and is removed if it fails.

    Raises:
        DatasetError: if `path` must not be written to; see `check_output`.
    """
    path = check_output(path, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_strays(path.parent)
    name = path.name if len(os.fsencode(path.name)) <= LONGEST_NAME else _digest(path.name)
    temporary = path.with_name(f".{name}.{_digest(platform.node())}-{os.getpid()}-{secrets.token_hex(4)}.part")
    # Created exclusively, so that no link is followed, and with the permissions that the user gives to new files.
    created = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        permissions = stat.S_IMODE(os.fstat(created).st_mode)
        os.close(created)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if stat.S_IMODE(temporary.stat().st_mode) != permissions:  # a library may have put another file in its place
            temporary.chmod(permissions)
        check_output(path)  # once more, because a link or a folder may have been put there meanwhile
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_strays(folder: Path) -> None:
    """Remove the temporary files of processes of this machine that have ended."""
    here = _digest(platform.node())
    with os.scandir(folder) as entries:
        found = [(entry, TEMPORARY.fullmatch(entry.name)) for entry in entries]
    for entry, temporary in found:
        if temporary and temporary[1] == here and not _lives(int(temporary[2])) and entry.is_file(follow_symlinks=False):
            Path(entry.path).unlink(missing_ok=True)


def _lives(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere signal 0 ends a process
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's process
        return True
    return True


def _digest(text: str) -> str:
    return hashlib.blake2b(os.fsencode(text), digest_size=4).hexdigest()
