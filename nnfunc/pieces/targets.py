"""Outputs and targets: the forms in which losses and metrics take them, and what losses give.

Nothing is broadcast: a target has the shape that its loss says, and classes are
integers. A NaN is no error here; it makes the loss NaN, and `loss` says where it came from.
"""

from __future__ import annotations

from typing import NoReturn, SupportsFloat

import numpy as np

from nnfunc.values.arrays import as_floats, as_real, in_dtype, place
from nnfunc.values.checks import as_share, describe, problem, require
from nnfunc.values.types import AnyArray, Array


def require_same_shape(function: str, outputs: Array, targets: AnyArray) -> None:
    """Raise unless targets have the shape of the outputs: what every loss asks first, as NumPy would broadcast.

    Args:
        function: the name of the loss, with which the message begins.
        outputs: what the loss was given.
        targets: likewise.

    Raises:
        ValueError: the shapes differ, (n,) and (n, 1) too.
        TypeError: one of them is no array.

    Example:
        >>> require_same_shape("brier", np.zeros((3, 1)), np.zeros(3))
        Traceback (most recent call last):
        ...
        ValueError: brier: targets must have the shape (3, 1) of the outputs (np.reshape(targets, (-1, 1)) has it),
        got (3,)
    """
    if not isinstance(outputs, np.ndarray) or not isinstance(targets, np.ndarray):
        wrong = "targets" if isinstance(outputs, np.ndarray) else "outputs"
        raise TypeError(problem(function, wrong, "be an array", describe(targets if wrong == "targets" else outputs)))
    if outputs.shape != targets.shape:
        _refuse_shape(function, targets, outputs.shape, "the outputs")


def _refuse_shape(function: str, targets: AnyArray, shape: tuple[int, ...], of: str) -> NoReturn:
    """Raise that targets must have another shape, and how they get it, if that is known."""
    hint = ""
    if [n for n in targets.shape if n != 1] == [n for n in shape if n != 1]:
        wanted = (-1, *shape[1:]) if shape and 0 not in shape else shape  # -1: the rows of a whole too
        hint = f" (np.reshape(targets, {wanted}) has it)"
    raise ValueError(problem(function, "targets", f"have the shape {shape} of {of}{hint}", targets.shape))


