"""Data: row numbers in batches and splits, scaling, one-hot rows, class weights, and the score of outputs.

Functions that draw take a key; functions that choose rows return row numbers,
so the same choice indexes inputs, targets and weights alike.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nnfunc.pieces.losses import check_classes
from nnfunc.values.arrays import as_real, check_finite
from nnfunc.values.checks import FLOAT32, FLOAT64, as_dtype, as_number, as_size, problem, require
from nnfunc.values.keys import generator
from nnfunc.values.params import sealed
from nnfunc.values.types import AnyArray, Array, Key, Params, Rows


def batches(key: Key, n: SupportsIndex, size: SupportsIndex) -> Iterator[Rows]:
    """Yield the rows 0 to n - 1 in a random order, `size` at a time; the last batch may be smaller.

    Args:
        key: decides the order; ``fold_in(key, epoch)`` gives each epoch its own.
        n: number of rows, at least 1.
        size: rows per batch, at least 1.

    Raises:
        TypeError, ValueError: `n` or `size` is not an integer of at least 1, or
            `key` is not a key.

    Example:
        >>> [len(rows) for rows in batches(0, 10, size=4)]
        [4, 4, 2]
        >>> sorted(int(row) for rows in batches(0, 10, size=4) for row in rows)
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    count, step = as_size("batches", "n", n, bits=62), as_size("batches", "size", size, bits=62)
    order: Rows = generator(key).permutation(count)
    return (order[start : start + step] for start in range(0, count, step))


def split_rows(
    key: Key, n: SupportsIndex, fraction: SupportsFloat, *, labels: ArrayLike | None = None
) -> tuple[Rows, Rows]:
    """Return the rows 0 to n - 1 as two random parts, the second one held out.

    Args:
        key: decides which rows are held out.
        n: number of rows.
        fraction: share of rows held out, in (0, 1); their number is rounded.
        labels: (n,) classes; given, each class has the same share in both parts,
            as nearly as whole rows allow.

    Raises:
        TypeError, ValueError: `n` is below 2, `fraction` outside (0, 1) or so
            small or large that a part is empty, or `labels` are not n of them.

    Example:
        >>> train, held_out = split_rows(0, 10, 0.3)
        >>> len(train), len(held_out)
        (7, 3)
        >>> y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
        >>> train, held_out = split_rows(0, 8, 0.25, labels=y)
        >>> sorted(y[held_out].tolist())
        [0, 1]
    """
    count = as_size("split_rows", "n", n, least=2, bits=62)
    share = as_number("split_rows", "fraction", fraction)
    require(0 < share < 1, "split_rows", "fraction", "lie in (0, 1)", share)
    held = round(count * share)
    require(0 < held < count, "split_rows", "fraction", f"leave rows of {count} in both parts", share)
    order: Rows = generator(key).permutation(count)
    if labels is None:
        return order[held:], order[:held]
    classes = np.asarray(labels)
    one_each = classes.shape == (count,)
    require(one_each, "split_rows", "labels", f"have shape ({count},), one per row", classes.shape)
    _, codes, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    quotas = _quotas(sizes, held)
    # Rank each row within its class, in random order; a class holds out its first few.
    by_class = order[np.argsort(codes[order], kind="stable")]
    rank = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    out = np.zeros(count, dtype=bool)
    out[by_class] = rank < np.repeat(quotas, sizes)
    chosen = out[order]
    return order[~chosen], order[chosen]


def _quotas(sizes: Rows, total: int) -> Rows:
    """Share `total` among groups in proportion to their sizes, the largest remainders rounded up."""
    exact = sizes * total
    quotas: Rows = exact // sizes.sum()
    remainders = exact - quotas * sizes.sum()
    quotas[np.argsort(-remainders, kind="stable")[: total - int(quotas.sum())]] += 1
    return quotas


