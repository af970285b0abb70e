"""Co-kriging: relations that it recovers, the joint process that it splits, accuracy beside smt, components, files."""

import dataclasses

import numpy as np
import pytest
import torch
from adapting import transferred
from cases import initial_surrogate

import pac_surrogate as pac
from pac_surrogate.files import DatasetError
from pac_surrogate.files.tensors import load_tensors, save_tensors
from pac_surrogate.methods.around import levels
from pac_surrogate.methods.around.co_kriging import CoKriging
from pac_surrogate.methods.around.levels import around, co_kriged
from pac_surrogate.methods.around.source_process import processes_of, source_process
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.processes.covariance import Shape
from pac_surrogate.processes.evidence import log_evidence
from pac_surrogate.processes.fits import Below, Problems, safe_cholesky, unlikeness
from pac_surrogate.processes.joint import Joint, refine


def forrester(x):
    high = (6 * x - 2) ** 2 * np.sin(12 * x - 4)
    return high, 0.5 * high + 10 * (x - 0.5) - 5


def surrogate(data, model=None):
    """A source of known weights, not trained: co-kriging uses the samples, and of the network only the size of its error."""
    return initial_surrogate(model or pac.MLP(hidden=(4,)), data, torch.float32)


def solve(method, source, target, model=None):
    return transferred(surrogate(source, model), target, method, source)


def forrester_pair():
    x = np.linspace(0, 1, 20)[:, None]
    some = np.linspace(0, 1, 7)[:, None]
    return pac.Dataset.from_arrays(x, forrester(x)[1]), pac.Dataset.from_arrays(some, forrester(some)[0])


def waves(x):
    return np.sin(4 * x[:, :1]) + x[:, 1:2] ** 2


def points(count, seed):
    return np.random.default_rng(seed).uniform(size=(count, 2))


def slope(result):
    """Return rho of the first component, the mean of its members."""
    predictor = result.predictor
    own = predictor.component == 0
    return float(predictor.rho[own] @ predictor.fractions[own])


def error_of(result, truth, *, at):
    return float(np.sqrt(np.mean((result.predict(at) - truth) ** 2)) / truth.std())


