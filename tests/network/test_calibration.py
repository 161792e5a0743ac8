"""Calibration: the statistics of all rows, by hand, and nothing else touched."""

import numpy as np
import pytest

from nnfunc import (
    Array, InputGradient, Key, Layer, Params, Pullback, batch_norm, calibrate, chain, dense, forward, grads, init, mse, relu,
    residual, sgd_step, sharded_value_and_grads, train,
)  # fmt: skip
from tests.numeric import bad, same_bits
from tests.samples import ASKS, BN, CE, REGULARISED, ROWS, TARGETS, X, Y
from tests.sentences import Cases, assert_sentence


def test_calibrated_inference_by_hand() -> None:
    draw = np.random.default_rng(5)
    net = chain(a=dense(3, 4, relu), n=batch_norm(4), skip=residual(chain(dense(4, 4), batch_norm(4))), out=dense(4, 2))
    params = {n: a + 0.1 * draw.normal(size=a.shape) for n, a in init(net, 2, np.float64).items()}
    x = draw.normal(size=(50, 3))

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
    net = REGULARISED["batch norm"]
    params = init(net, 1, np.float64)
    assert np.allclose(forward(net, params, ROWS, key=0), forward(net, calibrate(net, params, ROWS), ROWS), rtol=1e-12)


def test_calibration_leaves_the_rest_alone() -> None:
    net = chain(dense(3, 2))
    params = init(net, 0)
    assert same_bits(calibrate(net, params, ROWS), params)
    mine = {n: a.copy() for n, a in params.items()}
    calibrated = calibrate(net, mine, ROWS)
    assert all(a.flags.writeable for a in mine.values())
    assert not any(a.flags.writeable or np.may_share_memory(a, mine[n]) for n, a in calibrated.items())


def test_what_was_trained_on_is_calibrated_again() -> None:
    net = REGULARISED["batch norm"]
    params = calibrate(net, init(net, 1, np.float64), ROWS)
    stepped = sgd_step(params, grads(net, mse, params, ROWS, TARGETS, key=0), 0.1)
    assert not any(name.endswith(("mean", "var")) for name in stepped)
    again = calibrate(net, stepped, ROWS)
    assert list(again) == list(params)
    assert same_bits(again["0/mean"], params["0/mean"])  # of the inputs themselves
    assert not same_bits(again["2/mean"], params["2/mean"])


def twice(layer: Layer) -> Layer:
    """A combinator of a user's own: f(f(x)) with one set of params."""

    def forward_twice(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        y, first = layer[1](params, x, key)
        z, second = layer[1](params, y, key)

        def pullback(dz: Array) -> tuple[Params, InputGradient]:
            outer, dy = second(dz)
            inner, dx = first(dy())
            return {name: outer[name] + inner[name] for name in outer}, dx

        return z, pullback

    return layer[0], forward_twice


BOTH = chain(seen=batch_norm(4), inside=twice(chain(dense(4, 4), batch_norm(4))), out=dense(4, 2))
HIDDEN = chain(inside=twice(chain(dense(4, 4), batch_norm(4))), out=dense(4, 2))
FOUND_IN = r"net must have its batch norms in chain, residual, concatenate or combine, where calibrate finds them, got one inside a layer of your own"


BAD: Cases = {
    "a batch norm that a run cannot calibrate, beside one that it can": (
        lambda: train(BOTH, CE, init(BOTH, 0), X, Y, epochs=1, lr=0.1),
        ValueError,
        rf"train: {FOUND_IN}",
    ),
    "a batch norm that nothing finds": (
        lambda: calibrate(HIDDEN, init(HIDDEN, 0), X),
        ValueError,
        rf"calibrate: {FOUND_IN}",
    ),
    "a batch norm that a run cannot calibrate": (
        lambda: train(HIDDEN, CE, init(HIDDEN, 0), X, Y, epochs=1, lr=0.1),
        ValueError,
        rf"train: {FOUND_IN}",
    ),
    "a batch norm that shards would hide": (
        lambda: sharded_value_and_grads(HIDDEN, CE, init(HIDDEN, 0), X, Y, shards=2, key=1),
        ValueError,
        rf"sharded_value_and_grads: {FOUND_IN}",
    ),
    "one row": (
        lambda: calibrate(BN, init(BN, 0), X[:1]),
        ValueError,
        r"batch_norm: n/x must hold at least two rows .*, got one row",
    ),
    "rows too narrow": (
        lambda: calibrate(BN, init(BN, 0), X[:, :3]),
        ValueError,
        r"batch_norm: n/x must have shape \(rows, 4\), got \(5, 3\)",
    ),
    "x infinite": (
        lambda: calibrate(BN, init(BN, 0), X * np.inf),
        FloatingPointError,
        r"calibrate: x must be finite, got inf at \[0, 0\] .*",
    ),
    "params nan": (
        lambda: calibrate(BN, {**init(BN, 0), "n/beta": np.full(4, np.nan, np.float32)}, bad(np.eye(5, 4)) * 1e30),
        FloatingPointError,
        r"calibrate: n/beta must be finite, got nan at \[0\] .*",
    ),
    "variance that overflows": (
        lambda: calibrate(BN, init(BN, 0), np.eye(5, 4, dtype=np.float32) * 1e30),
        FloatingPointError,
        r"batch_norm: n/the var of x must be finite, got column 0",
    ),
    "layer that asks for a missing param": (
        lambda: calibrate(ASKS, {}, X),
        ValueError,
        r"calibrate: params\['s'\] must be there, got only \[\]",
    ),
    "layer in a residual that asks for a missing param": (
        lambda: calibrate(residual(ASKS), {}, X),
        ValueError,
        r"calibrate: params\['s'\] must be there, got only \[\]",
    ),
    "size of 0": (
        lambda: calibrate(BN, init(BN, 0), X, size=0),
        ValueError,
        r"calibrate: size must be at least 1, got 0",
    ),
    "size an array": (
        lambda: calibrate(BN, init(BN, 0), X, size=bad(np.array([0.1]))),
        TypeError,
        r"calibrate: size must be an integer, got float64 array of shape \(1,\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
