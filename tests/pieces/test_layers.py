"""Dense layers and activations as layers: what they refuse, when made and when run."""

from functools import partial

import numpy as np
import pytest

from nnfunc import activation, adam, chain, columns, constant, dense, dropout, elu, forward, grads, init, mse, relu, tanh, vjp
from tests.numeric import bad, same_bits
from tests.samples import NET, P, X
from tests.sentences import Cases, assert_sentence



def test_dense_without_bias_is_dense_with_a_bias_of_zero() -> None:
    bare, full = dense(4, 3, tanh, bias=False), dense(4, 3, tanh)
    params = init(bare, 5)
    assert list(params) == ["W"] and same_bits(params["W"], init(full, 5)["W"])
    zero = {**params, "b": np.zeros(3, np.float32)}
    x, y = X.astype(np.float32), X[:, :3]
    for net, other in ((bare, full), (chain(bare), chain(full))):
        own, with_zero = ({f"0/{n}" if net != bare else n: a for n, a in p.items()} for p in (params, zero))
        assert same_bits(forward(net, own, x), forward(other, with_zero, x))
        got, expected = grads(net, mse, own, x, y), grads(other, mse, with_zero, x, y)
        assert list(got) == list(own) and all(same_bits(got[name], expected[name]) for name in got)


def test_columns_by_hand() -> None:
    y, pullback = vjp(columns(1, 3), {}, [[1.0, 2.0, 3.0, 4.0]])
    assert y.tolist() == [[2.0, 3.0]]
    own, dx = pullback([[5.0, 6.0]])
    assert dict(own) == {} and dx().tolist() == [[0.0, 5.0, 6.0, 0.0]]


