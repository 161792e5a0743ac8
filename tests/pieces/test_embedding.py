"""Embeddings beside the product with rows of zeros and ones, and the codes they refuse."""

import pickle
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import DTypeLike

from nnfunc import (
    AnyArray, Array, adamw, calibrate, chain, check_grads, columns, concatenate, constant, current_params, dense, diagnose,
    embedding, finish, forward, grads, init, l2, layer_norm, loss, mse, one_hot, relu, residual, select, sgd_step,
    sharded_value_and_grads, softmax_cross_entropy, summary, tanh, train, vjp,
)  # fmt: skip
from nnfunc.testing import check_layer
from nnfunc.transforms import grad_variance, jacobian, params_jacobian, per_example_grad_norms, per_example_grads
from tests.numeric import bad, same_bits
from tests.sentences import Cases, assert_sentence

DRAW = np.random.default_rng(0)
CODES: AnyArray = DRAW.integers(0, 5, (12, 2))
X: Array = CODES.astype(np.float32)
NET = chain(table=embedding(5, 3), out=dense(6, 2))
P = init(NET, 0)
Y: AnyArray = DRAW.integers(0, 2, 12)


def test_it_is_a_dense_layer_without_bias_on_one_hot_rows() -> None:
    layer, twin = embedding(5, 3), dense(5, 3, bias=False)
    params = init(layer, 1, np.float64)
    dy = DRAW.normal(size=(12, 6))
    y, pullback = vjp(layer, params, CODES.astype(float))
    own, dx = pullback(dy)
    first, second = (vjp(twin, {"W": params["table"]}, one_hot(CODES[:, k], 5, np.float64)) for k in range(2))
    np.testing.assert_array_equal(y, np.hstack([first[0], second[0]]))
    expected = first[1](dy[:, :3])[0]["W"] + second[1](dy[:, 3:])[0]["W"]
    np.testing.assert_allclose(own["table"], expected, rtol=1e-13)
    assert not dx().any() and dx().shape == CODES.shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "k", "n"), [(0, 1, 3), (1, 1, 1), (7, 3, 3), (300, 2, 1000), (2, 1, 100_000)])
def test_gradients_are_summed_by_code_as_by_a_loop(rows: int, k: int, n: int, dtype: DTypeLike) -> None:
    codes, dy = DRAW.integers(0, n, (rows, k)), DRAW.normal(size=(2 * k, rows)).astype(dtype).T  # not in order of rows
    expected = np.zeros((n, 2), dtype)
    for i, row in enumerate(codes):
        for j, code in enumerate(row):
            expected[code] += dy[i, 2 * j : 2 * j + 2]
    y, pullback = embedding(n, 2)[1]({"table": np.ones((n, 2), dtype)}, codes.astype(dtype), None)
    found, dx = pullback(dy)
    assert same_bits(found["table"], expected)
    assert same_bits((y, dx()), (np.ones((rows, 2 * k), dtype), np.zeros((rows, k), dtype)))


def test_slopes_are_right_and_codes_are_not_moved() -> None:
    assert check_grads(NET, softmax_cross_entropy, init(NET, 0, np.float64), CODES.astype(float), Y)["verdict"] == "right"
    mixed = chain(concatenate(chain(columns(0, 2), embedding(70, 3)), columns(2, 4)), dense(8, 4, tanh), dense(4, 1))
    x = np.hstack([DRAW.integers(0, 70, (9, 2)), DRAW.normal(size=(9, 2))])
    params = init(mixed, 0, np.float64)
    assert check_grads(mixed, mse, params, x, x[:, :1])["verdict"] == "right"
    dx = vjp(mixed, params, x)[1](np.ones((9, 1)))[1]()
    assert not dx[:, :2].any() and dx[:, 2:].all()
    results = {law["law"]: law["status"] for law in check_layer(embedding(5, 3), CODES.astype(float))}
    assert results["gradient, inference"] == results["form"] == "pass"
    check_layer(mixed, x)
    check_layer(NET, X)


def test_a_slope_along_codes_would_be_seen() -> None:
    init_, forward_ = embedding(5, 3)

    def sloped(params: object, x: Array, key: object) -> object:
        y, pullback = forward_(bad(params), x, None)
        return y, lambda dy: (pullback(dy)[0], lambda: np.ones_like(x))

    with pytest.raises(AssertionError, match="zeros"):
        check_layer((init_, bad(sloped)), X, x_slope=False)


