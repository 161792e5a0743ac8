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

from nnfunc import Array, Params, adam, chain, dense, forward, freeze, init, map_params, mlp, ravel, relu, residual, select, sgd_step
from nnfunc.values.params import grouped, is_weight
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


def test_params_below_a_path_are_those_of_the_layer_alone() -> None:
    params = init(NET, 0)
    hidden = select(params, "hidden")
    assert list(hidden) == ["W", "b"]
    assert same_bits(forward(dense(4, 3, relu), hidden, X), forward(chain(dense(4, 3, relu)), {"0/W": hidden["W"], "0/b": hidden["b"]}, X))
    assert list(select(params, "skip")) == ["0/W", "0/b", "1/W", "1/b"]
    assert same_bits(dict(select(params, "skip/1")), dict(select(select(params, "skip"), "1")))
    assert_frozen(hidden)


def test_select_shares_nothing_that_can_change_and_takes_lists_and_states() -> None:
    mine = {"a/W": np.ones(2), "ab/W": np.zeros(2)}
    assert not np.may_share_memory(select(mine, "a")["W"], mine["a/W"])
    assert mine["a/W"].flags.writeable
    assert select(bad({"a/W": [1, 2]}), "a")["W"].tolist() == [1, 2]
    assert select(adam()[0](init(NET, 0)), "t/hidden")["W"] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_params_in_a_vector_and_back(dtype: DTypeLike) -> None:
    params: Params = {**init(NET, 0, dtype), "s": np.asarray(2.0, dtype), "none": np.zeros((0, 3), dtype)}
    params = {name: np.asfortranarray(array) for name, array in params.items()}
    vector, unravel = ravel(params)
    assert vector.dtype == dtype and vector.flags.writeable
    assert vector.tolist() == [value for array in params.values() for value in array.ravel().tolist()]
    assert not any(np.may_share_memory(vector, array) for array in params.values())
    back = through_pickle(bad(unravel))
    for found in (unravel(vector), bad(back)(vector), unravel(vector.astype(np.float64)), unravel(vector[::-1][::-1])):
        assert same_bits(dict(found), dict(params))
        assert_frozen(found)
    assert same_bits(unravel(vector.astype(np.float16))["s"], params["s"])


def test_a_vector_that_changes_later_changes_no_params() -> None:
    vector, unravel = ravel({"W": np.zeros((2, 2))})
    params = unravel(vector)
    vector[:] = 1
    assert not params["W"].any()
    assert vector.flags.writeable
    base: Array = bad(params["W"].base)
    assert not base.flags.writeable
    empty, back = ravel({})
    assert empty.shape == (0,) and dict(back([])) == {}


IS_WEIGHT: dict[str, tuple[bool, ...]] = {  # with no axis, one, two, three
    "W": (True, True, True, True), "out/W": (True, True, True, True), "filter": (False, False, True, True),
    "s/filter": (False, False, True, True), "aW": (False, False, True, True), "W/s": (False, False, True, True),
    **dict.fromkeys(("b", "beta", "gamma", "mean", "var", "table", "words/table", "b/b"), (False,) * 4),
    "b/filter": (False, False, True, True),
}  # fmt: skip


@pytest.mark.parametrize("name", IS_WEIGHT)
def test_a_weight_is_told_by_its_name_first(name: str) -> None:
    assert tuple(is_weight(name, np.zeros((2,) * axes)) for axes in range(4)) == IS_WEIGHT[name]


def test_the_first_pattern_takes_a_name() -> None:
    names = ("a/W", "a/b", "c/W", "W")
    assert grouped("f", "x", ("a/?", "*W", "*"), names) == (("a/W", "a/b"), ("c/W", "W"), ())
    assert grouped("f", "x", ("[ac]/b",), names) == (("a/b",),)
    assert grouped("f", "x", ("a/*", "d"), ()) == ((), ())


BAD: Cases = {
    "an unknown path": (
        lambda: select(init(NET, 0), "dec"),
        ValueError, r"select: path must be one with params below it \(hidden, skip, skip/0, skip/1, out\), got 'dec'",
    ),
    "a path of a flat mapping": (
        lambda: select({"W": X}, "W"), ValueError, r"select: path must be one with params below it \(none\), got 'W'",
    ),
    "path empty": (lambda: select({"a/W": X}, ""), ValueError, r"select: path must be one .* \(a\), got ''"),
    "path a number": (lambda: select({"0/W": X}, bad(0)), TypeError, r"select: path must be a string, got 0"),
    "select from a list": (lambda: select(bad([1]), "a"), TypeError, r"select: params must be a mapping .*, got \[1\]"),
    "select of text": (lambda: select(bad({"a/W": "x"}), "a"), TypeError, r"select: a/W must hold numbers, got <U1 .*"),
    "ravel of two dtypes": (
        lambda: ravel({"W": X, "b": X.astype(float)}),
        TypeError, r"ravel: params must share one dtype, got W float32, b float64",
    ),
    "ravel of a number": (lambda: ravel(bad(3)), TypeError, r"ravel: params must be a mapping .*, got 3"),
    "unravel of too few": (
        lambda: ravel({"W": np.ones((2, 2)), "b": np.ones(1)})[1](np.ones(4)),
        ValueError, r"unravel: vector must have shape \(5,\), got float64 array of shape \(4,\)",
    ),
    "unravel of a column": (
        lambda: ravel({"W": np.ones((2, 2))})[1](np.ones((4, 1))),
        ValueError, r"unravel: vector must have shape \(4,\), got float64 array of shape \(4, 1\)",
    ),
    "unravel of text": (
        lambda: ravel({"W": np.ones(1)})[1](bad(["x"])), TypeError, r"unravel: vector must hold numbers, got <U1 .*",
    ),
    "unravel of what float32 cannot hold": (
        lambda: ravel({"W": np.ones(1, np.float32)})[1]([1e300]),
        FloatingPointError, r"unravel: vector must hold numbers that float32 can hold .*, got 1e\+300 at \[0\] .*",
    ),
    "a pattern that nothing matches": (
        lambda: grouped("l2", "names", ("a*", "b"), ("a", "ab")),
        ValueError, r"l2: names must have patterns that names of params match \(a, ab\), got 'b', which none matches",
    ),
    "a pattern that comes too late": (
        lambda: grouped("l2", "names", ("a*", "ab"), ("a", "ab")),
        ValueError, r"l2: names must have patterns .*, got 'ab', of whose names earlier ones leave none \(ab\)",
    ),
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
