"""Params stay frozen wherever they go."""

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

from nnfunc import Params, chain, dense, freeze, map_params, init, mlp, relu, residual, sgd_step
from tests.numeric import bad, same_bits
from tests.samples import X
from tests.sentences import Cases, assert_sentence

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


def test_map_params_goes_array_by_array_in_the_order_of_the_first() -> None:
    a: Params = {"W": np.array([[1.0, 2.0]]), "b": np.array(3.0)}
    b: Params = {"b": np.array(5.0), "W": np.array([[10.0, 20.0]])}
    found = map_params(lambda p, q, r: p + q * r, a, b, a)
    assert list(found) == ["W", "b"]
    assert found["W"].tolist() == [[11.0, 42.0]]
    assert found["b"].tolist() == 18.0
    assert_frozen(found)
    assert_frozen(map_params(lambda p: p, a))
    assert dict(map_params(np.negative, {})) == {}


def test_map_params_keeps_apart_what_its_function_keeps() -> None:
    kept = np.zeros(2)
    found = map_params(lambda p: kept, {"W": np.ones(2)})
    assert kept.flags.writeable
    assert not np.may_share_memory(found["W"], kept)


BAD: Cases = {
    "map_params of nothing": (
        lambda: map_params(np.add), TypeError, r"map_params: params must be at least one mapping .*, got none",
    ),
    "map_params of a list": (
        lambda: map_params(np.negative, bad([1])), TypeError, r"map_params: params must be a mapping .*, got \[1\]",
    ),
    "map_params of other names": (
        lambda: map_params(np.add, {"W": X}, {"V": X}),
        ValueError, r"map_params: params must have the same names \(W\), got \['V'\]",
    ),
    "map_params of many names": (
        lambda: map_params(np.add, {f"n{i}": X for i in range(30_000)}, {"V": X}),
        ValueError, r"map_params: params must have the same names \(n0, .*, n7 and 29992 more\), got \['V'\]",
    ),
    "map_params of no function": (
        lambda: map_params(bad(3), {"W": X}), TypeError, r"map_params: f must be a function of 1 array, got 3",
    ),
    "map_params of another function": (
        lambda: map_params(bad(relu), {"W": X}, {"W": X}),
        TypeError, r"map_params: f must be a function of 2 arrays, got the function relu, which takes \(z\)",
    ),
    "map_params of none": (
        lambda: map_params(np.negative, bad({"W": None})), TypeError, r"map_params: W must hold numbers, got object .*",
    ),
    "gradients of many other names": (
        lambda: sgd_step({"W": X}, {f"n{i}": X for i in range(30_000)}, 0.1),
        ValueError, r"sgd_step: grads must have names that are in params \(W\), got n0, .*, n7 and 29992 more",
    ),
    "params of many dtypes": (
        lambda: sgd_step({f"n{i}": X.astype("f4" if i else "f8") for i in range(30_000)}, {}, 0.1),
        TypeError, r"sgd_step: params must share one dtype, got n0 float64, n1 float32, .* and 29992 more",
    ),
    "params nested": (
        lambda: sgd_step(bad({"hidden": {"W": X}}), {}, 0.1),
        TypeError, r"sgd_step: params\['hidden'\] must be an array, as nothing is nested \(in its .*\), got a mapping of \['W'\]",
    ),
    "freeze of what is nested": (
        lambda: freeze(bad({"hidden": {"W": X}})), TypeError, r"freeze: mapping\['hidden'\] must be an array, as nothing is nested.*",
    ),
    "params with text": (
        lambda: sgd_step({"W": X, "classes": np.array(["a"])}, {}, 0.1),
        TypeError, r"sgd_step: classes must be floats; take it out: .*, got <U1 array of shape \(1,\)",
    ),
    "params a type": (lambda: sgd_step(bad(dict), {}, 0.1), TypeError, r"sgd_step: params must be a mapping .*"),
    "map_params to a text": (
        lambda: map_params(bad(lambda p: "x"), {"W": X}), TypeError, r"map_params: f\(array\) must hold numbers, got <U1 .*",
    ),
    "freeze of a list": (
        lambda: freeze(bad([1])),
        TypeError,
        r"freeze: mapping must be a mapping of names to arrays, got \[1\]",
    ),
    "name no string": (lambda: freeze(bad({1: X})), TypeError, r"freeze: mapping must have strings as names, got 1"),
    "value no array": (lambda: freeze({"a": bad("x")}), TypeError, r"freeze: a must hold numbers, got <U1 array.*"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
