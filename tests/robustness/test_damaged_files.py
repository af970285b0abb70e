"""Data files on a full disk, with a damaged part, or from unknown sources: nothing is lost or changed without an error."""

import contextlib
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fuzz
import h5py
import numpy as np
import pytest
from paths import EARLIER, TESTS

import pac_surrogate as pac
from pac_surrogate.files import (
    DatasetError,
    DatasetWriter,
    NetcdfVariable,
    Variable,
    describe,
    read_description,
    read_netcdf,
    read_rows,
    storage,
    validate,
    write_netcdf,
)
from pac_surrogate.files.storage import Sketch, _read_exactly

SAMPLES = fuzz.SAMPLES
READERS: tuple[Callable[[Path], Any], ...] = (validate, describe, read_description, pac.open_dataset)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "data.h5"
    fuzz.complete(path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, whole: bytes) -> Path:
    (tmp_path / "data.h5").write_bytes(whole)
    return tmp_path / "data.h5"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    fuzz.make_part(tmp_path)  # 28 of 40 samples
    return tmp_path / "data.h5.part"


def refusal(read: Callable[[Path], Any], path: Path) -> str:
    """Return the message of a refusal: one printable line of limited length, within a limited time."""
    began = time.monotonic()
    with pytest.raises(DatasetError) as raised:
        read(path)
    line = str(raised.value)
    assert line.isprintable()
    assert len(line) < fuzz.LONGEST
    assert time.monotonic() - began < 5
    return line


# A full disk


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_hdf5_reads_back_what_it_wrote_when_the_disk_took_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise HDF5 would trust the bytes that are there instead, in the file or in memory, such as lengths of texts."""
    read: list[bool] = []

    class Compared(storage._Target):
        def __init__(self, file: Any) -> None:
            super().__init__(file)
            self.whole = Sketch()

        def write(self, data: Any) -> int:
            self.whole.seek(self.tell())
            self.whole.write(data)
            return super().write(data)

        def read(self, size: int) -> bytes:
            self.whole.seek(self.tell())
            found = super().read(size)
            read.append(found == self.whole.read(size))
            return found

    monkeypatch.setattr(storage, "_Target", Compared)
    for size in (0, 500, 2_000, 5_000):
        with largest_file(size), pytest.raises(OSError, match="File too large"):
            fuzz.make_curve(tmp_path)
        assert read
        assert all(read)
        read.clear()


def test_a_file_that_ends_early_is_continued_with_zeros(tmp_path: Path) -> None:
    """h5py accepts fewer bytes than it requested without an error, and leaves the others as they are in memory."""
    (tmp_path / "a").write_bytes(b"abc")
    with open(tmp_path / "a", "r+b", buffering=0) as file:
        assert [_read_exactly(file, place, 5) for place in (0, 2, 9)] == [b"abc\0\0", b"c\0\0\0\0", bytes(5)]
        sketch = Sketch(file)
        sketch.seek(2)
        sketch.write(b"de")
        sketch.seek(1)
        sketch.write(b"f")
        sketch.seek(0)
        assert (sketch.read(6), sketch.size) == (b"afde\0\0", 4)
    assert (tmp_path / "a").read_bytes() == b"abc"


@pytest.mark.parametrize("size", [0, 1, 700, 3_000, 5_000, 9_000, 15_000, 21_000])
def test_a_full_disk_gives_one_line_and_the_written_samples_are_resumed(tmp_path: Path, whole: bytes, size: int) -> None:
    assert size < len(whole)
    with (
        largest_file(size),
        pytest.raises(DatasetError, match=r"data\.h5(\.part)? cannot be written \(File too large\)") as raised,
    ):
        fuzz.complete(tmp_path / "data.h5")
    assert str(raised.value).isprintable()
    assert set(os.listdir(tmp_path)) <= {"data.h5.part"}
    fuzz.complete(tmp_path / "data.h5")  # nothing was damaged: pytest turns warnings into errors
    assert (tmp_path / "data.h5").read_bytes() == whole


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import fuzz
from pathlib import Path
fuzz.SAMPLES = 2000
for size in range(0, 400_000, 20_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        fuzz.complete(Path(sys.argv[2]))
        print("finished")
    except ValueError as error:
        print(error)
"""


def test_the_interpreter_exits_without_an_error_after_a_full_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(TESTS), str(tmp_path / "data.h5")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 20
    assert lines[-1] == "finished"
    assert sum("all samples are kept in data.h5.part" in line for line in lines) > 1  # there is no room for the file itself
    assert sum("data.h5.part cannot be written" in line for line in lines) > 1


