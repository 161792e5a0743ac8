"""Row weights: two is the row twice, zero is the row gone, and only their ratio counts."""

import numpy as np
import pytest

from nnfunc import (
    AnyArray, Array, Params, calibrate, current_params, forward, grads, init, l2, loss, mse, sharded_value_and_grads,
    softmax_cross_entropy, train, value_and_grads,
)  # fmt: skip
from tests.laws.data import NET, X, Y
from tests.numeric import assert_close, same_bits
from tests.samples import REGULARISED, ROWS, TARGETS


def batch_loss(x: Array, y: AnyArray, weight: Array | None = None) -> tuple[float, Params]:
    params = init(NET, 0, np.float64)
    return value_and_grads(NET, softmax_cross_entropy, params, x, y, weight=weight)


def test_weight_two_is_the_row_twice() -> None:
    twice = [0, 1, 1, 2, 3, 4, 4]
    assert_close(batch_loss(X, Y, np.array([1.0, 2, 1, 1, 2])), batch_loss(X[twice], Y[twice]))


def test_weight_zero_is_the_row_gone_even_if_it_is_nan() -> None:
    kept = [0, 2, 3]
    gone = X.copy()
    gone[[1, 4]] = np.nan
    assert same_bits(batch_loss(gone, Y, np.array([1.0, 0, 1, 1, 0])), batch_loss(X[kept], Y[kept], np.ones(3)))


@pytest.mark.parametrize("scale", [1e-321, 1e-310, 1e-300, 1e-3, 7.0, 1e307])
def test_scaling_all_weights_changes_nothing(scale: float) -> None:
    weight = np.array([1.0, 2, 0.5, 1, 4])
    assert_close(batch_loss(X, Y, weight * scale), batch_loss(X, Y, weight))
    params = init(NET, 0, np.float64)

    def everywhere(weight: Array) -> tuple[Params, ...]:
        shards = sharded_value_and_grads(NET, softmax_cross_entropy, params, X, Y, weight=weight, shards=3)[1]
        runs = [train(NET, softmax_cross_entropy, params, X, Y, epochs=2, lr=0.1, size=n, weight=weight) for n in (1, 2, 5)]
        return (shards, *(current_params(list(run)[-1][0]) for run in runs))

    for scaled, own in zip(everywhere(weight * scale), everywhere(weight), strict=True):
        for name, array in own.items():
            assert np.allclose(scaled[name], array, rtol=1e-12, atol=1e-14)


def test_equal_weights_are_no_weights() -> None:
    assert_close(batch_loss(X, Y, np.full(5, 3.0)), batch_loss(X, Y))


def test_gradients_of_shards_add_up() -> None:
    whole = batch_loss(X, Y)[1]
    parts = [(batch_loss(X[rows], Y[rows])[1], len(Y[rows])) for rows in (slice(0, 2), slice(2, 5))]
    for name in whole:
        assert np.allclose(whole[name], sum(g[name] * n for g, n in parts) / 5, rtol=1e-12, atol=1e-15)


def test_shards_of_a_batch_add_up_where_rows_do_not_touch() -> None:
    net = REGULARISED["layer norm"]
    params = init(net, 1, np.float64)
    whole = grads(net, mse, params, ROWS, TARGETS, penalty=l2(0.1))
    shards = np.array_split(np.arange(7), 3)
    parts = [(grads(net, mse, params, ROWS[rows], TARGETS[rows], penalty=l2(0.1)), rows.size) for rows in shards]
    for n, a in whole.items():
        assert np.allclose(a, sum(g[n] * size for g, size in parts) / 7, rtol=1e-12, atol=1e-15)


def test_batch_norm_with_a_key_counts_rows_and_not_their_weights() -> None:
    net = REGULARISED["batch norm"]
    params, twice, weight = init(net, 1, np.float64), [0, 0, 1, 2, 3, 4, 5, 6], np.array([2.0, 1, 1, 1, 1, 1, 1])
    by_weight = loss(net, mse, params, ROWS, TARGETS, weight=weight, key=0)
    by_row = forward(net, params, ROWS, key=0)
    assert by_weight == pytest.approx(np.average(((by_row - TARGETS) ** 2).mean(axis=1), weights=weight), rel=1e-12)
    assert by_weight != pytest.approx(loss(net, mse, params, ROWS[twice], TARGETS[twice], key=0), rel=1e-3)
    whole = calibrate(net, params, ROWS)  # at inference a weight of 2 is the row twice
    by_weight = loss(net, mse, whole, ROWS, TARGETS, weight=weight)
    assert by_weight == pytest.approx(loss(net, mse, whole, ROWS[twice], TARGETS[twice]), rel=1e-12)
