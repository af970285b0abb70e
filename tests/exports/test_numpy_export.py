"""Surrogates as modules that need NumPy alone."""

import dataclasses
import importlib.util
import json
import math
import re
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from export_cases import cnn, inputs_of, inputs_within, rounding_of, source, table, with_the_first_co_kriging
from program_cases import HOSTILE, export_of, inputs_of_steps, step_programs

import pac_surrogate as pac
from pac_surrogate.exports import in_numpy
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.exports.in_numpy import write_numpy
from pac_surrogate.exports.in_numpy_functions import TEXT_OF_FUNCTION
from pac_surrogate.exports.in_torch import ProgramModule
from pac_surrogate.exports.program import ACTIVATIONS, Program
from pac_surrogate.surrogates.exported import description

pytestmark = pytest.mark.filterwarnings("ignore::pac_surrogate.data.data_warnings.ExtrapolationWarning")
STEPS = {double: step_programs(double) for double in (False, True)}


def module_of(export, folder):
    write_numpy(export, folder)
    spec = importlib.util.spec_from_file_location(export.name, folder / f"{export.name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def evaluated(program, x):
    return {name: found.numpy() for name, found in ProgramModule(program)(torch.from_numpy(x)).items()}


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("name", STEPS[True])
def test_every_step_means_what_it_means_in_torch(name, double, tmp_path):
    program, x = STEPS[double][name], inputs_of_steps()
    expected = evaluated(program, x)["y"]
    module = module_of(export_of(program), tmp_path)
    # Sums of at most 18 products of numbers below 20, rounded by 6e-8 or 1.1e-16 of their size.
    bound = 1e-12 if double else 2e-5
    found = module.predict(x)
    assert found.dtype == np.float64
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=bound, atol=bound)
    for row, one in zip(x, expected, strict=True):
        np.testing.assert_allclose(module.predict(row), one, rtol=bound, atol=bound)


SURROGATES = {
    **{activation: lambda activation=activation: source(activation) for activation in ACTIVATIONS},
    "float64": lambda: in_double(source("gelu")),
    **{name: lambda name=name: with_the_first_co_kriging()[name] for name in with_the_first_co_kriging()},
}
WITH_DEVIATION = ("SharedKernel", "GaussianProcess on the residual")


def in_double(surrogate):
    weights = {name: weight.double() for name, weight in surrogate.weights.items()}
    return dataclasses.replace(surrogate, predictor=dataclasses.replace(surrogate.network, weights=weights))


@pytest.mark.parametrize("name", SURROGATES)
def test_a_module_predicts_what_the_surrogate_predicts(name, tmp_path):
    surrogate = SURROGATES[name]()
    x = inputs_within(surrogate, 1000)
    expected = surrogate.predict(x).reshape(len(x), -1)
    module = module_of(description(surrogate, "model", interval=name in WITH_DEVIATION), tmp_path)
    # Only these are in float64 throughout; networks in float32 differ by sums of at most 60 terms.
    bound = (1e-12 if name in ("float64", "SharedKernel") else 1e-5) + rounding_of(surrogate.predictor)
    allowed = bound * (surrogate.scaling.outputs.deviation.numpy() + np.abs(expected))
    assert (np.abs(module.predict(x) - expected) <= allowed).all()
    assert (np.abs(module.predict(x[0]) - expected[0]) <= allowed[0]).all()
    assert (np.abs(module.predict(x[:1]) - expected[:1]) <= allowed[:1]).all()
    assert module.predict(x[:0]).shape == (0, expected.shape[1])
    if name in WITH_DEVIATION:
        # A variance is a difference from the prior's, of the order of the squared deviation of the outputs.
        variance = surrogate.posterior(x).variance
        size = surrogate.scaling.outputs.deviation.square().numpy()
        assert (np.abs(module.std(x) ** 2 - variance) <= 1e-9 * (variance + size)).all()
        np.testing.assert_allclose(module.std(x[1]), module.std(x)[1], rtol=1e-6)
    else:
        assert not hasattr(module, "std")


