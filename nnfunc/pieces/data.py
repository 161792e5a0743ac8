"""Data: row numbers in batches, splits and folds, scaling, one-hot rows and class weights.

Functions that draw take a key; functions that choose rows return row numbers,
so the same choice indexes inputs, targets and weights alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nnfunc.pieces.targets import check_classes
from nnfunc.values.arrays import all_finite, as_array, as_real, check_finite
from nnfunc.values.checks import FLOAT32, FLOAT64, as_dtype, as_number, as_size, describe, problem, require, shortened
from nnfunc.values.keys import generator, key_path
from nnfunc.values.params import sealed
from nnfunc.values.types import AnyArray, Array, Key, Params, Rows


# So many numbers are scaled at once: few enough for a processor's cache, enough for NumPy's calls not to count.
_BLOCK = 1 << 16


def batches(
    key: Key, n: SupportsIndex, size: SupportsIndex, *, order: ArrayLike | None = None
) -> Iterator[Rows]:
    """Yield the rows 0 to n - 1 in a random order, `size` at a time; the last batch may be smaller.

    Args:
        key: decides the order; ``fold_in(key, epoch)`` gives each epoch its own.
        n: number of rows, at least 1.
        size: rows per batch, at least 1.
        order: row numbers, taken as they stand in place of the random order: ``np.arange(n)`` for
            a time series. Some may be left out or come again.

    Raises:
        TypeError, ValueError: `n` or `size` is not an integer of at least 1, `key` is
            not a key, or `order` has others than rows from 0 to n - 1.

    Example:
        >>> [len(rows) for rows in batches(0, 10, size=4)]
        [4, 4, 2]
        >>> sorted(int(row) for rows in batches(0, 10, size=4) for row in rows)
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        >>> [rows.tolist() for rows in batches(0, 5, size=2, order=np.arange(5))]
        [[0, 1], [2, 3], [4]]
    """
    count, step = as_size("batches", "n", n, bits=62), as_size("batches", "size", size, bits=62)
    key_path("batches", key)
    rows: Rows = generator(key).permutation(count) if order is None else as_rows("batches", "order", order, count)
    return (rows[start : start + step] for start in range(0, len(rows), step))


def as_rows(function: str, argument: str, value: ArrayLike, n: int) -> Rows:
    """Return row numbers from 0 to n - 1, at least one, as an array of the caller's own.

    Example:
        >>> as_rows("batches", "order", [0, 5], 5)
        Traceback (most recent call last):
        ...
        ValueError: batches: order must be rows from 0 to 4, got 5 at 1
    """
    given = as_array(function, argument, value)
    whole = given.dtype.kind in "iu" and given.ndim == 1 and given.size > 0
    require(whole, function, argument, "be one or more row numbers (integers, not booleans)", kind=TypeError, value=given)
    outside = np.flatnonzero((given < 0) | (given >= n))
    got = f"{given[outside[0]]} at {outside[0]}" if outside.size else ""
    require(not got, function, argument, f"be rows from 0 to {n - 1}", got)
    rows: Rows = given.astype(np.int64)
    return rows


def split_rows(
    key: Key, n: SupportsIndex, fraction: SupportsFloat, *, labels: ArrayLike | None = None
) -> tuple[Rows, Rows]:
    """Return the rows 0 to n - 1 as two random parts, the second one held out.

    Args:
        key: decides which rows are held out.
        n: number of rows.
        fraction: share of rows held out, in (0, 1); their number is rounded.
        labels: (n,) classes, of any kind that can be sorted, text say; given, each
            class has the same share in both parts, as nearly as whole rows allow.

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
    order: Rows = generator(key_path("split_rows", key)).permutation(count)
    if labels is None:
        return order[held:], order[:held]
    by_class, sizes = _by_class("split_rows", order, labels)
    quotas = _quotas(sizes, held)
    # Rank each row within its class, in random order; a class holds out its first few.
    rank = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    out = np.zeros(count, dtype=bool)
    out[by_class] = rank < np.repeat(quotas, sizes)
    chosen = out[order]
    return order[~chosen], order[chosen]


