"""Least squares by Levenberg and Marquardt's method: for small networks, a handful of steps in place of thousands."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import SupportsFloat, SupportsIndex, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.boundary import counted_rows, loss_value, prepared
from nnfunc.network.guard import check_layer
from nnfunc.network.kinds import what_needs_key
from nnfunc.network.verbs import forward
from nnfunc.pieces.losses import mse
from nnfunc.transforms.rows import by_row, outputs_pulled
from nnfunc.values.arrays import check_finite, lasting, sum_of_squares
from nnfunc.values.checks import as_number, as_size, require
from nnfunc.values.params import mapped, sealed
from nnfunc.values.types import Array, Layer, Params

FitReport = TypedDict("FitReport", {"step": int, "steps": int, "loss": float, "grad_norm": float, "damping": float})

_NAME = "levenberg_marquardt"
_MOST_PARAMS = 10_000
_BLOCK = 1 << 21  # so many numbers of the Jacobian are there at a time

# What damping is divided by after a step that helps, and multiplied by after one that does not. MATLAB's trainlm has 10
# for both; on five toy sets these reached lower errors in as many steps.
_DOWN, _UP = 5.0, 3.0
_MOST_DAMPING = 1e10
_LEAST_DAMPING = 1e-20
_FIRST_DAMPING = 1e-7  # of a run that began with none

Data: TypeAlias = tuple[Array, Array, Array]
"""Inputs, targets and the share of each row in the loss, in float64."""


def levenberg_marquardt(
    net: Layer, params: Params, x: ArrayLike, y: ArrayLike, *, steps: SupportsIndex = 1000, damping: SupportsFloat = 0.1,
    min_grad: SupportsFloat = 1e-7, weight: ArrayLike | None = None,
) -> Iterator[tuple[Params, FitReport]]:
    """Yield params of ever smaller mean squared error: p - (J^T J + damping D)^-1 J^T r.

    J holds the slope of every residual r = outputs - y along every parameter, and
    D the diagonal of J^T J, each element the largest it has been in this run, so
    that a unit which saturates does not fly off. A step that makes the error
    smaller is taken, and damping divided by 5; one that does not is not, and
    damping is multiplied by 3 until one does. The first that is yielded are the
    given params, as step 0. ``finish(run)`` runs to the end, `progress_bar` shows how far it is.

    A step takes P^2 numbers of memory and P^3 operations for P params: some 2,000
    are practical. Rows go through in blocks, so there may be many. Everything
    is computed in float64, and params rounded to their own dtype after each step.

    Args:
        net, params: a network without dropout and batch norm, as those draw or mix rows in training.
        x, y: inputs, and targets of the shape of the outputs.
        steps: how many at most.
        damping: at the start, beside a diagonal of 1. With a hundredth of this a network of more params than
            rows may leap to where its units saturate, and stay; 0 begins with Gauss and Newton's step, which
            solves a linear network at once.
        min_grad: the run ends when the gradient of the error is no longer than this.
        weight: (n,) weights of the rows' squared residuals, as for `loss`.

    Yields:
        Params, and a dict: ``step``; ``steps``, how many at most; ``loss``, which is
        ``loss(net, mse, params, x, y, weight=weight)``; ``grad_norm``, the length of its gradient; ``damping``, for the next step. The run ends after `steps`, at
        `min_grad`, or when no damping up to 1e10 finds anything better.

    Raises:
        ValueError: there are over 10,000 params, or a layer draws or mixes rows; or as `loss`.
        TypeError, FloatingPointError: as `loss`.

    Example:
        >>> from nnfunc import dense
        >>> x, params = [[1.0], [2.0], [3.0]], {"W": np.zeros((1, 1)), "b": np.zeros(1)}
        >>> for params, report in levenberg_marquardt(dense(1, 1), params, x, [[5.0], [7.0], [9.0]], damping=0):
        ...     print(report["step"], round(report["loss"], 9), params["W"].round(9), params["b"].round(9))
        0 51.666666667 [[0.]] [0.]
        1 0.0 [[2.]] [3.]

    Reference:
        Marquardt (1963); D as in Moré (1978), section 6; Hagan & Menhaj (1994) for networks.
    """
    check_layer(_NAME, "net", net)
    net, held, inputs = prepared(_NAME, net, params, x, None)
    drawing = what_needs_key(net)
    require(not drawing, _NAME, "net", "compute in training what it does in inference", f"one whose {drawing}")
    size = sum(array.size for array in held.values())
    require(size, _NAME, "params", "hold a number at least, to be fitted", "none")
    constraint = f"hold at most {_MOST_PARAMS:,} numbers, as a step solves for all at once (train takes any number)"
    require(size <= _MOST_PARAMS, _NAME, "params", constraint, f"{size:,}")
    rows, targets, weights, _ = counted_rows(_NAME, mse, inputs, y, weight)
    check_finite(_NAME, "y", targets)
    loss_value(_NAME, net, mse, held, rows, targets, weights, None, None, None)  # which says why, if it is not finite
    shares = np.ones(len(rows)) if weights is None else weights / np.max(weights)
    data = rows.astype(np.float64), targets.astype(np.float64), shares / np.add.reduce(shares)
    start, least = as_number(_NAME, "damping", damping, least=0), as_number(_NAME, "min_grad", min_grad, least=0)
    return _steps(net, mapped(lasting, held), data, as_size(_NAME, "steps", steps), start, least)


def _steps(
    net: Layer, params: Params, data: Data, steps: int, damping: float, min_grad: float
) -> Iterator[tuple[Params, FitReport]]:
    """Yield params and report, of the start and of one step after another."""
    largest: Array = np.zeros(1)
    for step in range(steps + 1):
        loss, curvature, slope, names = _normal(net, params, data)
        size, squares = sum_of_squares([slope])
        grad_norm = 2 * size * math.sqrt(squares)
        yield params, {"step": step, "steps": steps, "loss": loss, "grad_norm": grad_norm, "damping": damping}
        if step == steps or grad_norm <= min_grad:
            return
        largest = np.maximum(largest, np.diagonal(curvature))
        units: Array = np.sqrt(np.where(largest > 0, largest, 1))
        scaled, along = curvature / units / units[:, None], slope / units
        better: Params | None = None
        while better is None and damping <= _MOST_DAMPING:
            tried = _moved(params, names, _solved(scaled, along, damping) / units)
            if _loss(net, tried, data) < loss:
                better, damping = tried, max(damping / _DOWN, _LEAST_DAMPING) if damping else 0.0
            else:
                damping = max(damping * _UP, _FIRST_DAMPING)
        if better is None:
            return
        params = better


@np.errstate(all="ignore")
def _normal(net: Layer, params: Params, data: Data) -> tuple[float, Array, Array, list[str]]:
    """Return loss, J^T J and J^T r, each residual weighted by its share of the loss, and the names that J is made of."""
    held, (x, y, shares) = _wide(params), data
    size = sum(array.size for array in held.values())
    loss, curvature, slope, names = 0.0, np.zeros((size, size)), np.zeros(size), list[str]()
    rows = max(1, _BLOCK // (size * max(1, y[0].size)))
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        _, outputs, columns = outputs_pulled(_NAME, net, held, x[part], None, by_row)
        names = [name for name in held if name in columns[0]]
        # (rows, outputs, params), and then one row for each residual
        jacobian = np.stack([np.hstack([c[n].reshape(len(outputs), -1) for n in names]) for c in columns], axis=1)
        jacobian = jacobian.reshape(-1, jacobian.shape[-1])
        share = np.repeat(shares[part] / outputs.shape[1], outputs.shape[1])
        residuals = np.ravel(outputs - y[part])
        loss += float(share.dot(residuals * residuals))
        free = jacobian.shape[1]  # a layer of a user's own may leave out what it does not train
        curvature[:free, :free] += (jacobian.T * share) @ jacobian
        slope[:free] += jacobian.T @ (share * residuals)
    return loss, curvature[:free, :free], slope[:free], names


@np.errstate(all="ignore")
def _loss(net: Layer, params: Params, data: Data) -> float:
    """Return the mean squared error, weighted, and infinity where it is no number."""
    x, y, shares = data
    errors = forward(net, _wide(params), x) - y
    loss = float(shares.dot(np.mean(errors * errors, axis=1)))
    return loss if math.isfinite(loss) else math.inf


@np.errstate(all="ignore")
def _solved(scaled: Array, along: Array, damping: float) -> Array:
    """Return the step for a matrix whose diagonal is 1 at most, and 0 where nothing depends on a parameter."""
    try:
        step: Array = np.linalg.solve(scaled + np.diag(np.full(len(scaled), damping)), along)
        return step
    except np.linalg.LinAlgError:  # without damping, of params that do the same
        return np.full(len(scaled), np.nan)


def _moved(params: Params, names: list[str], change: Array) -> Params:
    """Return params less a change, which holds that of each name one after another."""
    ends = list(accumulate(params[name].size for name in names))
    new = dict(params)
    with np.errstate(all="ignore"):
        for name, end in zip(names, ends, strict=True):
            array = params[name]
            own = change[end - array.size : end].reshape(array.shape)
            new[name] = np.asarray(array - own, array.dtype)
    return sealed(new)


def _wide(params: Params) -> Params:
    """Return params in float64."""
    return {name: array.astype(np.float64) for name, array in params.items()}
