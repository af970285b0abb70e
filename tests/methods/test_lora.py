"""LoRA: the source at the start, a change of low rank at the end, and the unrestricted solution at full rank."""

import dataclasses

import numpy as np
import pytest
import torch
from adapting import case_of, outcome, outcomes, plan_of, sound
from cases import MODELS, bits, dataset, surrogate
from torch import nn

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.methods.tuned.lora import LoRA, LowRank
from pac_surrogate.models import initial_weights
from pac_surrogate.models.weights import prunable
from pac_surrogate.predictors import Network
from pac_surrogate.surrogates.surrogate import Surrogate


def planned(source, method, kind="MLP"):
    return plan_of(method, case_of(source, dataset(kind, 6, 3), seed=5))


def case(source, data, seed=0):
    return case_of(source, data, seed=seed, steps=100, batch_size=16)


def solve(method, source, data):
    return sound(method, case(source, data))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", MODELS)
def test_lora_starts_as_the_source_bit_for_bit_and_stays_there_without_samples(kind, dtype):
    source = surrogate(kind, dtype)
    seen = planned(source, LoRA(), kind=kind).seen()
    idle = solve(LoRA(), source, dataset(kind, 6, 3)[:0])
    for found in (seen, idle.weights):
        assert list(found) == list(source.weights)
        assert all(torch.equal(bits(found[name]), bits(weight)) for name, weight in source.weights.items())


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", MODELS)
def test_the_change_of_every_weight_tensor_has_that_rank_and_frozen_biases_keep_their_bits(kind, rank):
    source = surrogate(kind)
    result = solve(LoRA(rank=rank, biases="frozen"), source, dataset(kind, 6, 3))
    for name, weight in source.weights.items():
        if weight.ndim < 2:
            assert torch.equal(bits(result.weights[name]), bits(weight))
            continue
        values = torch.linalg.svdvals((result.weights[name] - weight).flatten(1))
        assert float(values[0]) > 1e-3
        # W_S + BA has rounding errors of 1e-16; the singular values of an unrestricted change would all be near the first.
        assert bool((values[rank:] < 1e-14).all())
        assert bool((values[: min(rank, len(values))] > 1e-9).all())


def test_free_biases_train():
    source = surrogate("MLP")
    result = solve(LoRA(), source, dataset("MLP", 6, 3))
    assert all(bool((result.weights[name] != weight).any()) for name, weight in source.weights.items())


def test_a_rank_above_the_smaller_side_is_reduced_to_it_but_the_factor_is_not():
    plan = planned(surrogate("MLP"), LoRA(rank=100, scale=3.0))
    assert plan.start["hidden.1.weight:A"].shape == (7, 8)
    assert plan.start["hidden.1.weight:B"].shape == (7, 7)
    assert plan.reparametrisation.factor == 3.0 / 100


@pytest.mark.parametrize("shape", [(5, 4), (5, 3, 2), (4, 3, 2, 3)])
def test_the_change_is_alpha_over_r_times_b_a_in_every_run_of_a_stack(shape):
    generator = torch.Generator().manual_seed(0)
    rest = int(np.prod(shape[1:]))
    stack = {
        "bias": torch.randn(2, shape[0], generator=generator, dtype=torch.float64),
        "w": torch.randn(2, *shape, generator=generator, dtype=torch.float64),
        "w:A": torch.randn(2, 2, rest, generator=generator, dtype=torch.float64),
        "w:B": torch.randn(2, shape[0], 2, generator=generator, dtype=torch.float64),
    }
    seen = LowRank(("w",), factor=1.5)(stack)
    assert list(seen) == ["bias", "w"]
    for run in range(2):
        a, b, w = (stack[name][run].numpy() for name in ("w:A", "w:B", "w"))
        change = sum(np.multiply.outer(b[:, k], a[k].reshape(shape[1:])) for k in range(2))
        np.testing.assert_allclose(seen["w"][run].numpy(), w + 1.5 * change, rtol=0, atol=1e-13)  # sums of two products
        assert torch.equal(seen["bias"][run], stack["bias"][run])
    assert planned(surrogate("MLP"), LoRA(rank=2, scale=3.0)).reparametrisation.factor == 1.5


