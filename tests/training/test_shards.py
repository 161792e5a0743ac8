"""Shards: the gradients of the whole batch, and the same bits under any executor."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

from nnfunc import (
    AnyArray,
    Array,
    Params,
    batch_norm,
    chain,
    dense,
    dropout,
    init,
    l2,
    mlp,
    mse,
    relu,
    sharded_value_and_grads,
    softmax_cross_entropy,
    value_and_grads,
)
from tests.numeric import relative_error, same_bits

DRAW = np.random.default_rng(0)
X: Array = DRAW.normal(size=(23, 5))
Y: AnyArray = DRAW.integers(0, 3, 23)
NET = mlp([5, 7, 3])
NOISY = chain(a=dense(5, 8, relu), b=dropout(0.5), c=dense(8, 3))
CE = softmax_cross_entropy


def dying_loss(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    os._exit(1)


@contextmanager
def backwards() -> Iterator[Executor]:
    """Give an executor whose map does the last part first."""
    executor: Any = ThreadPoolExecutor(1)

    def backwards_map(function: Callable[..., Any], *parts: Any) -> list[Any]:
        return [function(*part) for part in reversed(list(zip(*parts, strict=True)))][::-1]

    executor.map = backwards_map
    with executor:
        yield executor


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shards", [1, 2, 5, 23])
def test_shards_add_up_to_the_batch(dtype: DTypeLike, shards: int) -> None:
    params, x = init(NET, 0, dtype), X.astype(dtype)
    weight = DRAW.uniform(0.5, 3, 23) * (np.arange(23) % 4 > 0)
    for w in (None, weight):
        count = shards if w is None else min(shards, int((weight > 0).sum()))
        value, g = sharded_value_and_grads(NET, CE, params, x, Y, shards=count, weight=w, penalty=l2(0.01))
        whole, expected = value_and_grads(NET, CE, params, x, Y, weight=w, penalty=l2(0.01))
        tolerance = 1e-14 if dtype == np.float64 else 1e-6
        assert value == pytest.approx(whole, rel=tolerance)
        assert relative_error(g, expected) < tolerance
        assert all(a.dtype == dtype and not a.flags.writeable for a in g.values())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("key", [None, (3, 1)], ids=["no key", "key"])
def test_any_executor_gives_the_same_bits(dtype: DTypeLike, key: tuple[int, ...] | None) -> None:
    net = NET if key is None else NOISY
    params, x = init(net, 0, dtype), X.astype(dtype)

    def run(executor: Executor | None) -> tuple[float, Params]:
        return sharded_value_and_grads(net, CE, params, x, Y, shards=6, key=key, executor=executor)

    expected = run(None)
    pools: list[Any] = [
        ThreadPoolExecutor(4),
        ProcessPoolExecutor(2, mp_context=get_context("fork")),
        ProcessPoolExecutor(2, mp_context=get_context("spawn")),
    ]
    for pool in pools:
        with pool:
            assert same_bits(run(pool), expected), pool
    with backwards() as executor:
        assert same_bits(run(executor), expected)
    digest = hashlib.sha256(b"".join(a.tobytes() for a in expected[1].values())).hexdigest()[:16]
    print(f"{np.dtype(dtype)} {key} {digest}")


def test_a_dask_cluster_gives_the_same_bits() -> None:
    pytest.importorskip("distributed")
    import shards

    assert len(shards.main(with_dask=True)) == 1


def test_a_worker_that_dies_is_an_error_and_loses_nothing() -> None:
    params = init(NET, 0)
    with ProcessPoolExecutor(1) as pool, pytest.raises(BrokenProcessPool):
        sharded_value_and_grads(NET, dying_loss, params, X, Y, shards=2, executor=pool)
    with ProcessPoolExecutor(1) as pool:
        again = sharded_value_and_grads(NET, CE, params, X, Y, shards=2, executor=pool)
    assert same_bits(again, sharded_value_and_grads(NET, CE, params, X, Y, shards=2))


def test_what_cannot_be_sharded_is_refused_with_the_reason() -> None:
    norm = chain(dense(5, 4), batch_norm(4))
    with pytest.raises(ValueError, match="sharded_value_and_grads: net must have no batch norm, .* mixes the rows"):
        sharded_value_and_grads(norm, mse, init(norm, 0), X, X[:, :4], shards=2, key=0)
    with pytest.raises(ValueError, match="sharded_value_and_grads: shards must be at most 23, .*, got 24"):
        sharded_value_and_grads(NET, CE, init(NET, 0), X, Y, shards=24)
    with pytest.raises(ValueError, match="sharded_value_and_grads: key must be given"):
        sharded_value_and_grads(NOISY, CE, init(NOISY, 0), X, Y, shards=2)

    def local_loss(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        return mse(outputs, targets)

    with ProcessPoolExecutor(1) as pool, pytest.raises(TypeError, match="must be made of functions of modules"):
        sharded_value_and_grads(NET, local_loss, init(NET, 0), X, X[:, :3], shards=2, executor=pool)


def test_huge_weights_and_bad_rows_are_met_as_in_one_batch() -> None:
    params = init(NET, 0, np.float64)
    huge = sharded_value_and_grads(NET, CE, params, X, Y, shards=3, weight=np.full(23, 1e308))
    assert huge[0] == pytest.approx(value_and_grads(NET, CE, params, X, Y)[0], rel=1e-14)
    wrong = Y.copy()
    wrong[20] = 9
    with pytest.raises(ValueError, match=r"got 9 at row 3 \(in the shard that begins at row 17\)"):
        sharded_value_and_grads(NET, CE, params, X, wrong, shards=4)
    unfit: Any = 4
    others: list[Any] = [unfit, ThreadPoolExecutor]
    for executor in others:
        with pytest.raises(TypeError, match="sharded_value_and_grads: executor must be an executor"):
            sharded_value_and_grads(NET, CE, params, X, Y, shards=4, executor=executor)
