"""How much memory there is: what absurd sizes are refused by, before any of it is taken."""

import math
import os
from contextlib import suppress
from pathlib import Path


def memory_bytes() -> float:
    """Memory that this process may take at most: what a job scheduler or container grants, else what the machine has."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else []
    for place in ("memory.max", "memory/memory.limit_in_bytes"):  # of both versions of Linux's control groups
        with suppress(OSError, ValueError):  # ValueError: "max", where there is no limit
            limits.append(int((Path("/sys/fs/cgroup") / place).read_text()))
    return min(limits, default=math.inf)
