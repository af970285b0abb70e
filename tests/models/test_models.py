"""Models: what a network computes, that a stack of networks computes the same, and which channel every column enters."""

import copy

import pytest
import torch
from drawing import normal as numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from modules import Fourier
from torch import nn
from torch.nn import functional

import pac_surrogate as pac
from pac_surrogate.files import Variable
from pac_surrogate.models import activation_size, check_model, evaluate, evaluate_many, evaluate_stack, initial_weights
from pac_surrogate.models.activations import ACTIVATIONS, SLOPES, VALUES, activation
from pac_surrogate.models.weights import inside
from pac_surrogate.predictors import build_network

DOUBLE = torch.float64
MODES = {"periodic": "circular", "zero": "constant", "replicate": "replicate"}

ROD = (
    (Variable("initial", ("x",), (8,)), Variable("conductivity")),
    (Variable("temperature", ("x",), (8,)),),
)
MOVIE = (
    (Variable("forcing", ("time", "x"), (3, 8)), Variable("modes", ("mode",), (2,))),
    (Variable("temperature", ("time", "x"), (2, 8)), Variable("flux", ("x",), (8,))),
)
PLATE = (
    (Variable("initial", ("x", "y"), (8, 4)), Variable("conductivity")),
    (Variable("velocity", ("x", "y", "channel"), (8, 4, 2)),),
)


def random_weights(model, seed=0, scale=0.5):
    """Draw weights whose biases are as large as the rest, so that a misplaced bias is noticed."""
    generator = torch.Generator().manual_seed(seed)
    return {n: scale * torch.randn(w.shape, generator=generator, dtype=DOUBLE) for n, w in model.named_parameters()}


def width(variables):
    return sum(variable.size for variable in variables)


def build(architecture, sides):
    return architecture.build(*sides)


MODELS = {
    "MLP": (pac.MLP(hidden=(9, 7)), MOVIE),
    "CNN 1-D": (pac.CNN(channels=3, blocks=2, padding="zero"), ROD),
    "CNN 1-D, levels": (pac.CNN(channels=2, blocks=1, levels=2, kernel=5, padding="replicate", activation="tanh"), MOVIE),
    "CNN 2-D, levels": (pac.CNN(channels=2, blocks=1, levels=1, padding="periodic", activation="silu"), PLATE),
}
every_model = pytest.mark.parametrize(("architecture", "sides"), MODELS.values(), ids=MODELS)


def mlp_by_hand(architecture, w, x):
    features = []
    for layer in range(len(architecture.hidden)):
        x = ACTIVATIONS[architecture.activation](functional.linear(x, w[f"hidden.{layer}.weight"], w[f"hidden.{layer}.bias"]))
        features.append(x)
    return functional.linear(x, w["readout.weight"], w["readout.bias"]), features


def cnn_by_hand(architecture, w, h):
    """The network on channels first, with torch's functions and explicit padding."""
    one = h.ndim == 3
    convolution = functional.conv1d if one else functional.conv2d
    pool = functional.avg_pool1d if one else functional.avg_pool2d
    act = ACTIVATIONS[architecture.activation]
    features = []

    def convolve(name, h):
        margin = w[f"{name}.weight"].shape[-1] // 2
        padded = functional.pad(h, (margin,) * (2 if one else 4), mode=MODES[architecture.padding]) if margin else h
        return convolution(padded, w[f"{name}.weight"], w[f"{name}.bias"])

    def blocks(name, h):
        for i in range(architecture.blocks):
            h = h + convolve(f"{name}.{i}.1", act(convolve(f"{name}.{i}.0", act(h))))
        features.append(h)
        return h

    def upsample(h):
        for axis in range(2, h.ndim):
            h = h.repeat_interleave(2, dim=axis)
        return h

    h, skips = convolve("lift", h), []
    for level in range(architecture.levels):
        skips.append(blocks(f"down.{level}", h))
        h = convolve(f"widen.{level}", pool(skips[-1], 2))
    h = blocks(f"down.{architecture.levels}", h)
    for level in reversed(range(architecture.levels)):
        h = blocks(f"up.{level}", upsample(convolve(f"narrow.{level}", h)) + skips[level])
    features[-1] = act(h)  # what the readout reads
    return convolve("readout", act(h)), features


