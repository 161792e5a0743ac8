"""Each piece of `custom_pieces.py` proved by one line.

    python -m pytest examples/test_custom_pieces.py
"""

# %%
import math

import numpy as np
from custom_pieces import (
    centralised,
    gain,
    inverse_root,
    lion,
    log_cosh,
    near_one,
    sparse,
    squareplus,
    squareplus_slope,
    until,
    worst_error,
)

from nnfunc.testing import (
    check_activation,
    check_initializer,
    check_layer,
    check_loss,
    check_metric,
    check_monitor,
    check_optimizer,
    check_penalty,
    check_schedule,
    check_transform,
)

# %%
DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(8, 4)), DRAW.normal(size=(8, 4))


# %%
def test_squareplus() -> None:
    check_activation(squareplus, squareplus_slope)


def test_log_cosh() -> None:
    check_loss(log_cosh, X, Y)


def test_gain() -> None:
    check_layer(gain(4), X)


def test_sparse() -> None:
    check_initializer(sparse, std=math.sqrt(1 / 40))


def test_near_one() -> None:
    check_penalty(near_one, {"gain/s": np.array([0.5, 2.0]), "out/W": np.ones((2, 1))})


def test_centralised() -> None:
    check_transform(centralised)


def test_lion() -> None:
    check_optimizer(lion())


def test_inverse_root() -> None:
    check_schedule(inverse_root, {0: 1e-2, 300: 5e-3})


def test_worst_error() -> None:
    check_metric(worst_error, X, Y)


def test_until() -> None:
    check_monitor(until(0.1))
