"""The trainer: its objective, and that a run in a stack gives the same result as the run alone."""

import dataclasses
import itertools
import json

import jaxtyping
import numpy as np
import pytest
import torch
from cases import largest_difference
from safetensors.torch import save_file
from torch import nn

import pac_surrogate as pac
from pac_surrogate.files import load_tensors, save_tensors
from pac_surrogate.models import initial_weights
from pac_surrogate.models.mlp_gradient import MLPGradient
from pac_surrogate.models.weights import inside, masked, prunable, redundant
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.pruning import magnitude_mask
from pac_surrogate.solvers.batches import PaddedData, minibatch_order
from pac_surrogate.solvers.training import fit

DOUBLE = torch.float64


def table(samples=12, inputs=5, outputs=3, seed=0):
    generator = np.random.default_rng(seed)
    return pac.Dataset.from_arrays(generator.normal(size=(samples, inputs)), generator.normal(size=(samples, outputs)))


def field(samples=6, points=8, seed=0):
    generator = np.random.default_rng(seed)
    return pac.Dataset.from_arrays(
        {"initial": generator.normal(size=(samples, points)), "conductivity": generator.normal(size=samples)},
        {"temperature": generator.normal(size=(samples, points))},
        axes={"initial": ("x",), "temperature": ("x",)},
    )


def network(data, kind):
    if kind == "user's module":  # evaluated by vmap, which returns gradients of weights in transposed memory layout
        return pac.Module(nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 3))).build(data.inputs, data.outputs)
    spec = pac.MLP(hidden=(9, 7)) if kind == "MLP" else pac.CNN(channels=5, blocks=1, levels=1, padding="periodic")
    return spec.build(data.inputs, data.outputs)


def start(model, seed=0):
    return {n: w.double() for n, w in initial_weights(model, torch.Generator().manual_seed(seed)).items()}


def plans_of_all_kinds(model, seeds=range(3)):
    """Return Plans that differ in all ways in which those of the methods differ."""
    plans = []
    for seed in seeds:
        w = start(model, seed)
        names = prunable(w)
        essential = magnitude_mask(w, 0.6)
        readout = inside(w, model.readout_name)
        plans += [
            make_plan(w),
            make_plan(w, rate={name: 1.0 if bool(readout[name]) else 0.1 for name in w}),
            make_plan(w, anchor=w, strength=dict.fromkeys(names, 0.3)),
            make_plan(w, trainable=readout, strength=0.01),
            make_plan(masked(w, essential), trainable=essential),
            make_plan(masked(w, essential), trainable=redundant(essential), strength=dict.fromkeys(names, 0.02)),
        ]
    return plans


def by_hand(model: nn.Module, plan: Plan, data, steps, rate):
    """Train one Plan in a plain loop: torch's own layers and Adam, with frozen weights restored after each step."""
    weights = {name: w.double().clone().requires_grad_() for name, w in plan.start.items()}
    adam = torch.optim.Adam(
        [{"params": [w], "lr": rate * plan.rate[name]} for name, w in weights.items()], fused=False, foreach=False
    )
    x, y = torch.as_tensor(data.input_matrix), torch.as_tensor(data.output_matrix)
    history = []
    for _ in range(steps):
        adam.zero_grad()
        prediction = torch.func.functional_call(model, weights, (x,))[0]
        penalty = sum(
            (plan.trainable[n] * plan.strength[n] * (w - plan.anchor[n]).square()).expand_as(w).sum()
            for n, w in weights.items()
        )
        objective = (prediction - y).square().mean() + 0.5 * penalty
        objective.backward()
        history.append(float(objective.detach()))
        for name, w in weights.items():
            w.grad = torch.where(plan.trainable[name], w.grad, 0.0)
        adam.step()
    return {name: w.detach() for name, w in weights.items()}, torch.tensor(history, dtype=DOUBLE)


@pytest.mark.parametrize("kind", ["MLP", "CNN", "user's module"])
def test_a_stack_follows_the_same_path_as_a_plain_adam_loop(kind):
    data = field() if kind == "CNN" else table()
    model = network(data, kind)
    plans = plans_of_all_kinds(model)
    fits = fit(model, plans, [data] * len(plans), seeds=range(len(plans)), steps=60, learning_rate=2e-3, dtype=DOUBLE)
    for plan, result in zip(plans, fits, strict=True):
        weights, history = by_hand(model, plan, data, 60, 2e-3)
        # float64 rounding, amplified by Adam where a gradient is only rounding; a wrong factor would cause differences of 1e-3.
        assert largest_difference(result.weights, weights) < 1e-10
        torch.testing.assert_close(result.objective, history, rtol=1e-10, atol=0)


