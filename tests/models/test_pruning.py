"""Pruning: exact counts even with ties, the right weights kept, and units without incoming weights."""

import math

import pytest
import torch
from drawing import generator
from hypothesis import given, settings
from hypothesis import strategies as st

from pac_surrogate.models.weights import masked, prunable, sparsity
from pac_surrogate.pruning import dead_units, magnitude_mask, random_mask, report
from pac_surrogate.pruning.importance import keep_highest

DOUBLE = torch.float64
SHAPES = st.lists(st.integers(1, 7), min_size=2, max_size=4)
SPARSITIES = st.floats(0, 1, exclude_max=True)


def network(inputs=5, hidden=8, outputs=3, seed=0):
    g = generator(seed)
    shapes = {
        "hidden.0.weight": (hidden, inputs),
        "hidden.0.bias": (hidden,),
        "norm.weight": (hidden,),
        "hidden.1.weight": (hidden, hidden),
        "readout.weight": (outputs, hidden),
        "readout.bias": (outputs,),
    }
    return {name: torch.randn(shape, generator=g, dtype=DOUBLE) for name, shape in shapes.items()}


def pruned_count(mask):
    return int((~mask).sum())


@settings(deadline=None)
@given(
    shape=SHAPES,
    rho=SPARSITIES,
    levels=st.integers(1, 4),
    seed=st.integers(0, 99),
    criterion=st.sampled_from([magnitude_mask, random_mask]),
)
def test_exactly_the_rounded_fraction_of_a_tensor_is_pruned_for_any_number_of_ties(shape, rho, levels, seed, criterion):
    options = {"generator": generator(seed)} if criterion is random_mask else {}
    # With one level of magnitude all weights are equal; with four levels there are many ties.
    w = {"w": torch.randint(levels, shape, generator=generator(seed)) - 1.5}
    total = w["w"].numel()
    gone = round(rho * total)
    if gone == total:
        with pytest.raises(ValueError, match="leaves nothing"):
            criterion(w, rho, **options)
        return
    essential = criterion(w, rho, **options)
    assert pruned_count(essential["w"]) == gone
    assert sparsity(essential) == pytest.approx(gone / total, abs=1e-15)
    if criterion is magnitude_mask and gone > 0:
        assert w["w"][essential["w"]].abs().min() >= w["w"][~essential["w"]].abs().max()


def test_among_equal_weights_the_earlier_is_pruned_first():
    assert magnitude_mask({"w": torch.ones(2, 3)}, 0.5)["w"].tolist() == [[False, False, False], [True, True, True]]
    assert magnitude_mask({"w": torch.tensor([[-2.0, 1.0], [2.0, -1.0]])}, 0.75)["w"].tolist() == [
        [False, False],
        [True, False],
    ]


@settings(deadline=None)
@given(rho=SPARSITIES, seed=st.integers(0, 99))
def test_in_global_scope_the_count_is_exact_over_all_tensors_together(rho, seed):
    w = network(seed=seed)
    names = prunable(w)
    total = sum(w[name].numel() for name in names)
    essential = {}
    if round(rho * total) < total:
        essential = magnitude_mask(w, rho, scope="global")
        assert sum(pruned_count(essential[name]) for name in names) == round(rho * total)
        kept, gone = (torch.cat([w[n][m[n]].abs() for n in names]) for m in (essential, {n: ~essential[n] for n in names}))
        assert not len(gone) or kept.min() >= gone.max()


