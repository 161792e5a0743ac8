"""Embedding: a layer that takes codes of categories, and puts a row of a table in place of each."""

from __future__ import annotations

import math
from functools import partial
from typing import SupportsIndex

import numpy as np

from nnfunc.pieces.initializers import drawn, made_for, uniform
from nnfunc.pieces.layers import check_fields
from nnfunc.values.arrays import place
from nnfunc.values.checks import FLOAT32, as_size, problem
from nnfunc.values.types import Array, DType, Initializer, InputGradient, Key, Layer, Params, Pullback, Rows

_EXACT_IN_FLOAT32 = 1 << 24


def embedding(n: SupportsIndex, width: SupportsIndex, *, table_init: Initializer = uniform(0.05)) -> Layer:
    """Return the layer that puts row c of a table in place of every code c.

    Text becomes codes by ``names = np.unique(column)`` of the training rows, and, in training and later alike, by
    ``np.where(np.isin(column, names), np.searchsorted(names, column), len(names))``: ``embedding(len(names) + 1,
    width)`` has one code more, the last, for what was not there in training. Where text has gaps, as a column of a data
    frame may, begin with ``column = np.asarray(column).astype(str)``: a gap is then a kind of its own, "nan" or "None".
    The table is no weight: `l2` and `adamw` leave it alone, unless ``l2(rate, names=["*table"])``.

    Args:
        n: number of codes, 0 to n - 1.
        width: numbers that stand for a code.
        table_init: initialiser of the table; small numbers, as in Keras, so that one that training hardly meets counts little.

    Shapes:
        x (rows, k), whole numbers in columns of floats, which share the table (n, width); y (rows, k * width).

    Gradients:
        For row c of the table the sum of dy wherever c stood; dx = 0, as between codes there is no slope.

    Raises:
        TypeError, ValueError: `n` or `width` is no integer of at least 1; in use, a code is no whole
            number from 0 to n - 1, or n is above 2**24, to which float32 can count.
        FloatingPointError: in use, a code is NaN or infinite.

    Example:
        >>> init, forward = embedding(3, 2)
        >>> params = {"table": np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])}
        >>> y, pullback = forward(params, np.array([[2.0], [0.0], [2.0]]), None)
        >>> y
        array([[4., 5.],
               [0., 1.],
               [4., 5.]])
        >>> pullback(np.ones((3, 2)))[0]["table"]
        array([[1., 1.],
               [0., 0.],
               [2., 2.]])
    """
    codes, columns = as_size("embedding", "n", n), as_size("embedding", "width", width)
    table_init = made_for("embedding", "table_init", table_init, codes, columns)
    return partial(_embedding_init, codes, columns, table_init), partial(embedding_forward, codes, columns)


def _embedding_init(n: int, width: int, table_init: Initializer, key: Key, dtype: DType) -> Params:
    """Draw the table."""
    return {"table": drawn("embedding", "table_init", table_init, key, (n, width), dtype)}


def embedding_forward(n: int, width: int, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Take rows of the table, and the way back; see `embedding`.

    Example:
        >>> embedding_forward(2, 1, {"table": np.array([[5.0], [7.0]])}, np.array([[1.0, 0.0]]), None)[0]
        array([[7., 5.]])
    """
    if len(params) != 1 or "table" not in params or params["table"].shape != (n, width):
        check_fields("embedding", {"table": (n, width)}, params)
    codes = _codes(n, x)
    y: Array = params["table"].take(codes, axis=0).reshape(len(x), x.shape[1] * width)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        dtable = np.zeros((n, width), dy.dtype)
        places = codes[:, :, None] * width + np.arange(width)
        # NumPy has a fast loop for single places, which takes a third of the time of sorting rows, and none for whole rows.
        np.add.at(dtable.reshape(-1), places.reshape(-1), dy.reshape(-1))
        return {"table": dtable}, lambda: np.zeros_like(x)

    return y, pullback


def _codes(n: int, x: Array) -> Rows:
    """Return codes as integers, all of which must be there."""
    if x.ndim != 2 or not x.shape[1]:
        hint = "; one column is np.reshape(x, (-1, 1))" if x.ndim == 1 else ""
        raise ValueError(problem("embedding", "x", f"have shape (rows, columns of codes){hint}", x.shape))
    if n > _EXACT_IN_FLOAT32 and x.dtype == FLOAT32:
        constraint = f"be float64, as params in float64 make it (float32 cannot count to {n:,})"
        raise TypeError(problem("embedding", "x", constraint, "float32"))
    # Of NaN neither comparison holds, and what is in range becomes an integer without a warning.
    if np.minimum.reduce(x, axis=None, initial=0) >= 0 and np.maximum.reduce(x, axis=None, initial=0) < n:
        codes: Rows = x.astype(np.intp)
        if (codes == x).all():
            return codes
    wrong = ~((x >= 0) & (x < n) & (np.floor(x) == x))
    kind = ValueError if math.isfinite(x[wrong][0]) else FloatingPointError
    raise kind(problem("embedding", "x", f"hold whole numbers from 0 to {n - 1}", place(x, wrong)))