def test_it_trains_stored_and_sharded_like_any_layer() -> None:
    state, reports = finish(train(NET, softmax_cross_entropy, P, X, CODES[:, 0] % 2, epochs=30, lr=0.5, optimizer=adamw()))
    assert reports[-1]["loss"] < 0.2 < reports[0]["loss"]
    value, g = sharded_value_and_grads(NET, softmax_cross_entropy, P, X, Y, shards=3)
    assert value == pytest.approx(loss(NET, softmax_cross_entropy, P, X, Y))
    for name, gradient in grads(NET, softmax_cross_entropy, P, X, Y).items():
        np.testing.assert_allclose(g[name], gradient, rtol=1e-5, atol=1e-7)
    normed = chain(embedding(5, 4), layer_norm(4), dense(4, 1))
    params = calibrate(normed, init(normed, 0), X[:, :1])
    assert same_bits(forward(pickle.loads(pickle.dumps(normed)), params, X[:, :1]), forward(normed, params, X[:, :1], size=5))


def test_a_table_is_no_weight_unless_asked() -> None:
    assert "table/table" not in l2(0.1)(P)[1]
    assert list(l2(0.1, names=["*/table"])(P)[1]) == ["table/table"]
    only_out = {name: g for name, g in grads(NET, softmax_cross_entropy, P, X, Y).items() if name.startswith("out")}
    assert same_bits(sgd_step(P, only_out, 0.1)["table/table"], P["table/table"])


def test_gradients_by_row_of_a_table_that_several_columns_share() -> None:
    params, x = init(NET, 0, np.float64), CODES.astype(float)
    x[0] = x[0, 0]  # one code twice in a row
    found = per_example_grads(NET, softmax_cross_entropy, params, x, Y)
    variance = grad_variance(NET, softmax_cross_entropy, params, x, Y)["table/table"]
    np.testing.assert_allclose(variance, found["table/table"].var(axis=0), rtol=1e-10, atol=1e-16)
    slope = vjp(NET, params, x[3:4])[1]([[0.0, 1.0]])[0]["table/table"]
    np.testing.assert_allclose(params_jacobian(NET, params, x)["table/table"][3, 1], slope, rtol=1e-13)
    assert not jacobian(NET, params, x).any()
    norms = per_example_grad_norms(NET, softmax_cross_entropy, params, x, Y)
    for row in range(12):
        alone = grads(NET, softmax_cross_entropy, params, x[row : row + 1], Y[row : row + 1])
        for name, g in alone.items():
            np.testing.assert_allclose(found[name][row], g, rtol=1e-11, atol=1e-15)
        assert norms[row] == pytest.approx(sum(float((g**2).sum()) for g in alone.values()) ** 0.5, rel=1e-11)


def test_start_and_summary() -> None:
    assert float(np.abs(init(embedding(1000, 8), 0)["table"]).max()) <= 0.05
    assert init(embedding(2, 2, table_init=constant(3.0)), 0)["table"].tolist() == [[3.0, 3.0], [3.0, 3.0]]
    rows = summary(NET, P, X[:1])
    assert [(row["kind"], row["in"], row["out"], row["parameters"]) for row in rows[:1]] == [("embedding", 2, 6, 15)]
    assert list(select(P, "table")) == ["table"]
    assert same_bits(forward(NET, P, -X * 0), forward(NET, P, X * 0))  # -0 is 0


def test_a_column_of_codes_is_not_told_to_be_standardized() -> None:
    net = chain(concatenate(chain(columns(0, 1), embedding(5000, 2)), columns(1, 3)), dense(4, 1))
    x = np.column_stack([np.arange(4990.0, 5000), DRAW.normal(size=(10, 2))])
    params = init(net, 0)
    assert diagnose(net, mse, params, x, x[:, 1:2])["cause"] == ""
    assert diagnose(dense(3, 1), mse, init(dense(3, 1), 0), x, x[:, 1:2])["cause"].startswith("input scale: column 0 of x")
    large = diagnose(net, mse, params, x * [1, 1e5, 1], x[:, 1:2])
    assert large["cause"].startswith("input scale: column 1 of x reaches")
    codes = chain(embedding(5000, 2), dense(2, 1))
    assert diagnose(codes, mse, init(codes, 0), x[:, :1], x[:, 1:2])["cause"] == ""


def test_codes_that_were_never_met_stay_as_they_were_drawn() -> None:
    params = init(NET, 3)
    met = X * 0 + DRAW.integers(0, 4, X.shape)
    state, _ = finish(train(NET, softmax_cross_entropy, params, met, Y, epochs=3, lr=0.1, optimizer=adamw(), penalty=l2(0.1)))
    after = current_params(state)["table/table"]
    assert same_bits(after[4], params["table/table"][4])
    assert (after[:4] != params["table/table"][:4]).all()


