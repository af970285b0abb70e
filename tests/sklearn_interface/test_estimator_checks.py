"""The checks that scikit-learn has for estimators, which cover clones, shapes, bad input, pickles, names of inputs, and more.

They run without a source, because they fit data of several widths. The Gaussian process, which "auto" then is, computes in
float64, so that the checks of equal predictions for parts of the rows hold on every processor.
"""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from pac_surrogate.sklearn import TransferRegressor

# The checks predict for rows that were not fitted, and fit rows that repeat.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pac_surrogate.ExtrapolationWarning", "ignore::pac_surrogate.DataWarning", "ignore:Can't check dok:UserWarning"
)


@parametrize_with_checks([TransferRegressor(intervals=False)])
def test_scikit_learn_finds_no_fault(estimator, check):
    check(estimator)
