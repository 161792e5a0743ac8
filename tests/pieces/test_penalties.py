"""Penalties: their share of the loss and of its gradients, weights only."""

import numpy as np
import pytest

from nnfunc import chain, check_grads, dense, freeze, grads, init, l1, l2, loss, mse, sgd_step, tanh
from tests.numeric import bad, relative_error, slopes
from tests.samples import ROWS, TARGETS, X
from tests.sentences import Cases, assert_sentence


def test_penalties_count_weights_only() -> None:
    params = freeze({"a/W": np.array([[1.0, -2.0]]), "a/b": np.array([9.0]), "filter": np.full((2, 2, 1), 0.5), "gamma": [7.0]})
    value, g = l2(0.1)(params)
    assert value == pytest.approx(0.1 * (1 + 4 + 4 * 0.25))
    assert {n: a.ravel().tolist() for n, a in g.items()} == {"a/W": [0.2, -0.4], "filter": [0.1] * 4}
    value, g = l1(0.1)(params)
    assert value == pytest.approx(0.1 * (3 + 2))
    assert {n: a.ravel().tolist() for n, a in g.items()} == {"a/W": [0.1, -0.1], "filter": [0.1] * 4}


PENALTIES = {"l2": l2(0.3), "l1": l1(0.3)}


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_have_their_gradients(name: str) -> None:
    penalty, net = PENALTIES[name], chain(dense(3, 4, tanh), dense(4, 2))
    params = init(net, 1, np.float64)
    weights = {n: a for n, a in params.items() if n.endswith("W")}
    assert relative_error(dict(penalty(params)[1]), slopes(lambda p: penalty(p)[0], weights)) < 1e-9
    assert check_grads(net, mse, params, ROWS, TARGETS, penalty=penalty)["verdict"] == "right"
    plain = loss(net, mse, params, ROWS, TARGETS)
    assert loss(net, mse, params, ROWS, TARGETS, penalty=penalty) == plain + penalty(params)[0]


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
    g = grads(net, mse, params, ROWS, TARGETS)
    stepped = sgd_step(params, grads(net, mse, params, ROWS, TARGETS, penalty=l2(0.05)), 0.1)
    assert np.allclose(stepped["W"], params["W"] - 0.1 * (g["W"] + 2 * 0.05 * params["W"]), rtol=1e-14)
    assert np.allclose(stepped["b"], params["b"] - 0.1 * g["b"], rtol=1e-14)


BAD: Cases = {
    "rate below 0": (lambda: l2(-1), ValueError, r"l2: rate must be finite and at least 0, got -1.0"),
    "rate a text": (lambda: l1(bad("a")), TypeError, r"l1: rate must be a number, got 'a'"),
    "name no string": (lambda: l2(1)(bad({1: X})), TypeError, r"l2: params must have strings as names, got 1"),
    "rate too large for a float": (
        lambda: l2(10**400),
        ValueError,
        r"l2: rate must be a number that a float can hold, got 1000.*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
