"""The help of the command lines, as the page of the API reference shows it."""

import os
from unittest import mock

import typer
from typer.testing import CliRunner

WIDTH = "76"  # characters that fit into the column of a page


def names(app: typer.Typer) -> list[str]:
    """Return the names of the commands of a command line."""
    return [str(command.name or getattr(command.callback, "__name__", "")) for command in app.registered_commands]


def help_of(app: typer.Typer, program: str, command: str = "") -> str:
    """Return what a program prints for --help as a block of Markdown, without colours and boxes."""
    with mock.patch.object(app, "rich_markup_mode", None), mock.patch.dict(os.environ, {"COLUMNS": WIDTH, "NO_COLOR": "1"}):
        printed = CliRunner().invoke(app, [*filter(None, [command]), "--help"], prog_name=program)
    assert printed.exit_code == 0, printed.output
    return f"```text\n{printed.output.strip()}\n```"
