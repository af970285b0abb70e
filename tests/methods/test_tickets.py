"""Tickets: masks of groups, rounds that rewind, learned masks, and how robust tickets differ from natural tickets."""

import dataclasses

import numpy as np
import pytest
import torch
from adapting import case_of, outcome, outcomes, plan_of, problems, trainings, untrained
from cases import MODELS, bits, dataset, surrogate
from granularities import grouped
from torch import nn

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.methods.case import Budget
from pac_surrogate.methods.pruned.learned_mask import TopImportance
from pac_surrogate.methods.pruned.lth_t import LTHT
from pac_surrogate.methods.pruned.sparse_transfer import SparseTransfer
from pac_surrogate.methods.pruned.ticket import DrawTicket, Ticket, rounds_to
from pac_surrogate.models.weights import fingerprint, prunable
from pac_surrogate.perturbation import Perturbation
from pac_surrogate.predictors import build_network
from pac_surrogate.prepare import prepare
from pac_surrogate.pruning import magnitude_mask
from pac_surrogate.pruning.groups import keep_highest_groups
from pac_surrogate.surrogates.surrogate import Surrogate


def case_for(kind, *, target=6, start=None, name="temperature", source_steps=30):
    data = dataset(kind, 6, 3, 0.4, name)[:target]
    source = dataset(kind, 60, 1)
    return case_of(start or surrogate(kind), data, source, steps=40, source_steps=source_steps, batch_size=16)


def solve(kind, *methods, **options):
    return [result.surrogate for result in outcomes(list(methods), case_for(kind, **options))]


# One shot, and rounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "granularity"), [("MLP", "weight"), ("MLP", "row"), ("CNN", "kernel"), ("CNN", "channel")])
def test_omp_masks_the_weights_that_were_trained_on_the_source(kind, granularity):
    case = case_for(kind)
    (asked,), (trained,), ticket = trainings(DrawTicket("OMP", sparsity=0.5, granularity=granularity, exempt=()), case)
    assert asked.data is case.source
    assert all(bool(mask.all()) for mask in asked.plan.trainable.values())
    importance = {name: weight.abs() for name, weight in trained.weights.items()}
    exempt = () if granularity == "weight" else ("readout",)
    mask = keep_highest_groups(importance, 0.5, granularity=granularity, exempt=exempt)
    for name, weight in trained.weights.items():
        assert torch.equal(ticket.essential[name], mask[name])
        assert torch.equal(bits(ticket.weights[name]), bits(torch.where(mask[name], weight, 0.0)))


def test_rounds_keep_80_percent_of_the_remaining_weights_and_end_at_the_sparsity_exactly():
    for sparsity, rounds in ((0.2, 1), (0.36, 2), (0.37, 3), (0.8, 8), (0.9, 11)):
        gone = rounds_to(sparsity)
        assert len(gone) == rounds
        assert gone[-1] == sparsity
        left = 1 - np.array((0.0, *gone))
        np.testing.assert_allclose(left[1:-1] / left[:-2], 0.8, rtol=1e-12)
        assert 0.8 - 1e-12 < left[-1] / left[-2] < 1.0
    assert rounds_to(0.0) == (0.0,)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("method", [LTHT(0.6, exempt=()), Ticket("IMP", 0.6, radius=0.1, exempt=())])
def test_rounds_are_nested_with_exact_counts_and_rewind_bit_for_bit(method, kind):
    asked, trained, end = trainings(method, case_for(kind))
    pretrained = surrogate(kind).weights
    if isinstance(method, LTHT):
        rounds, rewind = asked[1:], pretrained
        tickets = [*(one.surrogate for one in rounds), end]
    else:  # a robust ticket rewinds to the robustly trained source
        rounds, rewind = asked[2:], trained[0].weights
        tickets = [one.surrogate for one in rounds]
        assert any(not torch.equal(rewind[name], weight) for name, weight in pretrained.items())
    before = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in pretrained.items()}
    for sparsity, ticket in zip(rounds_to(0.6), tickets, strict=True):
        for name, weight in ticket.weights.items():
            mask = ticket.essential[name]
            assert bool((mask <= before[name]).all())
            assert torch.equal(bits(weight), bits(torch.where(mask, rewind[name], 0.0)))
            gone = round(sparsity * weight.numel()) if name in prunable(pretrained) else 0
            assert int((~mask).sum()) == gone
        before = ticket.essential
    for ticket, one in zip(tickets, rounds, strict=False):
        assert all(torch.equal(one.plan.trainable[name], mask) for name, mask in ticket.essential.items())
    magnitude = magnitude_mask(rewind, 0.6)
    assert any(not torch.equal(magnitude[name], mask) for name, mask in before.items())  # the rounds prune by trained weights