def test_an_embedding_stays_out_of_a_residual() -> None:
    with pytest.raises(ValueError, match=r"^residual: layer must keep the shape \(12, 2\) of x, got \(12, 6\)$"):
        forward(residual(embedding(5, 3)), init(embedding(5, 3), 0), X)


def test_more_codes_than_float32_can_count() -> None:
    table = np.zeros(((1 << 24) + 1, 1))
    table[-1] = 7
    assert forward(BIG(), {"table": table}, [[float(1 << 24)], [3.0]]).tolist() == [[7], [0]]


BIG = partial(embedding, (1 << 24) + 1, 1)
def test_text_that_training_has_not_seen_has_the_last_code() -> None:
    texts = " ".join(str(embedding.__doc__).split()), (Path(__file__).parents[2] / "examples" / "README.md").read_text()
    training, later = np.array(["b", "c", "a", "b"]), np.array(["c", "aa", "b", "z", ""])
    for text in texts:
        line = re.findall(r"`(np\.where\(.*?, len\(names\)\))`", text)
        assert len(line) == 1
        for kind in (str, object):
            names = np.unique(training.astype(kind))
            codes = [eval(line[0], {"np": np, "names": names, "column": c.astype(kind)}) for c in (training, later)]
            assert [each.tolist() for each in codes] == [[1, 2, 0, 1], [2, 3, 1, 3, 3]]
        net = embedding(len(names) + 1, 2)
        params = init(net, 0)
        assert np.array_equal(forward(net, params, codes[1][:, None].astype(float))[:, :1], params["table"][codes[1], :1])


BAD: Cases = {
    "a code too large": (
        lambda: forward(NET, P, [[0.0, 1.0], [2.0, 5.0]]), ValueError,
        r"embedding: table/x must hold whole numbers from 0 to 4, got 5.0 at \[1, 1\] \(1 of 4 values\)",
    ),
    "a code below 0": (lambda: forward(NET, P, -X - 1), ValueError, r"embedding: table/x must hold whole numbers from 0 to 4, got -.*"),
    "no whole number": (lambda: forward(NET, P, X + 0.5), ValueError, r"embedding: table/x must hold whole numbers .*, got \d\.5 at \[0, 0\] .*"),
    "a NaN": (lambda: forward(NET, P, X * np.nan), FloatingPointError, r"embedding: table/x must hold whole numbers .*, got nan at \[0, 0\] .*"),
    "infinite": (lambda: forward(NET, P, X + np.inf), FloatingPointError, r"embedding: table/x must hold whole .*, got inf at \[0, 0\] .*"),
    "codes of one axis": (
        lambda: forward(NET, P, X[:, 0]), ValueError,
        r"embedding: table/x must have shape \(rows, columns of codes\); one column is np.reshape\(x, \(-1, 1\)\), got \(12,\)",
    ),
    "too many for float32": (
        lambda: forward(BIG(), {"table": np.zeros(((1 << 24) + 1, 1), np.float32)}, X), TypeError,
        r"embedding: x must be float64, as params in float64 make it \(float32 cannot count to 16,777,217\), got float32",
    ),
    "a tenth": (lambda: forward(NET, P, X * 0 + 1.1), ValueError, r"embedding: table/x must .*, got 1\.1 at \[0, 0\] \(24 of 24 values\)"),
    "codes of three axes": (lambda: forward(NET, P, X[:, None]), ValueError, r"embedding: table/x must have shape .*, got \(12, 1, 2\)"),
    "a table of another shape": (
        lambda: forward(embedding(5, 3), {"table": np.zeros((5, 2))}, X), ValueError, r"embedding: table must have shape \(5, 3\), got \(5, 2\)"
    ),
    "no table": (lambda: forward(embedding(5, 3), {}, X), ValueError, r"embedding: table must be in params, got only \[\]"),
    "no codes": (lambda: embedding(0, 3), ValueError, r"embedding: n must be at least 1, got 0"),
    "a width of a half": (lambda: embedding(5, bad(0.5)), TypeError, r"embedding: width must be an integer, got 0.5"),
    "an initialiser of another shape": (
        lambda: init(embedding(5, 3, table_init=lambda key, shape, dtype: np.zeros(3, dtype)), 0), ValueError,
        r"embedding: table_init must return an array of shape \(5, 3\), got .*",
    ),
    "no initialiser": (lambda: embedding(5, 3, table_init=bad(relu)), TypeError, r"embedding: table_init must be .*"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
