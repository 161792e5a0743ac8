"""A failing run: it tells why, names the row of the data, and leaves the last state."""

import re
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    Layer,
    LossFn,
    Params,
    Report,
    State,
    batch_norm,
    binary_cross_entropy,
    chain,
    clip_by_global_norm,
    clip_by_value,
    cross_entropy,
    current_params,
    dense,
    embedding,
    gaussian_nll,
    huber,
    init,
    linear_schedule,
    masked,
    mlp,
    mse,
    quantile_loss,
    sigmoid,
    sigmoid_cross_entropy,
    softmax,
    softmax_cross_entropy,
    train,
)
from tests.samples import CE
from tests.training.runs import BN, NET, XV, YV, P, X, Y


def failure(runs: Iterator[tuple[State, Report]]) -> tuple[str, State | None]:
    state: State | None = None
    with pytest.raises(FloatingPointError) as caught:
        for state, _ in runs:
            pass
    return str(caught.value), state


def test_a_failing_run_tells_why_and_leaves_the_last_state() -> None:
    bad = X.copy()
    bad[17, 2] = np.nan
    message, _ = failure(train(NET, CE, P, bad, Y, epochs=2, lr=0.1))
    first, *rest = message.splitlines()
    assert re.fullmatch(r"train: x must be finite, got nan at \[\d+, 2\] \(1 of \d+ values\), at step \d of epoch 1", first)
    assert re.match(r"  first bad tensor: column 2 of the inputs x: nan at \[\d+, 2\], passed on", rest[0])
    assert "the data" in rest[1]


def test_params_that_were_given_with_nan_are_no_earlier_steps_doing() -> None:
    params = {**P, "hidden/b": np.full_like(P["hidden/b"], np.nan)}
    message, state = failure(train(NET, CE, params, X, Y, epochs=1, lr=0.1))
    assert state is None
    assert "likely cause: the params were so when the run was given them" in message


def test_a_step_that_is_too_long_is_named_in_the_epoch_it_happens() -> None:
    steep = linear_schedule(0.1, 1e38, 1, transition_begin=9)
    message, state = failure(train(dense(4, 2), mse, init(dense(4, 2), 0), X, X[:, :2], epochs=9, lr=steep, size=10))
    assert state is not None
    assert int(state["train/epoch"]) == 2
    assert all(np.isfinite(a).all() for a in current_params(state).values())
    assert "epoch 3" in message
    assert "lower the learning rate" in message


