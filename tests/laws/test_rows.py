"""At inference a row of outputs depends on its own row of inputs alone."""

import numpy as np
import pytest

from nnfunc import Layer, calibrate, forward, init
from tests.laws.data import NET, PARAMS, X
from tests.samples import CODED, CODED_ROWS, REGULARISED, ROWS

NETWORKS: dict[str, Layer] = {"plain": NET, "codes": CODED, **REGULARISED}


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_are_independent(name: str) -> None:
    net, rows = NETWORKS[name], CODED_ROWS if name == "codes" else ROWS
    params = calibrate(net, init(net, 1, np.float64), rows)
    changed = rows.copy()
    changed[2] = rows[5]
    same = (forward(net, params, rows) == forward(net, params, changed)).all(axis=1)
    assert same.tolist() == [True, True, False, True, True, True, True]


def test_rows_are_independent_in_float32() -> None:
    changed = X.copy()
    changed[2] += 1
    a, b = forward(NET, PARAMS, X), forward(NET, PARAMS, changed)
    same = (a == b).all(axis=1)
    assert same.tolist() == [True, True, False, True, True]