def folds(key: Key, n: SupportsIndex, k: SupportsIndex, labels: ArrayLike | None = None) -> list[tuple[Rows, Rows]]:
    """Return the rows 0 to n - 1 as k random pairs of parts, the second held out: every row once, in one of them.

    Their sizes differ by one at most. The rows of each part are in random order.

    Args:
        key: decides which rows are held out together.
        n: number of rows.
        k: number of pairs, from 2 to n.
        labels: (n,) classes, of any kind that can be sorted, text say; given, how many of a
            class are held out differs by one at most too.

    Raises:
        TypeError, ValueError: `n` is below 2, `k` below 2 or above n, or `labels` are not n of them.

    Example:
        >>> [(len(train), len(held_out)) for train, held_out in folds(0, 10, 3)]
        [(6, 4), (7, 3), (7, 3)]
        >>> y = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1])
        >>> [sorted(y[held_out].tolist()) for _, held_out in folds(0, 9, 3, labels=y)]
        [[0, 1, 1], [0, 1, 1], [0, 1, 1]]
    """
    count, parts = as_size("folds", "n", n, least=2, bits=62), as_size("folds", "k", k, least=2, bits=62)
    require(parts <= count, "folds", "k", f"be at most {count}, the number of rows", parts)
    order: Rows = generator(key_path("folds", key)).permutation(count)
    dealt = np.empty(count, np.int64)
    dealt[order if labels is None else _by_class("folds", order, labels)[0]] = np.arange(count) % parts
    found = dealt[order]
    return [(order[found != i], order[found == i]) for i in range(parts)]


def _by_class(function: str, order: Rows, labels: ArrayLike) -> tuple[Rows, Rows]:
    """Return rows in the order of their classes, in a class in the order given, and how many are in each class."""
    classes, count = as_array(function, "labels", labels), len(order)
    require(classes.shape == (count,), function, "labels", f"have shape ({count},), one per row", classes.shape)
    try:
        _, codes, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    except (TypeError, ValueError) as error:
        kinds = ", ".join(sorted({type(item).__name__ for item in classes.tolist()}))
        constraint = "be of one kind that can be sorted (labels=[repr(label) for label in labels], say)"
        raise TypeError(problem(function, "labels", constraint, shortened(kinds, 200))) from error
    return order[np.argsort(codes[order], kind="stable")], sizes


def _quotas(sizes: Rows, total: int) -> Rows:
    """Share `total` among groups in proportion to their sizes, the largest remainders rounded up."""
    exact = sizes * total
    quotas: Rows = exact // sizes.sum()
    remainders = exact - quotas * sizes.sum()
    quotas[np.argsort(-remainders, kind="stable")[: total - int(quotas.sum())]] += 1
    return quotas


