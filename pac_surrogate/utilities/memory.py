"""The amount of memory that is available, so that absurd sizes can be refused before any memory is allocated."""

import math
import os
from contextlib import suppress
from pathlib import Path


def memory_bytes() -> float:
    """Return how much memory this process may take: the limit of a job scheduler or container, or the machine's memory."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else []
    for place in ("memory.max", "memory/memory.limit_in_bytes"):  # of both versions of Linux's control groups
        with suppress(OSError, ValueError):  # ValueError: "max", where there is no limit
            limits.append(int((Path("/sys/fs/cgroup") / place).read_text()))
    return min(limits, default=math.inf)
