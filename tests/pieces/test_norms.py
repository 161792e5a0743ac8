"""Layer norm and batch norm: values of PyTorch 2.13, digits kept at any size, rows that count."""

import math

import numpy as np
import pytest

from nnfunc import (
    Array, DType, InputGradient, Key, Optimizer, Params, Pullback, adagrad, adam, adamw, batch_norm, calibrate, chain,
    current_params, dense, diagnose, forward, grads, init, layer_norm, loss, momentum, mse, residual, rmsprop, sgd, sgd_step,
    train, value_and_grads, vjp,
)  # fmt: skip
from tests.numeric import bad, same_bits
from tests.samples import BN, BNP, REGULARISED, ROWS, TARGETS, X
from tests.sentences import Cases, assert_sentence
from tests.testing.odd_optimizers import one_vector

OWN_OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": sgd(), "momentum": momentum(), "rmsprop": rmsprop(), "adagrad": adagrad(), "adam": adam(), "adamw": adamw(),
}  # fmt: skip


def test_norms_against_pytorch() -> None:
    x = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 60.0]])
    dy = np.arange(6.0).reshape(3, 2)
    params = init(batch_norm(2), 0, np.float64)
    y, pullback = vjp(batch_norm(2), params, x, key=0)
    g, dx = pullback(dy)
    assert y[0].tolist() == pytest.approx([-1.0690415314502977, -0.9258200898530504], abs=1e-14)
    assert dx()[1].tolist() == pytest.approx([0.34361828327720334, 0.03306500250050175], abs=1e-13)
    assert [a.tolist() for a in g.values()] == [pytest.approx([4.8106868915263385, 4.629100449265253]), [6, 9]]

    x = np.array([[1.0, 10.0, 2.0], [2.0, 20.0, -3.0]])
    y, pullback = vjp(layer_norm(3), init(layer_norm(3), 0, np.float64), x)
    g, dx = pullback(dy.reshape(2, 3))
    assert y[1].tolist() == pytest.approx([-0.43872872710474164, 1.3836829085611084, -0.9449541814563666], abs=1e-13)
    assert dx()[0].tolist() == pytest.approx([-0.23127610532915455, -0.028909494034861483, 0.2601855993640162], abs=1e-13)
    assert g["gamma"].tolist() == pytest.approx([-1.316186181314225, 6.941661211225848, -5.883418794207704])


@pytest.mark.parametrize("mean", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("rows", [8, 32, 4096])
def test_a_large_mean_costs_no_digits(mean: float, rows: int) -> None:
    x = (np.random.default_rng(0).normal(size=(rows, 5)) + mean).astype(np.float32)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(axis=0)) / np.sqrt(wide.var(axis=0) + 1e-5)
    net = batch_norm(5)
    params = init(net, 0)
    assert np.allclose(forward(net, params, x, key=1), expected, atol=3e-6)
    calibrated = calibrate(net, params, x, size=100)
    assert np.allclose(calibrated["var"], wide.var(axis=0), rtol=1e-6)
    # Here the mean itself is a float32, half a unit in its last place off at most.
    rounded = np.spacing(np.float32(abs(mean))) / 2 / float(wide.std(axis=0).min())
    assert np.allclose(forward(net, calibrated, x), expected, atol=3e-6 + float(rounded))
    turned = np.ascontiguousarray(x.T)
    by_row = (wide.T - wide.T.mean(axis=1, keepdims=True)) / np.sqrt(wide.T.var(axis=1, keepdims=True) + 1e-5)
    assert np.allclose(forward(layer_norm(rows), init(layer_norm(rows), 0), turned), by_row, atol=3e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [2.0**64, 2.0**125, -(2.0**126)])
