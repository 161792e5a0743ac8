"""Pieces that reuse one buffer for all they return, foreign inits around library chains, params called like the inputs."""

from functools import partial

import numpy as np
import pytest

from nnfunc import (
    Activation, Array, InputGradient, Key, Layer, Optimizer, Params, Pullback, Report, activation, batch_norm, calibrate,
    chain, cross_entropy, dense, dropout, early_stopping, forward, grads, init, loss, mse, overfit_check, residual, softmax,
    softmax_cross_entropy, summary, tanh, train, vjp, watched,
)  # fmt: skip
from tests.numeric import bad, same_bits

X: Array = np.random.default_rng(0).normal(size=(6, 3))
Y: Array = np.random.default_rng(1).normal(size=(6, 3))


def reusing_activation() -> Activation:
    """Return tanh and its slope, each with one buffer for all results."""
    kept = np.empty(X.shape), np.empty(X.shape)

    def f(z: Array) -> Array:
        y: Array = np.tanh(z, out=kept[0])
        return y

    def df(z: Array) -> Array:
        slope: Array = np.subtract(1, np.tanh(z) ** 2, out=kept[1])
        return slope

    return f, df


def reusing_layer() -> Layer:
    """Return the layer x * s, with one buffer for its outputs, one for its gradients and one for dx."""
    kept = np.empty(X.shape), np.empty(3), np.empty(X.shape)

    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {"s": np.sum(dy * x, axis=0, out=kept[1])}, lambda: np.multiply(dy, params["s"], out=kept[2])

        return np.multiply(x, params["s"], out=kept[0]), pullback

    return lambda key, dtype: {"s": np.full(3, 1.5, dtype)}, layer_forward


def fresh_layer() -> Layer:
    """Return the same layer, with new arrays."""

    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {"s": np.sum(dy * x, axis=0)}, lambda: dy * params["s"]

        return x * params["s"], pullback

    return lambda key, dtype: {"s": np.full(3, 1.5, dtype)}, layer_forward


def test_an_activation_that_reuses_its_memory_gives_the_gradients_of_one_that_does_not() -> None:
    f = reusing_activation()
    reusing, fresh = (chain(dense(3, 3, each), dense(3, 3, each), activation(each)) for each in (f, tanh))
    params = init(fresh, 0, np.float64)
    found, expected = (grads(net, mse, params, X, Y) for net in (reusing, fresh))
    assert all(np.allclose(found[name], expected[name], rtol=1e-12) for name in params)
    first = forward(reusing, params, X)
    before = first.copy()
    forward(reusing, params, X + 1)
    assert same_bits(first, before)


@pytest.mark.parametrize("between", [(), (dense(3, 3, tanh),), (activation(tanh),)], ids=["alone", "dense", "activation"])
def test_a_layer_that_reuses_its_memory_gives_the_gradients_of_one_that_does_not(between: tuple[Layer, ...]) -> None:
    one = reusing_layer()
    reusing, fresh = (chain(dense(3, 3), each, *between, residual(each)) for each in (one, fresh_layer()))
    params = init(fresh, 0, np.float64)
    assert same_bits(grads(reusing, mse, params, X, Y), grads(fresh, mse, params, X, Y))
    _, pullback = vjp(one, {"s": np.ones(3)}, X)
    first = pullback(Y)[1]()
    before = first.copy()
    pullback(2 * Y)[1]()
    assert same_bits(first, before)


