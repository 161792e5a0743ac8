"""`lbfgs.py` where the answer is known: linear least squares, with and without a penalty.

    python -m pytest examples/recipes/test_lbfgs.py
"""

import numpy as np
import pytest

from nnfunc import dense, init, l2, mse

pytest.importorskip("scipy")
DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(50, 4)), DRAW.normal(size=(50, 2))


def test_least_squares() -> None:
    from recipes.lbfgs import lbfgs

    net = dense(4, 2)
    params = lbfgs(net, mse, init(net, 0, np.float64), X, Y, tolerance=1e-9)
    exact = np.linalg.lstsq(np.column_stack([X, np.ones(50)]), Y, rcond=None)[0]
    assert np.allclose(np.vstack([params["W"], params["b"]]), exact, rtol=0, atol=1e-5)


def test_ridge() -> None:
    from recipes.lbfgs import lbfgs

    net, centred = dense(4, 2), X - X.mean(axis=0)
    params = lbfgs(net, mse, init(net, 0, np.float64), centred, Y, penalty=l2(0.1), tolerance=1e-9)
    exact = np.linalg.solve(centred.T @ centred + 50 * 2 * 0.1 * np.eye(4), centred.T @ Y)  # mse divides by 2 outputs
    assert np.allclose(params["W"], exact, rtol=0, atol=1e-5)
    assert np.allclose(params["b"], Y.mean(axis=0), rtol=0, atol=1e-5)
