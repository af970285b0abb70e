"""Weights as dictionaries, and Plans over them."""

import math

import pytest
import torch
from cases import bits
from hypothesis import given, settings
from hypothesis import strategies as st

from pac_surrogate.models.weights import digest, fingerprint, inside, masked, prunable, redundant, sparsity, stack, unstack
from pac_surrogate.plan import make_plan, stack_plans

DOUBLE = torch.float64
CPU = torch.device("cpu")


def weights(seed=0, dtype=DOUBLE):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"hidden.0.weight": (4, 3), "hidden.0.bias": (4,), "readout.weight": (2, 4), "readout.bias": (2,)}
    return {name: torch.randn(shape, generator=generator, dtype=dtype) for name, shape in shapes.items()}


def random_essential(seed=1):
    return {name: weight > 0 for name, weight in weights(seed).items()}


# Weights ------------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(numbers=st.lists(st.tuples(st.floats(width=32), st.booleans()), min_size=1))
def test_masking_keeps_the_bits_of_essential_weights_and_leaves_plus_zero_elsewhere(numbers):
    weight = torch.tensor([number for number, _ in numbers], dtype=torch.float32)
    mask = torch.tensor([kept for _, kept in numbers])
    result = masked({"w": weight}, {"w": mask})["w"]
    assert torch.equal(bits(result)[mask], bits(weight)[mask])
    assert not bits(result)[~mask].any()  # only +0.0 has no bit set; a product with 0 would give -0.0 and NaN


def test_masking_keeps_the_precision_and_changes_nothing_in_place():
    for dtype in (torch.float32, DOUBLE):
        given_weights, copy = weights(dtype=dtype), weights(dtype=dtype)
        result = masked(given_weights, random_essential())
        for name, weight in given_weights.items():
            assert result[name].dtype == dtype
            assert torch.equal(weight, copy[name])


def test_redundant_weights_are_exactly_those_that_are_not_essential():
    essential = random_essential()
    w = weights()
    parts = masked(w, essential), masked(w, redundant(essential))
    for name, weight in w.items():
        assert torch.equal(parts[0][name] + parts[1][name], weight)
        assert not (essential[name] & redundant(essential)[name]).any()


def test_tensors_of_two_axes_or_more_can_be_pruned():
    w = weights() | {"convolution.weight": torch.zeros(2, 2, 3), "norm.weight": torch.zeros(4), "slope": torch.zeros(())}
    assert prunable(w) == ["hidden.0.weight", "readout.weight", "convolution.weight"]


def test_sparsity_is_the_pruned_fraction_of_the_weight_tensors_biases_not_counted():
    essential = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights().items()}
    assert sparsity(essential) == 0.0
    essential["hidden.0.weight"][0] = False  # 3 of 12 + 8
    assert sparsity(essential) == pytest.approx(3 / 20, abs=1e-15)
    essential["readout.bias"][:] = False
    assert sparsity(essential) == pytest.approx(3 / 20, abs=1e-15)


def test_a_weight_is_inside_a_module_only_if_complete_parts_of_its_name_agree():
    w = weights() | {"readout2.weight": torch.zeros(1, 1), "scale": torch.zeros(1)}
    assert [name for name, mask in inside(w, "readout").items() if mask] == ["readout.weight", "readout.bias"]
    assert [name for name, mask in inside(w, "hidden").items() if mask] == ["hidden.0.weight", "hidden.0.bias"]
    assert [name for name, mask in inside(w, "scale").items() if mask] == ["scale"]
    with pytest.raises(
        ValueError, match=r"no weights belong to a module named 'read'; the tensors are: hidden\.0\.weight"
    ) as e:
        inside(w, "read")
    assert "\n" not in str(e.value)


def test_a_stack_is_separated_into_the_same_bits_that_it_was_made_of():
    runs = [weights(seed) for seed in range(3)]
    stacked = stack(runs)
    assert stacked["readout.weight"].shape == (3, 2, 4)
    for run, back in zip(runs, unstack(stacked), strict=True):
        assert list(back) == list(run)
        assert all(torch.equal(bits(back[name]), bits(run[name])) for name in run)


def test_runs_taken_from_a_stack_have_memory_of_their_own():
    stacked = stack([weights(0), weights(1)])
    first, second = unstack(stacked)
    stacked["readout.weight"].zero_()
    second["hidden.0.weight"].zero_()
    assert torch.equal(first["readout.weight"], weights(0)["readout.weight"])
    assert torch.equal(first["hidden.0.weight"], weights(0)["hidden.0.weight"])
    # A reference to one run must not keep the memory of all runs.
    assert first["readout.weight"].untyped_storage().nbytes() == 8 * first["readout.weight"].numel()