@np.errstate(all="ignore")
def fit_scaler(x: ArrayLike) -> Params:
    """Return the mean and standard deviation of each column, to `standardize` with.

    Fit on training rows only. Whole numbers (pixels, counts, timestamps),
    booleans and lists are as welcome as floats: nothing is rounded before the
    arithmetic, which is in float64, as its results are. Rows are read in blocks,
    so a memory map may be larger than memory. A constant column gets the scale
    1, so it becomes 0.

    Shapes:
        x (n, k); "mean" and "scale" (k,), float64.

    Raises:
        FloatingPointError: `x` has a NaN or an infinity, or a column's spread is
            beyond float64; the message says where.
        TypeError: `x` does not hold numbers.
        ValueError: `x` is not of shape (n, k), or has no row.

    Example:
        >>> scaler = fit_scaler(np.array([[1.0, 7.0], [3.0, 7.0]]))
        >>> scaler["mean"], scaler["scale"]
        (array([2., 7.]), array([1., 1.]))
    """
    array = _table("fit_scaler", x)
    if not all(all_finite(block) for _, block in _blocks(array)):
        check_finite("fit_scaler", "x", array)
    # A mean is rounded, so a constant column is told by its ends and keeps its exact value.
    ends = [(block.min(axis=0), block.max(axis=0)) for _, block in _blocks(array)]
    low, high = np.min([least for least, _ in ends], axis=0), np.max([most for _, most in ends], axis=0)
    spread = _less(high, low)
    endless = np.flatnonzero(~np.isfinite(spread))
    got = f"column {endless[0]} from {low[endless[0]]:g} to {high[endless[0]]:g}" if endless.size else ""
    require(not got, "fit_scaler", "x", "have a finite spread", got, FloatingPointError)
    # As shares of the spread, no square can overflow or vanish, and none of the digits goes to a large offset.
    unit = np.where(spread > 0, spread, 1.0)
    shares: Array = np.zeros(array.shape[1])
    squares: Array = np.zeros(array.shape[1])
    for _, block in _blocks(array):
        shares += np.add.reduce(_less(block, low) / unit, axis=0)
    shares /= len(array)
    for _, block in _blocks(array):
        squares += np.add.reduce((_less(block, low) / unit - shares) ** 2, axis=0)
    mean: Array = np.asarray(low + shares * unit, np.float64)
    scale = np.where(spread > 0, np.sqrt(squares / len(array)) * unit, 1.0)
    scale[scale == 0] = 1.0
    # What float64 cannot hold of a constant integer must vanish too.
    scale[(spread == 0) & (_less(low, mean) != 0)] = 2.0**200
    return sealed({"mean": mean, "scale": scale})


def standardize(x: ArrayLike, scaler: Params) -> Array:
    """Return (x - mean) / scale, column by column, computed in float64 and rounded last.

    Of float64 rows the result is float64, of all others (float32, whole
    numbers, booleans) float32. Rows go through in blocks. This is where a row
    with a gap is told in production, as `forward` gives NaN for it.

    Shapes:
        x (n, k) and the result (n, k); `scaler` from `fit_scaler`.

    Raises:
        FloatingPointError: `x` has a NaN or an infinity, or a result is beyond
            its dtype; the message says where.
        TypeError: `x` does not hold numbers.
        ValueError: `x` has other columns than the scaler was fitted on, or
            `scaler` lacks "mean" or "scale", or has a scale that is not above 0.

    Example:
        >>> x = np.array([[1.0, 7.0], [3.0, 7.0]])
        >>> standardize(x, fit_scaler(x))
        array([[-1.,  0.],
               [ 1.,  0.]])
    """
    array = _table("standardize", x)
    mean, scale = mean_and_scale("standardize", scaler)
    fits = mean.shape == array.shape[1:]
    require(fits, "standardize", "x", f"have the {mean.size} columns that the scaler was fitted on", array.shape)
    result: Array = np.empty(array.shape, FLOAT64 if array.dtype.kind == "f" and array.itemsize >= 8 else FLOAT32)
    for start, block in _blocks(array):
        with np.errstate(all="ignore"):
            result[start : start + len(block)] = _less(block, mean) / scale
        if not all_finite(result[start : start + len(block)]):
            check_finite("standardize", "x", array)
            row, column = np.argwhere(~np.isfinite(result[start : start + len(block)]))[0]
            got = f"{block[row, column]} at {[start + int(row), int(column)]}"
            constraint = f"hold numbers whose results {result.dtype} can hold"
            raise FloatingPointError(problem("standardize", "x", constraint, got))
    return result


def mean_and_scale(function: str, scaler: Params) -> tuple[Array, Array]:
    """Return what a scaler holds, in float64.

    Example:
        >>> mean_and_scale("standardize", {"mean": [1], "scale": [2]})
        (array([1.]), array([2.]))
    """
    for name in ("mean", "scale"):
        held = hasattr(scaler, "items") and name in scaler
        require(held, function, "scaler", f"hold {name!r}, as fit_scaler makes it", value=scaler)
    mean, scale = (as_real(function, name, scaler[name]).astype(np.float64) for name in ("mean", "scale"))
    sound = mean.ndim == 1 and scale.shape == mean.shape and all_finite(mean, scale) and scale.min(initial=1) > 0
    require(sound, function, "scaler", "hold finite means and a scale above 0 for each", f"scale {describe(scale.tolist())}")
    return mean, scale