@pytest.mark.parametrize("kind", ["MLP", "CNN"])
def test_a_run_in_a_stack_of_mixed_sizes_is_the_run_alone(kind):
    make = table if kind == "MLP" else field
    model = network(make(), kind)
    plans = plans_of_all_kinds(model)
    # All runs share stacks, in which smaller datasets are padded.
    datasets = [make(samples, seed=i) for i, samples in zip(range(len(plans)), itertools.cycle((6, 7, 8, 4)), strict=False)]
    rates = [1e-3 * (1 + i % 3) for i in range(len(plans))]
    options = {"steps": 200, "dtype": DOUBLE}
    together = fit(model, plans, datasets, seeds=range(len(plans)), learning_rate=rates, **options)
    for i, plan in enumerate(plans):
        (alone,) = fit(model, [plan], [datasets[i]], seeds=[i], learning_rate=rates[i], **options)
        # The bound of the specification after 200 steps; batched products may sum in another order.
        assert largest_difference(together[i].weights, alone.weights) < 1e-10
        torch.testing.assert_close(together[i].objective, alone.objective, rtol=1e-10, atol=1e-12)


def test_minibatches_and_validation_of_a_run_do_not_depend_on_its_stack():
    data = [table(50 + 3 * i, seed=i) for i in range(4)]
    valid = [table(20 + i, seed=10 + i) for i in range(4)]
    model = network(data[0], "MLP")
    plans = [make_plan(start(model, i)) for i in range(4)]
    options = {"steps": 130, "learning_rate": 3e-3, "batch_size": 16, "dtype": DOUBLE, "schedule": "cosine"}
    together = fit(model, plans, data, seeds=[5, 6, 7, 8], valid=valid, **options)
    for i in range(4):
        (alone,) = fit(model, [plans[i]], [data[i]], seeds=[5 + i], valid=[valid[i]], **options)
        assert largest_difference(together[i].weights, alone.weights) < 1e-10
        assert together[i].valid_error == pytest.approx(alone.valid_error, rel=1e-10)
    other = fit(model, plans, data, seeds=[9, 6, 7, 8], valid=valid, **options)
    assert not torch.equal(other[0].objective, together[0].objective)
    torch.testing.assert_close(other[1].objective, together[1].objective, rtol=1e-10, atol=0)


def test_an_epoch_of_minibatches_visits_every_row_once_and_can_be_drawn_from_any_step():
    order = minibatch_order(3, rows=20, batch_size=5, steps=8)
    for epoch in order.reshape(2, 20):
        assert sorted(epoch.tolist()) == list(range(20))
    assert not torch.equal(order[:4], order[4:])
    assert torch.equal(minibatch_order(3, 20, 5, 5, first=3), order[3:])
    data = table(20)  # the order is drawn in blocks of 256 steps
    drawn = torch.cat([x[0] for x, _, _ in PaddedData([data], DOUBLE, torch.device("cpu")).batches([3], 5, 300)])
    assert torch.equal(drawn, torch.as_tensor(data.input_matrix)[minibatch_order(3, 20, 5, 300).flatten()])
    ragged = minibatch_order(3, rows=7, batch_size=5, steps=14)  # 70 draws are ten epochs of 7
    assert torch.bincount(ragged.flatten()).tolist() == [10] * 7


