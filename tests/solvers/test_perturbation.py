"""Perturbed inputs: the perturbation of the adversary, the objective of the trainer, and independence of a stack's runs."""

import numpy as np
import pytest
import torch
from torch import nn

import pac_surrogate as pac
from pac_surrogate.models import evaluate_stack, initial_weights
from pac_surrogate.models.weights import stack
from pac_surrogate.perturbation import Perturbation, perturbed, random_start
from pac_surrogate.plan import make_plan

RADII = (0.05, 0.2, 0.0)


def dataset(samples, seed):
    x = np.random.default_rng(seed).normal(size=(samples, 5))
    return pac.Dataset.from_arrays(x, np.stack([np.tanh(x @ np.linspace(-1, 1, 5)), x[:, 0]], axis=1))


def network(seeds=(0,), hidden=(16,)):
    data = dataset(4, 0)
    model = pac.MLP(hidden=hidden, activation="tanh").build(data.inputs, data.outputs)
    return model, [{n: w.double() for n, w in initial_weights(model, torch.Generator().manual_seed(s)).items()} for s in seeds]


def train(model, weights, datasets, perturbations, *, seeds=None, steps=12, batch_size=None, learning_rate=1e-2, **options):
    plans = [make_plan(w, perturbation=p) for w, p in zip(weights, perturbations, strict=True)]
    return pac.fit(
        model,
        plans,
        datasets,
        seeds=seeds or list(range(len(plans))),
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        dtype=torch.float64,
        device="cpu",
        **options,
    )


def losses(model, weights, x, y):
    prediction, _ = evaluate_stack(model, weights, x)
    return (prediction - y).square().mean(-1)


def batch(datasets):
    return (torch.as_tensor(np.stack([getattr(d, side) for d in datasets])) for side in ("input_matrix", "output_matrix"))


def test_the_adversary_stays_in_its_box_reaches_its_corners_and_raises_the_loss_above_that_of_noise():
    model, weights = network((0, 1, 2))
    stacked, data = stack(weights), [dataset(40, seed) for seed in (1, 2, 3)]
    x, y = batch(data)

    def slope(at):
        moved = at.detach().requires_grad_()
        return torch.autograd.grad(losses(model, stacked, moved, y).sum(), moved)[0]

    start = random_start((0, 1, 2), (40, 40, 40), 0, x)
    attack, noise = (perturbed(x, [Perturbation(r, steps) for r in RADII], start, slope) for steps in (3, 0))
    for run, radius in enumerate(RADII):
        eta = (attack[run] - x[run]).abs()
        assert float(eta.max()) <= radius + 1e-15  # x + eta - x rounds
        # Three steps of 2 radius / 3 cross the whole box: nearly every coordinate whose slope keeps its sign ends on a face.
        assert float((eta >= radius - 1e-12).double().mean()) > 0.9
        torch.testing.assert_close(noise[run], x[run] + radius * start[run], rtol=0, atol=1e-15)
        clean, random, worst = (losses(model, stacked, at, y)[run] for at in (x, noise, attack))
        if radius == 0.0:
            assert torch.equal(worst, clean)
            continue
        assert bool((worst >= random - 1e-12).double().mean() > 0.95)  # a few are near a minimum, where the slope changes sign
        assert float(worst.mean()) > float(random.mean()) + 0.5 * float((worst - clean).mean())
        # To first order the rise is radius ||dL/dx||_1; the contribution of curvature grows with the radius.
        rise = float((worst - clean).sum()) / (radius * float(slope(x)[run].abs().sum()))
        assert 1 - radius < rise < 1 + 2 * radius


def test_noise_needs_no_gradient():
    def slope(at):
        raise AssertionError("noise follows no gradient")

    x = torch.zeros(1, 3, 2, dtype=torch.float64)
    start = random_start((0,), (3,), 0, x)
    assert torch.equal(perturbed(x, [Perturbation(0.5, 0)], start, slope), 0.5 * start)


def linear(samples=20):
    """A linear model with residuals larger than the effect of any attack, so that no residual changes sign."""
    generator = np.random.default_rng(0)
    x, sign = generator.normal(size=(samples, 4)), generator.choice((-1.0, 1.0), samples)
    weight = torch.tensor([[0.5, -1.0, 0.25, 2.0]], dtype=torch.float64)
    residual = sign * generator.uniform(3, 4, samples)
    data = pac.Dataset.from_arrays(x, (x @ weight.numpy()[0] + 0.3 - residual)[:, None])
    model = pac.Module(nn.Linear(4, 1)).build(data.inputs, data.outputs)
    return model, {"module.weight": weight, "module.bias": torch.tensor([0.3], dtype=torch.float64)}, data, residual


@pytest.mark.parametrize("steps", [1, 3, 40])
def test_on_a_linear_model_the_objective_is_the_analytic_worst_case(steps):
    """The maximum over |eta|_inf <= eps of (r + w eta)^2 is (|r| + eps ||w||_1)^2."""
    model, weights, data, residual = linear()
    for radius in (0.1, 0.3):
        (result,) = train(model, [weights], [data], [Perturbation(radius, steps)], steps=1)
        worst = np.mean((np.abs(residual) + radius * 3.75) ** 2)
        assert abs(float(result.objective[0]) / worst - 1) < 1e-13  # rounding: clamping makes the corner exact