def test_a_file_without_room_is_reported_in_one_line_and_the_old_file_stays(tmp_path: Path) -> None:
    fuzz.make_curve(tmp_path)
    before = (tmp_path / "curve.nc").read_bytes()
    for size in range(0, len(before), 500):
        with largest_file(size), pytest.raises(OSError, match=r"File too large: '.*/curve\.nc'$"):
            fuzz.make_curve(tmp_path)
    assert (tmp_path / "curve.nc").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["curve.csv", "curve.nc"]


@pytest.mark.parametrize("fails", range(1, 5))
def test_a_batch_that_fails_midway_counts_as_not_written(
    tmp_path: Path, whole: bytes, fails: int, monkeypatch: pytest.MonkeyPatch
) -> None:

    writes, write_all = 0, storage.write_all

    def failing(file: Any, data: Any) -> None:
        nonlocal writes
        writes += 1
        if writes == fails:  # one of the three variables and their checksums
            raise OSError(28, "No space left on device")
        write_all(file, data)

    with DatasetWriter(tmp_path / "data.h5", **fuzz.options()) as writer:
        writer.write(fuzz.samples(0, 20))
        monkeypatch.setattr(storage, "write_all", failing)
        with pytest.raises(DatasetError, match=r"part cannot be written \(No space left on device\): 20 samples are kept"):
            writer.write(fuzz.samples(20, 30))
    monkeypatch.undo()
    with DatasetWriter(tmp_path / "data.h5", **fuzz.options()) as writer:
        assert writer.written == 20
    fuzz.complete(tmp_path / "data.h5")
    assert (tmp_path / "data.h5").read_bytes() == whole


# Parts


def resume(part: Path, whole: bytes, *, warned: str = "") -> int:
    """Resume a part, finish it to the bytes of the complete file, and return the number of samples that were kept."""
    path = part.with_suffix("")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with DatasetWriter(path, **fuzz.options()) as writer:
            kept = writer.written
        fuzz.complete(path)
    assert len(caught) == bool(warned)
    for warning in caught:
        assert warned in str(warning.message)
        assert str(warning.message).isprintable()
    assert path.read_bytes() == whole
    assert os.listdir(path.parent) == [path.name]
    return kept


