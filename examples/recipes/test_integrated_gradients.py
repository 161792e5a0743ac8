"""`integrated_gradients.py` beside closed forms, and its completeness.

    python -m pytest examples/recipes/test_integrated_gradients.py
"""

import numpy as np
from recipes.integrated_gradients import integrated_gradients

from nnfunc import Layer, activation, chain, dense, forward, freeze, init, mlp, relu, tanh

X = np.random.default_rng(0).normal(size=(5, 4))
W = np.array([[1.0], [-2.0], [0.5], [3.0]])
FIRST = np.zeros(5, int)


def gap(net: Layer, steps: int) -> float:
    """Return by how much the shares of one output miss what they must add up to."""
    params, outputs, baseline = init(net, 1, np.float64), np.array([0, 1, 2, 1, 0]), np.full(4, 0.5)
    shares = integrated_gradients(net, params, X, baseline, outputs, steps)
    rise = (forward(net, params, X) - forward(net, params, baseline[None]))[np.arange(5), outputs]
    assert np.ptp(rise) > 0.5
    return float(np.abs(shares.sum(axis=1) - rise).max())


def test_shares_add_up_to_the_output() -> None:
    assert gap(mlp([4, 8, 3], tanh), 16) < 1e-9
    assert gap(mlp([4, 8, 3], relu), 64) < 0.02


def test_a_linear_network_gives_each_column_its_term() -> None:
    shares = integrated_gradients(dense(4, 1), freeze({"W": W, "b": [7.0]}), X, 1.0, FIRST, steps=1)
    assert np.allclose(shares, (X - 1) * W.T, rtol=0, atol=1e-12)


def test_a_square_is_shared_by_the_terms_within() -> None:
    net = chain(z=dense(4, 1), square=activation((np.square, lambda z: 2 * z)))
    shares = integrated_gradients(net, freeze({"z/W": W, "z/b": [0.0]}), X, 0.0, FIRST, steps=1)
    assert np.allclose(shares, X * W.T * (X @ W), rtol=0, atol=1e-12)
