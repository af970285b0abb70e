"""DELTA, LwF and BSS: terms of the objective that depend on the network's features or predictions at the target samples."""

import dataclasses

import cases
import numpy as np
import pytest
import torch
from adapting import case_of, outcome, outcomes, plan_of
from cases import dataset, same
from cases import largest_difference as distance
from torch import nn
from torch.nn import functional

import pac_surrogate as pac
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.methods.pulled.bss import BSS, SpectralShrinkage
from pac_surrogate.methods.pulled.delta import DELTA, attention_of, loss_attention
from pac_surrogate.methods.pulled.lwf import LwF
from pac_surrogate.methods.pulled.resemblance import resemble
from pac_surrogate.models import evaluate, evaluate_stack
from pac_surrogate.models.weights import stack
from pac_surrogate.surrogates.outputs import with_outputs_of

MODELS = {"MLP": pac.MLP(hidden=(8, 7)), "CNN": pac.CNN(channels=4, blocks=1, levels=1, kernel=1)}
NARROW = {"MLP": pac.MLP(hidden=(3, 2)), "CNN": pac.CNN(channels=2, blocks=1, levels=1, kernel=1)}


def surrogate(kind, dtype=torch.float64, model=None):
    return cases.surrogate(kind, dtype, model=model or MODELS[kind])


def solve(kind, *methods, samples=6, steps=25, output="temperature"):
    data = dataset(kind, max(1, samples), 10, 0.4, output)[:samples]
    return outcomes(list(methods), case_of(surrogate(kind), data, steps=steps, batch_size=16))


def scaled(kind, samples=6, output="temperature", model=None):
    data = dataset(kind, samples, 10, 0.4, output)
    start = with_outputs_of(surrogate(kind, model=model), data)
    return start, start.scaling.standardise(data)


def planned(method, kind, output="temperature", model=None):
    """The Plan of a method on the start and data that `scaled` returns."""
    return plan_of(method, case_of(surrogate(kind, model=model), dataset(kind, 6, 10, 0.4, output)))


def follow(start, plan, data, **options):
    given = {"steps": 40, "learning_rate": 1e-3, "dtype": torch.float64, "schedule": "cosine", "device": "cpu"} | options
    return pac.fit(start.network.module, [plan], [data], seeds=[0], **given)[0].weights


def moved(weights, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return {n: w + 0.3 * torch.randn(w.shape, generator=generator, dtype=w.dtype) for n, w in weights.items()}


def term(regularisers, model, weights, x, sample_weight):
    """The regulariser's term for each run of a stack."""
    arrays = {name: tensor.double() for name, tensor in stack([b.arrays for b in regularisers]).items()}
    weights = weights if isinstance(weights, dict) else stack(weights)
    return regularisers[0].term(arrays, model, x, sample_weight, *evaluate_stack(model, weights, x))


def linear_network_module():
    return pac.Module(nn.Sequential(nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 8)))