def test_squares_that_overflow_do_not_make_norms_silent(dtype: type, size: float) -> None:
    rows: Array = np.array([[1, 2, 3, 1.5], [1, 1, 1, 1], [0.5, -1, 0, 1]], dtype)
    large = rows * dtype(size if dtype is np.float32 else size**8)
    large[2] = rows[2]  # beside a large row, an ordinary one keeps its bits
    wide = rows[:2].astype(np.float64)
    sign = math.copysign(1, size) if dtype is np.float32 else 1
    expected = sign * (wide - wide.mean(axis=1, keepdims=True)) / np.maximum(wide.std(axis=1, keepdims=True), 1e-30)
    net = layer_norm(4)
    params = init(net, 0, dtype)
    y = forward(net, params, large)
    assert np.allclose(y[:2], expected, atol=1e-6)
    assert same_bits(y[2], forward(net, params, rows)[2])
    turned = forward(batch_norm(3), init(batch_norm(3), 0, dtype), np.ascontiguousarray(large.T), key=0)
    assert np.allclose(turned.T, y, atol=1e-6)
    g, dx = vjp(net, params, large)[1](np.eye(3, 4, dtype=dtype))
    assert all(np.isfinite(a).all() for a in (dx(), *g.values()))
    assert np.isnan(forward(net, params, large[:1] * dtype(np.inf))).all()


def test_weight_zero_leaves_the_batch_of_batch_norm() -> None:
    net = REGULARISED["batch norm"]
    params = init(net, 1, np.float64)
    gone = ROWS.copy()
    gone[3] = np.nan
    kept = [0, 1, 2, 4, 5, 6]
    weight = np.array([1.0, 1, 1, 0, 1, 1, 1])
    a = value_and_grads(net, mse, params, gone, TARGETS, weight=weight, key=3)
    b = value_and_grads(net, mse, params, ROWS[kept], TARGETS[kept], weight=np.ones(6), key=3)
    assert same_bits(a, b)