def test_a_is_drawn_with_the_variance_of_one_over_its_columns():
    source = surrogate("MLP")
    wide = {"body.weight": torch.zeros(300, 400, dtype=torch.float64), "readout.weight": torch.zeros(2, 300).double()}
    wide = dataclasses.replace(source, predictor=dataclasses.replace(source.network, weights=wide))
    drawn = planned(wide, LoRA(rank=50)).start["body.weight:A"]
    # 20,000 squares of normal numbers: their mean is known to 1 % (one standard deviation).
    assert float(drawn.square().mean()) * 400 == pytest.approx(1.0, abs=0.05)


def test_at_full_rank_a_linear_model_reaches_the_least_squares_solution():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(12, 3)), generator.normal(size=(12, 2))
    data = pac.Dataset.from_arrays(x, y)
    architecture = pac.Module(nn.Linear(3, 2))
    model = architecture.build(data.inputs, data.outputs)
    weights = {name: w.double() for name, w in initial_weights(model, torch.Generator().manual_seed(0)).items()}
    source = Surrogate(Network(architecture, model, weights), fit_scaling(data), data.inputs, data.outputs)
    plan = plan_of(LoRA(rank=2), case_of(source, data, seed=1))
    (fit,) = pac.fit(model, [plan], [data], seeds=[0], steps=1500, learning_rate=2e-2, dtype=torch.float64, schedule="cosine")
    expected = np.linalg.lstsq(np.c_[x, np.ones(12)], y, rcond=None)[0]
    found = np.c_[fit.weights["module.weight"].numpy(), fit.weights["module.bias"].numpy()].T
    np.testing.assert_allclose(found, expected, atol=1e-6)  # the accuracy of Adam after its last small steps
    start = np.c_[weights["module.weight"].numpy(), weights["module.bias"].numpy()].T
    assert np.abs(expected - start).max() > 0.1


def test_a_readout_of_new_outputs_trains_in_full():
    source, data = surrogate("MLP"), dataset("MLP", 9, 3, name="pressure")
    plan = plan_of(LoRA(rank=1), case_of(source, data))
    assert "readout.weight:A" not in plan.start
    assert bool(plan.trainable["readout.weight"])
    assert bool(plan.trainable["readout.bias"])
    assert not bool(plan.trainable["hidden.0.weight"])
    result = solve(LoRA(rank=1), source, data)
    ranks = {name: int(torch.linalg.matrix_rank(result.weights[name])) for name in prunable(result.weights)}
    assert ranks["readout.weight"] == 7
    for name in ("hidden.0.weight", "hidden.1.weight"):
        change = result.weights[name] - source.weights[name]
        assert int(torch.linalg.matrix_rank(change, atol=1e-12)) == 1


@pytest.mark.parametrize("kind", MODELS)
def test_a_stack_gives_every_run_its_result_alone(kind):
    methods = (LoRA(), LoRA(rank=2), LoRA(), LoRA(biases="frozen"))
    cases = [case(surrogate(kind), dataset(kind, 6 + i, 3 + i), i) for i in range(len(methods))]
    for method, one, together in zip(methods, cases, outcomes(list(methods), *cases), strict=True):
        alone = outcome(method, one)
        assert together.sound
        for name, weight in alone.surrogate.weights.items():
            # Rounding of 100 float64 steps; two of these runs differ by 1e-2.
            assert float((together.surrogate.weights[name] - weight).abs().max()) < 1e-10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"scale": 0.0}, "scale must be positive and finite, got 0.0"),
        ({"scale": float("nan")}, "scale must be positive and finite, got nan"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LoRA(**options)
