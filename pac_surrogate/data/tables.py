"""Variables in the columns of a pandas DataFrame: units in the labels, texts as categories, vectors over several columns.

    load [N]                a variable load with the unit N
    material                texts: an input material=steel, material=copper, ... for each category (see `categories`)
    stress[0], stress[1]    the numbers of a variable stress of several numbers; further axes as in stress[0, 1]

Entries that are missing become NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pac_surrogate.data.arrays import as_numbers
from pac_surrogate.data.categories import AS_NUMBERS, categories_of, check_categories, known_categories, texts_of
from pac_surrogate.data.description import bounded, describe_variables
from pac_surrogate.data.labelled import decoded
from pac_surrogate.data.names import (
    check_different,
    check_unit,
    choose,
    every,
    find_label,
    label_of,
    name_and_unit,
    named_exactly,
    split_unit,
)
from pac_surrogate.files import Coordinate, Description, Variable
from pac_surrogate.files.variables import Bounds, Scaling
from pac_surrogate.utilities.arguments import as_options, got

if TYPE_CHECKING:
    import pandas as pd

MOST_COLUMNS = 2**14


def is_table(given: Any) -> bool:
    """Return whether this is a DataFrame of pandas."""
    return type(given).__name__ == "DataFrame" and type(given).__module__.partition(".")[0] == "pandas"


def as_table(given: Any) -> "pd.DataFrame":
    """Return a table whose labels are texts, all different.

    Raises:
        ValueError: if it is no table of pandas, or labels are repeated.
    """
    if not is_table(given):
        remedy = ": convert it with its to_pandas()" if hasattr(given, "to_pandas") else ""
        raise ValueError(f"a DataFrame of pandas is required, got {got(given)}{remedy}")
    if given.columns.nlevels > 1:
        raise ValueError(f"a table with one row of labels is required, this has {given.columns.nlevels}: join them")
    labels = [str(label).strip() for label in given.columns]
    check_different("the columns of a table", labels)
    return given.set_axis(labels, axis=1)


def describe_table(
    table: Any,
    inputs: Any,
    outputs: Any,
    like: Any,
    *,
    units: Mapping[str, str] | None,
    scaling: Mapping[str, Scaling] | None,
    bounds: Mapping[str, Bounds] | Bounds | None,
    **options: Any,
) -> tuple[dict[str, np.ndarray], Description]:
    """Return the numbers of a table by the names of their variables, and their description; see `Dataset.from_pandas`."""
    table = as_table(table)
    if not len(table):
        raise ValueError("a table with at least one row is required, this has none")
    sides = table_sides(table, inputs, outputs, like)
    for side in sides:
        check_categories(table, side)
    names = [variable.name for side in sides for variable in side]
    scales = as_options("scaling", scaling, names, "log")
    arrays = {v.name: as_numbers(v.name, read_variable(table, v)) for side in sides for v in side}
    for name in units or {}:
        own = [v for side in sides for v in side if name in (v.name, label_of(v))]
        if not own:
            raise ValueError(f"units must name chosen columns, got {name!r}")
        check_unit(own[0].name, own[0].units, (units or {})[name])
    given = units or {}
    sides = [
        [
            replace(
                v,
                units=given.get(v.name, given.get(label_of(v), v.units)),
                scaling=scales.get(v.name, v.scaling),
                dtype=arrays[v.name].dtype.name,
            )
            for v in side
        ]
        for side in sides
    ]
    sides[1] = bounded(sides[1], bounds)
    axes = {axis for side in sides for variable in side for axis in variable.axes}
    known = [] if like is None else [one for name, one in like.coordinates.items() if name in axes]
    return describe_variables(arrays, sides[0], sides[1], known, labels=labels_of(table), **options)


def table_sides(table: "pd.DataFrame", inputs: Any, outputs: Any, like: Any) -> list[list[Variable]]:
    """Return the input and output variables of a table, as these names and patterns choose them.

    Args:
        table: the table, from `as_table`.
        inputs: names or patterns of the input columns; those of `like` if None.
        outputs: likewise, of the output columns.
        like: whatever has `inputs` and `outputs`, such as another dataset, or None.

    Raises:
        ValueError: if sides are missing, columns do not exist, or a column of texts is no category.
    """
    labels = list(table.columns)
    named = [variable.name for variable in like.outputs] if outputs is None and like is not None else outputs
    taken = named_exactly(named, labels, units=True)
    sides: list[list[Variable]] = []
    for side, wanted in (("inputs", inputs), ("outputs", outputs)):
        if wanted is None:
            if like is None:
                raise ValueError(f"{side}= must name columns of the table, which has {every(labels)}")
            sides.append(list(getattr(like, side)))
            continue
        chosen = choose(side, wanted, labels, "the table", taken=taken, units=True)
        taken = chosen
        known = () if like is None else getattr(like, side)
        sides.append([v for label in chosen for v in _variables_of(table, label, side, labels, known)])
    return sides


def read_variable(table: "pd.DataFrame", variable: Variable) -> np.ndarray:
    """Return the numbers of a variable in a table, (sample, *axes); NaN where an entry is missing.

    Raises:
        ValueError: if the table lacks the variable or has it in another unit, or an entry is neither a number nor one of the
            variable's categories.
    """
    labels = list(table.columns)
    label = find_label(variable, labels)
    if label is not None:
        found = column_numbers(label, table[label])
        if found is None:
            raise ValueError(f"{label} must hold numbers, it holds texts such as {_first(table[label])}: {AS_NUMBERS}")
        if variable.size > 1:
            raise ValueError(f"{variable.name} has {variable.size} numbers a sample, the table one: use from_xarray or arrays")
        return found.reshape(len(table), *variable.shape)
    parts = parts_of(variable)
    if variable.size > 1 and set(parts) <= {split_unit(label)[0] for label in labels}:
        ones = [Variable(part, units=variable.units) for part in parts]
        return np.stack([read_variable(table, one) for one in ones], axis=1).reshape(len(table), *variable.shape)
    for label in labels:
        if category := known_categories(label, labels, [variable]):
            texts = texts_of(table[label])
            return np.where(texts == "", np.nan, texts == category[0])
    raise ValueError(f"a column {label_of(variable)} is required, the table has {every(labels) or 'none'}")


def columns_of(table: "pd.DataFrame", variables: Sequence[Variable]) -> list[str]:
    """Return the labels of the columns that hold these variables, in whatever unit, in the order of the table."""
    names = {part for variable in variables for part in (variable.name, *parts_of(variable))}
    return [label for label in table.columns if label in names or split_unit(label)[0] in names]


def table_of(arrays: Mapping[str, np.ndarray], variables: Sequence[Variable], index: Any = None) -> Any:
    """Return variables as a table, one column for each number of a sample, with units in the labels.

    Args:
        arrays: the numbers by the name of the variable.
        variables: the variables in the order of the columns.
        index: index of the table; numbers if None.

    Raises:
        ValueError: if a table would have too many columns, or two of one name.
    """
    import pandas as pd

    columns: list[tuple[str, np.ndarray]] = []
    for variable in variables:
        flat = np.asarray(arrays[variable.name]).reshape(-1, variable.size)
        columns += [(label_of(replace(variable, name=part)), flat[:, i]) for i, part in enumerate(parts_of(variable))]
    if len(columns) > MOST_COLUMNS:
        raise ValueError(f"a table can have at most {MOST_COLUMNS} columns, got {len(columns)}: use xarray, which keeps fields")
    check_different("the columns of a table", [label for label, _ in columns])
    return pd.DataFrame(dict(columns), index=index)


def parts_of(variable: Variable) -> list[str]:
    """Return the names of a variable's columns: its own if it is one number, or `name[0]`, `name[1]`, ... in C order."""
    if variable.size == 1:
        return [variable.name]
    return [f"{variable.name}[{', '.join(map(str, place))}]" for place in np.ndindex(*variable.shape)]


