import numpy as np
RESOLVED = 16
def resolution(values, axis=0):
    v = np.asarray(values)
    eps = np.finfo(v.dtype).eps if v.dtype.kind == "f" else np.finfo(np.float64).eps
    return RESOLVED * float(eps) * np.abs(v).max(axis).astype(np.float64)
