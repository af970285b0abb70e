"""The source of an estimator: given as a surrogate or as data, of which a network is pretrained, or none at all."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pac_surrogate.data.conversion import as_dataset
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.names import find_variable, name_and_unit
from pac_surrogate.data.opening import TABLES, open_dataset
from pac_surrogate.files.tensors import KINDS
from pac_surrogate.formats import kind_of
from pac_surrogate.methods.around.gaussian_process import GP, SAMPLES
from pac_surrogate.methods.method import Method, needs_source, needs_target
from pac_surrogate.methods.tuned.scratch import Scratch
from pac_surrogate.models import CNN, MLP, as_architecture
from pac_surrogate.pretraining import pretrain
from pac_surrogate.selection.auto import Auto
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import got

Source: TypeAlias = Surrogate | Dataset | Path | str | Sequence[Any]
REMEMBERED = 8  # pretrained surrogates that a process keeps; a search over models or steps rarely compares more

_KNOWN: dict[Hashable, Surrogate] = {}


def resolve(
    given: Any, samples: Any, model: Any, *, inputs: Sequence[str], outputs: Sequence[str], **settings: Any
) -> tuple[Surrogate, Dataset | None]:
    """Return a source surrogate, pretrained where data are given, and the source samples, if there are any.

    Args:
        given: the source.
        samples: the samples of a source that is a surrogate, or None.
        model: architecture of the network that is pretrained.
        inputs: labels of the columns of the target's inputs, which are read from a source that is a table; none if unknown.
        outputs: likewise, of its outputs.
        settings: further arguments of `pretrain`.

    Raises:
        ValueError: if the source is of no kind that is accepted, or samples are given twice.
    """
    if isinstance(given, str | Path) and KINDS["pac_surrogate"].holds(Path(given)):
        given = Surrogate.load(given, model=model)
    if isinstance(given, Surrogate):
        return given, None if samples is None else as_dataset("source_data", _named(samples), like=given)
    if not isinstance(given, Dataset | str | Path | list | tuple):
        raise ValueError(
            "source must be a Surrogate, a Dataset, the path of a saved surrogate or of a data file, or two arrays (x, y), "
            f"got {got(given)}"
        )
    if samples is not None:
        raise ValueError("source_data are the samples of a source that is a surrogate, and this source is data: leave them out")
    if isinstance(given, str | Path) and kind_of(given) in TABLES:
        given = _columns_of_file(given, inputs, outputs)
    data = as_dataset("source", _named(given))
    return pretrained(data, model, **settings), data


def pretrained(data: Dataset, model: Any, **settings: Any) -> Surrogate:
    """Pretrain a surrogate, or return the one that this process pretrained on equal data with equal settings.

    A digest cannot cover the code of a user's own module, so a network of that kind is always pretrained again.

    Args:
        data: source data.
        model: architecture.
        settings: further arguments of `pretrain`.
    """
    architecture = as_architecture(model)
    if not isinstance(architecture, MLP | CNN):
        return pretrain(data, model=architecture, **settings)
    valid = data.valid.digest() if data.seen is not data and data.has_split("valid") else None
    points = tuple((name, axis.values.tobytes(), axis.units) for name, axis in data.coordinates.items())
    content = (data.training.digest(), valid, data.inputs, data.outputs, points)
    # Equal variables may differ in the precision of their numbers, which is that of the predictions for tensors.
    kinds = tuple(variable.dtype for variable in (*data.inputs, *data.outputs))
    key = (content, kinds, architecture, repr(sorted(settings.items())))
    found = _KNOWN.get(key)
    if found is None:
        found = _KNOWN[key] = pretrain(data, model=architecture, **settings)
        for oldest in list(_KNOWN)[:-REMEMBERED]:
            _KNOWN.pop(oldest, None)
    return found


def alone(method: Method, samples: int) -> Method:
    """Return the method that is used where there is no source: "auto" means a Gaussian process, or scratch for many samples.

    Raises:
        ValueError: if the method adapts a source.
    """
    if method == Auto():
        return GP(on="target") if samples <= SAMPLES else Scratch()
    for candidate in getattr(method, "candidates", (method,)):
        if not needs_target(candidate):
            raise ValueError(
                f"{candidate!r} adapts a source, and source=None: pass a source, or a method of the target alone, which are "
                '"auto", pac.GP(on="target") and pac.Scratch()'
            )
    return method


def check_samples(method: Method, source: Dataset | None) -> None:
    """Check that there are source samples if a method trains on them.

    Raises:
        ValueError: if they are missing.
    """
    for candidate in getattr(method, "candidates", (method,)):
        if source is None and needs_source(candidate):
            raise ValueError(
                f"{type(candidate).__name__} trains on source samples, and the source is a surrogate: pass source_data=<source "
                "samples>, or the samples themselves as source"
            )


def labels_of(given: Any) -> list[str]:
    """Return the labels of the columns of a table, or that of one column; none if it has none that are texts."""
    labels = list(getattr(given, "columns", [getattr(given, "name", None)]))
    return labels if all(isinstance(label, str) for label in labels) else []


def named_data(x: Any, y: Any, inputs: Sequence[str], outputs: Sequence[str] = ()) -> Dataset:
    """Return the samples of arrays x (sample, input) and y as a dataset, with names and units from labels if there are any."""
    variables = [[name_and_unit(label, side) for label in side] for side in (inputs, outputs)]
    named: Any = {name: x[:, i] for i, (name, _) in enumerate(variables[0])} if inputs else x
    columns = y if y.ndim > 1 else y[:, None]
    values: Any = (
        {name: columns[:, i : i + 1] if y.ndim > 1 else y for i, (name, _) in enumerate(variables[1])} if outputs else y
    )
    return Dataset.from_arrays(named, values, units=dict(variables[0] + variables[1]))


def known_outputs(surrogate: Surrogate, labels: Sequence[str]) -> Sequence[str]:
    """Return the labels of outputs if a surrogate has outputs of all these names, so that they can be matched; else none."""
    known = {variable.name for variable in surrogate.outputs}
    return labels if {name_and_unit(label, labels)[0] for label in labels} <= known else ()


def _columns_of_file(path: Path | str, inputs: Sequence[str], outputs: Sequence[str]) -> Dataset:
    """Open a table with the columns of the target.

    Raises:
        ValueError: if the target has no labels, or a column is missing or has another unit.
    """
    if not inputs or not outputs:
        raise ValueError(
            f"{path}: a table does not say which of its columns are inputs and outputs: pass X to fit as a DataFrame and y as "
            "a Series or a DataFrame with the names of these columns, or open_dataset(path, inputs, outputs) as source"
        )
    chosen = [[name_and_unit(label, side)[0] for label in side] for side in (inputs, outputs)]
    data = open_dataset(path, *chosen)
    for label in outputs:
        find_variable(label, data.outputs)  # refuses another unit; those of the inputs are compared with the surrogate's
    return data


def _named(given: Any) -> Any:
    """Return a pair (x, y) of which x is a table as a dataset with the names of its columns; anything else unchanged."""
    if not isinstance(given, list | tuple) or len(given) != 2:
        return given
    x, y = given
    y = y if isinstance(y, dict) or not hasattr(y, "to_numpy") else y.to_numpy()
    return named_data(x.to_numpy(), y, [str(label) for label in x.columns]) if hasattr(x, "columns") else (x, y)