def labels_of(table: "pd.DataFrame") -> Coordinate | None:
    """Return the labels of a table's rows, or None if they are only numbered or have several levels."""
    import pandas as pd

    index = table.index
    if isinstance(index, pd.RangeIndex) or index.nlevels > 1:
        return None
    kind = index.dtype.kind if isinstance(index.dtype, np.dtype) else "O"
    values = index.to_numpy() if kind in "fiumM" else np.array([str(label) for label in index], dtype=np.str_)
    return Coordinate(str(index.name or "sample"), values)


def index_of(labels: Coordinate | None) -> Any:
    """Return labels as the index of a table, with dates as dates, or None if there are none."""
    import pandas as pd

    if labels is None:
        return None
    values = decoded(labels.name, labels).values if " since " in labels.units else labels.values
    return pd.Index(values, name=None if labels.name == "sample" else labels.name)


def _variables_of(
    table: "pd.DataFrame", label: str, side: str, labels: Sequence[str], known: Sequence[Variable]
) -> list[Variable]:
    """Return the variable of a column, or one for each category of a column of texts."""
    name, unit = name_and_unit(label, labels)
    if known_categories(label, labels, known):
        return [v for v in known if v.name.startswith(f"{split_unit(label)[0]}=")]
    if column_numbers(label, table[label]) is not None:
        return [Variable(name, units=unit, dtype="float64")]
    if side == "outputs":
        raise ValueError(
            f"outputs must be numbers, {label} holds texts such as {_first(table[label])}: {AS_NUMBERS}, or leave it out"
        )
    return [Variable(f"{name}={category}", dtype="float64") for category in categories_of(label, table[label])]


def column_numbers(label: str, column: "pd.Series[Any]") -> np.ndarray | None:
    """Return the numbers of a column, NaN where missing, or None if it holds categories.

    Raises:
        ValueError: if it holds numbers and texts, or times.
    """
    import pandas as pd
    from pandas.api import types

    if types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column):
        raise ValueError(
            f"{label} must hold numbers, it holds times: subtract a reference and divide by a unit, as in "
            "(t - t.min()) / pandas.Timedelta('1s')"
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        return None
    if types.is_bool_dtype(column) or types.is_numeric_dtype(column):
        if not column.isna().any():
            return column.to_numpy(dtype=np.float64) if types.is_bool_dtype(column) else np.asarray(column.to_numpy())
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    present = column[column.notna()]
    numbers = pd.to_numeric(present, errors="coerce")
    texts = numbers.isna().to_numpy(dtype=bool)
    if len(present) and texts.all():
        return None
    if texts.any():
        row = np.flatnonzero(column.notna().to_numpy(dtype=bool))[int(texts.argmax())]
        raise ValueError(f"{label} must hold numbers, it holds {got(column.iloc[row])} in row {row}: correct it")
    return pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)


def _first(column: "pd.Series[Any]") -> str:
    return repr(str(column.dropna().iloc[0]))
