"""A classifier and a regressor for scikit-learn's pipelines, searches and cross-validation.

`test_estimator.py` proves them by scikit-learn's own checks. Wants scikit-learn, which `pip install -e '.[examples]'` brings.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from nnfunc import AnyArray, Array, LossFn, adam, current_params, finish, fit_scaler, forward, init, mlp, mse
from nnfunc import relu, softmax, softmax_cross_entropy, standardize, train


class Network(BaseEstimator):
    """What both have in common: a relu network on standardised columns, trained by Adam."""

    def __init__(
        self, hidden: tuple[int, ...] = (32,), epochs: int = 100, lr: float = 0.01, size: int = 32,
        random_state: int | None = 0,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.lr = lr
        self.size = size
        self.random_state = random_state

    def _train(self, x: Array, y: AnyArray, outputs: int, loss_fn: LossFn) -> None:
        key = int(check_random_state(self.random_state).randint(2**31))
        self.scaler_ = fit_scaler(x)
        self.net_ = mlp([x.shape[1], *self.hidden, outputs], relu)
        run = train(
            self.net_, loss_fn, init(self.net_, (key, 0), np.float64), standardize(x, self.scaler_), y,
            epochs=self.epochs, lr=self.lr, size=self.size, optimizer=adam(), key=(key, 1),
        )  # fmt: skip
        self.params_ = current_params(finish(run)[0])

    def _outputs(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return forward(self.net_, self.params_, standardize(x, self.scaler_))


class NetworkClassifier(ClassifierMixin, Network):
    """A classifier by softmax cross-entropy."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        x, targets = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(targets)
        self.classes_, numbers = np.unique(targets, return_inverse=True)
        self._train(x, numbers, len(self.classes_), softmax_cross_entropy)
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        return softmax(self._outputs(X))

    def predict(self, X: ArrayLike) -> AnyArray:
        numbers = self._outputs(X).argmax(axis=1)
        labels: AnyArray = self.classes_[numbers]
        return labels


class NetworkRegressor(RegressorMixin, Network):
    """A regressor of one target by the mean squared error, standardised like the columns."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        x, targets = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self.target_scaler_ = fit_scaler(targets[:, None])
        self._train(x, standardize(targets[:, None], self.target_scaler_), 1, mse)
        return self

    def predict(self, X: ArrayLike) -> Array:
        z = self._outputs(X)
        return (z * self.target_scaler_["scale"] + self.target_scaler_["mean"])[:, 0]
