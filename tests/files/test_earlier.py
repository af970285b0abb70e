"""Files of version 0.1.0, before its methods had a common form: `tests/earlier/make.py` wrote them, and never will again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from paths import EARLIER

import pac_surrogate as pac
from pac_surrogate.predictors import CoKriging
from pac_surrogate.solvers import training
from pac_surrogate.solvers.cache import load_stack

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


def assert_equal_but_for_rounding(found: np.ndarray, stored: np.ndarray, rounding: float = 0.0) -> None:
    """Allow for float32: products of at most 36 terms differ between processors by some 1e-6 of their size."""
    deviation = stored.reshape(len(stored), -1).std(0).max()
    np.testing.assert_allclose(found, stored, rtol=0, atol=1e-5 * deviation + rounding)


def rounding_of(surrogate: pac.Surrogate) -> float:
    """Bound the rounding of co-kriging: the terms of its sums add up to 2e12 in size, and round by 2e-16 of it."""
    members = [surrogate.predictor, *(surrogate.folds.members if surrogate.folds is not None else ())]
    sums = [float(member.gamma.abs().sum(1).max()) for member in members if isinstance(member, CoKriging)]
    return 4 * float(np.finfo(float).eps) * max(sums, default=0.0) * float(surrogate.scaling.outputs.deviation.max())


@pytest.mark.filterwarnings(
    "ignore::pac_surrogate.data.data_warnings.ExtrapolationWarning"
)  # some test samples leave the source's range
@pytest.mark.parametrize("name", NAMES)
def test_a_surrogate_of_every_kind_loads_and_predicts_as_before(name: str) -> None:
    surrogate = pac.Surrogate.load(EARLIER / f"{name}.safetensors", model=module() if name == "module" else None)
    data = inputs(name)
    rounding = rounding_of(surrogate)
    assert_equal_but_for_rounding(surrogate.predict(data), VALUES[f"{name}/prediction"], rounding)
    if f"{name}/lower" in VALUES:
        interval = surrogate.predict_interval(data)
        assert_equal_but_for_rounding(interval.lower, VALUES[f"{name}/lower"], rounding)
        assert_equal_but_for_rounding(interval.upper, VALUES[f"{name}/upper"], rounding)


def test_every_file_has_its_values() -> None:
    assert {path.stem for path in EARLIER.glob("*.safetensors")} == set(NAMES)


def test_a_curve_is_read() -> None:
    curve, stored = pac.open_curve(EARLIER / "curve"), xr.load_dataset(EARLIER / "curve" / "curve.nc", engine="h5netcdf")
    for variable in stored.variables.values():
        variable.attrs.pop("text_crc32", None)  # this checksum is that of the file, not of its contents
    xr.testing.assert_identical(curve, stored.rename(method="approach"))  # the name of the dimension in that version
    assert list(curve["approach"].values) == ["PAC", "FT"]
    assert curve["rel_l2"].dims == ("approach", "size", "seed")
    median = pac.summarise(curve)["median"]
    np.testing.assert_array_equal(median, stored["rmse_std"].mean("seed"))  # of two seeds; rmse_std is the headline


def test_data_files_are_read() -> None:
    source = pac.open_dataset(EARLIER / "source.h5")
    x = np.random.default_rng(0).uniform(size=(60, 3))
    np.testing.assert_array_equal(source["load"], x[:, 2])
    assert {variable.name: variable.units for variable in source.outputs} == {"force": "1", "stress": "Pa"}


def test_stacks_that_an_earlier_trainer_wrote_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a stack now depends on other settings: all stacks are trained again, and the curve is the same."""
    served = []

    def loaded(path: Path, *arguments: object) -> object:
        found = load_stack(path, *arguments)
        served.append((path.name, found is not None))
        return found

    monkeypatch.setattr(training, "load_stack", loaded)
    source, target = (pac.open_dataset(EARLIER / f"{side}.h5") for side in ("source", "target"))
    shutil.copytree(EARLIER / "curve", tmp_path / "curve")
    methods = {"PAC": pac.PAC(biases="frozen", exempt=()), "FT": pac.FineTune()}  # the defaults of the earlier version
    options = {"methods": methods, "sizes": (0, 4), "seeds": 2, "model": pac.MLP(hidden=(6,))}
    steps = dict.fromkeys(("steps", "source_steps", "pretrain_steps"), 10)
    curve = pac.transfer_curve(source, target, **options, **steps, out=tmp_path / "curve")
    before = {path.name: path.read_bytes() for path in (EARLIER / "curve" / "stacks").iterdir()}
    after = {path.name: path.read_bytes() for path in (tmp_path / "curve" / "stacks").iterdir()}
    assert len(served) == 3  # pretraining, PAC's allocation, and all trainings on the target
    assert not any(found for _, found in served)
    assert after.keys() - before.keys() == {name for name, _ in served}
    assert before.items() <= after.items()
    earlier = pac.open_curve(EARLIER / "curve")["rel_l2"]
    # As above, ten steps in float32 round to some 1e-6 of the predictions; the errors are as large as their standard deviation.
    np.testing.assert_allclose(curve["rel_l2"], earlier, rtol=1e-5)
    assert (np.diff(np.log(np.sort(earlier, axis=None))) > 1e-3).all()  # a confusion of stacks would be noticed
