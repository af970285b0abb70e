"""MAT-files of version 7.3 for tests, which only MATLAB itself writes."""

import h5py
import numpy as np


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
