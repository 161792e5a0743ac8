"""Metrics: functions ``(outputs, targets) -> float`` that score outputs, and the counts behind one."""

from __future__ import annotations

from typing import SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.pieces.targets import check_classes, require_same_shape
from nnfunc.values.arrays import as_real, check_finite, where_not_finite
from nnfunc.values.checks import as_number, problem, require
from nnfunc.values.types import AnyArray, Array, Rows

# So many numbers are compared at once: few enough for a processor's cache, enough for NumPy's calls not to count.
_BLOCK = 1 << 16


def accuracy(outputs: ArrayLike, y: ArrayLike, *, threshold: SupportsFloat | None = None) -> float:
    """Return the share of rows whose class is predicted right, in [0, 1].

    With two or more columns the largest output is the prediction, whether the
    outputs are logits or probabilities. With a `threshold` each output is a
    yes-or-no answer by itself, one column or several, and it says where yes
    begins: 0 for logits, 0.5 for probabilities; nothing is guessed. The result
    is then the share of answers that are right.

    Shapes:
        outputs (n, k) with y (n,) ints or (n, k) one-hot; or, with a threshold,
        outputs (n, k) or (n,) with y of the same shape, 0 or 1.

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
    predicted, true, _ = _answers("accuracy", outputs, y, threshold)
    return float(np.mean(predicted == true))


def confusion_matrix(outputs: ArrayLike, y: ArrayLike, *, threshold: SupportsFloat | None = None) -> Rows:
    """Return how many rows of each class, one to a row of the result, are predicted as each, one to a column.

    Classes are told from outputs and `y` as by `accuracy`, which is the trace of the result over its
    sum; with a `threshold` of a single column of outputs, they are no and yes.

    Shapes:
        outputs (n, k) with y (n,) ints or (n, k) one-hot, result (k, k); or, with a
        threshold, outputs (n, 1) or (n,) with y of the same shape, 0 or 1, result (2, 2).

    Raises:
        FloatingPointError, TypeError, ValueError: as `accuracy`, or there is a threshold for several columns.

    Example:
        >>> confusion_matrix([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 1, 1])
        array([[0, 0],
               [1, 2]])
        >>> confusion_matrix([-3.0, 2.0, 1.0], [0, 0, 1], threshold=0)
        array([[1, 1],
               [0, 1]])

    Reference:
        The same way round as scikit-learn's.
    """
    predicted, true, k = _answers("confusion_matrix", outputs, y, threshold)
    constraint = "have one column where a threshold tells yes from no (of several, give one at a time)"
    require(predicted.size == len(predicted), "confusion_matrix", "outputs", constraint, predicted.shape)
    counts: Rows = np.bincount(true.ravel().astype(np.intp) * k + predicted.ravel(), minlength=k * k)
    return counts.reshape(k, k)


@np.errstate(all="ignore")
def r2(outputs: ArrayLike, targets: ArrayLike) -> float:
    """Return 1 - sum (y - y_hat)^2 / sum (y - mean of y)^2, the share of variance explained, as a mean over columns.

    1 is right everywhere, 0 no better than the mean of the targets. A column of equal targets, of
    which there is nothing to explain, gives 1 if it is met exactly, else 0.

    Shapes:
        outputs and targets (n,) or (n, k), at least two rows; computed in float64.

    Raises:
        FloatingPointError: an output or target is NaN or infinite.
        TypeError: they do not hold numbers.
        ValueError: the shapes differ, or there are fewer than two rows.

    Example:
        >>> r2([[1.0], [2.0], [4.0]], [[1.0], [3.0], [5.0]])  # 1 - 2 / 8
        0.75

    Reference:
        scikit-learn's r2_score, whose arguments stand the other way round.
    """
    scores, y = as_real("r2", "outputs", outputs), as_real("r2", "targets", targets)
    require_same_shape("r2", scores, y)
    require(y.ndim and len(y) > 1 and y.size, "r2", "targets", "have at least two rows, and a column", y.shape)
    check_finite("r2", "outputs", scores)
    found = where_not_finite(y)
    require(not found, "r2", "targets", f"be finite{_where_told('r2', y)}", found, FloatingPointError)
    # Halves, of which no difference overflows; less one of them, so that no digits go to a large offset.
    half_scores, half = (a.astype(np.float64).reshape(len(y), -1) / 2 for a in (scores, y))
    away: Array = half - half[0]
    away -= np.mean(away, axis=0)
    (errors, i), (spread, j) = _squares(half_scores - half), _squares(away)
    explained = np.where(spread > 0, 1 - np.ldexp(errors / spread, 2 * (i - j)), np.where(errors > 0, 0, 1))
    return float(np.mean(explained))


def _squares(a: Array) -> tuple[Array, AnyArray]:
    """Return the sum of squares of each column over a power of 4, and half its exponent: it neither overflows nor vanishes."""
    _, exponents = np.frexp(np.maximum.reduce(np.abs(a), axis=0))
    sums: Array = np.add.reduce(np.ldexp(a, -exponents) ** 2, axis=0)
    return sums, exponents


def _swapped(scores: AnyArray) -> str:
    """Say which argument comes first, if outputs look like targets."""
    return " (outputs come first, then y)" if np.isin(scores, (0, 1)).all() else ""


def _where_told(function: str, y: AnyArray, options: str = "") -> str:
    """Return the metric that leaves out targets that are NaN, if some are."""
    if y.dtype.kind != "f" or not 0 < np.count_nonzero(np.isnan(y)) < y.size:
        return ""
    there = "np.extract(~np.isnan(y), {})"
    if function == "r2" and y.ndim > 1 and y.shape[1] > 1:  # a mean over columns, not of all numbers together
        if y.ndim > 2 or np.count_nonzero(~np.isnan(y), axis=0).min() < 2:
            return ""
        columns = "for a, b in zip(np.transpose(outputs), np.transpose(y))"
        each = "r2(np.extract(~np.isnan(b), a), np.extract(~np.isnan(b), b))"
        return f" (lambda outputs, y: np.mean([{each} {columns}]) leaves NaN out)"
    return f" (lambda outputs, y: {function}({there.format('outputs')}, {there.format('y')}{options}) leaves NaN out)"


def _answers(
    function: str, outputs: ArrayLike, y: ArrayLike, threshold: SupportsFloat | None
) -> tuple[AnyArray, AnyArray, int]:
    """Return what is predicted and what is true, as classes or, with a threshold, as yes or no, and of how many classes."""
    scores, targets = as_real(function, "outputs", outputs), as_real(function, "y", y)
    is_table = scores.ndim in (1, 2) and scores.size
    require(is_table, function, "outputs", "have shape (n, k) with at least one row", scores.shape)
    check_finite(function, "outputs", scores)
    if threshold is not None:
        constraint = f"have the shape {scores.shape} of the outputs, whose answers a threshold tells one by one"
        if scores.ndim == 2 and targets.shape == (len(scores),):
            k = scores.shape[1]
            constraint += {1: " (np.ravel(outputs) has that of y)", 2: " (np.asarray(outputs)[:, 1] is the second class alone)"}.get(k, "")
        require(targets.shape == scores.shape, function, "y", constraint, targets.shape)
        if not np.isin(targets, (0, 1)).all():
            hint = _where_told(function, targets, f", threshold={threshold}") or _swapped(scores)
            raise ValueError(problem(function, "y", f"be 0 or 1 for yes-or-no answers{hint}", targets))
        return scores > as_number(function, "threshold", threshold), targets, 2
    if scores.ndim == 1 and targets.ndim == 2 and len(targets) == len(scores) and targets.shape[1] > 1:
        constraint = "be scores, one column for each class, and come first, before the classes"
        raise ValueError(problem(function, "outputs", constraint, f"shape {scores.shape}, and y of shape {targets.shape}"))
    if scores.ndim == 1 and scores.dtype.kind in "iu" and scores.min() >= 0 and targets.dtype.kind in "iu":
        k = max(int(scores.max()), int(np.max(targets, initial=0))) + 1
        constraint = f"be scores, one column for each class (one_hot(outputs, {k}) makes them of predicted classes"
        if k == 2:
            constraint += ", or give a threshold for answers of yes or no: 0.5"
        raise ValueError(problem(function, "outputs", f"{constraint})", scores))
    if scores.ndim == 1 or scores.shape[1] == 1:
        constraint = "be given for one column of outputs (0 for logits, 0.5 for probabilities)"
        raise ValueError(problem(function, "threshold", constraint, threshold))
    if targets.shape == scores.shape:
        zeros_and_ones = np.isin(targets, (0, 1)).all()
        constraint = "have one 1 and else 0 in each row, or be class numbers"
        if zeros_and_ones:
            constraint += " (for yes-or-no answers give a threshold: 0 for logits, 0.5 for probabilities)"
        is_one_hot = zeros_and_ones and (targets.sum(axis=1) == 1).all()
        require(is_one_hot, function, "y", constraint + _swapped(scores), targets)
        targets = _largest(targets)
    check_classes(function, "y", targets, scores.shape[1], len(scores))
    return _largest(scores), targets, scores.shape[1]


def _largest(table: AnyArray) -> Rows:
    """Return the column of each row's largest number, some rows at a time, as NumPy copies a locked table for that."""
    step = max(1, _BLOCK // table.shape[1])
    found: Rows = np.concatenate([table[start : start + step].argmax(axis=1) for start in range(0, len(table), step)])
    return found
