"""The command line: describe, validate, convert, pretrain, transfer, predict, curve, export, doctor."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pac_surrogate import console
from pac_surrogate.methods.method_names import COMMON, METHODS, resolve_name
from pac_surrogate.utilities.data_options import (
    Axes,
    Bounds,
    Inputs,
    Log,
    Missing,
    Outputs,
    Sample,
    Test,
    Units,
    Valid,
    meaning,
)

if TYPE_CHECKING:
    from pac_surrogate.models import Architecture

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Surrogate models that transfer.", rich_markup_mode=None)

ANY = "CSV, Parquet, netCDF, HDF5, Zarr, MATLAB, NPZ, The Well or PDEBench"
DataFile = Annotated[Path, typer.Argument(help=f"Data file: our own, {ANY}.", show_default=False)]
SurrogateFile = Annotated[Path, typer.Argument(help="Saved surrogate.", show_default=False)]
OutFile = Annotated[Path, typer.Option(help="File to write.", show_default=False)]
Device = Annotated[str, typer.Option(help="auto means CUDA if it is available.")]
Seed = Annotated[int, typer.Option(help="Seed of initial weights, minibatches and folds.")]


def _print_version(asked: bool) -> None:
    if asked:
        import pac_surrogate

        typer.echo(f"pac-surrogate {pac_surrogate.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before the name of a command."""