# What a network computes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_mlp_is_affine_maps_with_activations_between(name):
    architecture = pac.MLP(hidden=(6, 4), activation=name)
    model = build(architecture, MOVIE)
    w, x = random_weights(model), numbers(5, width(MOVIE[0]))
    prediction, features = evaluate(model, w, x)
    expected, hidden = mlp_by_hand(architecture, w, x)
    # float64 rounding of sums of a few dozen terms of order 1.
    torch.testing.assert_close(prediction, expected, rtol=0, atol=1e-12)
    for got, wanted in zip(features, hidden, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("padding", MODES)
@pytest.mark.parametrize(("levels", "kernel", "blocks"), [(0, 3, 2), (1, 5, 1), (2, 3, 1), (0, 1, 1)])
def test_a_cnn_in_1d_is_the_network_of_its_docstring(padding, levels, kernel, blocks):
    architecture = pac.CNN(channels=3, blocks=blocks, kernel=kernel, padding=padding, levels=levels)
    model = build(architecture, ROD)
    w, x = random_weights(model, scale=0.3), numbers(4, 9)
    channels = torch.stack([x[:, :8], x[:, 8:].expand(4, 8)], dim=1)  # the conductivity is a constant channel
    prediction, features = evaluate(model, w, x)
    expected, groups = cnn_by_hand(architecture, w, channels)
    torch.testing.assert_close(prediction, expected[:, 0], rtol=1e-12, atol=1e-12)
    assert len(features) == 2 * levels + 1
    for got, wanted in zip(features, groups, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", MODES)
@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_cnn_in_2d_is_the_network_of_its_docstring(padding, levels):
    architecture = pac.CNN(channels=2, blocks=1, padding=padding, levels=levels, activation="relu")
    model = build(architecture, PLATE)
    w, x = random_weights(model, scale=0.3), numbers(3, 33)
    channels = torch.stack([x[:, :32].reshape(3, 8, 4), x[:, 32:, None].expand(3, 8, 4)], dim=1)
    expected, _ = cnn_by_hand(architecture, w, channels)
    # Channels are the last axis of a dataset.
    torch.testing.assert_close(evaluate(model, w, x)[0], expected.movedim(1, -1).flatten(1), rtol=1e-12, atol=1e-12)


# Stacks -------------------------------------------------------------------------------------------------------------------


@every_model
def test_a_stack_gives_every_run_its_result_alone_and_equals_the_vmap_of_the_forward_pass(architecture, sides):
    model = build(architecture, sides)
    runs = [random_weights(model, seed, scale=0.3) for seed in range(3)]
    stacked = {name: torch.stack([run[name] for run in runs]) for name in runs[0]}
    x = numbers(3, 5, width(sides[0]))  # every run with samples of its own
    prediction, features = evaluate_stack(model, stacked, x)
    mapped, mapped_features = torch.func.vmap(lambda w, rows: torch.func.functional_call(model, w, (rows,)))(stacked, x)
    torch.testing.assert_close(prediction, mapped, rtol=1e-12, atol=1e-12)
    for got, wanted in zip(features, mapped_features, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
    for i, run in enumerate(runs):
        alone, alone_features = evaluate(model, run, x[i])
        torch.testing.assert_close(prediction[i], alone, rtol=1e-12, atol=1e-12)
        for got, wanted in zip(features, alone_features, strict=True):
            torch.testing.assert_close(got[i], wanted, rtol=1e-12, atol=1e-12)


@every_model
def test_every_gradient_of_a_stack_is_that_of_the_run_alone_and_depends_on_no_other_run(architecture, sides):
    model = build(architecture, sides)
    runs = [{n: w.requires_grad_() for n, w in random_weights(model, seed, scale=0.3).items()} for seed in range(2)]
    stacked = {name: torch.stack([run[name] for run in runs]) for name in runs[0]}
    x, y = numbers(2, 5, width(sides[0])), numbers(2, 5, width(sides[1]), seed=1)
    together = (evaluate_stack(model, stacked, x)[0] - y).square().mean((1, 2))
    for i, run in enumerate(runs):
        other = [*runs[1 - i].values()]
        here = torch.autograd.grad(together[i], [*run.values(), *other], retain_graph=True, materialize_grads=True)
        alone = torch.autograd.grad((evaluate(model, run, x[i])[0] - y[i]).square().mean(), [*run.values()])
        for name, got, wanted in zip(run, here, alone, strict=False):
            torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-12, msg=name)
            assert wanted.any(), f"{name} has no effect"
        assert not any(gradient.any() for gradient in here[len(run) :])


@every_model
def test_a_batch_gives_the_predictions_of_its_samples_and_may_be_empty(architecture, sides):
    model = build(architecture, sides)
    w, x = random_weights(model, scale=0.3), numbers(4, width(sides[0]))
    together = evaluate(model, w, x)[0]
    for i in range(4):
        torch.testing.assert_close(together[i : i + 1], evaluate(model, w, x[i : i + 1])[0], rtol=1e-12, atol=1e-12)
    assert evaluate(model, w, x[:0])[0].shape == (0, width(sides[1]))


@every_model
def test_weights_evaluated_by_name_leave_the_modules_own_untouched(architecture, sides):
    model = build(architecture, sides)
    before = copy.deepcopy(model.state_dict())
    evaluate(model, random_weights(model), numbers(2, width(sides[0])))
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())


@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(0, 7), min_size=1, max_size=7), numbers_at_once=st.sampled_from([1, 300, 2**25]))
def test_many_predictions_are_the_single_ones_in_their_order_for_all_lengths(lengths, numbers_at_once):
    model = build(pac.MLP(hidden=(4,)), ROD)
    runs = [random_weights(model, seed) for seed in range(len(lengths))]
    inputs = [numbers(length, 9, seed=seed) for seed, length in enumerate(lengths)]
    together = evaluate_many(model, runs, inputs, numbers=numbers_at_once)
    assert len(together) == len(lengths)
    for prediction, run, x in zip(together, runs, inputs, strict=True):
        torch.testing.assert_close(prediction, evaluate(model, run, x)[0], rtol=1e-12, atol=1e-12)
        assert not prediction.requires_grad


