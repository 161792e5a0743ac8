"""Checks on what losses are given: outputs and targets of equal shapes, classes in range, probabilities."""

from typing import SupportsFloat

import numpy as np

from nnfunc.bounds import as_share
from nnfunc.checks import as_floats, as_real, problem
from nnfunc.types import AnyArray, Array

_UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


def same_shape(function: str, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Return both as float arrays of one dtype, if their shapes are equal.

    Example:
        >>> same_shape("mse", np.zeros(2), np.zeros((2, 1)))
        Traceback (most recent call last):
        ...
        ValueError: mse: targets must have the shape (2,) of the outputs, got (2, 1)
    """
    if not (type(outputs) is np.ndarray and outputs.dtype.kind == "f" and outputs.ndim and outputs.size):
        outputs = float_outputs(function, outputs)
    if type(targets) is not np.ndarray or targets.dtype.kind not in "fiub":
        targets = as_real(function, "targets", targets)
    if targets.shape != outputs.shape:
        constraint = f"have the shape {outputs.shape} of the outputs"
        raise ValueError(problem(function, "targets", constraint, targets.shape))
    return outputs, targets if targets.dtype == outputs.dtype else targets.astype(outputs.dtype)


def float_outputs(function: str, outputs: Array) -> Array:
    """Return outputs as a float array with at least one row and one column.

    Example:
        >>> float_outputs("mse", np.array([1]))
        array([1.])
    """
    array = as_floats(function, "outputs", outputs)
    if array.ndim == 0 or array.size == 0:
        raise ValueError(problem(function, "outputs", "hold at least one row and one column", array))
    return array


def class_targets(
    function: str, outputs: Array, targets: AnyArray, label_smoothing: SupportsFloat
) -> tuple[Array, AnyArray, Array | None]:
    """Return the outputs, the targets as given and, unless they are plain ints, as probabilities.

    Example:
        >>> outputs, classes, soft = class_targets("cross_entropy", np.zeros((1, 2)), np.array([1]), 0.5)
        >>> soft
        array([[0.25, 0.75]])
    """
    if not (type(outputs) is np.ndarray and outputs.dtype.kind == "f" and outputs.ndim and outputs.size):
        outputs = float_outputs(function, outputs)
    if type(targets) is not np.ndarray or targets.dtype.kind not in "fiub":
        targets = as_real(function, "targets", targets)
    if outputs.ndim != 2:
        raise ValueError(problem(function, "outputs", "have shape (n, k), one column per class", outputs.shape))
    n, k = outputs.shape
    smoothing = 0.0 if label_smoothing == 0 else as_share(function, "label_smoothing", label_smoothing)
    soft: Array
    if targets.ndim == 1:
        check_classes(function, "targets", targets, k, n)
        if not smoothing:
            return outputs, targets, None
        soft = (targets[:, None] == np.arange(k)).astype(outputs.dtype)
    elif targets.shape == outputs.shape:
        soft = targets.astype(outputs.dtype, copy=False)
        sums = np.add.reduce(soft, axis=1)
        wrong = np.flatnonzero((np.minimum.reduce(soft, axis=1) < 0) | (np.abs(sums - 1) > 1e-3))
        if wrong.size:
            row = f"{soft[wrong[0]].tolist()} at row {wrong[0]}"
            raise ValueError(problem(function, "targets", "be probabilities that sum to 1 in each row", row))
    else:
        constraint = f"have shape ({n},) as class numbers or {(n, k)} as probabilities"
        raise ValueError(problem(function, "targets", constraint, targets.shape))
    if smoothing:
        soft = (1 - smoothing) * soft + smoothing / k
    return outputs, targets, soft


def check_classes(function: str, argument: str, labels: AnyArray, k: int | None, n: int) -> None:
    """Raise unless `labels` are n integers from 0 to k - 1, or from 0 on if k is none.

    Example:
        >>> check_classes("accuracy", "y", np.array([0, 3]), 3, 2)
        Traceback (most recent call last):
        ...
        ValueError: accuracy: y must be classes from 0 to 2, got 3 at row 1
    """
    if labels.shape != (n,):
        raise ValueError(problem(function, argument, f"have shape ({n},), one class per row", labels.shape))
    if labels.dtype.kind not in "iu":
        constraint = f"be integers, as class numbers are (convert with {argument}.astype(int))"
        raise TypeError(problem(function, argument, constraint, labels))
    # Seen as unsigned, a negative number is one of the upper half: one look finds both.
    half = 1 << (8 * labels.itemsize - 1)
    if k is not None and k <= half and labels.dtype.isnative:
        if np.maximum.reduce(labels.view(_UNSIGNED[labels.itemsize])) < k:
            return
    if np.minimum.reduce(labels) < 0 or (k is not None and np.maximum.reduce(labels) >= k):
        outside = labels < 0 if k is None else (labels < 0) | (labels >= k)
        row = int(np.flatnonzero(outside)[0])
        constraint = "be classes from 0 on" if k is None else f"be classes from 0 to {k - 1}"
        raise ValueError(problem(function, argument, constraint, f"{labels[row]} at row {row}"))


def binary_targets(function: str, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Return outputs and targets of equal shape, the targets in [0, 1].

    Example:
        >>> binary_targets("loss", np.zeros(1), np.array([1]))[1]
        array([1.])
    """
    outputs, targets = same_shape(function, outputs, targets)
    check_unit_interval(function, "targets", targets, "lie in [0, 1]")
    return outputs, targets


def check_unit_interval(function: str, argument: str, a: Array, constraint: str) -> None:
    """Raise ValueError if an element lies outside [0, 1].

    Example:
        >>> check_unit_interval("loss", "targets", np.array([0.0, 2.0]), "lie in [0, 1]")
        Traceback (most recent call last):
        ...
        ValueError: loss: targets must lie in [0, 1], got 2.0
    """
    if a.size <= 64:  # Python is done before NumPy has begun
        values = a.ravel().tolist()
        if min(values) >= 0 and max(values) <= 1:
            return
    # A NaN is no error here: it makes the loss NaN, and `loss` says where it came from.
    low, high = np.minimum.reduce(a, axis=None), np.maximum.reduce(a, axis=None)
    if low < 0 or high > 1 + 1e-6:
        raise ValueError(problem(function, argument, constraint, f"{low if low < 0 else high}"))
