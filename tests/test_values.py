"""Params stay frozen wherever they go; keys name independent streams."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

from nnfunc import (
    Key,
    Layer,
    Params,
    chain,
    dense,
    fold_in,
    forward,
    freeze,
    generator,
    init,
    mlp,
    relu,
    residual,
    split,
)
from tests.numeric import same_bits

NET = chain(hidden=dense(4, 3, relu), skip=residual(mlp([3, 5, 3])), out=dense(3, 2))


def in_process(params: Params) -> Params:
    """Return what is given: the trip to the other process and back is the point."""
    assert_frozen(params)
    return params


def through_pool(params: Params) -> Params:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(in_process, params).result()


def through_pickle(params: Params) -> Params:
    result: Params = pickle.loads(pickle.dumps(params))
    return result


def put(target: Any, where: object, value: object) -> None:
    """Assign, out of the type checker's sight."""
    target[where] = value


def assert_frozen(params: Params) -> None:
    with pytest.raises(TypeError):
        put(params, next(iter(params)), np.zeros(1))
    for array in params.values():
        with pytest.raises(ValueError, match="read-only"):
            put(array, 0, 1)


@pytest.mark.parametrize("trip", [through_pickle, copy.deepcopy, copy.copy, through_pool])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_params_come_back_equal_and_frozen(trip: Callable[[Params], Params], dtype: DTypeLike) -> None:
    params = init(NET, key=3, dtype=dtype)
    back = trip(params)
    assert same_bits(dict(params), dict(back))
    assert_frozen(back)


def test_the_check_for_frozen_finds_what_is_not() -> None:
    with pytest.raises(pytest.fail.Exception):
        assert_frozen({"W": np.zeros(2)})
    with pytest.raises(pytest.fail.Exception):
        assert_frozen(MappingProxyType({"W": np.zeros(2)}))


def test_other_mapping_proxies_travel_as_they_are() -> None:
    back = pickle.loads(pickle.dumps(MappingProxyType({"a": np.zeros(2), "b": "text"})))
    assert isinstance(back, MappingProxyType)
    assert back["b"] == "text"
    assert back["a"].flags.writeable


def test_freeze_shares_no_memory_and_keeps_order() -> None:
    array = np.arange(3.0)
    view = array[:]
    array.setflags(write=False)
    params = freeze({"b": array, "a": [1.0, 2.0]})
    array.setflags(write=True)
    view[0] = 9
    assert params["b"].tolist() == [0, 1, 2]
    assert list(params) == ["b", "a"]
    assert_frozen(params)


def test_networks_pickle() -> None:
    back: Layer = pickle.loads(pickle.dumps(NET))
    params, x = init(NET, 0), np.ones((2, 4), np.float32)
    assert same_bits(init(back, 0), params)
    assert same_bits(forward(back, params, x), forward(NET, params, x))


def test_init_is_float32_unless_asked_and_rounds_the_same_numbers() -> None:
    single, double = init(NET, 5), init(NET, 5, np.float64)
    assert {a.dtype for a in single.values()} == {np.dtype(np.float32)}
    assert {a.dtype for a in double.values()} == {np.dtype(np.float64)}
    for name in single:
        assert np.array_equal(single[name], double[name].astype(np.float32))
    assert list(single) == [
        "hidden/W", "hidden/b", "skip/0/W", "skip/0/b", "skip/1/W", "skip/1/b", "out/W", "out/b",
    ]  # fmt: skip


def test_keys_that_differ_give_different_streams() -> None:
    roots: list[Key] = [0, 1, 2**32, 2**32 + 1, 2**127, 2**64]
    paths: list[Key] = [(0, 0), (0, 0, 0), (0, 1), (1, 0), (0, 2**32 - 1), (2**32, 0), (0, 1, 0), (2**127, 1), (2**64, 0)]
    draws = {generator(key).bytes(16) for key in roots + paths}
    assert len(draws) == len(roots) + len(paths)


def test_streams_are_uncorrelated() -> None:
    draws = np.array([generator(key).standard_normal(20_000) for key in (0, (0, 0), (0, 1), (0, 0, 0), 1)])
    off_diagonal = np.corrcoef(draws)[~np.eye(len(draws), dtype=bool)]
    assert np.abs(off_diagonal).max() < 0.03


def test_keys_are_paths() -> None:
    assert fold_in(7, 2) == (7, 2)
    assert fold_in((7, 2), np.int64(3)) == (7, 2, 3)
    assert split((7,), 2) == ((7, 0), (7, 1))
    assert same_bits(generator(7).bytes(8), generator((7,)).bytes(8))


@pytest.mark.parametrize("key", [-1, (0, -1), (), 1.5, "0", True, (0, 2**32), 2**128, None, [0]])
def test_keys_out_of_range_are_refused(key: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="key must"):
        generator(key)