def test_global_scope_prunes_the_layer_of_small_weights_and_layer_scope_prunes_all_layers_equally():
    w = network()
    w["hidden.1.weight"] *= 1e-3
    total, small = (sum(w[n].numel() for n in names) for names in (prunable(w), ["hidden.1.weight"]))
    together = magnitude_mask(w, small / total, scope="global")
    assert {name: pruned_count(together[name]) for name in prunable(w)} == {
        "hidden.0.weight": 0,
        "hidden.1.weight": small,
        "readout.weight": 0,
    }
    apart = magnitude_mask(w, 0.25)
    assert {name: pruned_count(apart[name]) for name in prunable(w)} == {
        "hidden.0.weight": 10,
        "hidden.1.weight": 16,
        "readout.weight": 6,
    }


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_biases_and_norm_layers_are_always_essential(scope):
    w = network()
    for name in ("hidden.0.bias", "norm.weight", "readout.bias"):
        w[name] = torch.zeros_like(w[name])  # the smallest possible magnitude, but still kept
    for essential in (magnitude_mask(w, 0.9, scope=scope), random_mask(w, 0.9, generator=generator(), scope=scope)):
        assert list(essential) == list(w)
        assert all(essential[name].dtype == torch.bool and essential[name].shape == w[name].shape for name in w)
        assert all(essential[name].all() for name in ("hidden.0.bias", "norm.weight", "readout.bias"))


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize(
    ("exempt", "spared"),
    [
        (["readout"], {"readout.weight"}),
        (["hidden"], {"hidden.0.weight", "hidden.1.weight"}),
        (["hidden.1.weight"], {"hidden.1.weight"}),
    ],
)
def test_exempt_tensors_and_modules_stay_whole_and_do_not_count(exempt, spared, scope):
    w = network()
    essential = magnitude_mask(w, 0.5, exempt=exempt, scope=scope)
    others = set(prunable(w)) - spared
    assert all(essential[name].all() for name in spared)
    assert sum(pruned_count(essential[name]) for name in others) == sum(w[name].numel() for name in others) // 2


def test_a_network_that_is_entirely_exempt_is_not_changed():
    w = network()
    for scope in ("layer", "global"):
        assert all(mask.all() for mask in magnitude_mask(w, 0.9, exempt=["hidden", "readout"], scope=scope).values())


@settings(deadline=None)
@given(floor=st.integers(0, 7), rho=st.floats(0, 0.9), seed=st.integers(0, 99))
def test_a_floor_keeps_the_largest_weights_of_every_unit_and_has_priority_over_the_count(floor, rho, seed):
    w = network(seed=seed)
    free, floored = magnitude_mask(w, rho), magnitude_mask(w, rho, min_keep_per_unit=floor)
    for name in prunable(w):
        kept = floored[name].sum(1)
        assert kept.min() >= min(floor, w[name].shape[1])
        assert torch.equal(kept, torch.maximum(free[name].sum(1), torch.tensor(min(floor, w[name].shape[1]))))
        # Within a unit too, kept weights are at least as large as pruned weights.
        for row, mask in zip(w[name].abs(), floored[name], strict=True):
            assert mask.all() or not mask.any() or row[mask].min() >= row[~mask].max()
    assert sparsity(floored) <= sparsity(free)


def test_the_realised_sparsity_shows_the_effect_of_a_floor():
    w = {"w": torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])}
    assert sparsity(magnitude_mask(w, 0.5)) == 0.5  # all of the first unit
    floored = magnitude_mask(w, 0.5, min_keep_per_unit=1)
    assert floored["w"].tolist() == [[False, False, False, True], [True, True, True, True]]
    assert sparsity(floored) == pytest.approx(3 / 8, abs=1e-15)


def test_a_floor_counts_all_incoming_weights_of_a_channel():
    w = {"w": torch.cat([torch.rand(1, 3, 5), 2 + torch.rand(1, 3, 5)])}
    essential = magnitude_mask(w, 0.5, min_keep_per_unit=2)
    assert essential["w"].flatten(1).sum(1).tolist() == [2, 15]


def test_dead_units_are_those_without_any_incoming_weight():
    essential = {
        "a.weight": torch.tensor([[False, False], [True, False], [False, False]]),
        "a.bias": torch.tensor([True, False, True]),
        "c.weight": torch.zeros(2, 3, 3, dtype=torch.bool).index_fill_(0, torch.tensor([1]), True),
    }
    assert dead_units(essential) == {"a.weight": 2, "c.weight": 1}


def test_two_inputs_at_sparsity_08_lose_63_percent_of_the_first_layers_units():
    """102 of 128 weights are pruned, so both weights of a unit are pruned with probability 102 x 101 / (128 x 127) = 0.634."""
    draws, units = 400, 64
    dead = torch.tensor(
        [
            [
                dead_units(magnitude_mask({"w": torch.randn(units, 2, generator=generator(seed))}, 0.8))["w"],
                dead_units(random_mask({"w": torch.ones(units, 2)}, 0.8, generator=generator(seed)))["w"],
            ]
            for seed in range(draws)
        ],
        dtype=DOUBLE,
    )
    expected = 102 * 101 / (128 * 127)
    assert round(expected, 2) == 0.63
    # The bound is four standard errors of about 0.002; even 0.8^2 = 0.64 is three of them away.
    error = dead.std(0) / units / draws**0.5
    assert (error < 0.0025).all()
    assert ((dead.mean(0) / units - expected).abs() < 4 * error).all()


