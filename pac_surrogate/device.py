"""Where tensors live."""

import math
import os
from contextlib import suppress
from pathlib import Path

import torch


def resolve_device(device: str | torch.device) -> torch.device:
    """The device of this name; "auto" means CUDA where there is one.

    Raises:
        ValueError: if the device is unknown or not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.zeros(1, device=resolved)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device {str(device)!r} is not available: use 'auto' or 'cpu'") from error
    return resolved


def memory_bytes() -> float:
    """Memory that this process may take at most: what a job scheduler or container grants, else what the machine has."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else []
    for place in ("memory.max", "memory/memory.limit_in_bytes"):  # of both versions of Linux's control groups
        with suppress(OSError, ValueError):  # ValueError: "max", where there is no limit
            limits.append(int((Path("/sys/fs/cgroup") / place).read_text()))
    return min(limits, default=math.inf)
