"""Global settings of the process: results do not depend on them, and the caller finds them unchanged."""

import threading

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  # loads its own BLAS library
import torch

import pac_surrogate as pac
from pac_surrogate.utilities.process import LONG, allowed_threads, own_settings, threads_for

X = np.random.default_rng(0).random((80, 2))
DATA = pac.Dataset.from_arrays(X, np.sin(3 * X[:, 0]) + X[:, 1])
MODEL = pac.MLP(hidden=(8,))


def work():
    """Return the results of everything that a script may do."""
    surrogate = pac.pretrain(DATA, model=MODEL, steps=30)
    tuned = pac.transfer(surrogate, DATA[:9], method=pac.FineTune(), steps=10)
    chosen = pac.transfer(surrogate, DATA[:9], source=DATA[:])
    band = chosen.predict_interval(X[:5], 0.8)
    chosen_inputs = pac.next_samples(surrogate, DATA[:9], X, 3)
    parts = [tuned.predict(X[:5]), tuned.predict_interval(X[:5], 0.8).upper, band.lower, band.upper, chosen_inputs]
    return np.concatenate([np.asarray(part, dtype=float).ravel() for part in parts])


class Default:
    """A default of torch that a script has set."""

    def __init__(self, set_default, value, back):
        self.set_default, self.value, self.back = set_default, value, back

    def __enter__(self):
        self.set_default(self.value)

    def __exit__(self, *error):
        self.set_default(self.back)


THREADS = torch.get_num_threads()
OTHER = 1 if THREADS > 1 else 2

SWITCHES = {
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "floating-point errors raise": lambda: np.errstate(all="raise"),
    "default precision": lambda: Default(torch.set_default_dtype, torch.float64, torch.float32),
    "default device": lambda: Default(torch.set_default_device, "meta", None),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "another number of threads": lambda: Default(torch.set_num_threads, OTHER, THREADS),
}


def settings():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        np.geterr(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
        torch.get_num_threads(),
    )


@pytest.fixture(scope="module")
def right():
    return work()


@pytest.mark.parametrize("switch", SWITCHES.values(), ids=SWITCHES)
def test_no_global_setting_changes_a_bit_and_each_is_restored(switch, right):
    before = settings()
    with switch():
        inside = settings()
        assert inside != before  # otherwise nothing would be tested
        found = work()
        assert settings() == inside
    assert np.array_equal(found, right)
    assert settings() == before


def test_settings_are_restored_after_an_error_too():
    with np.errstate(all="raise"), torch.no_grad():
        inside = settings()
        with pytest.raises(ValueError, match="diverged"):
            pac.pretrain(DATA, model=MODEL, steps=30, learning_rate=1e30)
        assert settings() == inside


def test_a_caller_s_gradients_pass_through_a_prediction():
    surrogate = pac.pretrain(DATA, model=MODEL, steps=5)
    x = torch.as_tensor(X[:3]).requires_grad_()
    (gradient,) = torch.autograd.grad(surrogate.predict(x).sum(), x)
    assert gradient.any()
    with torch.no_grad():
        assert not surrogate.predict(x).requires_grad
    with own_settings(gradients=None):
        assert surrogate.predict(x).requires_grad


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(THREADS)


def test_short_calls_use_one_thread_and_long_calls_all_threads_of_the_caller(two_threads):
    with own_settings():
        assert (torch.get_num_threads(), allowed_threads()) == (1, 2)
        with threads_for(LONG):
            assert torch.get_num_threads() == 2
            with own_settings(), threads_for(LONG / 2):  # a nested call of this package
                assert (torch.get_num_threads(), allowed_threads()) == (1, 2)
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 1
    assert (torch.get_num_threads(), allowed_threads()) == (2, 2)


def test_a_thread_that_starts_during_another_computation_has_the_threads_of_the_caller(two_threads):
    seen = []

    def begin():
        with own_settings():
            seen.append((torch.get_num_threads(), allowed_threads()))
        seen.append((torch.get_num_threads(), allowed_threads()))

    with own_settings():
        member = threading.Thread(target=begin)
        member.start()
        member.join()
    assert seen == [(1, 2), (2, 2)]


def test_the_threads_of_the_caller_are_restored_after_an_error(two_threads):
    with pytest.raises(ValueError, match="diverged"):
        pac.pretrain(DATA, model=MODEL, steps=30, learning_rate=1e30)
    with pytest.raises(KeyError), own_settings(), threads_for(LONG):
        raise KeyError
    assert (torch.get_num_threads(), allowed_threads()) == (2, 2)
