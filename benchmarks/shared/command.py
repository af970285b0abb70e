"""The command line of all benchmarks: their common flags, and `run`, which turns a function into a command."""

import io
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pac_surrogate import console

FINISHED = "finished data, stacks and curves are kept, the same command continues from there"
FORMATS = ("png", "pdf", "svg")
NAMES, NUMBERS = "NAME ...", "NUMBER ..."  # placeholders in the help for the values of a list flag

Quick = Annotated[bool, typer.Option("--quick", help="A short run of every part in seconds; its numbers mean nothing.")]
Full = Annotated[bool, typer.Option("--full", help="More seeds and longer training.")]
Pairs = Annotated[list[str] | None, typer.Option(metavar=NAMES, help="Names; `python -m simulators list` prints them.")]
Sizes = Annotated[list[int] | None, typer.Option(metavar=NUMBERS, min=0, help="Numbers of target samples.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Number of seeds, at most 20.")]
Device = Annotated[str, typer.Option(help="auto means CUDA if it is available.")]
Data = Annotated[Path, typer.Option(help="Folder of the data files.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the results, by default results/<name of the benchmark>.")]
OutFile = Annotated[Path | None, typer.Option(help="JSON file to write.")]
Figures = Annotated[str, typer.Option(help=f"Format of the figures: {', '.join(FORMATS)}.")]
Workers = Annotated[int, typer.Option(min=1, help="Pairs computed at the same time, each with one thread if several.")]
Report = Annotated[
    bool, typer.Option("--report", help="Compute nothing; print the tables and draw the figures of finished results.")
]
Threads = Annotated[list[int] | None, typer.Option(metavar=NUMBERS, min=1, help="Numbers of threads, by default 1 and 2.")]
Rounds = Annotated[int, typer.Option(min=1, help="Number of times that each measurement is repeated.")]
Seed = Annotated[int, typer.Option(help="Seed of the random inputs.")]


class Command(TyperCommand):
    """A command whose list flags take all values that follow: `--pairs a b` is read as `--pairs a --pairs b`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat a list flag before each of its values.

        Raises:
            ValueError: if no value follows a flag that needs one.
        """
        options = {name: option for option in self.params for name in option.opts if not getattr(option, "is_flag", False)}
        given, left = [], list(args)
        while left:
            word = left.pop(0)
            given.append(word)
            if word in options:
                values = list(takewhile(_is_value, left if options[word].multiple else left[:1]))
                if not values:
                    raise ValueError(f"{word} needs a value{f', got the flag {left[0]}' if left else ''}: give one after it")
                given += [part for value in values for part in (word, value)][1:]
                del left[: len(values)]
        return super().parse_args(ctx, given)


def _is_value(word: str) -> bool:
    """Return whether a word is a value, not a flag; a negative number is a value, which the type of the option may reject."""
    return not word.startswith("-") or word[1:2].isdigit()


def run(main: Callable[..., object], description: str | None, kept: str = console.NOTHING) -> None:
    """Run a benchmark from the command line; report a user's mistake in one line, with exit status 2.

    Args:
        main: function whose parameters are the flags; an integer that it returns is the exit status.
        description: the docstring of the script, which `--help` prints unchanged.
        kept: which results are kept if the user stops the run, and how to continue.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["--help", "-h"]})
    # The mark \b keeps typer from wrapping the lines of a paragraph anew.
    app.command(cls=Command, help="\b\n" + (description or "").strip().replace("\n\n", "\n\n\b\n"))(main)

    def keeping() -> object:
        with console.keeping(kept):
            return app(standalone_mode=False)

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # so that a log file shows the progress at once
    console.run(keeping)


def check_known(kind: str, names: Iterable[str], known: Sequence[str]) -> None:
    """Check that every name given by the user is known.

    Raises:
        ValueError: at the first unknown name.
    """
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {kind} {name!r}: choose from {', '.join(known)}")
