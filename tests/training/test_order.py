"""The order of rows is the user's; steps can be watched; and a map of a file is trained on as it is."""

import tracemalloc
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    Key,
    Rows,
    StepReport,
    batches,
    current_params,
    dense,
    fold_in,
    generator,
    grads,
    init,
    mlp,
    mse,
    progress,
    sgd_step,
    train,
)
from tests.numeric import same_bits
from tests.samples import CE
from tests.sentences import Cases, assert_sentence
from tests.training.runs import BN, NET, P, X, Y, last, run


def as_they_stand(epoch: int, key: Key) -> Rows:
    return np.arange(50)


def test_rows_as_they_stand_are_the_loop_by_hand() -> None:
    net, params = dense(4, 2), init(dense(4, 2), 0)
    state, _ = last(train(net, CE, params, X, Y, epochs=2, lr=0.1, size=16, order=as_they_stand))
    for _ in range(2):
        for rows in batches(0, 50, 16, order=np.arange(50)):
            params = sgd_step(params, grads(net, CE, params, X[rows], Y[rows]), 0.1)
    assert same_bits(current_params(state), params)


def test_the_random_order_is_one_that_can_be_written() -> None:
    def shuffled(epoch: int, key: Key) -> Rows:
        return generator(key).permutation(50)

    a, b = (last(train(NET, CE, P, X, Y, epochs=2, lr=0.1, key=5, order=order))[0] for order in (None, shuffled))
    assert same_bits(dict(a), dict(b))


def test_an_order_is_told_the_epoch_and_its_key_and_resumes() -> None:
    told: list[tuple[int, Key]] = []

    def growing(epoch: int, key: Key) -> Rows:
        told.append((epoch, key))
        return generator(key).permutation(20 + 10 * epoch)

    whole, report = last(train(NET, CE, P, X, Y, epochs=3, lr=0.1, size=16, key=5, order=growing))
    assert told == [(0, fold_in((5, 0), 0)), *((epoch, fold_in((5, 0), epoch)) for epoch in range(3))]  # tried first
    assert report["step"] == 2 + 2 + 3
    half, _ = last(train(NET, CE, P, X, Y, epochs=1, lr=0.1, size=16, key=5, order=growing))
    rest, _ = last(train(NET, CE, half, X, Y, epochs=progress(half)["epoch"] + 2, lr=0.1, size=16, key=5, order=growing))
    assert same_bits(dict(whole), dict(rest))


