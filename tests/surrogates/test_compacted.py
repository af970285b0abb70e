"""`Surrogate.compact`: surrogates of every kind predict the same with smaller networks, and keep their intervals."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import dataset, surrogate

import pac_surrogate as pac
from pac_surrogate.methods.around.gaussian_process import GP
from pac_surrogate.predictors import Correction, Mixture, Network, OutputGroups

SOURCE = dataset("MLP", 60, 1)
TARGET = dataset("MLP", 12, 2, shift=0.3)
X = 0.3 * dataset("MLP", 30, 4).x  # within the range of the data
# The networks have float64 weights of order 1, the processes covariances with condition numbers below 1e4.
BOUND = 1e-10


def pruned_source(kind="MLP"):
    """Return a source of which three of eight units in the first layer (or two of four inner channels) read nothing."""
    start = surrogate(kind)
    gone, name = ([0, 3, 6], "hidden.0.weight") if kind == "MLP" else ([0, 3], "down.0.0.0.weight")
    essential = {n: torch.ones_like(weight, dtype=torch.bool) for n, weight in start.weights.items()}
    weight = start.weights[name].clone()
    weight[gone], essential[name][gone] = 0.0, False
    network = dataclasses.replace(start.network, weights=start.weights | {name: weight}, essential=essential)
    return dataclasses.replace(start, predictor=network, provenance={"seed": 0})


def network_in(predictor):
    """Return the network of a predictor, or of the one below it."""
    return predictor if isinstance(predictor, Network) else network_in(predictor.base)


def assert_same_predictions(one, other, x=X):
    expected = other.predict(x)
    np.testing.assert_allclose(one.predict(x), expected, rtol=0, atol=BOUND * expected.std(0).max())


@pytest.mark.parametrize("kind", ["MLP", "CNN"])
def test_a_network_becomes_smaller_with_its_mask_and_keeps_everything_else(kind, tmp_path):
    source = pruned_source(kind)
    small = source.compact()
    assert small.network.architecture == (pac.MLP(hidden=(5, 7)) if kind == "MLP" else pac.CNN(4, 1, levels=1, inner=(2, 8, 4)))
    assert {n: mask.shape for n, mask in small.essential.items()} == {n: weight.shape for n, weight in small.weights.items()}
    assert all(bool(mask.all()) for mask in small.essential.values())
    assert small.provenance == source.provenance
    assert (small.scaling, small.inputs, small.outputs) == (source.scaling, source.inputs, source.outputs)
    x = 0.3 * dataset(kind, 30, 4).x
    assert_same_predictions(small, source, x)
    small.save(tmp_path / "small.safetensors")
    source.save(tmp_path / "source.safetensors")
    loaded = pac.Surrogate.load(tmp_path / "small.safetensors")
    assert loaded.network.architecture == small.network.architecture
    np.testing.assert_array_equal(loaded.predict(x), small.predict(x))
    assert (tmp_path / "small.safetensors").stat().st_size < (tmp_path / "source.safetensors").stat().st_size
    assert small.compact().predictor is small.predictor


def test_a_network_of_which_nothing_can_be_removed_is_the_same_object():
    source = surrogate("MLP")
    assert source.compact().predictor is source.predictor


@pytest.mark.parametrize("name", ["linear correction", "NARGP", "mixture", "groups"])
def test_a_predictor_of_which_nothing_can_be_removed_is_the_same_object_with_its_folds_and_source_task(name):
    source = surrogate("MLP")
    kept = pac.transfer(source, TARGET, method=pac.LinearCorrection(), folds=3)
    if name in METHODS:
        made = pac.transfer(source, TARGET, method=METHODS[name], source=SOURCE, folds=3)
    else:
        columns = len(SOURCE.output_matrix[0])
        groups = (source.network,), (kept.folds,), torch.zeros(columns, dtype=torch.int64), ("temperature",)
        mixture = Mixture(torch.ones(1, dtype=torch.float64), (kept.predictor,))
        made = dataclasses.replace(kept, predictor=mixture if name == "mixture" else OutputGroups(*groups))
    made = dataclasses.replace(made, allocated=source)
    small = made.compact()
    assert small.predictor is made.predictor
    assert small.folds is made.folds
    assert small.source_task() is source


METHODS = {
    "sparse transfer": pac.SparseTransfer(pac.GMP(sparsity=0.5, rounds=1, granularity="unit")),
    "delta network": pac.DeltaNetwork(hidden=(5,)),
    "MFNN": pac.MFNN(hidden=(5,)),
    "linear correction": pac.LinearCorrection(),
    "GP on the residual": GP(on="residual"),
    "NARGP": GP(on="augmented"),
    "GP on the target": GP(on="target"),
    "ridge": pac.LastLayerRidge(),
    "auto": "auto",
}


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_makes_predicts_the_same_with_the_same_intervals_and_is_loaded(name, tmp_path):
    result = pac.transfer(pruned_source(), TARGET, method=METHODS[name], source=SOURCE, steps=5, source_steps=5)
    small = result.compact()
    assert_same_predictions(small, result)
    interval, expected = (one.predict_interval(X, 0.5) for one in (small, result))
    for side in ("mean", "lower", "upper"):
        np.testing.assert_allclose(
            getattr(interval, side), getattr(expected, side), rtol=0, atol=BOUND * expected.upper.std(0).max()
        )
    small.save(tmp_path / "small.safetensors")
    np.testing.assert_array_equal(pac.Surrogate.load(tmp_path / "small.safetensors").predict(X), small.predict(X))
    if name in ("linear correction", "GP on the residual", "NARGP"):
        assert network_in(small.predictor).architecture == pac.MLP(hidden=(5, 7))
        below = {id(network_in(member)) for member in (small.predictor, *small.folds.members)}
        assert len(below) == len({id(network_in(one)) for one in (result.predictor, *result.folds.members)})
    if name == "sparse transfer":
        assert [network_in(one).architecture.hidden for one in (small.predictor, *small.folds.members)] == [(4, 3)] * 11
    if name == "delta network":
        assert small.network.architecture.base == pac.MLP(hidden=(5, 7))


def test_the_members_of_mixtures_and_groups_are_compacted():
    source = pruned_source()
    network, columns = source.network, torch.zeros(len(SOURCE.output_matrix[0]), dtype=torch.float64)
    corrected = Correction(network, columns + 2.0, columns, torch.zeros(9, len(columns), dtype=torch.float64))
    mixture = Mixture(torch.tensor([0.25, 0.75], dtype=torch.float64), (network, corrected))
    made = dataclasses.replace(source, predictor=mixture)
    small = made.compact()
    assert small.predictor.members[0] is small.predictor.members[1].base  # what is shared stays shared
    assert small.predictor.members[0].architecture == pac.MLP(hidden=(5, 7))
    assert_same_predictions(small, made)
    groups = OutputGroups((network,), (None,), torch.zeros(len(columns), dtype=torch.int64), ("temperature",))
    made = dataclasses.replace(source, predictor=groups)
    assert made.compact().predictor.members[0].architecture == pac.MLP(hidden=(5, 7))
    assert_same_predictions(made.compact(), made)


def test_the_allocated_source_is_given_up_if_its_mask_loses_rows_and_else_kept():
    method, options = pac.PAC(sparsity=0.5, granularity="unit"), {"source": SOURCE, "source_steps": 5, "intervals": False}
    untrained = pac.transfer(pruned_source(), TARGET, method=method, steps=0, **options)  # redundant weights are still 0
    assert untrained.source_task().compact().network.architecture == pac.MLP(hidden=(4, 3))
    assert untrained.compact().network.architecture == pac.MLP(hidden=(4, 3))
    with pytest.raises(ValueError, match="keeps no source task"):
        untrained.compact().source_task()
    calibrated = pac.transfer(pruned_source(), TARGET, method=method, steps=5, **options)
    assert calibrated.compact().source_task() is calibrated.source_task()


def test_a_compacted_source_can_be_transferred():
    small = pruned_source().compact()
    tuned = pac.transfer(small, TARGET, method=pac.FineTune(), steps=5)
    assert tuned.network.architecture == pac.MLP(hidden=(5, 7))
