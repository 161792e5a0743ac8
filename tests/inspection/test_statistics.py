"""Statistics of activations and updates, counted by hand."""

import math

import numpy as np
import pytest

from nnfunc import (
    activation_stats, chain, columns, combine, concatenate, dense, forward, init, layer_outputs, relu, sgd_step, sigmoid,
    table, tanh, update_ratio,
)  # fmt: skip
from tests.inspection.deep import DEEP, DEEP_P, DEEP_PARTS, INPUTS
from tests.layers import shared
from tests.numeric import bad, same_bits
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


def test_layer_outputs_are_what_each_layer_gives_by_hand() -> None:
    outputs = layer_outputs(DEEP, DEEP_P, INPUTS, key=1)
    assert list(outputs) == ["hidden", "norm", "skip/0", "skip/1", "skip", "out"]
    assert same_bits(outputs["out"], forward(DEEP, DEEP_P, INPUTS, key=1))
    given = {"hidden": INPUTS, "norm": outputs["hidden"], "out": outputs["skip"]}
    for i, (path, layer) in enumerate(DEEP_PARTS.items()):
        if path in given:
            own = {name.removeprefix(f"{path}/"): a for name, a in DEEP_P.items() if name.startswith(f"{path}/")}
            assert same_bits(outputs[path], forward(layer, own, given[path], key=(1, i)))
    assert np.array_equal(outputs["skip"], outputs["norm"] + outputs["skip/1"])


def test_layer_outputs_of_branches_and_of_what_runs_twice() -> None:
    net = chain(pair=combine(shared, tower=chain(a=dense(1, 2, tanh), b=dense(2, 3))), side=concatenate(x=columns(0, 2)))
    params = init(net, 0, np.float64)
    outputs = layer_outputs(net, params, [[1.0, 2.0], [3.0, 4.0]])
    assert list(outputs) == [
        "pair/tower/a", "pair/tower/b", "pair/tower/a (2)", "pair/tower/b (2)", "pair", "side/x", "side"
    ]  # fmt: skip
    assert np.array_equal(outputs["pair"], outputs["pair/tower/b"] - outputs["pair/tower/b (2)"])
    own = {"W": params["pair/tower/a/W"], "b": params["pair/tower/a/b"]}
    assert same_bits(outputs["pair/tower/a (2)"], forward(dense(1, 2, tanh), own, [[2.0], [4.0]]))
    assert [row["layer"] for row in activation_stats(net, params, [[1.0, 2.0]])] == list(outputs)
    named = layer_outputs(combine(shared, net=dense(1, 2)), {"net/W": np.ones((1, 2)), "net/b": np.zeros(2)}, [[1.0, 2.0]])
    assert list(named) == ["net", "net (2)", ""]
    alone = layer_outputs(columns(0, 1), {}, [[1.0, 2.0]])
    assert list(alone) == [""] and alone[""].flags.writeable


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
    "outputs of inputs too narrow": (
        lambda: layer_outputs(NET, P, X[:, :3]), ValueError, r"dense: hidden/x must have shape \(rows, 4\), got \(5, 3\)"
    ),
    "outputs of no network": (
        lambda: layer_outputs(bad(relu), P, X), TypeError, r"layer_outputs: net must be a pair of functions .*"
    ),
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