def test_a_chain_with_an_init_of_ones_own_is_one_piece_of_a_larger_chain() -> None:
    base = chain(dense(3, 3, tanh), batch_norm(3), dropout(0.5))
    trained = calibrate(base, init(base, 7, np.float64), X)
    backbone: Layer = (lambda key, dtype: trained, base[1])
    scaled: Layer = (partial(lambda factor, key, dtype: {n: factor * a for n, a in trained.items()}, 0.5), base[1])
    for body in (backbone, scaled):
        net = chain(body=body, head=dense(3, 2, softmax))
        params = init(net, 0, np.float64)
        assert [name for name in params if name.startswith("body/")] == [f"body/{name}" for name in trained]
        own = {name: params[f"body/{name}"] for name in trained}
        head = {name: params[f"head/{name}"] for name in "Wb"}
        assert same_bits(forward(net, params, X), forward(dense(3, 2, softmax), head, forward(base, own, X)))
        assert [row["layer"] for row in summary(net, params)] == ["body/0", "body/1", "body/2", "head", "total"]
        logits = chain(body=body, head=dense(3, 2))
        assert loss(net, cross_entropy, params, X, [0, 1] * 3) == loss(logits, softmax_cross_entropy, params, X, [0, 1] * 3)
        told: list[str] = []
        forward(watched(net, lambda path, tensor: told.append(path)), params, X)
        assert told[:3] == ["body/0/x", "body/0/z", "body/0/y"]
        with pytest.raises(ValueError, match="^grads: key must be given, as layer body/1 is batch norm"):
            grads(net, cross_entropy, params, X, [0, 1] * 3)


def test_a_parameter_called_as_the_inputs_are_hides_no_nan() -> None:
    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {"x": np.sum(dy * x, axis=0)}, lambda: dy * params["x"]

        return x * params["x"], pullback

    x = X.copy()
    x[2, 1] = np.nan
    with pytest.raises(FloatingPointError, match=r"^loss: x must be finite, got nan at \[2, 1\]"):
        loss((lambda key, dtype: {"x": np.ones(3, dtype)}, layer_forward), mse, {"x": np.ones(3)}, x, Y)


def changing(part: str) -> Optimizer:
    """Return an optimiser that changes the params it is given, in its init or its step."""

    def opt_init(params: Params) -> dict[str, Array]:
        for array in params.values() if part == "init" else ():
            array *= 0
        return {}

    def step(params: Params, g: Params, state: object, lr: object) -> object:
        for array in params.values():
            array -= 1
        return params, {}

    made: Optimizer = bad((opt_init, step))
    return made


@pytest.mark.parametrize("part", ["init", "step"])
def test_no_optimizer_can_change_the_params_of_the_caller(part: str) -> None:
    params: Params = {"W": np.ones((3, 3)), "b": np.zeros(3)}
    before = {name: array.copy() for name, array in params.items()}
    with pytest.raises(ValueError, match="read-only"):
        list(train(dense(3, 3), mse, params, X, Y, epochs=1, lr=0.1, optimizer=changing(part)))
    with pytest.raises(ValueError, match="read-only"):
        overfit_check(dense(3, 3), mse, params, X, Y, optimizer=changing(part))
    assert same_bits(params, before)


def test_a_monitor_cannot_change_the_report() -> None:
    def emptied(report: Report) -> float:
        bad(report).clear()
        return 1.0

    params = init(dense(3, 3), 0)
    ((_, report),) = train(dense(3, 3), mse, params, X, Y, epochs=1, lr=0.1, monitor=emptied, stopping=early_stopping())
    assert report["epoch"] == 1


def test_calibration_gives_a_layer_that_mixes_rows_all_of_them() -> None:
    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: dy - dy.mean(axis=0)

        return x - x.mean(axis=0), pullback

    net = chain((lambda key, dtype: {}, layer_forward), batch_norm(3))
    params = init(net, 0, np.float64)
    assert np.allclose(calibrate(net, params, X, size=2)["1/var"], X.var(axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    "rows", [lambda x: x[:2] * 1, lambda x: x[:0] * 1, lambda x: np.asarray(x.sum())], ids=["fewer", "none", "no axis"]
)
def test_a_layer_must_keep_the_number_of_rows(rows: object) -> None:
    net: Layer = (lambda key, dtype: {}, lambda params, x, key: (bad(rows)(x), lambda dy: ({}, lambda: dy)))
    for each in (net, chain(dense(3, 3), net)):
        with pytest.raises(ValueError, match="y must have one row for each of the 6 of x, got"):
            loss(each, lambda outputs, y: (outputs[..., 0], outputs), init(each, 0, np.float64), X, Y)


def test_a_chain_takes_no_names_that_are_no_strings() -> None:
    net = chain(own=bad((lambda key, dtype: {1: np.ones(3)}, dense(3, 3)[1])))
    with pytest.raises(TypeError, match="^init: own/params must have strings as names, got 1$"):
        init(net, 0)
