"""Looking inside: hand-counted summaries, statistics and ratios; a diagnosis for each kind of fault."""

import math

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    InputGradient,
    Key,
    Layer,
    LossFn,
    Params,
    Penalty,
    Pullback,
    activation,
    activation_stats,
    batch_norm,
    chain,
    cross_entropy,
    dense,
    diagnose,
    dropout,
    init,
    layer_norm,
    mse,
    relu,
    residual,
    sgd_step,
    sigmoid,
    softmax,
    summary,
    table,
    tanh,
    update_ratio,
)

NET = chain(
    hidden=dense(3, 4, relu), norm=batch_norm(4), skip=residual(chain(dense(4, 4, tanh), dropout(0.5))), out=dense(4, 2)
)
X: Array = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
Y: Array = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)
P = init(NET, 0)


def doubled() -> Layer:
    def twice(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: 2 * dy

        return 2 * x, pullback

    return lambda key, dtype: {}, twice


# Summary


def test_summary_counted_by_hand() -> None:
    rows = summary(NET, P)
    assert [row["layer"] for row in rows] == ["hidden", "norm", "skip/0", "skip/1", "skip", "out", "total"]
    assert [row["kind"] for row in rows[:-1]] == [
        "dense relu", "batch norm", "dense tanh", "dropout 0.5", "residual", "dense"
    ]  # fmt: skip
    assert [(row["in"], row["out"]) for row in rows] == [(3, 4), (4, 4), (4, 4), (4, 4), (4, 4), (4, 2), (3, 2)]
    assert [row["parameters"] for row in rows] == [16, 8, 20, 0, 0, 10, 54]
    assert [row["bytes"] for row in rows] == [64, 32, 80, 0, 0, 40, 216]
    # 3 x 4 products and 3 x 4 sums, 4 relus; 4 per value; 16 + 16 + 4; none; 4 sums; 8 + 8
    assert [row["operations"] for row in rows] == [28, 16, 36, 0, 4, 16, 100]
    assert rows[0]["shapes"] == "W (3, 4), b (4)"
    assert sum(a.size for a in P.values()) == 54


def test_summary_says_what_it_does_not_know() -> None:
    net = chain(dense(2, 3), doubled(), dense(3, 1), layer_norm(1), activation(softmax))
    rows = summary(net, init(net, 0, np.float64))
    assert [(row["kind"], row["in"], row["out"]) for row in rows[1:3]] == [("twice", 3, None), ("dense", 3, 1)]
    assert rows[1]["operations"] is rows[-1]["operations"] is None
    assert rows[-1]["bytes"] == 8 * (9 + 4 + 2)
    lines = table(rows).splitlines()
    assert lines[0].split() == ["layer", "kind", "in", "out", "shapes", "parameters", "bytes", "operations"]
    assert len({len(line) for line in lines if line[-1] != " "}) == 1
    assert summary(dense(2, 3, (np.sin, np.cos)), init(dense(2, 3), 0))[0]["kind"] == "dense sin"


# Statistics


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
    rows = activation_stats(NET, P, X, key=1)
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


def test_update_ratio_of_the_largest() -> None:
    assert update_ratio({"W": np.full(3, 3e38, np.float32)}, {"W": np.full(3, -3e38, np.float32)}) == {"W": pytest.approx(2)}
    assert update_ratio({"W": np.array([1e200])}, {"W": np.array([1.1e200])}) == {"W": pytest.approx(0.1)}
    assert update_ratio({"W": np.array([1.5e308])}, {"W": np.array([-1.5e308])}) == {"W": pytest.approx(2)}


# Diagnosis


def value_at(array: Array, index: tuple[int, ...], value: float) -> Array:
    changed = array.copy()
    changed[index] = value
    return changed


def own(forward_factor: float, back_factor: float) -> Layer:
    """Return a layer of one's own that multiplies, forth and back."""

    def scaled(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: dy * back_factor

        return x * forward_factor, pullback

    return lambda key, dtype: {}, scaled


def log_loss(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
    per_example, d = mse(outputs, y)
    return np.log(0 * per_example), d


def steep_loss(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
    per_example, d = mse(outputs, y)
    return per_example, d * math.nan


def steep_penalty(params: Params) -> tuple[float, Params]:
    return 1.0, {"a/W": params["a/W"] * math.nan}


def bad_penalty(params: Params) -> tuple[float, Params]:
    return math.nan, {}


SMALL = chain(a=dense(3, 4, tanh), b=dense(4, 2))
SP = init(SMALL, 0)
INNER = chain(a=dense(3, 4), b=own(math.nan, 1), c=dense(4, 2))
BACK = chain(a=dense(3, 4), b=own(1, math.inf), c=dense(4, 2))
WRONG_F = chain(a=dense(3, 4, (lambda z: z / np.zeros_like(z), lambda z: z)), b=dense(4, 2))
WRONG_DF = chain(a=dense(3, 4, (np.sin, lambda z: z / np.zeros_like(z))), b=dense(4, 2))
LARGE = {**SP, "b/W": np.full((4, 2), 3e38, np.float32), "b/b": np.full(2, 3e38, np.float32)}
CASES: list[tuple[Layer, LossFn, Params, Array, Array, Penalty | None, str, str]] = [
    (SMALL, mse, SP, value_at(X, (4, 2), math.nan), Y, None, "column 2 of the inputs x: nan at [4, 2], passed on", "the data"),
    (SMALL, mse, SP, X, value_at(Y, (1, 0), math.inf), None, "the targets y: inf at [1, 0], passed on", "rows of y"),
    (SMALL, mse, {**SP, "a/b": value_at(SP["a/b"], (3,), math.nan)}, X, Y, None, "the parameter a/b: nan at [3]", "an earlier step"),
    (SMALL, mse, SP, value_at(X, (0, 1), math.inf), Y, None, "column 1 of the inputs x: inf", "the data"),
    (SMALL, mse, LARGE, X, Y, None, "the output of layer b:", "b/W is as large as 3e+38"),
    (SMALL, mse, SP, X, Y * 1e30, None, "the loss mse: inf at [0], produced", "grew too large"),
    (INNER, mse, init(INNER, 0), X, Y, None, "the output of layer b: nan at [0, 0], produced", "layer b is not the library's"),
    (WRONG_F, mse, SP, X, Y, None, "the activation of layer a:", "a broken step: layer a"),
    (BACK, mse, init(BACK, 0), X, Y, None, "the gradient of input of b: ", "the way back of a layer"),
    (WRONG_DF, mse, SP, X, Y, None, "the gradient of a/W: ", "the way back of a layer"),
    (SMALL, log_loss, SP, X, Y, None, "the loss log_loss: -inf at [0], produced", "the loss log_loss is not the library's own"),
    (SMALL, steep_loss, SP, X, Y, None, "the gradient of outputs: nan at [0, 0], produced", "the loss steep_loss is not the library's own"),
    (SMALL, mse, SP, X, Y, bad_penalty, "the penalty bad_penalty: nan", "a broken penalty"),
    (SMALL, mse, SP, X, Y, steep_penalty, "the gradient of a/W of the penalty steep_penalty: nan", "a broken penalty"),
    (
        chain(a=dense(3, 4), b=dense(4, 2)), mse, SP, value_at(X, (2, 0), 3e38), Y, None,
        "the output of layer a:", "input scale: column 0 of x reaches 3e+38",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("net", "loss_fn", "params", "x", "y", "penalty", "text", "cause"), CASES, ids=[c[6][:40] for c in CASES])
def test_each_fault_is_named(
    net: Layer, loss_fn: LossFn, params: Params, x: Array, y: Array, penalty: Penalty | None, text: str, cause: str
) -> None:
    if text.startswith("the output of layer a"):
        params = {**params, "a/W": np.full((3, 4), 2, np.float32)}
    found = diagnose(net, loss_fn, params, x, y, penalty=penalty, key=1)
    assert not found["finite"]
    assert found["text"].startswith(text), found["text"]
    assert cause in found["cause"], found["cause"]
    first = found["first"]
    assert first is not None
    assert first["status"] == ("passed on" if first["tensor"] in ("input", "target", "parameter") else "produced")
    assert f"({first['bad']} of {first['size']} values)" in found["text"]


def test_what_follows_the_first_is_passed_on() -> None:
    found = diagnose(SMALL, mse, SP, value_at(X, (4, 2), math.nan), Y)
    told = [(s["name"], s["tensor"], s["status"], s["bad"]) for s in found["stages"] if s["bad"]]
    assert told[:4] == [
        ("x", "input", "passed on", 1),
        ("a", "pre-activation", "passed on", 4),
        ("a", "activation", "passed on", 4),
        ("b", "output", "passed on", 2),
    ]
    assert {s["status"] for s in found["stages"] if s["bad"]} == {"passed on"}
    clean = X[np.arange(6) != 4, 2]
    assert (found["stages"][0]["lowest"], found["stages"][0]["highest"]) == (min(X.min(), clean.min()), X[np.isfinite(X)].max())


def test_a_healthy_batch_is_called_finite() -> None:
    found = diagnose(NET, mse, P, X, Y, key=1)
    assert (found["finite"], found["first"], found["cause"]) == (True, None, "")
    assert found["text"].startswith(f"all {len(found['stages'])} tensors are finite; the widest gradient")
    assert {s["tensor"] for s in found["stages"]} == {
        "input", "target", "parameter", "pre-activation", "activation", "output", "loss", "gradient"
    }  # fmt: skip
    gradients = [s["name"] for s in found["stages"] if s["tensor"] == "gradient"]
    assert gradients[:4] == ["outputs", "out/W", "out/b", "input of out"]
    assert set(P) <= set(gradients)


def test_a_large_column_is_worth_a_word_even_if_all_is_finite() -> None:
    found = diagnose(SMALL, mse, SP, X * np.array([1, 1, 1e6], np.float32), Y)
    assert found["finite"]
    assert found["cause"].startswith("input scale: column 2 of x reaches")


def test_rows_of_weight_zero_are_left_out() -> None:
    bad = value_at(X, (4, 2), math.nan)
    assert diagnose(SMALL, mse, SP, bad, Y, weight=[1, 1, 1, 1, 0, 1])["finite"]
    assert not diagnose(SMALL, mse, SP, bad, Y, weight=[1, 1, 1, 1, 1, 0])["finite"]


def test_a_loss_that_refuses_bad_outputs_does_not_end_the_diagnosis() -> None:
    net = chain(a=own(math.nan, 1), b=activation((np.abs, np.sign)))
    found = diagnose(net, cross_entropy, {}, X, np.zeros(6, int))
    assert found["text"].startswith("the output of layer a: nan")
    with pytest.raises(ValueError, match="probabilities"):
        diagnose(chain(a=own(9, 1)), cross_entropy, {}, X, np.zeros(6, int))
