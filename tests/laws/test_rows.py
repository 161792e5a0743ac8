"""At inference a row of outputs depends on its own row of inputs alone."""

import numpy as np
import pytest

from nnfunc import Layer, calibrate, forward, init
from tests.laws.data import NET, PARAMS, X
from tests.samples import REGULARISED, ROWS

NETWORKS: dict[str, Layer] = {"plain": NET, **REGULARISED}


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_are_independent(name: str) -> None:
    net = NETWORKS[name]
    params = calibrate(net, init(net, 1, np.float64), ROWS)
    changed = ROWS.copy()
    changed[2] = [1, -4, 2]
    same = (forward(net, params, ROWS) == forward(net, params, changed)).all(axis=1)
    assert same.tolist() == [True, True, False, True, True, True, True]


def test_rows_are_independent_in_float32() -> None:
    changed = X.copy()
    changed[2] += 1
    a, b = forward(NET, PARAMS, X), forward(NET, PARAMS, changed)
    same = (a == b).all(axis=1)
    assert same.tolist() == [True, True, False, True, True]
