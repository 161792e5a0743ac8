"""Dropout: a layer that draws."""

from __future__ import annotations

from functools import partial
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

from nnfunc.pieces.layers import check_fields, no_params
from nnfunc.values.checks import as_share
from nnfunc.values.keys import generator
from nnfunc.values.types import Array, InputGradient, Key, Layer, Params, Pullback


def dropout(rate: SupportsFloat) -> Layer:
    """Return the layer that sets each value to 0 with probability `rate` and scales the rest by 1 / (1 - rate).

    With a key, which decides the mask; without one it is the identity. As the
    scaling is done in training, inference needs none: the mean over keys is x.

    Args:
        rate: share of values that are dropped, in [0, 1).

    Shapes:
        Any; `y` has the shape of `x`.

    Gradients:
        dx = dy * mask / (1 - rate).

    Raises:
        TypeError, ValueError: `rate` is not a number in [0, 1).

    Example:
        >>> init, forward = dropout(0.5)
        >>> y, pullback = forward({}, np.ones((2, 4)), 3)
        >>> y
        array([[2., 2., 0., 0.],
               [2., 0., 2., 0.]])
        >>> forward({}, np.ones((1, 2)), None)[0]
        array([[1., 1.]])

    Reference:
        Srivastava et al. (2014), in the inverted form that PyTorch and Keras use.
    """
    return no_params, partial(dropout_forward, as_share("dropout", "rate", rate))


def dropout_forward(rate: float, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Compute x with some values dropped, and the way back; see `dropout`.

    Example:
        >>> dropout_forward(0.0, {}, np.ones((1, 2)), 1)[0]
        array([[1., 1.]])
    """
    if params:
        check_fields("dropout", {}, params)
    if key is None or rate == 0:
        return x.copy(), _identity_pullback
    factor = _kept(rate, key, x.size).reshape(x.shape).astype(x.dtype)
    factor *= 1 / (1 - rate)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy * factor

    return x * factor, pullback


def _kept(rate: float, key: Key, n: int) -> NDArray[np.bool_]:
    """Return which of n values are kept, whatever their dtype.

    Sixteen random bits decide of a value, a quarter of the time of a random float. Where they
    are just at the rate, one in 65,536, more bits of the same stream do.
    """
    bits, level = generator(key).bit_generator, rate * 2**16
    words = bits.random_raw(-(-n // 4)).astype("<u8", copy=False).view("<u2")[:n]
    kept: NDArray[np.bool_] = words > np.uint16(level)
    close = (words == np.uint16(level)).nonzero()[0]
    if close.size:
        kept[close] = bits.random_raw(close.size) * 2.0**-64 >= level - int(level)
    return kept


def _identity_pullback(dy: Array) -> tuple[Params, InputGradient]:
    return {}, dy.copy
