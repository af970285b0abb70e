"""The blocks of code of a Markdown page, and how a reader runs them: Python in one session, commands in the same folder."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import simulators.__main__
from pac_surrogate import cli

BLOCK = re.compile(r"^```(?P<kind>python|bash|\{code-cell\})[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = re.compile(r"\A(---\n.*?^---\n|(:[a-z-]+:[^\n]*\n)+)", re.MULTILINE | re.DOTALL)  # of a code cell


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the language of each block of code, python or bash, with its text."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [("bash" if block["kind"] == "bash" else "python", OPTIONS.sub("", block["text"])) for block in found]


def run(page: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """Run every block of a page in order, and return the variables of its session."""
    session: dict[str, object] = {"__name__": "__main__"}
    for place, (language, text) in enumerate(blocks(page)):
        where = f"block {place + 1} of {page.name}, which begins with {text.splitlines()[0]!r}"
        for kind, part in _parts(language, text):
            try:
                if kind == "python":
                    exec(compile(part, where, "exec"), session)
                else:
                    command(part)
            except SystemExit:
                pytest.fail(f"{where}: {capsys.readouterr().err}")
            except Exception as error:
                pytest.fail(f"{where}: {error!r}")
    return session


def _parts(language: str, text: str) -> Iterator[tuple[str, str]]:
    """Split a block into Python and commands, as IPython reads a cell: commands begin with !, and %%writefile writes a file."""
    if language == "bash":
        lines = text.replace("\\\n", " ").splitlines()
        yield from (("bash", line) for line in lines if line.strip())
        return
    first, _, rest = text.partition("\n")
    if first.startswith("%%writefile "):
        yield "python", f"__import__('pathlib').Path({first.split()[1]!r}).write_text({rest!r})"
        return
    python: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("!"):
            yield "python", "".join(python)
            yield "bash", line.removeprefix("!")
            python = []
        else:
            python.append(line)
    yield "python", "".join(python)


def command(line: str) -> None:
    """Run a command of this project in this process; commands that install or build something are left to their own tests."""
    first, *words = shlex.split(line, comments=True)
    if first == "pac-surrogate":
        _in_this_process(cli.main, first, words)
    elif [first, *words][:3] == ["python", "-m", "simulators"]:
        _in_this_process(lambda: simulators.__main__.app(standalone_mode=False), "simulators", words[2:])
    elif [first, *words][:2] == ["python", "-m"]:
        subprocess.run([sys.executable, *words], check=True)
    elif first == "cc" or first.startswith("./"):
        subprocess.run([first, *words], check=True)
    elif first not in ("make", "pip", "git", "cd") and [first, *words[:1]] != ["python3", "-m"]:
        raise ValueError(f"{line!r} is not a command that this test knows how to run")


def _in_this_process(main: Callable[[], object], name: str, words: list[str]) -> None:
    before, sys.argv = sys.argv, [name, *words]
    try:
        status = main()
    finally:
        sys.argv = before
    if status:
        raise SystemExit(status)
