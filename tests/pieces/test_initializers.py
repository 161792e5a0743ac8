"""Initialisers: what they refuse. Their spreads and streams are tried by the checkers and by the article."""

from functools import partial

import numpy as np
import pytest

from nnfunc import Array, DType, ElementwiseFn, Initializer, Key, by_fans, constant, dense, glorot_normal, glorot_uniform
from nnfunc import he_normal, he_uniform, init, lecun_normal, mlp, normal, relu, split, tanh, uniform, zeros
from tests.numeric import bad
from tests.sentences import Cases, assert_sentence

F32: DType = np.dtype(np.float32)
TORCH = by_fans(lambda n_in, n_out: uniform(n_in**-0.5))  # PyTorch's reset_parameters of Linear, for W and b
SKLEARN = by_fans(lambda n_in, n_out: uniform((6 / (n_in + n_out)) ** 0.5))  # MLPRegressor's _init_coef for relu

BAD: Cases = {
    "shape of one axis": (
        lambda: glorot_uniform(0, (3,), np.dtype(np.float32)),
        ValueError,
        r"glorot_uniform: shape must be \(n_in, n_out\), got \(3,\)",
    ),
    **{
        f"{f.__name__} {what}": (partial(f, 0, shape, dtype), kind, f"{f.__name__}: {sentence}")
        for f in (glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_normal)
        for what, shape, dtype, kind, sentence in (
            ("shape a number", bad(3), F32, ValueError, r"shape must be \(n_in, n_out\), got 3"),
            ("no inputs", (0, 0), F32, ValueError, r"shape must be \(n_in, n_out\), got \(0, 0\)"),
            ("inputs below 0", (-1, 2), F32, ValueError, r"shape must be at least 0, got -1"),
            ("no shape", bad(None), F32, TypeError, r"shape must be a sequence of integers, got None"),
            ("no whole number", bad((1.5, 2)), F32, TypeError, r"shape must be an integer, got 1.5"),
            ("whole numbers", (3, 2), bad(int), TypeError, r"dtype must be float32 or float64, got the type int"),
            ("no dtype", (3, 2), bad("words"), TypeError, r"dtype must be float32 or float64, got 'words'"),
            ("an axis too many", (3, 2, 2), F32, ValueError, r"shape must be \(n_in, n_out\), got \(3, 2, 2\)"),
        )
    },
    "zeros of whole numbers": (lambda: zeros(0, (3,), bad(int)), TypeError, r"zeros: dtype must be .*"),
    "normal in no dtype": (lambda: normal(0.1)(0, (3,), bad(None)), TypeError, r"normal: dtype must be .*, got None"),
    "constant of a shape too large": (
        lambda: constant(1)(0, (1 << 29, 1 << 29), F32),
        ValueError,
        r"constant: shape must be that of .*, got \(536870912, 536870912\)",
    ),
    "normal of a word as key": (
        lambda: normal(0.1)(bad("a"), (3,), F32),
        TypeError,
        r"normal: key must be an integer, got 'a'",
    ),
    "stddev below 0": (lambda: normal(-1), ValueError, r"normal: stddev must be finite and at least 0, got -1.0"),
    "limit below 0": (lambda: uniform(-1), ValueError, r"uniform: limit must be finite and at least 0, got -1.0"),
    "limit beyond floats": (lambda: uniform(1e308), ValueError, r"uniform: limit must be .*, got 1e\+308"),
    "a maker in place of what it makes": (
        lambda: dense(3, 2, w_init=bad(normal)),
        TypeError,
        r"dense: w_init must be a function \(key.*\) -> array, as normal\(\.\.\.\) is, got the function normal, which takes \(stddev\)",
    ),
    "fans of nothing": (
        lambda: by_fans(bad(0.1)),
        TypeError,
        r"by_fans: make must be a function \(n_in, n_out\) -> initialiser, got 0.1",
    ),
    "fans given to what takes one number": (
        lambda: by_fans(bad(uniform)),
        TypeError,
        r"by_fans: make must be a function \(n_in, n_out\) -> initialiser, got the function uniform, which takes \(limit\)",
    ),
    "fans of a bias alone": (
        lambda: TORCH(0, (3,), np.dtype(np.float32)),
        ValueError,
        r"by_fans: shape must be \(n_in, n_out\), got \(3,\)",
    ),
    "fans that make a number": (
        lambda: by_fans(bad(lambda n_in, n_out: 0.1))(0, (3, 2), np.dtype(np.float32)),
        TypeError,
        r"by_fans: make must be a function \(key, shape, dtype\) -> array, got 0.1",
    ),
    "fans that make a number for a bias": (
        lambda: dense(3, 2, b_init=by_fans(bad(lambda n_in, n_out: 0.1))),
        TypeError,
        r"dense: b_init must be a function \(key, shape, dtype\) -> array, got 0.1",
    ),
    "fans that make a number in an mlp": (
        lambda: mlp([3, 2], w_init=by_fans(bad(lambda n_in, n_out: 0.1))),
        TypeError,
        r"mlp: w_init must be a function \(key, shape, dtype\) -> array, got 0.1",
    ),
    "constant infinite": (lambda: constant(np.inf), ValueError, r"constant: value must be finite, got inf"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


@pytest.mark.parametrize(
    ("start", "limits"),
    [
        (TORCH, (400**-0.5, 300**-0.5)),
        (SKLEARN, ((6 / 700) ** 0.5, (6 / 500) ** 0.5)),
    ],
)
def test_a_bias_knows_the_fans_of_its_layer(start: Initializer, limits: tuple[float, float]) -> None:
    params = init(mlp([400, 300, 200], tanh, w_init=start, b_init=start), 0, np.float64)
    for layer, limit in zip("01", limits, strict=True):
        for name in ("W", "b"):
            drawn = np.abs(params[f"{layer}/{name}"])
            assert 0.97 * limit < drawn.max() <= limit
            assert drawn.mean() == pytest.approx(limit / 2, rel=0.1)


def test_fans_change_neither_the_streams_nor_what_is_drawn() -> None:
    made = init(dense(7, 5, relu, w_init=TORCH, b_init=TORCH), 3, np.float64)
    by_hand = uniform(7**-0.5)
    w_key, b_key = split(3, 2)
    assert np.array_equal(made["W"], by_hand(w_key, (7, 5), np.dtype(np.float64)))
    assert np.array_equal(made["b"], by_hand(b_key, (5,), np.dtype(np.float64)))
    assert np.array_equal(made["W"], TORCH(w_key, (7, 5), np.dtype(np.float64)))


def test_an_mlp_passes_its_initialisers_on() -> None:
    def row_numbers(key: Key, shape: tuple[int, ...], dtype: DType) -> Array:
        return np.arange(np.prod(shape)).reshape(shape).astype(dtype)

    net = mlp([2, 3, 1], w_init=row_numbers, b_init=constant(0.5))
    params = init(net, 0)
    assert params["0/W"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert params["1/W"].tolist() == [[0], [1], [2]]
    assert params["0/b"].tolist() == [0.5] * 3
    assert params["1/b"].tolist() == [0.5]


@pytest.mark.parametrize("f", [None, relu, tanh])
def test_dense_starts_from_glorot_whatever_the_activation(f: ElementwiseFn | None) -> None:
    w_key, _ = split(3, 2)
    expected = {"W": glorot_uniform(w_key, (7, 5), F32), "b": zeros(0, (5,), F32)}
    for net in (dense(7, 5, f), dense(7, 5, f, w_init=None)):
        params = init(net, 3)
        assert all(np.array_equal(params[name], a) for name, a in expected.items())
