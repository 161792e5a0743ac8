"""Row weights in a run: they count in batches of any size, in what is reported, and on what is held out."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    accuracy,
    best_params,
    class_weight,
    current_params,
    dense,
    early_stopping,
    grads,
    init,
    l2,
    loss,
    map_params,
    mlp,
    mse,
    reduce_on_plateau,
    sgd_step,
    sharded_value_and_grads,
    softmax_cross_entropy,
    tanh,
    train,
    value_and_grads,
)
from tests.numeric import same_bits
from tests.sentences import Cases, assert_sentence
from tests.training.runs import BN, NET, XV, YV, P, X, Y, last, run

DRAWN = np.random.default_rng(4)
NARROW = mlp([3, 5, 2], tanh)
WIDE = DRAWN.normal(size=(24, 3))
TARGETS = DRAWN.normal(size=(24, 2))
WEIGHT = np.r_[np.full(6, 20.0), DRAWN.uniform(0.01, 1, 18)]
START = init(NARROW, 0, np.float64)
WORD: Any = "1"


@pytest.mark.parametrize("size", [1, 2, 4, 40])
def test_the_minimum_is_the_weighted_mean_whatever_the_size(size: int) -> None:
    x, y = np.zeros((40, 1)), np.r_[np.zeros(20), np.full(20, 10.0)][:, None]
    weight = np.r_[np.ones(20), np.full(20, 9.0)]  # (20 * 0 + 180 * 10) / 200
    start = {"W": np.zeros((1, 1)), "b": np.zeros(1)}
    state, _ = last(
        train(dense(1, 1), mse, start, x, y, epochs=400, lr=lambda step: 0.05 / (1 + step / 500), size=size, weight=weight)
    )
    assert current_params(state)["b"] == pytest.approx([9.0], abs=0.05)


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300])
@pytest.mark.parametrize("size", [1, 3, 8, 24])
def test_an_epoch_of_tiny_steps_goes_along_the_gradient_of_all_rows(size: int, scale: float) -> None:
    lr, penalty = 1e-7, l2(0.1)
    state, report = last(
        train(NARROW, mse, START, WIDE, TARGETS, epochs=1, lr=lr, size=size, weight=WEIGHT * scale, penalty=penalty)
    )
    whole = grads(NARROW, mse, START, WIDE, TARGETS, weight=WEIGHT, penalty=penalty)
    for name, moved in map_params(lambda a, b: (b - a) / (-lr * 24 / size), START, current_params(state)).items():
        assert moved == pytest.approx(whole[name], rel=1e-4, abs=1e-5)
    # The loss that is reported is the one that is descended.
    value = loss(NARROW, mse, START, WIDE, TARGETS, weight=WEIGHT, penalty=penalty)
    assert report["loss"] == pytest.approx(value, rel=1e-4)


def test_rare_classes_with_balanced_weights_start_and_stay_at_ln_2() -> None:
    y = (np.arange(200) % 20 == 0).astype(int)
    net, x = dense(1, 2), np.zeros((200, 1))
    runs = train(
        net, softmax_cross_entropy, init(net, 0, np.float64), x, y, epochs=6, lr=0.05, size=4,
        weight=class_weight(y, "balanced"),
    )  # fmt: skip
    assert [report["loss"] for _, report in runs] == pytest.approx([math.log(2)] * 6, abs=0.03)


def test_weights_of_one_size_are_none() -> None:
    plain, _ = last(train(NET, mse, P, X, X[:, :2], epochs=2, lr=0.1))
    for weight in (1.0, 7.3, 1e-200):
        same, _ = last(train(NET, mse, P, X, X[:, :2], epochs=2, lr=0.1, weight=np.full(50, weight)))
        for name, array in current_params(plain).items():
            assert current_params(same)[name] == pytest.approx(array, rel=1e-5, abs=1e-7)


def test_a_loop_of_ones_own_takes_the_same_steps() -> None:
    state, _ = last(
        train(
            NARROW, mse, START, WIDE, TARGETS, epochs=1, lr=0.1, size=5, weight=WEIGHT,
            order=lambda epoch, key: np.arange(24),
        )  # fmt: skip
    )
    params = START
    for start in range(0, 24, 5):
        rows = slice(start, start + 5)
        batch = WIDE[rows], TARGETS[rows]
        g = grads(NARROW, mse, params, *batch, weight=WEIGHT[rows], mean_weight=WEIGHT.mean())
        params = sgd_step(params, g, 0.1)
    for name, array in params.items():
        assert current_params(state)[name] == pytest.approx(array, rel=1e-12)


def test_the_mean_weight_of_a_whole() -> None:
    parts = [slice(0, 6), slice(6, 24)]
    given = {"mean_weight": WEIGHT.mean()}
    found = [value_and_grads(NARROW, mse, START, WIDE[p], TARGETS[p], weight=WEIGHT[p], **given) for p in parts]
    value, whole = value_and_grads(NARROW, mse, START, WIDE, TARGETS, weight=WEIGHT)
    assert (6 * found[0][0] + 18 * found[1][0]) / 24 == pytest.approx(value, rel=1e-12)
    for name, array in whole.items():
        assert (6 * found[0][1][name] + 18 * found[1][1][name]) / 24 == pytest.approx(array, rel=1e-10)


def test_a_batch_of_weights_of_0_counts_for_nothing() -> None:
    value, g = value_and_grads(NARROW, mse, START, WIDE, TARGETS, weight=np.zeros(24), mean_weight=2.0)
    assert value == 0
    assert not any(array.any() for array in g.values())


@pytest.mark.parametrize("shards", [1, 5, 24])
def test_shards_have_the_same_mean(shards: int) -> None:
    weight = WEIGHT * (np.arange(24) % 4 > 0)
    count = min(shards, 18)
    value, g = value_and_grads(NARROW, mse, START, WIDE, TARGETS, weight=weight, mean_weight=0.7, penalty=l2(0.1))
    with ThreadPoolExecutor(2) as threads:
        total, added = sharded_value_and_grads(
            NARROW, mse, START, WIDE, TARGETS, shards=count, executor=threads, weight=weight, mean_weight=0.7, penalty=l2(0.1)
        )
    assert total == pytest.approx(value, rel=1e-12)
    for name, array in g.items():
        assert added[name] == pytest.approx(array, rel=1e-10, abs=1e-12)


# What is held out


def test_validation_is_weighted_as_it_is_asked() -> None:
    weight = class_weight(YV, [1.0, 5.0]) * (np.arange(30) % 7 > 0)
    kept = weight > 0
    state, report = last(
        train(NET, softmax_cross_entropy, P, X, Y, epochs=2, lr=0.1, validation=(XV, YV, weight),
              metrics={"accuracy": accuracy, "rows": lambda outputs, y: len(y)})  # fmt: skip
    )
    params = current_params(state)
    assert report["validation_loss"] == loss(NET, softmax_cross_entropy, params, XV, YV, weight=weight)
    assert report["metrics"]["rows"] == kept.sum()


def test_the_best_params_are_best_by_the_weighted_loss() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(400) % 20 == 0).astype(int)
    x = rng.normal(size=(400, 2)) + y[:, None]
    weight, net = class_weight(y, "balanced"), dense(2, 2)
    start = {"W": np.zeros((2, 2)), "b": np.array([1.5, -1.5])}
    found = {}
    for name, held_out in (("weighted", (x, y, weight)), ("plain", (x, y))):
        state, _ = last(
            train(net, softmax_cross_entropy, start, x, y, epochs=60, lr=0.5, size=400, weight=weight, validation=held_out)
        )
        found[name] = loss(net, softmax_cross_entropy, best_params(state), x, y, weight=weight)
    assert found["weighted"] == pytest.approx(0.45, abs=0.005)
    assert found["plain"] > 0.9  # the test would see it


def test_stopping_and_plateau_go_by_the_weighted_loss() -> None:
    weight = np.r_[np.ones(29), 1e6]  # the last row decides
    flipped = YV.copy()
    flipped[-1] = 1 - flipped[-1]
    for targets, epochs in ((YV, 6), (flipped, 2)):
        runs = train(
            dense(4, 2), softmax_cross_entropy, init(dense(4, 2), 0), np.repeat(XV[-1:], 8, axis=0),
            np.repeat(YV[-1:], 8), epochs=6, lr=0.1, validation=(XV, targets, weight), stopping=early_stopping(1),
            plateau=reduce_on_plateau(0.5, patience=0),
        )  # fmt: skip
        reports = [report for _, report in runs]
        assert len(reports) == epochs


def seen_mse(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Count nothing where a target is NaN."""
    if outputs.shape != targets.shape:
        raise ValueError(f"seen_mse: targets must have the shape {outputs.shape} of the outputs, got {targets.shape}")
    e = np.where(np.isnan(targets), 0, outputs - targets).astype(outputs.dtype)
    return np.add.reduce(e * e, axis=1), 2 * e