def test_the_forrester_pair_is_recovered(tmp_path):
    """y_H = 2 y_L - 20 (x - 0.5) + 10 (Forrester, Sobester & Keane 2007)."""
    source, target = forrester_pair()
    result = solve(CoKriging(), source, target).surrogate
    # Both levels have one scaling, so rho has its value in physical units.
    assert abs(slope(result) / 2 - 1) < 0.05
    fresh = np.linspace(0, 1, 101)[:, None]
    high = forrester(fresh)[0]
    prediction = result.predict(fresh)
    assert np.linalg.norm(prediction - high) / np.linalg.norm(high) < 1e-2
    result.save(tmp_path / "co-kriging")
    assert np.array_equal(pac.Surrogate.load(tmp_path / "co-kriging").predict(fresh), prediction)
    # Twenty points on a smooth curve are nearly dependent: large coefficients cause rounding errors.
    np.testing.assert_allclose(result.predict(fresh, batch_size=7), prediction, atol=1e-5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_known_slope_and_discrepancy_are_found_with_either_sign(sign):
    """y_T = +-1.5 y_S + x_1 - 2: the sign of the source carries no information."""
    source_x, target_x, fresh = points(60, 0), points(10, 1), points(200, 2)
    source = pac.Dataset.from_arrays(source_x, sign * waves(source_x))
    result = solve(
        CoKriging(), source, pac.Dataset.from_arrays(target_x, 1.5 * waves(target_x) + target_x[:, :1] - 2)
    ).surrogate
    assert slope(result) == pytest.approx(1.5 * sign, rel=0.02)
    truth = 1.5 * waves(fresh) + fresh[:, :1] - 2
    assert error_of(result, truth, at=fresh) < 5e-3  # alone, ten samples of the waves give 0.1


def test_the_opposite_sign_gives_the_same_prediction():
    """The sign of the source's values and that of rho change together: an exact symmetry of the model and of its starts."""
    x, y, z, t = (torch.from_numpy(a) for a in (points(40, 0), waves(points(40, 0)), points(9, 1), waves(points(9, 1)) ** 2))
    unit, none = torch.eye(1).double(), torch.zeros(1).double()
    one, other = (around(processes_of(x, sign * y, unit, none), z, t) for sign in (1.0, -1.0))
    fresh = torch.from_numpy(points(50, 3))
    torch.testing.assert_close(one.predict(fresh), other.predict(fresh), rtol=0, atol=1e-3)
    torch.testing.assert_close(one.rho @ one.fractions, -other.rho @ other.fractions, rtol=1e-2, atol=0)


def test_a_source_that_is_the_target_is_left_as_it_is():
    source_x, target_x, fresh = points(60, 0), points(8, 1), points(200, 2)
    source, target = (pac.Dataset.from_arrays(x, waves(x)) for x in (source_x, target_x))
    result = solve(CoKriging(), source, target).surrogate
    assert slope(result) == pytest.approx(1.0, abs=1e-3)
    assert error_of(result, waves(fresh), at=fresh) < 1e-3


def test_a_source_of_pure_noise_does_no_harm():
    """The target is then learnt from its own samples; the source's process has no slope, or the target none on it."""
    source_x, target_x, fresh = points(100, 0), points(20, 1), points(200, 2)
    noise = np.random.default_rng(3).normal(size=(100, 1))
    target = pac.Dataset.from_arrays(target_x, waves(target_x))
    result = solve(CoKriging(), pac.Dataset.from_arrays(source_x, noise), target).surrogate
    alone = pac.transfer(surrogate(target), target, method=pac.GP(on="target", kernel="rbf"), intervals=False)
    errors = [error_of(one, waves(fresh), at=fresh) for one in (result, alone)]
    assert errors[0] < 2 * errors[1] + 0.02
    assert errors[0] < 0.1


def test_an_affine_source_is_seen_through():
    """Shift and scale of the source are those of its process: predictions are the same but for the rounding of searches."""
    source_x, target_x, fresh = points(50, 0), points(8, 1), points(100, 2)
    target = pac.Dataset.from_arrays(target_x, 2 * waves(target_x) - 1)
    sources = [pac.Dataset.from_arrays(source_x, a * waves(source_x) + b) for a, b in ((1.0, 0.0), (1000.0, -5000.0))]
    one, other = (solve(CoKriging(), source, target).surrogate for source in sources)
    np.testing.assert_allclose(other.predict(fresh), one.predict(fresh), atol=1e-3)
    slopes = [slope(each) for each in (one, other)]  # in standardised units of either source
    np.testing.assert_allclose(slopes[0], 2.0, rtol=0.01)
    np.testing.assert_allclose(1000 * slopes[1] / slopes[0], 1.0, rtol=0.01)


def test_both_levels_together_have_the_likelihood_of_the_joint_process():
    """With a flat prior on both means, p(y_S, y_T) = p(y_S) p(y_T | y_S): two factorisations give the same number."""
    generator = np.random.default_rng(0)
    x, z = (torch.from_numpy(generator.normal(size=(count, 2))) for count in (12, 5))
    y, t = (torch.from_numpy(generator.normal(size=(count, 1))) for count in (12, 5))
    unit, none = torch.eye(1).double(), torch.zeros(1).double()
    base, rho = processes_of(x, y, unit, none), 0.7
    shape = Shape("rbf", 2)
    upper = shape.vector([0.5], 1.3, 1e-3)
    below = Below(base.components(z).T, base.covariance(0, z)[None])
    problems = Problems(shape, z, t[None], torch.ones(1, 5, dtype=torch.bool), below=below)
    conditional = problems.evidence(torch.cat([upper, torch.tensor([rho])])[None], torch.zeros(1, dtype=torch.int64))
    low = base.kernel(0, x, x) + base.noise * torch.eye(12)
    separate = log_evidence(low[None], y[None]) + conditional
    both = torch.cat([x, z])
    scale = torch.cat([torch.ones(12), torch.full((5,), rho)]).double()
    joint = base.kernel(0, both, both) * scale[:, None] * scale + torch.diag(torch.cat([base.noise.expand(12), torch.zeros(5)]))
    joint[12:, 12:] += shape.covariance(upper[None], z)[0]
    # The basis of the joint process is (1, rho) on the low level and 1 on the high one.
    means = torch.stack([scale, torch.cat([torch.zeros(12), torch.ones(5)])], 1).double()
    inverse = torch.linalg.inv(joint)
    inner = means.T @ inverse @ means
    projection = inverse - inverse @ means @ torch.linalg.solve(inner, means.T @ inverse)
    values = torch.cat([y, t])
    expected = -0.5 * (
        (values.T @ projection @ values)[0, 0] + torch.logdet(joint) + torch.logdet(inner) + 15 * np.log(2 * np.pi)
    )
    # The base's noise is 1e-10 to 1e2 times the variance; condition numbers up to 1e6 leave ten digits.
    torch.testing.assert_close(separate[0], expected, rtol=1e-6, atol=1e-6)
    lower = torch.cat([base.amplitudes, 1 / base.inverse_lengths[0], base.noise]).log()
    together = Joint(Shape(base.kernels[0], 2), shape, both, 12, values[None])
    found = together.evidence(torch.cat([lower, upper, torch.tensor([rho]).double()])[None])
    torch.testing.assert_close(found[0], expected, rtol=1e-6, atol=1e-6)


def test_mean_and_covariance_are_those_of_the_joint_process(monkeypatch):
    """The prediction takes no factorisation, and the covariance takes two; one joint factorisation gives the same numbers."""
    generator = np.random.default_rng(1)
    x, z, fresh = (torch.from_numpy(generator.uniform(-1, 1, size=(count, 2))) for count in (20, 7, 9))
    y = torch.sin(2 * x[:, :1]) + 0.1 * torch.from_numpy(generator.normal(size=(20, 1)))
    t = 1.5 * torch.sin(2 * z[:, :1]) + z[:, 1:] + 0.1 * torch.from_numpy(generator.normal(size=(7, 1)))
    base = processes_of(x, y, torch.eye(1).double(), torch.zeros(1).double())
    monkeypatch.setattr(levels, "DISCREPANCIES", ("rbf",))
    found = around(base, z, t)
    base, rho = found.base, float(found.rho)  # both levels were fitted together

    def joint(a, a_high, b, b_high):
        first, second = torch.where(a_high, rho, 1.0).double(), torch.where(b_high, rho, 1.0).double()
        upper = (a_high[:, None] & b_high).double()
        return base.kernel(0, a, b) * first[:, None] * second + upper * found._delta(0, a, b)

    samples, high = torch.cat([x, z]), torch.arange(27) >= 20
    covariance = joint(samples, high, samples, high) + torch.diag(torch.where(high, found.noise, base.noise))
    means = torch.stack([torch.where(high, rho, 1.0), high.double()], 1).double()
    ones = torch.ones(9, dtype=torch.bool)
    cross, own = joint(fresh, ones, samples, high), torch.tensor([rho, 1.0]).double().expand(9, 2)
    inverse = torch.linalg.inv(covariance)
    inner = means.T @ inverse @ means
    b = torch.linalg.solve(inner, means.T @ inverse @ torch.cat([y, t]))
    mean = own @ b + cross @ inverse @ (torch.cat([y, t]) - means @ b)
    torch.testing.assert_close(found.predict(fresh), mean, rtol=0, atol=1e-7)
    unknown = own - cross @ inverse @ means
    expected = joint(fresh, ones, fresh, ones) - cross @ inverse @ cross.T + unknown @ torch.linalg.solve(inner, unknown.T)
    torch.testing.assert_close(found.covariance(0, fresh), expected, rtol=0, atol=1e-7)
    assert float(expected.diagonal().max()) > 1e-4  # not a comparison of zeros


def test_left_out_residuals_are_those_of_fits_without_the_sample(monkeypatch):
    """Given the hyper-parameters of the sample's fold, which are those of the samples of the other folds alone."""
    x, y, z = points(40, 0), waves(points(40, 0)), points(10, 1)
    t = 1.5 * waves(z) + 0.3 * z[:, :1] ** 2 + 0.05 * np.random.default_rng(2).normal(size=(10, 1))
    base = processes_of(*(torch.from_numpy(one) for one in (x, y)), torch.eye(1).double(), torch.zeros(1).double())
    monkeypatch.setattr(levels, "DISCREPANCIES", ("rbf",))
    monkeypatch.setattr(levels.joint, "SAMPLES", 0)  # the levels are not fitted together
    found = co_kriged(base, pac.Dataset.from_arrays(z, t)).residual
    inputs, values = torch.from_numpy(z), torch.from_numpy(t)
    for fold in range(5):
        rest = torch.arange(10) % 5 != fold
        fitted = around(base, inputs[rest], values[rest])
        for i in torch.nonzero(~rest)[:, 0].tolist():
            others = torch.arange(10) != i
            prior = fitted.rho**2 * base.covariance(0, inputs) + fitted._delta(0, inputs, inputs)
            noisy = prior + fitted.noise * torch.eye(10)
            r = values - fitted.rho * base.components(inputs)
            factor = safe_cholesky(noisy[others][:, others])
            solved = torch.cholesky_solve(torch.cat([r[others], torch.ones(9, 1).double()], 1), factor)
            mean = solved[:, 0].sum() / solved[:, 1].sum()
            guess = mean + prior[i, others] @ (solved[:, 0] - mean * solved[:, 1])
            # Both searches for the fold's hyper-parameters end where two steps gain less than 1e-7 of the evidence.
            torch.testing.assert_close(found[i, 0], r[i, 0] - guess, rtol=0, atol=2e-3)
    assert float(found.abs().mean()) > 0.02  # the noise is seen


def test_both_levels_fitted_together_have_a_greater_evidence():
    """With few source samples, those of the target inform the source's hyper-parameters too."""
    x, y, z = (torch.from_numpy(one) for one in (points(20, 0), waves(points(20, 0)), points(8, 1)))
    t = torch.from_numpy(1.5 * waves(points(8, 1)) - 1)
    generator = np.random.default_rng(0)
    values = torch.cat([y, t])[None]
    lower, upper = Shape("rbf", 2), Shape("matern", 2)
    start = torch.cat([lower.starts()[:1], upper.starts()[:1], torch.ones(1, 1)], 1)
    posed = Joint(lower, upper, torch.cat([x, z]), 20, values)
    found, noise = refine(posed, start), torch.zeros(1, start.shape[1], dtype=torch.bool)
    noise[0, [lower.count - 1, -2]] = True
    assert float(posed.evidence(found)) > float(posed.evidence(start)) + 1
    for _ in range(20):  # no point near it is better, but for what a search leaves
        near = found + 0.05 * torch.from_numpy(generator.normal(size=found.shape))
        near = torch.where(noise, found, near)  # both noises are at their bound
        prior = [float(unlikeness(upper, p[:, lower.count : -1])) for p in (near, found)]
        assert float(posed.evidence(near)) - prior[0] < float(posed.evidence(found)) - prior[1] + 1e-2


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_noise_is_kept_only_where_there_is_one(noise):
    """A tenth of the variance of 60 and 20 samples is seen; without noise, both levels interpolate."""
    generator = np.random.default_rng(0)
    x, z = points(60, 0), points(20, 1)
    y, t = (waves(a) + noise * generator.normal(size=(len(a), 1)) for a in (x, z))
    base = processes_of(*(torch.from_numpy(one) for one in (x, y)), torch.eye(1).double(), torch.zeros(1).double())
    found = around(base, torch.from_numpy(z), torch.from_numpy(t))
    levels_of = [float(found.base.noise @ found.fractions), float(found.noise @ found.fractions)]
    if noise:
        # The relative deviation of a variance from 60 samples is 0.2, of one from 20 samples 0.3; within three of them.
        assert 0.4 < levels_of[0] / noise**2 < 1.6
        assert 0.1 < levels_of[1] / noise**2 < 2.5
    else:
        assert max(levels_of) < 1e-8  # the bound is 1e-10 of the variance, which is about 0.6


def test_members_of_a_component_are_averaged_in_the_ratio_of_their_evidence():
    generator = np.random.default_rng(0)
    x, z = points(40, 0), points(12, 1)
    t = waves(z) + (z[:, :1] - 0.5) * (z[:, 1:] - 0.3) + 0.02 * generator.normal(size=(12, 1))
    base = processes_of(*(torch.from_numpy(one) for one in (x, waves(x))), torch.eye(1).double(), torch.zeros(1).double())
    found = around(base, torch.from_numpy(z), torch.from_numpy(t))
    assert float(found.fractions.sum()) == pytest.approx(1)
    assert found.kernels[int(found.fractions.argmax())] == "quadratic"  # the discrepancy is a polynomial of second degree
    assert set(found.component.tolist()) == {0}
    alone = [
        dataclasses.replace(found, fractions=torch.eye(len(found.fractions)).double()[m]).predict(
            torch.from_numpy(points(5, 4))
        )
        for m in range(len(found.fractions))
    ]
    mixed = sum(float(fraction) * one for fraction, one in zip(found.fractions, alone, strict=True))
    torch.testing.assert_close(found.predict(torch.from_numpy(points(5, 4))), mixed, rtol=0, atol=1e-9)


def test_it_is_as_accurate_as_smt_on_a_smooth_pair():
    """Smt fits slope and discrepancy one after the other, without the source's uncertainty; here both find the relation."""
    pytest.importorskip("smt", reason="the rival is smt, which is an extra")
    from smt.applications import MFK

    x, z, fresh = points(25, 0), points(8, 1), points(100, 2)
    truth = 1.5 * waves(fresh) + fresh[:, :1] - 2
    target = 1.5 * waves(z) + z[:, :1] - 2
    ours = solve(CoKriging(), pac.Dataset.from_arrays(x, waves(x)), pac.Dataset.from_arrays(z, target)).surrogate
    model = MFK(theta0=[0.5, 0.5], n_start=2, seed=0, print_global=False)
    model.set_training_values(x, waves(x), name=0)
    model.set_training_values(z, target)
    model.train()
    theirs = float(np.sqrt(np.mean((model.predict_values(fresh) - truth) ** 2)) / truth.std())
    assert error_of(ours, truth, at=fresh) < 2 * theirs + 0.01
    assert theirs < 0.2


def fields(x):
    shapes = np.random.default_rng(7).normal(size=(2, 12))
    return np.stack([np.sin(2 * x[:, 0]), x[:, 1] ** 2], axis=1) @ shapes


def test_fields_need_as_many_components_as_they_have_modes():
    generator = np.random.default_rng(0)
    x, some, fresh = (generator.uniform(-1, 1, size=(count, 2)) for count in (30, 8, 50))
    source, target = pac.Dataset.from_arrays(x, fields(x)), pac.Dataset.from_arrays(some, 2 * fields(some) + 1)
    result = solve(CoKriging(), source, target).surrogate
    assert len(torch.unique(result.predictor.component)) == 2  # the shift by 1 needs none
    # Smooth modes, 30 samples, a linear relation.
    assert error_of(result, 2 * fields(fresh.clip(-0.8, 0.8)) + 1, at=fresh.clip(-0.8, 0.8)) < 0.05


def test_components_leave_out_at_most_a_tenth_of_the_sources_error():
    generator = np.random.default_rng(0)
    low, high = (torch.from_numpy(generator.normal(size=(count, 12))) for count in (40, 6))
    varying = high - high.mean(0)
    for error in (0.5, 2.0, 4.0):
        basis, _ = CoKriging(components=12)._basis(low, high, error)
        torch.testing.assert_close(basis @ basis.T, torch.eye(len(basis)).double(), rtol=0, atol=1e-12)
        lost = [float((varying - varying @ rows.T @ rows).square().mean().sqrt()) for rows in (basis, basis[:-1])]
        assert lost[0] <= 0.1 * error < lost[1]
        with pytest.raises(NotApplicableError, match=f"components={len(basis)}") as caught:
            CoKriging(components=len(basis) - 1)._basis(low, high, error)
        assert "\n" not in str(caught.value)
    with pytest.raises(NotApplicableError, match="leave out more than"):
        CoKriging()._basis(low[:4], high, 0.5)  # four samples have three components


def test_co_kriging_applies_to_a_cnn_as_well_as_to_an_mlp():
    generator = np.random.default_rng(0)
    field = generator.normal(size=(20, 4))
    axes = {"a": ("x",), "u": ("x",)}
    source = pac.Dataset.from_arrays({"a": field}, {"u": np.outer(np.tanh(field[:, 0]), np.ones(4))}, axes=axes)
    model = pac.CNN(channels=2, blocks=1, levels=1)
    result = solve(CoKriging(), source, source[:7], model).surrogate
    assert len(torch.unique(result.predictor.component)) == 4  # up to eight outputs have processes of their own
    assert error_of(result, np.asarray(source.y), at=source) < 0.2


def test_no_samples_give_the_source_and_too_few_are_refused():
    source, target = forrester_pair()
    none = solve(CoKriging(), source, target[:0]).surrogate
    assert all(torch.equal(none.weights[name], weight) for name, weight in surrogate(source).weights.items())
    for samples in (1, 2):
        assert f"3 samples on each side and at most 1000 of the target, got 20 and {samples}" in str(
            solve(CoKriging(), source, target[:samples]).refused
        )
    assert solve(CoKriging(), source, target[:3]).refused is None


def test_new_outputs_are_not_applicable():
    source, target = forrester_pair()
    new = pac.Dataset.from_arrays({"input": target.x}, {"flux": target.y})
    assert solve(CoKriging(), source, new).refused is None  # the source has a default name: outputs are matched by position
    named = pac.Dataset.from_arrays(source.x, {"drag": source.y})
    assert "these are new" in solve(CoKriging(), named, new).refused


def test_only_the_first_source_samples_are_used_and_the_result_is_reproducible():
    source, target = forrester_pair()
    first, second = (solve(CoKriging(source_samples=9), source, target).surrogate.predictor for _ in range(2))
    assert len(first.base.points) == 9
    assert torch.equal(first.weights, second.weights)


def test_the_sources_process_is_fitted_once():
    source, _ = forrester_pair()
    own = surrogate(source)
    data = own.scaling.standardise(source)
    assert source_process(own, data) is source_process(own, data)
    assert source_process(own, data[:12]) is not source_process(own, data)


NAMES = (
    *("points", "weights", "mean", "rho", "amplitudes", "inverse_lengths", "noise", "base_weights", "offset"),
    *("fractions", "component"),
)


@pytest.mark.parametrize("name", [f"autoregressive/{name}" for name in NAMES] + ["base/processes/weights"])
def test_damaged_files_are_refused(name, tmp_path):
    source, target = forrester_pair()
    solve(CoKriging(), source, target).surrogate.save(tmp_path / "whole")
    tensors, header = load_tensors(tmp_path / "whole")
    array = tensors[name]
    for broken in (array[1:], array.float(), torch.tensor(1.0).double()):
        save_tensors(tmp_path / "broken", {**tensors, name: broken}, header)
        with pytest.raises(DatasetError, match="not a complete surrogate"):
            pac.Surrogate.load(tmp_path / "broken")
    for kernels in ([], ["flat"], ["rbf", "rbf"], "rbf", [1]):
        save_tensors(tmp_path / "broken", tensors, {**header, "predictor": {**header["predictor"], "kernels": kernels}})
        with pytest.raises(DatasetError, match="not a complete surrogate"):
            pac.Surrogate.load(tmp_path / "broken")


@pytest.mark.parametrize("option", ["source_samples", "components"])
def test_wrong_settings_are_refused_in_one_line(option):
    with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
        CoKriging(**{option: 0})


def test_a_fold_that_holds_all_the_first_samples_does_no_harm():
    """The search begins with the first hundred samples, which here are all of one input, and left out together."""
    z = np.concatenate([np.repeat(points(1, 5), 105, axis=0), points(15, 6)])
    t = 1.5 * waves(z) + 0.01 * np.random.default_rng(7).normal(size=(120, 1))
    x, unit, none = torch.from_numpy(points(40, 0)), torch.eye(1).double(), torch.zeros(1).double()
    base = processes_of(x, torch.from_numpy(waves(points(40, 0))), unit, none)
    assert bool(torch.isfinite(co_kriged(base, pac.Dataset.from_arrays(z, t)).residual).all())
