"""Ensembles: every member is what it is alone."""

import numpy as np
import pytest
from numpy.typing import DTypeLike

from nnfunc import chain, dense, freeze, init, layer_norm, relu, split
from nnfunc.transforms import stack_params, unstack_params
from tests.numeric import bad, same_bits
from tests.samples import P, X
from tests.sentences import Cases, assert_sentence

NET = chain(hidden=dense(4, 3, relu), norm=layer_norm(3), out=dense(3, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 3])
def test_what_is_stacked_is_given_back_byte_for_byte(dtype: DTypeLike, m: int) -> None:
    members = tuple(init(NET, key, dtype) for key in split(0, m))
    stacked = stack_params(members)
    assert {name: array.shape for name, array in stacked.items()} == {n: (m, *a.shape) for n, a in members[0].items()}
    back = unstack_params(stacked)
    assert same_bits(back, members)
    for params in (stacked, *back):
        assert all(not a.flags.writeable and a.dtype == dtype for a in params.values())


def test_members_may_be_in_any_layout_and_order_and_share_no_memory() -> None:
    a, b = {"W": np.asfortranarray(np.eye(3)), "s": np.array(2.0)}, {"s": np.array(3.0), "W": np.ones((3, 3))}
    stacked = stack_params([a, b])
    assert list(stacked) == ["W", "s"]
    assert stacked["W"].flags.c_contiguous
    assert stacked["s"].tolist() == [2.0, 3.0]
    writable = {name: np.array(array) for name, array in stacked.items()}
    for given, made in ((a, stacked), (writable, unstack_params(writable)[0])):
        assert not any(np.may_share_memory(given[name], made[name]) for name in given)


BAD: Cases = {
    "stack_params of nothing": (
        lambda: stack_params([]), ValueError, r"stack_params: members must hold the params of one network at least, got none",
    ),
    "stack_params of params": (
        lambda: stack_params(bad(P)), TypeError, r"stack_params: members must be a sequence of params, got .*",
    ),
    "stack_params of numbers": (
        lambda: stack_params(bad([1])), TypeError, r"stack_params: members\[0\] must be a mapping of names to arrays, got 1",
    ),
    "stack_params of no params": (
        lambda: stack_params([{}, {}]), ValueError, r"stack_params: members\[0\] must hold an array at least, .*, got none",
    ),
    "stack_params of other names": (
        lambda: stack_params([P, {"W": X}]),
        ValueError, r"stack_params: members\[1\] must have the names that members\[0\] has \(hidden/W, .*\), got \['W'\]",
    ),
    "stack_params of another shape": (
        lambda: stack_params([P, P, {**P, "out/b": np.zeros(3, np.float32)}]),
        ValueError,
        r"stack_params: members\[2\]\['out/b'\] must have shape \(2,\), as in members\[0\], got float32 array of shape \(3,\)",
    ),
    "stack_params of another dtype": (
        lambda: stack_params([P, P, {name: a.astype(float) for name, a in P.items()}]),
        TypeError, r"stack_params: members\[2\] must be float32, as members\[0\], got float64",
    ),
    "unstack_params of no mapping": (
        lambda: unstack_params(bad([P])), TypeError, r"unstack_params: stacked must be a mapping of names to arrays, got .*",
    ),
    "unstack_params of nothing": (
        lambda: unstack_params({}), ValueError, r"unstack_params: stacked must hold arrays with a first axis, .*, got none",
    ),
    "unstack_params of a number": (
        lambda: unstack_params({"W": X, "s": np.array(1, np.float32)}),
        ValueError, r"unstack_params: stacked must hold arrays with a first axis, .*, got W \(5, 4\), s \(\)",
    ),
    "unstack_params of one network's params": (
        lambda: unstack_params(P),
        ValueError, r"unstack_params: stacked must hold arrays whose first axis is of one length, got hidden/W \(4, 3\), .*",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
