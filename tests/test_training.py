"""Training: equal to the loop by hand, resumable, stoppable, and telling why it fails."""

import math
import pickle
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    Layer,
    Params,
    Report,
    State,
    accuracy,
    activation,
    adam,
    batch_norm,
    batches,
    best_params,
    calibrate,
    chain,
    class_weight,
    clip_by_global_norm,
    clip_by_value,
    current_params,
    dense,
    dropout,
    early_stopping,
    fold_in,
    forward,
    init,
    l2,
    linear_schedule,
    loss,
    momentum,
    mse,
    overfit_check,
    progress_line,
    reduce_on_plateau,
    relu,
    sgd,
    softmax_cross_entropy,
    tanh,
    train,
    value_and_grads,
)
from tests.numeric import same_bits

DRAWN = np.random.default_rng(0)
X: Array = DRAWN.normal(size=(50, 4)).astype(np.float32)
Y: AnyArray = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
XV: Array = DRAWN.normal(size=(30, 4)).astype(np.float32)
YV: AnyArray = (XV[:, 0] + XV[:, 1] ** 2 > 0.5).astype(int)
NET = chain(hidden=dense(4, 8, relu), noise=dropout(0.2), out=dense(8, 2))
BN = chain(hidden=dense(4, 8), norm=batch_norm(8), act=activation(relu), out=dense(8, 2))
CE = softmax_cross_entropy
P = init(NET, 0)


def last(runs: Iterator[tuple[State, Report]]) -> tuple[State, Report]:
    *_, end = runs
    return end


def test_it_is_the_loop_by_hand() -> None:
    key, (opt_init, step), schedule = (7, 1), adam(), linear_schedule(0.02, 0.001, 10)
    clip = partial(clip_by_global_norm, limit=0.5)
    params, state, done = P, opt_init(P), 0
    runs = train(
        NET, CE, P, X, Y, epochs=3, lr=schedule, optimizer=adam(), size=16, key=key, penalty=l2(1e-3), transform=clip,
        validation=(XV, YV), metrics={"accuracy": accuracy},
    )  # fmt: skip
    for epoch, (run, report) in enumerate(runs):
        total = 0.0
        for rows in batches(fold_in(fold_in(key, 0), epoch), len(X), 16):
            noise = fold_in(fold_in(key, 1), done)
            value, g = value_and_grads(NET, CE, params, X[rows], Y[rows], penalty=l2(1e-3), key=noise)
            params, state = step(params, clip(g), state, schedule(done))
            total, done = total + value * len(rows), done + 1
        assert same_bits(dict(current_params(run)), dict(params))
        assert (report["epoch"], report["step"], report["lr"]) == (epoch + 1, done, schedule(done - 1))
        assert report["loss"] == pytest.approx(total / 50, rel=1e-12)
        assert report["validation_loss"] == loss(NET, CE, params, XV, YV)
        assert report["metrics"] == {"accuracy": accuracy(forward(NET, params, XV), YV)}
        assert report["grad_norm"] == pytest.approx(math.sqrt(sum(float((a.astype(float) ** 2).sum()) for a in g.values())))
        assert report["rows_per_second"] == pytest.approx(50 / report["seconds"])
    assert done == 12  # 16 + 16 + 16 + 2 rows, three times


def test_row_weights() -> None:
    weight = class_weight(Y, "balanced") * (np.arange(50) % 5 > 0)
    kept = np.flatnonzero(weight)
    a, report = last(train(NET, CE, P, X, Y, epochs=2, lr=0.1, weight=weight))
    b, _ = last(train(NET, CE, P, X[kept], Y[kept], epochs=2, lr=0.1, weight=weight[kept]))
    assert same_bits(current_params(a), current_params(b))
    one, other = (last(train(NET, CE, P, X, Y, epochs=1, lr=0.1, size=50, weight=w))[1] for w in (weight, 3 * weight))
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-12)


@pytest.mark.parametrize("cut", [1, 3])
def test_going_on_from_a_state_gives_the_same_bytes(cut: int) -> None:
    def runs(start: Params | State, epochs: int) -> Iterator[tuple[State, Report]]:
        return train(
            BN, CE, start, X, Y, epochs=epochs, lr=linear_schedule(0.05, 0.01, 8), optimizer=momentum(), size=16, key=3,
            validation=(XV, YV), stopping=early_stopping(50), plateau=reduce_on_plateau(0.5, patience=0),
        )  # fmt: skip

    whole, _ = last(runs(init(BN, 0), 5))
    half, _ = last(runs(init(BN, 0), cut))
    rest, report = last(runs(pickle.loads(pickle.dumps(half)), 5))
    assert same_bits(dict(whole), dict(rest))
    assert report["epoch"] == 5
    assert list(runs(whole, 5)) == []


def test_a_state_is_flat_frozen_and_of_arrays() -> None:
    state, _ = last(train(BN, CE, init(BN, 0), X, Y, epochs=1, lr=0.1, optimizer=adam(), validation=(XV, YV)))
    assert all(isinstance(a, np.ndarray) and not a.flags.writeable for a in state.values())
    assert {name.partition("/")[0] for name in state} == {"params", "best", "optimizer", "stopping", "train"}
    assert "optimizer/m/hidden/W" in state
    with pytest.raises(TypeError):
        frozen: Any = state
        frozen["train/epoch"] = np.asarray(0)


def test_the_key_decides_everything() -> None:
    a, b, c = (last(train(NET, CE, P, X, Y, epochs=2, lr=0.1, key=key))[0] for key in (1, 1, 2))
    assert same_bits(dict(a), dict(b))
    assert not same_bits(current_params(a), current_params(c))