def _example(*lines: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose help ends with an example."""
    return app.command(epilog="Example: " + " ".join(lines))


@_example("pac-surrogate describe data/heat_equation/source.h5")
def describe(file: Annotated[Path, typer.Argument(help=f"Data file ({ANY}), or saved surrogate.", show_default=False)]) -> None:
    """Show the axes, units, ranges and splits of a data file, or what a saved surrogate is and how large its own error is."""
    from pac_surrogate.data.file_description import describe_file
    from pac_surrogate.files.tensors import KINDS

    if not (file.is_file() and KINDS["pac_surrogate"].holds(file)):  # a pipe would be read for ever
        typer.echo(describe_file(file))
        return
    import pac_surrogate as pac

    typer.echo(repr(pac.Surrogate.load(file)))


@_example("pac-surrogate validate data/heat_equation/source.h5")
def validate(file: DataFile) -> None:
    """Check a data file and report its first error."""
    from pac_surrogate.data.file_description import validate_file

    validate_file(file)
    typer.echo(f"{file}: valid")


@_example("pac-surrogate convert beams.csv beams.h5 --inputs length --inputs 'load*' --outputs tip --test 0.2")
def convert(
    file: DataFile,
    out: Annotated[
        Path, typer.Argument(help="File to write: .h5, .nc, .csv, .parquet, .npz, .mat, or a folder .zarr.", show_default=False)
    ],
    inputs: Inputs = None,
    outputs: Outputs = None,
    sample: Sample = None,
    log: Log = None,
    units: Units = None,
    axes: Axes = None,
    bounds: Bounds = None,
    missing: Missing = None,
    valid: Valid = 0.0,
    test: Test = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the splits.")] = 0,
    to: Annotated[str | None, typer.Option(help="the_well or pdebench, which the name of OUT does not tell.")] = None,
) -> None:
    """Convert a data file to the layout of another program, or to our own (.h5), which holds splits, units and coordinates."""
    from pac_surrogate.data.opening import open_dataset

    if out.exists() and file.exists() and out.samefile(file):
        raise ValueError(f"{out}: the result would replace the file that it is made from: choose another name")
    told = meaning(sample=sample, log=log, units=units, axes=axes, bounds=bounds, missing=missing)
    data = open_dataset(file, inputs, outputs, valid=valid, test=test, seed=seed, **told)
    data.save(out, to)
    typer.echo(f"{out}: {len(data)} samples")


@_example("pac-surrogate pretrain data/heat_equation/source.h5 --hidden 64 --hidden 64 --out source.safetensors")
def pretrain(
    source: DataFile,
    out: OutFile,
    inputs: Inputs = None,
    outputs: Outputs = None,
    sample: Sample = None,
    log: Log = None,
    units: Units = None,
    axes: Axes = None,
    bounds: Bounds = None,
    missing: Missing = None,
    test: Test = 0.0,
    hidden: Annotated[list[int], typer.Option(help="Width of a hidden layer; repeat per layer.")] = [128, 128],  # noqa: B006
    cnn: Annotated[bool, typer.Option("--cnn", help="Train a CNN instead, for fields on a grid.")] = False,
    channels: Annotated[int, typer.Option(help="Channels of the CNN.")] = 24,
    levels: Annotated[int, typer.Option(help="Levels of the CNN, each of which halves the grid.")] = 0,
    padding: Annotated[str, typer.Option(help="Padding of the CNN: periodic, zero or replicate.")] = "replicate",
    activation: Annotated[str, typer.Option(help="Activation: gelu, relu, silu or tanh.")] = "gelu",
    seed: Seed = 0,
    steps: Annotated[int, typer.Option(help="Steps of Adam.")] = 3000,
    learning_rate: float = 3e-3,
    batch_size: int = 128,
    device: Device = "auto",
) -> None:
    """Train a source surrogate on the train split; the valid split chooses the best weights, and the error on it is kept."""
    import pac_surrogate as pac

    _check_surrogate(out, source)
    told = meaning(sample=sample, log=log, units=units, axes=axes, bounds=bounds, missing=missing)
    data = pac.open_dataset(source, inputs, outputs, test=test, **told)
    _check_headline(data)
    model: Architecture = (
        pac.CNN(channels=channels, levels=levels, padding=padding, activation=activation)
        if cnn
        else pac.MLP(hidden=tuple(hidden), activation=activation)
    )
    valid = data.valid if data.has_split("valid") else None
    surrogate = pac.pretrain(
        data.train,
        model=model,
        seed=seed,
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        valid=valid,
        device=device,
    )
    surrogate.save(out)
    typer.echo(f"{out}: {_error_line(surrogate, data, surrogate.measured())}")


@_example(
    "pac-surrogate transfer source.safetensors data/heat_equation/target.h5 --size 20",
    "--source data/heat_equation/source.h5 --out adapted.safetensors",
)
def transfer(
    surrogate: SurrogateFile,
    target: DataFile,
    out: OutFile,
    size: Annotated[int | None, typer.Option(help="Number of target samples.", show_default="all of the train split")] = None,
    method: Annotated[str, typer.Option(help=f"auto (chooses and reports why) or one of {', '.join(METHODS)}.")] = "auto",
    source: Annotated[Path | None, typer.Option(help="Source data, which some methods need and auto can use.")] = None,
    sparsity: Annotated[float | None, typer.Option(help="Sparsity of PAC, PackNet or Ticket.", show_default=False)] = None,
    strength: Annotated[float | None, typer.Option(help="Strength of the method's pull.", show_default=False)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Learning rate on the target.", show_default=False)] = None,
    draw: Annotated[int, typer.Option(help="Index of the stored subset.")] = 0,
    missing: Annotated[
        str | None,
        typer.Option(
            help="drop leaves samples out in which numbers are missing, mask learns each output from those that have it.",
            show_default="they are refused",
        ),
    ] = None,
    regrid: Annotated[bool, typer.Option("--regrid", help="Interpolate the target's fields onto the source's grid.")] = False,
    seed: Seed = 0,
    steps: Annotated[int, typer.Option(help="Training steps on the target.")] = 1000,
    source_steps: Annotated[int, typer.Option(help="Training steps on the source, for methods that train on it.")] = 1000,
    device: Device = "auto",
) -> None:
    """Adapt a source surrogate to target samples: all of them, or the first of a stored subset.

    Variables of a file that is not our own are those of the surrogate, by name.
    """
    import pac_surrogate as pac
    from pac_surrogate.pruning import report

    _check_surrogate(out, surrogate, target, *([source] if source else []))
    given = {"sparsity": sparsity, "strength": strength, "learning_rate": learning_rate}
    chosen = _method(method, given)
    loaded = _load(surrogate)
    data = pac.open_dataset(target, like=loaded, **meaning(missing=missing))
    data = data.aligned(loaded)
    data = data.regrid(loaded) if regrid else data
    _check_headline(data)
    samples = data.subset(draw, len(data.train) if size is None else size)
    adapted = pac.transfer(
        loaded,
        samples,
        method=chosen,
        source=pac.open_dataset(source, like=loaded).train if source else None,
        seed=seed,
        steps=steps,
        source_steps=source_steps,
        device=device,
    )
    adapted.save(out)
    typer.echo(f"{out}: {chosen}, n = {len(samples)}, {_error_line(adapted, data)}")
    if adapted.choice is not None:
        typer.echo(str(adapted.choice))
        if source is None:
            typer.echo("auto had no source samples: --source gives it more candidates, among them co-kriging")
    essential = getattr(adapted.predictor, "essential", None)
    if essential is not None:
        typer.echo(report(essential, adapted.network.weights, adapted.readout))


@_example("pac-surrogate predict adapted.safetensors new_inputs.csv --level 0.8 --out predictions.csv")
def predict(
    surrogate: SurrogateFile,
    data: Annotated[Path, typer.Argument(help=f"File with the inputs: our own, {ANY}.", show_default=False)],
    out: Annotated[Path, typer.Option(help="File to write: .csv, .parquet or .nc.", show_default=False)],
    level: Annotated[
        float | None, typer.Option(help="Level of the intervals, such as 0.9.", show_default="no intervals")
    ] = None,
    interval: Annotated[str, typer.Option(help="Kind of the intervals: jackknife or posterior.")] = "jackknife",
    split: Annotated[
        str | None,
        typer.Option(help="Split of our own files: train, valid, test or all.", show_default="test, or all if there is none"),
    ] = None,
) -> None:
    """Predict the outputs for the inputs in a file, with intervals if a level is given; a table keeps its columns."""
    from pac_surrogate.surrogates.prediction_files import predict_file

    samples = predict_file(surrogate, data, out, level=level, interval=interval, split=split)
    typer.echo(f"{out}: {samples} samples")


@_example(
    "pac-surrogate curve data/heat_equation/source.h5 data/heat_equation/target.h5 --method PAC --method FineTune",
    "--size 4 --size 16 --seeds 3 --out results/curve",
)
def curve(
    source: DataFile,
    target: DataFile,
    out: Annotated[Path, typer.Option(help="Folder to write; an interrupted curve continues from it.", show_default=False)],
    inputs: Inputs = None,
    outputs: Outputs = None,
    sample: Sample = None,
    log: Log = None,
    units: Units = None,
    axes: Axes = None,
    bounds: Bounds = None,
    missing: Missing = None,
    test: Test = 0.0,
    method: Annotated[list[str], typer.Option(help="auto or a method; repeatable.")] = ["auto", *COMMON],  # noqa: B006
    size: Annotated[list[int], typer.Option(help="Number of target samples; repeatable.")] = [0, 4, 8, 16, 32],  # noqa: B006
    seeds: Annotated[int, typer.Option(help="Number of seeds, at most 20.")] = 5,
    hidden: Annotated[list[int], typer.Option(help="Width of a hidden layer; repeat per layer.")] = [64, 64],  # noqa: B006
    steps: Annotated[int, typer.Option(help="Training steps on the target.")] = 1000,
    pretrain_steps: Annotated[int, typer.Option(help="Training steps of pretraining.")] = 3000,
    figure: Annotated[Path | None, typer.Option(help="Figure: .png, .pdf or .svg.", show_default="OUT/curve.png")] = None,
    device: Device = "auto",
) -> None:
    """Measure methods with their defaults over the number of target samples; write curve.nc, curve.csv and a figure."""
    with console.keeping(f"finished stacks are kept in {out / 'stacks'}, the same command continues from there"):
        import pac_surrogate as pac
        from pac_surrogate.files.replacing import check_output
        from pac_surrogate.formats.kinds import TABLES, kind_of
        from pac_surrogate.plots.panels import whole_figure
        from pac_surrogate.plots.writing import check_figure, save_figure

        told = meaning(sample=sample, log=log, units=units, axes=axes, bounds=bounds, missing=missing)
        methods = {name: _method(name, {}) for name in method}
        picture = figure or out / "curve.png"
        check_output(picture, check_figure(picture), (source, target))
        data = pac.open_dataset(source, inputs, outputs, test=test, **told)
        like = data if kind_of(target) in TABLES else None  # a table may lack a category of the source
        result = pac.transfer_curve(
            data,
            pac.open_dataset(target, inputs, outputs, like=like, test=test, **told),
            methods=methods,
            sizes=size,
            seeds=seeds,
            model=pac.MLP(hidden=tuple(hidden)),
            steps=steps,
            pretrain_steps=pretrain_steps,
            device=device,
            out=out,
        )
        save_figure(picture, whole_figure(pac.plot_curve(result)))
    summary = pac.summarise(result)
    typer.echo(summary["median"].to_series().unstack("size").to_string(float_format="{:.4f}".format))
    if broken := int(summary["diverged"].sum()):
        typer.echo(f"{broken} runs diverged and are left out of the medians")


@_example("pac-surrogate export adapted.safetensors --format c --out beam")
def export(
    surrogate: SurrogateFile,
    out: Annotated[
        Path, typer.Option(help="File (.onnx for onnx, .pt2 for torch) or folder (numpy, c) to write.", show_default=False)
    ],
    format: Annotated[str, typer.Option(help="onnx, numpy, c or torch.", show_default=False)],
    name: Annotated[str, typer.Option(help="Name of the files in a folder, and of their functions.")] = "surrogate",
    interval: Annotated[
        bool, typer.Option("--interval", help="Add the standard deviation of the posterior as the output std.")
    ] = False,
) -> None:
    """Write a surrogate for programs without pac_surrogate: ONNX, a module that needs NumPy alone, a header of C, torch."""
    exported = _load(surrogate).export(out, format, name=name, interval=interval)
    files = ", ".join(exported.files)
    typer.echo(f"{out}: {exported.format}, {files}, {exported.size:,} bytes, {exported.numbers:,} non-zero constants")


@_example("pac-surrogate doctor")
def doctor() -> None:
    """Print what a report of a fault needs: versions, processor, threads, memory and device."""
    from pac_surrogate.utilities.environment import describe_environment

    for name, value in describe_environment().items():
        typer.echo(f"{name}: {value}")


def _method(name: str, given: dict[str, float | None]) -> Any:
    """Return a method by its name, with the given hyper-parameters."""
    from pac_surrogate.methods.specification import make_method

    values = {option: value for option, value in given.items() if value is not None}
    for option in values if resolve_name(name) == "auto" else ():
        raise ValueError(f"auto chooses the method and takes no {option.replace('_', '-')}: name a method")
    return make_method(name, **values)


def _load(path: Path) -> Any:
    """Return a saved surrogate; data at its place, as when the arguments are exchanged, are named as what they are."""
    import pac_surrogate as pac
    from pac_surrogate.surrogates.prediction_files import check_saved

    check_saved(path)
    return pac.Surrogate.load(path)


def _check_surrogate(out: Path, *inputs: Path) -> None:
    """Check, before any work, that a surrogate can be saved at a path."""
    from pac_surrogate.files.replacing import check_output
    from pac_surrogate.files.tensors import KINDS

    check_output(out, KINDS["pac_surrogate"], inputs)


def _check_headline(data: Any) -> str:
    """Return the metric of a data file, after a check, before any work, that it exists."""
    from pac_surrogate.curves.errors import METRICS

    headline = str(data.attributes.get("headline", "rel_l2"))
    if headline not in METRICS:
        raise ValueError(
            f"the headline must be one of {', '.join(METRICS)}, got {headline!r:.60}: correct this attribute of the data"
        )
    return headline


def _error_line(surrogate: Any, data: Any, known: str | None = None) -> str:
    """Return the headline error on the test split, or why it is undefined: no exception, as the surrogate is already saved.

    Args:
        surrogate: the surrogate.
        data: data with a test split, or without one.
        known: what is known of the error without a test split.
    """
    from pac_surrogate.curves.errors import METRICS
    from pac_surrogate.data.undefined_metrics import UndefinedMetricError
    from pac_surrogate.surrogates.batch_prediction import predict_many

    headline = _check_headline(data)
    if not data.has_split("test"):
        return "no test split to measure on" + (f", validated on {known}" if known else "")
    test = data.test
    if test.has_missing:
        return "not measured: outputs are missing in the test split"
    (prediction,) = predict_many([surrogate], [test])
    try:
        return f"{headline} {METRICS[headline](prediction, test.output_matrix):.4f} on {len(test)} test samples"
    except UndefinedMetricError as error:
        return f"not measured: {error}"


def main(name: str | None = None) -> None:
    """Run the command line; a user's error is reported as one line with exit code 2, a warning as one line.

    Args:
        name: name of the command in its help; by default that of the file that was started.
    """
    console.run(lambda: app(prog_name=name, standalone_mode=False))


if __name__ == "__main__":
    main()