class WithFeatures(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(9, 5), nn.Linear(5, 8)

    def forward(self, x):
        h = torch.tanh(self.body(x))
        return self.head(h), (h,)


# Resemblance ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_the_term_is_its_equation_and_padding_does_not_count(kind):
    start, data = scaled(kind, 5)
    x = torch.as_tensor(data.input_matrix)
    now = moved(start.weights)
    (f, h), (f_source, h_source) = (evaluate(start.network.module, w, x) for w in (now, start.weights))
    attention = [torch.rand(a.shape[1], generator=torch.Generator().manual_seed(1)).double() for a in h]
    regulariser = resemble(start.weights, attention=attention, prediction=0.7)
    expected = 0.7 * float(np.mean((f - f_source).numpy() ** 2))
    for a, ours, theirs in zip(attention, h, h_source, strict=True):
        for channel in range(len(a)):
            squared = (ours[:, channel] - theirs[:, channel]).reshape(5, -1).numpy() ** 2
            expected += 0.5 * float(a[channel]) * squared.mean()
    padded = torch.cat([x, torch.full((3, 9), 5.0, dtype=torch.float64)])[None]
    sample_weight = torch.tensor([[0.2] * 5 + [0.0] * 3], dtype=torch.float64)
    found = term([regulariser], start.network.module, [now], padded, sample_weight)
    assert found.shape == (1,)
    assert float(found) == pytest.approx(expected, rel=1e-12)  # sums of 100 terms in another order
    assert float(term([regulariser], start.network.module, [start.weights], padded, sample_weight)) == 0.0


@pytest.mark.parametrize("kind", MODELS)
def test_the_gradient_follows_the_network_and_not_the_reference(kind):
    start, data = scaled(kind, 3, model=NARROW[kind])
    x, sample_weight = torch.as_tensor(data.input_matrix)[None], torch.full((1, 3), 1 / 3, dtype=torch.float64)
    _, features = evaluate(start.network.module, start.weights, x[0])
    regulariser = resemble(start.weights, attention=[torch.ones(h.shape[1]).double() for h in features], prediction=0.7)
    names, values = zip(*moved(start.weights).items(), strict=True)
    values = [value.requires_grad_() for value in values]

    def value(*tensors):
        return term(
            [regulariser], start.network.module, {n: t[None] for n, t in zip(names, tensors, strict=True)}, x, sample_weight
        )

    assert torch.autograd.gradcheck(value, values, atol=1e-7)


# DELTA ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_delta_with_attention_0_is_fine_tuning_with_its_readout_term(kind):
    start, data = scaled(kind)
    plan = planned(DELTA(strength=3.0, readout_strength=0.4), kind)
    zeros = [torch.zeros_like(plan.regulariser.arrays[f"attention/{layer}"]) for layer in plan.regulariser.layers]
    none = dataclasses.replace(plan, regulariser=resemble(start.weights, attention=zeros))
    tuned = planned(pac.FineTune(), kind)
    strength = tuned.strength | {"readout.weight": torch.tensor(0.4, dtype=torch.float64)}
    tuned = dataclasses.replace(tuned, strength=strength, anchor=start.weights)
    # The gradient is computed by autograd and in closed form: Adam may amplify the difference, which is rounding. The
    # readout's term has a larger effect.
    assert distance(follow(start, none, data), follow(start, tuned, data)) < 1e-10
    assert distance(follow(start, none, data), follow(start, planned(pac.FineTune(), kind), data)) > 1e-4
    assert distance(follow(start, plan, data), follow(start, tuned, data)) > 1e-3


def test_delta_pulls_the_readout_to_that_of_the_source_and_a_new_readout_to_0():
    for output, kept in (("temperature", True), ("pressure", False)):
        start, _ = scaled("MLP", output=output)
        plan = planned(DELTA(readout_strength=0.4), "MLP", output)
        assert {name: float(strength) for name, strength in plan.strength.items() if float(strength)} == {"readout.weight": 0.4}
        assert torch.equal(plan.anchor["readout.weight"], start.weights["readout.weight"])
        assert bool(plan.anchor["readout.weight"].any()) == kept


def test_an_endless_strength_keeps_the_features_and_lets_the_readout_learn():
    start, data = scaled("MLP")
    x = torch.as_tensor(data.input_matrix)
    before = evaluate(start.network.module, start.weights, x)
    held, free = (
        follow(start, planned(DELTA(strength=s, readout_strength=0.0, attention="uniform"), "MLP"), data) for s in (1e6, 0.0)
    )
    # Features differ only by the size of Adam's last steps; the readout continues to train.
    for ours, theirs in zip(evaluate(start.network.module, held, x)[1], before[1], strict=True):
        assert float((ours - theirs).abs().max()) < 5e-3
    assert float((evaluate(start.network.module, free, x)[1][1] - before[1][1]).abs().max()) > 2e-2
    assert float((held["readout.weight"] - start.weights["readout.weight"]).abs().max()) > 1e-2


def mlp_error(start, x, y, layer, channel):
    """Return the error of the MLP, written out, with one activation set to 0."""
    h = x
    for i in range(2):
        h = functional.gelu(h @ start.weights[f"hidden.{i}.weight"].T + start.weights[f"hidden.{i}.bias"])
        if i == layer:
            h = h * (torch.arange(h.shape[1]) != channel)
    return (h @ start.weights["readout.weight"].T + start.weights["readout.bias"] - y).square().mean()


def cnn_error(start, x, y, layer, channel):
    """Return the error of a CNN of kernel 1 and one level, with its second half written out and one channel set to 0."""
    w = start.weights
    _, (fine, coarse, last) = evaluate(start.network.module, w, x)

    def convolve(name, h):
        return torch.einsum("oc,ncx->nox", w[f"{name}.weight"][:, :, 0], h) + w[f"{name}.bias"][:, None]

    def without(h):
        return h * (torch.arange(h.shape[1]) != channel)[:, None]

    if layer == 1:
        h = convolve("narrow.0", without(coarse)).repeat_interleave(2, dim=-1) + fine
        last = functional.gelu(h + convolve("up.0.0.1", functional.gelu(convolve("up.0.0.0", functional.gelu(h)))))
    else:
        last = without(last)
    return (convolve("readout", last).flatten(1) - y).square().mean()


@pytest.mark.parametrize(("kind", "layer"), [("MLP", 0), ("MLP", 1), ("CNN", 1), ("CNN", 2)])
def test_attention_is_the_softmax_of_a_fifth_of_the_standardised_loss_increases_scaled_to_mean_1(kind, layer):
    start, data = scaled(kind)
    x, y = torch.as_tensor(data.input_matrix), torch.as_tensor(data.output_matrix)
    found = loss_attention(start, data)[layer]
    with torch.no_grad():
        whole = (evaluate(start.network.module, start.weights, x)[0] - y).square().mean()
        by_hand = mlp_error if kind == "MLP" else cnn_error
        increase = torch.stack([by_hand(start, x, y, layer, channel) - whole for channel in range(len(found))]).numpy()
    exponential = np.exp((increase - increase.mean()) / increase.std() / 5)
    expected = len(found) * exponential / exponential.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-10)  # sums in another order; the increases deviate by 1e-3 or more
    assert increase.std() > 1e-3
    assert float(found.mean()) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_attention_has_no_unit_and_of_two_channels_one_has_1_plus_tanh_of_a_fifth(unit):
    """Two standardised numbers are -1 and 1, whatever they were, and 2 e^(1/5) / (e^(1/5) + e^(-1/5)) = 1 + tanh(1/5)."""
    found = attention_of(unit * torch.tensor([3.0, 7.0], dtype=torch.float64))
    np.testing.assert_allclose(found, [1 - np.tanh(0.2), 1 + np.tanh(0.2)], rtol=1e-14)


