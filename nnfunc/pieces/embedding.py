"""Embedding: a layer that takes codes of categories, and puts a row of a table in place of each."""

from __future__ import annotations

from functools import partial
from typing import SupportsIndex

import numpy as np

from nnfunc.pieces.initializers import made_for, uniform
from nnfunc.pieces.layers import check_fields
from nnfunc.values.arrays import as_real
from nnfunc.values.checks import FLOAT32, as_size, problem, require
from nnfunc.values.types import Array, DType, Initializer, InputGradient, Key, Layer, Params, Pullback, Rows

# Up to so many codes the gradient is a product with rows of zeros and ones, beyond it the sums of sorted rows:
# 4 and 10 us for 128 rows of 50 codes, 375 and 66 us for 1,024 rows of 1,000.
_FEW_CODES = 64
_EXACT_IN_FLOAT32 = 1 << 24


def embedding(n: SupportsIndex, width: SupportsIndex, *, table_init: Initializer = uniform(0.05)) -> Layer:
    """Return the layer that puts row c of a table in place of every code c.

    Text becomes codes by ``names, codes = np.unique(column, return_inverse=True)``. Keep
    one code for what was not there in training, ``embedding(len(names) + 1, width)``.
    The table is no weight: `l2` and `adamw` leave it alone, unless ``l2(rate, names=["*/table"])``.

    Args:
        n: number of codes, 0 to n - 1.
        width: numbers that stand for a code.
        table_init: initialiser of the table; small numbers, as in Keras, so that a category counts as it is learned.

    Shapes:
        x (rows, k), whole numbers in columns of floats, which share the table (n, width); y (rows, k * width).

    Gradients:
        For row c of the table the sum of dy wherever c stood; dx = 0, as between codes there is no slope.

    Raises:
        TypeError, ValueError: `n` or `width` is no integer of at least 1; in use, a code is no whole
            number from 0 to n - 1, or n is more than float32 can count.

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
    table = as_real("embedding", "table_init", table_init(key, (n, width), dtype), "give numbers")
    require(table.shape == (n, width), "embedding", "table_init", f"return an array of shape {(n, width)}", table)
    return {"table": table}


def embedding_forward(n: int, width: int, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Take rows of the table, and the way back; see `embedding`.

    Example:
        >>> embedding_forward(2, 1, {"table": np.array([[5.0], [7.0]])}, np.array([[1.0, 0.0]]), None)[0]
        array([[7., 5.]])
    """
    check_fields("embedding", {"table": (n, width)}, params)
    codes = _codes(n, x)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {"table": summed_by_code(codes.reshape(-1), dy.reshape(-1, width), n)}, lambda: np.zeros_like(x)

    return params["table"][codes].reshape(len(x), -1), pullback


def _codes(n: int, x: Array) -> Rows:
    """Return codes as integers, all of which must be there."""
    if x.ndim != 2 or not x.shape[1]:
        hint = "; one column is x[:, None]" if x.ndim == 1 else ""
        raise ValueError(problem("embedding", "x", f"have shape (rows, columns of codes){hint}", x.shape))
    if n > _EXACT_IN_FLOAT32 and x.dtype == FLOAT32:
        raise ValueError(problem("embedding", "x", f"be float64, as float32 cannot count to {n:,}", str(x.dtype)))
    with np.errstate(all="ignore"):
        codes: Rows = x.astype(np.intp)
    if not (np.minimum.reduce(x, axis=None) >= 0 and np.maximum.reduce(x, axis=None) < n and (codes == x).all()):
        wrong = np.argwhere(~((x >= 0) & (x < n) & (codes == x)))[0]
        got = f"{x[tuple(wrong)]:g} at {wrong.tolist()}"
        raise ValueError(problem("embedding", "x", f"hold whole numbers from 0 to {n - 1}", got))
    return codes


def summed_by_code(codes: Rows, dy: Array, n: int) -> Array:
    """Return for each of n codes the sum of the rows of `dy` where it stands.

    Example:
        >>> summed_by_code(np.array([2, 0, 2]), np.array([[1.0], [2.0], [3.0]]), 3)
        array([[2.],
               [0.],
               [4.]])
    """
    if n <= _FEW_CODES:
        chosen = np.zeros((n, len(codes)), dy.dtype)
        chosen[codes, np.arange(len(codes))] = 1
        return np.asarray(chosen.dot(dy))
    order = np.argsort(codes, kind="stable")
    in_order = codes[order]
    first = np.flatnonzero(np.concatenate([[True], in_order[1:] != in_order[:-1]]))
    sums = np.zeros((n, dy.shape[1]), dy.dtype)
    sums[in_order[first]] = np.add.reduceat(dy[order], first, axis=0)
    return sums