def test_an_overflowing_gradient_does_not_reach_the_state() -> None:
    # The loss is finite, its gradient is not: the last step of the epoch makes the params so.
    def steep(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
        per_example, d = mse(outputs, y)
        return per_example, d * np.float32(1e38) * np.float32(1e38)

    net = dense(4, 2)
    message, state = failure(train(net, steep, init(net, 0), X, X[:, :2], epochs=2, lr=0.1, size=50))
    assert state is None
    assert "params must be finite" in message
    assert "first bad tensor: the gradient of outputs" in message


def test_clipping_stops_what_is_not_finite() -> None:
    def broken(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
        per_example, d = mse(outputs, y)
        return per_example, d * np.float32(np.inf)

    for clip in (partial(clip_by_value, limit=1.0), partial(clip_by_global_norm, limit=1.0)):
        message, _ = failure(train(dense(4, 2), broken, init(dense(4, 2), 0), X, X[:, :2], epochs=1, lr=0.1, transform=clip))
        assert message.startswith("clip_by_")
        assert "the gradient of outputs" in message


@pytest.mark.parametrize("what", ["x", "y", "loss", "layer"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_a_failure_names_the_row_of_the_data(what: str, weighted: bool) -> None:
    x, y, weight = X.copy(), X[:, :2].copy(), np.ones(50)
    weight[:20:2] = 0
    if what == "x":
        x[31, 1] = np.nan
    elif what == "y":
        y[31, 1] = np.inf
    elif what == "loss":
        y[31] = 3e38  # its square overflows
    else:
        x[31] = 3e38  # its product does
    net = dense(4, 2)
    params = {"W": np.full((4, 2), 2, np.float32), "b": np.zeros(2, np.float32)}
    message, _ = failure(train(net, mse, params, x, y, epochs=1, lr=0.0, size=8, weight=weight if weighted else None))
    found = re.search(r"\[(\d+)(, \d+)?\].*; row (\d+) of this batch is row 31 of ([xy])\n", message.split("\n", 1)[1])
    assert found, message
    assert found[1] == found[3]
    assert found[4] == ("y" if what == "y" else "x")


def test_a_refused_target_names_the_row_of_the_data() -> None:
    y = Y.copy()
    y[31] = 2
    pattern = r"^softmax_cross_entropy: targets must .* at row (\d+) \(row \1 of this batch is row 31 of y\)$"
    with pytest.raises(ValueError, match=pattern):
        next(train(NET, CE, P, X, y, epochs=1, lr=0.1, size=8))


TWO, THREE = mlp([4, 2]), mlp([4, 3])
ONE, PROBABILITY = mlp([4, 1]), chain(dense(4, 1, sigmoid))
PROBABILITIES = chain(dense(4, 2, softmax))
SHAPELESS: dict[str, tuple[Layer, LossFn, AnyArray, str]] = {
    "mse": (ONE, mse, Y, "mse"),
    "masked": (ONE, masked(mse), Y, "mse"),
    "options": (ONE, partial(huber, delta=2.0), Y, "huber"),
    "one axis too many": (ONE, mse, Y[:, None, None], "mse"),
    "logits": (ONE, sigmoid_cross_entropy, Y, "sigmoid_cross_entropy"),
    "probabilities": (PROBABILITY, binary_cross_entropy, Y, "binary_cross_entropy"),
    "quantiles": (THREE, partial(quantile_loss, levels=(0.1, 0.5, 0.9)), Y, "quantile_loss"),
    "spreads": (TWO, gaussian_nll, Y, "gaussian_nll"),
    "classes": (TWO, softmax_cross_entropy, Y[:, None], "softmax_cross_entropy"),
    "classes of probabilities": (PROBABILITIES, cross_entropy, Y[:, None], "cross_entropy"),
    "a loss of one's own": (ONE, lambda outputs, y: ((outputs - y)[:, 0] ** 2, 2 * (outputs - y)), X[:, 0], "<lambda>"),
}


@pytest.mark.parametrize("name", SHAPELESS)
@pytest.mark.parametrize("held_out", [False, True])
def test_targets_of_another_shape_are_told_by_their_own_numbers_and_the_advice_works(name: str, held_out: bool) -> None:
    net, loss_fn, y, called = SHAPELESS[name]

    def run(y: AnyArray) -> list[tuple[State, Report]]:
        return list(train(net, loss_fn, init(net, 0), X, y, epochs=1, lr=0.1, validation=(X, y) if held_out else None))

    with pytest.raises(ValueError, match=r"^train: y must have shape .* to suit") as caught:
        run(y)
    told = re.fullmatch(r"train: y must have shape (.*) to suit (.*) and the network \((.*) has it\), got (.*)", str(caught.value))
    assert told, str(caught.value)
    assert (told[2], told[4]) == (called, str(y.shape))
    advised = eval(told[3], {"np": np, "y": y})
    assert told[1] == str(advised.shape)
    run(advised)


def test_targets_that_fit_in_no_shape_are_refused_as_by_the_loss() -> None:
    with pytest.raises(ValueError, match=r"^mse: targets must have the shape \(32, 3\) of the outputs, got \(32,\)$"):
        next(train(THREE, mse, init(THREE, 0), X, Y, epochs=1, lr=0.1))
    with pytest.raises(ValueError, match=r"^cross_entropy: targets must be classes from 0 to 1 .* is row \d+ of y\)$"):
        next(train(PROBABILITIES, cross_entropy, init(PROBABILITIES, 0), X, Y * 2, epochs=1, lr=0.1))


def test_a_refused_code_names_the_row_of_the_data() -> None:
    net, x = chain(embedding(4, 2), dense(2, 2)), np.zeros((50, 1), np.float32)
    x[31] = 9
    pattern = r"^embedding: 0/x must hold whole numbers from 0 to 3, got 9.0 at \[(\d), 0\].* \(row \1 of this batch is row 31 of x\)$"
    with pytest.raises(ValueError, match=pattern):
        next(train(net, CE, init(net, 0), x, Y, epochs=1, lr=0.1, size=8))


def test_the_row_is_that_of_the_batch_that_made_the_params_bad() -> None:
    # The loss stays finite at the row, its gradient does not; the next step's loss tells.
    def steep(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
        per_example, d = mse(outputs, y)
        return per_example, np.where(y > 50, np.float32(np.inf), d)

    y = X[:, :2].copy()
    y[31] = 99
    for key in range(4):
        message, _ = failure(train(dense(4, 2), steep, init(dense(4, 2), 0), X, y, epochs=9, lr=0.1, size=8, key=key))
        assert re.search(r"first bad tensor.*: the gradient of outputs: .*is row 31 of x\n", message), message


def test_a_transform_that_makes_nan_is_named() -> None:
    def broken(grads: Params) -> Params:
        return {name: g / np.float32(0) * np.float32(0) if name == "out/b" else g for name, g in grads.items()}

    def refusing(grads: Params) -> Params:
        raise FloatingPointError("mine: no")

    with np.errstate(all="ignore"):
        for size in (16, 50):  # found by the next step, or at the end of the epoch
            message, _ = failure(train(NET, CE, P, X, Y, epochs=1, lr=0.1, size=size, transform=broken))
            assert "likely cause: the transform: it makes nan at [0] (2 of 2 values) of the gradient of out/b" in message
            assert "learning rate" not in message
    message, _ = failure(train(NET, CE, P, X, Y, epochs=1, lr=0.1, transform=refusing))
    assert "likely cause: the transform, which is given finite gradients: mine: no" in message


def test_a_transform_is_not_blamed_for_a_mean_that_overflows() -> None:
    params = {"W": np.full((4, 1), 2.5e152), "b": np.zeros(1)}
    message, _ = failure(train(dense(4, 1), mse, params, 9 + X * 0, X[:, :1], epochs=1, lr=0.1, transform=lambda g: g))
    assert message.startswith("train: the mean loss must be finite, got an overflow in the mean of finite losses, at step 0")
    assert "transform" not in message


def test_an_overflow_in_calibration_is_a_failure_of_the_run() -> None:
    net = chain(a=dense(4, 4), n=batch_norm(4))
    steep = linear_schedule(0.0, 1e25, 1, transition_begin=2)
    start = {name: a * np.float32(1e-3) if name == "a/W" else a for name, a in init(net, 0).items()}
    message, state = failure(train(net, mse, start, X, X, epochs=3, lr=steep, size=25))
    first, *rest = message.splitlines()
    got = r"batch_norm: n/the (mean|var) of x must be finite, got column \d, at step 3 of epoch 2"
    assert re.fullmatch(f"train: calibration on all rows must give finite statistics, got {got}", first)
    assert "a/W is as large as" in rest[1]
    assert rest[2] == "  the state that was yielded last is as before"
    assert state is not None
    assert int(state["train/epoch"]) == 1
    x = X.copy()
    x[31, 1] = 1e25  # normalised in its own batch it does no harm
    message, state = failure(train(net, mse, init(net, 0), x, X, epochs=3, lr=0.0, size=25, key=1))
    assert "at step 1 of epoch 1" in message.splitlines()[0]
    assert "a batch norm's inputs overflow over all rows" in message
    assert state is None


def test_validation_data_are_checked_before_the_first_epoch() -> None:
    bad_x, bad_y = XV.copy(), YV.copy()
    bad_x[3, 1], bad_y[29] = np.nan, 2
    with pytest.raises(FloatingPointError, match=r"^train: validation x must be finite, got nan at \[3, 1\]"):
        train(NET, CE, P, X, Y, epochs=1, lr=0.1, validation=(bad_x, YV))
    with pytest.raises(FloatingPointError, match=r"^train: validation y must be finite, got nan at \[3, 1\]"):
        train(dense(4, 4), mse, init(dense(4, 4), 0), X, X, epochs=1, lr=0.1, validation=(XV, bad_x))
    for net in (NET, BN):
        with pytest.raises(ValueError, match=r"^train: validation y must suit the loss, got softmax_.* got 2 at row 29$"):
            train(net, CE, init(net, 0), X, Y, epochs=1, lr=0.1, validation=(XV, bad_y))
