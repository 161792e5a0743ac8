"""Gradient clipping: by value, or by the norm of all gradients together."""

import math
from typing import SupportsFloat

import numpy as np

from nnfunc.blame import where_not_finite
from nnfunc.checks import as_number, lasting, problem
from nnfunc.params import checked_params, sealed
from nnfunc.types import Params

# Between these the sum of squares has neither overflowed nor lost small terms, in float32 or float64.
_SAFE = (1e-20, 1e30)


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
        TypeError, ValueError: `limit` is not above 0, or `grads` are no gradients.

    Example:
        >>> clip_by_value({"W": np.array([-3.0, 0.5])}, 1.0)["W"]
        array([-1. ,  0.5])
    """
    bound = _limit("clip_by_value", limit)
    held, _ = checked_params("clip_by_value", grads)
    _check_finite("clip_by_value", held)
    return sealed({name: np.clip(g, -bound, bound) for name, g in held.items()})


def clip_by_global_norm(grads: Params, limit: SupportsFloat) -> Params:
    """Return gradients scaled by min(1, limit / norm), norm being that of all together.

    The direction stays. Nothing is added to the norm (PyTorch adds 1e-6), and a
    norm that overflows the dtype is scaled down like any other.

    Args:
        grads: gradients by name.
        limit: above 0.

    Raises:
        FloatingPointError: a gradient is not finite: clipping would hide it.
        TypeError, ValueError: `limit` is not above 0, or `grads` are no gradients.

    Example:
        >>> clip_by_global_norm({"W": np.array([3.0]), "b": np.array([4.0])}, 1.0)["b"]
        array([0.8])

    Reference:
        Pascanu, Mikolov & Bengio (2013), algorithm 1.
    """
    bound = _limit("clip_by_global_norm", limit)
    size, root = _norm("clip_by_global_norm", grads)
    held, dtype = checked_params("clip_by_global_norm", grads)
    if size * root <= bound:
        return sealed({name: lasting(g) for name, g in held.items()})
    # In two factors, as one alone could be too small for the dtype.
    return sealed({name: np.asarray((g / dtype.type(size)) * dtype.type(bound / root)) for name, g in held.items()})


def _norm(function: str, grads: Params) -> tuple[float, float]:
    """Return the norm as two factors, the first of which, and both of which, the dtype can hold."""
    held, _ = checked_params(function, grads)
    with np.errstate(all="ignore"):
        squares = math.fsum(float(np.vdot(g, g)) for g in held.values())
        if _SAFE[0] < squares < _SAFE[1]:
            return 1.0, math.sqrt(squares)
        _check_finite(function, held)
        largest = max((float(np.max(np.abs(g), initial=0)) for g in held.values()), default=0.0)
        if largest == 0:
            return 1.0, 0.0
        scaled = ((g / g.dtype.type(largest)).astype(np.float64) for g in held.values())
        return largest, math.sqrt(math.fsum(float(np.vdot(s, s)) for s in scaled))


def _check_finite(function: str, grads: Params) -> None:
    for name, g in grads.items():
        found = where_not_finite(g)
        if found:
            raise FloatingPointError(problem(function, f"grads[{name!r}]", "be finite", found))


def _limit(function: str, limit: SupportsFloat) -> float:
    bound = as_number(function, "limit", limit)
    if bound <= 0:
        raise ValueError(problem(function, "limit", "be above 0", bound))
    return bound