def test_masks_stay_nested_where_kept_weights_are_zero_too():
    asking = problems(DrawTicket("IMP", 0.5, train_first=False, exempt=()), case_for("MLP"))
    asked, name = next(asking), "hidden.0.weight"

    def with_weights(weights):
        network = dataclasses.replace(asked.surrogate.network, weights=weights)
        return dataclasses.replace(asked.surrogate, predictor=network)

    weights = {n: torch.ones_like(weight) for n, weight in asked.surrogate.weights.items()}
    weights[name][-2:] = 0.0
    asked = asking.send(with_weights(weights))
    essential = asked.surrogate.essential[name]
    assert (int((~essential).sum()), int((~essential[-2:]).sum())) == (14, 14)  # of 72 weights: the last rows, not the first
    asked = asking.send(with_weights({n: torch.zeros_like(weight) for n, weight in weights.items()}))
    assert int((~asked.surrogate.essential[name]).sum()) == 26
    assert bool((asked.surrogate.essential[name] <= essential).all())


@pytest.mark.parametrize("scheme", ["OMP", "IMP", "LMP"])
def test_a_robust_ticket_differs_from_a_natural_one_by_the_perturbation_alone(scheme):
    case = case_for("MLP", source_steps=36)
    robust, natural, noisy = (
        trainings(Ticket(scheme, radius=radius, attack_steps=steps), case, untrained)[0]
        for radius, steps in ((0.1, 3), (0.0, 3), (0.1, 0))
    )

    def without(asked):
        """Return everything that distinguishes the trainings except their perturbations."""
        plans = [one.plan for one in asked]
        tensors = [fingerprint(p.start, p.trainable, p.anchor, p.strength, p.essential or {}) for p in plans]
        rest = [(p.rate, p.regulariser, p.reparametrisation, p.essential is None) for p in plans]
        return tensors, rest, [(one.data, one.steps, one.learning_rate) for one in asked]

    assert without(robust) == without(natural) == without(noisy)
    for asked, on_source in ((robust, Perturbation(0.1, 3)), (natural, None), (noisy, Perturbation(0.1, 0))):
        assert {one.plan.perturbation for one in asked if one.data is case.source} == {on_source}
        assert {one.plan.perturbation for one in asked if one.data is case.target} == {None}
    # A training of all weights; 8 rounds; a learned mask and the transfer.
    assert [one.steps for one in robust if one.data is case.source] == [36] * (9 if scheme == "IMP" else 1)
    assert sum(one.steps for one in robust if one.data is case.target) == 40
    drawn = solve("MLP", *(Ticket(scheme, radius=r, attack_steps=s) for r, s in ((0.1, 3), (0.0, 3), (0.1, 0))))
    for other in drawn[1:]:
        assert any(not torch.equal(other.weights[n], w) for n, w in drawn[0].weights.items())


# A learned mask -------------------------------------------------------------------------------------------------------------


def test_the_straight_through_gradient_is_the_sign_of_the_importance_times_weight_times_slope():
    weight = torch.tensor([[[2.0, -3.0], [5.0, 7.0]]], dtype=torch.float64)
    slope = torch.tensor([[[1.0, 10.0], [100.0, 1000.0]]], dtype=torch.float64)
    for shape, values, mask, expected in (
        # |s| = 0.3, 0.1, 0.4, 0.2: the two smallest are masked but still have a gradient.
        ((1, 2, 2), [0.3, -0.1, -0.4, 0.2], [[1, 0], [1, 0]], [2.0, 30.0, -500.0, 7000.0]),
        ((1, 2, 1), [-0.3, 0.4], [[0, 0], [1, 1]], [-(2.0 - 30.0), 500.0 + 7000.0]),  # rows: the sum over the group
    ):
        importance = torch.tensor(values, dtype=torch.float64).view(shape).requires_grad_()
        seen = TopImportance(0.5)({"w": weight, "w/importance": importance, "b": weight})
        assert list(seen) == ["w", "b"]
        assert torch.equal(seen["b"], weight)
        assert torch.equal(seen["w"], weight * torch.tensor(mask, dtype=torch.float64))  # exactly 0 and 1
        (seen["w"] * slope).sum().backward()
        assert importance.grad.flatten().tolist() == expected