def fit_scaler(x: ArrayLike) -> Params:
    """Return the mean and standard deviation of each column, to `standardize` with.

    Fit on training rows only. Integer data (pixels, counts) is welcome here
    and becomes float32. A constant column gets the scale 1, so it becomes 0.

    Shapes:
        x (n, k); "mean" and "scale" (k,).

    Raises:
        FloatingPointError: `x` has a NaN or an infinity; the message says where.
        TypeError: `x` does not hold numbers.
        ValueError: `x` is not of shape (n, k), or has no row.

    Example:
        >>> scaler = fit_scaler(np.array([[1.0, 7.0], [3.0, 7.0]]))
        >>> scaler["mean"], scaler["scale"]
        (array([2., 7.]), array([1., 1.]))
    """
    array = _table("fit_scaler", x)
    check_finite("fit_scaler", "x", array)
    wide = array.astype(np.float64)
    # A mean is rounded, so a constant column is told by its ends and keeps its exact value.
    low = wide.min(axis=0)
    constant = low == wide.max(axis=0)
    with np.errstate(all="ignore"):
        mean = np.where(constant, low, wide.mean(axis=0))
        scale = np.where(constant, 1.0, wide.std(axis=0))
        scale[scale == 0] = 1.0
        mean, scale = mean.astype(array.dtype), scale.astype(array.dtype)
    endless = np.flatnonzero(~np.isfinite(scale))
    got = f"column {endless[0]} of up to {wide[:, endless[0]].max():g}" if endless.size else ""
    require(not got, "fit_scaler", "x", "have a finite spread", got, FloatingPointError)
    return sealed({"mean": mean, "scale": scale})


def standardize(x: ArrayLike, scaler: Params) -> Array:
    """Return (x - mean) / scale, column by column.

    Shapes:
        x (n, k) and the result (n, k); `scaler` from `fit_scaler`.

    Raises:
        TypeError: `x` does not hold numbers.
        ValueError: `x` has other columns than the scaler was fitted on, or
            `scaler` lacks "mean" or "scale".

    Example:
        >>> x = np.array([[1.0, 7.0], [3.0, 7.0]])
        >>> standardize(x, fit_scaler(x))
        array([[-1.,  0.],
               [ 1.,  0.]])
    """
    array = _table("standardize", x)
    for name in ("mean", "scale"):
        held = hasattr(scaler, "items") and name in scaler
        require(held, "standardize", "scaler", f"hold {name!r}, as fit_scaler makes it", value=scaler)
    mean, scale = (as_real("standardize", name, scaler[name]).astype(array.dtype) for name in ("mean", "scale"))
    fits = mean.shape == array.shape[1:]
    require(fits, "standardize", "x", f"have the {mean.size} columns that the scaler was fitted on", array.shape)
    with np.errstate(all="ignore"):
        result: Array = (array - mean) / scale
    return result


def _table(function: str, x: ArrayLike) -> Array:
    """Return rows and columns of numbers as float32, or float64 if they are."""
    array = as_real(function, "x", x)
    is_table = array.ndim == 2 and array.size
    require(is_table, function, "x", "have shape (n, k) with at least one row and column", array.shape)
    return array if array.dtype in (FLOAT32, FLOAT64) else array.astype(FLOAT32)