def test_attention_is_uniform_where_the_loss_cannot_distinguish_channels():
    start, data = scaled("CNN")
    assert torch.equal(loss_attention(start, data)[0], torch.ones(4).double())  # a skip connection reads this layer too
    for kind in MODELS:
        for output, samples in (("pressure", 6), ("temperature", 0)):
            start, data = scaled(kind, 6, output)
            for attention in loss_attention(start, data[:samples]):
                assert torch.equal(attention, torch.ones_like(attention))
    nearly = torch.tensor([0.7, 0.7 * (1 + 1e-15), 0.7], dtype=torch.float64)  # equal but for rounding
    assert torch.equal(attention_of(nearly), torch.ones(3).double())


def test_models_that_delta_does_not_apply_to_are_refused_in_one_line_with_the_remedy():
    for attention in ("loss", "uniform"):
        with pytest.raises(NotApplicableError, match=r"returns no features: use L2SP$"):
            planned(DELTA(attention=attention), "MLP", model=linear_network_module())
    own = pac.Module(WithFeatures())
    with pytest.raises(NotApplicableError, match=r'needs an MLP or CNN, got Module: choose attention="uniform"$'):
        planned(DELTA(), "MLP", model=own)
    start, data = scaled("MLP", model=own)
    plan = planned(DELTA(attention="uniform"), "MLP", model=own)
    assert distance(follow(start, plan, data), start.weights) > 1e-3


# LwF -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_lwf_is_training_towards_a_mean_of_target_and_source(kind):
    """L(y) + s L(f_S) = (1 + s) L((y + s f_S) / (1 + s)) + constant for s = strength/2.

    The factor (1 + s) changes Adam's steps only through its epsilon, 1e-8.
    """
    start, data = scaled(kind)
    held = evaluate(start.network.module, start.weights, torch.as_tensor(data.input_matrix))[0].numpy()
    variable = data.outputs[0].name
    axes = {"initial": ("x",), variable: ("x",)} if kind == "CNN" else {}
    columns = {"initial": data.input_matrix[:, :8], "conductivity": data.input_matrix[:, 8]}
    mixed = pac.Dataset.from_arrays(columns, {variable: (data.output_matrix + 0.6 * held) / 1.6}, axes=axes)
    lwf = follow(start, planned(LwF(strength=1.2), kind), data)
    towards = follow(start, planned(pac.FineTune(), kind), mixed)
    assert distance(lwf, towards) < 1e-5
    assert distance(lwf, follow(start, planned(pac.FineTune(), kind), data)) > 1e-3


