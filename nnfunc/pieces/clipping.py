"""Gradient clipping: by value, or by the norm of all gradients together."""

from __future__ import annotations

import math
from typing import SupportsFloat

import numpy as np

from nnfunc.values.arrays import check_finite, lasting, sum_of_squares
from nnfunc.values.checks import above_zero, check_held
from nnfunc.values.params import checked_params, mapped
from nnfunc.values.types import DType, Params


def global_norm(grads: Params) -> float:
    """Return sqrt(sum of g^2) over all gradients together.

    Right also where the squares, or in float32 the norm itself, would
    overflow or vanish: those are scaled by the largest element first.

    Raises:
        FloatingPointError: a gradient is not finite; the message says which and where.
        TypeError: `grads` are not float32 or float64 arrays by name.

    Example:
        >>> global_norm({"W": np.array([[3e300]]), "b": np.array([4e300])})
        5e+300
    """
    size, root = _norm("global_norm", grads)
    return size * root


def clip_by_value(grads: Params, limit: SupportsFloat) -> Params:
    """Return gradients with every element clipped to [-limit, limit].

    Args:
        grads: gradients by name.
        limit: above 0; the article suggests 1.

    Raises:
        FloatingPointError: a gradient is not finite: clipping would hide it.
        TypeError, ValueError: `limit` is not above 0 in the gradients' dtype, or `grads` are no gradients.

    Example:
        >>> clip_by_value({"W": np.array([-3.0, 0.5])}, 1.0)["W"]
        array([-1. ,  0.5])
    """
    held, dtype = checked_params("clip_by_value", grads, "grads")
    bound = _limit("clip_by_value", limit, dtype)
    _check_finite("clip_by_value", held)
    return mapped(lambda g: np.clip(g, -bound, bound), held)


def clip_by_global_norm(grads: Params, limit: SupportsFloat) -> Params:
    """Return gradients scaled by min(1, limit / norm), norm being that of all together.

    The direction stays. Nothing is added to the norm (PyTorch adds 1e-6), and a
    norm that overflows the dtype is scaled down like any other.

    Args:
        grads: gradients by name.
        limit: above 0.

    Raises:
        FloatingPointError: a gradient is not finite: clipping would hide it.
        TypeError, ValueError: `limit` is not above 0 in the gradients' dtype, or `grads` are no gradients.

    Example:
        >>> clip_by_global_norm({"W": np.array([3.0]), "b": np.array([4.0])}, 1.0)["b"]
        array([0.8])

    Reference:
        Pascanu, Mikolov & Bengio (2013), algorithm 1.
    """
    held, dtype = checked_params("clip_by_global_norm", grads, "grads")
    bound = _limit("clip_by_global_norm", limit, dtype)
    size, root = _norm("clip_by_global_norm", held)
    if size * root <= bound:
        return mapped(lasting, held)
    factor = np.asarray(bound / root, dtype)
    # In two factors unless the first is 1, as one alone could be too small for the dtype.
    return mapped(lambda g: (g if size == 1 else g / dtype.type(size)) * factor, held)


def _limit(function: str, limit: SupportsFloat, dtype: DType) -> float:
    """Return a limit that the gradients' dtype can hold: one that vanished in it would make all of them 0."""
    bound = min(above_zero(function, "limit", limit), float(np.finfo(dtype).max))
    check_held(function, "limit", bound, dtype)
    return bound


def _norm(function: str, grads: Params) -> tuple[float, float]:
    """Return the norm as two factors, the first of which, and both of which, the dtype can hold."""
    held, _ = checked_params(function, grads, "grads")
    size, squares = sum_of_squares(held.values())
    if not math.isfinite(squares):
        _check_finite(function, held)
    return size, math.sqrt(squares)


def _check_finite(function: str, grads: Params) -> None:
    """Raise FloatingPointError, which says where, if a gradient has a value that is not finite."""
    for name, array in grads.items():
        check_finite(function, f"grads[{name!r}]", array)