def test_many_convolutional_predictions_are_the_single_ones():
    model = build(*MODELS["CNN 2-D, levels"])
    runs = [random_weights(model, seed, scale=0.3) for seed in range(4)]
    inputs = [numbers(length, 33, seed=seed) for seed, length in enumerate((3, 0, 3, 2))]
    for prediction, run, x in zip(evaluate_many(model, runs, inputs), runs, inputs, strict=True):
        torch.testing.assert_close(prediction, evaluate(model, run, x)[0], rtol=1e-12, atol=1e-12)
    assert evaluate_many(model, [], []) == []


# Symmetries of convolutions -----------------------------------------------------------------------------------------------


def shifted_difference(padding, levels, shift, sides=PLATE):
    """Largest difference between the prediction of a shifted field and the shifted prediction."""
    model = build(pac.CNN(channels=3, blocks=1, padding=padding, levels=levels), sides)
    w, field, conductivity = random_weights(model), numbers(2, 8, 4), numbers(2, 1, seed=1)

    def predict(field):
        return evaluate(model, w, torch.cat([field.flatten(1), conductivity], dim=1))[0].reshape(2, 8, 4, 2)

    moved = predict(field.roll(shift, (1, 2)))
    return float((moved - predict(field).roll(shift, (1, 2))).abs().max())


@pytest.mark.parametrize("shift", [(1, 0), (0, 3), (5, 2)])
def test_with_periodic_padding_a_shifted_field_gives_the_shifted_prediction(shift):
    assert shifted_difference("periodic", 0, shift) < 1e-12
    # With one level of halving, a shift by an even number of points is also a shift of the coarse grid; an odd one is not.
    assert shifted_difference("periodic", 1, tuple(2 * s for s in shift)) < 1e-12
    assert (shifted_difference("periodic", 1, shift) < 1e-12) == all(s % 2 == 0 for s in shift)


@pytest.mark.parametrize("padding", ["zero", "replicate"])
def test_predictions_with_other_paddings_depend_on_the_boundary(padding):
    assert shifted_difference(padding, 0, (1, 0)) > 1e-3


