"""A progress bar for long work, which is hidden if standard error is not a terminal."""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def progress_bar(show: bool | None = None) -> Progress:
    """Return a rich progress bar on standard error; by default it is shown only if that is a terminal."""
    watched = sys.stderr.isatty() if show is None else show
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not watched, transient=True)