def test_lwf_of_strength_0_is_fine_tuning_and_an_endless_one_keeps_the_predictions():
    none, tuned, endless = (
        result.surrogate for result in solve("MLP", LwF(strength=0.0), pac.FineTune(), LwF(strength=1e9), steps=400)
    )
    assert distance(none.weights, tuned.weights) < 1e-10  # stacks of two and of one
    start, data = scaled("MLP")
    x = torch.as_tensor(data.input_matrix)
    before, held, free = (evaluate(start.network.module, w, x)[0] for w in (start.weights, endless.weights, tuned.weights))
    # Predictions differ only by the size of Adam's last steps.
    assert float((held - before).abs().max()) < 1e-4 < 1e-2 < float((free - before).abs().max())


def test_lwf_refuses_outputs_that_the_source_lacks():
    (result,) = solve("MLP", LwF(), output="pressure")
    assert result.refused == "LwF needs the source's outputs, got others, and a network has one readout: use DELTA or L2SP"


# BSS -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "rows", "count"), [("MLP", 5, 1), ("MLP", 5, 2), ("MLP", 12, 3), ("CNN", 12, 1), ("CNN", 3, 2)]
)
def test_the_spectral_term_is_the_tail_of_the_run_s_own_spectrum_whatever_the_padding(kind, rows, count):
    start, data = scaled(kind, rows)
    x = torch.as_tensor(data.input_matrix)
    last = evaluate(start.network.module, start.weights, x)[1][-1]
    matrix = last.mean(-1) if kind == "CNN" else last
    squared = np.sort(np.linalg.svd(matrix.numpy(), compute_uv=False) ** 2)
    regulariser = SpectralShrinkage(count, {"strength": torch.tensor(0.3, dtype=torch.float64)})
    for padding in (0, 2, 20):
        padded = torch.cat([x, torch.full((padding, 9), 5.0, dtype=torch.float64)])[None]
        sample_weight = torch.tensor([[1 / rows] * rows + [0.0] * padding], dtype=torch.float64)
        found = float(term([regulariser], start.network.module, [start.weights], padded, sample_weight))
        assert found == pytest.approx(0.3 * squared[:count].sum(), rel=1e-8)  # 1e-16 of the largest, relative to the smallest
    assert squared[0] > 1e-9


@pytest.mark.parametrize(("kind", "rows"), [("MLP", 5), ("MLP", 12), ("CNN", 6)])
def test_the_gradient_of_the_spectral_term_is_that_of_finite_differences(kind, rows):
    start, data = scaled(kind, rows, model=pac.CNN(channels=4, blocks=1, kernel=1) if kind == "CNN" else None)
    x = torch.cat([torch.as_tensor(data.input_matrix), torch.zeros(4, 9).double()])[None]
    sample_weight = torch.tensor([[1 / rows] * rows + [0.0] * 4], dtype=torch.float64)
    regulariser = SpectralShrinkage(2, {"strength": torch.tensor(50.0, dtype=torch.float64)})
    names, values = zip(*moved(start.weights).items(), strict=True)
    values = [value.requires_grad_() for value in values]

    def value(*tensors):
        return term(
            [regulariser], start.network.module, {n: t[None] for n, t in zip(names, tensors, strict=True)}, x, sample_weight
        )

    assert torch.autograd.gradcheck(value, values, atol=1e-6)
    slopes = torch.autograd.grad(value(*values).sum(), values, allow_unused=True)
    assert max(float(slope.abs().max()) for slope in slopes if slope is not None) > 1e-3


def test_a_rank_deficient_batch_has_a_gradient():
    start, data = scaled("MLP", 6)
    rows = torch.as_tensor(data.input_matrix)[[0, 0, 1, 1, 2, 2]][None]
    weights = {name: weight[None].clone().requires_grad_() for name, weight in start.weights.items()}
    regulariser = SpectralShrinkage(4, {"strength": torch.tensor(1.0, dtype=torch.float64)})
    value = term([regulariser], start.network.module, weights, rows, torch.full((1, 6), 1 / 6, dtype=torch.float64))
    slopes = torch.autograd.grad(value.sum(), list(weights.values()), allow_unused=True)
    assert all(bool(torch.isfinite(slope).all()) for slope in slopes if slope is not None)
    assert float(value.detach()) > 0  # the fourth smallest is the smallest nonzero value: three rows are distinct


