"""A loss that is not finite is an error that names the first thing that was not."""

import math
import re

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    Layer,
    LossFn,
    Params,
    chain,
    cross_entropy,
    dense,
    grads,
    init,
    loss,
    mse,
    relu,
    residual,
    softmax_cross_entropy,
    tanh,
    value_and_grads,
)
from tests.layers import scaling
from tests.numeric import same_bits, with_value

NET = chain(hidden=dense(3, 4, relu), skip=residual(chain(dense(4, 4, tanh), dense(4, 4))), out=dense(4, 2))
P = init(NET, 0)
X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)


def times_log_of(factor: float) -> Layer:
    """Return a layer of one's own that computes log(factor) * x, which may not be finite."""
    with np.errstate(all="ignore"):
        slope = float(np.log(np.float64(factor)))
    return scaling(slope, slope)


def bad_loss(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
    per_example, d = mse(outputs, y)
    return np.log(per_example * 0), d


HUGE = {**P, "skip/1/b": np.full(4, 3e38, np.float32), "out/W": np.full((4, 2), 10, np.float32)}
CHAINED = init(chain(a=dense(3, 2)), 0)
CASES: dict[str, tuple[Layer, LossFn, Params, Array, AnyArray, str]] = {
    "nan in x": (
        NET,
        mse,
        P,
        with_value(X, (3, 1), math.nan),
        Y,
        r"x must be finite, got nan at \[3, 1\] \(1 of 15 values\)",
    ),
    "infinity in x": (
        NET,
        mse,
        P,
        with_value(X, (0, 0), -math.inf),
        Y,
        r"x must be finite, got -inf at \[0, 0\] \(1 of 15 values\)",
    ),
    "infinity in y": (
        NET,
        mse,
        P,
        X,
        with_value(Y, (4, 1), math.inf),
        r"y must be finite, got inf at \[4, 1\] \(1 of 10 values\)",
    ),
    "nan in a parameter": (
        NET,
        mse,
        {**P, "skip/0/W": with_value(P["skip/0/W"], (2, 3), math.nan)},
        X,
        Y,
        r"skip/0/W must be finite, got nan at \[2, 3\] \(1 of 16 values\)",
    ),
    "an output that overflows": (
        NET,
        mse,
        HUGE,
        X,
        Y,
        r"the output of layer out must be finite, .*, got inf at \[0, 0\].*",
    ),
    "a layer that gives infinity": (
        chain(a=dense(3, 2), b=times_log_of(0)),
        mse,
        CHAINED,
        X,
        Y,
        r"the output of layer b must be finite, .*",
    ),
    "a layer within a residual that gives nan": (
        chain(a=dense(3, 2), b=residual(chain(c=times_log_of(1), d=times_log_of(-1)))),
        mse,
        CHAINED,
        X,
        Y,
        r"the output of layer b/d must be finite, .*, got nan at \[0, 0\].*",
    ),
    "a loss of its own": (
        dense(3, 2),
        bad_loss,
        init(dense(3, 2), 0),
        X,
        Y,
        r"the loss bad_loss must be finite, got -inf at \[0\] .*",
    ),
    "a loss that overflows": (
        dense(3, 2),
        mse,
        init(dense(3, 2), 0),
        X,
        Y * 1e20,
        r"the loss mse must be finite, got inf at \[0\] .*",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_bad_thing_is_named(name: str) -> None:
    net, loss_fn, params, x, y, pattern = CASES[name]
    for called, verb in (("loss", loss), ("grads", grads), ("value_and_grads", value_and_grads)):
        with pytest.raises(FloatingPointError) as caught:
            verb(net, loss_fn, params, x, y)
        assert re.fullmatch(f"{called}: {pattern}", str(caught.value)), str(caught.value)


def test_a_zero_probability_is_an_error_and_not_clipped() -> None:
    net = chain(dense(3, 2, (lambda z: 0 * z + np.array([0, 1], z.dtype), lambda z: 0 * z)))
    with pytest.raises(FloatingPointError, match=r"loss: the loss cross_entropy must be finite, got inf at \[0\]"):
        loss(net, cross_entropy, init(net, 0), X, np.zeros(5, int))


def test_params_are_as_they_were() -> None:
    before = {name: a.copy() for name, a in P.items()}
    with pytest.raises(FloatingPointError):
        grads(NET, mse, P, X * np.float32(np.nan), Y)
    assert same_bits(before, dict(P))


def test_finite_losses_pass() -> None:
    assert math.isfinite(loss(NET, softmax_cross_entropy, P, X * 1e15, np.zeros(5, int)))
