"""Laws of a layer that concern the way back as a whole, and rows: each its own, in a batch of any size."""

from collections.abc import Mapping

import numpy as np

from nnfunc.checks import locked
from nnfunc.testing.gradients import listed, weights_for
from nnfunc.testing.laws import Verdict, breach
from nnfunc.testing.samples import close, first_difference
from nnfunc.types import Array, Key, Layer, Params


def one_row(layer: Layer, params: Params, x: Array) -> Verdict:
    """Say that a row by itself gives what it gives in a batch, forward and back.

    Example:
        >>> from nnfunc import tanh, activation
        >>> one_row(activation(tanh), {}, np.ones((2, 1)))
        ('pass', '2 rows')
    """
    y = layer[1](params, x, None)[0]
    dy = weights_for(y)
    dx = layer[1](params, x, None)[1](locked(dy))[1]()
    for i in range(len(x)):
        row = locked(x[i : i + 1])
        alone = layer[1](params, row, None)[0]
        dx_alone = layer[1](params, row, None)[1](locked(dy[i : i + 1]))[1]()
        for name, own, batch in (("y", alone, y[i : i + 1]), ("dx()", dx_alone, dx[i : i + 1])):
            if own.shape != batch.shape or not close(own, batch):
                cause = "statistics of the batch at inference, or a mean over the rows"
                cause = cause if own.shape == batch.shape else "an axis of length 1 is lost"
                got = first_difference(own, batch)
                breach(
                    f"{name} of row {i} by itself",
                    "be what it is in a batch",
                    got,
                    cause,
                    shown_by=f"x = {listed(row)}",
                )
    return "pass", f"{len(x)} rows"


def rows_independent(layer: Layer, params: Params, x: Array) -> Verdict:
    """Say that a change of one row changes that row of y only.

    Example:
        >>> from nnfunc import tanh, activation
        >>> rows_independent(activation(tanh), {}, np.ones((2, 1)))
        ('pass', '2 rows')
    """
    y = layer[1](params, x, None)[0]
    for i in range(len(x)):
        other = np.array(x)
        other[i] = x[i - 1]
        changed = layer[1](params, locked(other), None)[0]
        rest = np.arange(len(x)) != i
        if not close(changed[rest], y[rest]):
            got = f"a change of others, {first_difference(changed[rest], y[rest])}"
            cause = "a sum or mean over axis 0 at inference; declare independent_rows=False if it is meant"
            breach(f"a change of row {i} of x", f"change row {i} of y only", got, cause)
    return "pass", f"{len(x)} rows"


def add_up(layer: Layer, params: Params, x: Array) -> Verdict:
    """Say that the gradients of rows, each by itself, add up to that of the batch.

    Example:
        >>> from nnfunc import dense
        >>> add_up(dense(1, 1), {"W": np.ones((1, 1)), "b": np.zeros(1)}, np.ones((2, 1)))
        ('pass', '2 rows')
    """
    y, pullback = layer[1](params, x, None)
    dy = weights_for(y)
    whole = pullback(locked(dy))[0]
    parts = [layer[1](params, locked(x[[i]]), None)[1](locked(dy[[i]]))[0] for i in range(len(x))]
    size = largest({name: array for part in parts for name, array in part.items()})
    for name, array in whole.items():
        total = np.asarray(sum(np.asarray(part[name]) for part in parts))
        if not close(total, np.asarray(array), size):
            cause = "a mean over the rows in the gradient (the mean is taken by loss and grads alone), or a kept buffer"
            got = first_difference(np.asarray(array), total)
            breach(f"the gradient of {name}", "be the sum of its rows' gradients", got, cause)
    return "pass", f"{len(x)} rows"


def linear(layer: Layer, params: Params, x: Array, modes: list[Key | None]) -> Verdict:
    """Say that the way back of a multiple of dy is that multiple.

    Example:
        >>> from nnfunc import tanh, activation
        >>> linear(activation(tanh), {}, np.ones((2, 1)), [None])
        ('pass', 'dy by 1e6 and 1e-6')
    """
    for mode in modes:
        y, pullback = layer[1](params, x, mode)
        dy = weights_for(y)
        plain, dx = pullback(locked(dy))
        expected = {**plain, "dx()": dx()}
        for factor in (1e6, 1e-6):
            grads, scaled_dx = pullback(locked(dy * factor))
            scaled = {**grads, "dx()": scaled_dx()}
            for name, array in expected.items():
                if not close(np.asarray(scaled[name]) / factor, np.asarray(array), largest(expected)):
                    got = first_difference(np.asarray(scaled[name]) / factor, np.asarray(array))
                    breach(
                        name, f"be {factor:g} times as large for {factor:g} dy", got, "a clip or threshold on gradients"
                    )
    return "pass", "dy by 1e6 and 1e-6"


def largest(arrays: Mapping[str, Array]) -> float:
    """Return the largest size of all values.

    Example:
        >>> largest({"a": np.array([1.0, -3.0])})
        3.0
    """
    return max((float(np.max(np.abs(array), initial=0)) for array in arrays.values()), default=0.0)