def test_the_adversary_uses_the_slope_at_its_current_point():
    """At the minimum the slope is 0 and gives no direction; from the random start the attack reaches (eps ||w||_1)^2."""
    model, weights, data, _ = linear()
    exact = pac.Dataset.from_arrays(data.x, data.x @ weights["module.weight"].numpy()[0][:, None] + 0.3)
    (result,) = train(model, [weights], [exact], [Perturbation(0.3, 3)], steps=1)
    assert abs(float(result.objective[0]) / (0.3 * 3.75) ** 2 - 1) < 1e-13


def test_the_objective_under_noise_is_that_of_the_random_start():
    model, weights, data, residual = linear()
    (result,) = train(model, [weights], [data], [Perturbation(0.3, 0)], steps=1, seeds=[7])
    eta = 0.3 * random_start((7,), (20,), 0, torch.zeros(1, 20, 4, dtype=torch.float64))[0].numpy()
    expected = np.mean((residual + eta @ weights["module.weight"].numpy()[0]) ** 2)
    assert abs(float(result.objective[0]) / expected - 1) < 1e-13
    assert abs(expected / np.mean(residual**2) - 1) > 1e-4  # different from that of the unperturbed inputs


def test_training_follows_the_gradient_at_the_perturbed_inputs():
    """Adam's first step is the rate against the sign of each gradient; the worst case of the only sample flips a sign."""
    data = pac.Dataset.from_arrays(np.array([[0.1, 1.0]]), np.array([[-1.0]]))
    model = pac.Module(nn.Linear(2, 1)).build(data.inputs, data.outputs)
    weights = {"module.weight": torch.tensor([[-0.4, 1.0]]).double(), "module.bias": torch.zeros(1).double()}
    moved = []
    for perturbation in (None, Perturbation(0.5, 3)):
        (result,) = train(model, [weights], [data], [perturbation], steps=1)
        moved.append((result.weights["module.weight"] - weights["module.weight"]).sign().flatten().tolist())
    assert moved == [[-1.0, -1.0], [1.0, -1.0]]  # residual 1.96 > 0; perturbed, the first input is 0.1 - 0.5 < 0


@pytest.mark.parametrize("attack_steps", [0, 3])
@pytest.mark.parametrize("batch_size", [None, 8])
def test_a_run_in_a_stack_with_other_radii_and_sizes_gives_the_result_of_that_run_alone(attack_steps, batch_size):
    model, weights = network((0, 1, 2))
    data = [dataset(samples, seed) for seed, samples in enumerate((20, 17, 23))]
    perturbations = [Perturbation(radius, attack_steps) for radius in RADII]
    together = train(model, weights, data, perturbations, batch_size=batch_size)
    for run in range(3):
        (alone,) = train(
            model, weights[run : run + 1], data[run : run + 1], perturbations[run : run + 1], seeds=[run], batch_size=batch_size
        )
        # Rounding over 12 steps in float64; a neighbour's radius or random start would move the objective by 1e-2.
        torch.testing.assert_close(together[run].objective, alone.objective, rtol=1e-10, atol=0)
        for name, weight in alone.weights.items():
            torch.testing.assert_close(together[run].weights[name], weight, rtol=0, atol=1e-10)


@pytest.mark.parametrize("attack_steps", [0, 3])
def test_a_radius_of_zero_is_no_perturbation_bit_for_bit_and_another_radius_is_not(attack_steps):
    model, weights = network()
    results = [
        train(model, weights, [dataset(20, 1)], [perturbation])[0]
        for perturbation in (None, Perturbation(0.0, attack_steps), Perturbation(0.01, attack_steps))
    ]
    assert torch.equal(results[0].objective, results[1].objective)
    assert all(torch.equal(weight, results[1].weights[name]) for name, weight in results[0].weights.items())
    assert not torch.equal(results[0].objective, results[2].objective)


def test_every_step_draws_another_start():
    model, weights = network()
    (run,) = train(model, weights, [dataset(20, 1)], [Perturbation(0.2, 0)], steps=4, learning_rate=0.0)
    assert len(set(run.objective.tolist())) == 4


def test_random_starts_are_uniform_different_in_each_run_and_zero_on_padding():
    like = torch.zeros(2, 4000, 3, dtype=torch.float64)
    start = random_start((0, 1), (4000, 1000), 5, like)
    assert torch.equal(start[1:, :1000], random_start((1,), (1000,), 5, like[:1, :1000]))
    assert bool((start[1, 1000:] == 0).all())
    drawn = start[0].flatten()
    assert 0.999 < float(drawn.abs().max()) <= 1  # the probability that none of 12,000 draws exceeds 0.999 is 6e-6
    assert abs(float(drawn.mean())) < 5 / np.sqrt(3 * 12000)  # five standard errors
    assert abs(float(drawn.square().mean()) - 1 / 3) < 5 * np.sqrt(4 / 45 / 12000)
    for seeds, step in (((0, 1), 6), ((2, 3), 5)):
        other = random_start(seeds, (4000, 1000), step, like)
        assert abs(float((other[0] * start[0]).mean())) < 5 / (3 * np.sqrt(12000))  # independent


@pytest.mark.parametrize("values", [{"radius": -0.1}, {"radius": float("nan")}, {"radius": float("inf")}, {"steps": -1}])
def test_perturbations_out_of_range_are_refused_in_one_line(values):
    with pytest.raises(ValueError, match="needs a finite radius >= 0 and steps >= 0") as caught:
        Perturbation(**{"radius": 0.1, **values})
    assert "\n" not in str(caught.value)
