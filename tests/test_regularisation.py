"""Penalties, dropout, layer norm and batch norm: values, gradients, statistics, modes."""

import math
from functools import partial

import numpy as np
import pytest
from numpy.typing import DTypeLike

from nnfunc import (
    Array,
    Layer,
    Params,
    batch_norm,
    calibrate,
    chain,
    check_grads,
    dense,
    dropout,
    forward,
    freeze,
    grads,
    init,
    l1,
    l2,
    layer_norm,
    loss,
    mse,
    relu,
    residual,
    sgd_step,
    softmax_cross_entropy,
    tanh,
    value_and_grads,
    vjp,
)
from tests.numeric import relative_error, same_bits, slopes

DRAWN = np.random.default_rng(3)
X: Array = DRAWN.normal(size=(7, 3)) * [1, 5, 0.1] + [0, 10, -3]
Y: Array = DRAWN.normal(size=(7, 2))
F64 = np.dtype(np.float64)

# Penalties


def test_penalties_count_weights_only() -> None:
    params = freeze({"a/W": np.array([[1.0, -2.0]]), "a/b": np.array([9.0]), "filter": np.full((2, 2, 1), 0.5), "gamma": [7.0]})
    value, g = l2(0.1)(params)
    assert value == pytest.approx(0.1 * (1 + 4 + 4 * 0.25))
    assert {n: a.ravel().tolist() for n, a in g.items()} == {"a/W": [0.2, -0.4], "filter": [0.1] * 4}
    value, g = l1(0.1)(params)
    assert value == pytest.approx(0.1 * (3 + 2))
    assert {n: a.ravel().tolist() for n, a in g.items()} == {"a/W": [0.1, -0.1], "filter": [0.1] * 4}


@pytest.mark.parametrize("penalty", [l2(0.3), l1(0.3)])
def test_penalties_have_their_gradients(penalty: partial[tuple[float, Params]]) -> None:
    params = init(chain(dense(3, 4, tanh), dense(4, 2)), 1, np.float64)
    weights = {n: a for n, a in params.items() if n.endswith("W")}
    assert relative_error(dict(penalty(params)[1]), slopes(lambda p: penalty(p)[0], weights)) < 1e-9
    net = chain(dense(3, 4, tanh), dense(4, 2))
    assert check_grads(net, mse, params, X, Y, penalty=penalty)["verdict"] == "right"
    assert loss(net, mse, params, X, Y, penalty=penalty) == loss(net, mse, params, X, Y) + penalty(params)[0]


def test_penalties_too_large_for_the_dtype_leak_no_warning() -> None:
    large = {"W": np.full(2, 1e37, np.float32)}
    value, g = l2(1e3)(large)
    assert value == pytest.approx(2e77)
    assert np.isinf(g["W"]).all()
    value, g = l1(1e39)(large)
    assert value == pytest.approx(2e76)
    assert np.isinf(g["W"]).all()


def test_the_update_of_the_article() -> None:
    # W -= lr (dL/dW + 2 rate W)
    net = dense(3, 2)
    params = init(net, 0, np.float64)
    g = grads(net, mse, params, X, Y)
    stepped = sgd_step(params, grads(net, mse, params, X, Y, penalty=l2(0.05)), 0.1)
    assert np.allclose(stepped["W"], params["W"] - 0.1 * (g["W"] + 2 * 0.05 * params["W"]), rtol=1e-14)
    assert np.allclose(stepped["b"], params["b"] - 0.1 * g["b"], rtol=1e-14)


# Dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    ones = np.ones((400, 500))
    y = forward(dropout(rate), {}, ones, key=5)
    assert set(np.unique(y)) == {0.0, 1 / (1 - rate)}
    spread = math.sqrt(rate * (1 - rate) / y.size)
    assert abs(float((y == 0).mean()) - rate) < 5 * spread
    assert float(y.mean()) == pytest.approx(1, abs=5 * spread / (1 - rate))


def test_the_mean_over_keys_is_inference() -> None:
    net = chain(dense(3, 4, tanh), dropout(0.3))
    params = init(net, 0, np.float64)
    mean = sum(forward(net, params, X, key=(1, i)) for i in range(4000)) / 4000
    assert np.allclose(mean, forward(net, params, X), atol=0.05)


def test_keys_decide_the_mask() -> None:
    net = chain(dropout(0.5), dropout(0.5))
    x = np.ones((20, 20), np.float32)
    a, b, c = (forward(net, {}, x, key=key) for key in (1, 1, 2))
    assert same_bits(a, b)
    assert not same_bits(a, c)
    assert set(np.unique(a)) == {0.0, 2.0, 4.0} - {2.0}  # two masks in a row, independent ones
    assert 0.15 < float((a != 0).mean()) < 0.35
    assert same_bits(a.astype(np.float64), forward(net, {}, x.astype(np.float64), key=1))  # whatever the dtype


