"""Small tables, all rows at once: L-BFGS on this library beside scikit-learn's `solver="lbfgs"`.

Both minimise the same penalised loss, from the same start, by the same routine of SciPy's, so that on each of five splits
they end at the same loss and the same score. Times are shown. Wants `pip install -e '.[examples]'`.

    python examples/lbfgs_beside_sklearn.py
"""

# %%
import time
import warnings

import numpy as np
from recipes.lbfgs import lbfgs

try:
    from sklearn import datasets
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
except ModuleNotFoundError:
    raise ModuleNotFoundError("lbfgs_beside_sklearn: scikit-learn must be installed: pip install -e '.[examples]'") from None

from nnfunc import (
    AnyArray,
    Array,
    accuracy,
    fit_scaler,
    forward,
    freeze,
    l2,
    loss,
    mlp,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    split_rows,
    standardize,
    tanh,
)

# %%
HIDDEN, ALPHA, STEPS, TOLERANCE = 16, 1.0, 500, 1e-5
TABLES = {"iris": datasets.load_iris, "wine": datasets.load_wine, "breast cancer": datasets.load_breast_cancer}


def both(x: Array, y: AnyArray, split: int) -> AnyArray:
    """Fit four fifths of the rows by both, here first; return losses, accuracies on the others, and seconds, (3, 2)."""
    rows, held = split_rows(split, len(x), 0.2, labels=y)
    scaler = fit_scaler(x[rows])
    x, x_held, y, y_held = standardize(x[rows], scaler), standardize(x[held], scaler), y[rows], y[held]
    options = {"activation": "tanh", "solver": "lbfgs", "alpha": ALPHA, "warm_start": True, "random_state": split}
    model = MLPClassifier((HIDDEN,), max_iter=1, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)  # one step, from where both go on
    weights = zip(model.coefs_, model.intercepts_, strict=True)
    start = freeze({f"{i}/{name}": a for i, pair in enumerate(weights) for name, a in zip("Wb", pair, strict=True)})
    started = time.perf_counter()
    model.set_params(max_iter=STEPS, tol=TOLERANCE).fit(x, y)
    theirs = time.perf_counter() - started

    two = start["1/b"].size == 1  # classes are one output there
    loss_fn, targets = (sigmoid_cross_entropy, y[:, None]) if two else (softmax_cross_entropy, y)
    net = mlp([x.shape[1], HIDDEN, start["1/b"].size], tanh)
    penalty = l2(ALPHA / (2 * len(x)))
    started = time.perf_counter()
    params = lbfgs(net, loss_fn, start, x, targets, penalty, STEPS, TOLERANCE)
    seconds = time.perf_counter() - started

    value = loss(net, loss_fn, params, x, targets, penalty=penalty)
    logits = forward(net, params, x_held)
    score = accuracy(logits, y_held[:, None], threshold=0) if two else accuracy(logits, y_held)
    return np.array([[value, model.loss_], [score, model.score(x_held, y_held)], [seconds, theirs]])


# %%
def main() -> dict[str, AnyArray]:
    """Print a line for each table; return loss, accuracy and seconds of both on five splits, (5, 3, 2)."""
    found = {}
    print(f"{'':14s}{'loss':>8s}{'sklearn':>9s}{'right':>8s}{'sklearn':>9s}{'ms':>7s}{'sklearn':>9s}")
    for name, read in TABLES.items():
        x, y = read(return_X_y=True)
        found[name] = np.stack([both(x, y, split) for split in range(5)])
        (a, b), (c, d) = found[name][:, :2].mean(axis=0)
        e, f = np.median(found[name][:, 2], axis=0)
        print(f"{name:14s}{a:8.4f}{b:9.4f}{c:8.1%}{d:9.1%}{1e3 * e:7.1f}{1e3 * f:9.1f}")
    return found


# %%
if __name__ == "__main__":
    main()
