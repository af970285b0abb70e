"""A folder that is one data set is replaced completely or not at all."""

from pathlib import Path

import pytest

from pac_surrogate.files import DatasetError
from pac_surrogate.formats.folders import replacing_folder


def holds(path):
    return (path / "mark").exists()


def make(path, text):
    with replacing_folder(path, "a store", holds) as folder:
        (folder / "mark").write_text(text)


def test_a_folder_replaces_another_of_its_kind(tmp_path):
    make(tmp_path / "a", "first")
    (tmp_path / "a/extra").touch()
    make(tmp_path / "a", "second")
    assert (tmp_path / "a/mark").read_text() == "second"
    assert not (tmp_path / "a/extra").exists()
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_an_error_while_writing_keeps_the_old_folder(tmp_path):
    make(tmp_path / "a", "first")
    with pytest.raises(RuntimeError, match="the disk is full"), replacing_folder(tmp_path / "a", "a store", holds):
        raise RuntimeError("the disk is full")
    assert (tmp_path / "a/mark").read_text() == "first"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_an_error_while_replacing_keeps_the_old_folder(tmp_path, monkeypatch):
    make(tmp_path / "a", "first")
    rename = Path.rename

    def fail(path, target):
        if Path(target).name == "a" and ".old." not in path.name:
            raise OSError(5, "the disk fails")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="the disk fails"):
        make(tmp_path / "a", "second")
    assert (tmp_path / "a/mark").read_text() == "first"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("make_other", [Path.touch, lambda path: path.symlink_to("elsewhere")])
def test_a_file_and_a_link_are_not_replaced(make_other, tmp_path):
    make_other(tmp_path / "a")
    with pytest.raises(DatasetError, match="this is a file or a link"):
        make(tmp_path / "a", "first")
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
