"""A classifier and a regressor for scikit-learn's pipelines, searches and cross-validation.

`test_estimator.py` proves them by scikit-learn's own checks. Wants scikit-learn, which `pip install -e '.[examples]'` brings.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ModuleNotFoundError:
    raise ModuleNotFoundError("recipes/estimator: scikit-learn must be installed: pip install -e '.[examples]'") from None

from nnfunc import AnyArray, Array, LossFn, adam, best_params, current_params, early_stopping, finish, fit_scaler, forward
from nnfunc import init, l2, mlp, mse, relu, softmax, softmax_cross_entropy, split_rows, standardize, train


class Network(BaseEstimator):
    """What both have in common: a relu network on standardised columns, trained by Adam.

    Args:
        hidden: sizes of the hidden layers, or that of the only one.
        epochs, lr, size: as for `train`.
        l2_rate: as for `l2`, which says what scikit-learn's ``alpha`` is in it.
        patience: epochs without improvement on held-out rows after which training ends, with the best params; if None,
            all epochs are run and no row is held out.
        validation_fraction: share of the rows that is held out for that.
        random_state: decides the start, the order of rows, and what is held out.
    """

    def __init__(
        self, hidden: int | tuple[int, ...] = (32,), epochs: int = 100, lr: float = 0.01, size: int = 32, l2_rate: float = 0.0,
        patience: int | None = None, validation_fraction: float = 0.1, random_state: int | None = 0,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.lr = lr
        self.size = size
        self.l2_rate = l2_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _train(
        self, x: Array, y: AnyArray, outputs: int, loss_fn: LossFn, weight: Array, labels: AnyArray | None = None
    ) -> None:
        key = int(check_random_state(self.random_state).randint(2**31))
        self.scaler_ = fit_scaler(x)
        self.net_ = mlp([x.shape[1], *np.atleast_1d(self.hidden).tolist(), outputs], relu)
        x, rows, validation = standardize(x, self.scaler_), np.arange(len(x)), None
        if self.patience is not None:
            rows, held = split_rows((key, 2), len(x), self.validation_fraction, labels=labels)
            validation = x[held], y[held], weight[held]
        run = train(
            self.net_, loss_fn, init(self.net_, (key, 0), np.float64), x[rows], y[rows], weight=weight[rows],
            epochs=self.epochs, lr=self.lr, size=self.size, optimizer=adam(), key=(key, 1), validation=validation,
            penalty=l2(self.l2_rate) if self.l2_rate else None,
            stopping=None if self.patience is None else early_stopping(self.patience),
        )  # fmt: skip
        state, self.reports_ = finish(run)
        self.params_ = current_params(state) if self.patience is None else best_params(state)

    def _outputs(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return forward(self.net_, self.params_, standardize(x, self.scaler_))


class NetworkClassifier(ClassifierMixin, Network):
    """A classifier by softmax cross-entropy."""

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        x, targets = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(targets)
        weight = _check_sample_weight(sample_weight, x)
        self.classes_, numbers = np.unique(targets, return_inverse=True)
        self._train(x, numbers, len(self.classes_), softmax_cross_entropy, weight, labels=numbers)
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        return softmax(self._outputs(X))

    def predict(self, X: ArrayLike) -> AnyArray:
        numbers = self._outputs(X).argmax(axis=1)
        labels: AnyArray = self.classes_[numbers]
        return labels


class NetworkRegressor(RegressorMixin, Network):
    """A regressor of one target by the mean squared error, standardised like the columns."""

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        x, targets = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self.target_scaler_ = fit_scaler(targets[:, None])
        weight = _check_sample_weight(sample_weight, x)
        self._train(x, standardize(targets[:, None], self.target_scaler_), 1, mse, weight)
        return self

    def predict(self, X: ArrayLike) -> Array:
        z = self._outputs(X)
        return (z * self.target_scaler_["scale"] + self.target_scaler_["mean"])[:, 0]