def test_a_linear_model_with_a_pull_is_ridge_regression():
    data = table(30, inputs=4, outputs=2)
    model = pac.Module(nn.Linear(4, 2)).build(data.inputs, data.outputs)
    anchor = {
        name: torch.randn(w.shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(1)) for name, w in start(model).items()
    }
    plan = make_plan(start(model), anchor=anchor, strength={name: 0.4 for name in anchor})
    (result,) = fit(model, [plan], [data], seeds=[0], steps=4000, learning_rate=1e-2, dtype=DOUBLE, schedule="cosine")
    x = np.c_[data.input_matrix, np.ones(30)]
    prior = torch.cat([anchor["module.weight"], anchor["module.bias"][:, None]], dim=1).numpy().T
    # |X w - y|^2 / (30 x 2) + 0.4 / 2 |w - a|^2 is minimal where X'X (w - a) / 30 + 0.4 (w - a) = X'(y - X a) / 30.
    w = prior + np.linalg.solve(x.T @ x / 30 + 0.4 * np.eye(5), x.T @ (data.output_matrix - x @ prior) / 30)
    fitted = torch.cat([result.weights["module.weight"], result.weights["module.bias"][:, None]], dim=1).numpy().T
    np.testing.assert_allclose(fitted, w, atol=1e-8)  # the accuracy of Adam with a falling rate; another factor: 1e-2


def test_frozen_weights_keep_their_bits_even_negative_zeros_and_beside_a_diverging_run():
    data = table()
    model = network(data, "MLP")
    w = start(model)
    w["hidden.0.weight"][0, 0] = -0.0
    essential = magnitude_mask(w, 0.5)
    plans = [make_plan(w, trainable=essential), make_plan(w, trainable=essential)]
    fits = fit(model, plans, [data, data], seeds=[0, 1], steps=50, learning_rate=[1e-2, 1e300], dtype=DOUBLE)
    assert fits[0].diverged is None
    assert fits[1].diverged is not None
    for result in fits:
        for name in w:
            before, after = w[name][~essential[name]], result.weights[name][~essential[name]]
            assert torch.equal(before.view(torch.int64), after.view(torch.int64))
    assert not torch.equal(fits[0].weights["hidden.1.weight"], w["hidden.1.weight"])


def test_a_diverging_run_is_reported_with_its_step_and_leaves_its_neighbours_untouched():
    data = table()
    model = network(data, "MLP")
    plans = [make_plan(start(model, i)) for i in range(3)]
    sick = dataclasses.replace(plans[1], start={**plans[1].start, "readout.bias": torch.full((3,), float("nan"), dtype=DOUBLE)})
    options = {"seeds": [0, 1, 2], "steps": 30, "learning_rate": 1e-2, "dtype": DOUBLE}
    healthy = fit(model, plans, [data] * 3, **options)
    fits = fit(model, [plans[0], sick, plans[2]], [data] * 3, **options)
    assert [result.diverged for result in fits] == [None, 0, None]
    for i in (0, 2):
        assert largest_difference(fits[i].weights, healthy[i].weights) == 0.0  # the same products, so the same bits


def test_the_best_weights_by_validation_error_are_returned_on_request():
    data, valid = table(8, seed=1), table(40, seed=2)  # noise in both: the validation error grows with training
    model = network(data, "MLP")
    (last,) = fit(model, [make_plan(start(model))], [data], seeds=[0], steps=300, learning_rate=1e-2, dtype=DOUBLE)
    (best,) = fit(
        model, [make_plan(start(model))], [data], seeds=[0], steps=300, learning_rate=1e-2, dtype=DOUBLE, valid=[valid]
    )

    def error(weights):
        prediction = torch.func.functional_call(model, weights, (torch.as_tensor(valid.input_matrix),))[0]
        return float((prediction - torch.as_tensor(valid.output_matrix)).square().mean())

    assert error(best.weights) == pytest.approx(best.valid_error, rel=1e-12)
    assert error(best.weights) < min(error(last.weights), error(start(model)))


def test_the_size_of_stacks_changes_results_only_by_rounding():
    data = table()
    model = network(data, "MLP")
    plans = plans_of_all_kinds(model)
    options = {"seeds": range(len(plans)), "steps": 100, "learning_rate": 1e-3, "dtype": DOUBLE}
    one = fit(model, plans, [data] * len(plans), **options)
    many = fit(model, plans, [data] * len(plans), stack_memory=1, **options)
    assert max(largest_difference(a.weights, b.weights) for a, b in zip(one, many, strict=True)) < 1e-12