def _table(function: str, x: ArrayLike) -> AnyArray:
    """Return rows and columns of numbers."""
    array = as_real(function, "x", x)
    is_table = array.ndim == 2 and array.size
    require(is_table, function, "x", "have shape (n, k) with at least one row and column", array.shape)
    return array


def _blocks(array: AnyArray) -> Iterator[tuple[int, AnyArray]]:
    """Yield the rows some at a time, each time with the number of the first."""
    step = max(1, _BLOCK // array.shape[1])
    return ((start, array[start : start + step]) for start in range(0, len(array), step))


def _less(block: AnyArray, offset: AnyArray) -> Array:
    """Return block - offset in float64, rounded after the difference also where 64-bit integers have more digits."""
    wide = np.longdouble if block.dtype.kind in "iu" and block.itemsize == 8 else np.float64
    difference: Array = np.subtract(block, offset, dtype=wide).astype(np.float64, copy=False)
    return difference


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


def class_weight(
    y: ArrayLike, weights: Mapping[int, float] | Mapping[str, float] | Sequence[float] | Array | Literal["balanced"]
) -> Array:
    """Return a weight for each row from a weight for each class, for `loss` and `grads`.

    Args:
        y: (n,) classes as ints; with a mapping, the labels that are its keys.
        weights: one weight per class, at least 0, in order or as a mapping
            ``{0: 1.0, 1: 5.0}``; or "balanced", the weight n / (k * count of c)
            for class c, so that all k classes that occur count the same.

    Shapes:
        y (n,), weights (k,), result (n,) float64.

    Raises:
        TypeError: `y` is not of integers.
        ValueError: a class has no weight, or a weight is negative or not finite.

    Example:
        >>> class_weight([0, 2, 2], [1.0, 2.0, 4.0])
        array([1., 4., 4.])
        >>> class_weight([3, 8], {3: 1.0, 8: 5.0})
        array([1., 5.])
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
    if isinstance(weights, Mapping):
        labels = as_array("class_weight", "y", y)
        if labels.dtype.kind == "O" and all(isinstance(each, str) for each in labels.ravel()):  # a column of a data frame
            labels = labels.astype(str)
        if labels.dtype.kind not in "iuU":  # text may be the keys; all else is refused as without a mapping
            labels = _labels("class_weight", y, None)
        require(labels.ndim == 1 and labels.size, "class_weight", "y", "have shape (n,), one class per row", labels.shape)
        classes, codes = np.unique(labels, return_inverse=True)
        lacking = [each for each in classes.tolist() if each not in weights]
        got = f"none for {describe(lacking[0])}" if lacking else ""
        require(not lacking, "class_weight", "weights", "hold a weight for each class in y", got)
        return _weights([weights[each] for each in classes.tolist()])[codes]
    per_class = _weights(weights)
    result: Array = per_class[_labels("class_weight", y, len(per_class))]
    return result


def _weights(weights: ArrayLike) -> Array:
    """Return weights of classes in float64."""
    per_class: Array = as_real("class_weight", "weights", weights).astype(np.float64)
    sound = per_class.ndim == 1 and per_class.size and np.isfinite(per_class).all() and per_class.min() >= 0
    require(sound, "class_weight", "weights", "be finite and at least 0, one per class", weights)
    return per_class


def _labels(function: str, y: ArrayLike, k: int | None) -> AnyArray:
    """Return classes as an array of integers from 0 to k - 1, or from 0 on if k is none."""
    labels = as_real(function, "y", y)
    require(labels.ndim == 1 and labels.size, function, "y", "have shape (n,), one class per row", labels.shape)
    check_classes(function, "y", labels, k, len(labels))
    return labels
