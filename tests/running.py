"""Run scripts and the command line as a user does, but in this process: starting another one takes longer than most runs."""

import contextlib
import io
import os
import runpy
import subprocess
import sys

from pac_surrogate import cli


def exit_status(program, *arguments):
    """Return the exit status with which a process that calls the function would end."""
    try:
        program(*arguments)
    except SystemExit as end:
        return end.code or 0
    return 0


def command_line(monkeypatch, *arguments, main=cli.main):
    """Run a command line and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["pac-surrogate", *map(str, arguments)])
    return exit_status(main)


def run_script(monkeypatch, path, folder, *arguments):
    """Run a script in a folder; it can import the modules beside it."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
    runpy.run_path(str(path), run_name="__main__")


def python_in_this_process(monkeypatch):
    """Run in this process what a script starts with `subprocess.run` as `python -c CODE` or `python -m pac_surrogate ...`."""

    def run(command, *, cwd, **options):
        kind, what, *words = map(str, command[1:])
        before, printed = os.getcwd(), io.StringIO()
        os.chdir(cwd)
        try:
            with contextlib.redirect_stdout(printed):
                status = exit_status(exec, what, {}) if kind == "-c" else command_line(monkeypatch, *words)
        finally:
            os.chdir(before)
        assert status == 0
        return subprocess.CompletedProcess(command, status, printed.getvalue(), "")

    monkeypatch.setattr(subprocess, "run", run)
