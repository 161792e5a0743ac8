"""The normal distribution, which NumPy does not have and the exact GELU needs.

Phi(-t) is exp(-t^2 / 2) times a function that falls slowly, like 1 / t. So the
left tail keeps its digits down to the smallest floats, where 1 + erf has
none left: one exponential, and a ratio of polynomials for the slow factor.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from nnfunc.values.arrays import filled, number
from nnfunc.values.types import Array, DType

# Beyond, Phi(-t) is 0; and exp(t^2 / 2) Phi(-t) as a ratio of polynomials in t, highest powers first, that of the
# denominator 1. LONG is right to 1e-17: interpolated at Chebyshev's nodes in (3 - t) / (3 + t), in 60 digits. SHORT is
# the best of its degree (Lawson's algorithm), right to (1 + t^2 / 8) 1.2e-7, as the rounding of the exponent grows.
LONG = 39.0, (
    0.39894228040182417, 12.949033782210556, 204.78691223682574, 2058.041404132116, 14472.803005809918,
    74198.8301728184, 280685.5127438437, 775077.0509079964, 1502863.864147845, 1866539.4730304857, 1151257.094814927,
), (
    32.45841420785283, 514.324664466436, 5191.20318940103, 36789.26184184816, 191082.71509245376, 738835.4965327176,
    2118826.6386307543, 4403189.878936062, 6298862.748076328, 5570219.468996153, 2302514.189629854,
)  # fmt: skip
SHORT = 14.5, (0.39884295470142395, 2.9343515387468186, 9.156143716542267, 13.156303784543741), (
    7.346677931203709, 24.076103131141384, 39.30653490015434, 26.31261069710705,
)  # fmt: skip
_BLOCK = 32768  # values at a time, so that all of these passes stay in the cache


def times_normal(z: Array) -> Array:
    """Return z Phi(z) with the normal distribution function Phi, as max(z, 0) - t Phi(-t) with t = |z|.

    Shapes:
        Any; the result has the shape and dtype of `z`.

    Example:
        >>> times_normal(np.array([-30.0, 0.0, 1.0]))
        array([-1.47201418e-196,  0.00000000e+000,  8.41344746e-001])

    Reference:
        Cody (1969) for ratios of polynomials; Abramowitz & Stegun (1964), 26.2.
    """
    dtype = z.dtype if z.dtype in (np.float32, np.float64) else np.dtype(np.float32 if z.itemsize < 4 else np.float64)
    flat, found = z.reshape(-1), np.empty(z.shape, dtype)
    rows = found.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        _times_normal(flat[part].astype(dtype, copy=False), rows[part])
    return found.astype(z.dtype, copy=False)


def _times_normal(z: Array, out: Array) -> None:
    """Compute z Phi(z) of as many values as fit the cache."""
    zeros, ends, above, below = _constants(z.dtype)
    np.maximum(z, zeros[: len(z)], out=out)
    t = np.abs(z)
    np.minimum(t, ends[: len(z)], out=t)
    tail = power(t)
    ratio = t * above[0]
    for each in above[1:]:
        ratio += each
        ratio *= t
    tail *= ratio
    np.add(t, below[0], out=ratio)
    for each in below[1:]:
        ratio *= t
        ratio += each
    tail /= ratio
    out -= tail


@cache
def _constants(dtype: DType) -> tuple[Array, Array, list[Array], list[Array]]:
    """Return the numbers of one dtype: a row of 0, one of the end, and the coefficients above and below."""
    end, above, below = SHORT if dtype == np.float32 else LONG
    ratio = [number(each, dtype) for each in above], [number(each, dtype) for each in below]
    return filled(0, _BLOCK, dtype), filled(end, _BLOCK, dtype), *ratio


def power(z: Array) -> Array:
    """Return exp(-z^2 / 2), which NumPy computes the faster as a power of 2.

    Example:
        >>> power(np.array([0.0, 1.0]))
        array([1.        , 0.60653066])
    """
    square = np.asarray(z * z)  # as arithmetic on an array without axes gives no array
    square *= number(-0.5 / math.log(2), z.dtype)
    return np.exp2(square, out=square)
