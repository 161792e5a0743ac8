"""Integrated gradients: what each input did to an output, as shares that add up to it.

`test_integrated_gradients.py` proves it.
"""

import numpy as np
from numpy.typing import ArrayLike

from nnfunc import AnyArray, Array, Layer, Params, vjp


def integrated_gradients(
    net: Layer, params: Params, x: Array, baseline: ArrayLike, outputs: AnyArray, steps: int = 64
) -> Array:
    """Return (x - baseline) times the mean slope of one output on the straight way from the baseline to x.

    The shares of a row add up to f(x) - f(baseline), to the precision of a Gauss-Legendre sum over `steps` points: a
    dozen do for a smooth network, a relu's corners want more.

    Shapes:
        x (n, k), baseline as x or what broadcasts to it, outputs (n,) the column of y that is meant in each row, result (n, k).

    Reference:
        Sundararajan, Taly and Yan 2017, equation 1.
    """
    points, weights = np.polynomial.legendre.leggauss(steps)
    way = x - np.asarray(baseline, x.dtype)
    slopes = np.zeros_like(x)
    for t, weight in zip((points + 1) / 2, weights / 2, strict=True):
        y, pullback = vjp(net, params, x - float(1 - t) * way)
        dy = np.zeros_like(y)
        dy[np.arange(len(x)), outputs] = weight
        slopes += pullback(dy)[1]()
    return way * slopes
