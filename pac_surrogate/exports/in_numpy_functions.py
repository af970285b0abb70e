"""The fixed text of the modules that `in_numpy` writes: NAME, RESULT and the other words in capitals are replaced."""

from pac_surrogate.exports.normal import DENOMINATOR, LARGEST, NUMERATOR, SINGLE

BEGINNING = '''"""Predictions of a surrogate model in physical units; written by pac_surrogate, which is not needed.

Only NumPy is needed, and the file NAME.npz beside this one.

    import NAME
    y = NAME.predict(x)         x: array (inputs,) or (rows, inputs), in the order of NAME.INPUTS
STD    NAME.outside(x)             which samples lie outside the range of the training data

An input that is not a finite number gives the prediction NaN.
"""

import hashlib
import io
import json
import os

import numpy as np

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "NAME.npz"), "rb") as _file:
    _BYTES = _file.read()
if hashlib.sha256(_BYTES).hexdigest() != "DIGEST":
    raise ImportError("NAME.npz is damaged, or was not written together with NAME.py: export both again")
with np.load(io.BytesIO(_BYTES), allow_pickle=False) as _file:
    _ARRAYS = {name: _file[name] for name in _file.files}
del _BYTES
_DESCRIPTION = json.loads(_ARRAYS["description"].tobytes().decode("ascii"))

# For each column: its name, its unit, the smallest and largest number in the training data (low, high), and, for inputs, the
# numbers between which a prediction does not extrapolate (lower, upper).
INPUTS = _DESCRIPTION["inputs"]
OUTPUTS = _DESCRIPTION["outputs"]
ABOUT = _DESCRIPTION["about"]

# Constants of the steps below: the step that makes v7 uses the weight W7, the bias b7 and so on. Equal ones of several steps
# have the name of the first.
'''


def _written(numbers: tuple[float, ...]) -> str:
    return "".join(f"    {number!r},\n" for number in numbers)


_NORMAL = f"""

# 1 / P for the standard normal distribution function P is 1 + exp(-z R(z^2)); see the comment at _over_normal.
_SINGLE = [np.array(c, np.float32) for c in (
{_written(SINGLE[::-1])})]
_NUMERATOR = [np.array(c) for c in (
{_written(NUMERATOR[::-1])})]
_DENOMINATOR = [np.array(c) for c in (
{_written(DENOMINATOR[::-1])})]
_LARGEST = np.array({LARGEST})  # of z^2: beyond, R is constant for all purposes, and its terms stay finite


def _polynomial(u, coefficients):
    t = u * coefficients[0]
    for c in coefficients[1:-1]:
        t += c
        t *= u
    t += coefficients[-1]
    return t


def _over_normal(z):
    # R is a polynomial in float32, which errs by 1.3e-7 of P, and a rational function in float64, which errs by 2.3e-16.
    u = z * z
    if z.dtype == np.float32:
        t = _polynomial(u, _SINGLE)
    else:
        u = np.minimum(u, _LARGEST)
        t = _polynomial(u, _NUMERATOR)
        t /= _polynomial(u, _DENOMINATOR)
    t *= z
    np.negative(t, t)
    np.exp(t, t)
    t += 1
    return t
"""

TEXT_OF_FUNCTION = {
    "_over_normal": _NORMAL,
    "_gelu": """

def _gelu(z):
    return z / _over_normal(z)
""",
    "_slope_of_gelu": """

def _slope_of_gelu(z):
    return 1 / _over_normal(z) + z * np.exp(-0.5 * z * z) * 0.3989422804014327  # 1 / sqrt(2 pi)
""",
    "_slope_of_relu": """

def _slope_of_relu(z):
    return (z > 0).astype(z.dtype)
""",
    "_silu": """

def _silu(z):
    return z / (1 + np.exp(-z))
""",
    "_slope_of_silu": """

def _slope_of_silu(z):
    s = 1 / (1 + np.exp(-z))
    return s * (1 + z * (1 - s))
""",
    "_slope_of_tanh": """

def _slope_of_tanh(z):
    return 1 - np.square(np.tanh(z))
""",
    "_log": """

def _log(z):
    return np.log(np.where(z > 0, z, np.nan))  # NaN also at 0
""",
    "_clamp": """

def _clamp(z, lower, upper):
    return np.where(np.isfinite(z), np.minimum(np.maximum(z, lower), upper), z)
""",
    "_with_zero": """

def _with_zero(z):
    return np.concatenate((z, np.zeros(z.shape[:-1] + (1,), z.dtype)), -1)
""",
}
FUNCTIONS = tuple(TEXT_OF_FUNCTION)  # in this order

ABOUT_STD = "    NAME.std(x)                 standard deviation of each output\n"

ONE_RESULT = '''

def _RESULT(x):
STEPS


def PUBLIC(x):
    """Return the WHAT in float64, (outputs,) or (rows, outputs), for inputs (inputs,) or (rows, inputs)."""
    x = _checked(x)
    with np.errstate(all="ignore"):  # what is not a number is returned as NaN, without a warning
        if x.ndim == 1 or len(x) <= BLOCK:
            return _RESULT(x)
        blocks = [_RESULT(x[start : start + BLOCK]) for start in range(0, len(x), BLOCK)]  # of rows, to bound the memory
        return np.concatenate(blocks)
'''

END = '''

def outside(x):
    """Return whether each sample lies outside the range of the training data in any input, or has one that is no number."""
    x = _checked(x)
    return ~((x >= _ARRAYS["lower"]) & (x <= _ARRAYS["upper"])).all(-1)


def _checked(x):
    if hasattr(x, "columns"):
        raise ValueError(
            "x must be an array with its columns in the order of INPUTS, this is a table: pass table[names].to_numpy(), with "
            'names = [column["name"] for column in INPUTS]'
        )
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError(
            "x must hold a number in every place, this is a masked array: pass x.filled(np.nan), which gives NaN where an "
            "input is masked, or only rows without gaps"
        )
    x = np.asarray(x)
    if x.dtype.kind == "c":
        raise ValueError(f"x must hold real numbers, these are of type {x.dtype}: pass x.real if the imaginary parts are 0")
    x = x.astype(np.float64, copy=False)
    if x.ndim not in (1, 2) or x.shape[-1] != len(INPUTS):
        raise ValueError(f"x must have the shape ({len(INPUTS)},) or (rows, {len(INPUTS)}), this one has {x.shape}")
    return x
'''