@pytest.mark.parametrize("padding", MODES)
@pytest.mark.parametrize("levels", [0, 1])
def test_a_mirrored_field_under_mirrored_kernels_gives_the_mirrored_prediction(padding, levels):
    model = build(pac.CNN(channels=3, blocks=1, padding=padding, levels=levels), ROD)
    w, field, conductivity = random_weights(model), numbers(2, 8), numbers(2, 1, seed=1)
    mirrored = {name: weight.flip(-1) if weight.ndim == 3 else weight for name, weight in w.items()}
    here = evaluate(model, w, torch.cat([field, conductivity], dim=1))[0]
    there = evaluate(model, mirrored, torch.cat([field.flip(1), conductivity], dim=1))[0]
    torch.testing.assert_close(there.flip(1), here, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", ["periodic", "replicate"])
def test_a_constant_field_stays_constant_unless_zeros_are_padded(padding):
    for sort, constant in ((padding, True), ("zero", False)):
        model = build(pac.CNN(channels=3, padding=sort, levels=1), ROD)
        prediction = evaluate(model, random_weights(model), torch.ones(1, 9, dtype=DOUBLE))[0]
        assert (float(prediction.std()) < 1e-12) == constant


# Which channel every column enters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", MODES)
def test_a_scalar_enters_as_a_constant_field(padding):
    """A scalar before, between or after the fields is the same input as a field that has this value everywhere."""
    architecture = pac.CNN(channels=3, blocks=1, padding=padding)
    u, field_a = (Variable(name, ("x",), (8,)) for name in "ua")
    scalar_a, scalars_b = Variable("a"), Variable("b", ("mode",), (2,))
    movie_b = Variable("b", ("time", "x"), (2, 8))
    with_scalars = architecture.build((scalar_a, u, scalars_b), ROD[1])
    with_fields = architecture.build((field_a, u, movie_b), ROD[1])
    w, values, b, a = random_weights(with_scalars), numbers(4, 8), numbers(4, 2, seed=1), numbers(4, 1, seed=2)
    short = torch.cat([a, values, b], dim=1)
    long = torch.cat([a.expand(4, 8), values, b[:, :, None].expand(4, 2, 8).flatten(1)], dim=1)
    torch.testing.assert_close(evaluate(with_scalars, w, short)[0], evaluate(with_fields, w, long)[0], rtol=1e-12, atol=1e-12)


def pointwise_identity(inputs, outputs, channels):
    """A CNN whose lift and readout pass channel i to channel i, exactly, because relu does not change positive numbers."""
    model = pac.CNN(channels=channels, blocks=1, kernel=1, activation="relu").build(inputs, outputs)
    w = {name: torch.zeros_like(weight, dtype=DOUBLE) for name, weight in model.named_parameters()}
    for name in ("lift", "readout"):
        rows, columns = w[f"{name}.weight"].shape[:2]
        w[f"{name}.weight"][:, :] = torch.eye(rows, columns, dtype=DOUBLE)[(...,) + (None,) * (w[f"{name}.weight"].ndim - 2)]
    return lambda x: evaluate(model, w, x)[0]


def test_times_of_a_field_are_channels_in_their_order():
    field = (Variable("u", ("time", "x"), (3, 8)),)
    x = numbers(2, 24).abs()
    assert torch.equal(pointwise_identity(field, field, 3)(x), x)
    # Three times in, the first two of them out: the columns are (time, x) in C order.
    assert torch.equal(pointwise_identity(field, (Variable("u", ("time", "x"), (2, 8)),), 3)(x), x[:, :16])
    # A dataset may also hold (x, time), which is only the transpose.
    turned = pointwise_identity(field, (Variable("u", ("x", "time"), (8, 3)),), 3)(x)
    assert torch.equal(turned.reshape(2, 8, 3), x.reshape(2, 3, 8).mT)


def test_channels_of_a_plate_stay_last_and_its_axes_keep_their_order():
    plate = (Variable("u", ("x", "y", "channel"), (8, 4, 2)),)
    x = numbers(2, 64).abs()
    assert torch.equal(pointwise_identity(plate, plate, 2)(x), x)
    first = pointwise_identity(plate, (Variable("u", ("x", "y"), (8, 4)),), 2)(x)
    assert torch.equal(first, x.reshape(2, 32, 2)[..., 0])


def test_time_and_channel_become_channels_in_the_order_time_then_channel():
    film = (Variable("u", ("time", "x", "y", "channel"), (3, 8, 4, 2)),)
    flat = (Variable("u", ("time", "channel", "x", "y"), (3, 2, 8, 4)),)
    x = numbers(2, 192).abs()
    assert torch.equal(pointwise_identity(film, film, 6)(x), x)
    turned = pointwise_identity(film, flat, 6)(x)
    assert torch.equal(turned.reshape(2, 3, 2, 8, 4), x.reshape(2, 3, 8, 4, 2).movedim(-1, 2))


def test_several_variables_keep_their_order_on_both_sides():
    sides = (Variable("u", ("time", "x"), (2, 8)), Variable("v", ("x",), (8,)), Variable("w", ("x", "channel"), (8, 2)))
    x = numbers(3, 40).abs()
    assert torch.equal(pointwise_identity(sides, sides, 5)(x), x)
    with_scalar = (Variable("a"), *sides)
    a = numbers(3, 1, seed=1).abs()
    shifted = pointwise_identity(with_scalar, sides, 6)(torch.cat([a, x], dim=1))
    assert torch.equal(shifted[:, :8], a.expand(3, 8))  # the scalar is channel 0
    assert torch.equal(shifted[:, 8:24], x[:, :16])  # u(t=0) and u(t=1) come next


# The user's modules -------------------------------------------------------------------------------------------------------


class Plain(nn.Module):
    def __init__(self, inputs=9, outputs=8):
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(2, 6), nn.LayerNorm(6)])
        self.body, self.head = nn.Linear(inputs, 6), nn.Linear(6, outputs)

    def forward(self, x):
        h = self.body(x)
        for norm in self.norms:
            h = norm(h)
        return self.head(torch.tanh(h))