def test_finished_stacks_are_taken_from_the_cache_bit_for_bit_and_only_for_the_same_content(tmp_path, monkeypatch):
    data = table()
    model = network(data, "MLP")
    plans = plans_of_all_kinds(model)
    options = {"seeds": range(len(plans)), "steps": 20, "learning_rate": 1e-3, "cache": tmp_path, "stack_memory": 60_000}
    first = fit(model, plans, [data] * len(plans), **options)
    stacks = sorted(tmp_path.iterdir())
    assert len(stacks) > 1
    trained = []
    original = pac.solvers.training._train
    monkeypatch.setattr(pac.solvers.training, "_train", lambda *a, **k: trained.append(1) or original(*a, **k))
    again = fit(model, plans, [data] * len(plans), **options)
    assert not trained
    for a, b in zip(first, again, strict=True):
        assert largest_difference(a.weights, b.weights) == 0.0
        assert torch.equal(a.objective, b.objective)
        assert (a.diverged, a.valid_error) == (b.diverged, b.valid_error)
    stacks[0].unlink()
    fit(model, plans, [data] * len(plans), **options)
    assert len(trained) == 1
    fit(model, plans, [data] * len(plans), **{**options, "learning_rate": 2e-3})
    assert len(trained) == 1 + len(stacks)


@dataclasses.dataclass(frozen=True)
class Half:
    """The model's weights are half of the trained tensors, one of which has another name."""

    def __call__(self, parameters):
        return {name.removeprefix("twice "): tensor / 2 for name, tensor in parameters.items()}


def halved(model):
    """Return a Plan with this reparametrisation."""
    doubled = {f"twice {name}" if name == "readout.bias" else name: 2 * weight for name, weight in start(model).items()}
    return make_plan(doubled, reparametrisation=Half())


@pytest.mark.parametrize("steps", [0, 20])
def test_the_trained_tensors_of_a_reparametrisation_come_with_the_weights_and_from_the_cache(steps, tmp_path):
    data = table()
    model = network(data, "MLP")
    plans, options = [halved(model), make_plan(start(model))], {"seeds": [0, 1], "steps": steps, "learning_rate": 1e-2}
    results = [fit(model, plans, [data] * 2, cache=tmp_path, **options) for _ in range(2)]
    for through, plain in results:
        assert list(through.weights) == list(plain.weights) == list(start(model))
        assert through.tensors.keys() == plans[0].start.keys()
        for name, tensor in through.tensors.items():
            assert torch.equal(through.weights[name.removeprefix("twice ")], tensor / 2)
            assert torch.equal(tensor, plans[0].start[name].float()) == (steps == 0)
        assert plain.tensors is plain.weights
    assert len(list(tmp_path.iterdir())) == (2 if steps else 0)
    for one, again in zip(*results, strict=True):
        assert largest_difference(one.tensors, again.tensors) == 0.0


def cached(folder, **changes):
    """Return the results of runs whose finished stack is kept in a file, and the path of the file."""
    data = table()
    model = network(data, "MLP")
    plans = [halved(model)] * 2
    options = {"seeds": range(2), "steps": 5, "learning_rate": 1e-3, "cache": folder} | changes
    fits = fit(model, plans, [data] * 2, **options)
    return fits, max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def same(some, others):
    return all(
        torch.equal(a.objective, b.objective) and largest_difference(a.weights, b.weights) == 0.0
        for a, b in zip(some, others, strict=True)
    )


def flipped(path):
    content = path.read_bytes()
    path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])


def cut(path):
    path.write_bytes(path.read_bytes()[:-4])


def emptied(path):
    path.write_bytes(b"")


def of_another_name(path):
    """Replace the file by a complete stack of similar runs that its name does not describe."""
    cached(path.parent, learning_rate=2e-3)
    (other,) = set(path.parent.iterdir()) - {path}
    other.replace(path)


def rewritten(change):
    """Return a damage that gives the file a correct checksum but a content that no trainer writes."""

    def damage(path):
        tensors, header = load_tensors(path)
        change(tensors, header)
        save_tensors(path, tensors, header, cache=True)

    return damage


def of_the_model(tensors, header):
    header["order"] = [name.removeprefix("twice ") for name in header["order"]]
    tensors["tensors/readout.bias"] = tensors.pop("tensors/twice readout.bias")


