"""With every floating-point error of NumPy raised, whatever has a right answer gives it: to underflow to 0 is right."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from nnfunc import (
    Array,
    Layer,
    Optimizer,
    Params,
    Schedule,
    accuracy,
    activation,
    activation_stats,
    adagrad,
    adam,
    adamw,
    batch_norm,
    calibrate,
    chain,
    class_weight,
    clip_by_global_norm,
    clip_by_value,
    cosine_decay_schedule,
    dense,
    diagnose,
    exponential_decay,
    fit_scaler,
    forward,
    gelu,
    global_norm,
    grads,
    init,
    l1,
    l2,
    layer_norm,
    loss,
    momentum,
    mse,
    polynomial_schedule,
    reduce_on_plateau,
    relu,
    residual,
    rmsprop,
    sgd,
    sgd_step,
    sigmoid,
    sigmoid_cross_entropy,
    silu,
    softmax,
    softmax_cross_entropy,
    softplus,
    standardize,
    tanh,
    train,
    update_ratio,
    value_and_grads,
    vjp,
)
from tests.laws.calls import CALLS

SIZES = {"tiny": 1e-38, "subnormal": 1e-42, "small": 1e-20, "large": 1e4}
DTYPES: dict[str, type] = {"float32": np.float32, "float64": np.float64}


@pytest.mark.parametrize("name", CALLS)
def test_every_public_function_raises_none(name: str) -> None:
    with np.errstate(all="raise"):
        CALLS[name]()


def _stepped(g: Array) -> None:
    for opt_init, step in OPTIMIZERS:
        params: Params = {"W": g + 1}
        state = opt_init(params)
        for _ in range(3):
            params, state = step(params, {"W": g}, state, 1e-3)
        assert np.isfinite(params["W"]).all()


def _passes(net: Layer, x: Array) -> None:
    params = calibrate(net, init(net, 0, x.dtype), x)
    y, pullback = vjp(net, params, x)
    pullback(np.ones_like(y) * x.ravel()[0])[1]()
    assert np.isfinite(forward(net, params, x)).all()
    assert np.isfinite(loss(net, mse, params, x, y))
    grads(net, mse, params, x, 0 * y, key=1, penalty=l2(1e-30))
    activation_stats(net, params, x)
    diagnose(net, mse, params, x, y, key=1)


def _trained(x: Array) -> None:
    net = chain(dense(3, 4, sigmoid), batch_norm(4), dense(4, 2))
    y = np.arange(len(x)) % 2
    run = train(net, softmax_cross_entropy, init(net, 0, x.dtype), x, y, epochs=2, lr=1e-3, size=4, optimizer=adam(),
                validation=(x, y), metrics={"accuracy": accuracy}, weight=np.full(len(x), 1e-300))  # fmt: skip
    assert all(np.isfinite(report["loss"]) for _, report in run)


NETS: dict[str, Layer] = {
    **{f.__name__: chain(dense(3, 4, f), dense(4, 2)) for f in (relu, sigmoid, tanh, softplus, silu, gelu, softmax)},
    "layer norm": chain(layer_norm(3), dense(3, 2)),
    "batch norm": chain(batch_norm(3), dense(3, 2)),
    "residual": chain(residual(dense(3, 3, tanh)), activation(sigmoid)),
}
OPTIMIZERS: list[Optimizer] = [sgd(), momentum(), momentum(nesterov=True), rmsprop(), rmsprop(centered=True, beta=0.9), adagrad(), adam(), adamw()]
SCHEDULES: list[Schedule] = [exponential_decay(1e-3, 1, 1e-3), polynomial_schedule(1, 0, 40, 100), cosine_decay_schedule(1e-300, 10)]
NUMERIC: dict[str, Callable[[Array], object]] = {
    **{name: partial(_passes, net) for name, net in NETS.items()},
    "optimisers": _stepped,
    "sgd_step": lambda x: sgd_step({"W": x}, {"W": x}, 1e-3),
    "clipping": lambda x: [clip_by_global_norm({"W": x}, 1e-30), clip_by_value({"W": x}, 1e-30), global_norm({"W": x})],
    "penalties": lambda x: [l1(1e-30)({"W": x}), l2(1e-30)({"W": x})],
    "scaler": lambda x: standardize(x, fit_scaler(x)),
    "update_ratio": lambda x: update_ratio({"W": x}, {"W": x + x}),
    "softmax_cross_entropy": lambda x: softmax_cross_entropy(x, np.zeros(len(x), int)),
    "sigmoid_cross_entropy": lambda x: sigmoid_cross_entropy(x, np.zeros_like(x)),
    "value_and_grads": lambda x: value_and_grads(
        dense(3, 2), softmax_cross_entropy, init(dense(3, 2), 0, x.dtype), x, np.zeros(len(x), int), weight=np.geomspace(1e-300, 1, len(x))
    ),
    "train": _trained,
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NUMERIC)
def test_nothing_is_raised_at_any_size(name: str, dtype: str, size: str) -> None:
    scale = SIZES[size] if dtype == "float32" or SIZES[size] > 1e-30 else SIZES[size] ** 8
    with np.errstate(all="ignore"):
        x: Array = (np.random.default_rng(0).normal(size=(8, 3)) * scale).astype(DTYPES[dtype])
    with np.errstate(all="raise"):
        NUMERIC[name](x)


def test_schedules_and_monitors_raise_nothing() -> None:
    with np.errstate(all="raise"):
        for schedule in SCHEDULES:
            assert [schedule(step) >= 0 for step in (0, 1, 50, 99, 10**6)] == [True] * 5
        monitor_init, update = reduce_on_plateau(factor=1e-3, patience=0)
        state = monitor_init()
        for _ in range(200):
            state = update(state, 1e-320)
        class_weight([0, 1, 1], "balanced")
