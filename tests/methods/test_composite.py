"""Small networks around a frozen source: their formulas, their initial predictions, and their files."""

import dataclasses

import numpy as np
import pytest
import torch
from adapting import case_of, outcome, outcomes, sound, training_of
from cases import bits, initial_surrogate
from torch import nn
from torch.nn import functional

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.files import load_tensors, save_tensors
from pac_surrogate.methods.around.delta_net import DeltaNetwork
from pac_surrogate.methods.around.input_augmentation import InputAugmentation
from pac_surrogate.methods.around.multi_fidelity_network import MFNN
from pac_surrogate.methods.method import NotApplicableError, check_case
from pac_surrogate.models import DeltaNet, MultiFidelity, evaluate, evaluate_stack
from pac_surrogate.models import InputAugmentation as Chain
from pac_surrogate.models.weights import stack
from pac_surrogate.predictors import build_network
from pac_surrogate.surrogates.outputs import with_outputs_of
from pac_surrogate.surrogates.surrogate import Surrogate

DOUBLE = torch.float64
BODY = nn.Sequential(nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 8))
MODELS = {"MLP": pac.MLP(hidden=(8, 7)), "CNN": pac.CNN(channels=4, blocks=1, levels=1), "Module": pac.Module(BODY)}
METHODS = {
    "delta net": DeltaNetwork(hidden=(5, 4)),
    "input augmentation": InputAugmentation(hidden=(5, 4)),
    "MFNN": MFNN(hidden=(5, 4)),
}


def dataset(kind, samples, seed, name="temperature", points=8):
    generator = np.random.default_rng(seed)
    field, number = generator.normal(size=(samples, 8)), generator.normal(size=samples)
    result = (np.tanh(np.roll(field, 1, axis=1) + 0.9 * number[:, None]) + 0.4)[:, :points]
    axes = {"initial": ("x",), name: ("x",)} if kind == "CNN" and points == 8 else {}
    axes |= {"initial": ("x",)} if kind == "CNN" else {}
    return pac.Dataset.from_arrays({"initial": field, "conductivity": number}, {name: result}, axes=axes)


def surrogate(kind, dtype=DOUBLE):
    return initial_surrogate(MODELS[kind], dataset(kind, 60, 1), dtype)


def case(surrogate, data, source=None, *, seed=0, steps=30):
    return case_of(surrogate, data, source, seed=seed, steps=steps, source_steps=10, batch_size=16)


def solve(method, *given, **options):
    return sound(method, case(*given, **options))


def started(source, method, data, seed=5):
    """The surrogate before the first step, and its Plan."""
    asked = training_of(method, case(source, data, seed=seed))
    predictor = dataclasses.replace(asked.surrogate.network, weights=asked.plan.start)
    return dataclasses.replace(asked.surrogate, predictor=predictor), asked.plan


def composite(make, kind="MLP", seed=0):
    """A composite all of whose weights are random, including a and the biases."""
    data = dataset(kind, 4, 1)
    network = build_network(make(MODELS[kind], data.outputs, (5, 4)), data.inputs, data.outputs)
    generator = torch.Generator().manual_seed(seed)
    weights = {n: torch.randn(w.shape, generator=generator, dtype=DOUBLE) for n, w in network.weights.items()}
    return dataclasses.replace(network, weights=weights)


def inner(weights, prefix):
    return {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}


def perceptron(w, v, layers=2):
    for layer in range(layers):
        v = functional.gelu(v @ w[f"hidden.{layer}.weight"].T + w[f"hidden.{layer}.bias"])
    return v