DAMAGES = {
    "flipped": flipped,
    "cut": cut,
    "emptied": emptied,
    "another stack": of_another_name,
    "no runs": rewritten(lambda tensors, header: header.pop("runs")),
    "a run less": rewritten(lambda tensors, header: header["runs"].pop()),
    "runs of no sort": rewritten(lambda tensors, header: header.update(runs=[3, 4])),
    "unknown results": rewritten(lambda tensors, header: header["runs"][0].update(mood="good")),
    "no order": rewritten(lambda tensors, header: header.update(order=None)),
    "a weight less": rewritten(lambda tensors, header: header["order"].pop()),
    "an unknown weight": rewritten(lambda tensors, header: header["order"].append("x")),
    "the weights of the model instead of the trained tensors": rewritten(of_the_model),
    "no objective": rewritten(lambda tensors, header: tensors.pop("objective")),
    "a short objective": rewritten(lambda tensors, header: tensors.update(objective=tensors["objective"][:, 1:].clone())),
    "another precision": rewritten(lambda tensors, header: tensors.update(objective=tensors["objective"].double())),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_stack_is_reported_in_one_line_and_trained_again(damage, tmp_path):
    first, path = cached(tmp_path)
    clean = load_tensors(path)[0]
    damage(path)
    with pytest.warns(pac.DataWarning, match=f"{path.name}.*: it is trained again") as caught:
        again, _ = cached(tmp_path)
    assert len(caught) == 1
    assert str(caught[0].message).isprintable()
    assert same(first, again)
    whole = load_tensors(path, checked=True)[0]
    assert all(torch.equal(whole[name], tensor) for name, tensor in clean.items())
    assert same(first, cached(tmp_path)[0])  # without a warning


def test_a_stack_without_a_checksum_is_of_an_earlier_version_and_is_trained_again(tmp_path, monkeypatch):
    first, path = cached(tmp_path)
    tensors, header = load_tensors(path)
    save_file(tensors, path, metadata={"header": json.dumps(header)})
    trained, original = [], pac.solvers.training._train
    monkeypatch.setattr(pac.solvers.training, "_train", lambda *arguments: trained.append(1) or original(*arguments))
    again, _ = cached(tmp_path)
    assert len(trained) == 1
    assert same(first, again)
    load_tensors(path, checked=True)


def test_a_number_of_steps_whose_history_exceeds_the_memory_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"steps=10000000000000 of 2 runs would take 8.0e\+13 bytes"):
        cached(tmp_path, steps=10**13)


def test_a_plan_without_trainable_weights_returns_its_start():
    data = table()
    model = network(data, "MLP")
    w = start(model)
    fits = fit(
        model,
        [make_plan(w, trainable=False), make_plan(w)],
        [data, data[:0]],
        seeds=[0, 0],
        steps=10,
        learning_rate=1e-2,
        dtype=DOUBLE,
    )
    for result in fits:
        assert largest_difference(result.weights, w) == 0.0
        assert len(result.objective) == 0


