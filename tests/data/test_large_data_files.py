"""A file of 100 GB is opened and described without reading it; only what is used is read."""

import resource
import tracemalloc

import h5py
import numpy as np
import pytest

import pac_surrogate as pac
from pac_surrogate.data.file_description import describe_file

SAMPLES, POINTS = 400_000, 256  # 400,000 fields of 256 x 256 numbers of 4 bytes: 105 GB


def reserved(file, name, shape):
    """Create a variable whose room is reserved and never written: a hole in the file, which takes no disk."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, space, creation))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Write a file in our own layout, and one of another program."""
    folder = tmp_path_factory.mktemp("large")
    for name in ("own.h5", "other.nc"):
        with h5py.File(folder / name, "w") as file:
            for dim, size in (("sample", SAMPLES), ("x", POINTS), ("y", POINTS), ("draw", 20), ("rank", SAMPLES)):
                file.create_dataset(dim, data=np.arange(size, dtype=np.int32)).make_scale(dim)
                file[dim].attrs.update(units="1", long_name=dim)
            variables = {
                "u": (reserved(file, "u", (SAMPLES, POINTS, POINTS)), ("sample", "x", "y"), "output"),
                "a": (file.create_dataset("a", data=np.ones(SAMPLES, np.float32)), ("sample",), "input"),
            }
            for variable, dims, role in variables.values():
                variable.attrs.update(units="K", long_name="variable", role=role)
                for axis, dim in enumerate(dims):
                    variable.dims[axis].attach_scale(file[dim])
            if name == "own.h5":
                split = file.create_dataset("split", data=np.zeros(SAMPLES, np.int8))
                order = np.tile(np.arange(SAMPLES, dtype=np.int32), (20, 1))
                subset_order = file.create_dataset("subset_order", data=order)
                for variable, dims in ((split, ("sample",)), (subset_order, ("draw", "rank"))):
                    for axis, dim in enumerate(dims):
                        variable.dims[axis].attach_scale(file[dim])
                file.attrs.update(schema_version=1, title="large", seed=0)
    yield folder
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize("name", ["own.h5", "other.nc"])
def test_100_gb_are_opened_and_described_and_only_the_samples_that_are_used_are_read(name, large):
    path = large / name
    assert path.stat().st_size > 100e9
    pac.open_dataset(path)  # once before, so that what the libraries import does not count
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    data = pac.open_dataset(path)
    rows = data.train[:3]["u"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows.shape == (3, POINTS, POINTS)
    # The orders of the train split are 20 permutations of int64 in other files, 64 MB, beside a temporary of the same size.
    assert peak < 300e6
    text = describe_file(path)
    assert "0 to 0 [K]" in text
    assert ("(of 256 samples)" if name == "own.h5" else f"of {SAMPLES * POINTS**2:,} numbers)") in text
    # A description reads 128 MB at most, of which the library holds at most twice that.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 * 2**10  # KiB
