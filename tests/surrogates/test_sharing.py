"""Copies of a surrogate, several threads and forked processes: each predicts the same bits as the surrogate itself."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from paths import ROOT, TESTS
from torch import nn

import pac_surrogate as pac
from pac_surrogate.models import evaluate
from pac_surrogate.utilities.process import own_settings

METHODS = {
    "fine-tune": pac.FineTune(),
    "PAC": pac.PAC(),
    "GP": pac.GP(),
    "co-kriging": pac.CoKriging(),
    "linear correction": pac.LinearCorrection(),
    "ATL": pac.ATL(),
    "auto": "auto",
}
ARCHITECTURES = {
    "network": pac.MLP(hidden=(6,)),
    "module": pac.Module(nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1))),
}
KINDS = (*ARCHITECTURES, *METHODS)
FORKED = ("network", "module", "fine-tune", "auto")  # predictors that evaluate a module, with and without derivatives
X = np.random.default_rng(0).random((12, 2))


def data(samples, shift):
    x = X[:samples]
    return pac.Dataset.from_arrays(x, np.sin(3 * x[:, 0] + shift) + x[:, 1])


def make(kind):
    """Return a surrogate of a kind after a few steps of training: more would not matter for comparing bits."""
    architecture = ARCHITECTURES.get(kind, ARCHITECTURES["network"])
    source = data(12, 0.0)
    base = pac.pretrain(source, model=architecture, steps=5)
    if kind in ARCHITECTURES:
        return base
    intervals = kind != "co-kriging"  # its folds take as long as all other kinds together
    return pac.transfer(base, data(6, 0.3), method=METHODS[kind], source=source, steps=5, intervals=intervals)


@pytest.fixture(scope="module")
def surrogates():
    return {kind: make(kind) for kind in KINDS}


def answers(surrogate):
    """Return the bits of all predictions of a surrogate."""
    parts = [surrogate.predict(X)]
    for interval in ("jackknife", "posterior"):
        if surrogate.folds is not None or surrogate.choice is not None:
            band = surrogate.predict_interval(X, 0.6, interval=interval)
            parts += [band.mean, band.lower, band.upper]
    assert all(np.isfinite(part).all() for part in parts)
    return b"".join(part.tobytes() for part in parts)


def test_the_kinds_differ_and_have_intervals_where_their_method_provides_them(surrogates):
    found = [answers(surrogate) for surrogate in surrogates.values()]
    assert len(set(found)) == len(found)
    sizes = {kind: len(answer) // (8 * len(X)) for kind, answer in zip(KINDS, found, strict=True)}
    assert sizes == {kind: 1 if kind in (*ARCHITECTURES, "co-kriging") else 7 for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_predicts_the_same_bits(kind, surrogates):
    surrogate = surrogates[kind]
    expected = answers(surrogate)
    for same in (pickle.loads(pickle.dumps(surrogate)), copy.deepcopy(surrogate)):
        assert same is not surrogate
        assert answers(same) == expected


# Threads ------------------------------------------------------------------------------------------------------------------


def at_once(work, threads=8):
    """Run work in threads that start together and switch as often as Python allows; return their results."""
    found, ready, interval = [], threading.Barrier(threads), sys.getswitchinterval()

    def run(number):
        ready.wait()
        try:
            found.append(work(number))
        except Exception as error:  # reported by the test
            found.append(error)

    members = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    sys.setswitchinterval(1e-6)
    try:
        for member in members:
            member.start()
        for member in members:
            member.join(timeout=120)
    finally:
        sys.setswitchinterval(interval)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_eight_threads_at_once_predict_the_same_bits(kind, surrogates):
    surrogate = surrogates[kind]
    expected = answers(surrogate)
    assert at_once(lambda _: [answers(surrogate) for _ in range(3)]) == [[expected] * 3] * 8


def test_threads_that_share_a_module_evaluate_it_with_their_own_weights():
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = torch.ones(5, 3, dtype=torch.float64)
    weights = [{name: torch.full_like(w, 0.1 * k).double() for name, w in module.named_parameters()} for k in range(1, 9)]
    own = nn.Sequential(*(copy.deepcopy(layer) for layer in module))

    class Pair(nn.Module):
        """A module with features, in the form that `evaluate` accepts."""

        def __init__(self, layers):
            super().__init__()
            self.layers = layers

        def forward(self, x):
            return self.layers(x), ()

    pair = Pair(module)
    named = [{f"layers.{name}": w for name, w in own_weights.items()} for own_weights in weights]
    expected = [evaluate(pair, w, x)[0] for w in named]
    found = dict(at_once(lambda k: (k, [evaluate(pair, named[k], x)[0] for _ in range(50)])))
    assert all(torch.equal(prediction, expected[k]) for k, predictions in found.items() for prediction in predictions)
    assert len(found) == 8
    for weight, before in zip(module.parameters(), own.parameters(), strict=True):
        assert torch.equal(weight, before)


def test_overlapping_threads_compute_in_our_settings_and_restore_those_of_the_caller():
    """The first thread restores the caller's precision while the second still computes."""
    seen, entered, left = [], threading.Event(), threading.Event()

    def second():
        with own_settings():
            entered.set()
            assert left.wait(timeout=60)
            seen.append(torch.get_default_dtype())

    torch.set_default_dtype(torch.float64)
    try:
        with own_settings():
            member = threading.Thread(target=second)
            member.start()
            assert entered.wait(timeout=60)
        left.set()
        member.join(timeout=60)
        assert seen == [torch.float32]
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


# A fork -------------------------------------------------------------------------------------------------------------------

FORK = """
import sys, warnings
sys.path[:0] = [{tests!r}, {folder!r}]
from test_sharing import forked_answers
sys.exit(forked_answers())
"""


def forked_answers():
    """Return the number of kinds whose bits differ in a process that is forked from a process with several threads."""
    warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)  # Python 3.12
    surrogates = {kind: make(kind) for kind in FORKED}
    expected = {kind: answers(surrogate) for kind, surrogate in surrogates.items()}
    assert torch.get_num_threads() == 2
    torch.ones(2_000_000).exp().sum()  # large enough for torch to use its threads
    child = multiprocessing.get_context("fork").Process(
        target=lambda: os._exit(sum(answers(surrogates[kind]) != expected[kind] for kind in FORKED))
    )
    child.start()
    child.join(timeout=60)
    if child.exitcode is None:
        child.kill()
        return "the forked process hangs"
    return child.exitcode


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_predicts_the_same_bits_without_the_threads_of_its_parent():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK.format(tests=str(TESTS), folder=str(Path(__file__).parent))],
        env=os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
