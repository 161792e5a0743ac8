"""Metrics: one number for how good outputs are."""

from typing import SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.blame import where_not_finite
from nnfunc.checks import as_number, as_real, problem
from nnfunc.targets import check_classes


def accuracy(outputs: ArrayLike, y: ArrayLike, *, threshold: SupportsFloat | None = None) -> float:
    """Return the share of rows whose class is predicted right, in [0, 1].

    With two or more columns the largest output is the prediction, be the
    outputs logits or probabilities. With one column the outputs are yes-or-no
    answers, and `threshold` says where yes begins: 0 for logits, 0.5 for
    probabilities; nothing is guessed.

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
    if scores.ndim not in (1, 2) or scores.size == 0:
        raise ValueError(problem("accuracy", "outputs", "have shape (n, k) with at least one row", scores.shape))
    found = where_not_finite(scores)
    if found:
        raise FloatingPointError(problem("accuracy", "outputs", "be finite", found))
    if scores.ndim == 1 or scores.shape[1] == 1:
        if threshold is None:
            constraint = "be given for one column of outputs (0 for logits, 0.5 for probabilities)"
            raise ValueError(problem("accuracy", "threshold", constraint, threshold))
        if targets.shape != scores.shape:
            raise ValueError(problem("accuracy", "y", f"have the shape {scores.shape} of the outputs", targets.shape))
        if not np.isin(targets, (0, 1)).all():
            raise ValueError(problem("accuracy", "y", "be 0 or 1 for one column of outputs", targets))
        return float(np.mean((scores > as_number("accuracy", "threshold", threshold)) == targets))
    n, k = scores.shape
    if targets.shape == scores.shape:
        if not (np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all()):
            raise ValueError(problem("accuracy", "y", "have one 1 and else 0 in each row, or be class numbers", targets))
        targets = targets.argmax(axis=1)
    check_classes("accuracy", "y", targets, k, n)
    return float(np.mean(scores.argmax(axis=1) == targets))