# The networks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("make", [DeltaNet, Chain, MultiFidelity])
def test_the_prediction_is_that_of_the_formula(make, kind):
    network = composite(make, kind)
    data = dataset(kind, 6, 2)
    x = torch.as_tensor(data.input_matrix)
    base = MODELS[kind].build(data.inputs, data.outputs)
    f, _ = evaluate(base, inner(network.weights, "base."), x)
    w = inner(network.weights, "small.")
    v = x if make is DeltaNet else torch.cat([x, f], dim=1)
    h = perceptron(w, v)
    weight, bias = w["readout.weight"], w["readout.bias"]
    if make is DeltaNet:
        expected = f + (h @ weight.T + bias)
    elif make is Chain:
        expected = h @ weight.T + bias
    else:
        linear = v @ weight[:, :17].T + bias
        expected = linear + torch.tanh(w["mix.a"]) * (h @ weight[:, 17:].T)
    prediction, features = evaluate(network.module, network.weights, x)
    torch.testing.assert_close(prediction, expected, rtol=1e-12, atol=1e-12)  # float64 sums in another order
    readout = features[-1] @ weight.T + bias
    torch.testing.assert_close(readout + f if make is DeltaNet else readout, prediction, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("make", [DeltaNet, Chain, MultiFidelity])
def test_a_stack_is_each_network_alone_on_its_own_samples(make, kind):
    networks = [composite(make, kind, seed) for seed in range(3)]
    x = torch.as_tensor(np.random.default_rng(0).normal(size=(3, 5, 9)))
    prediction, features = evaluate_stack(networks[0].module, stack([network.weights for network in networks]), x)
    for run, network in enumerate(networks):
        alone, layers = evaluate(network.module, network.weights, x[run])
        torch.testing.assert_close(prediction[run], alone, rtol=1e-11, atol=1e-11)  # numbers of order 100, other orders of sums
        assert len(layers) == len(features)
        for one, many in zip(layers, features, strict=True):
            torch.testing.assert_close(many[run], one, rtol=1e-11, atol=1e-11)


def test_a_composite_around_a_composite_is_a_base_like_any_other():
    data = dataset("MLP", 6, 2)
    architecture = DeltaNet(Chain(MODELS["MLP"], data.outputs, (4,)), data.outputs, (3,))
    network = build_network(architecture, data.inputs, data.outputs)
    x = torch.as_tensor(data.input_matrix).float()
    below = build_network(architecture.base, data.inputs, data.outputs)
    f = dataclasses.replace(below, weights=inner(network.weights, "base.")).predict(x)
    w = inner(network.weights, "small.")
    torch.testing.assert_close(network.predict(x), f + perceptron(w, x, 1) @ w["readout.weight"].T + w["readout.bias"])


def test_a_base_in_double_precision_takes_a_small_network_in_double_precision():
    data = dataset("MLP", 6, 2)
    architecture = MultiFidelity(pac.Module(nn.Linear(9, 8).double()), data.outputs)
    module = build_network(architecture, data.inputs, data.outputs).module
    assert {weight.dtype for weight in module.parameters()} == {DOUBLE}


# The starts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", ["delta net", "MFNN"])
def test_a_composite_starts_as_the_source_exactly_and_stays_there_without_samples(name, kind, dtype):
    source, data = surrogate(kind, dtype), dataset(kind, 6, 3)
    x = torch.as_tensor(np.random.default_rng(9).normal(size=(20, 9)))
    first, _ = started(source, METHODS[name], data)
    idle = solve(METHODS[name], source, data[:0])
    for found in (first, idle):
        # Products with 0 and 1 and sums with 0 do not round.
        assert torch.equal(found.predictor.predict(x), source.predictor.predict(x))
        assert found.network.dtype == dtype


def test_input_augmentation_starts_at_random_and_reports_that_it_needs_samples():
    source, data = surrogate("MLP"), dataset("MLP", 6, 3)
    starts = [started(source, METHODS["input augmentation"], data, seed)[0] for seed in (5, 5, 6)]
    assert torch.equal(starts[0].weights["small.readout.weight"], starts[1].weights["small.readout.weight"])
    assert not torch.equal(starts[0].weights["small.readout.weight"], starts[2].weights["small.readout.weight"])
    with pytest.raises(ValueError, match="InputAugmentation needs target samples"):
        check_case(METHODS["input augmentation"], case(source, data[:0]))


def test_mfnn_starts_linear_in_inputs_and_source_whatever_its_linear_part():
    source, data = surrogate("MLP"), dataset("MLP", 6, 3)
    first, _ = started(source, METHODS["MFNN"], data)
    readout = torch.randn(8, 21, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)

    def deviation(a):
        """The part of the prediction that is not linear in (x, f): the residual of a least-squares fit."""
        weights = first.weights | {"small.readout.weight": readout, "small.mix.a": torch.tensor([a], dtype=DOUBLE)}
        x = torch.as_tensor(np.random.default_rng(9).normal(size=(60, 9)))
        prediction, _ = evaluate(first.network.module, weights, x)
        columns = np.c_[x, source.predictor.predict(x), np.ones(60)]
        line = columns @ np.linalg.lstsq(columns, prediction.numpy(), rcond=None)[0]
        return np.abs(prediction.numpy() - line).max()

    assert deviation(0.0) < 1e-12
    assert deviation(0.3) > 1e-3


def test_mfnn_with_new_outputs_starts_at_the_targets_mean():
    source, data = surrogate("MLP"), dataset("MLP", 6, 3, name="pressure", points=3)
    first, _ = started(source, METHODS["MFNN"], data)
    assert first.network.new_readout
    expected = np.tile(data.y.mean(0), (60, 1))
    np.testing.assert_allclose(first.predict(dataset("MLP", 60, 1)), expected, rtol=1e-12)  # a readout of zeros


def test_only_the_small_network_trains_and_only_its_weight_tensors_are_pulled():
    source, data = surrogate("CNN"), dataset("CNN", 6, 3)
    for method in METHODS.values():
        _, plan = started(source, dataclasses.replace(method, strength=0.3), data)
        for name, weight in plan.start.items():
            small = name.startswith("small.")
            assert bool(plan.trainable[name]) is small
            assert float(plan.strength[name]) == (0.3 if small and weight.ndim >= 2 else 0.0)
            if not isinstance(method, MFNN) or name != "small.readout.weight":
                assert bool((plan.anchor[name] == 0).all())
            else:
                line = torch.cat([torch.zeros(8, 9), torch.eye(8), torch.zeros(8, 4)], dim=1)
                assert torch.equal(plan.anchor[name], line.double())
                assert torch.equal(weight[:, :17], line[:, :17].double())
                assert bool((weight[:, 17:] != 0).all())  # otherwise neither these weights nor a would have a gradient


@pytest.mark.parametrize("name", ["delta net", "MFNN"])
def test_an_endless_pull_leaves_the_source_up_to_a_shift(name):
    """Biases are not pulled: the prediction of each output moves by a constant."""
    source, data = surrogate("MLP"), dataset("MLP", 6, 3)
    x = torch.as_tensor(np.random.default_rng(9).normal(size=(20, 9)))

    def moved(strength):
        result = solve(dataclasses.replace(METHODS[name], strength=strength), source, data, steps=150)
        change = result.predictor.predict(x) - source.predictor.predict(x)
        return float((change - change.mean(0)).abs().max())

    assert moved(1e9) < 1e-3  # the size of Adam's last steps, which become small
    assert moved(0.0) > 2e-2


# Transfers ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", METHODS)
def test_the_frozen_source_keeps_its_bits_and_all_of_the_small_network_moves(name, kind):
    for dtype in (torch.float32, DOUBLE):
        source, data = surrogate(kind, dtype), dataset(kind, 6, 3)
        before = {name: weight.clone() for name, weight in source.weights.items()}
        result = solve(METHODS[name], source, data)
        first, _ = started(source, METHODS[name], data)
        kept = inner(result.weights, "base.")
        assert list(kept) == list(before)
        assert all(torch.equal(bits(kept[n]), bits(w)) and torch.equal(source.weights[n], w) for n, w in before.items())
        assert all(bool((w != first.weights[n]).any()) for n, w in result.weights.items() if n.startswith("small."))
        assert {w.dtype for w in result.weights.values()} == {dtype}


@pytest.mark.parametrize("kind", ["MLP", "CNN"])
def test_a_stack_of_transfers_is_every_one_alone(kind):
    methods = [method for method in METHODS.values() for _ in range(2)]
    cases = [case(surrogate(kind), dataset(kind, 6 + i, 3 + i), seed=i) for i in range(2)] * len(METHODS)
    for method, one, together in zip(methods, cases, outcomes(methods, *cases), strict=True):
        alone = outcome(method, one)
        assert together.sound
        for name, weight in alone.surrogate.weights.items():
            assert float((together.surrogate.weights[name] - weight).abs().max()) < 1e-10  # rounding of 30 float64 steps


@pytest.mark.parametrize("kind", ["MLP", "CNN"])
@pytest.mark.parametrize("name", ["input augmentation", "MFNN"])
def test_new_outputs_are_learnt_from_the_sources_old_ones(name, kind):
    source, data = surrogate(kind), dataset(kind, 9, 3, name="pressure", points=3)
    mean = float(((data.y - data.y.mean(0)) ** 2).mean())
    result = solve(dataclasses.replace(METHODS[name], learning_rate=2e-2), source, data, steps=120)
    assert float(((result.predict(data) - data.y) ** 2).mean()) < 0.5 * mean
    assert all(torch.equal(result.weights[f"base.{n}"], w) for n, w in source.weights.items())
    with pytest.raises(ValueError, match="need at least one target sample"):
        training_of(METHODS[name], case(source, data[:0]))


def test_a_delta_net_refuses_new_outputs_in_one_line():
    source, data = surrogate("MLP"), dataset("MLP", 6, 3, name="pressure")
    with pytest.raises(NotApplicableError, match=r"gives the source's outputs temperature \(8,\), not pressure \(8,\)") as e:
        training_of(METHODS["delta net"], case(source, data))
    assert "\n" not in str(e.value)
    assert outcome(METHODS["delta net"], case(source, data)).refused == str(e.value)


@pytest.mark.parametrize("name", METHODS)
def test_the_result_is_the_source_of_another_transfer(name):
    data = dataset("MLP", 6, 3)
    first = solve(METHODS[name], surrogate("MLP"), data)
    for method in (pac.FineTune(), pac.PAC(), MFNN(hidden=(3,))):
        second = solve(method, first, data, dataset("MLP", 20, 1))
        assert any(not torch.equal(w, first.weights[n]) for n, w in second.weights.items() if n in first.weights) or (
            second.network.architecture.base == first.network.architecture
        )
    new = dataset("MLP", 6, 3, name="pressure", points=3)
    if name == "delta net":
        with pytest.raises(ValueError, match=r"a DeltaNet predicts its base's outputs temperature \(8,\), not pressure \(3,\)"):
            with_outputs_of(first, new)
    else:
        again = with_outputs_of(first, new)
        assert {n for n, w in again.weights.items() if not w.any()} == {"small.readout.weight", "small.readout.bias"}
        np.testing.assert_allclose(again.predict(new), np.tile(new.y.mean(0), (6, 1)), rtol=1e-12)


def test_a_pruned_source_keeps_its_mask_and_the_small_network_around_it_is_essential():
    pruned = pac.prune_and_allocate(surrogate("MLP"), dataset("MLP", 20, 1), sparsity=0.5, train=False, device="cpu")
    first, _ = started(pruned, METHODS["MFNN"], dataset("MLP", 6, 3))
    for name, mask in first.essential.items():
        expected = pruned.essential[name.removeprefix("base.")] if name.startswith("base.") else torch.ones_like(mask)
        assert torch.equal(mask, expected)
    assert list(first.essential) == list(first.weights)


@pytest.mark.parametrize("method", [DeltaNetwork, InputAugmentation, MFNN])
@pytest.mark.parametrize("options", [{"strength": -1.0}, {"learning_rate": 0.0}, {"hidden": ()}, {"hidden": (4, 0)}])
def test_hyper_parameters_out_of_range_are_refused(method, options):
    with pytest.raises(ValueError, match=r"must be"):
        method(**options)


# Files ----------------------------------------------------------------------------------------------------------------------


def adapted(name, kind="MLP", points=8):
    variable = "temperature" if points == 8 else "pressure"
    return solve(METHODS[name], surrogate(kind), dataset(kind, 6, 3, variable, points), steps=5)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", METHODS)
def test_a_loaded_composite_is_the_saved_one_bit_for_bit(name, kind, tmp_path):
    for points in (8,) if name == "delta net" else (8, 3):
        saved = adapted(name, kind, points)
        saved.save(tmp_path / "s")
        loaded = pac.Surrogate.load(tmp_path / "s", model=MODELS[kind] if kind == "Module" else None)
        assert loaded.network.architecture == saved.network.architecture
        assert list(loaded.weights) == list(saved.weights)
        assert all(torch.equal(bits(loaded.weights[n]), bits(w)) for n, w in saved.weights.items())
        x = dataset(kind, 6, 3).input_matrix
        assert np.array_equal(loaded.predict(x), saved.predict(x))
        assert loaded.network.shape_key == saved.network.shape_key


def test_a_composite_of_a_composite_is_loaded_as_it_was(tmp_path):
    twice = solve(METHODS["delta net"], adapted("MFNN", "Module"), dataset("MLP", 6, 3), steps=2)
    twice.save(tmp_path / "s")
    loaded = pac.Surrogate.load(tmp_path / "s", model=MODELS["Module"])
    assert loaded.network.architecture == twice.network.architecture
    x = dataset("MLP", 6, 3).input_matrix
    assert np.array_equal(loaded.predict(x), twice.predict(x))


class Fourier(nn.Module):
    """A module with constants, which must be saved in the file."""

    def __init__(self, seed):
        super().__init__()
        self.register_buffer("frequencies", torch.randn(9, 4, generator=torch.Generator().manual_seed(seed)))
        self.readout = nn.Linear(4, 8)

    def forward(self, x):
        return self.readout(torch.sin(x @ self.frequencies))


def test_a_composite_around_a_users_module_is_loaded_only_with_its_code_and_gets_its_constants(tmp_path):
    data = dataset("MLP", 6, 3)
    architecture = pac.Module(Fourier(1))
    base = Surrogate(build_network(architecture, data.inputs, data.outputs), fit_scaling(data), data.inputs, data.outputs)
    saved = solve(METHODS["delta net"], base, data, steps=2)
    saved.save(tmp_path / "s")
    with pytest.raises(pac.DatasetError, match=r"a module of your own \(Fourier\): pass model=pac.Module") as caught:
        pac.Surrogate.load(tmp_path / "s")
    assert "\n" not in str(caught.value)
    loaded = pac.Surrogate.load(tmp_path / "s", model=pac.Module(Fourier(2)))
    assert np.array_equal(loaded.predict(data), saved.predict(data))


ARCHITECTURE = ("predictor", "architecture")
TAMPERED = {
    "a huge width": ("MLP", (*ARCHITECTURE, "hidden"), [10**12, 4], "weights do not fit the architecture"),
    "a huge width around a module": ("Module", (*ARCHITECTURE, "hidden"), [10**10, 4], "weights do not fit the architecture"),
    "another width around a module": ("Module", (*ARCHITECTURE, "hidden"), [5, 5], "weights do not fit the architecture"),
    "very many layers": ("MLP", (*ARCHITECTURE, "hidden"), [1] * 100_000, "weights do not fit the architecture"),
    "very many layers below": ("MLP", (*ARCHITECTURE, "base", "hidden"), [1] * 100_000, "weights do not fit the architecture"),
    "a huge width below": ("MLP", (*ARCHITECTURE, "base", "hidden"), [10**12, 7], "weights do not fit the architecture"),
    "very many blocks below": ("CNN", (*ARCHITECTURE, "base", "blocks"), 10**9, "weights do not fit the architecture"),
    "no base": ("MLP", (*ARCHITECTURE, "base"), None, "it lacks 'base'"),
    "a base of text": ("MLP", (*ARCHITECTURE, "base"), "MLP", "is not a complete surrogate"),
    "another kind": ("MLP", (*ARCHITECTURE, "kind"), "MultiFidelity", "weights do not fit the architecture"),
    "a base that is of no known kind": ("MLP", (*ARCHITECTURE, "base", "kind"), "os.system", r"of your own \(os.system\)"),
    "an MLP that claims a base": ("MLP", (*ARCHITECTURE, "kind"), "MLP", "is not a complete surrogate"),
    "no outputs of the base": ("MLP", (*ARCHITECTURE, "base_outputs"), None, "it lacks 'base_outputs'"),
    "vast outputs of the base": (
        "MLP",
        (*ARCHITECTURE, "base_outputs", 0, "shape"),
        [2**40],
        "weights do not fit the architecture",
    ),
    "outputs of broken length": ("MLP", (*ARCHITECTURE, "base_outputs", 0, "shape"), [8.0], "is not a complete surrogate"),
    "an unknown setting": ("MLP", (*ARCHITECTURE, "depth"), 3, "is not a complete surrogate"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("composites")
    for kind in MODELS:
        adapted("input augmentation", kind).save(folder / kind)
    return folder


@pytest.mark.parametrize("name", TAMPERED)
def test_a_spoilt_description_is_refused_in_one_line(name, files, tmp_path):
    kind, place, value, message = TAMPERED[name]
    tensors, header = load_tensors(files / kind)
    entry = header
    for key in place[:-1]:
        entry = entry[key]
    if value is None:
        del entry[place[-1]]
    else:
        entry[place[-1]] = value
    save_tensors(tmp_path / "bad", tensors, header)
    with pytest.raises(pac.DatasetError, match=message) as caught:
        pac.Surrogate.load(tmp_path / "bad", model=MODELS["Module"] if kind == "Module" else None)
    assert "\n" not in str(caught.value)


def test_a_deeply_nested_description_is_refused_in_one_line(files, tmp_path):
    tensors, header = load_tensors(files / "MLP")
    inside = header["predictor"]["architecture"]
    for depth in (40, 100):  # more networks than tensors; the JSON reader refuses deeper nesting
        nested = inside
        for _ in range(depth):
            nested = {**inside, "base": nested}
        header["predictor"]["architecture"] = nested
        save_tensors(tmp_path / "bad", tensors, header)
        with pytest.raises(pac.DatasetError, match="weights do not fit the architecture"):
            pac.Surrogate.load(tmp_path / "bad")