def one_hot(y: ArrayLike, k: SupportsIndex, dtype: DTypeLike = np.float32) -> Array:
    """Return a row of k numbers for each class in `y`: 1 in the class's column, 0 elsewhere.

    Shapes:
        y (n,) ints from 0 to k - 1; result (n, k).

    Raises:
        TypeError: `y` is not of integers, or `dtype` not float32 or float64.
        ValueError: a class is out of range.

    Example:
        >>> one_hot([0, 2], 3)
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    columns = as_size("one_hot", "k", k)
    labels = _labels("one_hot", y, columns)
    rows = np.zeros((len(labels), columns), as_dtype("one_hot", dtype))
    rows[np.arange(len(labels)), labels] = 1
    return rows


def class_weight(y: ArrayLike, weights: Sequence[float] | Array | Literal["balanced"]) -> Array:
    """Return a weight for each row from a weight for each class, for `loss` and `grads`.

    Args:
        y: (n,) classes as ints.
        weights: one weight per class, at least 0; or "balanced", the weight
            n / (k * count of c) for class c, so that all k classes that occur
            count the same.

    Shapes:
        y (n,), weights (k,), result (n,) float64.

    Raises:
        TypeError: `y` is not of integers.
        ValueError: a class has no weight, or a weight is negative or not finite.

    Example:
        >>> class_weight([0, 2, 2], [1.0, 2.0, 4.0])
        array([1., 4., 4.])
        >>> class_weight([0, 1, 1, 1], "balanced")
        array([2.        , 0.66666667, 0.66666667, 0.66666667])

    Reference:
        "balanced" as in scikit-learn; King & Zeng (2001).
    """
    if isinstance(weights, str):
        known = weights == "balanced"
        require(known, "class_weight", "weights", "be one per class, or 'balanced'", repr(weights))
        labels = _labels("class_weight", y, None)
        _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        balanced: Array = (len(labels) / (len(sizes) * sizes))[codes]
        return balanced
    per_class = as_real("class_weight", "weights", weights).astype(np.float64)
    sound = per_class.ndim == 1 and per_class.size and np.isfinite(per_class).all() and per_class.min() >= 0
    require(sound, "class_weight", "weights", "be finite and at least 0, one per class", weights)
    result: Array = per_class[_labels("class_weight", y, len(per_class))]
    return result


def _labels(function: str, y: ArrayLike, k: int | None) -> AnyArray:
    """Return classes as an array of integers from 0 to k - 1, or from 0 on if k is none."""
    labels = as_real(function, "y", y)
    require(labels.ndim == 1 and labels.size, function, "y", "have shape (n,), one class per row", labels.shape)
    check_classes(function, "y", labels, k, len(labels))
    return labels


def accuracy(outputs: ArrayLike, y: ArrayLike, *, threshold: SupportsFloat | None = None) -> float:
    """Return the share of rows whose class is predicted right, in [0, 1].

    With two or more columns the largest output is the prediction, whether the
    outputs are logits or probabilities. With one column the outputs are
    yes-or-no answers, and `threshold` says where yes begins: 0 for logits, 0.5
    for probabilities; nothing is guessed.

    Shapes:
        outputs (n, k) with y (n,) ints or (n, k) one-hot; or outputs (n, 1) or
        (n,) with y of the same shape, 0 or 1, and a threshold.

    Raises:
        FloatingPointError: an output is NaN or infinite.
        TypeError: classes are not integers.
        ValueError: shapes do not fit, or a threshold is missing.

    Example:
        >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
        0.5
        >>> accuracy([[-3.0], [2.0]], [[0], [1]], threshold=0)
        1.0
    """
    scores, targets = as_real("accuracy", "outputs", outputs), as_real("accuracy", "y", y)
    is_table = scores.ndim in (1, 2) and scores.size
    require(is_table, "accuracy", "outputs", "have shape (n, k) with at least one row", scores.shape)
    check_finite("accuracy", "outputs", scores)
    if scores.ndim == 1 or scores.shape[1] == 1:
        constraint = "be given for one column of outputs (0 for logits, 0.5 for probabilities)"
        if threshold is None:
            raise ValueError(problem("accuracy", "threshold", constraint, threshold))
        same = targets.shape == scores.shape
        require(same, "accuracy", "y", f"have the shape {scores.shape} of the outputs", targets.shape)
        require(np.isin(targets, (0, 1)).all(), "accuracy", "y", "be 0 or 1 for one column of outputs", targets)
        return float(np.mean((scores > as_number("accuracy", "threshold", threshold)) == targets))
    if targets.shape == scores.shape:
        is_one_hot = np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all()
        require(is_one_hot, "accuracy", "y", "have one 1 and else 0 in each row, or be class numbers", targets)
        targets = targets.argmax(axis=1)
    check_classes("accuracy", "y", targets, scores.shape[1], len(scores))
    return float(np.mean(scores.argmax(axis=1) == targets))
