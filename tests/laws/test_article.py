"""The worked numbers of a from-scratch tutorial, each recomputed through the public functions."""

import numpy as np
import pytest

from nnfunc import (
    DType,
    binary_cross_entropy,
    chain,
    dense,
    forward,
    freeze,
    glorot_uniform,
    grads,
    he_normal,
    mse,
    sigmoid,
    softmax,
    softmax_cross_entropy,
    vjp,
)

F64: DType = np.dtype(np.float64)


def test_a_neuron() -> None:
    params = freeze({"W": [[0.5], [-0.6]], "b": [0.1]})
    y = forward(dense(2, 1, sigmoid), params, [[2.0, 3.0]])
    assert float(y[0, 0]) == pytest.approx(0.332, abs=5e-4)


def test_two_layers_with_weights_0_and_1() -> None:
    net = chain(hidden=dense(2, 2, sigmoid), out=dense(2, 1, sigmoid))
    params = freeze(
        {"hidden/W": [[0.0, 0.0], [1.0, 1.0]], "hidden/b": [0.0, 0.0], "out/W": [[0.0], [1.0]], "out/b": [0.0]}
    )
    hidden = forward(dense(2, 2, sigmoid), {"W": params["hidden/W"], "b": params["hidden/b"]}, [[2.0, 3.0]])
    assert hidden[0].tolist() == pytest.approx([0.9526, 0.9526], abs=5e-5)
    assert float(forward(net, params, [[2.0, 3.0]])[0, 0]) == pytest.approx(0.7216, abs=5e-5)


def test_losses_of_one_prediction() -> None:
    outputs, targets = np.array([[0.9], [0.1]]), np.array([[1.0], [1.0]])
    assert binary_cross_entropy(outputs, targets)[0].tolist() == pytest.approx([0.105, 2.3026], abs=5e-4)
    assert mse(outputs, targets)[0].tolist() == pytest.approx([0.01, 0.81])


def test_the_2_by_2_gradient() -> None:
    # yhat - y = -0.28 arrives at the output's logit; the hidden activations are 0.8 and 0.6.
    hidden = dense(2, 2, (lambda z: np.array([[0.8, 0.6]]) + 0 * z, lambda z: np.array([[0.16, 0.24]]) + 0 * z))
    net = chain(hidden=hidden, out=dense(2, 1))
    params = freeze(
        {"hidden/W": np.zeros((2, 2)), "hidden/b": np.zeros(2), "out/W": [[0.5], [-0.3]], "out/b": np.zeros(1)}
    )
    _, pullback = vjp(net, params, [[2.0, 3.0]])
    g, _ = pullback([[0.72 - 1]])
    assert np.allclose(g["hidden/W"], [[-0.0448, 0.04032], [-0.0672, 0.06048]], rtol=0, atol=1e-12)


def test_output_gradient_is_yhat_minus_y_over_n() -> None:
    x, y = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 2, 1, 1])
    net = dense(3, 3)
    params = freeze({"W": np.random.default_rng(1).normal(size=(3, 3)), "b": np.zeros(3)})
    yhat = softmax(forward(net, params, x))
    g = grads(net, softmax_cross_entropy, params, x, y)
    assert np.allclose(g["b"], (yhat - np.eye(3)[y]).sum(axis=0) / 4, rtol=0, atol=1e-15)
    assert np.allclose(g["W"], x.T @ (yhat - np.eye(3)[y]) / 4, rtol=0, atol=1e-15)


def test_he_and_glorot_spreads() -> None:
    assert he_normal(0, (400, 300), F64).std() == pytest.approx(np.sqrt(2 / 400), rel=0.01)
    uniform = glorot_uniform(0, (400, 300), F64)
    bound = np.sqrt(6 / 700)
    assert np.abs(uniform).max() <= bound
    assert uniform.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)
