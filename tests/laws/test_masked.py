"""Targets that are NaN, under a masked loss, are as if they were not there: in every verb, in shards and in a run."""

import math
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nnfunc import (
    Activation, AnyArray, Array, Layer, LossFn, Params, accuracy, batch_norm, best_params, binary_cross_entropy, chain, check_grads,
    cross_entropy, current_params, dense, diagnose, gaussian_nll, grads, huber, init, l2, log_softmax, loss, mae, masked, mse,
    overfit_check, poisson_nll, quantile_loss, relu, require_same_shape, sharded_value_and_grads, sigmoid, sigmoid_cross_entropy,
    softmax, softmax_cross_entropy, tanh, train, value_and_grads,
)  # fmt: skip
from nnfunc.testing import check_loss
from nnfunc.transforms import ensemble_value_and_grads, grad_variance, per_example_grads, stack_params
from tests.numeric import bad, same_bits
from tests.sentences import Cases, assert_sentence

N = 40
DRAW = np.random.default_rng(0)
X: Array = DRAW.normal(size=(N, 3))
VALUES: Array = DRAW.normal(size=(N, 2))
YES: Array = (DRAW.random((N, 2)) < 0.5).astype(float)
CLASSES: AnyArray = DRAW.integers(0, 4, N)
WEIGHT: Array = DRAW.uniform(0.5, 2, N) * (DRAW.random(N) < 0.9)
BLANK: AnyArray = DRAW.random(N) < 0.3
OK: AnyArray = ~BLANK