def test_a_cosine_schedule_scales_each_step_of_adam():
    """For a linear objective Adam's steps equal the rate, up to its epsilon, so the path shows the schedule."""
    data = pac.Dataset.from_arrays(np.ones((1, 1)), np.full((1, 1), 1e6))
    model = pac.Module(nn.Linear(1, 1)).build(data.inputs, data.outputs)
    plan = make_plan(
        {name: torch.zeros_like(w) for name, w in start(model).items()},
        trainable={"module.weight": torch.tensor(True), "module.bias": torch.tensor(False)},
    )
    steps = 10
    (result,) = fit(model, [plan], [data], seeds=[0], steps=steps, learning_rate=1e-3, dtype=DOUBLE, schedule="cosine")
    expected = 1e-3 * sum(0.5 * (1 + np.cos(np.pi * s / steps)) for s in range(steps))
    assert float(result.weights["module.weight"]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": -1.0}, "learning_rate must be finite and not negative"),
        ({"learning_rate": [1e-3, 1e-3]}, "one entry of learning_rate for each of the 1 plans, got 2"),
        ({"seeds": []}, "one entry of seeds"),
        ({"steps": -1}, "steps >= 0"),
        ({"batch_size": 0}, "batch_size >= 1"),
        ({"schedule": "linear"}, "unknown schedule 'linear'"),
        ({"device": "nonsense"}, "device 'nonsense' is not available"),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_line(change, message):
    data = table()
    model = network(data, "MLP")
    arguments = {"seeds": [0], "steps": 1, "learning_rate": 1e-3} | change
    with pytest.raises(ValueError, match=message) as caught:
        fit(model, [make_plan(start(model))], [data], **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["MLP", "CNN"])
def test_a_cuda_device_gives_the_result_of_the_cpu(kind):
    data = table() if kind == "MLP" else field()
    model = network(data, kind)
    plans = plans_of_all_kinds(model)
    results = [
        fit(
            model,
            plans,
            [data] * len(plans),
            seeds=range(len(plans)),
            steps=50,
            learning_rate=1e-3,
            dtype=DOUBLE,
            device=device,
        )
        for device in ("cpu", "cuda")
    ]
    assert max(largest_difference(a.weights, b.weights) for a, b in zip(*results, strict=True)) < 1e-9


def test_types_are_checked_in_the_first_calls_of_a_function():
    """Without the check, annotations would have no effect, and 3 samples would be broadcast against 1 without an error."""
    prediction, y = torch.zeros(2, 3, 1), torch.zeros(2, 1, 1)
    with pytest.raises(jaxtyping.TypeCheckError):
        pac.solvers.validation.mean_squared_error(prediction, y, torch.ones(2, 3) / 3)


def test_the_number_of_threads_does_not_change_a_bit_of_the_results():
    data = [table(samples) for samples in (6, 12, 24)]
    model = network(data[0], "MLP")
    plans = plans_of_all_kinds(model)
    datasets = [data[i % 3] for i in range(len(plans))]
    options = {"seeds": range(len(plans)), "steps": 30, "learning_rate": 1e-3, "stack_memory": 1}  # 1 byte: a stack per run
    before, results = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        try:
            results.append(fit(model, plans, datasets, **options))
        finally:
            torch.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        assert largest_difference(a.weights, b.weights) == 0.0
        assert torch.equal(a.objective, b.objective)


@pytest.mark.parametrize(("hidden", "stacks"), [((9, 7), [[4, 4, 4, 40]]), ((512, 512), [[4, 4, 4], [40]])])
def test_runs_of_different_sizes_share_a_stack_if_padding_costs_little_time(hidden, stacks, monkeypatch):
    data = [table(samples) for samples in (4, 40, 4, 4)]
    model = pac.MLP(hidden=hidden).build(data[0].inputs, data[0].outputs)  # 2.7e5 or 144 weights: 6 operations each per sample
    seen, original = [], pac.solvers.training._train

    def noted(model, runs, options, advance):
        seen.append([run.rows for run in runs])
        return original(model, runs, options, advance)

    monkeypatch.setattr(pac.solvers.training, "_train", noted)
    fit(model, [make_plan(start(model))] * 4, data, seeds=range(4), steps=1, learning_rate=1e-3)
    assert sorted(seen) == stacks


def test_frozen_first_layers_are_evaluated_once_where_all_steps_share_a_batch(monkeypatch):
    data = table(20)
    model = network(data, "MLP")
    plan = make_plan(start(model), trainable=inside(start(model), model.readout_name))
    entered, original = [], MLPGradient.enter

    def noted(self, weights, x):
        entered.append(len(x[0]))
        return original(self, weights, x)

    monkeypatch.setattr(MLPGradient, "enter", noted)
    for batch_size, expected in ((None, [20]), (8, [8] * 5)):
        entered.clear()
        fit(model, [plan], [data], seeds=[0], steps=5, learning_rate=1e-3, batch_size=batch_size)
        assert entered == expected


def test_an_error_in_one_stack_ends_the_others(monkeypatch):
    data = [table(samples) for samples in (4, 40)]
    model = network(data[0], "MLP")
    plans, before, steps, done = [make_plan(start(model))] * 2, torch.get_num_threads(), 100_000, []
    original = pac.solvers.training._Task.add_gradient

    def fails_on_few(self, weights, batch, step):
        if self.rows == [4] and step == 100:
            raise KeyError("few")
        done.append(step)
        return original(self, weights, batch, step)

    monkeypatch.setattr(pac.solvers.training._Task, "add_gradient", fails_on_few)
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyError, match="few"):
            fit(model, plans, data, seeds=range(2), steps=steps, learning_rate=1e-3, stack_memory=1)  # 1 byte: a stack per run
    finally:
        torch.set_num_threads(before)
    assert len(done) < steps  # otherwise the other stack would have taken all of its steps
