"""Provenance of a result: the command, versions, hardware and the date."""

import datetime
import os
import platform
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pac_surrogate.utilities.environment import version_of
from shared.files import write_json


def today() -> str:
    """Return the date in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def machine(device: str = "cpu") -> str:
    """Return the hardware in words."""
    return torch.cuda.get_device_name() if device.startswith("cuda") else f"{platform.machine()}, {os.cpu_count()} cores"


def origin(device: str = "cpu") -> dict[str, Any]:
    """Return the command, versions, hardware and the date."""
    device = "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
    return {
        "command": " ".join(["python", *sys.argv]),
        "versions": {"python": platform.python_version()} | {name: version_of(name) for name in ("torch", "numpy")},
        "hardware": {
            "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "date": today(),
    }


def write_config(folder: Path, setting: Mapping[str, Any], methods: Mapping[str, Any], seconds: float, device: str) -> None:
    """Write the setting and provenance of the results of a folder to its config.json."""
    config = {
        "setting": {name: list(v) if isinstance(v, tuple) else v for name, v in setting.items()},
        "candidates": {name: repr(candidates) for name, candidates in methods.items()},
        **origin(device),
        "seconds": round(seconds, 1),
        "peak_memory_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
    }
    write_json(folder / "config.json", config)
