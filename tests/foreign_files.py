"""Files of arrays for tests, made by the tools of their fields; only MATLAB itself writes MAT-files of version 7.3."""

import h5py
import numpy as np
import scipy.io

GENERATOR = np.random.default_rng(0)
FIELD = GENERATOR.normal(size=(6, 4, 5))
RATE = GENERATOR.normal(size=6)
GRID = np.linspace(0, 1, 5)


def hdf5_of_matlab(path, arrays):
    """Write a MAT-file of version 7.3 as MATLAB does: a header of 512 bytes, reversed axes, a class for each matrix."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, (values, kind) in arrays.items():
            dataset = file.create_dataset(name, data=np.transpose(np.atleast_2d(values)))
            dataset.attrs["MATLAB_class"] = np.bytes_(kind)
    with open(path, "r+b") as file:
        file.write(
            b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 .".ljust(124)
        )
        file.write(b"\x00\x02IM")


def npz(path):
    np.savez(path, u=FIELD, rate=RATE, grid=GRID, note=np.array("a text"), step=np.array(0.5))


def npz_compressed(path):
    np.savez_compressed(path, u=FIELD, rate=RATE, grid=GRID, note=np.array("a text"), step=np.array(0.5))


def npz_in_fortran_order(path):
    np.savez(path, u=np.asfortranarray(FIELD), rate=RATE, grid=GRID, note=np.array("a text"), step=np.array(0.5))


def matlab_5(path):
    scipy.io.savemat(path, {"u": FIELD, "rate": RATE, "grid": GRID, "note": "a text", "step": 0.5}, oned_as="row")


def matlab_5_compressed(path):
    columns = {"u": FIELD, "rate": RATE, "grid": GRID, "note": "a text", "step": 0.5}
    scipy.io.savemat(path, columns, do_compression=True, oned_as="column")


def matlab_7(path):
    text = np.array([[ord(one) for one in "a text"]], np.uint16)
    arrays = {"u": (FIELD, "double"), "rate": (RATE, "double"), "grid": (GRID[:, None], "double"), "note": (text, "char")}
    hdf5_of_matlab(path, {**arrays, "step": (0.5, "double")})


def plain_hdf5(path):
    with h5py.File(path, "w") as file:
        for name, values in (("u", FIELD), ("rate", RATE), ("grid", GRID), ("note", "a text"), ("step", 0.5)):
            file[name] = values


UNNAMED = {
    "a.npz": npz,
    "b.npz": npz_compressed,
    "c.npz": npz_in_fortran_order,
    "a.mat": matlab_5,
    "b.mat": matlab_5_compressed,
    "c.mat": matlab_7,
    "a.h5": plain_hdf5,
}