def brier(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    require_same_shape("brier", outputs, targets)
    e = outputs - targets
    return np.add.reduce(e * e, axis=1), 2 * e


# By name: how the network ends, and a loss with its targets.
LOSSES: dict[str, tuple[Layer, LossFn, AnyArray]] = {
    "mse": (dense(5, 2), mse, VALUES),
    "mae summed": (dense(5, 2), partial(mae, sum_outputs=True), VALUES),
    "huber": (dense(5, 2), partial(huber, delta=0.5), VALUES),
    "quantile_loss": (dense(5, 4), partial(quantile_loss, levels=(0.2, 0.7)), VALUES),
    "gaussian_nll": (dense(5, 4), gaussian_nll, VALUES),
    "poisson_nll": (dense(5, 2), poisson_nll, YES),
    "sigmoid_cross_entropy": (dense(5, 2), partial(sigmoid_cross_entropy, pos_weight=2), YES),
    "binary_cross_entropy": (dense(5, 2, sigmoid), binary_cross_entropy, YES),
    "softmax_cross_entropy": (dense(5, 4), partial(softmax_cross_entropy, label_smoothing=0.1), CLASSES),
    "cross_entropy": (dense(5, 4, softmax), cross_entropy, CLASSES),
    "one's own": (dense(5, 2), brier, VALUES),
}


def ending(last: Layer) -> Layer:
    return chain(hidden=dense(3, 5, tanh), out=last)


def with_gaps(y: AnyArray, gaps: AnyArray = BLANK) -> Array:
    held: Array = y.astype(np.float64)
    held[gaps] = np.nan
    return held


Verb = Callable[[Layer, LossFn, Params, Array, AnyArray, Array | None], object]
VERBS: dict[str, Verb] = {
    "loss": lambda net, f, p, x, y, w: loss(net, f, p, x, y, weight=w),
    "loss by blocks": lambda net, f, p, x, y, w: loss(net, f, p, x, y, weight=w, size=7),
    "loss by one block": lambda net, f, p, x, y, w: loss(net, f, p, x, y, weight=w, size=39),
    "grads": lambda net, f, p, x, y, w: grads(net, f, p, x, y, weight=w, penalty=l2(0.1)),
    "value_and_grads": lambda net, f, p, x, y, w: value_and_grads(net, f, p, x, y, weight=w, key=1),
    "sharded_value_and_grads": lambda net, f, p, x, y, w: sharded_value_and_grads(net, f, p, x, y, weight=w, shards=3),
    "with a mean weight": lambda net, f, p, x, y, w: (
        value_and_grads(net, f, p, x, y, weight=w, mean_weight=None if w is None else 2.0),
        loss(net, f, p, x, y, weight=w, mean_weight=None if w is None else 2.0, size=7),
        sharded_value_and_grads(net, f, p, x, y, weight=w, mean_weight=None if w is None else 2.0, shards=4),
    ),
    "train": lambda net, f, p, x, y, w: [
        (dict(state), report["loss"], report["validation_loss"])
        for state, report in train(net, f, p, x, y, epochs=3, lr=0.1, size=8, weight=w, validation=(x, y, w))
    ],
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_a_row_without_a_target_is_as_if_it_were_not_there(verb: str, name: str, weighted: bool) -> None:
    last, loss_fn, y = LOSSES[name]
    net = ending(last)
    params = init(net, 1, np.float64)
    wild = X.copy()
    wild[BLANK] = np.nan  # nor is it looked at
    if verb == "train":
        wild = X
    found = VERBS[verb](net, masked(loss_fn), params, wild, with_gaps(y), WEIGHT if weighted else None)
    expected = VERBS[verb](net, loss_fn, params, X[OK], y[OK], WEIGHT[OK] if weighted else None)
    assert same_bits(bad(found), bad(expected)) if verb != "train" else all(map(same_bits, bad(found), bad(expected)))


@pytest.mark.parametrize("name", LOSSES)
def test_without_gaps_a_masked_loss_is_the_loss(name: str) -> None:
    last, loss_fn, y = LOSSES[name]
    net = ending(last)
    params = init(net, 1, np.float64)
    for targets in (y, y.astype(np.float64)):
        found = value_and_grads(net, masked(masked(loss_fn)), params, X, targets)
        assert same_bits(found, value_and_grads(net, loss_fn, params, X, y))


@pytest.mark.parametrize("name", [name for name, (_, _, y) in LOSSES.items() if y.ndim == 2])
def test_the_loss_of_a_row_is_that_of_the_targets_it_has(name: str) -> None:
    last, loss_fn, y = LOSSES[name]
    draw = np.random.default_rng(3)
    each = {"quantile_loss": 2, "gaussian_nll": 2}.get(name, 1)
    y = np.tile(y, (1, 2))  # four columns
    outputs = draw.uniform(0.1, 0.9, (N, 4 * each))
    held = with_gaps(y, draw.random(y.shape) < 0.4)
    per_example, d = masked(loss_fn)(outputs, held)
    for i in range(N):
        there = np.flatnonzero(~np.isnan(held[i]))
        columns = np.concatenate([there + 4 * j for j in range(each)])
        rest = np.setdiff1d(np.arange(4 * each), columns)
        assert not d[i, rest].any()
        if there.size:
            value, slope = loss_fn(outputs[[i]][:, columns], y[[i]][:, there])
            assert per_example[i] == pytest.approx(value[0], rel=1e-14)
            assert d[i, columns] == pytest.approx(slope[0], rel=1e-14)
        else:
            assert per_example[i] == 0
    assert len(np.unique(np.isnan(held), axis=0)) > 10


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_the_masked_loss(name: str) -> None:
    last, loss_fn, y = LOSSES[name]
    net = ending(last)
    gaps = np.random.default_rng(4).random(y.shape) < 0.4
    found = check_grads(net, masked(loss_fn), init(net, 1, np.float64), X, with_gaps(y, gaps), weight=WEIGHT)
    assert found["verdict"] == "right"


@pytest.mark.parametrize("name", [name for name, (_, _, y) in LOSSES.items() if y.ndim == 2])
def test_a_masked_loss_keeps_the_laws_of_losses(name: str) -> None:
    _, loss_fn, y = LOSSES[name]
    each = {"quantile_loss": 2, "gaussian_nll": 2}.get(name, 1)
    outputs = np.random.default_rng(5).uniform(0.1, 0.9, (12, 2 * each))
    for gaps in (np.eye(12, 2) > 0, np.eye(12, 2)[:, ::-1] + np.eye(12, 1) > 0):
        check_loss(masked(loss_fn), outputs, with_gaps(y[:12], gaps))


def test_a_masked_loss_of_probabilities_meets_the_logits() -> None:
    for last, on_probabilities, on_logits, y in (
        (softmax, cross_entropy, softmax_cross_entropy, CLASSES), (sigmoid, binary_cross_entropy, sigmoid_cross_entropy, YES),
    ):  # fmt: skip
        k = 4 if y is CLASSES else 2
        params = {name: 3e3 * a for name, a in init(ending(dense(5, k)), 0, np.float64).items()}
        held = with_gaps(y, np.random.default_rng(6).random(y.shape) < 0.3)
        found = value_and_grads(ending(dense(5, k, last)), masked(on_probabilities), params, X, held)
        assert same_bits(found, value_and_grads(ending(dense(5, k)), masked(on_logits), params, X, held))


MISFITS: dict[str, tuple[Activation, LossFn, AnyArray]] = {
    "softmax_cross_entropy": (softmax, softmax_cross_entropy, CLASSES),
    "cross_entropy": (sigmoid, cross_entropy, CLASSES),
    "binary_cross_entropy": (log_softmax, binary_cross_entropy, YES),
    "poisson_nll": (relu, poisson_nll, YES),
}


@pytest.mark.parametrize("name", MISFITS)
def test_an_output_layer_that_does_not_belong_to_the_loss_inside_is_refused(name: str) -> None:
    f, loss_fn, y = MISFITS[name]
    net = ending(dense(5, 4 if y.ndim == 1 else 2, f))
    with pytest.raises(ValueError, match=f"{name}: the network must end in"):
        grads(net, masked(loss_fn), init(net, 0), X, with_gaps(y))


def test_a_masked_loss_pickles() -> None:
    held = pickle.loads(pickle.dumps(masked(partial(huber, delta=2.0))))
    y = with_gaps(VALUES)
    assert same_bits(held(VALUES + 1, y), masked(partial(huber, delta=2.0))(VALUES + 1, y))


def test_rows_without_a_target_count_in_no_function_of_a_network() -> None:
    net = ending(dense(5, 2))
    members, y = [init(net, key, np.float64) for key in range(3)], with_gaps(VALUES)
    stacked = stack_params(members)
    own = np.stack([y, with_gaps(VALUES, np.arange(N) > 3), VALUES])
    for targets in (np.stack([y] * 3), own):
        for weight in (None, WEIGHT):
            values, g = ensemble_value_and_grads(net, masked(mse), stacked, X, targets, weight=weight)
            for i, member in enumerate(members):
                value, expected = value_and_grads(net, masked(mse), member, X, targets[i], weight=weight)
                assert values[i] == pytest.approx(value, rel=1e-12)
                assert all(g[name][i] == pytest.approx(a, rel=1e-9, abs=1e-13) for name, a in expected.items())
    own[1] = np.nan
    with pytest.raises(ValueError, match=r"ensemble_value_and_grads: y must hold a target .*, got NaN in all 40"):
        ensemble_value_and_grads(net, masked(mse), stacked, X, own)
    by_row = per_example_grads(net, masked(mse), members[0], X, y)
    variance = grad_variance(net, masked(mse), members[0], X, y)
    expected = grad_variance(net, mse, members[0], X[OK], y[OK])
    for name, a in by_row.items():
        assert not a[BLANK].any()
        assert variance[name] == pytest.approx(expected[name], rel=1e-12)
        assert variance[name] == pytest.approx(a[OK].var(axis=0), rel=1e-9)


def test_batches_of_a_run_are_made_of_the_rows_that_count(tmp_path: Path) -> None:
    net = chain(dense(3, 4), batch_norm(4), dense(4, 2))
    params, sizes = init(net, 0, np.float64), list[int]()

    def counted(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        sizes.append(len(outputs))
        return mse(outputs, targets)

    y = with_gaps(VALUES)
    np.save(tmp_path / "y.npy", y)
    runs = [
        dict(list(train(net, masked(loss_fn), params, X, held, epochs=2, lr=0.1, size=8))[-1][0])
        for loss_fn in (mse, counted) for held in (y, np.load(tmp_path / "y.npy", mmap_mode="r"))
    ]
    expected = dict(list(train(net, mse, params, X[OK], y[OK], epochs=2, lr=0.1, size=8))[-1][0])
    assert all(same_bits(run, expected) for run in runs)  # the statistics of batch norms too
    assert sizes[: math.ceil(OK.sum() / 8) - 1] == [8] * (math.ceil(OK.sum() / 8) - 1)
    turned = train(net, masked(mse), params, X, y, epochs=1, lr=0.1, size=8, order=lambda epoch, key: np.arange(N)[::-1])
    plain = train(net, mse, params, X[OK], y[OK], epochs=1, lr=0.1, size=8, order=lambda epoch, key: np.arange(OK.sum())[::-1])
    assert same_bits(best_params(next(turned)[0]), best_params(next(plain)[0]))


def test_classes_among_nan_are_numbered_in_every_batch() -> None:
    net = ending(dense(5, 4))
    held_out = X, with_gaps(CLASSES, np.arange(N) == 7)
    for validation, metrics in (((X, with_gaps(CLASSES)), {"accuracy": accuracy}), (held_out, {"accuracy": accuracy})):
        run = train(
            net, masked(softmax_cross_entropy), init(net, 0), X, with_gaps(CLASSES), epochs=30, lr=0.5, size=5,
            validation=validation, metrics=metrics,
        )  # fmt: skip
        reports = [report for _, report in run]
        assert reports[-1]["loss"] < reports[0]["loss"]
        assert reports[-1]["metrics"]["accuracy"] > reports[0]["metrics"]["accuracy"]


def test_a_gap_is_no_fault_and_what_is_one_is_named() -> None:
    net = ending(dense(5, 2))
    params, y = init(net, 0, np.float64), with_gaps(VALUES, DRAW.random(VALUES.shape) < 0.3)
    found = diagnose(net, masked(mse), params, X, y)
    assert found["finite"] and found["stages"][1]["bad"] == 0
    assert overfit_check(net, masked(mse), params, X, y, steps=2000)["verdict"] == "fits"
    large = {**params, "out/b": np.full(2, 1e200)}
    with pytest.raises(FloatingPointError, match=r"the loss masked_loss must be finite, got inf at \[0\].* finite outputs"):
        loss(net, masked(mse), large, X, y)
    assert diagnose(net, masked(mse), large, X, y)["text"].startswith("the loss masked_loss: inf at [0], produced")
    y[3] = [np.inf, np.nan]
    with pytest.raises(FloatingPointError, match=r"loss: y must be finite, got inf at \[\d+, 0\] \(1 of"):
        loss(net, masked(mse), params, X, y)
    with pytest.raises(FloatingPointError, match=r"validation y must be finite, got inf at \[\d+, 0\] \(1 of"):
        train(net, masked(mse), params, X, VALUES, epochs=1, lr=0.1, validation=(X, y))


# Losses of a user's own that break their promises, wherever they stand.
KEPT: list[Array] = []


def averaged(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    per_example, d = mse(outputs, targets)
    return bad(float(per_example.mean())), d


def of_all_columns(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    return mse(outputs, targets)[0], np.zeros(2)


def in_half(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    return mse(outputs, targets)[0], np.zeros(outputs.shape, np.float16)


def nothing(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    nothing: tuple[Array, Array] = bad(None)
    return nothing


def changing(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    outputs -= targets
    return mse(outputs, targets)


def keeping(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    KEPT.extend(mse(outputs, targets))
    return KEPT[-2], KEPT[-1]


HOSTILE: dict[str, tuple[LossFn, str]] = {
    "a mean": (averaged, "loss_fn must return per-example losses of shape"),
    "another shape": (of_all_columns, "loss_fn must return a gradient of shape"),
    "another dtype": (in_half, "loss_fn must keep the dtype float64"),
    "no pair": (nothing, "loss_fn must return a pair"),
    "changed outputs": (changing, "read-only"),
}


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_loss_of_ones_own_meets_the_guard_inside_too(name: str, gaps: bool) -> None:
    loss_fn, words = HOSTILE[name]
    net = ending(dense(5, 2))
    params, y = init(net, 0, np.float64), with_gaps(VALUES, DRAW.random(VALUES.shape) < 0.3) if gaps else VALUES
    for call in (grads, loss, partial(sharded_value_and_grads, shards=2)):
        with pytest.raises((TypeError, ValueError), match=words):
            call(net, masked(loss_fn), params, X, y)


def test_what_a_loss_of_ones_own_keeps_is_never_changed() -> None:
    net = ending(dense(5, 2))
    params = init(net, 0, np.float64)
    for y in (VALUES, with_gaps(VALUES, DRAW.random(VALUES.shape) < 0.3)):
        KEPT.clear()
        grads(net, masked(keeping), params, X, y, weight=WEIGHT)
        before = [a.copy() for a in KEPT]
        grads(net, masked(mse), params, X, y, weight=WEIGHT)
        assert same_bits(tuple(before), tuple(KEPT))
        assert all(np.isfinite(a).all() for a in KEPT)


NET = ending(dense(5, 2))
P = init(NET, 0, np.float64)
NOTHING = np.full((N, 2), np.nan)
def refused(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Give what NumPy says of shapes that do not fit."""
    return np.add(outputs, np.zeros(outputs.shape[1] + 1)), outputs


BAD: Cases = {
    "no target at all": (
        lambda: loss(NET, masked(mse), P, X, NOTHING), ValueError, r"loss: y must hold a target in one row at least, got NaN in all 40",
    ),
    "no target to train on": (
        lambda: train(NET, masked(mse), P, X, NOTHING, epochs=1, lr=0.1), ValueError, r"train: y must hold a target in one .*",
    ),
    "no target held out": (
        lambda: train(NET, masked(mse), P, X, VALUES, epochs=1, lr=0.1, validation=(X, NOTHING)), ValueError,
        r"train: validation y must hold a target in one row at least, got NaN in all 40",
    ),
    "no target in shards": (
        lambda: sharded_value_and_grads(NET, masked(mse), P, X, NOTHING, shards=2), ValueError, r"sharded_value_and_grads: y must hold .*",
    ),
    "no weight where there is a target": (
        lambda: loss(NET, masked(mse), P, X, with_gaps(VALUES), weight=BLANK), ValueError,
        r"loss: weight must be above 0 in a row that has a target, got 0 in all of them",
    ),
    "no weight where there is a target to train on": (
        lambda: train(NET, masked(mse), P, X, with_gaps(VALUES), epochs=1, lr=0.1, weight=BLANK), ValueError,
        r"train: weight must be above 0 in a row that has a target, got 0 in all of them",
    ),
    "no weight where there is a target held out": (
        lambda: train(NET, masked(mse), P, X, VALUES, epochs=1, lr=0.1, validation=(X, with_gaps(VALUES), BLANK)), ValueError,
        r"train: validation weight must be above 0 in a row that has a target, got 0 in all of them",
    ),
    "an order of rows without targets": (
        lambda: train(NET, masked(mse), P, X, with_gaps(VALUES), epochs=1, lr=0.1, order=lambda e, k: np.flatnonzero(BLANK)), ValueError,
        r"train: order for epoch 0 must give rows of weight above 0 that have a target, got none",
    ),
    "more shards than rows with targets": (
        lambda: sharded_value_and_grads(NET, masked(mse), P, X, with_gaps(VALUES, np.arange(N) > 1), shards=3), ValueError,
        r"sharded_value_and_grads: shards must be at most 2, .*, got 3",
    ),
    "options outside": (
        lambda: loss(NET, partial(bad(masked(huber)), delta=2.0), P, X, VALUES), TypeError,
        r"loss: loss_fn must have the options given, got masked_loss\(\) got an unexpected keyword argument 'delta'",
    ),
    "a share above 1 in a part of the rows that count": (
        lambda: loss(
            dense(1, 2), masked(sigmoid_cross_entropy), {"W": np.ones((1, 2)), "b": np.zeros(2)}, np.ones((4, 1)),
            np.array([[0, 1], [np.nan, np.nan], [np.nan, 1], [np.nan, 7]]),
        ), ValueError,
        r"sigmoid_cross_entropy: targets must lie in \[0, 1\], got 7.0 at \[1, 0\] \(1 of 2 values\)"
        r" \(of the 2 rows from row 1 on that lack the same targets; rows without a target or a weight not counted\)",
    ),
    "a class too high": (
        lambda: loss(ending(dense(5, 2)), masked(softmax_cross_entropy), P, X, with_gaps(CLASSES)), ValueError,
        r"softmax_cross_entropy: targets must be classes from 0 to 1, got [23] at row \d+ \(rows without a target or a weight not counted\)",
    ),
}  # fmt: skip


def test_what_numpy_says_in_a_loss_has_no_note_on_rows() -> None:
    x, y = np.ones((3, 1)), np.array([[1.0, np.nan], [np.nan, np.nan], [1.0, 1.0]])
    for given, weight in ((y, None), (np.nan_to_num(y), [1, 0, 1])):
        with pytest.raises(ValueError, match=r"^operands could not be broadcast together with shapes \(\d,\d\) \(\d,\) $"):
            loss(dense(1, 2), masked(refused), {"W": np.ones((1, 2)), "b": np.zeros(2)}, x, given, weight=weight)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


def test_a_batch_without_a_target_in_an_epoch_does_not_occur() -> None:
    y = np.full((N, 2), np.nan)
    y[5] = VALUES[5]
    state, report = next(train(NET, masked(mse), P, X, y, epochs=1, lr=0.1, size=4))
    assert report["step"] == 1
    assert same_bits(current_params(state), current_params(next(train(NET, mse, P, X[[5]], y[[5]], epochs=1, lr=0.1))[0]))
