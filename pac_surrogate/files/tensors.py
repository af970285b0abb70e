"""Tensors and a JSON header in one safetensors file, for surrogates and finished stacks; a file contains no code.

The metadata of the file hold the JSON header as a text, and a checksum of that text and of the names, types, shapes and bytes
of all tensors. Files of earlier versions have no checksum.
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

LONGEST_HEADER = 2**24  # bytes; decoded from JSON they take up to 30 times as much memory


class UncheckedError(DatasetError):
    """Error that a file has no checksum, as those of earlier versions, where one is required."""


def save_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any] | None = None, *, cache: bool = False
) -> None:
    """Write tensors and a JSON header completely or not at all; only files of the same format are replaced.

    Args:
        path: path of the file.
        tensors: tensors by name.
        header: JSON; its entry `format` states the kind of the file.
        cache: whether this package has chosen the path, so that any regular file there is replaced.

    Raises:
        DatasetError: if the path must not be written to, or the file cannot be written.
    """
    # safetensors refuses tensors that share memory. A tensor of one number is contiguous with any strides, so that `contiguous`
    # would keep strides with which its bytes cannot be viewed.
    separate = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    text = json.dumps(header or {}, sort_keys=True)
    if (length := len(json.dumps(text)) + sum(len(name) + 200 for name in tensors)) > LONGEST_HEADER:
        raise DatasetError(f"{one_line(path)}: at most {LONGEST_HEADER} bytes may describe the tensors, got {length}")
    metadata = {"header": text, "checksum": _checksum(separate, text)}
    with replacing(path, None if cache else kind_of(header or {})) as temporary:
        try:
            # Not by safetensors' `save_file`: after a kill it leaves a temporary file whose name does not contain its process.
            temporary.write_bytes(save(separate, metadata=metadata))
        except (SafetensorError, OSError) as error:
            raise DatasetError(f"{one_line(path)} cannot be written ({one_line(error)}): is there space left?") from error


def load_tensors(path: str | Path, *, checked: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of `save_tensors`, and check that the numbers are those that were written.

    Args:
        path: path of the file.
        checked: whether files of earlier versions, which have no checksum, are refused.

    Raises:
        DatasetError: if the file is missing, damaged or not a file of `save_tensors`.
    """
    path = Path(path)
    shown = one_line(path)
    if not path.is_file():
        raise DatasetError(f"{shown} does not exist" if not path.exists() else f"{shown} is not a file of saved tensors")
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
            # Copied: memory from a file is not aligned as torch's own is, and the rounding of some products depends on that.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        if "checksum" in metadata and metadata["checksum"] != _checksum(tensors, text):
            raise ValueError("its checksum does not match its numbers")
        return tensors, header
    except UncheckedError:
        raise
    except PermissionError as error:
        raise DatasetError(f"{shown}: a file that you may read is required: ask its owner for the permission") from error
    except MemoryError as error:
        raise DatasetError(f"{shown}: the memory cannot hold what the file declares: free memory") from error
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError, OSError, RuntimeError) as error:
        reason = one_line(error) or type(error).__name__
        raise DatasetError(f"{shown} is not a file of saved tensors, or is damaged ({reason}): save it again") from error


def kind_of(header: Mapping[str, Any]) -> Kind:
    """Return the kind of a file with this header."""
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
    """Refuse, before it is read, a header that is longer than the file or than LONGEST_HEADER."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > min(LONGEST_HEADER, max(0, path.stat().st_size - 8)):
        raise ValueError(f"its header would take {length} bytes")


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """Compute a CRC-32: it detects all damage within 32 bits, misses 1 in 4 billion others, and costs a third of a digest."""
    content = zlib.crc32(text.encode())
    for name, tensor in sorted(tensors.items()):
        content = zlib.crc32(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode(), content)
        content = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, content)
    return f"crc32 {content:08x}"
