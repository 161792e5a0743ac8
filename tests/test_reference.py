"""Values that PyTorch 2.13 and optax 0.2.8 gave in float64, and values of the standard library."""

import math
from functools import partial

import numpy as np
import pytest

from nnfunc import (
    Array,
    ElementwiseFn,
    LossFn,
    class_weight,
    dense,
    elu,
    freeze,
    gelu,
    huber,
    leaky_relu,
    log_softmax,
    loss,
    mae,
    mse,
    relu,
    sigmoid,
    sigmoid_cross_entropy,
    silu,
    softmax,
    softmax_cross_entropy,
    softplus,
    tanh,
)
from nnfunc.pieces.erf import erf

X = np.array([-3, -1, -0.5, 0, 0.5, 1, 3])


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (sigmoid, "0.04742587317757 0.26894142137 0.37754066879815 0.5 0.62245933120185 0.73105857863 0.95257412682243"),
        (
            softplus,
            "0.04858735157374 0.31326168751822 0.47407698418011 0.69314718055995"
            " 0.97407698418011 1.31326168751822 3.04858735157374",
        ),
        (silu, "-0.1422776195327 -0.26894142137 -0.18877033439907 0 0.31122966560093 0.73105857863 2.8577223804673"),
        (elu, "-0.95021293163214 -0.63212055882856 -0.39346934028737 0 0.5 1 3"),
        (
            gelu,
            "-0.00404969409489 -0.15865525393146 -0.15426876936299 0 0.34573123063701 0.84134474606854 2.99595030590511",
        ),
        (relu, "0 0 0 0 0.5 1 3"),
        (leaky_relu, "-0.03 -0.01 -0.005 0 0.5 1 3"),
    ],
)
def test_activations(f: ElementwiseFn, expected: str) -> None:
    assert np.allclose(f(X), [float(word) for word in expected.split()], rtol=0, atol=1e-14)


def test_activations_against_the_standard_library() -> None:
    x = np.random.default_rng(0).uniform(-8, 8, 4000)
    assert np.allclose(tanh(x), [math.tanh(v) for v in x], rtol=1e-15)
    assert np.allclose(erf(x), [math.erf(v) for v in x], rtol=0, atol=3e-16)
    assert np.allclose(gelu(x), [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x], rtol=1e-13, atol=1e-15)
    assert np.allclose(log_softmax(x), x - math.log(sum(math.exp(v) for v in x)), rtol=1e-13)
    assert softmax(x).sum() == pytest.approx(1)


def mean(result: tuple[Array, Array]) -> float:
    return float(result[0].mean())


def test_softmax_cross_entropy() -> None:
    z, y = np.array([[2, -1, 0.5], [0.1, 0.2, -0.3]]), np.array([0, 2])
    assert mean(softmax_cross_entropy(z, y)) == pytest.approx(0.8310694761052082, abs=1e-15)
    assert mean(softmax_cross_entropy(z, y, label_smoothing=0.1)) == pytest.approx(0.8910694761052081, abs=1e-15)
    net, params = dense(3, 3), freeze({"W": np.eye(3), "b": np.zeros(3)})
    weight = class_weight(y, [1, 2, 4])
    weighted = loss(net, softmax_cross_entropy, params, z, y, weight=weight)
    assert weighted == pytest.approx(1.1849243837740389, abs=1e-15)


def test_sigmoid_cross_entropy() -> None:
    z, y = np.array([[0.3], [-2], [4]]), np.array([[1], [0], [1]])
    assert mean(sigmoid_cross_entropy(z, y)) == pytest.approx(0.23314439447643653, abs=1e-15)
    assert mean(sigmoid_cross_entropy(z, y, pos_weight=3)) == pytest.approx(0.6148145094006611, abs=1e-15)


@pytest.mark.parametrize(
    ("loss_fn", "expected"),
    [
        (mse, 3.763333333333333),
        (mae, 1.5666666666666667),
        (huber, 1.1733333333333333),
        (partial(huber, delta=2), 1.715),
    ],
)
def test_regression_losses(loss_fn: LossFn, expected: float) -> None:
    e = np.array([[0.2], [-1.5], [3]])
    assert mean(loss_fn(e, np.zeros_like(e))) == pytest.approx(expected, abs=1e-15)


def test_mean_is_over_outputs_and_rows() -> None:
    e = np.array([[1.0, 3.0], [2.0, 0.0]])
    assert mean(mse(e, np.zeros_like(e))) == 14 / 4
    assert mean(mae(e, np.zeros_like(e))) == 6 / 4
