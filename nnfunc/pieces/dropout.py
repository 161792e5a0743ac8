"""Dropout: a layer that draws."""

from __future__ import annotations

from functools import partial
from typing import SupportsFloat

import numpy as np

from nnfunc.pieces.layers import check_fields, no_params
from nnfunc.values.checks import as_share, require
from nnfunc.values.keys import generator
from nnfunc.values.types import Array, InputGradient, Key, Layer, Params, Pullback


def dropout(rate: SupportsFloat) -> Layer:
    """Return the layer that sets each value to 0 with probability `rate` and scales the rest by 1 / (1 - rate).

    With a key, which decides the mask; without one it is the identity. As the
    scaling is done in training, inference needs none: the mean over keys is x.

    Args:
        rate: share of values that are dropped, in [0, 1), in float32 too.

    Shapes:
        Any; `y` has the shape of `x`.

    Gradients:
        dx = dy * mask / (1 - rate).

    Raises:
        TypeError, ValueError: `rate` is not a number in [0, 1).

    Example:
        >>> init, forward = dropout(0.5)
        >>> y, pullback = forward({}, np.ones((2, 4)), 1)
        >>> y
        array([[0., 2., 2., 2.],
               [0., 0., 2., 2.]])
        >>> forward({}, np.ones((1, 2)), None)[0]
        array([[1., 1.]])

    Reference:
        Srivastava et al. (2014), in the inverted form that PyTorch and Keras use.
    """
    share = as_share("dropout", "rate", rate)
    require(np.float32(share) < 1, "dropout", "rate", "be below 1 in float32 too, in which masks are drawn", share)
    return no_params, partial(dropout_forward, share)


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
    # Drawn in float32 whatever the dtype of x, so that one key means one mask.
    kept = generator(key).random(x.shape, dtype=np.float32) >= rate
    factor = np.multiply(kept, 1 / (1 - rate), dtype=x.dtype)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy * factor

    return x * factor, pullback


def _identity_pullback(dy: Array) -> tuple[Params, InputGradient]:
    return {}, dy.copy
