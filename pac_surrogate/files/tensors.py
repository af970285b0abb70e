"""Tensors and JSON in one safetensors file: surrogates, finished stacks. Nothing in it can run.

The file's metadata hold the JSON header as a text, and a checksum of that text and of all tensors: their names, types, shapes
and bytes. Files of earlier versions have no checksum.
"""

import json
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.replacing import Kind, replacing
from pac_surrogate.utilities.display import one_line

LONGEST_HEADER = 2**24  # bytes; as JSON they take up to 30 times as much memory


class UncheckedError(DatasetError):
    """A file of an earlier version, which has no checksum, where one is required."""


def save_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any] | None = None, *, cache: bool = False
) -> None:
    """Write tensors and a JSON header, whole or not at all; only files of the same format are replaced.

    Args:
        path: of the file.
        tensors: by name.
        header: JSON; its entry `format` says what the file is.
        cache: whether the path is a name of our own choice, at which any regular file is replaced.

    Raises:
        DatasetError: if the path is none to write to, or the file cannot be written.
    """
    # safetensors refuses tensors that share memory.
    separate = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(header or {}, sort_keys=True)
    if (length := len(json.dumps(text)) + sum(len(name) + 200 for name in tensors)) > LONGEST_HEADER:
        raise DatasetError(f"{one_line(path)}: at most {LONGEST_HEADER} bytes may describe the tensors, these take {length}")
    metadata = {"header": text, "checksum": _checksum(separate, text)}
    with replacing(path, None if cache else kind_of(header or {})) as temporary:
        try:
            # By us: safetensors' own `save_file` writes a temporary file of a name that tells no process, which a kill leaves.
            temporary.write_bytes(save(separate, metadata=metadata))
        except (SafetensorError, OSError) as error:
            raise DatasetError(f"{one_line(path)} cannot be written ({one_line(error)}): is there space left?") from error


def load_tensors(path: str | Path, *, checked: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote, if the numbers are those that were written.

    Args:
        path: of the file.
        checked: whether a file of an earlier version, which has no checksum, is refused too.

    Raises:
        DatasetError: if the file is missing, damaged or not one of these, in one line.
    """
    path = Path(path)
    shown = one_line(path)
    if not path.is_file():
        raise DatasetError(f"{shown} does not exist" if not path.exists() else f"{shown} is no file of saved tensors")
    try:
        _check_length(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            text = metadata["header"]
            if metadata.keys() - {"header", "checksum"}:  # the name of an entry is damaged, perhaps that of the checksum
                raise ValueError("it has unknown entries")
            if checked and "checksum" not in metadata:
                raise UncheckedError(f"{shown} has no checksum")
            header = json.loads(text)
            # Copied: memory from a file is not aligned as torch's own is, and some products round by where their numbers lie.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        if "checksum" in metadata and metadata["checksum"] != _checksum(tensors, text):
            raise ValueError("its checksum is not that of its numbers")
        return tensors, header
    except UncheckedError:
        raise
    except PermissionError as error:
        raise DatasetError(f"{shown}: a file that you may read is required: ask its owner for the permission") from error
    except MemoryError as error:
        raise DatasetError(f"{shown}: the memory does not hold what the file declares: free memory") from error
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError, OSError, RuntimeError) as error:
        reason = one_line(error) or type(error).__name__
        raise DatasetError(f"{shown} is not a file of saved tensors, or is damaged ({reason}): save it again") from error


def kind_of(header: Mapping[str, Any]) -> Kind:
    """The kind of a file with this header."""
    return KINDS["pac_surrogate" if header.get("format") == "pac_surrogate" else "other"]


def _holds(path: Path, kind: str) -> bool:
    try:
        _check_length(path)
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["header"])
        return kind_of(header if isinstance(header, dict) else {}) is KINDS[kind]
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError, OSError, RuntimeError, MemoryError):
        return False


KINDS = {
    "pac_surrogate": Kind("a saved surrogate", partial(_holds, kind="pac_surrogate")),
    "other": Kind("a file of saved tensors", partial(_holds, kind="other")),
}


def _check_length(path: Path) -> None:
    """Refuse a header that is longer than the file, or than any that we write, before it is read."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > min(LONGEST_HEADER, max(0, path.stat().st_size - 8)):
        raise ValueError(f"its header would take {length} bytes")


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """CRC-32, which finds every damage within 32 bits, and misses one of 4 billion others; it costs a third of a digest."""
    content = zlib.crc32(text.encode())
    for name, tensor in sorted(tensors.items()):
        content = zlib.crc32(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode(), content)
        content = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, content)
    return f"crc32 {content:08x}"