def test_bss_shrinks_the_smallest_singular_value_and_strength_0_is_fine_tuning():
    none, tuned, shrunk = (r.surrogate for r in solve("MLP", BSS(strength=0.0), pac.FineTune(), BSS(strength=20.0), samples=20))
    assert distance(none.weights, tuned.weights) < 1e-10  # stacks of two and of one
    start, data = scaled("MLP", 20)
    x = torch.as_tensor(data.input_matrix)
    smallest = [float(torch.linalg.svdvals(evaluate(start.network.module, s.weights, x)[1][-1])[-1]) for s in (tuned, shrunk)]
    assert smallest[1] < 0.7 * smallest[0]


def test_a_run_that_is_not_finite_does_not_affect_its_neighbours():
    start, data = scaled("MLP", 6)
    sick = {name: torch.full_like(weight, torch.nan) for name, weight in start.weights.items()}
    x, sample_weight = torch.as_tensor(data.input_matrix)[None], torch.full((1, 6), 1 / 6, dtype=torch.float64)
    regulariser = SpectralShrinkage(1, {"strength": torch.tensor(1.0, dtype=torch.float64)})
    both = term([regulariser] * 2, start.network.module, [sick, start.weights], x.repeat(2, 1, 1), sample_weight.repeat(2, 1))
    alone = term([regulariser], start.network.module, [start.weights], x, sample_weight)
    assert torch.isnan(both[0])
    assert float(both[1]) == pytest.approx(float(alone), rel=1e-10)


def test_bss_refuses_too_few_samples_and_models_without_features_but_accepts_no_samples():
    refused, served, none = (solve("MLP", BSS(count=2), samples=samples)[0] for samples in (3, 4, 0))
    assert refused.refused == "BSS with count=2 needs at least 4 target samples for a spectrum, got 3: use FineTune"
    assert served.refused is None
    assert none.refused is None
    assert same(none.surrogate.weights, surrogate("MLP").weights)
    with pytest.raises(NotApplicableError, match="BSS needs a model that returns"):
        planned(BSS(), "MLP", model=linear_network_module())


# All ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_each_method_in_a_stack_with_others_gives_the_result_of_that_method_alone(kind):
    methods = (
        DELTA(),
        DELTA(strength=1.0),
        DELTA(attention="uniform"),
        LwF(),
        LwF(strength=3.0),
        BSS(),
        BSS(strength=0.5),
        BSS(count=2),
    )
    methods += (pac.FineTune(),)
    sizes = (6, 7)
    cases_of = [case_of(surrogate(kind), dataset(kind, n, 10, 0.4), steps=6, batch_size=16) for n in sizes]
    given = [(method, case) for method in methods for case in cases_of]
    together = outcomes([method for method, _ in given], *(case for _, case in given))
    for (method, case), result in zip(given, together, strict=True):
        alone = outcome(method, case)
        # Weights after 6 steps in float64; a run that its neighbours affected would differ by 1e-3.
        assert distance(alone.surrogate.weights, result.surrogate.weights) < 1e-10, method


@pytest.mark.parametrize("method", [DELTA(), LwF(), BSS()])
@pytest.mark.parametrize("kind", MODELS)
def test_each_method_works_in_single_precision_and_returns_the_source_without_samples(kind, method):
    for dtype in (torch.float32, torch.float64):
        start = surrogate(kind, dtype)
        data = dataset(kind, 6, 10, 0.4)
        none, some = (outcome(method, case_of(start, part, steps=25, batch_size=16)).surrogate for part in (data[:0], data))
        assert some.network.dtype == dtype
        assert same(none.weights, start.weights)
        assert distance(some.weights, start.weights) > 1e-3
        assert same(start.weights, surrogate(kind, dtype).weights)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DELTA(strength=-1.0), "strength must be finite and not negative, got -1.0"),
        (lambda: DELTA(readout_strength=float("nan")), "readout_strength must be finite and not negative, got nan"),
        (lambda: DELTA(attention="luck"), "attention must be 'loss' or 'uniform', got 'luck'"),
        (lambda: DELTA(learning_rate=0.0), "learning_rate must be positive"),
        (lambda: LwF(strength=float("inf")), "strength must be finite and not negative, got inf"),
        (lambda: LwF(learning_rate=-1.0), "learning_rate must be positive"),
        (lambda: BSS(strength=float("nan")), "strength must be finite and not negative, got nan"),
        (lambda: BSS(count=0), "count must be at least 1, got 0"),
        (lambda: BSS(learning_rate=0.0), "learning_rate must be positive"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
