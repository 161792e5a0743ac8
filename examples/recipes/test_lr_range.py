"""`lr_range.py` where the largest rate that descends is known: a parabola bursts above 2 / its curvature.

    python -m pytest examples/recipes/test_lr_range.py
"""

import numpy as np
import pytest
from recipes.lr_range import lr_range_test, suggested

from nnfunc import dense, freeze, mse, sgd


def test_the_loss_turns_where_the_rate_passes_two_over_the_curvature() -> None:
    x = np.random.default_rng(0).normal(size=(64, 3))
    x -= x.mean(axis=0)
    curvatures, directions = np.linalg.eigh(2 * x.T @ x / 64)
    params = freeze({"W": directions[:, -1:], "b": [0.0]})
    found = lr_range_test(dense(3, 1), mse, params, x, np.zeros((64, 1)), sgd(), 0.1, 10, steps=60, size=64)
    rates, losses = zip(*found, strict=True)
    assert losses[-1] > 4 * min(losses)
    turn = losses.index(min(losses))
    assert rates[turn - 1] < 2 / curvatures[-1] < rates[turn]


def test_a_loss_beyond_all_numbers_ends_it_too() -> None:
    x = np.random.default_rng(0).normal(size=(8, 3))
    params = freeze({"W": np.ones((3, 1)), "b": [0.0]})
    found = lr_range_test(dense(3, 1), mse, params, x, x[:, :1], sgd(), lowest=1e200, highest=1e300, steps=5)
    assert [lr for lr, _ in found] == [pytest.approx(1e200)]


def test_the_rate_suggested_is_a_third_of_that_of_the_least_loss() -> None:
    found = [(10.0**-k, float(abs(k - 3))) for k in range(6)]
    assert suggested(found, smooth=3) == pytest.approx(1e-3 / 3)