def places(part: Path) -> dict[str, tuple[int, int]]:
    """Return the place of each dataset of a part, and the number of bytes of a sample."""
    with h5py.File(part) as file:
        return {name: (file[name].id.get_offset(), file[name].nbytes // SAMPLES) for name in file}


def test_a_part_is_resumed_where_it_stopped(part: Path, whole: bytes) -> None:
    assert resume(part, whole) == 28


@pytest.mark.parametrize("name", ["a", "k", "u", "written"])
@pytest.mark.parametrize("sample", [0, 13, 27])
@pytest.mark.parametrize("bit", [0, 6])
def test_a_flipped_bit_of_a_part_is_noticed_at_its_sample(part: Path, whole: bytes, name: str, sample: int, bit: int) -> None:
    data, (start, width) = bytearray(part.read_bytes()), places(part)[name]
    data[start + sample * width + 2] ^= 1 << bit
    part.write_bytes(data)
    assert resume(part, whole, warned=f"{sample} of {SAMPLES} samples are valid, the others are computed anew") == sample


@pytest.mark.parametrize("count", [0, 1, 28, 40, -1, -5, 2**63 - 1])
def test_a_damaged_counter_is_not_trusted(part: Path, whole: bytes, count: int) -> None:
    data, (start, width) = bytearray(part.read_bytes()), places(part)["written"]
    data[start : start + SAMPLES * width] = np.full(SAMPLES, count).tobytes()
    part.write_bytes(data)
    assert resume(part, whole, warned="0 of 40 samples are valid" if count else "") == 0


def test_exchanged_samples_are_noticed(part: Path, whole: bytes) -> None:
    data = bytearray(part.read_bytes())
    for start, width in places(part).values():  # samples 3 and 4 are exchanged, with their checksums
        first, second = (slice(start + row * width, start + (row + 1) * width) for row in (3, 4))
        data[first], data[second] = data[second], data[first]
    part.write_bytes(data)
    assert resume(part, whole, warned="3 of 40 samples are valid") == 3


def test_a_lost_sample_is_computed_again(part: Path, whole: bytes) -> None:
    data = bytearray(part.read_bytes())
    for start, width in places(part).values():  # these blocks never reached the disk
        data[start + 5 * width : start + 7 * width] = bytes(2 * width)
    part.write_bytes(data)
    assert resume(part, whole, warned="5 of 40 samples are valid") == 5


def swap(name: str, new: Callable[[h5py.File, Any], object]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        old = file[name]
        del file[name]
        new(file, old)

    return change


VICTIM = "precious"
EXTERNAL = "numbers"


def virtual(file: h5py.File, old: Any) -> None:
    layout = h5py.VirtualLayout(old.shape, old.dtype)
    layout[:] = h5py.VirtualSource(VICTIM, "u", old.shape)
    file.create_virtual_dataset("u", layout)


@pytest.mark.parametrize(
    "change",
    [
        swap("u", lambda file, old: file.__setitem__("u", h5py.ExternalLink(VICTIM, "u"))),
        swap("u", lambda file, old: file.update(old=old) or file.__setitem__("u", h5py.SoftLink("/old"))),
        swap("u", virtual),
        swap("u", lambda file, old: file.create_dataset("u", old.shape, "f4", external=[(EXTERNAL, 0, old.nbytes)])),
        swap("u", lambda file, old: file.create_group("u")),
        swap("u", lambda file, old: file.create_dataset("u", old.shape, "f8")),
        swap("u", lambda file, old: file.create_dataset("u", old.shape, "f4", chunks=True)),
        swap("u", lambda file, old: file.__setitem__("u", file["k"])),
        swap("u", lambda file, old: None),
        swap("written", lambda file, old: file.__setitem__("written", 28)),
        lambda file: file.attrs.__delitem__("configuration"),
        lambda file: file.attrs.__setitem__("configuration", 3),
        lambda file: file.attrs.__setitem__("more", "text"),
        lambda file: file.__setitem__("cycle", file["/"]),
    ],
)
def test_nothing_outside_a_part_is_followed_or_changed(part: Path, whole: bytes, change: Any) -> None:
    victim, external = part.with_name(VICTIM), part.with_name(EXTERNAL)
    with h5py.File(victim, "w") as other:
        other["u"] = np.zeros((SAMPLES, 3, 5), "f4")
    external.write_bytes(bytes(10_000))
    with contextlib.chdir(part.parent), h5py.File(part, "r+") as file:
        change(file)
    before = victim.read_bytes()
    with contextlib.chdir(part.parent), pytest.warns(UserWarning, match="all samples are computed anew"):
        fuzz.complete(part.with_suffix(""))
    assert part.with_suffix("").read_bytes() == whole
    assert (victim.read_bytes(), external.read_bytes()) == (before, bytes(10_000))


@pytest.mark.parametrize("make", [os.symlink, os.link])
@pytest.mark.parametrize("changes", [{}, {"resume": False}])
def test_a_part_under_another_name_is_refused(tmp_path: Path, make: Any, changes: dict[str, Any]) -> None:
    fuzz.make_part(tmp_path).rename(tmp_path / "mine.h5.part")
    before = (tmp_path / "mine.h5.part").read_bytes()
    make(tmp_path / "mine.h5.part", tmp_path / "data.h5.part")
    with pytest.raises(DatasetError, match=r"data\.h5\.part must be a regular file with one name, .*: remove it"):
        DatasetWriter(tmp_path / "data.h5", **fuzz.options(), **changes)
    assert (tmp_path / "mine.h5.part").read_bytes() == before


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("absent", path)])
def test_a_part_that_is_not_a_file_is_refused(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "data.h5.part")
    with pytest.raises(DatasetError, match=r"data\.h5\.part must be a regular file with one name, it is a link or not a file"):
        DatasetWriter(tmp_path / "data.h5", **fuzz.options())
    assert os.listdir(tmp_path) == ["data.h5.part"]


def test_parts_and_files_have_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with DatasetWriter(tmp_path / "data.h5", **fuzz.options()) as writer:
            assert (tmp_path / "data.h5.part").stat().st_mode & 0o777 == 0o640
            writer.write(fuzz.samples(0, SAMPLES))
            writer.finish()
    finally:
        os.umask(before)
    assert (tmp_path / "data.h5").stat().st_mode & 0o777 == 0o640


def test_a_variable_may_have_the_name_of_the_checksums(tmp_path: Path) -> None:
    x = np.arange(10.0)
    pac.Dataset.from_arrays({"written": x}, {"written_": x + 1}).save(tmp_path / "data.h5")
    np.testing.assert_array_equal(pac.open_dataset(tmp_path / "data.h5")["written"], x)
    np.testing.assert_array_equal(pac.open_dataset(tmp_path / "data.h5")["written_"], x + 1)


# Damage to finished files


def test_a_flipped_bit_of_any_number_is_refused(path: Path, whole: bytes) -> None:
    with h5py.File(path) as file:
        chunks = {name: file[name].id.get_chunk_info(0) for name in ("a", "k", "u", "x", "split", "subset_order")}
    for name, chunk in chunks.items():
        for at in np.random.default_rng(0).integers(chunk.byte_offset, chunk.byte_offset + chunk.size, 5):
            data = bytearray(whole)
            data[at] ^= 1 << int(at) % 8
            path.write_bytes(data)
            assert "data.h5: the file cannot be read" in refusal(validate, path), name


def test_a_flipped_bit_of_a_scalar_is_refused(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "one.nc", {"budget": NetcdfVariable((), np.float64(600.0))})
    data = bytearray((tmp_path / "one.nc").read_bytes())
    data[data.index(np.float64(600.0).tobytes()) + 6] ^= 1
    (tmp_path / "one.nc").write_bytes(data)
    assert "one.nc: the file cannot be read" in refusal(read_netcdf, tmp_path / "one.nc")


def test_a_file_without_checksums_is_read(whole: bytes, path: Path) -> None:
    earlier = EARLIER / "data.h5"
    with h5py.File(earlier) as file:
        assert not any(file[name].fletcher32 for name in file if isinstance(file[name], h5py.Dataset))
    found, wanted = fuzz.digest(fuzz.read_native(earlier)), fuzz.digest(fuzz.read_native(path))
    assert found == wanted


# Files from unknown sources


def many(count: int, make: Callable[[h5py.File, int], object]) -> Callable[[h5py.File], None]:
    return lambda file: [make(file, number) for number in range(count)].clear()


def draws(file: h5py.File) -> None:
    del file["subset_order"], file["draw"]
    file.create_dataset("draw", data=np.arange(10**6, dtype="i4"), compression="gzip").make_scale("draw")
    order = file.create_dataset("subset_order", (10**6, 30), "i1", chunks=(10**6, 30), compression="gzip", shuffle=True)
    order[0] = 0
    order.dims[0].attach_scale(file["draw"])
    order.dims[1].attach_scale(file["rank"])


def shared_texts(file: h5py.File) -> None:
    """Make every one of many entries refer to one text of 1 MB, so that a small file stands for a very large one."""
    data = file.create_dataset("names", (16_000,), h5py.string_dtype(), chunks=(16_000,))
    data[0] = "x" * 2**20
    place, size = data.id.get_chunk_info(0).byte_offset, 16
    file.flush()
    name = file.filename
    raw = Path(name).read_bytes()
    entry = raw[place : place + size]
    file.close()
    Path(name).write_bytes(raw[:place] + entry * 16_000 + raw[place + size * 16_000 :])


EMPTY = {"shape": (1000,), "dtype": h5py.string_dtype(), "chunks": (1000,), "compression": "gzip"}


def bomb(value: Any = 1, **storage: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        data = file.create_dataset(**{"name": "bomb", **storage})
        if data.chunks:
            data[tuple(0 for _ in data.shape)] = value

    return change


def twice_deflated(file: h5py.File) -> None:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((2**26,))
    creation.set_deflate(9)
    creation.set_deflate(9)
    space = h5py.h5s.create_simple((2**26,))
    h5py.h5d.create(file.id, b"bomb", h5py.h5t.NATIVE_INT8, space, creation)
    file["bomb"][0] = 1


def named(name: bytes) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        h5py.h5d.create(file.id, name, h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((4,))).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.zeros(4, "f4")
        )

    return change


STRANGERS: dict[str, Callable[[h5py.File], object]] = {
    "variables": many(5_000, lambda file, number: file.create_dataset(str(number), (0,), "f4")),
    "groups": many(5_000, lambda file, number: file.create_group(str(number))),
    "attributes": many(5_000, lambda file, number: file.attrs.__setitem__(str(number), 1)),
    "attributes of a variable": many(5_000, lambda file, number: file["u"].attrs.__setitem__(str(number), 1)),
    "draws": draws,
    "texts": bomb("", shape=(100_000,), dtype=h5py.string_dtype(), chunks=(100_000,), compression="gzip"),
    "texts of many variables": many(20, lambda file, number: bomb("", name=f"n{number}", **EMPTY)(file)),
    "axes": many(
        9,
        lambda file, number: file.create_dataset(
            f"n{number}", data=np.zeros(2**22), chunks=(2**22,), compression="gzip"
        ).make_scale(),
    ),
    "one text many times": shared_texts,
    "texts of fixed length": bomb("", shape=(16_000,), dtype="S20000", chunks=(16_000,), compression="gzip"),
    "a chunk": bomb(shape=(10,), maxshape=(None,), dtype="f8", chunks=(2**25 + 8,), compression="gzip"),
    "chunks": bomb(shape=(2**24,), dtype="i1", chunks=(2,)),
    "deflated twice": twice_deflated,
    "enough dimensions": bomb(shape=(2,) * 32, dtype="f8", chunks=(1,) * 32),
    "a compound": lambda file: file.__setitem__("other", np.zeros(3, "f4,i4")),
    "references": lambda file: file.__setitem__("other", np.array([file["u"].ref], h5py.ref_dtype)),
    "regions": lambda file: file.__setitem__("other", np.array([file["u"].regionref[:2]], h5py.regionref_dtype)),
    "rows of unequal length": lambda file: file.create_dataset("other", (3,), h5py.vlen_dtype("f4")),
    "bytes without meaning": lambda file: file.__setitem__("other", np.zeros(3, "V7")),
    "complex numbers": lambda file: file.__setitem__("other", np.zeros(3, complex)),
    "no shape": lambda file: file.__setitem__("other", h5py.Empty("f4")),
    "a soft link": lambda file: file.__setitem__("other", h5py.SoftLink("/other")),
    "an external link": lambda file: file.__setitem__("other", h5py.ExternalLink("data.h5", "/")),
    "a group for a variable": lambda file: (file.__delitem__("split"), file.create_group("split")),
    "a type for a variable": lambda file: (file.__delitem__("split"), file.__setitem__("split", np.dtype("i1"))),
    "a name that steers the terminal": named(b"\x1b[2J\x1b]0;owned\x07"),
    "a name of two lines": named(b"one\ntwo\r"),
    "a name in Latin-1": named(b"\x9b2J"),
    "a long name": named(b"n" * 60_000),
    "a text that steers the terminal": lambda file: file["u"].attrs.__setitem__("role", "\x1b[31moutput\x1b[0m\n\u202e"),
    "a long text": lambda file: file["u"].attrs.__setitem__("role", "x" * 60_000),
    "a headline of many lines": lambda file: file.attrs.__setitem__("schema_version", "\n" * 60_000),
    "numbers that mean missing": lambda file: file["u"].attrs.__setitem__("missing_value", np.zeros(2**12, "f4")),
}


@pytest.mark.parametrize("change", STRANGERS.values(), ids=STRANGERS)
def test_a_file_from_an_unknown_source_is_refused_in_one_line_at_once(path: Path, change: Any) -> None:
    with h5py.File(path, "r+") as file:
        change(file)
    assert path.stat().st_size < 10**7
    for read in READERS:
        assert refusal(read, path).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.create_group("/".join("deeper" for _ in range(500))),
        lambda file: file.create_group("group").__setitem__("cycle", file["/"]),
        lambda file: file.create_group("group").__setitem__("gone", h5py.ExternalLink("/etc/passwd", "/")),
        lambda file: file.__setitem__("type", np.dtype("f4")),
        lambda file: file.attrs.__setitem__("note", b"37 \xb0C"),
    ],
)
def test_objects_that_are_not_variables_are_ignored(path: Path, change: Any) -> None:
    before = fuzz.digest(fuzz.read_native(path))
    with h5py.File(path, "r+") as file:
        change(file)
    found = fuzz.digest(fuzz.read_native(path))
    assert {**found, "attributes": None} == {**before, "attributes": None}  # one of the changes adds an attribute