def test_a_digest_distinguishes_settings_names_shapes_precisions_and_every_bit():
    w = {"a": torch.tensor([0.0, 1.0])}
    others = [
        digest("settings", [w]),
        digest("other", [w]),
        digest("settings", [{"b": w["a"]}]),
        digest("settings", [{"a": w["a"][:, None]}]),
        digest("settings", [{"a": w["a"].to(torch.int32)}]),
        digest("settings", [{"a": torch.tensor([-0.0, 1.0])}]),
        digest("settings", [w, w]),
    ]
    assert len(set(others)) == len(others)
    transposed = torch.arange(6.0).reshape(2, 3)
    # The memory layout is not part of the content.
    assert digest(0, [{"a": transposed.T}]) == digest(0, [{"a": transposed.T.contiguous()}])


@pytest.mark.parametrize("numbers", [3, 5000])  # few numbers, and enough for a runner to keep their digest
def test_a_digest_changes_when_numbers_are_changed_in_place_in_any_way(numbers):
    """Changes through `.data`, NumPy or torch.no_grad keep the tensor the same object; the first two also keep its version."""
    weight = torch.arange(1.0, 1.0 + numbers)
    found = [digest("settings", [{"w": weight}])]
    weight.data.mul_(3)
    found.append(digest("settings", [{"w": weight}]))
    weight.numpy()[-1] = 0.5
    found.append(digest("settings", [{"w": weight}]))
    with torch.no_grad():
        weight[0] = -7.0
    found.append(digest("settings", [{"w": weight}]))
    assert len(set(found)) == 4
    assert found[-1] == digest("settings", [{"w": weight.clone()}])


# Plans --------------------------------------------------------------------------------------------------------------------


def test_in_a_plan_all_weights_train_by_default_and_nothing_else_is_set():
    w = weights()
    plan = make_plan(w)
    assert plan.trains
    for name in w:
        assert plan.start[name] is not None
        assert bool(plan.trainable[name])
        assert float(plan.anchor[name]) == 0.0
        assert float(plan.strength[name]) == 0.0
        assert plan.rate[name] == 1.0
    assert plan.essential is None
    assert not make_plan(w, trainable=False).trains
    assert not make_plan(w, trainable={name: torch.zeros_like(t, dtype=torch.bool) for name, t in w.items()}).trains


def test_strengths_and_rates_apply_to_the_given_names_and_are_neutral_for_others():
    w = weights()
    plan = make_plan(w, strength={"readout.weight": 0.3}, rate={"hidden.0.weight": 0.1})
    assert {name: float(s) for name, s in plan.strength.items()} == dict.fromkeys(w, 0.0) | {"readout.weight": 0.3}
    assert plan.rate == dict.fromkeys(w, 1.0) | {"hidden.0.weight": 0.1}
    fisher = torch.rand(2, 4, dtype=DOUBLE)
    assert torch.equal(make_plan(w, strength={"readout.weight": fisher}).strength["readout.weight"], fisher)


def test_a_plan_keeps_no_graph_of_the_weights_it_starts_from():
    w = {name: weight.requires_grad_() * 1.0 for name, weight in weights().items()}
    plan = make_plan(w, anchor=w)
    assert not any(tensor.requires_grad for tensor in (*plan.start.values(), *plan.anchor.values()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": -0.1}, r"strength must be finite and not negative, got -0\.1 for hidden\.0\.weight"),
        ({"strength": math.nan}, "strength must be finite and not negative, got nan"),
        ({"strength": math.inf}, "strength must be finite and not negative, got inf"),
        ({"strength": {"readout.weight": torch.tensor([[1.0, -2.0]])}}, r"got -2\.0 for readout\.weight"),
        ({"rate": {"readout.bias": -1.0}}, r"rate must be finite and not negative, got -1\.0 for readout\.bias"),
        ({"rate": {"readout.bias": math.nan}}, "rate must be finite and not negative, got nan"),
        ({"rate": {"readout.bias": math.inf}}, "rate must be finite and not negative, got inf"),
        ({"strength": {"nobody": 1.0}}, r"strength names weights that the model lacks: nobody; it has hidden\.0\.weight"),
        ({"rate": {"nobody": 1.0}}, "rate names weights that the model lacks: nobody"),
        ({"anchor": weights() | {"nobody": torch.zeros(1)}}, "anchor names weights that the model lacks: nobody"),
        ({"trainable": random_essential() | {"nobody": torch.tensor(True)}}, "trainable names weights that the model lacks"),
        ({"anchor": {"readout.bias": torch.zeros(2)}}, r"anchor must name every weight; it lacks hidden\.0\.bias"),
        ({"trainable": {"readout.bias": torch.tensor(True)}}, r"trainable must name every weight; it lacks hidden\.0\.bias"),
    ],
)
def test_an_inconsistent_plan_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_plan(weights(), **arguments)
    assert "\n" not in str(caught.value)


