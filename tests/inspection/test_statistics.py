"""Statistics of activations and updates, counted by hand."""

import math

import numpy as np
import pytest

from nnfunc import activation_stats, chain, dense, relu, sgd_step, sigmoid, table, update_ratio
from tests.inspection.deep import DEEP, DEEP_P, INPUTS
from tests.numeric import bad
from tests.samples import AFFINE, NET, P, X
from tests.sentences import Cases, assert_sentence


def test_activation_stats_by_hand() -> None:
    net = chain(a=dense(2, 2, relu), b=dense(2, 3, sigmoid))
    params = {"a/W": np.array([[1.0, -1.0], [0.0, 0.0]]), "a/b": np.zeros(2), "b/W": np.zeros((2, 3)), "b/b": np.array([0, 10.0, -10])}
    first, second = activation_stats(net, params, [[1.0, 5.0], [-3.0, 5.0], [2.0, 5.0]])
    # the hidden values are 1 0, 0 3, 2 0: mean 1, mean square 14 / 6
    assert (first["layer"], first["kind"], first["mean"]) == ("a", "dense relu", 1.0)
    assert first["variance"] == pytest.approx(14 / 6 - 1)
    assert (first["zero"], first["dead"], first["saturated"]) == (0.5, 0.0, 0.5)
    assert (second["zero"], second["dead"]) == (0.0, 0.0)
    assert second["saturated"] == pytest.approx(2 / 3)
    dead = activation_stats(net, {**params, "a/b": np.array([-9.0, 0.0])}, [[1.0, 5.0], [-3.0, 5.0]])[0]
    assert dead["dead"] == 0.5


def test_activation_stats_of_every_layer() -> None:
    rows = activation_stats(DEEP, DEEP_P, INPUTS, key=1)
    assert [row["layer"] for row in rows] == ["hidden", "norm", "skip/0", "skip/1", "skip", "out"]
    assert rows[1]["mean"] == pytest.approx(0, abs=1e-6)
    assert rows[1]["variance"] == pytest.approx(1 - rows[0]["dead"], abs=0.05)
    assert rows[3]["zero"] > 0.2
    assert rows[5]["saturated"] is None


def test_update_ratio_by_hand() -> None:
    before = {"W": np.array([[3.0], [4.0]]), "b": np.zeros(2), "c": np.zeros(1)}
    after = sgd_step(before, {"W": np.array([[0.0], [5.0]]), "b": np.ones(2), "c": np.zeros(1)}, 0.1)
    assert update_ratio(before, after) == {"W": pytest.approx(0.1), "b": math.inf, "c": 0.0}
    assert table(update_ratio(before, after)).splitlines() == ["name  value", "W       0.1", "b       inf", "c         0"]


def test_update_ratio_passes_over_statistics_that_a_step_leaves_out() -> None:
    one, two = np.ones(1), np.full(1, 2.0)
    bare = {"gamma": one, "beta": one}
    whole = {**bare, "mean": one, "var": one}
    assert update_ratio(whole, {"gamma": two, "beta": one}) == update_ratio(bare, {**whole, "gamma": two})
    assert update_ratio(whole, {"gamma": two, "beta": one}) == {"gamma": 1.0, "beta": 0.0}
    assert list(update_ratio(whole, whole)) == ["gamma", "beta", "mean", "var"]


def test_update_ratio_of_the_largest() -> None:
    assert update_ratio({"W": np.full(3, 3e38, np.float32)}, {"W": np.full(3, -3e38, np.float32)}) == {"W": pytest.approx(2)}
    assert update_ratio({"W": np.array([1e200])}, {"W": np.array([1.1e200])}) == {"W": pytest.approx(0.1)}
    assert update_ratio({"W": np.array([1.5e308])}, {"W": np.array([-1.5e308])}) == {"W": pytest.approx(2)}


BAD: Cases = {
    "inputs too narrow": (
        lambda: activation_stats(NET, P, X[:, :3]),
        ValueError,
        r"dense: hidden/x must have shape \(rows, 4\), got \(5, 3\)",
    ),
    "other names after": (
        lambda: update_ratio(P, AFFINE),
        ValueError,
        r"update_ratio: after must have the names of before .*, got .*",
    ),
    "before None": (
        lambda: update_ratio(bad(None), P),
        TypeError,
        r"update_ratio: before must be a mapping .*, got None",
    ),
    "name no string": (
        lambda: update_ratio(P, bad({1: X})),
        TypeError,
        r"update_ratio: after must have strings as names, got 1",
    ),
    "infinite after": (
        lambda: update_ratio(P, {**P, "out/b": P["out/b"] + np.inf}),
        FloatingPointError,
        r"update_ratio: after\['out/b'\] .*, got inf .*",
    ),
    "another shape after": (
        lambda: update_ratio(P, {**P, "out/b": X}),
        ValueError,
        r"update_ratio: after\['out/b'\] must have shape \(2,\), got \(5, 4\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
