"""The normal distribution, which NumPy does not have and the exact GELU needs.

Phi(-t) is exp(-t^2 / 2) times a function that falls slowly, like 1 / t. So the
left tail keeps all its digits down to the smallest floats, where 1 + erf has
none left: one exponential, and a polynomial for the slow factor.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from nnfunc.values.arrays import number
from nnfunc.values.types import Array, DType

# (t + k) exp(t^2 / 2) Phi(-t) as a polynomial in u = (k - b t) / (k + t), highest power first, where b makes u
# run from 1 at t = 0 to -1 at the end, beyond which Phi(-t) is 0; Chebyshev's interpolation in 50 digits.
LONG = 39.0, 5.0, (
    -1.7090479863491669e-10, 2.078456766789875e-10, 2.1858160948268122e-09, -3.3487129708189732e-09,
    -1.8733394800769344e-08, 3.462686097732858e-08, 1.6031329219214867e-07, -2.9496169444948914e-07,
    -1.5842623241549244e-06, 1.8563928458427212e-06, 1.7809851943653626e-05, 4.471143108657618e-06,
    -0.00019322756600932803, -0.0005243514774640731, 0.0008627486200936141, 0.011065377991026085,
    0.04597293297552667, 0.12867006513538862, 0.27721847210375633, 0.48398989574979756, 0.7012260086643661,
    0.8516896445588364,
)  # fmt: skip
SHORT = 14.5, 4.0, (
    1.3486924182152204e-05, 6.185390464354197e-05, -0.00018577628199586003, -0.0012842616083232738,
    0.00046089380025497706, 0.024739553452339795, 0.11626072562312585, 0.32294572048172937, 0.6301465878433641,
    0.9068412253763685,
)  # fmt: skip
_BLOCK = 8192  # values at a time, so that all of these passes stay in the cache


def normal(z: Array) -> tuple[Array, Array]:
    """Return Phi(z), the normal distribution function, and exp(-z^2 / 2), elementwise.

    Shapes:
        Any; both results have the shape and dtype of `z`.

    Example:
        >>> normal(np.array([-30.0, 0.0, 1.0]))
        (array([4.90671393e-198, 5.00000000e-001, 8.41344746e-001]),
        array([3.69388307e-196, 1.00000000e+000, 6.06530660e-001]))

    Reference:
        Shepherd & Laframboise (1981) for the polynomial in (k - t) / (k + t);
        Abramowitz & Stegun (1964), 26.2.
    """
    flat = z.reshape(-1)
    kept = z.dtype if z.dtype in (np.float32, np.float64) else np.dtype(np.float32 if z.dtype.itemsize < 4 else np.float64)
    parts = [
        _block(flat[start : start + _BLOCK].astype(kept, copy=False)) for start in range(0, max(flat.size, 1), _BLOCK)
    ]
    cdf, power = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    return cdf.reshape(z.shape).astype(z.dtype, copy=False), power.reshape(z.shape).astype(z.dtype, copy=False)


def _block(z: Array) -> tuple[Array, Array]:
    """Return Phi(z) and exp(-z^2 / 2), for as many values as fit the cache."""
    dtype = z.dtype
    end, k, magic, b, coefficients = _constants(dtype)
    t = np.abs(z)
    np.minimum(t, end, out=t)
    # t^2 rounds, and 700 as an exponent magnifies that by 700: what was cut off is found by the leading half of t,
    # whose square is exact, and put back as a factor.
    high = t + magic
    high -= magic
    low = t - high
    low *= t + high
    high *= high
    square = t * t
    high -= square
    high += low
    half = number(-0.5, dtype)
    square *= half
    power: Array = np.exp(square, out=square)
    high *= half
    high *= power
    power += high
    u = t * b
    u += k
    t += k
    np.reciprocal(t, out=t)
    u *= t
    # The polynomial in four parts at once, each in u^4: fewer and longer calls of NumPy.
    u2 = u * u
    u4 = u2 * u2
    parts = coefficients[0] * u4
    parts += coefficients[1]
    for each in coefficients[2:]:
        parts *= u4
        parts += each
    cube, squared, line, constant = parts
    cube *= u
    cube += squared
    cube *= u2
    line *= u
    cube += line
    cube += constant
    cube *= t
    cube *= power
    # Phi(t) is 1 - Phi(-t); where values of both signs are mixed, np.where takes longer than arithmetic.
    cdf = (z > number(0, dtype)).astype(dtype)
    cdf -= cube
    np.abs(cdf, out=cdf)
    return cdf, power


@cache
def _constants(dtype: DType) -> tuple[Array, Array, Array, Array, Array]:
    """Return the numbers of one dtype: end, k, what rounds to the leading half, -b, and the coefficients by fours."""
    short = dtype == np.float32
    end, k, polynomial = SHORT if short else LONG
    fours = np.array((0.0,) * (-len(polynomial) % 4) + polynomial, dtype).reshape(-1, 4, 1)
    magic = 1.5 * 2.0 ** (16 if short else 32)
    return number(end, dtype), number(k, dtype), number(magic, dtype), number(-(end + 2 * k) / end, dtype), fours
