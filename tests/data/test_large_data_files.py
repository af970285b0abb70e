"""A file of 100 GB is opened and described without reading it; only what is used is read."""

import resource
import sys
import tracemalloc

import pytest
from paths import BENCHMARKS

import pac_surrogate as pac
from pac_surrogate.data.file_description import describe_file

SAMPLES, POINTS = 400_000, 256  # 400,000 fields of 256 x 256 numbers of 4 bytes: 105 GB


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Write a file in our own layout, and one of another program, whose fields are holes that take no disk."""
    folder = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(BENCHMARKS)
        from large_files import write

        for name in ("own.h5", "other.nc"):
            write(folder / name, SAMPLES, own=name == "own.h5")
    sys.modules.pop("large_files", None)
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
