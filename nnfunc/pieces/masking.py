"""Missing targets: any loss as one of the targets that are there."""

from __future__ import annotations

from functools import partial

import numpy as np

from nnfunc.pieces.targets import as_arrays, as_classes, checked_losses
from nnfunc.values.arrays import locked
from nnfunc.values.checks import check_callable, noted, require, says_what_must_be
from nnfunc.values.types import AnyArray, Array, LossFn, Rows


def masked(loss_fn: LossFn) -> LossFn:
    """Return a loss in which targets that are NaN do not count: a row's loss is that of the targets it has.

    Rows that lack the same columns are given to `loss_fn` together, without these columns of targets
    and of outputs; where the outputs hold a multiple of the targets' columns, as for `quantile_loss`,
    without these of each multiple. Targets (n,) beside outputs (n, k) are classes: those that are there
    become integers, if all are whole. In the verbs and `train`, a row without any target is as if it
    were not there; called by itself, the loss gives it 0. Without NaN it is `loss_fn`.

    Args:
        loss_fn: any loss of targets (n,) or (n, k), with its options: ``masked(partial(huber, delta=2.0))``.

    Raises:
        TypeError: `loss_fn` is no function of outputs and targets.
        ValueError: in the loss: outputs do not hold a multiple of the targets' columns, or as `loss_fn`.

    Example:
        >>> from nnfunc import mse
        >>> per_example, d = masked(mse)(np.ones((3, 2)), np.array([[3.0, np.nan], [3.0, 0.0], [np.nan, np.nan]]))
        >>> per_example  # 4 / 1, (4 + 1) / 2 and nothing
        array([4. , 2.5, 0. ])
        >>> d
        array([[-4.,  0.],
               [-2.,  1.],
               [ 0.,  0.]])
    """
    check_callable("masked", "loss_fn", loss_fn, "(outputs, targets) -> (per_example, d_outputs)", 2)
    return partial(masked_loss, loss_fn)


@np.errstate(all="ignore")
def masked_loss(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Compute a loss of the targets that are not NaN; see `masked`.

    Example:
        >>> from nnfunc import softmax_cross_entropy
        >>> masked_loss(softmax_cross_entropy, np.zeros((2, 2)), np.array([np.nan, 1.0]))[0]
        array([0.        , 0.69314718])
    """
    outputs, targets = as_arrays("masked", outputs, targets)
    gaps, n = np.isnan(targets), len(outputs)
    if not gaps.any():
        return loss_fn(outputs, as_classes(targets) if targets.ndim < outputs.ndim else targets)
    constraint = f"have one row for each of the {n} of outputs"
    require(targets.ndim and len(targets) == n, "masked", "targets", constraint, targets.shape)
    per_example, d = np.zeros(n, outputs.dtype), np.zeros(outputs.shape, outputs.dtype)
    lacking, which, sizes = np.unique(gaps.reshape(n, -1), axis=0, return_inverse=True, return_counts=True)
    alike = np.split(np.argsort(which.reshape(-1), kind="stable"), np.cumsum(sizes)[:-1])
    for gap, rows in zip(lacking, alike, strict=True):
        there = np.flatnonzero(~gap)
        if not there.size:
            continue
        own: Rows | tuple[AnyArray, ...] = rows
        y = targets[rows]
        if there.size < gap.size:
            fits = outputs.ndim == targets.ndim == 2 and not outputs.shape[1] % gap.size
            constraint = f"have shape (n, {gap.size}), or a multiple of these columns, where a row lacks some of its targets"
            require(fits, "masked", "outputs", constraint, outputs.shape)
            columns = np.arange(outputs.shape[1]).reshape(-1, gap.size)[:, there]
            own, y = (rows[:, None], columns.reshape(-1)), y[:, there]
        z = outputs[own]
        try:
            y = as_classes(y) if y.ndim < z.ndim else y
            per_example[rows], d[own] = checked_losses("masked", loss_fn(locked(z), locked(y)), z)
        except (ValueError, FloatingPointError) as error:
            if not says_what_must_be(error):
                raise
            raise noted(error, f"of the {len(rows)} rows from row {rows[0]} on that lack the same targets") from error
    return per_example, d


def is_masked(loss_fn: LossFn) -> bool:
    """Say whether targets that are NaN do not count in a loss.

    Example:
        >>> from nnfunc import mse
        >>> is_masked(masked(mse)), is_masked(mse)
        (True, False)
    """
    return isinstance(loss_fn, partial) and loss_fn.func is masked_loss


def unmasked(loss_fn: LossFn) -> LossFn:
    """Return the loss inside `masked`, or what is given.

    Example:
        >>> from nnfunc import mse
        >>> unmasked(masked(mse)) is unmasked(mse) is mse
        True
    """
    return unmasked(loss_fn.args[0]) if isinstance(loss_fn, partial) and loss_fn.func is masked_loss else loss_fn