def test_without_a_key_and_without_a_rate_dropout_is_the_identity() -> None:
    assert same_bits(forward(dropout(0.9), {}, X), X)
    assert same_bits(forward(dropout(0.0), {}, X, key=1), X)


# Gradients, with the key held fixed

NETS: dict[str, Layer] = {
    "dropout": chain(dense(3, 6, tanh), dropout(0.4), dense(6, 2)),
    "layer norm": chain(layer_norm(3), dense(3, 5, tanh), layer_norm(5), dense(5, 2)),
    "batch norm": chain(batch_norm(3), dense(3, 5), batch_norm(5), chain(dense(5, 2))),
    "residual": chain(dense(3, 4), residual(chain(batch_norm(4), dense(4, 4, tanh), dropout(0.3))), dense(4, 2)),
    "nested": chain(dense(3, 4), residual(residual(chain(layer_norm(4), dense(4, 4, tanh)))), residual(batch_norm(4)), dense(4, 2)),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows", [2, 7])
@pytest.mark.parametrize("name", NETS)
def test_training_gradients_against_differences(name: str, rows: int, weighted: bool) -> None:
    net, x, y = NETS[name], X[:rows], Y[:rows]
    weight = np.arange(1.0, rows + 1) if weighted else None
    params = {n: a + 0.1 * DRAWN.normal(size=a.shape) for n, a in init(net, 1, np.float64).items()}
    g = grads(net, mse, params, x, y, weight=weight, key=9)
    # Two rows through a batch norm come out as +-1 whatever they were: the slopes are eps-sized there.
    numeric = slopes(lambda p: loss(net, mse, p, x, y, weight=weight, key=9), params)
    assert relative_error(g, numeric) < 1e-7
    check_grads(net, mse, params, x, y, weight=weight, key=9, directions=3)


@pytest.mark.parametrize("key", [None, 4])
@pytest.mark.parametrize("name", NETS)
def test_input_gradients_against_differences(name: str, key: int | None) -> None:
    net = NETS[name]
    params = calibrate(net, init(net, 1, np.float64), X)
    _, pullback = vjp(net, params, X, key)
    g, dx = pullback(Y)

    def value(p: Params) -> float:
        rest = {n: p[n] for n in params}
        return float(np.sum(forward(net, rest, p["x"], key) * Y))

    numeric = slopes(value, {"x": X, **params})
    statistics = [n for n in params if n.endswith(("mean", "var"))]
    assert relative_error({"x": dx()}, {"x": numeric.pop("x")}) < 1e-7
    assert relative_error(g, {n: a for n, a in numeric.items() if n not in statistics}) < 1e-7


# Values


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


# Calibration


def test_calibrated_inference_by_hand() -> None:
    net = chain(a=dense(3, 4, relu), n=batch_norm(4), skip=residual(chain(dense(4, 4), batch_norm(4))), out=dense(4, 2))
    params = {n: a + 0.1 * DRAWN.normal(size=a.shape) for n, a in init(net, 2, np.float64).items()}
    x = DRAWN.normal(size=(50, 3))

    def normalised(h: Array, name: str) -> Array:
        spread = np.sqrt(((h - h.mean(axis=0)) ** 2).mean(axis=0) + 1e-5)
        result: Array = (h - h.mean(axis=0)) / spread * params[f"{name}/gamma"] + params[f"{name}/beta"]
        return result

    h = normalised(np.maximum(x @ params["a/W"] + params["a/b"], 0), "n")
    h = h + normalised(h @ params["skip/0/W"] + params["skip/0/b"], "skip/1")
    expected = h @ params["out/W"] + params["out/b"]
    whole = calibrate(net, params, x)
    assert np.allclose(forward(net, whole, x), expected, rtol=1e-11, atol=1e-12)
    assert np.allclose(forward(net, whole, x[3:4]), expected[3:4], rtol=1e-11, atol=1e-12)  # one row is welcome
    for size in (1, 7, 50, 1000):
        chunked = calibrate(net, params, x, size=size)
        assert all(np.allclose(chunked[n], whole[n], rtol=1e-12, atol=1e-14) for n in whole)
    assert list(whole)[:6] == ["a/W", "a/b", "n/gamma", "n/beta", "n/mean", "n/var"]
    assert same_bits(calibrate(net, whole, x), whole)  # again changes nothing


def test_training_on_the_whole_is_inference_after_calibration() -> None:
    net = NETS["batch norm"]
    params = init(net, 1, np.float64)
    assert np.allclose(forward(net, params, X, key=0), forward(net, calibrate(net, params, X), X), rtol=1e-12)


def test_calibration_leaves_the_rest_alone() -> None:
    net = chain(dense(3, 2))
    params = init(net, 0)
    assert same_bits(calibrate(net, params, X), params)
    mine = {n: a.copy() for n, a in params.items()}
    calibrated = calibrate(net, mine, X)
    assert all(a.flags.writeable for a in mine.values())
    assert not any(a.flags.writeable or np.may_share_memory(a, mine[n]) for n, a in calibrated.items())


def test_steps_keep_the_statistics() -> None:
    net = NETS["batch norm"]
    params = calibrate(net, init(net, 1, np.float64), X)
    stepped = sgd_step(params, grads(net, mse, params, X, Y, key=0), 0.1)
    assert list(stepped) == list(params)
    assert all(same_bits(stepped[n], params[n]) == n.endswith(("mean", "var")) for n in params)


# Modes


@pytest.mark.parametrize("net", [dropout(0.5), chain(a=dense(3, 2), b=residual(chain(dense(2, 2), dropout(0.1)))), batch_norm(3)])
def test_training_without_a_key_is_refused(net: Layer) -> None:
    params = init(net, 0)
    y = np.zeros_like(forward(net, params, X, key=0))
    for call in (grads, value_and_grads):
        with pytest.raises(ValueError, match=r"^(value_and_)?grads: key must be given, as (layer b/1|the network) is (dropout|batch norm)"):
            call(net, mse, params, X, y)
        call(net, mse, params, X, y, key=0)


def test_dropout_of_nothing_needs_no_key() -> None:
    assert not grads(dropout(0.0), mse, {}, X, X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_closed(dtype: DTypeLike) -> None:
    for net in NETS.values():
        params = init(net, 0, dtype)
        g = grads(net, mse, params, X, Y, key=1, penalty=l2(0.1))
        assert {a.dtype for a in (*g.values(), *calibrate(net, params, X).values())} == {np.dtype(dtype)}
        assert forward(net, params, X, key=2).dtype == dtype


def test_rows_are_independent_at_inference() -> None:
    for net in NETS.values():
        params = calibrate(net, init(net, 1, np.float64), X)
        changed = X.copy()
        changed[2] = [1, -4, 2]
        same = (forward(net, params, X) == forward(net, params, changed)).all(axis=1)
        assert same.tolist() == [True, True, False, True, True, True, True]


def test_shards_of_a_batch_add_up_where_rows_do_not_touch() -> None:
    net = NETS["layer norm"]
    params = init(net, 1, np.float64)
    whole = grads(net, mse, params, X, Y, penalty=l2(0.1))
    parts = [(grads(net, mse, params, X[rows], Y[rows], penalty=l2(0.1)), rows.size) for rows in np.array_split(np.arange(7), 3)]
    for n, a in whole.items():
        assert np.allclose(a, sum(g[n] * size for g, size in parts) / 7, rtol=1e-12, atol=1e-15)


def test_weight_zero_leaves_the_batch_of_batch_norm() -> None:
    net = NETS["batch norm"]
    params = init(net, 1, np.float64)
    gone = X.copy()
    gone[3] = np.nan
    kept = [0, 1, 2, 4, 5, 6]
    weight = np.array([1.0, 1, 1, 0, 1, 1, 1])
    a = value_and_grads(net, mse, params, gone, Y, weight=weight, key=3)
    b = value_and_grads(net, mse, params, X[kept], Y[kept], weight=np.ones(6), key=3)
    assert same_bits(a, b)


def test_nesting_with_noise_and_norms_changes_names_only() -> None:
    parts = (dense(3, 4, relu), batch_norm(4), dropout(0.5), dense(4, 2), layer_norm(2))
    flat, nested = chain(*parts), chain(chain(*parts[:2]), chain(parts[2], chain(*parts[3:])))
    x, y = X.astype(np.float32), np.zeros(7, int)
    a = value_and_grads(flat, softmax_cross_entropy, init(flat, 5), x, y, key=6)
    b = value_and_grads(nested, softmax_cross_entropy, init(nested, 5), x, y, key=6)
    assert a[0] == b[0]
    assert same_bits(tuple(a[1].values()), tuple(b[1].values()))
    assert same_bits(
        tuple(calibrate(flat, init(flat, 5), x).values()), tuple(calibrate(nested, init(nested, 5), x).values())
    )
