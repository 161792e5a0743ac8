"""Params of another network: each difference in its row, and refused with all of them."""

import numpy as np
import pytest

from nnfunc import chain, check_params, dense, diff_params, init, mse, table, train


def test_diff_params_by_hand() -> None:
    a = {"same": np.ones(2), "moved": np.array([1.0, 5.0]), "kind": np.ones(1), "wide": np.ones(2), "gone": np.ones(1)}
    b = {
        "same": np.ones(2),
        "moved": np.array([1.5, 3.0]),
        "kind": np.ones(1, np.float32),
        "wide": np.ones(3),
        "new": np.ones(1),
    }
    found = {row["name"]: (row["difference"], row["largest"]) for row in diff_params(a, b)}
    assert found == {
        "moved": ("values", 2.0),
        "kind": ("dtype", 0.0),
        "wide": ("shape", None),
        "gone": ("missing", None),
        "new": ("extra", None),
    }
    assert diff_params({"a": np.asarray(3)}, {"a": np.asarray(3)}) == []
    assert diff_params({"a": np.array([2**53])}, {"a": np.array([2**53 + 1])})[0]["largest"] == 1
    assert diff_params({"a": np.array([np.nan, np.inf])}, {"a": np.array([np.nan, np.inf])}) == []
    text, other = np.array(["no", "yes"]), np.array(["no", "?"], "<U3")
    assert diff_params({"a": text}, {"a": text.copy()}) == []
    assert [row["difference"] for row in diff_params({"a": text, "b": text}, {"a": other, "b": np.ones(2)})] == ["values", "dtype"]
    assert len(table(diff_params(a, b)).splitlines()) == 6


def test_params_of_another_network_are_refused_with_a_table() -> None:
    net, other = chain(hidden=dense(4, 3), out=dense(3, 2)), chain(hidden=dense(4, 5), last=dense(5, 2))
    with pytest.raises(ValueError, match=r"check_params: params must be those of the network, got others:\n") as caught:
        check_params(net, init(other, 0))
    lines = [line.split()[:2] for line in str(caught.value).splitlines()[2:]]
    assert lines == [
        ["hidden/W", "shape"],
        ["hidden/b", "shape"],
        ["out/W", "missing"],
        ["out/b", "missing"],
        ["last/W", "extra"],
        ["last/b", "extra"],
    ]
    deep = chain(*(dense(1, 1) for _ in range(500)))
    with pytest.raises(ValueError, match=r"hidden/W +missing(.*\n)+and 997 more, which diff_params tells of$") as caught:
        check_params(net, init(deep, 0))
    assert len(str(caught.value)) < 1000
    x = np.ones((5, 4), np.float32)
    state, _ = next(train(other, mse, init(other, 0), x, x[:, :2], epochs=1, lr=0.1))
    with pytest.raises(ValueError, match="train: params must be those of the network, got others"):
        train(net, mse, state, x, x[:, :2], epochs=2, lr=0.1)
    check_params(net, init(net, 0, np.float64))
