"""Hessian products against second differences worked out, closed forms and laws."""

import numpy as np
import pytest

from nnfunc import (
    Array, Layer, LossFn, Params, calibrate, chain, dense, dropout, fold_in, gelu, generator, grads, init, l2, map_params,
    mlp, mse, ravel, relu, softmax_cross_entropy, tanh,
)  # fmt: skip
from nnfunc.transforms import hvp
from tests.numeric import bad
from tests.samples import REGULARISED, ROWS, TARGETS
from tests.sentences import Cases, assert_sentence

CLASSES = np.array([0, 1, 1, 0, 1, 1, 0])


def drawn(params: Params, key: int) -> Params:
    """Return params of the same shapes, drawn."""
    return {n: generator(fold_in(key, i)).normal(size=a.shape) for i, (n, a) in enumerate(params.items())}


def test_least_squares_has_a_constant_hessian() -> None:
    """Of mean (x W + b - y)^2 over rows and columns the Hessian is 2 / (n k) X^T X, with ones for b."""
    net, params = dense(3, 2), init(dense(3, 2), 0, np.float64)
    v = drawn(params, 1)
    product = hvp(net, mse, params, ROWS, TARGETS, v)
    design = np.hstack([ROWS, np.ones((7, 1))])
    expected = 2 / 14 * design.T @ design @ np.vstack([v["W"], v["b"]])
    np.testing.assert_allclose(product["W"], expected[:3], rtol=1e-9)
    np.testing.assert_allclose(product["b"], expected[3], rtol=1e-9)


def test_logistic_regression_by_hand() -> None:
    """Of softmax cross entropy the Hessian in the logits is diag(p) - p p^T, row by row."""
    net, params = dense(3, 2), init(dense(3, 2), 2, np.float64)
    v = drawn(params, 3)
    z, dz = ROWS @ params["W"] + params["b"], ROWS @ v["W"] + v["b"]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    curved = p * dz - p * (p * dz).sum(axis=1, keepdims=True)
    product = hvp(net, softmax_cross_entropy, params, ROWS, CLASSES, v)
    np.testing.assert_allclose(product["W"], ROWS.T @ curved / 7, rtol=1e-8)
    np.testing.assert_allclose(product["b"], curved.mean(axis=0), rtol=1e-8)


CASES: dict[str, tuple[Layer, LossFn, Array, int | None]] = {
    "tanh": (mlp([3, 5, 2], tanh), mse, TARGETS, None),
    "gelu": (mlp([3, 8, 8, 2], gelu), softmax_cross_entropy, CLASSES, None),
    "dropout": (REGULARISED["dropout"], mse, TARGETS, 3),
    "batch norm": (REGULARISED["batch norm"], mse, TARGETS, 4),
}


@pytest.mark.parametrize("name", CASES)
def test_the_hessian_is_symmetric_and_linear(name: str) -> None:
    net, loss_fn, y, key = CASES[name]
    params = init(net, 0, np.float64)
    u, v = drawn(params, 1), drawn(params, 2)

    def along(vector: Params) -> Array:
        return ravel(hvp(net, loss_fn, params, ROWS, y, vector, key=key))[0]

    flat_u, flat_v = ravel(u)[0], ravel(v)[0]
    one, other = float(flat_u @ along(v)), float(flat_v @ along(u))
    scale = float(np.linalg.norm(flat_u) * np.linalg.norm(along(v)))
    assert abs(one - other) < 1e-8 * scale
    both = along(map_params(lambda a, b: 2 * a - b, u, v))
    assert np.linalg.norm(both - (2 * along(u) - along(v))) < 1e-8 * np.linalg.norm(both)


def test_the_whole_hessian_is_the_slope_of_the_gradient() -> None:
    """Richardson's extrapolation of differences of `grads`, good to 1e-11, tells that the product is good to 1e-9."""
    net, loss_fn, y, _ = CASES["tanh"]
    params = init(net, 0, np.float64)
    v = drawn(params, 5)

    def difference(h: float) -> Array:
        ends = [grads(net, loss_fn, map_params(lambda p, d, s=s: p + s * d, params, v), ROWS, y) for s in (h, -h)]
        return (ravel(ends[0])[0] - ravel(ends[1])[0]) / (2 * h)

    coarse, fine, finest = (difference(h) for h in (4e-3, 2e-3, 1e-3))
    once = (4 * fine - coarse) / 3, (4 * finest - fine) / 3
    expected = (16 * once[1] - once[0]) / 15
    found = ravel(hvp(net, loss_fn, params, ROWS, y, v))[0]
    assert np.linalg.norm(found - expected) < 1e-9 * np.linalg.norm(expected)
    assert np.linalg.norm(difference(0.1) - expected) > 1e-5 * np.linalg.norm(expected)  # a step too long would be seen