def test_validation_takes_the_targets_that_the_loss_takes() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    y = np.where(np.arange(80).reshape(40, 2) % 3 == 0, np.nan, 1.0)
    net = mlp([3, 4, 2])
    for state, report in train(net, seen_mse, init(net, 0), x, y, epochs=2, lr=0.1, validation=(x, y)):
        assert report["validation_loss"] == loss(net, seen_mse, current_params(state), x, y)


def test_rows_of_weight_0_are_not_calibrated_on() -> None:
    weight = (np.arange(50) < 40).astype(float)
    spoilt = X.copy()
    spoilt[40:] = np.nan
    a, _ = last(train(BN, softmax_cross_entropy, init(BN, 0), spoilt, Y, epochs=2, lr=0.1, weight=weight))
    b, _ = last(train(BN, softmax_cross_entropy, init(BN, 0), X[:40], Y[:40], epochs=2, lr=0.1))
    assert current_params(a)["norm/mean"] == pytest.approx(current_params(b)["norm/mean"], rel=1e-4, abs=1e-5)
    assert same_bits(dict(a), dict(last(train(BN, softmax_cross_entropy, init(BN, 0), X, Y, epochs=2, lr=0.1, weight=weight))[0]))


BAD: Cases = {
    "mean weight without weights": (
        lambda: loss(NARROW, mse, START, WIDE, TARGETS, mean_weight=1.0),
        ValueError,
        r"loss: mean_weight must come with weight, the weights of these rows, got 1.0",
    ),
    "mean weight of 0": (
        lambda: grads(NARROW, mse, START, WIDE, TARGETS, weight=WEIGHT, mean_weight=0),
        ValueError,
        r"grads: mean_weight must be above 0, got 0.0",
    ),
    "mean weight a text": (
        lambda: sharded_value_and_grads(NARROW, mse, START, WIDE, TARGETS, shards=2, weight=WEIGHT, mean_weight=WORD),
        TypeError,
        r"sharded_value_and_grads: mean_weight must be a number, got '1'",
    ),
    "validation weights too few": (
        lambda: run(validation=(X[:5], Y[:5], [1, 2])),
        ValueError,
        r"train: validation weight must have shape \(5,\), one weight per row, got \(2,\)",
    ),
    "validation weights all 0": (
        lambda: run(validation=(X[:5], Y[:5], np.zeros(5))),
        ValueError,
        r"train: validation weight must be finite, at least 0 and not all 0, got weights from 0 to 0",
    ),
    "validation of four": (
        lambda: run(validation=(X, Y, None, None)),
        TypeError,
        r"train: validation must be a pair \(x, y\), or \(x, y, weight\), got .*",
    ),
    "validation with a gap that the loss does not take": (
        lambda: run(validation=(np.full((5, 4), np.nan), Y[:5])),
        FloatingPointError,
        r"train: validation x must be finite, got nan at \[0, 0\] \(20 of 20 values\)",
    ),
    "a metric that does not take the gap that the loss takes": (
        lambda: run(
            loss_fn=lambda z, t: (np.zeros(len(z)), np.zeros_like(z)),
            validation=(X[:5], Y[:5]),
            metrics={"a": lambda outputs, y: accuracy(np.full_like(outputs, np.nan), y)},
        ),
        FloatingPointError,
        r"train: metrics\['a'\] must suit the validation data, got accuracy: outputs must be finite, got nan .*",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_meets_one_clear_sentence(case: str) -> None:
    assert_sentence(*BAD[case])
