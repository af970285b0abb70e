"""Lost solutions: which sample is named, at which time, and which errors are tolerated."""

import math

import pytest
import torch

from simulators.numerics.step_error import TOLERANCE, LostSolutionError, error_limit, refuse_lost, refuse_not_finite, tolerate

NAN, INF = math.nan, math.inf
TIMES = [0.5, 1.0, 2.0]


def lost(errors):
    """Return the refusal of errors with one row for each sample, at three times; None if nothing is refused."""
    try:
        refuse_lost(torch.tensor(errors, dtype=torch.float64).T, TIMES, "take more steps")
    except LostSolutionError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("errors", "sample", "time"),
    [
        ([[0.0, 0.05, 0.09], [0.0, 0.05, 0.11]], 1, 2.0),
        ([[0.0, 0.2, 0.3], [0.2, 0.3, 0.4], [0.0, 0.0, 0.35]], 1, 0.5),  # the worst, not the first
        ([[0.0, 0.0, 0.2], [0.0, NAN, NAN], [NAN, NAN, NAN], [INF, INF, INF]], 2, 0.5),  # equally bad: the first lost
        ([[0.2, 0.2, 0.05], [0.0, 0.0, 0.15]], 1, 2.0),  # a sample that was bad only for a while is not lost
    ],
)
def test_the_worst_sample_is_named_with_the_time_when_it_was_lost(errors, sample, time):
    refusal = lost(errors)
    assert (refusal.sample, refusal.time) == (sample, time)
    assert str(refusal).startswith(f"the solution of sample {sample} is lost by time t = {time:g}: ")
    assert str(refusal).endswith("; take more steps")
    assert len(str(refusal)) < 400
    assert "\n" not in str(refusal)


def test_an_error_at_the_limit_is_accepted():
    assert lost([[0.0, 0.0, TOLERANCE]]) is None
    assert lost([[0.0, 0.0, TOLERANCE * (1 + 1e-12)]]).error == pytest.approx(TOLERANCE)


def test_a_tolerated_limit_holds_inside_its_context_only():
    errors = [[0.1, 0.2, 0.3]]
    with tolerate(0.4):
        assert lost(errors) is None
        with tolerate(0.25):
            assert lost(errors).limit == 0.25
        assert lost(errors) is None
    assert "estimated at 0.3 of the solution, above the limit of 0.1;" in str(lost(errors))
    with pytest.raises(KeyError), tolerate(0.4):
        raise KeyError
    assert error_limit() == TOLERANCE
    for limit in (-0.1, NAN):
        with pytest.raises(ValueError, match="limit must be 0 or more, got"), tolerate(limit):
            pass


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 4), (3, 3, 4, 5)])
def test_of_the_samples_that_are_not_finite_the_one_lost_first_is_named(shape):
    solution = torch.zeros(shape, dtype=torch.float64)
    with tolerate(INF):
        refuse_not_finite(solution, TIMES, "take more steps")
        solution[0, 2:] = NAN
        solution[2, 1:] = INF
        with pytest.raises(
            LostSolutionError, match=r"sample 2 is lost by time t = 1: .* not finite; take more steps"
        ) as refusal:
            refuse_not_finite(solution, TIMES, "take more steps")
    assert refusal.value.error == INF
    assert str(refusal.value.move(100)) == str(refusal.value).replace("sample 2", "sample 102")