def test_a_report_states_kept_weights_realised_sparsity_and_dead_units_of_each_tensor():
    text = report(magnitude_mask({"w": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": torch.ones(2)}, 0.5))
    assert text == "w: 2 of 4 weights essential (sparsity 0.500), 1 of 2 units without input"


def test_with_the_weights_a_report_begins_with_the_sparsity_of_the_body_and_all_weights_that_are_not_zero():
    weights = {
        "hidden.weight": torch.tensor([[1.0, -2.0, 0.5], [3.0, 4.0, 5.0]]),
        "hidden.bias": torch.tensor([0.0, 1.0]),
        "readout.weight": torch.tensor([[1.0, 2.0]]),
    }
    essential = magnitude_mask(weights, 0.5, exempt=("readout",))
    # Of 6 weights of the body 3 are pruned. A calibrated weight that is not essential is not 0, a bias is.
    assert report(essential, weights).splitlines()[0] == "sparsity 0.50 of the body, 9 of 10 weights not zero"
    assert report(essential, masked(weights, essential)).splitlines()[0] == (
        "sparsity 0.50 of the body, 6 of 10 weights not zero"
    )
    assert report(essential, weights, "hidden").startswith("sparsity 0.00 of the body")  # the other way round
    assert report(essential, weights).splitlines()[1:] == report(essential).splitlines()


def test_a_random_mask_depends_on_the_seed_alone_and_ignores_the_weights():
    w = network()
    first, again = (random_mask(w, 0.6, generator=generator(3)) for _ in range(2))
    other = random_mask(w, 0.6, generator=generator(4))
    scaled = random_mask({name: 100 * weight for name, weight in w.items()}, 0.6, generator=generator(3))
    for name in prunable(w):
        assert torch.equal(first[name], again[name])
        assert torch.equal(first[name], scaled[name])
        assert not torch.equal(first[name], other[name])
        assert not torch.equal(first[name], magnitude_mask(w, 0.6)[name])


def test_a_random_mask_keeps_every_weight_equally_often():
    draws = 2000
    g = generator(0)
    kept = sum(random_mask({"w": torch.zeros(4, 5)}, 0.7, generator=g)["w"].double() for _ in range(draws)) / draws
    # Each of the 20 fractions has the standard error sqrt(0.3 x 0.7 / 2000) = 0.0102; the bound is 4 standard errors.
    assert (kept - 0.3).abs().max() < 0.041


@pytest.mark.parametrize(
    ("rho", "options", "message"),
    [
        (1.0, {}, r"sparsity must be in \[0, 1\), got 1.0"),
        (-0.1, {}, r"sparsity must be in \[0, 1\), got -0.1"),
        (math.nan, {}, r"sparsity must be in \[0, 1\), got nan"),
        (0.99, {}, r"sparsity 0\.99 leaves nothing of hidden\.0\.weight \(40 weights\): lower sparsity or exempt it"),
        (
            0.9999,
            {"scope": "global"},
            r"leaves nothing of hidden\.0\.weight, hidden\.1\.weight, readout\.weight \(128 weights\)",
        ),
        (0.5, {"exempt": ["head"]}, "exempt names 'head', which holds no weights; the tensors are: hidden"),
        (0.5, {"exempt": ["read"]}, "exempt names 'read'"),
        (0.5, {"min_keep_per_unit": -1}, "min_keep_per_unit must not be negative, got -1"),
    ],
)
def test_impossible_prunings_are_refused_in_one_line(rho, options, message):
    for prune in (magnitude_mask, lambda *a, **k: random_mask(*a, generator=generator(), **k)):
        with pytest.raises(ValueError, match=message) as caught:
            prune(network(), rho, **options)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused_by_name_except_where_nothing_is_pruned(bad):
    w = network()
    w["readout.weight"][0, 0] = bad
    with pytest.raises(ValueError, match=r"pruning needs finite weights; the importance of some of readout\.weight is not"):
        magnitude_mask(w, 0.5)
    assert magnitude_mask(w, 0.5, exempt=["readout"])["readout.weight"].all()


def test_importance_may_be_negative_and_only_its_order_matters():
    importance = {"w": torch.tensor([[-3.0, -1.0], [-2.0, 0.5]])}
    assert keep_highest(importance, 0.5)["w"].tolist() == [[False, True], [False, True]]