def test_options_are_those_of_grads() -> None:
    net, params = dense(3, 2), init(dense(3, 2), 0, np.float64)
    v = drawn(params, 1)
    weight = np.arange(7.0)
    design = np.hstack([ROWS, np.ones((7, 1))]) * np.sqrt(weight)[:, None]
    expected = 2 / (2 * weight.sum()) * design.T @ design @ np.vstack([v["W"], v["b"]])
    product = hvp(net, mse, params, ROWS, TARGETS, v, weight=weight, penalty=l2(0.5))
    np.testing.assert_allclose(product["W"], expected[:3] + v["W"], rtol=1e-8)  # 2 * 0.5 v of the penalty
    np.testing.assert_allclose(product["b"], expected[3], rtol=1e-8)
    halved = hvp(net, mse, params, ROWS, TARGETS, v, weight=weight, mean_weight=2 * weight.mean())
    np.testing.assert_allclose(halved["b"], expected[3] / 2, rtol=1e-8)


def test_float32_params_lose_nothing_on_the_way() -> None:
    net, loss_fn, y, _ = CASES["tanh"]
    params = init(net, 0)
    v = drawn(params, 5)
    wide = {n: a.astype(np.float64) for n, a in params.items()}
    rows = ROWS.astype(np.float32)
    small, full = hvp(net, loss_fn, params, rows, y, v), hvp(net, loss_fn, wide, rows.astype(np.float64), y, v)
    for n, a in small.items():
        assert a.dtype == np.float32 and not a.flags.writeable
        np.testing.assert_allclose(a, full[n], rtol=2e-7, atol=1e-9)


def test_a_part_of_a_vector_is_one_with_zeros() -> None:
    net, loss_fn, y, _ = CASES["tanh"]
    params = init(net, 0, np.float64)
    part = {"1/W": drawn(params, 1)["1/W"]}
    whole = {n: part.get(n, np.zeros_like(a)) for n, a in params.items()}
    one, other = hvp(net, loss_fn, params, ROWS, y, part), hvp(net, loss_fn, params, ROWS, y, whole)
    np.testing.assert_allclose(ravel(one)[0], ravel(other)[0], rtol=1e-6, atol=1e-9)


def test_a_vector_of_zeros_gives_zeros() -> None:
    for vector in ({}, {"1/b": np.zeros(2)}):
        product = hvp(CASES["tanh"][0], mse, init(CASES["tanh"][0], 0), ROWS.astype(np.float32), TARGETS, vector)
        assert list(product) == ["0/W", "0/b", "1/W", "1/b"] and not any(a.any() for a in product.values())


NET = dense(3, 2)
P = init(NET, 0, np.float64)
BAD: Cases = {
    "a vector of another network": (
        lambda: hvp(NET, mse, P, ROWS, TARGETS, {"V": np.ones(2)}), ValueError,
        r"hvp: vector must have names that are in params \(W, b\), got V",
    ),
    "a vector of another shape": (
        lambda: hvp(NET, mse, P, ROWS, TARGETS, {"b": np.ones(3)}), ValueError, r"hvp: vector\['b'\] must have shape \(2,\), got \(3,\)"
    ),
    "a NaN in the vector": (
        lambda: hvp(NET, mse, P, ROWS, TARGETS, {"b": np.array([0, np.nan])}), FloatingPointError,
        r"hvp: vector\['b'\] must be finite, got nan at \[1\].*",
    ),
    "a vector that is none": (
        lambda: hvp(NET, mse, P, ROWS, TARGETS, bad(np.ones(8))), TypeError, r"hvp: vector must be a mapping of names to arrays, got .*"
    ),
    "no key for dropout": (
        lambda: hvp(chain(NET, dropout(0.5)), mse, {f"0/{n}": a for n, a in P.items()}, ROWS, TARGETS, {"0/b": np.ones(2)}), ValueError,
        r"hvp: key must be given, as layer 1 is dropout \(hvp takes training passes only\), got None",
    ),
    "no network": (lambda: hvp(bad(relu), mse, P, ROWS, TARGETS, P), TypeError, r"hvp: net must be a pair of functions .*"),
    "targets of another shape": (
        lambda: hvp(NET, mse, P, ROWS, TARGETS[:, :1], P), ValueError, r"mse: targets must have the shape \(7, 2\) of the outputs.*"
    ),
    "an overflow": (
        lambda: hvp(NET, mse, {**P, "b": np.full(2, 1e200)}, ROWS, TARGETS, {"b": np.ones(2)}), FloatingPointError,
        r"hvp: the loss mse must be finite, got inf .*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


def test_calibrated_statistics_are_no_part_of_it() -> None:
    net = REGULARISED["batch norm"]
    params = calibrate(net, init(net, 0, np.float64), ROWS)
    product = hvp(net, mse, params, ROWS, TARGETS, {"1/W": np.ones((3, 5))}, key=1)
    assert not any(name.endswith(("mean", "var")) for name in product)
