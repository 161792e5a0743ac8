"""Training: equal to the loop by hand, resumable, stoppable, and telling why it fails."""

import math
import pickle
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    DType,
    Key,
    Layer,
    Monitor,
    Optimizer,
    Params,
    Pullback,
    Report,
    State,
    accuracy,
    activation,
    adagrad,
    adam,
    adamw,
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
    rmsprop,
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


@pytest.mark.parametrize("what", ["x", "y", "loss", "layer"])
@pytest.mark.parametrize("weighted", [False, True])
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


# Validation


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


def test_a_validation_loss_that_overflows_never_improves() -> None:
    net, far = dense(4, 4), np.full((2, 4), 3e38, np.float32)
    params = {"W": np.full((4, 4), 2, np.float32), "b": np.zeros(4, np.float32)}
    metrics = {"width": lambda outputs, y: np.abs(outputs).max(), "accuracy": lambda outputs, y: accuracy(outputs, [0, 1])}
    runs = list(
        train(net, mse, params, X, X, epochs=9, lr=0.1, validation=(far, -far), stopping=early_stopping(3),
              plateau=reduce_on_plateau(0.5, patience=0), metrics=metrics)  # fmt: skip
    )
    assert [report["epoch"] for _, report in runs] == [1, 2, 3]
    assert all(math.isnan(report["validation_loss"] or 0) for _, report in runs)
    assert [report["lr"] for _, report in runs] == [0.1, 0.05, 0.025]
    assert not math.isfinite(runs[0][1]["metrics"]["width"])
    assert math.isnan(runs[0][1]["metrics"]["accuracy"])


def test_a_metric_cannot_change_what_the_next_one_sees() -> None:
    def spoiling(outputs: Array, y: AnyArray) -> float:
        outputs[:] = 0
        return 0.0

    with pytest.raises(ValueError, match="read-only"):
        next(train(NET, CE, P, X, Y, epochs=1, lr=0.1, validation=(XV, YV), metrics={"a": spoiling}))


# What the caller does in between changes nothing


@pytest.mark.parametrize("weighted", [False, True])
def test_data_that_change_between_epochs_change_nothing(weighted: bool) -> None:
    weight = np.arange(50.0) if weighted else None
    straight, _ = last(train(NET, CE, P, X, Y, epochs=3, lr=0.1, weight=weight, validation=(XV, YV)))
    given = x, y, xv, yv = X.copy(), Y.copy(), XV.copy(), YV.copy()
    runs = train(NET, CE, P, x, y, epochs=3, lr=0.1, weight=weight, validation=(xv[:], yv))
    for state, _ in runs:
        for array in given:
            array[:] = 0
    assert same_bits(dict(state), dict(straight))


def test_params_of_a_state_are_frozen_and_its_own() -> None:
    state, _ = last(train(NET, CE, P, X, Y, epochs=1, lr=0.1))
    loaded = {name: a.copy() for name, a in state.items()}
    for params in (current_params(loaded), best_params(loaded)):
        kept = {name: a.copy() for name, a in params.items()}
        for array in loaded.values():
            array[...] = 0
        assert same_bits(dict(params), kept)
        assert not any(a.flags.writeable for a in params.values())
        with pytest.raises(TypeError):
            frozen: Any = params
            frozen["out/b"] = np.zeros(2)
        loaded = {name: a.copy() for name, a in state.items()}


def test_a_state_that_changes_before_the_run_starts_changes_nothing() -> None:
    state, _ = last(train(NET, CE, P, X, Y, epochs=1, lr=0.1))
    loaded = {name: a.copy() for name, a in state.items()}
    runs = train(NET, CE, loaded, X, Y, epochs=2, lr=0.1)
    loaded["params/out/b"][:] = 9
    assert same_bits(dict(last(runs)[0]), dict(last(train(NET, CE, P, X, Y, epochs=2, lr=0.1))[0]))


@pytest.mark.parametrize("stopping", [None, early_stopping(9, 0.01)])
@pytest.mark.parametrize("plateau", [None, reduce_on_plateau(0.5, patience=0)])
@pytest.mark.parametrize(
    "optimizer", [None, sgd(), momentum(), momentum(nesterov=True), rmsprop(centered=True), adagrad(), adam(), adamw()]
)
def test_saved_and_loaded_it_goes_on_to_the_same_bytes(
    optimizer: Optimizer | None, plateau: Monitor | None, stopping: Monitor | None, tmp_path: Path
) -> None:
    def end(start: Params | State, epochs: int) -> State:
        return last(
            train(BN, CE, start, X, Y, epochs=epochs, lr=0.05, optimizer=optimizer, plateau=plateau, stopping=stopping)
        )[0]

    np.savez(tmp_path / "run.npz", allow_pickle=False, **end(init(BN, 0), 2))
    with np.load(tmp_path / "run.npz") as file:
        loaded = dict(file)
    assert same_bits(dict(end(loaded, 4)), dict(end(init(BN, 0), 4)))


def test_a_layer_called_train_may_have_a_parameter_called_epoch() -> None:
    def named_init(key: Key, dtype: DType) -> Params:
        return {"epoch": np.zeros(4, dtype)}

    def named_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        return x + params["epoch"], lambda dy: ({"epoch": dy.sum(axis=0)}, lambda: dy)

    net = chain(train=(named_init, named_forward), out=dense(4, 2))
    (half, _), (whole, _) = train(net, CE, init(net, 0), X, Y, epochs=2, lr=0.1)
    assert list(current_params(half)) == ["train/epoch", "out/W", "out/b"]
    assert same_bits(dict(last(train(net, CE, half, X, Y, epochs=2, lr=0.1))[0]), dict(whole))


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


def test_a_plateau_is_not_dropped_without_a_word() -> None:
    state, _ = last(train(NET, CE, P, X, Y, epochs=1, lr=0.1, plateau=reduce_on_plateau()))
    with pytest.raises(ValueError, match="train: plateau must be given again, as the state was made with one, got None"):
        train(NET, CE, state, X, Y, epochs=2, lr=0.1)


def test_the_loss_that_is_given_is_the_one_that_is_used() -> None:
    # Two functions that are equal, as callables of a user's own may be, are two functions.
    def scaled(scale: float) -> Any:
        class Scaled:
            def __eq__(self, other: object) -> bool:
                return True

            def __hash__(self) -> int:
                return 1

            def __call__(self, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
                per_example, d = softmax_cross_entropy(outputs, targets)
                return scale * per_example, scale * d

        return Scaled()

    net = chain(dense(4, 2))
    params = init(net, 0)
    once, twice = (value_and_grads(net, scaled(scale), params, X, Y)[0] for scale in (1.0, 2.0))
    assert twice == pytest.approx(2 * once, rel=1e-6)
