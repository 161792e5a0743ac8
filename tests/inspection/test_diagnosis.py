"""Diagnoses: one for each kind of fault, and none of a healthy batch."""

import math
from typing import TypeAlias

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    Layer,
    LossFn,
    Params,
    Penalty,
    activation,
    chain,
    cross_entropy,
    dense,
    diagnose,
    fit_scaler,
    init,
    masked,
    mlp,
    mse,
    residual,
    standardize,
    tanh,
    train,
)
from tests.inspection.deep import DEEP, DEEP_P, INPUTS, VALUES
from tests.layers import scaling
from tests.numeric import bad, with_value
from tests.samples import ASKS, CE, NET, P, X, Y
from tests.sentences import Cases, assert_sentence


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
INNER = chain(a=dense(3, 4), b=scaling(math.nan, 1), c=dense(4, 2))
BACK = chain(a=dense(3, 4), b=scaling(1, math.inf), c=dense(4, 2))
WRONG_F = chain(a=dense(3, 4, (lambda z: z / np.zeros_like(z), lambda z: z)), b=dense(4, 2))
WRONG_DF = chain(a=dense(3, 4, (np.sin, lambda z: z / np.zeros_like(z))), b=dense(4, 2))
LARGE = {**SP, "b/W": np.full((4, 2), 3e38, np.float32), "b/b": np.full(2, 3e38, np.float32)}
Fault: TypeAlias = tuple[Layer, LossFn, Params, Array, Array, Penalty | None, str, str]
FAULTS: dict[str, Fault] = {
    "nan in the inputs": (
        SMALL, mse, SP, with_value(INPUTS, (4, 2), math.nan), VALUES, None,
        "column 2 of the inputs x: nan at [4, 2], passed on", "the data",
    ),
    "infinity in the targets": (
        SMALL, mse, SP, INPUTS, with_value(VALUES, (1, 0), math.inf), None,
        "the targets y: inf at [1, 0], passed on", "rows of y",
    ),
    "nan in a parameter": (
        SMALL, mse, {**SP, "a/b": with_value(SP["a/b"], (3,), math.nan)}, INPUTS, VALUES, None,
        "the parameter a/b: nan at [3]", "an earlier step",
    ),
    "infinity in the inputs": (
        SMALL, mse, SP, with_value(INPUTS, (0, 1), math.inf), VALUES, None,
        "column 1 of the inputs x: inf", "the data",
    ),
    "parameters that overflow": (
        SMALL, mse, LARGE, INPUTS, VALUES, None,
        "the output of layer b:", "b/W is as large as 3e+38",
    ),
    "a loss that overflows": (
        SMALL, mse, SP, INPUTS, VALUES * 1e30, None,
        "the loss mse: inf at [0], produced", "target scale: y reaches 1.3e+30",
    ),
    "a layer of one's own": (
        INNER, mse, init(INNER, 0), INPUTS, VALUES, None,
        "the output of layer b: nan at [0, 0], produced", "layer b is not the library's",
    ),
    "an activation of one's own": (
        WRONG_F, mse, SP, INPUTS, VALUES, None,
        "the activation of layer a:", "a broken step: layer a",
    ),
    "a way back of one's own": (
        BACK, mse, init(BACK, 0), INPUTS, VALUES, None,
        "the gradient of input of b: ", "the way back of a layer",
    ),
    "a slope of one's own": (
        WRONG_DF, mse, SP, INPUTS, VALUES, None,
        "the gradient of a/W: ", "the way back of a layer",
    ),
    "a loss of one's own": (
        SMALL, log_loss, SP, INPUTS, VALUES, None,
        "the loss log_loss: -inf at [0], produced", "the loss log_loss is not the library's own",
    ),
    "a loss's gradient": (
        SMALL, steep_loss, SP, INPUTS, VALUES, None,
        "the gradient of outputs: nan at [0, 0], produced", "the loss steep_loss is not the library's own",
    ),
    "a penalty": (SMALL, mse, SP, INPUTS, VALUES, bad_penalty, "the penalty bad_penalty: nan", "a broken penalty"),
    "a penalty's gradient": (
        SMALL, mse, SP, INPUTS, VALUES, steep_penalty,
        "the gradient of a/W of the penalty steep_penalty: nan", "a broken penalty",
    ),
    "inputs too large": (
        chain(a=dense(3, 4), b=dense(4, 2)), mse, {**SP, "a/W": np.full((3, 4), 2, np.float32)},
        with_value(INPUTS, (2, 0), 3e38), VALUES, None,
        "the output of layer a:", "input scale: column 0 of x reaches 3e+38",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named(name: str) -> None:
    net, loss_fn, params, x, y, penalty, text, cause = FAULTS[name]
    found = diagnose(net, loss_fn, params, x, y, penalty=penalty, key=1)
    assert not found["finite"]
    assert found["text"].startswith(text), found["text"]
    assert cause in found["cause"], found["cause"]
    first = found["first"]
    assert first is not None
    assert first["status"] == ("passed on" if first["tensor"] in ("input", "target", "parameter") else "produced")
    assert f"({first['bad']} of {first['size']} values)" in found["text"]


def test_what_follows_the_first_is_passed_on() -> None:
    found = diagnose(SMALL, mse, SP, with_value(INPUTS, (4, 2), math.nan), VALUES)
    told = [(s["name"], s["tensor"], s["status"], s["bad"]) for s in found["stages"] if s["bad"]]
    assert told[:4] == [
        ("x", "input", "passed on", 1),
        ("a", "pre-activation", "passed on", 4),
        ("a", "activation", "passed on", 4),
        ("b", "output", "passed on", 2),
    ]
    assert {s["status"] for s in found["stages"] if s["bad"]} == {"passed on"}
    clean = INPUTS[np.arange(6) != 4, 2]
    assert found["stages"][0]["lowest"] == min(INPUTS.min(), clean.min())
    assert found["stages"][0]["highest"] == INPUTS[np.isfinite(INPUTS)].max()


def test_a_healthy_batch_is_called_finite() -> None:
    found = diagnose(DEEP, mse, DEEP_P, INPUTS, VALUES, key=1)
    assert (found["finite"], found["first"], found["cause"]) == (True, None, "")
    assert found["text"].startswith(f"all {len(found['stages'])} tensors are finite; the widest gradient")
    assert {s["tensor"] for s in found["stages"]} == {
        "input", "target", "parameter", "pre-activation", "activation", "output", "loss", "gradient"
    }  # fmt: skip
    gradients = [s["name"] for s in found["stages"] if s["tensor"] == "gradient"]
    assert gradients[:4] == ["outputs", "out/W", "out/b", "input of out"]
    assert set(DEEP_P) <= set(gradients)


def test_a_large_column_is_worth_a_word_even_if_all_is_finite() -> None:
    found = diagnose(SMALL, mse, SP, INPUTS * np.array([1, 1, 1e6], np.float32), VALUES)
    assert found["finite"]
    assert found["cause"].startswith("input scale: column 2 of x reaches")


def test_targets_far_from_outputs_are_worth_a_word_even_if_all_is_finite() -> None:
    y = VALUES * 1e6
    found = diagnose(SMALL, mse, SP, INPUTS, y)
    assert (found["finite"], found["cause"].startswith("target scale: y reaches 1.3e+06, the outputs ")) == (True, True)
    assert diagnose(SMALL, mse, SP, INPUTS, standardize(y, fit_scaler(y)))["cause"] == ""
    assert "train on y / 1e+06" in diagnose(SMALL, masked(mse), SP, INPUTS, with_value(y, (0, 0), math.nan))["cause"]
    assert diagnose(SMALL, mse, {**SP, "b/b": np.full(2, 1e6, np.float32)}, INPUTS, y)["cause"] == ""  # outputs are as large
    assert "target scale" not in diagnose(SMALL, steep_loss, SP, INPUTS, y)["cause"]


@pytest.mark.parametrize("size, lr", [(1e12, 0.1), (1e9, 0.01), (1e6, 0.1), (1e4, 0.01)])
def test_unscaled_targets_are_named_where_they_end_a_run_and_the_advice_works(size: float, lr: float) -> None:
    net, y = mlp([3, 16, 1]), (1 + np.arange(60.0).reshape(60, 1) % 7) * size
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    params = init(net, 0)
    with pytest.raises(FloatingPointError, match=r"likely cause: target scale: y reaches [^;]*; train on standardize\(y, fit"):
        list(train(net, mse, params, x, y, epochs=9, lr=lr))
    assert len(list(train(net, mse, params, x, standardize(y, fit_scaler(y)), epochs=9, lr=lr))) == 9


def test_rows_of_weight_zero_are_left_out() -> None:
    holed = with_value(INPUTS, (4, 2), math.nan)
    assert diagnose(SMALL, mse, SP, holed, VALUES, weight=[1, 1, 1, 1, 0, 1])["finite"]
    assert not diagnose(SMALL, mse, SP, holed, VALUES, weight=[1, 1, 1, 1, 1, 0])["finite"]


def test_a_loss_that_refuses_bad_outputs_does_not_end_the_diagnosis() -> None:
    net = chain(a=scaling(math.nan, 1), b=activation((np.abs, np.sign)))
    found = diagnose(net, cross_entropy, {}, INPUTS, np.zeros(6, int))
    assert found["text"].startswith("the output of layer a: nan")
    with pytest.raises(ValueError, match="probabilities"):
        diagnose(chain(a=scaling(9, 1)), cross_entropy, {}, INPUTS, np.zeros(6, int))


BAD: Cases = {
    "too few targets": (
        lambda: diagnose(NET, CE, P, X, Y[:2]),
        ValueError,
        r"diagnose: y must have one target for each of the 5 rows .*",
    ),
    "loss a number": (
        lambda: diagnose(NET, bad(1), P, X, Y),
        TypeError,
        r"diagnose: loss_fn must be a function .*, got 1",
    ),
    "class too high": (
        lambda: diagnose(NET, CE, P, X, Y + 2),
        ValueError,
        r"softmax_cross_entropy: targets must be classes from 0 to 1 .*, got 2 .*",
    ),
    "layer that asks for a missing param": (
        lambda: diagnose(ASKS, mse, {}, X, X),
        ValueError,
        r"diagnose: params\['s'\] must be there, got only \[\]",
    ),
    "layer in a residual that asks for a missing param": (
        lambda: diagnose(residual(ASKS), mse, {}, X, X),
        ValueError,
        r"diagnose: params\['s'\] must be there, got only \[\]",
    ),
    "penalty a number": (
        lambda: diagnose(NET, CE, P, X, Y, penalty=bad(0.1)),
        TypeError,
        r"diagnose: penalty must be a function .*, got 0.1",
    ),
    "penalty that returns a number": (
        lambda: diagnose(NET, CE, P, X, Y, penalty=bad(lambda p: 0.1)),
        TypeError,
        r"diagnose: penalty must return a pair .*, got 0.1",
    ),
    "penalty with an unknown name": (
        lambda: diagnose(NET, CE, P, X, Y, penalty=lambda p: (0.0, {"W": X})),
        ValueError,
        r"diagnose: the penalty's grads must have names that are in params .*, got W",
    ),
    "loss that returns a number": (
        lambda: diagnose(NET, bad(lambda o, y: 0.1), P, X, Y),
        TypeError,
        r"diagnose: loss_fn must return a pair .*, got 0.1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