def test_epochs_are_shuffled_afresh() -> None:
    seen: list[list[int]] = []

    def noted(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        seen.append(targets[:, 0].astype(int).tolist())
        return mse(outputs, targets)

    rows = np.arange(10.0)[:, None]
    net = dense(1, 1)
    list(train(net, noted, init(net, 0), rows, rows, epochs=2, lr=0.0, size=4))
    first, second = sum(seen[:3], []), sum(seen[3:], [])
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


# Monitors in a run


def scripted(values: list[float]) -> partial[float]:
    return partial(lambda values, report: values[report["epoch"] - 1], values)


def test_early_stopping_hands_back_the_best() -> None:
    script = [3.0, 1.0, math.nan, 0.95, 2.0, 0.1]
    found = {
        report["epoch"]: state
        for state, report in train(
            NET, CE, P, X, Y, epochs=9, lr=0.1, stopping=early_stopping(3, min_delta=0.1), monitor=scripted(script)
        )
    }
    assert list(found) == [1, 2, 3, 4, 5]  # 0.95 is not 0.1 better than 1
    assert same_bits(best_params(found[5]), current_params(found[2]))
    assert not same_bits(best_params(found[5]), current_params(found[5]))


def test_the_validation_loss_is_what_is_watched() -> None:
    runs = list(train(NET, CE, P, X, Y, epochs=60, lr=1.0, validation=(XV, YV)))
    losses = [report["validation_loss"] or math.inf for _, report in runs]
    assert same_bits(best_params(runs[-1][0]), current_params(runs[losses.index(min(losses))][0]))
    assert 0 < losses.index(min(losses)) < 59


def test_nothing_monitored_is_finite() -> None:
    state, _ = last(train(NET, CE, P, X, Y, epochs=9, lr=0.1, stopping=early_stopping(2), monitor=lambda report: math.nan))
    assert int(state["train/epoch"]) == 2
    assert same_bits(best_params(state), current_params(state))


def test_a_plateau_lowers_the_learning_rate() -> None:
    script = scripted([1.0, 1.0, 1.0, 0.5, 0.5, 0.5])
    runs = train(NET, CE, P, X, Y, epochs=6, lr=0.4, plateau=reduce_on_plateau(0.5, patience=1), monitor=script)
    assert [report["lr"] for _, report in runs] == [0.4, 0.4, 0.4, 0.2, 0.2, 0.2]


def test_breaking_off_leaves_the_state() -> None:
    for state, report in train(NET, CE, P, X, Y, epochs=100, lr=0.1):
        if report["epoch"] == 2:
            break
    straight, _ = last(train(NET, CE, P, X, Y, epochs=2, lr=0.1))
    assert same_bits(dict(state), dict(straight))


# Batch norm


def test_batch_norm_is_calibrated_before_validation() -> None:
    for state, report in train(BN, CE, init(BN, 0), X, Y, epochs=3, lr=0.1, size=16, validation=(XV, YV)):
        params = current_params(state)
        assert same_bits(params, calibrate(BN, params, X))
        assert report["validation_loss"] == loss(BN, CE, params, XV, YV)
    assert "norm/var" in params


def test_a_lone_last_row_joins_the_batch_before() -> None:
    _, report = last(train(BN, CE, init(BN, 0), X[:49], Y[:49], epochs=1, lr=0.1, size=16))
    assert report["step"] == 3
    _, report = last(train(NET, CE, P, X[:49], Y[:49], epochs=1, lr=0.1, size=16))
    assert report["step"] == 4


# Failure


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


# Overfitting a tiny batch


WIDE = chain(dense(4, 32, relu), dropout(0.2), dense(32, 2))


@pytest.mark.parametrize("net", [WIDE, BN, chain(dense(4, 16, tanh), dense(16, 2))])
def test_sound_networks_fit_a_tiny_batch(net: Layer) -> None:
    found = overfit_check(net, CE, init(net, 0), X, Y)
    assert found["verdict"] == "fits", found
    assert found["last_loss"] <= found["target"] == pytest.approx(0.01 * found["first_loss"])
    assert found["rows"] == 16


def test_what_is_broken_does_not_fit() -> None:
    def wrong_sign(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
        per_example, d = CE(outputs, y)
        return per_example, -d

    found = overfit_check(NET, wrong_sign, P, X, Y)
    assert (found["verdict"], "check_grads" in found["text"]) == ("does not fit", True)
    found = overfit_check(NET, CE, P, np.ones((10, 4)), Y[:10])
    assert (found["verdict"], "equal inputs" in found["text"]) == ("does not fit", True)
    zeros = {name: np.zeros_like(a) for name, a in P.items()}
    found = overfit_check(NET, CE, zeros, X, Y)
    assert (found["verdict"], "no gradient reaches hidden/W" in found["text"]) == ("does not fit", True)
    found = overfit_check(dense(4, 2), mse, init(dense(4, 2), 0), X, X[:, :2], lr=1e30, optimizer=sgd())
    assert (found["verdict"], "lower the learning rate" in found["text"]) == ("does not fit", True)


def test_progress_lines_read_well() -> None:
    _, report = last(train(NET, CE, P, X, Y, epochs=1, lr=0.1, validation=(XV, YV), metrics={"accuracy": accuracy}))
    pattern = r"epoch   1  loss \d\.\d{4}  validation loss \d\.\d{4}  accuracy \d\.\d{4}  lr 0\.1  \|g\| \S+  [\d,]+ rows/s"
    assert re.fullmatch(pattern, progress_line(report))
