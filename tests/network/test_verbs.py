"""The verbs: what they have in common, what they take as it comes, and what they refuse."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    Layer,
    batch_norm,
    chain,
    dense,
    dropout,
    forward,
    grads,
    init,
    loss,
    mlp,
    mse,
    ravel,
    relu,
    residual,
    sharded_value_and_grads,
    softmax_cross_entropy,
    tanh,
    value_and_grads,
    vjp,
)
from tests.numeric import bad, same_bits
from tests.samples import CE, NET, ROWS, P, X, Y
from tests.sentences import Cases, assert_sentence

DEEP = chain(hidden=dense(3, 4, relu), skip=residual(dense(4, 4, tanh)), out=dense(4, 2))
PARAMS = init(DEEP, 0)
INPUTS: Array = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def test_value_and_grads_is_loss_and_grads() -> None:
    value, g = value_and_grads(DEEP, softmax_cross_entropy, PARAMS, INPUTS, Y, key=2)
    assert value == loss(DEEP, softmax_cross_entropy, PARAMS, INPUTS, Y, key=2)
    assert same_bits(g, grads(DEEP, softmax_cross_entropy, PARAMS, INPUTS, Y, key=2))
    assert list(g) == list(PARAMS)


def test_gradients_come_in_the_order_of_the_params() -> None:
    names = list(PARAMS)
    expected = grads(DEEP, CE, PARAMS, INPUTS, Y)
    for turn in range(len(names)):
        params = {name: PARAMS[name] for name in names[turn:] + names[:turn]}
        for g in (
            grads(DEEP, CE, params, INPUTS, Y),
            value_and_grads(DEEP, CE, params, INPUTS, Y)[1],
            sharded_value_and_grads(DEEP, CE, params, INPUTS, Y, shards=1)[1],
        ):
            vector, _ = ravel(g)
            assert np.allclose(vector, ravel({name: expected[name] for name in params})[0], rtol=1e-5)
        assert list(vjp(DEEP, params, INPUTS)[1](np.ones((5, 2)))[0]) == list(params)


def test_user_made_params_give_the_same_bits() -> None:
    expected = value_and_grads(DEEP, softmax_cross_entropy, PARAMS, INPUTS, Y)
    plain = {name: np.asfortranarray(a) for name, a in reversed(list(PARAMS.items()))}
    value, g = value_and_grads(DEEP, softmax_cross_entropy, plain, INPUTS, Y)
    assert value == pytest.approx(expected[0], rel=1e-6)
    assert list(g) == list(plain)
    copied = {name: a.copy() for name, a in PARAMS.items()}
    assert same_bits(value_and_grads(DEEP, softmax_cross_entropy, copied, INPUTS, Y), expected)
    assert all(a.flags.writeable for a in copied.values())


def test_lists_are_converted() -> None:
    expected = value_and_grads(NET, CE, P, X, Y)
    got = value_and_grads(NET, CE, P, X.astype(int).tolist(), Y.tolist())
    assert got[0] == expected[0]
    lists = {name: bad(a.tolist()) for name, a in P.items()}
    wide = {name: a.astype(np.float64) for name, a in P.items()}
    assert loss(NET, CE, lists, X.tolist(), Y.tolist()) == loss(NET, CE, wide, X.astype(np.float64), Y)


def test_init_is_float32_unless_asked_and_rounds_the_same_numbers() -> None:
    net = chain(hidden=dense(4, 3, relu), skip=residual(mlp([3, 5, 3])), out=dense(3, 2))
    single, double = init(net, 5), init(net, 5, np.float64)
    assert {a.dtype for a in single.values()} == {np.dtype(np.float32)}
    assert {a.dtype for a in double.values()} == {np.dtype(np.float64)}
    for name in single:
        assert np.array_equal(single[name], double[name].astype(np.float32))
    assert list(single) == [
        "hidden/W", "hidden/b", "skip/0/W", "skip/0/b", "skip/1/W", "skip/1/b", "out/W", "out/b",
    ]  # fmt: skip


# Losses that are any callables


@dataclass
class Scaled:
    """A loss that can be called and not hashed, as any plain dataclass."""

    scale: float = 2.0

    def __call__(self, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        per_example, d = mse(outputs, targets)
        return per_example * self.scale, d * self.scale


def test_a_loss_that_cannot_be_hashed() -> None:
    y = np.zeros((5, 2), np.float32)
    once, twice = (value_and_grads(DEEP, loss_fn, PARAMS, INPUTS, y) for loss_fn in (mse, Scaled()))
    assert twice[0] == 2 * once[0] == loss(DEEP, Scaled(), PARAMS, INPUTS, y)
    assert all((twice[1][name] == 2 * once[1][name]).all() for name in PARAMS)


def test_a_value_in_extended_precision_is_a_float() -> None:
    def precise(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        per_example, d = mse(outputs, targets)
        return per_example.astype(np.longdouble), d

    assert type(loss(DEEP, precise, PARAMS, INPUTS, np.zeros((5, 2), np.float32))) is float


def test_the_loss_that_is_given_is_the_one_that_is_used() -> None:
    # Two functions that are equal, as callables of a user's own may be, are two functions.
    def scaled(scale: float) -> Any:
        class Alike:
            def __eq__(self, other: object) -> bool:
                return True

            def __hash__(self) -> int:
                return 1

            def __call__(self, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
                per_example, d = softmax_cross_entropy(outputs, targets)
                return scale * per_example, scale * d

        return Alike()

    once, twice = (value_and_grads(NET, scaled(scale), P, X, Y)[0] for scale in (1.0, 2.0))
    assert twice == pytest.approx(2 * once, rel=1e-6)


# Modes


NEED_A_KEY: dict[str, Layer] = {
    "dropout": dropout(0.5),
    "dropout within": chain(a=dense(3, 2), b=residual(chain(dense(2, 2), dropout(0.1)))),
    "batch norm": batch_norm(3),
}


@pytest.mark.parametrize("name", NEED_A_KEY)
def test_training_without_a_key_is_refused(name: str) -> None:
    net = NEED_A_KEY[name]
    params = init(net, 0)
    y = np.zeros_like(forward(net, params, ROWS, key=0))
    pattern = r"^(value_and_)?grads: key must be given, as (layer b/1|the network) is (dropout|batch norm)"
    for call in (grads, value_and_grads):
        with pytest.raises(ValueError, match=pattern):
            call(net, mse, params, ROWS, y)
        call(net, mse, params, ROWS, y, key=0)


BAD: Cases = {
    "no rows": (lambda: forward(NET, P, X[:0]), ValueError, r"forward: x must hold at least one row, got .*\(0, 4\)"),
    "x a number": (lambda: forward(NET, P, 1.0), ValueError, r"forward: x must hold at least one row, got .*"),
    "x of integers": (
        lambda: forward(NET, P, X.astype(int)),
        TypeError,
        r"forward: x must be a float32 .*, got int64 array.*",
    ),
    "x of float16": (
        lambda: forward(NET, P, X.astype(np.float16)),
        TypeError,
        r"forward: x must be a float32 .*, got float16 array.*",
    ),
    "x complex": (
        lambda: forward(NET, P, X.astype(complex)),
        TypeError,
        r"forward: x must hold numbers, got complex128 array.*",
    ),
    "x of text": (
        lambda: forward(NET, P, bad([["a"] * 4])),
        TypeError,
        r"forward: x must hold numbers, got <U1 array.*",
    ),
    "x ragged": (
        lambda: forward(NET, P, bad([[1.0], [1.0, 2.0]])),
        ValueError,
        r"forward: x must have rows of one length, .*",
    ),
    "x None": (lambda: forward(NET, P, bad(None)), TypeError, r"forward: x must hold numbers, got object array.*"),
    "x masked": (lambda: forward(NET, P, np.ma.masked_array(X)), TypeError, r"forward: x must be a plain array.*"),
    "dy of another shape": (
        lambda: vjp(NET, P, X)[1](np.ones((5, 3))),
        ValueError,
        r"vjp: dy must have the shape \(5, 2\) of y, got \(5, 3\)",
    ),
    "params of two dtypes": (
        lambda: forward(NET, {**P, "out/b": np.zeros(2)}, X),
        TypeError,
        r"forward: params must share one dtype, got .*out/b float64",
    ),
    "params of integers": (
        lambda: forward(NET, {**P, "out/b": bad(np.zeros(2, int))}, X),
        TypeError,
        r"forward: out/b must be a float32 or float64 array, got int64 array.*",
    ),
    "params None": (lambda: forward(NET, bad(None), X), TypeError, r"forward: params must be a mapping .*, got None"),
    "params a list": (lambda: forward(NET, bad([X]), X), TypeError, r"forward: params must be a mapping .*"),
    "name no string": (
        lambda: forward(NET, bad({1: X}), X),
        TypeError,
        r"forward: params must have strings as names, got 1",
    ),
    "too few targets": (
        lambda: loss(NET, CE, P, X, Y[:3]),
        ValueError,
        r"loss: y must have one target for each of the 5 rows of x, got .*",
    ),
    "no rows for gradients": (
        lambda: grads(NET, CE, P, X[:0], Y[:0]),
        ValueError,
        r"grads: x must hold at least one row, got .*",
    ),
    "targets of text": (lambda: loss(NET, CE, P, X, bad(["a"] * 5)), TypeError, r"loss: y must hold numbers, got .*"),
    "too few weights": (
        lambda: loss(NET, CE, P, X, Y, weight=[1, 2]),
        ValueError,
        r"loss: weight must have shape \(5,\).*, got \(2,\)",
    ),
    "weight below 0": (
        lambda: loss(NET, CE, P, X, Y, weight=[-1, 1, 1, 1, 1]),
        ValueError,
        r"loss: weight must be finite, .*got .* -1 to 1",
    ),
    "weights all 0": (
        lambda: loss(NET, CE, P, X, Y, weight=np.zeros(5)),
        ValueError,
        r"loss: weight must be .*not all 0, got .* 0 to 0",
    ),
    "weights nan": (
        lambda: loss(NET, CE, P, X, Y, weight=[np.nan] * 5),
        ValueError,
        r"loss: weight must be finite.*nan to nan",
    ),
    "weights infinite": (
        lambda: loss(NET, CE, P, X, Y, weight=[np.inf] * 5),
        ValueError,
        r"loss: weight must be finite.*inf to inf",
    ),
    "loss a number": (lambda: loss(NET, bad(5), P, X, Y), TypeError, r"loss: loss_fn must be a function .*, got 5"),
    "penalty a number": (
        lambda: loss(NET, CE, P, X, Y, penalty=bad(0.1)),
        TypeError,
        r"loss: penalty must be a function .*, got 0.1",
    ),
    "net a function": (
        lambda: forward(bad(relu), P, X),
        TypeError,
        r"forward: net must be a pair of functions .*, got the function relu",
    ),
    "net swapped": (
        lambda: init(bad(dense(1, 1)[::-1]), 0),
        TypeError,
        r"init: net must be \(init\(key, dtype\), forward\(.*",
    ),
    "key below 0": (lambda: init(NET, -1), ValueError, r"init: key must be at least 0, got -1"),
    "key a text": (lambda: init(NET, bad("seed")), TypeError, r"init: key must be an integer, got 'seed'"),
    "dtype of integers": (
        lambda: init(NET, 0, np.int32),
        TypeError,
        r"init: dtype must be float32 or float64, got the type int32",
    ),
    "dtype float16": (
        lambda: init(NET, 0, np.float16),
        TypeError,
        r"init: dtype must be float32 or float64, got the type float16",
    ),
    "dtype unknown": (lambda: init(NET, 0, bad("f5")), TypeError, r"init: dtype must be float32 or float64, got 'f5'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