@pytest.mark.parametrize(("kind", "granularity"), [("MLP", "weight"), ("MLP", "row"), ("CNN", "kernel"), ("CNN", "channel")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_learned_mask_is_an_exact_top_k_of_frozen_weights(kind, granularity, dtype):
    start = surrogate(kind, dtype)
    method = DrawTicket("LMP", 0.5, granularity, mask_learning_rate=0.05, train_first=False, exempt=())
    (ticket,), (idle,) = solve(kind, method, start=start), solve(kind, method, start=start, target=0)
    sizes = {name: weight.abs() for name, weight in start.weights.items()}
    exempt = () if granularity == "weight" else ("readout",)
    magnitude = keep_highest_groups(sizes, 0.5, granularity=granularity, exempt=exempt)
    integer = torch.int32 if dtype == torch.float32 else torch.int64
    for name, weight in start.weights.items():
        mask, kept = ticket.essential[name], torch.where(ticket.essential[name], weight, 0.0)
        assert torch.equal(ticket.weights[name].view(integer), kept.view(integer))  # frozen; zeros are +0.0
        assert torch.equal(idle.essential[name], magnitude[name])  # without a target, the mask of the start
        assert int(mask.sum()) == int(magnitude[name].sum())
        if name in prunable(start.weights) and name.split(".")[0] not in exempt:
            groups = grouped(mask, granularity)
            assert torch.equal(groups.any(1), groups.all(1))
    assert any(not torch.equal(ticket.essential[name], mask) for name, mask in magnitude.items())


def test_the_mask_moves_to_the_weights_that_the_target_needs():
    """The model is w x with w = (3, 2, 1, 0.9); the target has only the two smallest weights, and these are kept at the end."""
    x = np.random.default_rng(0).normal(size=(40, 4))
    data = pac.Dataset.from_arrays(x, (x[:, 2] + 0.9 * x[:, 3])[:, None])
    architecture = pac.Module(nn.Linear(4, 1))
    network = build_network(architecture, data.inputs, data.outputs)
    weights = {
        "module.weight": torch.tensor([[3.0, 2.0, 1.0, 0.9]], dtype=torch.float64),
        "module.bias": torch.zeros(1).double(),
    }
    start = Surrogate(dataclasses.replace(network, weights=weights), fit_scaling(data), data.inputs, data.outputs)
    plan = plan_of(DrawTicket("LMP", 0.5, train_first=False, exempt=()), case_of(start, data))
    assert plan.seen()["module.weight"].tolist() == [[3.0, 2.0, 0.0, 0.0]]
    (fit,) = pac.fit(
        network.module, [plan], [data], seeds=[0], steps=400, learning_rate=1e-2, dtype=torch.float64, device="cpu"
    )
    assert fit.weights["module.weight"].tolist() == [[0.0, 0.0, 1.0, 0.9]]
    assert float(fit.objective[-1]) == 0.0  # the target's own weights, bit for bit


def test_a_weight_of_zero_that_the_learned_mask_keeps_is_not_read_as_pruned():
    start, name = surrogate("MLP"), "hidden.0.weight"
    weights = {**start.weights, name: start.weights[name].clone()}
    weights[name][:4] = 0.0  # 36 of the 72 weights, which the mask of the start prunes
    start = dataclasses.replace(start, predictor=dataclasses.replace(start.network, weights=weights))
    (ticket,) = solve("MLP", DrawTicket("LMP", 0.75, train_first=False), start=start, target=0)
    assert int(ticket.essential[name].sum()) == 18
    (ticket,) = solve("MLP", DrawTicket("LMP", 0.25, train_first=False), start=start, target=0)
    assert int(ticket.essential[name].sum()) == 54  # 18 of them are 0
    assert int((ticket.weights[name] != 0).sum()) == 36


def test_rounds_move_the_mask_further_from_that_of_magnitude_with_more_steps_and_a_larger_learning_rate():
    def moved(rate, steps):
        (ticket,) = solve("MLP", LTHT(0.5, learning_rate=rate), source_steps=steps)
        magnitude = magnitude_mask(surrogate("MLP").weights, 0.5, exempt=("readout",))
        return sum(int((ticket.essential[name] != mask).sum()) for name, mask in magnitude.items())

    few, many, fast = moved(1e-3, 10), moved(1e-3, 80), moved(3e-2, 80)
    # Of 128 weights; a random mask would differ in about 64.
    assert few < many < fast < 70


# On the target --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["OMP", "IMP", "LMP"])
@pytest.mark.parametrize("regime", ["full", "linear"])
@pytest.mark.parametrize("name", ["temperature", "another"])
def test_on_the_target_either_the_kept_weights_train_or_only_the_dense_readout(scheme, regime, name):
    method = Ticket(scheme, sparsity=0.6, regime=regime, exempt=())
    (ticket,) = solve("MLP", method.drawing, name=name if scheme == "LMP" else "temperature")
    (result,) = solve("MLP", method, name=name)
    if scheme == "LMP" and name == "another":  # a new readout has no mask
        assert bool(ticket.essential["readout.weight"].all())
        assert bool((ticket.weights["readout.weight"] != 0).all())  # it trains; otherwise the importance would have no gradient
    for weight_name, weight in result.weights.items():
        mask, readout = result.essential[weight_name], weight_name.startswith("readout")
        assert bool((weight[~mask] == 0).all())
        if readout and (regime == "linear" or name == "another"):
            assert bool(mask.all())
        else:
            assert torch.equal(mask, ticket.essential[weight_name])
            assert int((~mask).sum()) == (round(0.6 * weight.numel()) if weight.ndim > 1 else 0)
        if regime == "linear" and not readout:
            assert torch.equal(bits(weight), bits(ticket.weights[weight_name]))
        if readout or regime == "full":
            assert bool((weight[mask] != 0).all())
    before = 0.0 if name == "another" else ticket.weights["readout.weight"]
    assert bool((result.weights["readout.weight"] != before).any())


def test_sparse_transfer_takes_a_recipe_of_rounds_and_a_case_without_groups_is_not_applicable():
    (result,) = solve("MLP", SparseTransfer(LTHT(sparsity=0.6)))
    assert int((result.weights["hidden.0.weight"] == 0).sum()) == round(0.6 * 8 * 9)
    for method in (Ticket(granularity="kernel"), SparseTransfer(LTHT(granularity="kernel"))):
        refused = outcome(method, case_for("MLP"))
        assert refused.method == method
        assert refused.refused.endswith("got the matrix hidden.0.weight: choose row, unit or weight")


def test_a_mask_of_an_earlier_transfer_is_forgotten_when_a_ticket_is_drawn():
    pruned = surrogate("MLP")
    nothing = {name: torch.zeros_like(weight, dtype=torch.bool) for name, weight in pruned.weights.items()}
    pruned = dataclasses.replace(pruned, predictor=dataclasses.replace(pruned.network, essential=nothing))
    for method in (DrawTicket("OMP"), DrawTicket("IMP"), DrawTicket("LMP"), LTHT()):
        fresh, again = (solve("MLP", method, start=start)[0] for start in (surrogate("MLP"), pruned))
        assert all(torch.equal(again.weights[name], weight) for name, weight in fresh.weights.items())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ticket("SNIP"), "scheme must be 'OMP', 'IMP' or 'LMP', got 'SNIP'"),
        (lambda: Ticket(granularity="column"), "must be 'weight', 'row', 'kernel', 'channel' or 'unit', got 'column'"),
        (lambda: Ticket(regime="half"), "regime must be 'full' or 'linear', got 'half'"),
        (lambda: Ticket(sparsity=1.0), r"sparsity must be in \[0, 1\), got 1.0"),
        (lambda: LTHT(sparsity=-0.1), r"sparsity must be in \[0, 1\), got -0.1"),
        (lambda: LTHT(granularity="column"), "granularity must be 'weight'"),
        (lambda: LTHT(learning_rate=0.0), "learning_rate must be positive and finite, got 0.0"),
        (lambda: Ticket(radius=-1.0), "a perturbation needs a finite radius >= 0 and steps >= 0, got radius=-1.0, steps=3"),
        (lambda: Ticket(attack_steps=-1), "a perturbation needs a finite radius >= 0 and steps >= 0"),
        (lambda: Ticket(mask_learning_rate=0.0), "learning_rate must be positive and finite, got 0.0"),
        (lambda: Ticket(learning_rate=float("nan")), "learning_rate must be positive and finite, got nan"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["OMP", "IMP", "LMP"])
@pytest.mark.parametrize("robust", [0.0, 0.1])
def test_a_ticket_is_drawn_on_its_own_with_the_requested_sparsity(scheme, robust):
    source, target = dataset("MLP", 60, 1), dataset("MLP", 6, 3, 0.4)
    drawn = pac.draw_ticket(
        surrogate("MLP"),
        source,
        scheme=scheme,
        sparsity=0.5,
        radius=robust,
        exempt=("hidden.1",),
        target=target,
        steps=20,
        batch_size=16,
        device="cpu",
    )
    data = target if scheme == "LMP" else source[:0]
    case = prepare(surrogate("MLP"), data, source).case(Budget(20, 20, 16), 0)
    result = outcome(DrawTicket(scheme, sparsity=0.5, radius=robust, exempt=("hidden.1",)), case)
    for name in prunable(drawn.weights):
        gone = 0 if name == "hidden.1.weight" else round(0.5 * drawn.essential[name].numel())
        assert int((~drawn.essential[name]).sum()) == gone
        assert not bits(drawn.weights[name])[~drawn.essential[name]].any()
        assert torch.equal(drawn.weights[name], result.surrogate.weights[name])
    if scheme == "LMP":
        with pytest.raises(ValueError, match="pass target=<target training samples>"):
            pac.draw_ticket(surrogate("MLP"), source, scheme=scheme, steps=1)
    with pytest.raises(
        ValueError, match=r"granularity 'channel' needs convolutions, got the matrix hidden\.0\.weight: choose row"
    ):
        pac.draw_ticket(surrogate("MLP"), source, scheme=scheme, granularity="channel", target=target, steps=1, device="cpu")