BAD: Cases = {
    "layer norm of nothing": (lambda: layer_norm(0), ValueError, r"layer_norm: n must be at least 1, got 0"),
    "eps of 0 in float32": (
        lambda: init(layer_norm(2, eps=1e-50), 0),
        ValueError,
        r"layer_norm: eps must be a number that float32, the dtype of params, can hold, got 1e-50",
    ),
    "eps of 0": (lambda: batch_norm(2, eps=0), ValueError, r"batch_norm: eps must be above 0, got 0.0"),
    "inputs too wide": (
        lambda: forward(layer_norm(3), init(layer_norm(3), 0), X),
        ValueError,
        r"layer_norm: x must have shape \(rows, 3\), got \(5, 4\)",
    ),
    "beta not in params": (
        lambda: forward(layer_norm(4), {"gamma": X[0]}, X),
        ValueError,
        r"layer_norm: beta must be in params, got only \['gamma'\]",
    ),
    "no statistics at inference": (
        lambda: forward(BN, init(BN, 0), X),
        ValueError,
        r"batch_norm: n/mean must be in params for inference \(calibrate\(net, params, x\) puts it there after training; .*\), got only .*",
    ),
    "one row in training": (
        lambda: grads(BN, mse, init(BN, 0), X[:1], X[:1], key=0),
        ValueError,
        r"batch_norm: n/x must hold at least two rows in a training pass, whose statistics are the batch's, got one row",
    ),
    "variance below 0": (
        lambda: forward(BN, {**BNP, "n/var": -BNP["n/gamma"]}, X),
        ValueError,
        r"batch_norm: n/var must be at least 0, got -1.0",
    ),
    "training without a key": (
        lambda: grads(BN, mse, init(BN, 0), X, X),
        ValueError,
        r"grads: key must be given, as layer n is batch norm .*, got None",
    ),
    "width an array": (
        lambda: batch_norm(bad(np.array([3]))),
        TypeError,
        r"batch_norm: n must be an integer, got int64 array of shape \(1,\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


# Statistics do not outlive a step


@pytest.mark.parametrize("name", ["sgd_step", *OWN_OPTIMIZERS])
def test_a_step_leaves_stale_statistics_out(name: str) -> None:
    net = chain(h=dense(3, 4), n=residual(batch_norm(4)), o=dense(4, 2))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    fresh = init(net, 0, np.float64)
    params = calibrate(net, fresh, x)
    g = grads(net, mse, params, x, y, key=1)
    if name == "sgd_step":
        stepped = sgd_step(params, g, 0.1)
    else:
        opt_init, step = OWN_OPTIMIZERS[name]
        stepped, state = step(params, g, opt_init(params), 0.1)
        again, _ = step(stepped, g, state, 0.1)  # a state that was made with statistics goes on without
        assert list(again) == list(fresh)
    assert list(stepped) == list(fresh)
    assert_sentence(
        lambda: forward(net, stepped, x),
        ValueError,
        r"batch_norm: n/mean must be in params for inference \(calibrate\(net, params, x\) puts it there after training; .*",
    )


def test_a_step_of_nothing_keeps_them_and_so_do_others_names() -> None:
    ones = np.ones(2)
    params = dict.fromkeys(("n/gamma", "n/beta", "n/mean", "n/var"), ones)
    assert list(sgd_step(params, {}, 0.1)) == list(params)
    assert list(sgd_step(params, {name: ones for name in params}, 0.1)) == list(params)  # they have gradients
    others = dict.fromkeys(("n/gamma", "n/mean", "n/var", "mean", "var", "beta"), ones)
    assert list(sgd_step(others, {"n/gamma": ones}, 0.1)) == list(others)


def test_a_penalty_never_sees_them() -> None:
    seen: list[list[str]] = []

    def noted(params: Params) -> tuple[float, Params]:
        seen.append(list(params))
        return 0.0, {}

    net = chain(batch_norm(3), dense(3, 1))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    params = calibrate(net, init(net, 0, np.float64), x)
    loss(net, mse, params, x, y, penalty=noted)
    grads(net, mse, params, x, y, penalty=noted, key=1)
    diagnose(net, mse, params, x, y, penalty=noted)
    for _ in train(net, mse, params, x, y, epochs=2, lr=0.1, penalty=noted, size=20):
        pass
    assert {tuple(names) for names in seen} == {("0/gamma", "0/beta", "1/W", "1/b")}


def test_in_a_run_arrays_of_the_same_names_stay_in_a_layer_of_a_users_own() -> None:
    def fixed_init(key: Key, dtype: DType) -> dict[str, Array]:
        return {name: np.full(3, value, dtype) for name, value in (("gamma", 1), ("beta", 0), ("mean", 5), ("var", 4))}

    def fixed_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        inverse = 1 / np.sqrt(params["var"])
        xhat: Array = (x - params["mean"]) * inverse

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            dgamma: Array = (dy * xhat).sum(axis=0)
            return {"gamma": dgamma, "beta": dy.sum(axis=0)}, lambda: dy * params["gamma"] * inverse

        return xhat * params["gamma"] + params["beta"], pullback

    net = chain(fixed=(fixed_init, fixed_forward), n=batch_norm(3), out=dense(3, 1))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    params = init(net, 0, np.float64)
    for optimizer in (sgd(), adam()):
        (state, _), *_ = train(net, mse, params, x, y, epochs=2, lr=0.01, optimizer=optimizer, size=5)
        trained = current_params(state)
        assert list(trained) == list(calibrate(net, params, x))
        assert trained["fixed/mean"].tolist() == [5.0] * 3
        assert not same_bits(trained["fixed/gamma"], params["fixed/gamma"])


def test_in_a_run_an_optimiser_sees_the_same_names_at_every_step() -> None:
    net = chain(dense(3, 4), batch_norm(4), dense(4, 1))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    for start in (init(net, 0), calibrate(net, init(net, 0), x)):
        runs = list(train(net, mse, start, x, y, epochs=3, lr=0.01, optimizer=one_vector()))
        assert "1/mean" in current_params(runs[-1][0])
        # A state of it goes on, too.
        (_, report), *_ = train(net, mse, runs[0][0], x, y, epochs=2, lr=0.01, optimizer=one_vector())
        assert report["loss"] == runs[1][1]["loss"]