def test_rows_left_out_repeated_and_of_weight_0() -> None:
    seen: list[float] = []

    def noted(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        seen.extend(targets[:, 0].tolist())
        return mse(outputs, targets)

    rows, weight = np.arange(6.0)[:, None], [1, 1, 0, 1, 1, 1]
    net = dense(1, 1)
    list(train(net, noted, init(net, 0), rows, rows, epochs=1, lr=0.0, size=2, weight=weight, order=lambda e, k: [5, 2, 1, 1]))
    assert seen == [5, 1, 1]


def test_a_batch_norm_gets_no_batch_of_one_row_whatever_the_order() -> None:
    _, report = last(train(BN, CE, init(BN, 0), X, Y, epochs=1, lr=0.1, size=16, order=lambda e, k: np.arange(49)))
    assert report["step"] == 3


def test_every_step_is_told_with_a_total() -> None:
    told: list[StepReport] = []
    runs = train(NET, CE, P, X, Y, epochs=3, lr=lambda step: 0.1 / (1 + step), size=16, on_step=told.append)
    state, report = next(runs)
    assert [each["step"] for each in told] == [1, 2, 3, 4]
    list(runs)
    assert [(each["epoch"], each["steps"]) for each in told] == [(e, 12) for e in (1, 2, 3) for _ in range(4)]
    assert [each["lr"] for each in told] == [0.1 / (1 + step) for step in range(12)]
    sizes = [16, 16, 16, 2]
    assert sum(n * each["loss"] for n, each in zip(sizes, told, strict=False)) / 50 == pytest.approx(report["loss"])
    told.clear()
    list(train(NET, CE, state, X, Y, epochs=2, lr=0.1, size=16, on_step=told.append))
    assert [(each["epoch"], each["step"], each["steps"]) for each in told] == [(2, step, 8) for step in (5, 6, 7, 8)]


# Maps of files


def mapped(path: Path, array: AnyArray, mode: Literal["r", "r+", "c"] = "r") -> AnyArray:
    np.save(path, array)
    found: AnyArray = np.load(path, mmap_mode=mode)
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_map_gives_the_same_bytes_as_its_array(tmp_path: Path, dtype: type) -> None:
    x: Array = X.astype(dtype)
    weight = np.arange(50.0) % 5
    for net in (NET, BN):
        a, b = (
            last(
                train(net, CE, init(net, 0), each, targets, epochs=2, lr=0.1, weight=weight, validation=(each, targets, weight))
            )[0]
            for each, targets in ((x, Y), (mapped(tmp_path / "x.npy", x), mapped(tmp_path / "y.npy", Y)))
        )
        assert same_bits(dict(a), dict(b))


def test_a_map_is_not_read_into_memory(tmp_path: Path) -> None:
    x: AnyArray = mapped(tmp_path / "x.npy", np.zeros((20_000, 64)))  # of another dtype than the params
    y, net = np.arange(20_000) % 2, mlp([64, 8, 2])
    tracemalloc.start()
    next(train(net, CE, init(net, 0), x, y, epochs=1, lr=0.1, size=512, validation=(x, y)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 5


def test_a_map_that_can_be_written_to_is_copied(tmp_path: Path) -> None:
    straight, _ = last(train(NET, CE, P, X, Y, epochs=2, lr=0.1))
    modes: tuple[Literal["r+", "c"], ...] = ("r+", "c")
    for mode in modes:
        x = mapped(tmp_path / "x.npy", X, mode)
        runs = train(NET, CE, P, x, Y, epochs=2, lr=0.1)
        next(runs)
        x[:] = 0
        assert same_bits(dict(last(runs)[0]), dict(straight))


BAD: Cases = {
    "an order of too few arguments": (
        lambda: run(order=lambda epoch: [0]),
        TypeError,
        r"train: order must be a function \(epoch, key\) -> rows, got .*, which takes \(epoch\)",
    ),
    "an order that is rows": (
        lambda: run(order=[0, 1]),
        TypeError,
        r"train: order must be a function \(epoch, key\) -> rows, got \[0, 1\]",
    ),
    "rows that are not there": (
        lambda: run(order=lambda epoch, key: [0, 5]),
        ValueError,
        r"train: order for epoch 0 must be rows from 0 to 4, got 5 at 1",
    ),
    "rows below 0": (
        lambda: run(order=lambda epoch, key: [-1]),
        ValueError,
        r"train: order for epoch 0 must be rows from 0 to 4, got -1 at 0",
    ),
    "a mask for rows": (
        lambda: run(order=lambda epoch, key: np.ones(5, bool)),
        TypeError,
        r"train: order for epoch 0 must be one or more row numbers \(integers, not booleans\), got bool array of shape \(5,\)",
    ),
    "no rows": (
        lambda: run(order=lambda epoch, key: []),
        TypeError,
        r"train: order for epoch 0 must be one or more row numbers .*, got float64 array of shape \(0,\)",
    ),
    "rows of weight 0 alone": (
        lambda: run(weight=[0, 1, 1, 1, 1], order=lambda epoch, key: [0, 0]),
        ValueError,
        r"train: order for epoch 0 must give rows of weight above 0, got none",
    ),
    "on_step of no arguments": (
        lambda: run(on_step=lambda: None),
        TypeError,
        r"train: on_step must be a function of one argument, got .*, which takes \(\)",
    ),
    "an order in batches that is not there": (
        lambda: batches(0, 3, 2, order=[0, 3]),
        ValueError,
        r"batches: order must be rows from 0 to 2, got 3 at 1",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_meets_one_clear_sentence(case: str) -> None:
    assert_sentence(*BAD[case])
