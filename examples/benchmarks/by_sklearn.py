"""The measurements by scikit-learn's MLPClassifier, plain SGD or Adam, no penalty: partial_fit on one batch, and inside an epoch.

A call of partial_fit on one batch is mostly checks of its input, which a loop of
one's own pays at every step; on an epoch of batches they are paid once, as in fit.
"""

import importlib
import pickle
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workload import ADAM_LR, EPOCH, F32, LR, Ints, Training, data, weights

neural_network: Any = importlib.import_module("sklearn.neural_network")


def classifier(sizes: list[int], n: int, optimizer: str, **options: Any) -> Any:
    """Return a classifier of the given network."""
    return neural_network.MLPClassifier(
        sizes[1:-1], solver=optimizer, alpha=0, batch_size=n, momentum=0, nesterovs_momentum=False,
        learning_rate_init=LR if optimizer == "sgd" else ADAM_LR, shuffle=False, **options,
    )  # fmt: skip


def fitted(sizes: list[int], n: int, optimizer: str) -> tuple[Any, F32, Any]:
    """Return a classifier with the shared start values, and its data."""
    x, y = data(sizes, n)
    targets = y.ravel().astype(int)
    model = classifier(sizes, n, optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.partial_fit(x, targets, classes=np.arange(max(2, sizes[-1])))
    for i, (W, b) in enumerate(weights(sizes)):
        model.coefs_[i][...], model.intercepts_[i][...] = W, b
    del model._optimizer  # which has seen a step already
    return model, x, targets


def training(sizes: list[int], n: int, optimizer: str) -> Training:
    """Return a training step."""
    model, x, targets = fitted(sizes, n, optimizer)

    def step() -> float:
        model.partial_fit(x, targets)
        return float(model.loss_)

    return step, None, step


def in_fit(sizes: list[int], n: int, optimizer: str) -> Training:
    """Return an epoch of EPOCH steps on the same batch."""
    model, x, targets = fitted(sizes, n, optimizer)
    many, many_targets = np.tile(x, (EPOCH, 1)), np.tile(targets, EPOCH)

    def epoch() -> float:
        model.partial_fit(many, many_targets)
        return float(model.loss_)

    return epoch, None, partial(tenth, sizes, n, optimizer)


def tenth(sizes: list[int], n: int, optimizer: str) -> float:
    """Return the loss of the step after an epoch of nine."""
    model, x, targets = fitted(sizes, n, optimizer)
    model.partial_fit(np.tile(x, (9, 1)), np.tile(targets, 9))
    model.partial_fit(x, targets)
    return float(model.loss_)


def epochs(sizes: list[int], n: int, size: int, optimizer: str, many: int) -> Training:
    """Return some epochs by `fit`, rows as they stand, which goes on from the params that are there."""
    model, x, targets = fitted(sizes, n, optimizer)
    model.set_params(batch_size=size, max_iter=many, warm_start=True, tol=0, n_iter_no_change=many)

    def run() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it stops at max_iter, as it is told to
            model.fit(x, targets)
        return float(model.loss_)

    return run, None, run


def inference(sizes: list[int], n: int) -> tuple[Callable[[], F32], None]:
    """Return a prediction of probabilities, which is what scikit-learn gives."""
    model, x, _ = fitted(sizes, n, "sgd")

    def predict() -> F32:
        return np.asarray(model.predict_proba(x))

    return predict, None


def run(x: F32, y: Ints, x_val: F32, y_val: Ints) -> tuple[float, float]:
    """Fit for ten epochs, scored after each as the others are; return the seconds and the accuracy."""
    started = time.perf_counter()
    model, right = classifier([784, 256, 128, 10], 128, "adam", random_state=0).set_params(shuffle=True), 0.0
    for _ in range(10):
        model.partial_fit(x, y, classes=np.arange(10))
        right = float(model.score(x_val, y_val))
    return time.perf_counter() - started, right


def store(sizes: list[int], path: Path) -> None:
    """Write the classifier to a file."""
    path.write_bytes(pickle.dumps(fitted(sizes, 4, "sgd")[0]))
