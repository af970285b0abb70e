"""The forms of a transfer curve: an xarray Dataset in memory, curve.nc and tidy CSV files in a folder."""

import csv
import itertools
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pac_surrogate.curves.errors import FIELD_METRICS, METRICS
from pac_surrogate.files import DatasetError
from pac_surrogate.files.netcdf import read_xarray, write_xarray
from pac_surrogate.files.replacing import replacing
from pac_surrogate.utilities.arguments import as_path, got
from pac_surrogate.utilities.display import one_line

if TYPE_CHECKING:
    import xarray as xr

DIMENSIONS = ("approach", "size", "seed")
SOURCE_ERRORS = ("source_error", "allocated_error", "dense_error")  # the headline metric on the source's test split


def empty_curve(approaches: list[str], sizes: list[int], seeds: list[int]) -> "xr.Dataset":
    """Return a curve without any results yet."""
    import xarray as xr

    shape = (len(approaches), len(sizes), len(seeds))
    units = dict.fromkeys((*METRICS, *FIELD_METRICS, *SOURCE_ERRORS), "1") | {"seconds": "s"}
    units |= dict.fromkeys(("rmse", "mae", "max_error"), "units of the outputs")
    variables: dict[str, Any] = {name: (DIMENSIONS, np.full(shape, math.nan), {"units": unit}) for name, unit in units.items()}
    variables["dense_error"] = ("seed", np.full(len(seeds), math.nan), {"units": "1"})
    variables["source_steps"] = (DIMENSIONS, np.zeros(shape, dtype=np.int64), {"units": "1"})
    variables["diverged"] = (DIMENSIONS, np.zeros(shape, dtype=bool), {})
    variables["chosen"] = (DIMENSIONS, np.full(shape, "", dtype=object), {})
    return xr.Dataset(variables, coords={"approach": approaches, "size": sizes, "seed": seeds})


def save_curve(curve: "xr.Dataset", folder: str | Path) -> None:
    """Write curve.nc and the tidy curve.csv; the same results give the same bytes.

    Measured times (`seconds`) differ from run to run and are written to seconds.csv instead.
    """
    folder, curve = as_path("folder", folder), as_curve(curve)
    write_xarray(folder / "curve.nc", curve.drop_vars("seconds", errors="ignore"))
    numeric = [name for name in curve.data_vars if name not in ("seconds", "chosen")]
    _write_tidy(folder / "curve.csv", curve, [str(name) for name in numeric])
    if "seconds" in curve:
        _write_tidy(folder / "seconds.csv", curve, ["seconds"])


def open_curve(path: str | Path) -> "xr.Dataset":
    """Read a transfer curve from curve.nc, or from a folder that holds this file.

    Raises:
        DatasetError: if the file is missing, damaged, or not a transfer curve.
    """
    path = as_path("path", path)
    curve = _renamed(read_xarray(path / "curve.nc" if path.is_dir() else path))
    if set(curve.dims) != set(DIMENSIONS):
        found = one_line(", ".join(map(str, curve.dims)), 100)
        raise DatasetError(f"{one_line(path)} is not a transfer curve: it has the dimensions {found}")
    return curve


def as_curve(given: Any, metric: str | None = None) -> "xr.Dataset":
    """Return a given transfer curve, or read it from a file or folder.

    Args:
        given: result of `transfer_curve`, or the path of a saved one.
        metric: a variable that the curve must have.

    Raises:
        ValueError: if it is not a curve, or has no such metric.
    """
    import xarray as xr

    if isinstance(given, str | Path):
        given = open_curve(given)
    elif isinstance(given, xr.Dataset):
        given = _renamed(given)
    whole = isinstance(given, xr.Dataset) and set(DIMENSIONS) <= set(given.dims)
    if not whole or (metric is None and str(given.attrs.get("headline")) not in given.data_vars):
        raise ValueError(
            "curve must be what transfer_curve gives, with its dimensions approach, size and seed, or the path of a saved one, "
            f"got {got(given)}"
        )
    numeric = [str(name) for name, v in given.data_vars.items() if v.dtype.kind == "f" and set(DIMENSIONS) <= set(v.dims)]
    if metric is not None and metric not in numeric:
        raise ValueError(f"metric must be one of the curve's, {', '.join(numeric)}, got {got(metric)}")
    return given


def _renamed(curve: "xr.Dataset") -> "xr.Dataset":
    """Rename the dimension `method` of early versions to `approach`, since `method` is an argument of xarray's `sel`."""
    return curve.rename(method="approach") if "method" in curve.dims else curve


def check_methods(curve: "xr.Dataset", methods: Any) -> list[str]:
    """Return one or several names of methods as a list, after checking that the curve has them; None stands for all.

    Raises:
        ValueError: if the curve lacks one of them.
    """
    known = [str(name) for name in curve["approach"].values]
    if methods is None:
        return known
    names = list(methods) if isinstance(methods, Sequence) and not isinstance(methods, str) else [methods]
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"the curve has the methods {', '.join(known)}, got {got(name)}")
    return names


def _write_tidy(path: Path, curve: "xr.Dataset", names: Sequence[str]) -> None:
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("approach", "size", "seed", "metric", "value"))
        for name in names:
            own = [axis for axis in DIMENSIONS if axis in curve[name].dims]  # the cells of the other columns are empty
            labels = itertools.product(*(curve[axis].values if axis in own else ("",) for axis in DIMENSIONS))
            for cell, value in zip(labels, curve[name].transpose(*own).values.flat, strict=True):
                writer.writerow((*cell, name, repr(float(value))))


def summarise(curve: "xr.Dataset | Path | str", metric: str | None = None) -> "xr.Dataset":
    """Return median and quartiles of a metric (the headline by default) over seeds, and the number of seeds that diverged.

    Seeds that are n/a or diverged are left out of the quartiles. A quartile between a finite and an infinite seed is infinite.
    """
    curve = as_curve(curve, metric)
    errors = curve[metric or curve.attrs["headline"]]
    quantiles = [0.25, 0.5, 0.75]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # from NumPy, for cells that are n/a in every seed
        quartiles = errors.quantile(quantiles, dim="seed", skipna=True)
        if np.isinf(errors).any():  # between infinities NumPy interpolates to NaN, which would mean n/a
            below, above = (errors.quantile(quantiles, dim="seed", skipna=True, method=side) for side in ("lower", "higher"))
            quartiles = quartiles.where(np.isfinite(below + above), below + above).where(below != above, below)
    named = {name: quartiles.sel(quantile=q, drop=True) for name, q in (("low", 0.25), ("median", 0.5), ("high", 0.75))}
    summary = named["median"].to_dataset(name="median").assign(low=named["low"], high=named["high"])
    return summary.assign(diverged=curve["diverged"].astype(int).sum("seed")) if "diverged" in curve else summary
