"""What is computed with params of a dtype is of that dtype."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import DTypeLike

from nnfunc import Array, activation, calibrate, forward, grads, init, l2, mse, sgd_step, vjp
from tests.laws.calls import ACTIVATIONS
from tests.laws.data import NET, X, Z
from tests.samples import CODED, CODED_ROWS, REGULARISED, ROWS, TARGETS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("other", [np.float32, np.float64])
def test_dtype_is_closed(dtype: DTypeLike, other: DTypeLike) -> None:
    params = init(NET, 0, dtype)
    x, y = X.astype(other), np.array(Z, other)
    outputs = forward(NET, params, x)
    g = grads(NET, mse, params, x, y, weight=np.ones(5, other))
    stepped = sgd_step(params, g, np.float64(0.1))
    out, pullback = vjp(NET, params, x)
    vjp_grads, dx = pullback(np.array(out, other))
    found = [outputs, *g.values(), *stepped.values(), out, *vjp_grads.values(), dx()]
    assert {a.dtype for a in found} == {np.dtype(dtype)}


@pytest.mark.parametrize("f", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_keep_the_dtype(f: Callable[[Array], Array], dtype: DTypeLike) -> None:
    net = activation(f)
    y, pullback = vjp(net, {}, Z.astype(dtype))
    assert {f(Z.astype(dtype)).dtype, y.dtype, pullback(y)[1]().dtype} <= {np.dtype(dtype)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_closed_under_noise_norms_and_penalties(dtype: DTypeLike) -> None:
    for net, x in (*((net, ROWS) for net in REGULARISED.values()), (CODED, CODED_ROWS)):
        params = init(net, 0, dtype)
        g = grads(net, mse, params, x, TARGETS, key=1, penalty=l2(0.1))
        assert {a.dtype for a in (*g.values(), *calibrate(net, params, x).values())} == {np.dtype(dtype)}
        assert forward(net, params, x, key=2).dtype == dtype