class WithFeatures(Plain):
    def forward(self, x):
        h = torch.tanh(self.body(x))
        return self.head(h), (h,)


def test_a_users_module_predicts_the_same_as_without_the_wrapper():
    for module in (Plain(), WithFeatures()):
        model = pac.Module(module).build(*ROD)
        w, x = {name: weight.detach() for name, weight in model.named_parameters()}, numbers(3, 9).float()
        prediction, features = evaluate(model, w, x)
        own = module(x)
        assert torch.equal(prediction, own[0] if isinstance(module, WithFeatures) else own)
        assert len(features) == isinstance(module, WithFeatures)
        if features:
            assert torch.equal(features[0], own[1][0])


def test_a_stack_of_users_modules_with_group_and_layer_norm_gives_every_run_its_result_alone():
    for module in (Plain(), WithFeatures(), Fourier(9, 8)):
        model = pac.Module(module).build(*ROD)
        check_model(model)
        runs = [random_weights(model, seed) for seed in range(3)]
        stacked = {name: torch.stack([run[name] for run in runs]) for name in runs[0]}
        x = numbers(3, 4, 9)
        prediction, features = evaluate_stack(model, stacked, x)
        for i, run in enumerate(runs):
            alone, alone_features = evaluate(model, run, x[i])
            torch.testing.assert_close(prediction[i], alone, rtol=1e-12, atol=1e-12)
            for got, wanted in zip(features, alone_features, strict=True):
                torch.testing.assert_close(got[i], wanted, rtol=1e-12, atol=1e-12)


def test_constants_of_a_module_follow_the_precision_and_the_device_of_its_inputs():
    module = Fourier(9, 8)
    model = pac.Module(module).build(*ROD)
    w, x = random_weights(model), numbers(3, 9)
    expected = functional.linear(torch.cos(x @ module.frequencies.double()), w["module.head.weight"], w["module.head.bias"])
    torch.testing.assert_close(evaluate(model, w, x)[0], expected, rtol=1e-12, atol=1e-12)
    elsewhere = evaluate(model, {name: weight.to("meta") for name, weight in w.items()}, x.to("meta"))[0]
    assert elsewhere.device.type == "meta"
    assert module.frequencies.dtype == model.module.frequencies.dtype == torch.float32