def test_a_file_behind_a_user_block_is_read(path: Path, whole: bytes) -> None:
    before = fuzz.digest(fuzz.read_native(path))
    path.write_bytes(bytes(512) + whole)
    assert fuzz.digest(fuzz.read_native(path)) == before


def test_a_description_sends_no_control_characters_to_a_terminal(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["title"] = "\x1b[2Ja\nb"
        file.attrs["note"] = "x" * 30_000
        file["u"].attrs["long_name"] = "\x9b31m"
    lines = describe(path).splitlines()
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 1010
    assert lines[0].endswith(r"\x1b[2Ja\nb")


@pytest.mark.parametrize("name", ["", ".", "a/b", "../a", "a\0b", "a\nb", "\x1b[2J"])
def test_names_that_are_paths_or_hold_control_characters_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Variable(name)
    with pytest.raises(ValueError, match="name"):
        Variable("u", (name,), (3,))
    with pytest.raises(ValueError, match="names must be valid"):
        write_netcdf(tmp_path / "a.nc", {"u": NetcdfVariable((name,), np.zeros(3))})
    assert os.listdir(tmp_path) == []


def test_the_middle_of_a_long_message_is_left_out() -> None:
    error = DatasetError(f"the name {'n' * 10_000} is long: shorten it")
    assert str(error).startswith("the name nnn")
    assert str(error).endswith("nnn is long: shorten it")
    assert len(str(error)) <= 390
    assert str(DatasetError("a \x1b\nb")) == r"a \x1b b"


@pytest.mark.parametrize("bit", [0, 1])
def test_a_filter_that_is_disabled_in_the_index_of_an_earlier_file_is_refused(path: Path, bit: int) -> None:
    earlier = (EARLIER / "data.h5").read_bytes()
    path.write_bytes(earlier)
    with h5py.File(path) as file:
        size = file["u"].id.get_chunk_info(0).size
    key = size.to_bytes(4, "little") + bytes(4 + 4 * 8)  # B-tree key: size, disabled filters, 4 coordinates
    assert earlier.count(key) == 1
    data, at = bytearray(earlier), earlier.index(key)
    data[at + 4] = 1 << bit  # shuffle, gzip
    path.write_bytes(data)
    assert "the index of chunks of 'u' is damaged" in refusal(validate, path)


def test_a_flipped_bit_of_a_text_is_refused(tmp_path: Path) -> None:
    fuzz.make_curve(tmp_path)
    whole = (tmp_path / "curve.nc").read_bytes()
    for at in range(whole.index(b"L2-SP"), whole.index(b"L2-SP") + 5):
        data = bytearray(whole)
        data[at] ^= 1
        (tmp_path / "curve.nc").write_bytes(data)
        assert "the texts of 'approach' are damaged" in refusal(read_netcdf, tmp_path / "curve.nc")


def test_neighbouring_chunks_are_read_together(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 3)).astype("f4")
    pac.Dataset.from_arrays(rows, rows).save(tmp_path / "data.h5")
    with h5py.File(tmp_path / "data.h5", "r+") as file:
        old = file["input"]
        told, scales = dict(old.attrs), [old.dims[axis][0] for axis in range(2)]
        del file["input"]
        new = file.create_dataset("input", data=rows, chunks=(1, 3), maxshape=(None, 3))
        for axis, scale in enumerate(scales):
            new.dims[axis].attach_scale(scale)
        new.attrs.update({name: told[name] for name in ("units", "long_name", "role", "scaling")})
    for wanted in (np.arange(200), np.array([199, 0, 5, 6, 7, 5]), np.array([3]), np.arange(0, 200, 2)):
        np.testing.assert_array_equal(read_rows(tmp_path / "data.h5", "input", wanted), rows[wanted])


def test_a_heap_on_which_hdf5_would_loop_is_refused(tmp_path: Path) -> None:
    fuzz.make_curve(tmp_path)
    whole = (tmp_path / "curve.nc").read_bytes()
    begin = whole.index(b"GCOL") + 16
    found = []
    while begin < whole.index(b"GCOL") + 4096 - 16:
        number, size = whole[begin], int.from_bytes(whole[begin + 8 : begin + 16], "little")
        for wrong in (0, 1, size + 8, 2**64 - 16, 2**64 - 1, 2**63):
            (tmp_path / "curve.nc").write_bytes(whole[: begin + 8] + wrong.to_bytes(8, "little") + whole[begin + 16 :])
            began = time.monotonic()
            with contextlib.suppress(DatasetError):
                found.append(fuzz.digest(fuzz.read_curve(tmp_path / "curve.nc")))
            assert time.monotonic() - began < 5
        begin += 16 + size + -size % 8 if number else size
    (tmp_path / "curve.nc").write_bytes(whole)
    assert begin == whole.index(b"GCOL") + 4096  # all objects were tried
    wanted = fuzz.digest(fuzz.read_curve(tmp_path / "curve.nc"))
    assert all(one == wanted for one in found)