def test_a_stack_of_plans_holds_frozen_weights_at_their_start_and_records_which_are_free():
    w, essential = weights(), random_essential()
    plans = [
        make_plan(w, trainable=essential, anchor=w, strength=0.5),
        make_plan(weights(1), trainable=redundant(essential), strength={"readout.weight": 2.0}),
    ]
    stacked = stack_plans(plans, DOUBLE, CPU)
    ones = {name: torch.ones_like(weight) for name, weight in w.items()}
    for name in w:
        assert torch.equal(stacked.start[name], torch.stack([w[name], weights(1)[name]]))
        assert torch.equal(stacked.free[name][0], masked(ones, essential)[name])
        assert torch.equal(stacked.free[name][1], masked(ones, redundant(essential))[name])
        assert stacked.strength[name].flatten().tolist() == [0.5, 2.0 if name == "readout.weight" else 0.0]
        assert torch.equal(stacked.anchor[name][0], w[name])
        assert torch.equal(stacked.anchor[name][1], masked(weights(1), essential)[name])  # elsewhere the anchor is 0


def test_a_stack_of_plans_carries_only_tensors_that_a_run_trains_or_penalises():
    w = weights()
    probe = make_plan(w, trainable=inside(w, "readout"), strength={"readout.weight": 0.1})
    stacked = stack_plans([probe, probe], DOUBLE, CPU)
    assert stacked.live == ["readout.weight", "readout.bias"]
    assert not stacked.free  # all weights of both tensors train
    assert list(stacked.strength) == list(stacked.anchor) == ["readout.weight"]
    # A penalty on frozen weights is a constant of the objective and is left out.
    frozen = stack_plans([make_plan(w, trainable=inside(w, "readout"), strength={"hidden.0.weight": 0.1})], DOUBLE, CPU)
    assert not frozen.strength


def test_one_number_for_a_complete_tensor_takes_the_memory_of_one_number_per_run():
    w = weights()
    stacked = stack_plans([make_plan(w, strength=0.1), make_plan(w)], DOUBLE, CPU)
    assert stacked.trainable["readout.weight"].shape == (2, 1, 1)
    assert stacked.strength["readout.weight"].flatten().tolist() == [0.1, 0.0]
    assert stacked.anchor["readout.bias"].shape == (2, 1)


def test_plans_of_different_models_do_not_stack():
    wider = weights() | {"readout.weight": torch.zeros(3, 4, dtype=DOUBLE)}
    renamed = {name.replace("readout", "head"): weight for name, weight in weights().items()}
    for other in (wider, renamed):
        with pytest.raises(ValueError, match=r"for one model with the weights hidden\.0\.weight") as caught:
            stack_plans([make_plan(weights()), make_plan(other)], DOUBLE, CPU)
        assert "\n" not in str(caught.value)


def test_a_fingerprint_distinguishes_names_shapes_precisions_groups_every_bit_and_changes_in_place():
    large = torch.arange(4000.0)  # large enough that its digest is kept
    first = fingerprint({"w": large}, {})
    assert fingerprint({"w": large}, {}) == fingerprint({"w": large.clone()}, {}) == first
    others = [
        fingerprint({}, {"w": large}),
        fingerprint({"v": large}, {}),
        fingerprint({"w": large.view(40, 100)}, {}),
        fingerprint({"w": large.double()}, {}),
        fingerprint({"w": -large}, {}),  # differs in signs, including that of zero
        fingerprint({"w": large[:-1]}, {}),
        fingerprint({"w": large, "v": large}, {}),
    ]
    assert len({first, *others}) == 8
    large[3999] += 1
    assert fingerprint({"w": large}, {}) != first
    with torch.inference_mode():
        held = torch.arange(4000.0)
        assert fingerprint({"w": held}, {}) == first
        held += 1
        assert fingerprint({"w": held}, {}) != first
