import numpy as np
from pac_surrogate.files.netcdf import DatasetError
def without_mask(name, values):
    if isinstance(values, np.ma.MaskedArray):
        m = np.ma.getmaskarray(values)
        if m.any():
            raise DatasetError(f"{name} must be finite, it is missing (masked) at sample {np.argwhere(m)[0][0]}: repair or drop this sample")
        return values.data
    return values
