"""The command line of the simulators: `python -m simulators list | describe NAME | generate NAME`."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pac_surrogate import console
from simulators.generate import generate
from simulators.pairs import PAIRS, find_pair
from simulators.quantities import Quantity

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, describe and generate the pairs of simulators.")
Name = Annotated[str, typer.Argument(help="Name of a pair, as `list` prints it.")]


@contextmanager
def _one_line() -> Iterator[None]:
    """Report an error in one line and exit with status 2; report each warning in one line."""
    warnings.showwarning = console.show_warning  # the file and line of our code do not help a user of the command line
    try:
        yield
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        console.print_line(f"error: {error or 'the memory does not suffice'}")
        raise typer.Exit(2) from None


@app.command("list")
def list_pairs() -> None:
    """List the pairs: name, shift, difficulty, headline metric, title.

    Example: python -m simulators list
    """
    width = max(map(len, PAIRS))
    for pair in PAIRS.values():
        typer.echo(f"{pair.name:{width}}  {pair.shift:9}  {pair.difficulty:8}  {pair.headline}  {pair.title}")


@app.command("describe")
def describe_pair(name: Name) -> None:
    """Describe both sides of a pair: equation, parameters, inputs, outputs, samples.

    Example: python -m simulators describe heat_equation
    """
    with _one_line():
        pair = find_pair(name)
    typer.echo(f"{pair.name}: {pair.title}\nshift {pair.shift}, difficulty {pair.difficulty}, headline {pair.headline}")
    for role, side in (("source", pair.source), ("target", pair.target)):
        train, valid, test = side.counts()
        typer.echo(f"\n{role}: {side.ensemble.simulator}, {train} train, {valid} valid, {test} test samples")
        typer.echo(f"  {side.ensemble.equation}")
        typer.echo("  " + ", ".join(f"{key} {value}" for key, value in side.parameters.items()))
    for role, quantities in (("input", pair.target.ensemble.inputs), ("output", pair.target.ensemble.outputs)):
        typer.echo("")
        for quantity in quantities:
            typer.echo(f"{role}: {_line(quantity)}")


@app.command("generate")
def generate_pair(
    name: Name,
    out: Annotated[Path, typer.Option(help="Folder in which each pair has its own folder.")] = Path("data"),
    samples: Annotated[int | None, typer.Option(help="Source samples in all splits; also the target's maximum.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random inputs, splits and subsets.")] = 0,
    device: Annotated[str, typer.Option(help="Where the solver runs: cpu or cuda.")] = "cpu",
    chunk: Annotated[int | None, typer.Option(help="Samples solved at once; the results do not depend on it.")] = None,
) -> None:
    """Write the source.h5 and target.h5 of a pair; after an interruption, the same command continues where it stopped.

    Example: python -m simulators generate heat_equation --samples 200
    """
    kept = f"finished files and samples are kept in {out / name}, the same command continues from there"
    with console.keeping(kept), _one_line():
        generate(find_pair(name), out, samples=samples, seed=seed, device=device, chunk=chunk, say=typer.echo)


def _line(quantity: Quantity) -> str:
    axes = ", ".join(("sample", *(f"{a} {n}" for a, n in zip(quantity.axes, quantity.shape, strict=True))))
    return f"{quantity.name} ({axes}) [{quantity.units}], {quantity.long_name}"


if __name__ == "__main__":
    console.run(lambda: app(standalone_mode=False))
