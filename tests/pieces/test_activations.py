"""Activations: values of PyTorch 2.13 and of the standard library, sizes, options."""

import math
from functools import partial

import numpy as np
import pytest

from nnfunc import (
    Array,
    ElementwiseFn,
    activation,
    adam,
    dense,
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
    vjp,
)
from nnfunc.pieces.activations import as_pair
from tests.numeric import bad
from tests.sentences import Cases, assert_sentence

POINTS = np.array([-3, -1, -0.5, 0, 0.5, 1, 3])
# In float64, as PyTorch gave them at POINTS.
GOLDEN: dict[str, tuple[ElementwiseFn, str]] = {
    "sigmoid": (
        sigmoid,
        "0.04742587317757 0.26894142137 0.37754066879815 0.5 0.62245933120185 0.73105857863 0.95257412682243",
    ),
    "softplus": (
        softplus,
        "0.04858735157374 0.31326168751822 0.47407698418011 0.69314718055995"
        " 0.97407698418011 1.31326168751822 3.04858735157374",
    ),
    "silu": (silu, "-0.1422776195327 -0.26894142137 -0.18877033439907 0 0.31122966560093 0.73105857863 2.8577223804673"),
    "elu": (elu, "-0.95021293163214 -0.63212055882856 -0.39346934028737 0 0.5 1 3"),
    "gelu": (
        gelu,
        "-0.00404969409489 -0.15865525393146 -0.15426876936299 0 0.34573123063701 0.84134474606854 2.99595030590511",
    ),
    "relu": (relu, "0 0 0 0 0.5 1 3"),
    "leaky_relu": (leaky_relu, "-0.03 -0.01 -0.005 0 0.5 1 3"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_values_of_pytorch(name: str) -> None:
    f, expected = GOLDEN[name]
    assert np.allclose(f(POINTS), [float(word) for word in expected.split()], rtol=0, atol=1e-14)


@pytest.mark.parametrize("f", [relu, leaky_relu, elu, sigmoid, tanh, softplus, silu, gelu])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_a_value_and_a_slope_do_not_depend_on_the_array_they_stand_in(f: ElementwiseFn, dtype: type) -> None:
    z: Array = np.linspace(-3, 3, 12).astype(dtype)
    z.setflags(write=False)
    by_column, wide = z.reshape(3, 4).T, np.repeat(z, 3)[1::3]
    for compute in as_pair("test", f):
        expected = compute(z)
        assert expected.dtype == dtype
        assert np.array_equal(compute(by_column), expected.reshape(3, 4).T)
        assert np.array_equal(compute(wide), expected)
        assert np.shape(compute(z[:0])) == (0,)
        assert [float(compute(np.asarray(value))) for value in z] == [float(value) for value in expected]


def test_values_of_the_standard_library() -> None:
    x = np.random.default_rng(0).uniform(-8, 8, 4000)
    assert np.allclose(tanh(x), [math.tanh(v) for v in x], rtol=1e-15)
    assert np.allclose(gelu(x), [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x], rtol=1e-13, atol=1e-15)
    assert np.allclose(log_softmax(x), x - math.log(sum(math.exp(v) for v in x)), rtol=1e-13)
    assert softmax(x).sum() == pytest.approx(1)


@pytest.mark.parametrize("n", [1, 2, 1023, 1024, 2048, 2049, 8191, 8192, 8193, 16384, 20000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_and_its_way_back_do_not_depend_on_size(n: int, dtype: type) -> None:
    z: Array = np.random.default_rng(n).normal(size=n).astype(dtype)
    z[0], z[-1] = (np.nan, -0.0) if n > 1 else (np.nan, np.nan)
    assert np.array_equal(relu(z), np.where(z > 0, z, np.where(np.isnan(z), z, 0)), equal_nan=True)
    _, pullback = vjp(activation(relu), {}, z[None])
    assert np.array_equal(pullback(np.full((1, n), 3.0, dtype))[1]()[0], np.where(z > 0, 3.0, 0.0))


def test_an_option_of_minus_zero_leaves_no_minus_zero_behind() -> None:
    # Numbers that are kept for later calls are found by their value, and 0 equals -0.
    params = {"W": np.ones(2, np.float32)}
    opt_init, opt_step = adam(b1=-0.0)
    opt_step(params, params, opt_init(params), 0.1)
    assert not np.signbit(relu(np.array([-1.0], np.float32)))[0]


BAD: Cases = {
    "negative_slope of 1": (
        lambda: dense(1, 1, partial(leaky_relu, negative_slope=1)),
        ValueError,
        r"leaky_relu: negative_slope must lie in \[0, 1\).*",
    ),
    "alpha below 0": (
        lambda: dense(1, 1, partial(elu, alpha=-1)),
        ValueError,
        r"elu: alpha must be finite and at least 0, got -1.0",
    ),
    "softmax of an empty axis": (lambda: softmax(np.zeros((2, 0))), ValueError, r"softmax: z must have a last axis .*"),
    "sigmoid of text": (lambda: sigmoid(bad(["a"])), TypeError, r"sigmoid: z must hold numbers, got .*"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
