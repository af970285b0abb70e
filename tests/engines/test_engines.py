"""Every engine computes the network, and the sparse kernels compute exactly the products that they state."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import initial_surrogate

import pac_surrogate as pac
from pac_surrogate.engines import compiled, kernels
from pac_surrogate.engines.candidates import candidates
from pac_surrogate.engines.compiled import compressed_rows, sparse_in_numba, split_blocks
from pac_surrogate.engines.layers import in_single, layers_of

GENERATOR = np.random.default_rng(0)
EPS = float(np.finfo(np.float32).eps)


def pruned(hidden=(40, 33), activation="gelu", dtype=torch.float32, sparsity=0.9):
    """Return a surrogate of 5 inputs and 3 outputs whose weights between hidden layers are mostly 0."""
    numbers = GENERATOR.normal(size=(60, 8))
    data = pac.Dataset.from_arrays({f"x{i}": numbers[:, i] for i in range(5)}, {f"y{i}": numbers[:, 5 + i] for i in range(3)})
    surrogate = initial_surrogate(pac.MLP(hidden=hidden, activation=activation), data, dtype)
    weights = dict(surrogate.weights)
    for layer in range(1, len(hidden)):
        weight = weights[f"hidden.{layer}.weight"]
        kept = torch.from_numpy(GENERATOR.random(weight.shape) >= sparsity)
        weights[f"hidden.{layer}.weight"] = torch.where(kept, weight, 0.0) / (1 - sparsity) ** 0.5
    return dataclasses.replace(surrogate, predictor=dataclasses.replace(surrogate.network, weights=weights))


def exact_and_bound(network, x):
    """Return the network in float64 and what single precision may miss.

    A sum of k products misses (k + 2) eps times the sum of their sizes at most, whatever its order, and passes the error of its
    inputs on with the sizes of the weights. The slopes of all activations are below 1.13, and torch's own are right to 4 eps.
    """
    h, error = x, EPS * np.abs(x)
    for layer in layers_of(network):
        weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
        sizes = np.abs(h) @ np.abs(weight).T + np.abs(bias)
        h, error = h @ weight.T + bias, error @ np.abs(weight).T + (len(weight.T) + 2) * EPS * sizes
        if layer.activation is not None:
            h, error = layer.activate(h.copy()), 1.13 * error + 4 * EPS * np.maximum(np.abs(h), 1)
    return h, error


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu", "tanh"])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 40, 100])
def test_every_engine_computes_the_network(activation, batch_size):
    network = pruned(activation=activation).network
    x = GENERATOR.normal(size=(150, 5))
    exact, bound = exact_and_bound(network, x)
    assert bound.max() < 1e-3 * exact.std()  # so that the bound excludes a forgotten bias or weight
    made, notes = candidates(network, network, batch_size)
    assert len(made) == 5 - len(notes)
    for name, make in made.items():
        engine = make()
        for rows in (0, 1, batch_size, 150):  # batches of other sizes are answered as well
            found = engine(x[:rows])
            assert found.shape == (rows, 3)
            assert (np.abs(found - exact[:rows]) <= bound[:rows]).all(), (name, rows)


def test_dense_engines_serve_a_dense_network_and_any_other_predictor_is_its_own():
    dense = pruned(sparsity=0.0).network
    made, notes = candidates(dense, dense, 1)
    assert list(made) == ["torch", "numpy"]
    assert "50% of the weights are 0" in notes[0]
    other = initial_surrogate(
        pac.CNN(channels=4, blocks=1, levels=1),
        pac.Dataset.from_arrays({"u": GENERATOR.normal(size=(9, 8))}, {"v": GENERATOR.normal(size=(9, 8))},
                                axes={"u": ("x",), "v": ("x",)}),
    ).predictor  # fmt: skip
    made, notes = candidates(other, other, 1)
    assert list(made) == ["torch"]
    assert "MLP" in notes[0]
    x = GENERATOR.normal(size=(4, 8))
    assert np.array_equal(made["torch"]()(x), other.predict(torch.from_numpy(x)).detach().numpy())


def test_a_compacted_network_is_an_engine_of_its_own_and_the_base_of_all_but_the_dense_one():
    full, small = pruned().network, pruned(hidden=(4, 3)).network
    made, _ = candidates(full, small, 1)
    x = GENERATOR.normal(size=(2, 5))
    for name, make in made.items():
        exact, bound = exact_and_bound(full if name == "torch" else small, x)
        assert (np.abs(make()(x) - exact) <= bound).all(), name
    assert {"torch", "torch, compacted", "numpy"} <= set(made)


def test_a_missing_numba_is_named(monkeypatch):
    monkeypatch.setattr("pac_surrogate.engines.candidates.installed", lambda package: package != "numba")
    network = pruned().network
    made, notes = candidates(network, network, 1)
    assert "numba, sparse" not in made
    assert "scipy, sparse" in made
    assert notes == ["numba, sparse: numba is not installed: pip install -e '.[deploy]' -c constraints.txt"]


# Products of whole numbers, which single precision computes exactly ---------------------------------------------------------


def integers(rows, columns, density):
    """Return a sparse matrix of whole numbers below 10, with an empty row and a full one."""
    weight = GENERATOR.integers(-9, 10, (rows, columns)) * (GENERATOR.random((rows, columns)) < density)
    weight[0], weight[-1] = 0, 7
    return weight.astype(np.float32)


@pytest.mark.parametrize("density", [0.0, 0.02, 0.1, 0.6])
def test_compressed_rows_hold_the_matrix_in_rows_of_eight(density):
    weight = integers(48, 96, density)
    start, column, value = compressed_rows(weight)
    rebuilt = np.zeros_like(weight)
    np.add.at(rebuilt, (np.repeat(np.arange(48), np.diff(start)), column), value)
    assert np.array_equal(rebuilt, weight)
    count = np.count_nonzero(weight, axis=1)
    assert np.array_equal(np.diff(start), 8 * np.ceil(count / 8))  # not more, and none for an empty row


@pytest.mark.parametrize("density", [0.02, 0.1, 0.3])
def test_blocks_and_rest_are_the_matrix_and_the_number_of_places_is_that_of_which_a_third_are_used(density):
    weight = integers(48, 96, density)
    blocks, rest = split_blocks(weight)
    per_row = np.count_nonzero(weight.reshape(48, 3, 32), axis=2)
    slots = sum(1 for place in range(1, 33) if 3 * np.count_nonzero(per_row >= place) >= per_row.size)
    if blocks is None:
        assert slots == 0
        assert np.array_equal(rest, weight)
        return
    column, value = blocks
    assert value.shape == (3, 3, slots, 16)
    rebuilt = np.zeros_like(weight)
    across, down, _, lane = np.indices(value.shape)
    np.add.at(rebuilt, (16 * down + lane, 32 * across + column), value)
    assert not (np.count_nonzero(rebuilt) and np.any((rebuilt != 0) & (rest != 0)))
    assert np.array_equal(rebuilt + rest, weight)
    assert np.count_nonzero(rebuilt) == np.minimum(per_row, slots).sum()


@pytest.mark.parametrize("columns", [2, 4, 8, 16, 32, 64])
def test_the_kernel_of_tiles_is_exact(columns):
    pytest.importorskip("numba")
    weight, bias = integers(17, 70, 0.2), GENERATOR.integers(-9, 10, 17).astype(np.float32)
    x = GENERATOR.integers(-9, 10, (70, columns)).astype(np.float32)
    found = np.full((17, columns), np.nan, dtype=np.float32)
    kernels.columns_kernel(columns, False)(*compressed_rows(weight), bias, x, found)
    assert np.array_equal(found, weight @ x + bias[:, None])


@pytest.mark.parametrize("in_blocks", [True, False])
@pytest.mark.parametrize("density", [0.02, 0.1, 0.3])
def test_the_product_with_a_single_vector_is_exact(monkeypatch, in_blocks, density):
    pytest.importorskip("numba")
    if in_blocks and not kernels.has_blocks():
        pytest.skip("this processor lacks AVX-512")
    monkeypatch.setattr(compiled, "has_blocks", lambda: in_blocks)
    weight, bias = integers(64, 96, density), GENERATOR.integers(-9, 10, 64).astype(np.float32)
    layer = dataclasses.replace(layers_of(pruned().network)[0], weight=weight, bias=bias, sparse=True)
    x = GENERATOR.integers(-9, 10, 96).astype(np.float32)
    assert np.array_equal(compiled._product(layer)(x), weight @ x + bias)


def test_columns_beyond_16_bits_are_exact():
    pytest.importorskip("numba")
    weight = np.zeros((3, (1 << 16) + 40), dtype=np.float32)
    weight[:, [0, 5, (1 << 16) - 1, 1 << 16, (1 << 16) + 39]] = GENERATOR.integers(1, 10, (3, 5))
    bias = np.array([1, 2, 3], dtype=np.float32)
    for columns in (1, 4):
        x = GENERATOR.integers(-9, 10, (weight.shape[1], columns)).astype(np.float32)
        rows = compressed_rows(weight)
        assert rows[1].dtype == np.uint32
        found = np.empty((3, columns), dtype=np.float32)
        if columns == 1:
            kernels.vector_kernel(True)(*rows, bias, x[:, 0].copy(), found[:, 0])
        else:
            kernels.columns_kernel(columns, True)(*rows, bias, x, found)
        assert np.array_equal(found, weight @ x + bias[:, None])


def test_a_number_that_is_not_finite_is_not_lost_in_the_kernels():
    """The compiler may not assume finite numbers: the sum of an infinity and its negative is NaN in the affected row only."""
    pytest.importorskip("numba")
    network = pruned(hidden=(40, 33), activation="relu").network
    x = GENERATOR.normal(size=(3, 5))
    x[1, 2] = np.nan
    for batch_size in (1, 64):
        found = sparse_in_numba(layers_of(network), batch_size)(x)
        assert np.isnan(found[1]).all()
        assert np.isfinite(found[[0, 2]]).all()


def test_layers_in_single_precision_keep_their_zeros():
    layers = layers_of(pruned(dtype=torch.float64).network)
    for double, single in zip(layers, in_single(layers), strict=True):
        assert single.weight.dtype == single.bias.dtype == np.float32
        assert single.sparse == double.sparse == (np.count_nonzero(double.weight) <= 0.5 * double.weight.size)