def same_shape(function: str, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Return both as float arrays of one dtype, if their shapes are equal.

    Example:
        >>> same_shape("mse", np.ones(2, np.float32), np.array([0, 1]))[1]
        array([0., 1.], dtype=float32)
    """
    outputs, targets = as_arrays(function, outputs, targets)
    require_same_shape(function, outputs, targets)
    return outputs, targets if targets.dtype == outputs.dtype else in_dtype(function, "targets", targets, outputs.dtype)


def in_groups(
    function: str, outputs: Array, targets: AnyArray, groups: int, kind: str, of: str
) -> tuple[Array, Array]:
    """Return outputs that hold the columns of the targets `groups` times, as (n, groups, k), and targets (n, k).

    Example:
        >>> outputs, targets = in_groups("quantile_loss", np.ones((4, 6)), np.ones((4, 2)), 3, "levels", "a level")
        >>> outputs.shape, targets.shape
        ((4, 3, 2), (4, 2))
    """
    outputs, targets = as_arrays(function, outputs, targets)
    if targets.ndim == 2 and outputs.shape != (len(outputs), groups * targets.shape[1]):
        k = targets.shape[1]
        constraint = f"have shape {(len(outputs), groups * k)}, {groups} ({kind}) times {k} (columns of targets)"
        raise ValueError(problem(function, "outputs", constraint, outputs.shape))
    fits = outputs.ndim == 2 and not outputs.shape[1] % groups
    require(fits, function, "outputs", f"have shape (n, {groups} k), for targets of k columns", outputs.shape)
    shape = len(outputs), outputs.shape[1] // groups
    if targets.shape != shape:
        _refuse_shape(function, targets, shape, of)
    return outputs.reshape(shape[0], groups, shape[1]), in_dtype(function, "targets", targets, outputs.dtype)


def as_arrays(function: str, outputs: Array, targets: AnyArray) -> tuple[Array, AnyArray]:
    """Return outputs as floats, with at least one row and one column, and targets as numbers.

    Example:
        >>> as_arrays("mse", np.ones(1), np.array([True]))
        (array([1.]), array([ True]))
    """
    if type(outputs) is not np.ndarray or outputs.dtype.kind != "f" or not outputs.ndim or not outputs.size:
        outputs = as_floats(function, "outputs", outputs)
        require(outputs.ndim and outputs.size, function, "outputs", "hold at least one row and one column", outputs)
    if type(targets) is not np.ndarray or targets.dtype.kind not in "fiub":
        targets = as_real(function, "targets", targets)
    return outputs, targets


def class_targets(
    function: str, outputs: Array, targets: AnyArray, label_smoothing: SupportsFloat
) -> tuple[Array, AnyArray, Array | None]:
    """Return the outputs, the targets as given and, unless they are plain ints, as probabilities.

    Example:
        >>> class_targets("cross_entropy", np.zeros((1, 2)), np.array([1]), 0.5)[2]
        array([[0.25, 0.75]])
    """
    outputs, targets = as_arrays(function, outputs, targets)
    if outputs.ndim != 2:
        raise ValueError(problem(function, "outputs", "have shape (n, k), one column per class", outputs.shape))
    n, k = outputs.shape
    smoothing = as_share(function, "label_smoothing", label_smoothing)
    soft: Array
    if targets.ndim == 1:
        check_classes(function, "targets", targets, k, n)
        if not smoothing:
            return outputs, targets, None
        soft = (targets[:, None] == np.arange(k)).astype(outputs.dtype)
    elif targets.shape == outputs.shape:
        soft = targets if targets.dtype == outputs.dtype else in_dtype(function, "targets", targets, outputs.dtype)
        check_distributions(function, "targets", soft)
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
        ValueError: accuracy: y must be classes from 0 to 2 (classes, y = np.unique(y, return_inverse=True) numbers
        those that occur), got 3 at row 1
    """
    if labels.shape != (n,):
        raise ValueError(problem(function, argument, f"have shape ({n},), one class per row", labels.shape))
    if labels.dtype.kind not in "iu":
        raise TypeError(_no_classes(function, argument, labels))
    low, high = _ends(labels)
    if low < 0 or (k is not None and high >= k):
        row = int(np.flatnonzero((labels < 0) if k is None else (labels < 0) | (labels >= k))[0])
        constraint = "be classes from 0 on" if k is None else f"be classes from 0 to {k - 1}"
        if k is None or len(np.unique(labels)) <= k:
            constraint += f" (classes, {argument} = np.unique({argument}, return_inverse=True) numbers those that occur)"
        raise ValueError(problem(function, argument, constraint, f"{labels[row]} at row {row}"))


def _no_classes(function: str, argument: str, labels: AnyArray) -> str:
    """Say why numbers that are no integers are no classes, and what makes classes of them without a loss."""
    with np.errstate(all="ignore"):
        lost = np.flatnonzero(~np.isfinite(labels) | (labels != np.asarray(labels, np.int64)))
    if not lost.size:
        constraint = f"be integers, as class numbers are (convert with np.asarray({argument}).astype(int))"
        return problem(function, argument, constraint, labels)
    row = f"{labels[lost[0]]} at row {lost[0]} of a {describe(labels)}"
    if not np.isfinite(labels).all():
        advice = f"np.flatnonzero(np.isfinite({argument})) gives the rows that have one"
        given = labels[~np.isnan(labels)]
        if argument == "targets" and given.size and as_classes(given).dtype.kind == "i":  # those of a loss
            advice += ", masked(loss_fn) leaves out the others"
        constraint = f"be integers, as class numbers are ({advice})"
    else:
        line = f"classes, {argument} = np.unique({argument}, return_inverse=True)"
        constraint = f"be integers, as class numbers are ({line} numbers the values that occur; mse takes numbers)"
    return problem(function, argument, constraint, row)


def as_classes(labels: AnyArray) -> AnyArray:
    """Return classes that came as floats, as those among NaN must, as integers, if all are whole.

    Example:
        >>> as_classes(np.array([2.0, 0.0])), as_classes(np.array([2.5, 0.0]))
        (array([2, 0]), array([2.5, 0. ]))
    """
    is_whole = labels.dtype.kind == "f" and ((np.abs(labels) < 2.0**53) & (labels == np.rint(labels))).all()
    return labels.astype(np.int64) if is_whole else labels


def check_distributions(function: str, argument: str, p: Array, hint: str = "") -> None:
    """Raise ValueError if a row is negative somewhere or does not sum to 1, but for rounding.

    Example:
        >>> check_distributions("cross_entropy", "targets", np.array([[0.5, 0.6]]))
        Traceback (most recent call last):
        ...
        ValueError: cross_entropy: targets must be probabilities that sum to 1 in each row, got [0.5, 0.6] at row 0
    """
    wrong = (np.minimum.reduce(p, axis=1) < 0) | (np.abs(np.add.reduce(p, axis=1) - 1) > 1e-3)
    if wrong.any():  # which a NaN is not: it makes the loss NaN, and `loss` says where it came from
        row = int(np.flatnonzero(wrong)[0])
        constraint = f"be probabilities that sum to 1 in each row{hint and ' ' + hint}"
        raise ValueError(problem(function, argument, constraint, f"{describe(p[row].tolist())} at row {row}"))


def check_interval(function: str, argument: str, a: Array, constraint: str, most: float = 1.0) -> None:
    """Raise ValueError if an element lies outside [0, most], but for rounding.

    Example:
        >>> check_interval("poisson_nll", "targets", np.array([1.0, -1.0]), "be at least 0", np.inf)
        Traceback (most recent call last):
        ...
        ValueError: poisson_nll: targets must be at least 0, got -1.0 at [1] (1 of 2 values)
    """
    low, high = _ends(a)
    if low >= 0 and high <= most:
        return
    # A NaN is no error here: it makes the loss NaN, and `loss` says where it came from.
    outside = (a < 0) | (a > most + 1e-6)
    if outside.any():
        raise ValueError(problem(function, argument, constraint, place(a, outside)))


def _ends(a: AnyArray) -> tuple[float, float]:
    """Return the least and the greatest value."""
    if a.size <= 64:  # of few numbers, Python is faster than a call of NumPy
        values = a.tolist() if a.ndim == 1 else a.ravel().tolist()
        return min(values), max(values)
    return np.minimum.reduce(a, axis=None), np.maximum.reduce(a, axis=None)


def checked_losses(function: str, result: tuple[Array, Array], outputs: Array) -> tuple[Array, Array]:
    """Return what a user's loss gave for outputs, if it is losses row by row and their gradient.

    Example:
        >>> checked_losses("loss", (np.ones(1), np.ones(2)), np.ones((1, 2)))
        Traceback (most recent call last):
        ...
        ValueError: loss: loss_fn must return a gradient of shape (1, 2), that of the outputs,
        got float64 array of shape (2,)
    """
    if type(result) is not tuple or len(result) != 2:
        raise TypeError(problem(function, "loss_fn", "return a pair (per_example, d_outputs)", describe(result)))
    per_example, d = result
    if type(per_example) is not np.ndarray or per_example.shape != (len(outputs),) or per_example.dtype.kind != "f":
        constraint = f"return per-example losses of shape ({len(outputs)},), not yet averaged"
        raise ValueError(problem(function, "loss_fn", constraint, describe(per_example)))
    if type(d) is not np.ndarray or d.shape != outputs.shape:
        constraint = f"return a gradient of shape {outputs.shape}, that of the outputs"
        raise ValueError(problem(function, "loss_fn", constraint, describe(d)))
    if d.dtype != outputs.dtype:
        raise TypeError(problem(function, "loss_fn", f"keep the dtype {outputs.dtype} of the outputs", d))
    return per_example, d
