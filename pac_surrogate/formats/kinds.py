"""Recognition of the kind of a data file by its content, and by its extension only where the content does not tell."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import h5py

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.netcdf_reader import open_netcdf
from pac_surrogate.files.splits import SPLITS
from pac_surrogate.formats.errors import reading
from pac_surrogate.utilities.display import one_line

Kind = Literal["native", "the_well", "pdebench", "netcdf", "hdf5", "zarr", "matlab", "npz", "csv", "parquet"]
ZARR = ("zarr.json", ".zgroup", ".zmetadata")
WELL_SUFFIXES = (".hdf5", ".h5")
SIGNATURES = {b"CDF\x01": "netcdf", b"CDF\x02": "netcdf", b"PAR1": "parquet", b"MATLAB 5.0 MAT-file": "matlab"}
TABLES = ("csv", "parquet")
TEXT_SUFFIXES = (".csv", ".tsv")
KNOWN = "HDF5, netCDF, Zarr, MATLAB, NPZ, CSV, Parquet, The Well and PDEBench are known"
MOST_ROOT = 64  # members of the root group that are looked at


def kind_of(path: Path | str) -> Kind:
    """Return the kind of a data file, or of a folder of Zarr or The Well.

    "native" is the layout of this package. "the_well" is a file of The Well, or a folder with `data/train`, `data/valid` or
    `data/test`. "netcdf" is netCDF classic, or an HDF5 file with dimension scales, which name the axes; "hdf5" is any other
    HDF5 file. "matlab" is a MAT-file of version 4, 5 or 7.3.

    Raises:
        DatasetError: if there is no such file or folder, or it is unreadable, truncated, or of an unknown kind.
    """
    path = Path(path)
    with reading(path):
        if path.is_dir():
            return _kind_of_folder(path)
        if path.exists() and not path.is_file():
            raise DatasetError("a data file is required, this is a pipe or a device: save its contents as a file")
        with path.open("rb") as file:
            head = file.read(2**12)
        if h5py.is_hdf5(path):
            if head.startswith(b"MATLAB 7.3 MAT-file"):
                return "matlab"
            with open_netcdf(path) as opened:
                return _kind_of_hdf5(opened)
        if head.startswith(b"PK\x03\x04"):
            return _kind_of_zip(path)
        if head.startswith(b"CDF\x05"):
            raise DatasetError("netCDF classic up to version 2 is required, this is CDF-5: convert it with nccopy -k netCDF-4")
        for signature, kind in SIGNATURES.items():
            if head.startswith(signature):
                if kind == "parquet":
                    _check_end(path)
                return kind  # type: ignore[return-value]
        return _kind_of_rest(path, head)


def holds(kind: Kind) -> Callable[[Path], bool]:
    """Return the function that returns whether there is a readable file or folder of a kind at a path."""

    def is_kind(path: Path) -> bool:
        try:
            return kind_of(path) == kind
        except DatasetError:
            return False

    return is_kind


def _kind_of_folder(path: Path) -> Kind:
    if any((path / name).is_file() for name in ZARR):
        return "zarr"
    if any(well_files(path).values()):
        return "the_well"
    raise DatasetError(
        "a folder must be a Zarr store, with zarr.json or .zgroup in it, or a dataset of The Well, with .hdf5 files in "
        "data/train, data/valid or data/test; this is neither: check the path"
    )


def well_files(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each split of a dataset of The Well, in the order of their names; none if it is not one."""
    return {
        split: sorted(one for one in (folder / "data" / split).glob("*") if one.suffix in WELL_SUFFIXES) for split in SPLITS
    }


def _kind_of_hdf5(file: h5py.File) -> Kind:
    if "schema_version" in file.attrs:
        return "native"
    if "n_trajectories" in file.attrs and all(name in file for name in ("dimensions", "t0_fields")):
        return "the_well"
    if pdebench_layout(file):
        return "pdebench"
    if "_NCProperties" in file.attrs:
        return "netcdf"
    for name in _first(file):
        is_hard = file.id.links.get_info(name).type == h5py.h5l.TYPE_HARD
        if is_hard and h5py.h5o.get_info(file.id, name).type == h5py.h5o.TYPE_DATASET and file[name].is_scale:
            return "netcdf"
    return "hdf5"


def pdebench_layout(file: h5py.File) -> str:
    """Return which layout of PDEBench a file has, an empty text if none.

    "tensor" is one field (sample, time, x, ...), "darcy" a coefficient and a solution without time, "compressible" has one
    variable for each physical quantity, "groups" one group for each sample, "incompressible" velocity, particles and force.
    """
    if "tensor" in file and "x-coordinate" in file:
        return "darcy" if "nu" in file else "tensor"
    if "x-coordinate" in file and "t-coordinate" in file:
        return "compressible"
    if all(name in file for name in ("velocity", "particles", "t")):
        return "incompressible"
    first = next(iter(file), "")
    name = first if isinstance(first, str) else ""
    if name.isdigit() and f"{name}/data" in file and f"{name}/grid" in file:
        return "groups"
    return ""


def _first(file: h5py.File) -> list[bytes]:
    names = []
    for name, _ in zip(file, range(MOST_ROOT), strict=False):
        names.append(name if isinstance(name, bytes) else name.encode())
    return names


def _kind_of_zip(path: Path) -> Kind:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if names and any(name.endswith(".npy") for name in names):
        return "npz"
    if any(Path(name).name in ZARR for name in names):
        raise DatasetError("a Zarr store must be a folder, this is a zip file of one: unpack it")
    raise DatasetError("a zip file must be an NPZ file, with arrays that end in .npy, this one has none: unpack it")


def _check_end(path: Path) -> None:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 4))
        if size < 12 or file.read(4) != b"PAR1":
            raise DatasetError("a complete Parquet file ends in PAR1, this one does not: generate or download it again")


def _kind_of_rest(path: Path, head: bytes) -> Kind:
    suffix = path.suffix.lower()
    if not head:
        raise DatasetError("a data file is required, this one is empty: generate or download it again")
    if suffix == ".mat" and len(head) >= 20 and _is_text(head) is False:
        return "matlab"
    if suffix in TEXT_SUFFIXES:
        if not _is_text(head):
            raise DatasetError("a CSV file must be a text in UTF-8, this one is a text in UTF-16, or none: save it as UTF-8")
        return "csv"
    if head.startswith(b"\x93NUMPY"):
        raise DatasetError("inputs and outputs are required, this NumPy file holds one array: save both with numpy.savez")
    got = "this is a text" if _is_text(head) else "this is another kind of file or a damaged one"
    remedy = "check the path" if suffix not in (".txt", ".dat") or not _is_text(head) else "if it is a table, name it .csv"
    raise DatasetError(f"a data file is required, {got} (with the extension {one_line(suffix) or 'none'}): {KNOWN}, {remedy}")


def _is_text(head: bytes) -> bool:
    return b"\0" not in head