def test_a_wrapped_module_is_a_copy():
    module = Plain()
    model = pac.Module(module).build(*ROD)
    before = copy.deepcopy(module.state_dict())
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert all(torch.equal(before[name], now) for name, now in module.state_dict().items())


def test_the_readout_of_a_module_is_the_named_layer_or_the_last_layer_with_weights():
    assert pac.Module(Plain()).build(*ROD).readout_name == "module.head"
    assert pac.Module(Plain(), readout="body").build(*ROD).readout_name == "module.body"
    assert pac.Module(nn.Sequential(nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 8))).build(*ROD).readout_name == "module.2"
    nested = pac.Module(nn.Sequential(nn.Linear(9, 5), nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 8))), readout="1")
    model = nested.build(*ROD)
    found = [name for name, mask in inside(dict(model.named_parameters()), model.readout_name).items() if mask]
    assert found == ["module.1.0.weight", "module.1.0.bias", "module.1.1.weight", "module.1.1.bias"]
    bare = pac.Module(nn.Linear(9, 8)).build(*ROD)
    assert all(inside(dict(bare.named_parameters()), bare.readout_name).values())


@pytest.mark.parametrize(
    ("module", "readout", "message"),
    [
        (nn.Linear(7, 8), None, r"Linear does not take inputs of shape \(sample, 9\): "),
        (nn.Linear(9, 5), None, r"Linear must predict \(sample, 8\), got \('sample', 5\)"),
        (nn.Tanh(), None, "Tanh holds no weights"),
        (Plain(), "nobody", "readout='nobody' is no submodule of Plain that holds weights; these do: 'norms.0', "),
        (Plain(), "bod", "readout='bod' is no submodule of Plain"),
    ],
)
def test_a_module_that_does_not_fit_is_refused_in_one_line(module, readout, message):
    with pytest.raises(ValueError, match=message) as caught:
        pac.Module(module, readout).build(*ROD)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm1d(6),
        nn.BatchNorm1d(6, track_running_stats=False),
        nn.Dropout(),
        nn.AlphaDropout(),
        nn.InstanceNorm1d(6, track_running_stats=True),
        nn.LSTM(6, 6),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_with_a_state_or_randomness_are_refused_by_name(layer):
    module = nn.Sequential(nn.Linear(9, 6), nn.Sequential(nn.Tanh(), layer))
    with pytest.raises(ValueError, match=rf"{type(layer).__name__} at '1\.1' .* use GroupNorm or LayerNorm") as caught:
        check_model(module)
    assert "\n" not in str(caught.value)
    check_model(nn.Sequential(nn.GroupNorm(2, 6), nn.LayerNorm(6), nn.InstanceNorm1d(6)))


# Initial weights ----------------------------------------------------------------------------------------------------------


@every_model
def test_initial_weights_depend_on_the_generator_alone(architecture, sides):
    model = build(architecture, sides)
    before, state = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    first = initial_weights(model, torch.Generator().manual_seed(3))
    torch.manual_seed(99)  # torch's own random stream has no effect
    again = initial_weights(build(architecture, sides), torch.Generator().manual_seed(3))
    other = initial_weights(model, torch.Generator().manual_seed(4))
    torch.random.set_rng_state(state)
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        assert not torch.equal(weight, other[name])
        assert torch.equal(model.state_dict()[name], before[name])
        assert not weight.requires_grad


def test_building_and_initialising_leave_torchs_random_stream_where_it_was():
    state = torch.random.get_rng_state()
    network = build_network(pac.MLP(hidden=(4,)), *ROD)
    initial_weights(network.module, torch.Generator().manual_seed(0))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_one_generator_gives_different_weights_each_time():
    model, generator = build(pac.MLP(hidden=(4,)), ROD), torch.Generator().manual_seed(0)
    first, second = initial_weights(model, generator), initial_weights(model, generator)
    assert not any(torch.equal(first[name], second[name]) for name in first)


