"""What the tests of training run on: data that can be learnt, networks, and a run to change arguments of."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nnfunc import AnyArray, Array, Report, State, activation, batch_norm, chain, dense, dropout, init, relu, train
from tests import samples

DRAWN = np.random.default_rng(0)
X: Array = DRAWN.normal(size=(50, 4)).astype(np.float32)
Y: AnyArray = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
XV: Array = DRAWN.normal(size=(30, 4)).astype(np.float32)
YV: AnyArray = (XV[:, 0] + XV[:, 1] ** 2 > 0.5).astype(int)
NET = chain(hidden=dense(4, 8, relu), noise=dropout(0.2), out=dense(8, 2))
BN = chain(hidden=dense(4, 8), norm=batch_norm(8), act=activation(relu), out=dense(8, 2))
P = init(NET, 0)


def last(runs: Iterator[tuple[State, Report]]) -> tuple[State, Report]:
    *_, end = runs
    return end


def run(**changed: Any) -> Iterator[tuple[State, Report]]:
    """Start a run of one epoch on the networks of bad input, with some arguments changed."""
    own: dict[str, Any] = {
        "net": samples.NET,
        "loss_fn": samples.CE,
        "params": samples.P,
        "x": samples.X,
        "y": samples.Y,
        "epochs": 1,
        "lr": 0.1,
    }
    return train(**{**own, **changed})
