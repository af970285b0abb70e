"""Predictors in closed form: means, variances, gradients, files."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import initial_network
from drawing import normal
from modules import Line
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.files import DatasetError
from pac_surrogate.files.tensors import load_tensors, save_tensors
from pac_surrogate.models import evaluate
from pac_surrogate.models.weights import inside
from pac_surrogate.plan import make_plan
from pac_surrogate.solvers.closed_form import linearise
from pac_surrogate.surrogates.surrogate import Surrogate

OUTPUTS = 16  # more than the number of projections


MODELS = {"MLP": pac.MLP(hidden=(6, 5)), "CNN": pac.CNN(channels=3, blocks=1), "own": pac.Module(Line(8, OUTPUTS))}


def dataset(kind, outputs=OUTPUTS, samples=6):
    inputs = outputs if kind == "CNN" else 8
    axes = {"a": ("x",), "b": ("x",)} if kind == "CNN" else {}
    x, y = normal(samples, inputs, seed=3).numpy(), normal(samples, outputs, seed=4).numpy()
    return pac.Dataset.from_arrays({"a": x}, {"b": y}, axes=axes)


def solved(kind, kernel, outputs=OUTPUTS, only=None, dtype=torch.float64, offset=0.3, **options):
    """Return a surrogate in closed form, and its standardised samples."""
    data = dataset(kind, outputs)
    network, scaling = initial_network(MODELS[kind], data, dtype), fit_scaling(data)
    weights = network.weights
    x, y = (torch.as_tensor(m) for m in (scaling.standardise(data).input_matrix, scaling.standardise(data).output_matrix))
    trainable = True if only is None else {n: m.expand_as(weights[n]) for n, m in inside(weights, only).items()}
    anchor = {n: w + offset * normal(*w.shape, seed=5).to(dtype) for n, w in weights.items()}
    plan = make_plan(weights, anchor=anchor, trainable=trainable, strength=0.2)
    (found,) = linearise(network, [plan], x, y, kernel=kernel, **options)
    return Surrogate(found.predictor, scaling, data.inputs, data.outputs), x, y


def fresh(x, samples=11):
    return normal(samples, x.shape[1], seed=9)


def test_mean_and_variance_are_those_of_scikit_learns_process_with_a_linear_kernel():
    data = dataset("own", 1)
    network = initial_network(pac.Module(Line(8, 1)), data)
    weights = network.weights
    x, y = torch.as_tensor(data.input_matrix), torch.as_tensor(data.output_matrix)
    plan = make_plan(weights, anchor=weights, strength=0.2)
    before = [evaluate(network.module, weights, rows)[0].numpy() for rows in (x, fresh(x))]
    for kernel in ("block", "shared", "cg"):
        predictor = linearise(network, [plan], x, y, kernel=kernel)[0].predictor
        scale = float(predictor.scale)
        theirs = GaussianProcessRegressor(
            ConstantKernel(scale / 0.2) * DotProduct(1.0), alpha=scale * predictor.ratio, optimizer=None
        ).fit(x.numpy(), y.numpy() - before[0])
        mean, deviation = theirs.predict(fresh(x).numpy(), return_std=True)
        np.testing.assert_allclose(predictor.predict(fresh(x)).numpy()[:, 0] - before[1][:, 0], mean, rtol=0, atol=1e-8)
        np.testing.assert_allclose(predictor.variance(fresh(x))[:, 0], deviation**2, rtol=0, atol=1e-8)
        assert deviation.min() > 0.05
        assert float(predictor.noise) == pytest.approx(scale * predictor.ratio)


@pytest.mark.parametrize("kind", ["MLP", "CNN"])
def test_the_shared_kernel_equals_the_block_kernel_where_only_a_readout_without_shared_weights_trains(kind):
    (block, x, _), (shared, _, _) = (solved(kind, kernel, only="readout", ratio=0.5) for kernel in ("block", "shared"))
    if kind == "CNN":  # points of a channel share readout weights: only block uses their covariance
        assert float((shared.predictor.predict(fresh(x)) - block.predictor.predict(fresh(x))).abs().max()) > 1e-2
        return
    torch.testing.assert_close(shared.predictor.predict(fresh(x)), block.predictor.predict(fresh(x)), rtol=0, atol=1e-8)
    ours, theirs = (s.predictor.variance(fresh(x)) / s.predictor.scale for s in (shared, block))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)
    torch.testing.assert_close(shared.predictor.scale.mean(), block.predictor.scale[0], rtol=1e-9, atol=0)


def test_the_shared_kernel_equals_the_block_kernel_for_one_output():
    (block, x, _), (shared, _, _) = (solved("MLP", kernel, outputs=1) for kernel in ("block", "shared"))
    for ours, theirs in zip(
        (shared.predictor.predict(fresh(x)), shared.predictor.variance(fresh(x)), shared.predictor.noise),
        (block.predictor.predict(fresh(x)), block.predictor.variance(fresh(x)), block.predictor.noise),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kernel", ["block", "shared"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_loaded_predictor_predicts_the_same_bits_and_batches_do_not_matter(kind, kernel, tmp_path):
    surrogate, x, _ = solved(kind, kernel, dtype=torch.float32)
    surrogate.save(tmp_path / "s")
    loaded = Surrogate.load(tmp_path / "s", model=MODELS[kind] if kind == "own" else None)
    new = surrogate.scaling.inputs.restore(0.5 * x).numpy()
    assert np.array_equal(loaded.predict(new), surrogate.predict(new))
    for name in ("predict", "variance"):
        ours, theirs = (getattr(s.predictor, name)(fresh(x)) for s in (surrogate, loaded))
        assert torch.equal(ours, theirs)
        alone = torch.cat([getattr(surrogate.predictor, name)(row[None]) for row in fresh(x)])
        torch.testing.assert_close(ours, alone, rtol=0, atol=1e-11)
    batches = surrogate.predictor.predict(fresh(x), batch_size=4)
    torch.testing.assert_close(batches, surrogate.predictor.predict(fresh(x)), rtol=0, atol=1e-11)
    assert surrogate.predictor.predict(fresh(x)).dtype == torch.float64


@pytest.mark.parametrize("kernel", ["block", "shared"])
@pytest.mark.parametrize("kind", MODELS)
def test_predictions_have_gradients_with_respect_to_the_inputs(kind, kernel):
    predictor = solved(kind, kernel)[0].predictor
    x = normal(2, len(predictor.inputs[0]), seed=8).requires_grad_()
    weight = normal(2, OUTPUTS, seed=7)
    (gradient,) = torch.autograd.grad((predictor.predict(x) * weight).sum(), x)
    step, direction = 1e-5, normal(*x.shape, seed=6)
    with torch.no_grad():
        up, down = (predictor.predict(x + sign * step * direction) for sign in (1, -1))
        slope = float(((up - down) * weight).sum()) / (2 * step)
        base, own = (p.predict(x + step * direction) - p.predict(x - step * direction) for p in (predictor.base, predictor))
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-6)  # error: of second order in step, and rounding
    assert float((own - base).abs().max()) > 1e-7  # differs from the source's gradient


@pytest.mark.parametrize("kernel", ["block", "shared"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ratio", -1.0),
        ("ratio", "much"),
        ("ratio", float("nan")),
        ("combinations", 0),  # the name in files of the number of projections
        ("combinations", 10**9),
        ("combinations", 2.5),
        ("seed", -1),
        ("seed", 2**70),
        ("base", None),
        ("kind", "Linear"),
    ],
)
def test_hostile_descriptions_are_refused(kernel, key, value, tmp_path):
    if kernel == "block" and key in ("combinations", "seed"):
        return
    solved("MLP", kernel)[0].save(tmp_path / "s")
    tensors, header = load_tensors(tmp_path / "s")
    header["predictor"][key] = value
    save_tensors(tmp_path / "s", tensors, header)
    with pytest.raises(DatasetError, match="not a complete surrogate") as caught:
        Surrogate.load(tmp_path / "s")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kernel", ["block", "shared"])
def test_damaged_arrays_are_refused(kernel, tmp_path):
    solved("MLP", kernel)[0].save(tmp_path / "s")
    tensors, header = load_tensors(tmp_path / "s")
    for name, whole in tensors.items():
        if name.startswith("scaling"):
            continue
        broken = [whole[1:], whole.half(), torch.tensor(1.0).double()]
        if name.startswith("prior") or name == "closed/scale":
            broken += [-whole, whole / 0]
        for wrong in broken:
            save_tensors(tmp_path / "s", {**tensors, name: wrong}, header)
            if name == "closed/inputs" and kernel == "block" and wrong.shape == whole[1:].shape:
                continue  # fewer samples are valid too
            with pytest.raises(DatasetError, match="not a complete surrogate") as caught:
                Surrogate.load(tmp_path / "s")
            assert "\n" not in str(caught.value)
        save_tensors(tmp_path / "s", {n: t for n, t in tensors.items() if n != name}, header)
        with pytest.raises(DatasetError, match="not a complete surrogate"):
            Surrogate.load(tmp_path / "s")


def test_an_invalid_variance_is_refused_in_one_line():
    predictor = solved("MLP", "block")[0].predictor
    many = dataclasses.replace(predictor, inputs=predictor.inputs.repeat(50, 1))
    with pytest.raises(ValueError, match=r"at most 4000 rows .* got 4800"):
        many.variance(predictor.inputs)
    singular = dataclasses.replace(predictor, ratio=1e-300, inputs=predictor.inputs[[0, 0, 0]])
    with pytest.raises(ValueError, match="no inverse in float64 at the ratio 1e-300"):
        singular.variance(predictor.inputs)