def test_initial_weights_have_the_spread_of_torchs_own_layers():
    model = build(pac.MLP(hidden=(200,)), ROD)
    w = initial_weights(model, torch.Generator().manual_seed(0))
    # U(-1/3, 1/3) for 9 inputs: 1800 numbers, whose standard deviation of 0.19245 has a standard error of 0.8 %.
    assert float(w["hidden.0.weight"].abs().max()) <= 1 / 3
    assert float(w["hidden.0.weight"].std()) == pytest.approx(1 / 27**0.5, rel=0.04)


def test_a_layer_that_cannot_draw_its_weights_is_refused_by_name():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(9))

        def forward(self, x):
            return x * self.scale

    model = pac.Module(nn.Sequential(Scale(), nn.Linear(9, 8))).build(*ROD)
    with pytest.raises(ValueError, match=r"Scale at 'module\.0' holds weights but has no reset_parameters\(\)") as caught:
        initial_weights(model, torch.Generator())
    assert "\n" not in str(caught.value)


# Refusals -----------------------------------------------------------------------------------------------------------------

U8, U6, V8 = Variable("u", ("x",), (8,)), Variable("u6", ("x",), (6,)), Variable("v", ("x",), (8,))


@pytest.mark.parametrize(
    ("options", "inputs", "outputs", "message"),
    [
        ({"levels": 2}, [U6], [Variable("v6", ("x",), (6,))], r"levels=2 needs a grid that is divisible by 4, got \(6,\)"),
        ({"levels": 1}, [Variable("u", ("x", "y"), (8, 5))], [Variable("v", ("x", "y"), (8, 5))], "divisible by 2"),
        ({}, [U6], [V8], r"a CNN needs all fields on one grid, got .*u6.*6.*v.*8"),
        ({}, [U8], [Variable("flux")], r"the output flux has axes \(\): use MLP"),
        ({}, [U8], [V8, Variable("modes", ("mode",), (3,))], r"the output modes has axes \('mode',\): use MLP"),
        ({}, [U8], [Variable("v", ("y",), (8,))], "one grid"),
        ({}, [Variable("u", ("y", "x"), (4, 8))], [Variable("v", ("y", "x"), (4, 8))], r"the grid axes x or \(x, y\)"),
        ({"padding": "periodic", "kernel": 5, "levels": 3}, [U8], [V8], "a grid of 2 or more points for kernel=5, got 1"),
        ({"padding": "periodic", "kernel": 19}, [U8], [V8], "a grid of 9 or more points for kernel=19, got 8"),
    ],
)
def test_a_grid_that_a_cnn_does_not_apply_to_is_refused_in_one_line(options, inputs, outputs, message):
    with pytest.raises(ValueError, match=message) as caught:
        pac.CNN(**options).build(inputs, outputs)
    assert "\n" not in str(caught.value)


def test_the_widest_periodic_kernel_that_is_allowed_runs():
    model = pac.CNN(channels=2, blocks=1, kernel=17, padding="periodic").build([U8], [V8])
    assert evaluate(model, random_weights(model), numbers(1, 8))[0].shape == (1, 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pac.MLP(hidden=()), "hidden must be one or more widths"),
        (lambda: pac.MLP(hidden=(8, 0)), r"at least 1, got a tuple of 2"),
        (lambda: pac.MLP(activation="sine"), "unknown activation 'sine': choose from gelu, relu, silu, tanh"),
        (lambda: pac.CNN(activation="sine"), "unknown activation 'sine'"),
        (lambda: pac.CNN(kernel=4), "an odd kernel width, got kernel=4"),
        (lambda: pac.CNN(kernel=-1), "an odd kernel width, got kernel=-1"),
        (lambda: pac.CNN(padding="reflect"), "unknown padding 'reflect': choose from periodic, zero, replicate"),
        (lambda: pac.CNN(channels=0), "channels >= 1"),
        (lambda: pac.CNN(blocks=0), "blocks >= 1"),
        (lambda: pac.CNN(levels=-1), "levels >= 0"),
        (lambda: pac.CNN(blocks=2, levels=1, inner=(3, 3)), r"width of at least 1 for each of the 6 residual blocks, got"),
        (lambda: pac.CNN(blocks=2, inner=(3, 0)), r"of the 2 residual blocks, got a tuple of 2: \(3, 0\)"),
        (lambda: activation("sine"), "unknown activation"),
    ],
)
def test_an_impossible_architecture_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_the_inner_widths_of_a_cnn_are_those_of_its_blocks_downwards_and_then_upwards_from_the_finest_level():
    model = build(pac.CNN(channels=4, blocks=1, levels=2, inner=(1, 2, 3, 5, 6)), ROD)
    widths = {name: len(weight) for name, weight in model.named_parameters() if name.endswith(".0.0.bias")}
    assert widths == {
        **{"down.0.0.0.bias": 1, "down.1.0.0.bias": 2, "down.2.0.0.bias": 3},
        **{"up.0.0.0.bias": 5, "up.1.0.0.bias": 6},
    }
    same = build(pac.CNN(channels=4, blocks=1, levels=1, inner=(4, 8, 4)), ROD)
    shapes = [{n: w.shape for n, w in one.named_parameters()} for one in (same, build(pac.CNN(4, 1, levels=1), ROD))]
    assert shapes[0] == shapes[1]


