"""Scripts and the command line, run as a user does but in this process: to start another takes longer than most runs."""

import runpy
import sys

from pac_surrogate import cli


def exit_status(program, *arguments):
    """What a function ends with, as a process would."""
    try:
        program(*arguments)
    except SystemExit as end:
        return end.code or 0
    return 0


def command_line(monkeypatch, *arguments, main=cli.main):
    """The exit status of a command line."""
    monkeypatch.setattr(sys, "argv", ["pac-surrogate", *map(str, arguments)])
    return exit_status(main)


def run_script(monkeypatch, path, folder, *arguments):
    """Run a script in a folder; it finds the modules that lie beside it."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
    runpy.run_path(str(path), run_name="__main__")