def test_logarithmic_and_bounded_variables(tmp_path):
    before = pac.pretrain(table(2.0, scaling={"load": "log", "force": "log"}), model=pac.MLP(hidden=(7,)), steps=30)
    x = inputs_of(source())
    bounds = tuple(np.quantile(before.predict(x)[:, 1], (0.3, 0.7)).tolist())
    force, stress = before.outputs
    surrogate = dataclasses.replace(before, outputs=(force, dataclasses.replace(stress, bounds=bounds)))
    module = module_of(description(surrogate, "model", interval=False), tmp_path)
    np.testing.assert_allclose(module.predict(x), surrogate.predict(x), rtol=1e-5)
    assert set(bounds) < set(module.predict(x)[:, 1])
    np.testing.assert_array_equal(module.predict([[1.5, 1.5, 0.0], [1.5, 1.5, -1.0]]), np.full((2, 2), np.nan))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_not_a_number_reaches_every_output_without_a_warning(activation, tmp_path):
    module = module_of(description(source(activation), "model", interval=False), tmp_path)
    x = inputs_of(source())[:5]
    x[0, 1], x[1, 1], x[2, 1], x[3] = math.nan, math.inf, -math.inf, 1e300
    with np.errstate(all="raise"):  # as strict as a user may be
        assert np.isnan(module.predict(x)[:3]).all()
        assert np.isnan(module.predict(x[0])).all()
        assert np.isfinite(module.predict(x)[4]).all()


def test_no_package_but_numpy_is_imported(tmp_path):
    module = module_of(description(source(), "model", interval=False), tmp_path)
    x = inputs_of(source())
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys\n"
        "for name in ('torch', 'scipy', 'pac_surrogate'): sys.modules[name] = None\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import model, numpy as np\n"
        f"np.save({str(tmp_path / 'y.npy')!r}, model.predict(np.load({str(tmp_path / 'x.npy')!r})))\n"
    )
    subprocess.run([sys.executable, "-I", "-W", "error", "-c", code], check=True)
    # The other process may compute with other instructions of the processor.
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), module.predict(x), rtol=1e-5)


def test_any_names_are_data_and_never_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = STEPS[True]["tanh, vector"]
    module = module_of(export_of(program, "model", HOSTILE, HOSTILE), tmp_path)
    assert [column["name"] for column in module.INPUTS] == list(HOSTILE)
    assert [column["name"] for column in module.OUTPUTS] == list(HOSTILE)
    assert module.INPUTS[0]["unit"] == "m"
    assert not (tmp_path / "executed").exists()
    with_names = without_digest(tmp_path / "model.py")
    write_numpy(export_of(program, "model"), tmp_path)
    assert with_names == without_digest(tmp_path / "model.py")


def without_digest(path):
    """Return the text of a module without the digest of its arrays, which hold the names."""
    text, digests = re.subn(r'"[0-9a-f]{64}"', "", path.read_text(encoding="ascii"))
    assert digests == 1
    return text


def test_the_same_export_gives_the_same_bytes_which_hold_no_date_and_no_pickle(tmp_path):
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_numpy(export_of(STEPS[False]["gelu, matrix"]), tmp_path / name)
        written.append([file.read_bytes() for file in sorted((tmp_path / name).iterdir())])
    assert written[0] == written[1]
    file = tmp_path / "first" / "surrogate.npz"
    with zipfile.ZipFile(file) as archive:
        assert {(one.date_time, one.create_system) for one in archive.infolist()} == {((1980, 1, 1, 0, 0, 0), 3)}
    with np.load(file, allow_pickle=False) as arrays:
        assert json.loads(arrays["description"].tobytes())["about"] == {"method": "a test"}


def test_samples_outside_the_training_data_are_those_of_the_surrogate(tmp_path):
    surrogate = source()
    module = module_of(description(surrogate, "model", interval=False), tmp_path)
    x = np.random.default_rng(0).uniform(0.8, 2.2, size=(200, 3))
    expected = surrogate.scaling.inputs.outside(torch.from_numpy(x)).numpy()
    assert 20 < expected.sum() < 180
    np.testing.assert_array_equal(module.outside(x), expected)
    assert bool(module.outside(x[0])) == expected[0]
    x[expected.argmin(), 1] = np.nan
    assert module.outside(x[expected.argmin()]), "what is not a number lies in no range"