def test_architectures_compare_by_value_and_are_hashable():
    assert pac.MLP(hidden=(8, 4)) == pac.MLP(hidden=(8, 4)) != pac.MLP(hidden=(4, 8))
    assert len({pac.MLP(), pac.MLP(), pac.CNN(), pac.CNN(levels=1)}) == 3


@every_model
def test_the_planned_memory_is_at_least_that_of_the_results_of_a_forward_pass(architecture, sides):
    model = build(architecture, sides)
    prediction, features = evaluate(model, random_weights(model), numbers(1, width(sides[0])))
    returned = prediction.numel() + sum(feature.numel() for feature in features)
    assert returned <= activation_size(model, width(sides[0])) <= 4 * (returned + width(sides[0]))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_slope_of_every_activation_is_that_of_autograd(name):
    z = torch.linspace(-4, 4, 101, dtype=DOUBLE).requires_grad_()  # including 0, where relu has slope 0 by convention
    h, back = activation(name)(z), numbers(101)
    (slope,) = torch.autograd.grad(h, z, back)
    # Autograd calls the same kernel; the bound allows for another one: a few rounding errors of values below 10.
    torch.testing.assert_close(SLOPES[name](back.clone(), z.detach(), h.detach()), slope, rtol=1e-14, atol=1e-14)
    value = VALUES[name](z.detach(), torch.empty(0, dtype=DOUBLE))
    torch.testing.assert_close(value, h.detach(), rtol=1e-14, atol=1e-14)
    assert set(SLOPES) == set(VALUES) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(
    "wanted", [("hidden.0.weight", "readout.bias"), ("readout.weight",), ("hidden.1.bias",), None], ids=str
)
def test_the_written_out_gradient_of_a_stack_is_that_of_autograd(name, wanted):
    model = build(pac.MLP(hidden=(9, 7), activation=name), MOVIE)
    runs = [random_weights(model, seed) for seed in range(3)]
    weights = {n: torch.stack([run[n] for run in runs]).requires_grad_() for n in runs[0]}
    x, target = numbers(3, 5, width(MOVIE[0])), numbers(3, 5, width(MOVIE[1]), seed=1)
    wanted = wanted or tuple(weights)
    given = {n: numbers(*weights[n].shape, seed=2) for n in wanted}
    added = {n: tensor.clone() for n, tensor in given.items()}
    plain = {n: weight.detach() for n, weight in weights.items()}
    written = model.gradient_stack(added)
    written.add(plain, written.enter(plain, x), lambda prediction: 3 * (prediction - target).square())
    cubes = (evaluate_stack(model, weights, x)[0] - target).pow(3).sum()
    expected = torch.autograd.grad(cubes, [weights[n] for n in wanted])
    for n, gradient in zip(wanted, expected, strict=True):
        # Sums of at most 5 x 24 products in float64, in another order: 120 rounding errors of 1e-16, with a margin of ten.
        torch.testing.assert_close(added[n] - given[n], gradient, rtol=1e-11, atol=1e-13 * float(gradient.abs().max()))
