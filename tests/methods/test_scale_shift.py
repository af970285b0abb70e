"""Scale-shift: the rows of the source are only scaled and shifted, with a pull towards the source."""

import dataclasses

import numpy as np
import pytest
import torch
from adapting import case_of, outcome, outcomes, plan_of, sound
from cases import MODELS, bits, dataset, surrogate
from torch import nn

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.methods.tuned.scale_shift import Scaled, ScaleShift
from pac_surrogate.models import initial_weights
from pac_surrogate.predictors import Network
from pac_surrogate.surrogates.surrogate import Surrogate


def case(source, data, seed=0, steps=100):
    return case_of(source, data, seed=seed, steps=steps, batch_size=16)


def solve(method, source, data, steps=100):
    return sound(method, case(source, data, steps=steps))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", MODELS)
def test_scale_shift_starts_as_the_source_bit_for_bit_and_stays_there_without_samples(kind, dtype):
    source = surrogate(kind, dtype)
    seen = plan_of(ScaleShift(), case(source, dataset(kind, 6, 3))).seen()
    idle = solve(ScaleShift(), source, dataset(kind, 6, 3)[:0])
    for found in (seen, idle.weights):
        assert list(found) == list(source.weights)
        assert all(torch.equal(bits(found[name]), bits(weight)) for name, weight in source.weights.items())


@pytest.mark.parametrize("kind", MODELS)
def test_rows_and_kernels_of_each_pair_of_channels_stay_multiples_of_those_of_the_source(kind):
    source = surrogate(kind)
    result = solve(ScaleShift(), source, dataset(kind, 6, 3))
    for name, before in source.weights.items():
        after = result.weights[name]
        assert bool((after != before).any()), name
        if before.ndim < 2:
            continue
        own = 1 if kind == "MLP" else 2
        scale = (after / before).flatten(own) if before.ndim > own else after / before
        spread = (scale.amax(-1) - scale.amin(-1)) if before.ndim > own else torch.zeros(1)
        assert float(spread.max()) < 1e-12  # rounding of a product and its quotient
        units = scale[..., 0].reshape(-1)
        assert float(units.max() - units.min()) > 1e-3  # each unit has a scale of its own


def test_convolutions_have_a_scale_for_each_pair_of_channels_and_gains_one_for_each_channel():
    source = surrogate("MLP")
    weights = {
        "lift.weight": torch.ones(4, 3, 5),
        "plate.weight": torch.ones(4, 3, 5, 5),
        "norm.weight": torch.ones(4),
        "norm.bias": torch.ones(4),
        "readout.weight": torch.ones(2, 4),
    }
    source = dataclasses.replace(source, predictor=dataclasses.replace(source.network, weights=weights))
    plan = plan_of(ScaleShift(strength=0.7), case(source, dataset("MLP", 3, 3)))
    added = {name: tuple(w.shape) for name, w in plan.start.items() if name not in weights}
    assert added == {
        "lift.weight:scale": (4, 3, 1),
        "plate.weight:scale": (4, 3, 1, 1),
        "norm.weight:scale": (4,),
        "readout.weight:scale": (2, 1),
    }
    moving = {name for name, mask in plan.trainable.items() if bool(mask)}
    assert moving == {*added, "norm.bias"}
    assert {name for name, pull in plan.strength.items() if float(pull) == 0.7} == moving
    assert all(float(plan.strength[name]) == 0.0 for name in plan.start if name not in moving)
    assert all(bool((plan.anchor[name] == 1).all()) for name in added)


def test_weights_are_scaled_in_every_run_of_a_stack():
    generator = torch.Generator().manual_seed(0)
    stack = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in {"w": (2, 3, 4), "bias": (2, 3), "w:scale": (2, 3, 1)}.items()
    }
    seen = Scaled(("w",))(stack)
    assert list(seen) == ["w", "bias"]
    for run in range(2):
        assert torch.equal(seen["w"][run], torch.diag(stack["w:scale"][run, :, 0]) @ stack["w"][run])


def test_on_a_linear_model_the_minimiser_is_the_ridge_towards_scale_1_and_shift_0():
    """Output o is linear in (s_o, t_o): (w_o x_i) s + t + b_o; the mean runs over samples and outputs."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(7, 3)), generator.normal(size=(7, 2))
    data = pac.Dataset.from_arrays(x, y)
    architecture = pac.Module(nn.Linear(3, 2))
    model = architecture.build(data.inputs, data.outputs)
    weights = {name: w.double() for name, w in initial_weights(model, torch.Generator().manual_seed(0)).items()}
    source = Surrogate(Network(architecture, model, weights), fit_scaling(data), data.inputs, data.outputs)
    strength = 0.3
    plan = plan_of(ScaleShift(strength=strength), case(source, data))
    (fit,) = pac.fit(model, [plan], [data], seeds=[0], steps=1500, learning_rate=1e-2, dtype=torch.float64, schedule="cosine")
    weight, bias = (weights[name].numpy() for name in ("module.weight", "module.bias"))
    for output in range(2):
        columns = np.c_[x @ weight[output], np.ones(7)]
        residual = y[:, output] - x @ weight[output] - bias[output]
        moved = np.linalg.solve(columns.T @ columns + 14 * strength / 2 * np.eye(2), columns.T @ residual)
        # The accuracy of Adam; a factor 2 in the pull moves scale and shift by 0.05.
        np.testing.assert_allclose(fit.weights["module.weight"][output].numpy(), (1 + moved[0]) * weight[output], atol=1e-8)
        np.testing.assert_allclose(float(fit.weights["module.bias"][output]), bias[output] + moved[1], atol=1e-8)
        assert np.abs(moved).max() > 0.05


def test_an_endless_pull_gives_back_the_source():
    source, data = surrogate("MLP"), dataset("MLP", 6, 3)

    def moved(strength):
        result = solve(ScaleShift(strength=strength), source, data, steps=500)
        return max(float((result.weights[name] - weight).abs().max()) for name, weight in source.weights.items())

    assert moved(1e9) < 1e-4  # the minimiser is within 1e-9; the rest is the size of Adam's last steps
    assert moved(0.1) > 1e-2


def test_a_readout_of_new_outputs_trains_in_full_and_freely():
    source, data = surrogate("MLP"), dataset("MLP", 9, 3, name="pressure")
    plan = plan_of(ScaleShift(), case(source, data))
    assert "readout.weight:scale" not in plan.start
    for name in ("readout.weight", "readout.bias"):
        assert bool(plan.trainable[name])
        assert float(plan.strength[name]) == 0.0
    result = solve(ScaleShift(), source, data)
    assert int(torch.linalg.matrix_rank(result.weights["readout.weight"])) == 7


@pytest.mark.parametrize("kind", MODELS)
def test_a_stack_gives_every_run_its_result_alone(kind):
    methods = (ScaleShift(), ScaleShift(strength=1.0), ScaleShift())
    cases = [case(surrogate(kind), dataset(kind, 6 + i, 3 + i), i) for i in range(len(methods))]
    for method, one, together in zip(methods, cases, outcomes(list(methods), *cases), strict=True):
        alone = outcome(method, one)
        assert together.sound
        for name, weight in alone.surrogate.weights.items():
            assert float((together.surrogate.weights[name] - weight).abs().max()) < 1e-10  # rounding of 100 float64 steps


@pytest.mark.parametrize("options", [{"strength": -1.0}, {"strength": float("nan")}, {"learning_rate": 0.0}])
def test_hyper_parameters_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        ScaleShift(**options)
