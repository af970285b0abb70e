"""Measure how long it takes to open and to describe files of 100 GB, and how much memory.

    python benchmarks/large_files.py             400,000 fields of 256 x 256 numbers, 105 GB; seconds
    python benchmarks/large_files.py --quick     2,000 fields

The room of the fields is reserved and never written, so that a file takes some 40 MB of the disk. One file is in our own
layout, and one is a netCDF file of another program. Each call is timed by the clock, in a new process after its imports; the
memory is by how much it raises the largest memory of the process. "Read" takes 20 samples of the train split. Writes
<out>/large_files.json.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np

from shared.command import Out, Quick, run
from shared.files import write_json
from shared.provenance import origin
from shared.tables import text_table

POINTS = 256
NAMES = {"our own layout": "own.h5", "netCDF": "other.nc"}
CALLS = {
    "open": "data = pac.open_dataset(path)",
    "read": "data.train[:20]['u']",
    "describe": "describe_file(path)",
}
SCRIPT = """
import json, resource, sys, time
import xarray
import pac_surrogate as pac
from pac_surrogate.data.file_description import describe_file
pac.open_dataset, pac.Dataset
path, found = sys.argv[1], []
for call in json.loads(sys.argv[2]):
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    exec(call)
    seconds = time.perf_counter() - began
    found.append((seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))
print(json.dumps(found))
"""


def write(path: Path, samples: int, *, own: bool) -> None:
    """Write a file of an input and of fields that take no room on the disk, in our own layout or without splits."""
    with h5py.File(path, "w") as file:
        for dim, size in (("sample", samples), ("x", POINTS), ("y", POINTS), ("draw", 20), ("rank", samples)):
            file.create_dataset(dim, data=np.arange(size, dtype=np.int32)).make_scale(dim)
            file[dim].attrs.update(units="1", long_name=dim)
        _describe(file, reserved(file, "u", (samples, POINTS, POINTS)), ("sample", "x", "y"), "output")
        _describe(file, file.create_dataset("a", data=np.ones(samples, np.float32)), ("sample",), "input")
        if own:
            _attach(file, file.create_dataset("split", data=np.zeros(samples, np.int8)), ("sample",))
            order = np.tile(np.arange(samples, dtype=np.int32), (20, 1))
            _attach(file, file.create_dataset("subset_order", data=order), ("draw", "rank"))
            file.attrs.update(schema_version=1, title="large", seed=0)


def reserved(file: h5py.File, name: str, shape: tuple[int, ...]) -> h5py.Dataset:
    """Create a variable whose room is reserved and never written: a hole in the file."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, space, creation))


def _describe(file: h5py.File, variable: h5py.Dataset, dims: tuple[str, ...], role: str) -> None:
    variable.attrs.update(units="K", long_name="variable", role=role)
    _attach(file, variable, dims)


def _attach(file: h5py.File, variable: h5py.Dataset, dims: tuple[str, ...]) -> None:
    for axis, dim in enumerate(dims):
        variable.dims[axis].attach_scale(file[dim])


def main(quick: Quick = False, out: Out = None) -> None:
    """Measure both files."""
    out = out or Path("results") / ("large_files_quick" if quick else "large_files")
    samples, rows = 2000 if quick else 400_000, []
    with TemporaryDirectory() as folder:
        for name, file in NAMES.items():
            path = Path(folder) / file
            write(path, samples, own=name == "our own layout")
            command = [sys.executable, "-c", SCRIPT, str(path), json.dumps(list(CALLS.values()))]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            measured: list[Any] = json.loads(done.stdout)
            size = f"{path.stat().st_size / 1e9:.0f}"
            rows += [(name, size, call, f"{s:.2f}", f"{mb:.0f}") for call, (s, mb) in zip(CALLS, measured, strict=True)]
            path.unlink()
    print(text_table(("file", "GB", "call", "s", "MB"), rows))
    write_json(out / "large_files.json", {"config": {"samples": samples, **origin()}, "table": rows})


if __name__ == "__main__":
    run(main, __doc__)