BAD: Cases = {
    "a bias where there is none": (
        lambda: forward(chain(dense(4, 1, bias=False)), {"0/W": np.ones((4, 1)), "0/b": np.ones(1)}, X), ValueError,
        r"dense: 0/b must not be in params, which are W, got shape \(1,\)",
    ),
    "a start for no bias": (
        lambda: dense(4, 1, bias=False, b_init=constant(1.0)), ValueError, r"dense: b_init must be left out, as bias=False .*, got .*"
    ),
    "bias a word": (lambda: dense(4, 1, bias=bad("no")), TypeError, r"dense: bias must be True or False, got 'no'"),
    "inputs too narrow": (
        lambda: forward(NET, P, X[:, :3]),
        ValueError,
        r"dense: hidden/x must have shape \(rows, 4\), got \(5, 3\)",
    ),
    "inputs of one axis": (
        lambda: forward(NET, P, X[0]),
        ValueError,
        r"dense: hidden/x must have shape \(rows, 4\); .*, got \(4,\)",
    ),
    "bias not in params": (
        lambda: forward(NET, {n: a for n, a in P.items() if n != "hidden/b"}, X),
        ValueError,
        r"dense: hidden/b must be in params, got only \['W'\]",
    ),
    "no params at all": (lambda: forward(NET, {}, X), ValueError, r"dense: hidden/W must be in params, got only \[\]"),
    "a name too many": (
        lambda: forward(NET, {**P, "hidden/c": P["out/b"]}, X),
        ValueError,
        r"dense: hidden/c must not be in params.*",
    ),
    "weights of another shape": (
        lambda: forward(NET, {**P, "out/W": P["out/b"]}, X),
        ValueError,
        r"dense: out/W must have shape \(3, 2\), got \(2,\)",
    ),
    "params for an activation": (
        lambda: forward(activation(relu), P, X),
        ValueError,
        r"activation: hidden/W must not be in params.*",
    ),
    "activation with an unknown option": (
        lambda: dense(1, 1, bad(partial)(relu, slope=1)),
        TypeError,
        r"dense: activation must have the options given, got .*",
    ),
    "activation that reduces": (
        lambda: forward(dense(4, 2, (np.sum, np.cos)), init(dense(4, 2), 0), X),
        ValueError,
        r"activation: f must return .*",
    ),
    "activation that upcasts": (
        lambda: forward(dense(4, 2, (lambda z: z * np.float64(2), np.cos)), init(dense(4, 2), 0), X),
        TypeError,
        r"activation: f must keep the dtype float32, got float64 array.*",
    ),
    "activation a list": (
        lambda: dense(1, 1, bad([1])),
        TypeError,
        r"dense: activation must be one of relu, .*, got \[1\]",
    ),
    "activation half a pair": (
        lambda: dense(1, 1, bad((np.sin, {}))),
        TypeError,
        r"dense: activation must be one of relu, .*",
    ),
    "activation with a positional option": (
        lambda: dense(1, 1, bad(partial)(elu, 0.5)),
        TypeError,
        r"dense: activation must be .*options as keywords.*",
    ),
    "no inputs": (lambda: dense(0, 1), ValueError, r"dense: n_in must be at least 1, got 0"),
    "outputs below 0": (lambda: dense(1, -2), ValueError, r"dense: n_out must be at least 1, got -2"),
    "inputs no integer": (lambda: dense(bad(1.5), 1), TypeError, r"dense: n_in must be an integer, got 1.5"),
    "inputs a bool": (lambda: dense(bad(True), 1), TypeError, r"dense: n_in must be an integer, got True"),
    "activation a layer": (
        lambda: dense(1, 1, bad(activation(relu))),
        TypeError,
        r"dense: activation must be one of relu, .*, got the functions \(no_params, activation_forward\) of other arguments than z",
    ),
    "activation another layer": (
        lambda: dense(1, 1, bad(dropout(0.5))),
        TypeError,
        r"dense: activation must be .*, got the functions \(no_params, dropout_forward\) of other arguments than z",
    ),
    "activation a pair of other arguments": (
        lambda: activation(bad((lambda z: z, lambda z, y: z))),
        TypeError,
        r"activation: activation must be .*, got the functions \(<lambda>, <lambda>\) of other arguments than z",
    ),
    "activation an optimiser": (
        lambda: dense(1, 1, bad(adam())),
        TypeError,
        r"dense: activation must be .*, got the functions \(initial, stepped\) of other arguments than z",
    ),
    "activation that gives a matrix": (
        lambda: forward(activation((lambda z: z.view(np.matrix), np.cos)), {}, np.ones((2, 2))),
        ValueError,
        r"activation: f must return an array of shape \(2, 2\), got float64 matrix of shape \(2, 2\)",
    ),
    "inputs a word": (lambda: dense(bad("3"), 1), TypeError, r"dense: n_in must be an integer, got '3'"),
    "activation by name": (
        lambda: dense(1, 1, bad("relu")),
        TypeError,
        r"dense: activation must be one of relu, .*, got 'relu'",
    ),
    "activation of NumPy": (
        lambda: dense(1, 1, np.sin),
        TypeError,
        r"dense: activation must be one of .*, got .*sin.*",
    ),
    "initialiser a number": (
        lambda: dense(1, 1, w_init=bad(0.1)),
        TypeError,
        r"dense: w_init must be a function \(key, shape, dtype\) .*, got 0.1",
    ),
    "initialiser of two arguments": (
        lambda: dense(1, 2, w_init=bad(lambda key, shape: np.zeros(shape))),
        TypeError,
        r"dense: w_init must be a function \(key, shape, dtype\) -> array, got the function <lambda>, which takes \(key, shape\)",
    ),
    "bias initialiser another piece": (
        lambda: dense(1, 2, b_init=bad(relu)),
        TypeError,
        r"dense: b_init must be a function \(key, shape, dtype\) -> array, got the function relu, which takes \(z\)",
    ),
    "initialiser of another shape": (
        lambda: init(dense(1, 2, w_init=lambda k, s, d: np.zeros(3)), 0),
        ValueError,
        r"dense: w_init must return .*\(1, 2\).*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
