"""Small networks and data that the tests of several rooms are made with.

The first ones are for bad input, whose messages name their layers and shapes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnfunc import (
    AnyArray,
    Array,
    Layer,
    batch_norm,
    calibrate,
    chain,
    columns,
    concatenate,
    dense,
    dropout,
    embedding,
    init,
    layer_norm,
    relu,
    residual,
    softmax_cross_entropy,
    tanh,
)

NET = chain(hidden=dense(4, 3, relu), out=dense(3, 2))
P = init(NET, 0)
X: Array = np.ones((5, 4), np.float32)
Y: AnyArray = np.array([0, 1, 1, 0, 1])
CE = softmax_cross_entropy
AFFINE = init(chain(a=dense(4, 4)), 0)
MISFIT = chain(a=residual(chain(dense(4, 3), dense(2, 4))))
BN = chain(n=batch_norm(4))
BNP = calibrate(BN, init(BN, 0), np.eye(5, 4))


def custom(forward_fn: Callable[..., Any]) -> Any:
    """Return a layer of whatever kind of forward function, out of the type checker's sight."""
    return (lambda key, dtype: {}), forward_fn


ASKS = custom(lambda p, x, k: (x * p["s"], lambda dy: ({}, lambda: dy)))
"""A layer that asks for a parameter that its init does not give."""

# One network for each piece that acts otherwise in training, or normalises; in float64, for slopes by differences.
REGULARISED: dict[str, Layer] = {
    "dropout": chain(dense(3, 6, tanh), dropout(0.4), dense(6, 2)),
    "layer norm": chain(layer_norm(3), dense(3, 5, tanh), layer_norm(5), dense(5, 2)),
    "batch norm": chain(batch_norm(3), dense(3, 5), batch_norm(5), chain(dense(5, 2))),
    "residual": chain(dense(3, 4), residual(chain(batch_norm(4), dense(4, 4, tanh), dropout(0.3))), dense(4, 2)),
    "nested": chain(
        dense(3, 4), residual(residual(chain(layer_norm(4), dense(4, 4, tanh)))), residual(batch_norm(4)), dense(4, 2)
    ),
}
ROWS: Array = np.random.default_rng(3).normal(size=(7, 3)) * [1, 5, 0.1] + [0, 10, -3]
TARGETS: Array = np.random.default_rng(4).normal(size=(7, 2))

# Codes in two columns beside two of numbers, which have slopes.
CODED: Layer = chain(concatenate(chain(columns(0, 2), embedding(4, 2)), columns(2, 4)), dense(6, 3, tanh), dense(3, 2))
CODED_ROWS: Array = np.column_stack([np.arange(14).reshape(7, 2) % 4, ROWS[:, :2]])
