"""Sums of squares that neither overflow nor lose digits: of gradients, of weights, of steps."""

import math
from collections.abc import Iterable

import numpy as np

from nnfunc.types import Array

# Between these the sum of squares has neither overflowed nor lost small terms, in float32 or float64.
_SAFE = (1e-20, 1e30)
# As many float32 squares are added in float32; more would cost digits, fewer time.
_CHUNK = 4096


def sum_of_squares(arrays: Iterable[Array]) -> tuple[float, float]:
    """Return two factors of the sum of all squares, which is ``size * size * squares``.

    `size` is 1 unless the squares themselves could overflow or vanish. The
    second factor is inf or NaN if an element is.

    Example:
        >>> sum_of_squares([np.array([3.0]), np.array([4.0])])
        (1.0, 25.0)
        >>> sum_of_squares([np.array([3e300]), np.array([4e300])])
        (4e+300, 1.5625)
    """
    held = list(arrays)
    with np.errstate(all="ignore"):
        squares = math.fsum(min(_squares(a), 1e300) for a in held)  # fsum itself must not overflow
        if _SAFE[0] < squares < _SAFE[1] or math.isnan(squares):
            return 1.0, squares
        largest = max((float(np.max(np.abs(a), initial=0)) for a in held), default=0.0)
        if not 0 < largest < math.inf:
            return 1.0, largest
        scaled = ((a / a.dtype.type(largest)).astype(np.float64) for a in held)
        return largest, math.fsum(float(np.vdot(s, s)) for s in scaled)


def _squares(array: Array) -> float:
    """Return the sum of the squares of one array, to float32's last digits also where it is long."""
    if array.size < 2 * _CHUNK or array.itemsize > 4:
        return float(np.vdot(array, array))
    flat = array.ravel(order="K")
    whole = flat.size - flat.size % _CHUNK
    rows, rest = flat[:whole].reshape(-1, _CHUNK), flat[whole:]
    return float(np.add.reduce(np.vecdot(rows, rows), dtype=np.float64)) + float(np.vdot(rest, rest))