def test_the_two_files_belong_together(tmp_path):
    (tmp_path / "other").mkdir()
    module_of(description(source(), "model", interval=False), tmp_path)
    module_of(description(source("tanh"), "model", interval=False), tmp_path / "other")
    mixed = tmp_path / "model.npz"
    mixed.write_bytes((tmp_path / "other" / "model.npz").read_bytes())
    done = subprocess.run([sys.executable, "-c", "import model"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    told = "ImportError: model.npz is damaged, or was not written together with model.py: export both again"
    assert done.stderr.splitlines()[-1] == told


def test_blocks_of_samples_are_the_samples_together(tmp_path, monkeypatch):
    export = description(cnn(), "model", interval=False)
    x = np.random.default_rng(0).normal(size=(7, 8))
    whole = module_of(export, tmp_path).predict(x)
    monkeypatch.setattr(in_numpy, "CACHE", 1)
    text = (tmp_path / "model.py").read_text(encoding="ascii")
    blocks = module_of(export, tmp_path)
    assert (tmp_path / "model.py").read_text(encoding="ascii") != text
    # A product of other shapes may sum in another order.
    np.testing.assert_allclose(blocks.predict(x), whole, rtol=1e-5, atol=1e-6)
    assert blocks.predict(x[:0]).shape == (0, 8)


def test_wrong_inputs_and_names_are_refused(tmp_path):
    module = module_of(export_of(STEPS[True]["distances"]), tmp_path)
    for wrong in (np.zeros(5), np.zeros((2, 7)), np.zeros((1, 1, 6)), 1.0):
        with pytest.raises(ValueError, match=r"x must have the shape \(6,\) or \(rows, 6\), this one has"):
            module.predict(wrong)
    for name, owner in (("class", "Python itself"), ("json", "Python itself"), ("numpy", "NumPy, which the module imports,")):
        with pytest.raises(NotExportableError, match=f"^{owner} uses the name {name}, which no module of yours should bear"):
            write_numpy(export_of(STEPS[True]["distances"], name), tmp_path)


def test_what_is_no_array_of_real_numbers_is_refused_in_one_line(tmp_path):
    """A table's columns may be in another order, a mask would be ignored, and so would imaginary parts."""
    module = module_of(description(source(), "model", interval=False), tmp_path)
    x = inputs_of(source())
    names = [column["name"] for column in module.INPUTS]
    given = pd.DataFrame(x[:, ::-1], columns=names[::-1])
    masked = np.ma.masked_array(x, mask=np.arange(x.size).reshape(x.shape) == 1)
    for wrong, message in (
        (given, r"order of INPUTS, this is a table: pass table\[names\]\.to_numpy\(\)"),
        (masked, r"this is a masked array: pass x\.filled\(np\.nan\)"),
        (x + 0j, r"real numbers, these are of type complex128: pass x\.real"),
        ((x + 0j).tolist(), r"real numbers, these are of type complex128"),
    ):
        for function in (module.predict, module.outside):
            with pytest.raises(ValueError, match=message) as refused:
                function(wrong)
            assert "\n" not in str(refused.value)
    # The remedies give what they say.
    np.testing.assert_array_equal(module.predict(given[names].to_numpy()), module.predict(x))
    np.testing.assert_array_equal(np.isnan(module.predict(masked.filled(np.nan))).any(1), masked.mask.any(1))


@pytest.mark.parametrize(("kind", "bound"), [(np.float64, 4.5e-16), (np.float32, 2.4e-7)])
def test_the_normal_distribution_function_agrees_with_erf_everywhere(kind, bound):
    # The fit errs by 6.5e-17 or 2.8e-8; P, its exponential and its quotient are rounded by one or two units of 1.1e-16 or 6e-8.
    space = {"np": np}
    exec(TEXT_OF_FUNCTION["_over_normal"], space)
    z = np.concatenate([np.linspace(-40, 40, 200_001), np.linspace(-3, 3, 50_001), [0.0, 1e-30, -1e-30, 1e15, -1e15]]).astype(
        kind
    )
    with np.errstate(over="ignore"):
        found = 1 / space["_over_normal"](z)
    assert found.dtype == kind
    exact = np.array([0.5 * math.erfc(-one / math.sqrt(2)) for one in z.tolist()])
    error = np.abs(found - exact)
    assert error.max() <= bound
    assert error.max() >= bound / 100, "the comparison is in the precision of the kind"
    np.testing.assert_allclose(
        2 * found[z > 0.5] - 1, [math.erf(one / math.sqrt(2)) for one in z[z > 0.5].tolist()], atol=2 * bound
    )


def test_large_values_are_deleted_after_their_last_use(tmp_path):
    program = Program(2)
    value = program.linear(program.x, np.ones((2000, 2)))
    for _ in range(3):
        value = program.apply("tanh", value)
    program.results["y"] = program.linear(value, np.ones((1, 2000)))
    module_of(export_of(program), tmp_path)
    text = (tmp_path / "surrogate.py").read_text(encoding="ascii")
    assert [line.strip() for line in text.splitlines() if "    del " in line] == ["del v0", "del v1", "del v2", "del v3"]
