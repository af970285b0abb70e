"""One failure of each kind (`make soak` causes hundreds), and tests that `tests/soak.py` detects lost and changed files."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import soak


def test_one_failure_of_each_kind_loses_nothing() -> None:
    run = subprocess.run([sys.executable, soak.__file__, "--quick"], capture_output=True, text=True, timeout=500)
    assert (run.returncode, run.stderr) == (0, "")
    assert len(run.stdout.splitlines()) == len(soak.DAYS) * len(soak.WORKS)
    assert run.stdout.count("nothing wrong") == len(soak.DAYS) * len(soak.WORKS)


def refuse(folder: Path) -> None:
    raise ValueError("one line")


def fail(folder: Path) -> None:
    raise KeyError("x")


def ramble(folder: Path) -> None:
    raise ValueError("two\nlines")


def stray(folder: Path) -> None:
    (folder.parent.parent / "elsewhere").write_text("1")


ENDS = {"done": Path.mkdir, "refused": refuse, "exception": fail, "unclear": ramble, "outside": stray}


@pytest.mark.parametrize(("said", "function"), ENDS.items(), ids=ENDS)
def test_the_way_a_process_ended_is_seen_from_outside(said: str, function: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    assert soak.Child(function, tmp_path / "base" / "work").end().split(":")[0] == said


def half(folder: Path) -> None:
    """Do work that is not safe: any existing file is taken for a complete one."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "result.h5").exists():
        (folder / "result.h5").write_text("whole")


def test_wrong_and_stray_files_are_counted(tmp_path: Path) -> None:
    work = soak.Work(half, lambda folder: (folder / "result.h5").read_text(), "*.h5")
    reference = soak.Reference(work)
    counts = Counter[str]()
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "result.h5").write_text("wh")
    (folder / "result.part").touch()
    reference.finish(folder, counts)
    assert {what for what, count in counts.items() if count} == {"changed numbers", "stray files"}
