"""Which files a result may replace: no file of the user is overwritten, followed or deleted."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import pac_surrogate as pac
from pac_surrogate.files import DatasetError, replacing, write_netcdf
from pac_surrogate.files.netcdf import KINDS as NETCDF
from pac_surrogate.files.netcdf import NetcdfVariable
from pac_surrogate.files.replacing import TEMPORARY, by_suffix, check_output
from pac_surrogate.files.tensors import KINDS as TENSORS

X = np.random.default_rng(0).normal(size=(40, 2))
SOURCE, TARGET = (pac.Dataset.from_arrays(X, np.tanh(X @ [1.0, a]), valid=0.1, test=0.2) for a in (1, 2))
CURVE = {"methods": {"FT": pac.FineTune()}, "sizes": (8,), "seeds": 1, "steps": 2}


@pytest.fixture(scope="module")
def surrogate():
    return pac.pretrain(SOURCE.train, model=pac.MLP(hidden=(4,)), steps=2)


@pytest.fixture(scope="module")
def results(tmp_path_factory, surrogate):
    """Return a folder with a file of every kind."""
    folder = tmp_path_factory.mktemp("kinds")
    SOURCE.save(folder / "data file")
    surrogate.save(folder / "surrogate")
    pac.transfer_curve(SOURCE, TARGET, **CURVE, surrogates=surrogate, out=folder)
    (folder / "curve.nc").rename(folder / "transfer curve")
    write_netcdf(folder / "prediction", {"u": NetcdfVariable(("x",), np.ones(3))}, {"title": "prediction of s for d"})
    write_netcdf(folder / "netCDF file", {"u": NetcdfVariable(("x",), np.ones(3))})
    (folder / "text").write_text("a,b\n1,2\n")
    return folder


@pytest.mark.parametrize("there", ["data file", "surrogate", "transfer curve", "prediction", "netCDF file", "text"])
def test_a_result_replaces_only_files_of_its_own_kind(results, there):
    kinds = NETCDF | {"surrogate": TENSORS["pac_surrogate"], "tensors": TENSORS["other"], "png": by_suffix(".png")}
    for name, kind in kinds.items():
        if name == there:
            check_output(results / there, kind)
            continue
        with pytest.raises(DatasetError, match="may replace only another one, which this is not"):
            check_output(results / there, kind)


def test_a_table_replaces_only_files_with_its_suffix(tmp_path):
    for name in ("a.csv", "A.CSV", "a.txt"):
        (tmp_path / name).write_text("1")
    check_output(tmp_path / "a.csv", by_suffix(".csv"))
    check_output(tmp_path / "A.CSV", by_suffix(".csv"))
    with pytest.raises(DatasetError, match=r"a \.csv file may replace only"):
        check_output(tmp_path / "a.txt", by_suffix(".csv"))


def test_an_empty_file_may_be_replaced(tmp_path, surrogate):
    (tmp_path / "s").touch()
    surrogate.save(tmp_path / "s")
    assert pac.Surrogate.load(tmp_path / "s").inputs == surrogate.inputs


def a_link(path):
    path.with_name("mine").write_text("mine")
    path.symlink_to("mine")


def a_dangling_link(path):
    path.symlink_to("mine")


OTHERS = {"link": a_link, "dangling": a_dangling_link, "pipe": os.mkfifo, "folder": Path.mkdir}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("write", ["surrogate", "data", "netcdf", "anything"])
def test_links_pipes_and_folders_are_refused_in_one_line_and_stay(tmp_path, surrogate, make, write):
    path = tmp_path / "out"
    make(path)
    before = {p.name: p.lstat().st_mode for p in tmp_path.iterdir()}
    writers = {
        "surrogate": lambda: surrogate.save(path),
        "netcdf": lambda: write_netcdf(path, {"u": NetcdfVariable(("x",), np.ones(3))}),
        "data": lambda: check_output(path, NETCDF["data file"]),
        "anything": lambda: replacing(path).__enter__(),
    }
    with pytest.raises(DatasetError, match=r"regular files only|this is a folder") as caught:
        writers[write]()
    assert "\n" not in str(caught.value)
    assert {p.name: p.lstat().st_mode for p in tmp_path.iterdir()} == before
    assert not (tmp_path / "mine").exists() or (tmp_path / "mine").read_text() == "mine"


def test_a_device_is_refused():
    with pytest.raises(DatasetError, match="a device or a pipe"):
        check_output("/dev/null")


@pytest.mark.parametrize("path", ["a\0b", "x" * 300, "file/below"])
def test_an_invalid_path_is_refused_in_one_line(tmp_path, path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot be written there"):
        check_output(tmp_path / path)


def test_an_input_cannot_be_the_output_under_any_spelling_of_its_path(tmp_path):
    (tmp_path / "d").write_text("1")
    (tmp_path / "other").write_text("1")
    os.link(tmp_path / "d", tmp_path / "hard")
    (tmp_path / "link").symlink_to("d")
    for out in ("d", "hard", "link", "../" + tmp_path.name + "/d"):
        with pytest.raises(DatasetError, match="would replace a file that it is made from"):
            check_output(tmp_path / out, None, [tmp_path / "missing", tmp_path / "d"])
    check_output(tmp_path / "other", None, [tmp_path / "d"])


@pytest.mark.parametrize(("mask", "permissions"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_permissions_that_the_user_sets(tmp_path, surrogate, mask, permissions):
    before = os.umask(mask)
    try:
        surrogate.save(tmp_path / "s")
        write_netcdf(tmp_path / "n", {"u": NetcdfVariable(("x",), np.ones(3))})
        with replacing(tmp_path / "t") as temporary:  # a library may replace our file with its own
            temporary.unlink()
            temporary.touch(0o777)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {permissions}


def test_a_link_in_place_of_a_temporary_file_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda length: "0" * 8)
    with replacing(tmp_path / "out") as temporary:
        pass
    (tmp_path / "mine").write_text("mine")
    temporary.symlink_to("mine")
    with pytest.raises(FileExistsError), replacing(tmp_path / "out"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_only_temporary_files_of_dead_processes_are_removed(tmp_path):
    with replacing(tmp_path / "out") as temporary:
        own = temporary.name
    host = TEMPORARY.fullmatch(own)[1]
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    stray = tmp_path / f".out.{host}-{gone.pid}-00000000.part"
    other = tmp_path / f".another.{host}-{gone.pid}-00000000.part"
    kept = [
        f".out.{host}-{os.getpid()}-00000000.part",  # the process is alive
        f".out.{'0' * 8}-{gone.pid}-00000000.part",  # of another machine
        ".out.part",
        f"out.{host}-{gone.pid}.part",
        "data.h5.part",
    ]
    linked = tmp_path / f".link.{host}-{gone.pid}-00000000.part"
    for path in (stray, other, *(tmp_path / name for name in kept)):
        path.touch()
    linked.symlink_to("data.h5.part")
    with replacing(tmp_path / "out") as temporary:
        temporary.write_text("1")
    assert {path.name for path in tmp_path.iterdir()} == {"out", linked.name, *kept}


@pytest.mark.parametrize("length", [161, 255])
def test_a_long_name_has_a_shorter_temporary_name(tmp_path, length):
    with replacing(tmp_path / ("x" * length)) as temporary:
        temporary.write_text("1")
    assert [len(path.name) for path in tmp_path.iterdir()] == [length]


# Transfer curves ----------------------------------------------------------------------------------------------------------


def test_a_curve_deletes_nothing_and_reports_surrogates_of_an_earlier_curve(tmp_path, surrogate):
    surrogate.save(tmp_path / "surrogates" / "mine.safetensors")
    mine = (tmp_path / "surrogates" / "mine.safetensors").read_bytes()
    methods = {"FT": pac.FineTune(), "wild": pac.FineTune(learning_rate=2e-3)}
    pac.transfer_curve(SOURCE, TARGET, **{**CURVE, "methods": methods}, surrogates=surrogate, out=tmp_path)
    methods["wild"] = pac.FineTune(learning_rate=1e30)
    with pytest.warns(pac.DataWarning, match=r"wild.safetensors is from an earlier curve"):
        pac.transfer_curve(SOURCE, TARGET, **{**CURVE, "methods": methods}, surrogates=surrogate, out=tmp_path)
    assert {path.stem for path in (tmp_path / "surrogates").iterdir()} == {"mine", "FT", "wild"}
    assert (tmp_path / "surrogates" / "mine.safetensors").read_bytes() == mine


BAD_NAMES = ["", " ", "a\0b", "a\nb", "\x1b[31m", "x" * 201, "é" * 101, "NUL", "con", "lpt1.x"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_cannot_be_a_file_name_is_refused_before_any_training(tmp_path, name, surrogate, monkeypatch):
    monkeypatch.setattr("pac_surrogate.curves.transfer_curve.run", None)
    with pytest.raises(ValueError, match="with out=, the name of a method") as caught:
        pac.transfer_curve(SOURCE, TARGET, **{**CURVE, "methods": {name: "Scratch"}}, surrogates=surrogate, out=tmp_path)
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


def test_valid_names_of_methods_become_file_names(tmp_path, surrogate):
    methods = dict.fromkeys(("fine-tune, body x 0.1", "Müller & Söhne (λ = 0.1)", "..", "x" * 200), "SourceUnchanged")
    pac.transfer_curve(SOURCE, TARGET, **{**CURVE, "methods": methods}, surrogates=surrogate, out=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / "surrogates").iterdir()} == {f"{n}.safetensors" for n in methods}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_slash_in_a_name_leads_to_no_other_folder(tmp_path, surrogate):
    methods = dict.fromkeys(("AC/DC", "../x", "/etc/x", "a\\b", "a%2Fb", "a/b"), "SourceUnchanged")
    pac.transfer_curve(SOURCE, TARGET, **{**CURVE, "methods": methods}, surrogates=surrogate, out=tmp_path / "out")
    names = ("AC%2FDC", "..%2Fx", "%2Fetc%2Fx", "a%5Cb", "a%252Fb", "a%2Fb")
    assert {path.name for path in (tmp_path / "out" / "surrogates").iterdir()} == {f"{name}.safetensors" for name in names}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def foreign_curve(folder, surrogate):
    (folder / "curve.nc").write_text("mine")


def data_as_curve(folder, surrogate):
    SOURCE.save(folder / "curve.nc")


def linked_table(folder, surrogate):
    (folder / "curve.csv").symlink_to("mine")


def linked_stacks(folder, surrogate):
    (folder / "elsewhere").mkdir()
    (folder / "stacks").symlink_to("elsewhere")


def linked_surrogates(folder, surrogate):
    (folder / "elsewhere").mkdir()
    (folder / "surrogates").symlink_to("elsewhere")


def file_for_surrogates(folder, surrogate):
    (folder / "surrogates").write_text("mine")


def text_for_a_surrogate(folder, surrogate):
    (folder / "surrogates").mkdir()
    (folder / "surrogates" / "FT.safetensors").write_text("mine")


def the_source_itself(folder, surrogate):
    surrogate.save(folder / "surrogates" / "FT.safetensors")
    return {"surrogates": folder / "surrogates" / "FT.safetensors"}


def content(folder):
    return {str(p): (os.readlink(p) if p.is_symlink() else p.is_file() and p.read_bytes()) for p in folder.rglob("*")}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (foreign_curve, "a transfer curve may replace only"),
        (data_as_curve, "a transfer curve may replace only"),
        (linked_table, "this is a link"),
        (linked_stacks, "a folder of its own is required"),
        (linked_surrogates, "a folder of its own is required"),
        (file_for_surrogates, "Not a directory|a folder of its own"),
        (text_for_a_surrogate, "a saved surrogate may replace only"),
        (the_source_itself, "would replace a file that it is made from"),
    ],
)
def test_a_folder_that_cannot_take_the_results_is_refused_before_any_training(tmp_path, surrogate, make, message, monkeypatch):
    options = make(tmp_path, surrogate) or {"surrogates": surrogate}
    before = content(tmp_path)
    monkeypatch.setattr("pac_surrogate.curves.transfer_curve.run", None)
    with pytest.raises(DatasetError, match=message) as caught:
        pac.transfer_curve(SOURCE, TARGET, **CURVE, **options, out=tmp_path)
    assert "\n" not in str(caught.value)
    assert content(tmp_path) == before


def test_a_stack_that_is_a_link_is_neither_read_nor_replaced(tmp_path, surrogate):
    pac.transfer_curve(SOURCE, TARGET, **CURVE, surrogates=surrogate, out=tmp_path)
    (stack,) = (tmp_path / "stacks").iterdir()
    stack.rename(tmp_path / "elsewhere")
    stack.symlink_to("../elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()
    with pytest.raises(DatasetError, match="this is a link"):
        pac.transfer_curve(SOURCE, TARGET, **CURVE, surrogates=surrogate, out=tmp_path)
    assert (tmp_path / "elsewhere").read_bytes() == before


# Damage to a saved curve --------------------------------------------------------------------------------------------------


def test_every_number_of_a_curve_and_its_description_have_a_checksum(results):
    """The superblock of version 3 and the headers of version 2 have their own checksums."""
    with h5py.File(results / "transfer curve") as file:
        assert file.id.get_create_plist().get_version()[0] == 3
        for name, variable in file.items():
            if h5py.check_string_dtype(variable.dtype) is None and not variable.attrs.get("NAME", b"").startswith(b"This"):
                assert variable.fletcher32, name


def test_no_flipped_bit_of_a_curve_changes_a_number_without_an_error(results, tmp_path):
    clean, whole = (results / "transfer curve").read_bytes(), pac.open_curve(results / "transfer curve")
    path, refused = tmp_path / "curve.nc", []
    for place in range(0, len(clean), 101):
        path.write_bytes(clean[:place] + bytes([clean[place] ^ 0x40]) + clean[place + 1 :])
        try:
            found = pac.open_curve(path)
        except DatasetError as error:
            refused.append(str(error))
            continue
        for name, variable in whole.variables.items():
            if variable.dtype.kind in "fiu":  # texts are in a heap, which has no checksum
                np.testing.assert_array_equal(found[name].values, variable.values)
    assert len(refused) > 20
    assert all(re.fullmatch(r".{1,400}", line) for line in refused)
