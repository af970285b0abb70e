"""Files of version 0.1.0, before its methods got one frame: `earlier/make.py` wrote them, and they are never written again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import pac_surrogate as pac

EARLIER = Path(__file__).parent / "earlier"
VALUES = np.load(EARLIER / "values.npz")
NAMES = sorted({key.rpartition("/")[0] for key in VALUES.files})


def inputs(name: str) -> pac.Dataset:
    if name in ("CNN", "auto of fields"):
        a = np.random.default_rng(1).normal(size=(40, 8))
        data = pac.Dataset.from_arrays({"a": a}, {"u": a}, axes={"a": ("x",), "u": ("x",)}, valid=0.1, test=0.2)
        return data.test
    return pac.open_dataset(EARLIER / "target.h5").test


def module() -> pac.Module:
    return pac.Module(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)))


def assert_equal_but_for_rounding(found: np.ndarray, stored: np.ndarray) -> None:
    """Products in float32 of at most 36 terms differ from processor to processor by some 1e-6 of their size."""
    deviation = stored.reshape(len(stored), -1).std(0).max()
    np.testing.assert_allclose(found, stored, rtol=0, atol=1e-5 * deviation)


@pytest.mark.filterwarnings(
    "ignore::pac_surrogate.data.data_warnings.ExtrapolationWarning"
)  # some test samples leave the source's range
@pytest.mark.parametrize("name", NAMES)
def test_a_surrogate_of_every_kind_loads_and_predicts_what_it_did(name: str) -> None:
    surrogate = pac.Surrogate.load(EARLIER / f"{name}.safetensors", model=module() if name == "module" else None)
    data = inputs(name)
    assert_equal_but_for_rounding(surrogate.predict(data), VALUES[f"{name}/prediction"])
    if f"{name}/lower" in VALUES:
        interval = surrogate.predict_interval(data)
        assert_equal_but_for_rounding(interval.lower, VALUES[f"{name}/lower"])
        assert_equal_but_for_rounding(interval.upper, VALUES[f"{name}/upper"])


def test_every_file_has_its_values() -> None:
    assert {path.stem for path in EARLIER.glob("*.safetensors")} == set(NAMES)


def test_a_curve_is_read() -> None:
    curve = pac.open_curve(EARLIER / "curve")
    assert isinstance(curve, xr.Dataset)
    assert list(curve["approach"].values) == ["PAC", "FT"]
    assert float(curve["rel_l2"].isel(approach=0, size=0, seed=0)) > 0
    assert pac.summarise(curve)["median"].shape == (2, 2)


def test_data_files_are_read() -> None:
    source = pac.open_dataset(EARLIER / "source.h5")
    x = np.random.default_rng(0).uniform(size=(60, 3))
    np.testing.assert_array_equal(source["load"], x[:, 2])
    assert {variable.name: variable.units for variable in source.outputs} == {"force": "1", "stress": "Pa"}


def test_stacks_that_the_trainer_of_then_left_are_never_taken_for_others(tmp_path: Path) -> None:
    """They may serve, or be trained anew; the curve is the same."""
    source, target = (pac.open_dataset(EARLIER / f"{side}.h5") for side in ("source", "target"))
    shutil.copytree(EARLIER / "curve", tmp_path / "curve")
    options = {"methods": {"PAC": pac.PAC(), "FT": pac.FineTune()}, "sizes": (0, 4), "seeds": 2, "model": pac.MLP(hidden=(6,))}
    steps = dict.fromkeys(("steps", "source_steps", "pretrain_steps"), 10)
    curve = pac.transfer_curve(source, target, **options, **steps, out=tmp_path / "curve")
    earlier = pac.open_curve(EARLIER / "curve")
    np.testing.assert_allclose(curve["rel_l2"], earlier["rel_l2"], rtol=1e-4)
