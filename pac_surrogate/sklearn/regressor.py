"""The scikit-learn estimator: `fit` is a transfer to the samples that it is given."""

import math
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from pac_surrogate.files.variables import UNBOUNDED
from pac_surrogate.methods.specification import Choosable, as_method
from pac_surrogate.models import as_architecture
from pac_surrogate.pipeline import transfer
from pac_surrogate.pretraining import untrained
from pac_surrogate.sklearn.sources import Source, alone, check_samples, known_outputs, labels_of, named_data, resolve

ONE_DEVIATION = math.erf(0.5**0.5)  # level of the normal interval that ends one deviation from its mean


class TransferRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """A regressor for scikit-learn that adapts a source to the samples of `fit`; see `transfer`.

        regressor = TransferRegressor(source=(x_source, y_source), method="L2SP").fit(x, y)
        mean, deviation = regressor.predict(x_new, return_std=True)

    The samples of `fit` are the target. Inputs are scaled inside, by the source. A step before this one in a pipeline, such as
    a `StandardScaler`, sees the target alone: it must change source and target in the same way, or the source is of no use.

    Without a source the target is fitted alone. "auto" is then a Gaussian process, `GP(on="target")`, up to 1,000 samples, the
    most that it takes, and a network from fresh initial weights, `Scratch()`, beyond.

    A source that is data is pretrained in `fit`, with `random_state` as its seed. A process remembers the last eight, so that
    clones and the folds of a search pretrain equal data once; each process of `n_jobs` does so by itself. A network that is a
    torch module of your own is not remembered. If the pretraining must happen once, pass the surrogate that `pretrain` returns.

    If `fit` is given a table, the inputs have the names of its columns, and are matched with those of the source by name. A
    unit in brackets, as in "load [N]", must be that of the source. So are the outputs, if y is a table or a column whose names
    the source knows. All others are matched by position.

    Args:
        source: None; a pretrained surrogate, or the path of a saved one; or source samples: a dataset, the path of a data file,
            or a pair (x, y) of arrays or tables. Of a CSV or Parquet file, the columns are those with the names of X and y, so
            `fit` must be given tables.
        method: the method of the transfer, its name, or several candidates, as for `transfer`.
        source_data: source samples, for methods that train on them, if `source` is a surrogate.
        model: architecture of the network, for `pretrain` or `Scratch`, or of a saved surrogate that is a module of your own.
        pretrain_steps: gradient steps of the pretraining.
        steps: gradient steps on the target.
        source_steps: gradient steps of each training on the source, for methods that train on the source.
        batch_size: samples per step.
        folds: number of folds of the cross-validation among several candidates.
        intervals: whether to fit also without each of at most 10 parts of the samples, which `predict(..., return_std=True)`
            needs for a method that has no variance of its own. False saves time in a search.
        device: "auto" means CUDA if it is available.
        random_state: seed of initial weights, masks, minibatches and folds, under the name that scikit-learn looks for. A
            RandomState, or None for NumPy's own, draws a new seed in each `fit`.

    Attributes:
        surrogate_: the adapted `Surrogate`, with intervals, the joint posterior, and `save`.
        choice_: which methods "auto" chose from the candidates around a source, and why; else None.
        n_features_in_: number of inputs.
        feature_names_in_: names of the inputs, if `fit` was given a table whose columns have names.
    """

    def __init__(
        self,
        source: Source | None = None,
        method: Choosable | list[Choosable] = "auto",
        *,
        source_data: Source | None = None,
        model: Any = None,
        pretrain_steps: int = 3000,
        steps: int = 1000,
        source_steps: int = 1000,
        batch_size: int = 128,
        folds: int = 5,
        intervals: bool = True,
        device: str = "auto",
        random_state: Any = 0,
    ) -> None:
        self.source = source
        self.method = method
        self.source_data = source_data
        self.model = model
        self.pretrain_steps = pretrain_steps
        self.steps = steps
        self.source_steps = source_steps
        self.batch_size = batch_size
        self.folds = folds
        self.intervals = intervals
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "TransferRegressor":
        """Adapt the source to samples of the target.

        Args:
            X: inputs (sample, input), an array or a table.
            y: outputs, (sample,) or (sample, output).

        Returns:
            The estimator itself.

        Raises:
            ValueError: if the samples do not fit the source, the method needs a source that is missing, or a training diverges.
        """
        least = 2 if self.source is None else 1
        outputs = labels_of(y)
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, multi_output=True, ensure_min_samples=least)
        inputs = [str(name) for name in getattr(self, "feature_names_in_", ())]
        data = named_data(X, y, inputs)
        method = as_method(self.method)
        fixed = isinstance(self.random_state, Integral)
        seed = self.random_state if fixed else int(check_random_state(self.random_state).randint(2**31 - 1))
        shared: dict[str, Any] = {"seed": seed, "batch_size": self.batch_size, "device": self.device}
        if self.source is None:
            method, samples = alone(method, len(data)), None
            surrogate = untrained(data, as_architecture(self.model))
        else:
            given: dict[str, Any] = {"inputs": inputs, "outputs": outputs, "steps": self.pretrain_steps}
            surrogate, samples = resolve(self.source, self.source_data, self.model, **given, **shared)
            check_samples(method, samples)
            data = named_data(X, y, inputs, known_outputs(surrogate, outputs))
        self.surrogate_ = transfer(
            surrogate,
            data,
            method=method,
            source=samples,
            steps=self.steps,
            source_steps=self.source_steps,
            folds=self.folds,
            intervals=self.intervals,
            **shared,
        )
        self.choice_ = self.surrogate_.choice
        return self

    def predict(
        self, X: Any, return_std: bool = False
    ) -> Float[np.ndarray, "sample ..."] | tuple[Float[np.ndarray, "sample ..."], Float[np.ndarray, "sample ..."]]:
        """Predict, with the standard deviation of a new observation on request.

        The deviation is that of y, not of its mean: it contains the noise, as in scikit-learn's `BayesianRidge`, and in its
        `GaussianProcessRegressor` where a `WhiteKernel` describes the noise. It is that of the predictor's own posterior, if
        there is one, or that of the mixture of "auto". Otherwise it is

            sqrt(variance over the fits without a part of the samples + mean square of their left-out residuals)

        Where the source has an output on a logarithmic scale, it is half the width of the central interval of 68.3%. That
        interval is not cut by the bounds of an output, onto which only the prediction is projected: half of a part of it would
        not be the deviation.

        Args:
            X: inputs (sample, input).
            return_std: whether to return the deviation too.

        Returns:
            The prediction, of the shape of y; with `return_std`, also the deviation, of the same shape.

        Raises:
            ValueError: if the inputs do not fit, or a method without a variance was fitted with `intervals=False`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        mean = self.surrogate_.predict(X)
        if not return_std:
            return mean
        unbounded = tuple(replace(variable, bounds=UNBOUNDED) for variable in self.surrogate_.outputs)
        surrogate = replace(self.surrogate_, outputs=unbounded)
        band = surrogate.predict_interval(X, ONE_DEVIATION, interval="posterior")
        return mean, 0.5 * (band.upper - band.lower)
