"""What a report of a fault needs: the versions, the processor, the threads, the memory and the device of this process."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_info

from pac_surrogate.utilities.device import resolve_device
from pac_surrogate.utilities.memory import memory_bytes

PACKAGE = "pac_surrogate"
INSTALL_DEPLOY = "pip install -e '.[deploy]' -c constraints.txt"  # the extra of ONNX and numba
SETTINGS = re.compile(r"OMP_|MKL_|OPENBLAS_|GOTO_|NPY_|ATEN_CPU_CAPABILITY$|CUDA_VISIBLE_DEVICES$")


def describe_environment() -> dict[str, str]:
    """Return the facts by their names, in the order in which they are printed."""
    found = {PACKAGE: version_of(PACKAGE), "python": platform.python_version()}
    found |= {name: version_of(name) for name in required_packages()}
    found |= {
        "platform": platform.platform(),
        "processor": processor(),
        "vector instructions of torch": torch.backends.cpu.get_cpu_capability(),
        "vector instructions of numpy": _numpy_instructions(),
    }
    for pool in threadpool_info():
        words = (pool["internal_api"], pool.get("version"), pool.get("architecture"))
        name = f"{pool['user_api']} library {Path(pool['filepath']).name}"
        found[name] = f"{' '.join(filter(None, words))}, {_count(pool['num_threads'], 'thread')}"
    device, memory = resolve_device("auto"), memory_bytes()
    found |= {
        "threads of torch": str(torch.get_num_threads()),
        "cores": f"{available_cores()} available of {os.cpu_count()}",
        "memory": f"{memory / 1e9:.1f} GB" if memory < float("inf") else "unknown",
        'device="auto"': str(device),
    }
    if device.type == "cuda":
        gpu = torch.cuda.get_device_properties(device)
        found["GPU"] = f"{gpu.name}, {gpu.total_memory / 1e9:.1f} GB, CUDA {torch.version.cuda}"
    return found | {name: value for name, value in sorted(os.environ.items()) if SETTINGS.match(name)}


def version_of(package: str) -> str:
    """Return the version of an installed package, or "not installed"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def required_packages() -> list[str]:
    """Return the names of the packages that this one requires, without those of its extras."""
    try:
        requirements = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return []
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requirements if "extra ==" not in line]


def available_cores() -> int:
    """Return the number of cores on which this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Return the name of the processor if Linux reports it, otherwise the architecture."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _numpy_instructions() -> str:
    """Return the instructions for which NumPy is compiled, and those that it found in this processor besides."""
    extensions = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return " ".join([*extensions.get("baseline", ()), *extensions.get("found", ())]) or "unknown"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
