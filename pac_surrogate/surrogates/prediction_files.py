"""Predictions for the inputs in a file, written to a table or to a netCDF file."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from pac_surrogate.data.categories import check_categories
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.labelled import arrays_in, coordinate_in, labelled, sample_of, with_samples, without_dates
from pac_surrogate.data.names import check_different
from pac_surrogate.data.opening import from_file, open_inputs
from pac_surrogate.data.tables import as_table, columns_of, index_of, is_table, labels_of, read_variable, table_of
from pac_surrogate.files import write_xarray
from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.netcdf import KINDS
from pac_surrogate.files.replacing import by_suffix, check_output
from pac_surrogate.files.splits import SPLITS
from pac_surrogate.formats import kind_of, write_csv, write_parquet
from pac_surrogate.surrogates.surrogate import Surrogate

EXTRAPOLATES = "extrapolates"  # a column that tells a table of predictions from a table of samples
CHOICES = (*SPLITS, "all")
WRITERS = {".csv": write_csv, ".parquet": write_parquet, ".nc": write_xarray}


def predict_file(
    surrogate: Path, data: Path, out: Path, *, level: float | None, interval: str = "jackknife", split: str | None = None
) -> int:
    """Predict the outputs for the inputs in a file, write them to another, and return the number of samples.

    A table (.csv, .parquet) holds all columns of the table of the inputs, except those with the names of outputs, and for each
    output y the columns y, y_lower and y_upper; a netCDF file (.nc) holds variables of these names with coordinates and units.
    A CSV file is replaced only if it has the same columns.

    Args:
        surrogate: file of the surrogate.
        data: file of the inputs, of any kind that `open_dataset` opens; outputs in it are not used.
        out: file to write.
        level: level of the intervals, or None for predictions alone.
        interval: "jackknife" or "posterior".
        split: train, valid, test or all, for our own files; by default test, or all if there is no test split.

    Raises:
        ValueError: if a file cannot be read, the inputs do not fit, a column of theirs has the name of a prediction or of its
            bound, or the result cannot be written.
    """
    suffix = out.suffix.lower()
    if suffix not in WRITERS:
        raise ValueError(f"predictions are written to {', '.join(WRITERS)}, got {out.name!r}: choose one of these suffixes")
    check_output(out, KINDS["prediction"] if suffix == ".nc" else by_suffix(suffix), (surrogate, data))
    check_saved(surrogate)
    loaded = Surrogate.load(surrogate)
    with from_file(data):
        x = _inputs(loaded, data, split, table=suffix != ".nc")
        columns = loaded.input_columns(x)
        loaded.standardised(columns)  # so that the message about a fault of the inputs names their file
        outside = loaded.scaling.inputs.outside(columns).numpy()
    if level is None:
        found = loaded.predict(x)
    else:
        ends = loaded.predict_interval(x, level, interval=interval)
        found = ends.to_pandas() if is_table(x) else ends.to_xarray()
    if is_table(x):
        table = as_table(x)
        kept = table.drop(columns=columns_of(table, loaded.layout[1]))
        if EXTRAPOLATES not in found:
            found = found.assign(**{EXTRAPOLATES: outside})
        check_different("the columns of inputs and predictions", [*kept.columns, *found.columns])
        found = kept.assign(**dict(found.items()))
    else:
        x = with_samples(x, [variable.name for variable in loaded.layout[0]])
        found = without_dates(found).assign_attrs(title=f"prediction of {surrogate.name} for {data.name}")
    WRITERS[suffix](out, found)
    return len(x) if is_table(x) else int(x.sizes[sample_of(x, loaded.layout[0])])


def check_saved(path: Path) -> None:
    """Refuse a file of data in the place of a saved surrogate.

    Raises:
        ValueError: if it is one; the message names its kind.
    """
    with suppress(DatasetError):
        kind = kind_of(path)
        raise ValueError(f"{path}: a saved surrogate is required here, before the data, this is a file of data ({kind})")


def _inputs(surrogate: Surrogate, path: Path, split: str | None, *, table: bool) -> Any:
    """Return the inputs in a file as a DataFrame, or as an xarray Dataset."""
    if split is not None and split not in CHOICES:
        raise ValueError(f"unknown split {split!r}: choose from {', '.join(CHOICES)}")
    x, inputs = open_inputs(path), surrogate.layout[0]
    if isinstance(x, Dataset):
        split = split or ("test" if x.has_split("test") else "all")
        rows = surrogate.arranged(x[:] if split == "all" else getattr(x, split), outputs=False)
        return rows.to_pandas() if table else rows.to_xarray()
    if split is not None:
        raise ValueError("only our own files have splits: leave split out")
    if is_table(x) is table:
        return x
    if is_table(x):
        x = as_table(x)
        check_categories(x, inputs)
        arrays = {variable.name: read_variable(x, variable) for variable in inputs}
        return labelled(arrays, inputs, (), surrogate.coordinates, labels=labels_of(x))
    x = with_samples(x, [variable.name for variable in inputs])
    arrays = arrays_in(x, inputs, surrogate.coordinates)
    return table_of(arrays, inputs, index_of(coordinate_in(x, sample_of(x, inputs))))
