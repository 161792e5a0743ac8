"""Growth: twice the layers and names take twice the calls, and a large table is read in parts, never copied whole."""

import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from nnfunc import (
    Array,
    Layer,
    Params,
    accuracy,
    activation_stats,
    adam,
    batch_norm,
    calibrate,
    chain,
    check_params,
    confusion_matrix,
    dense,
    diagnose,
    diff_params,
    dropout,
    finish,
    fit_scaler,
    forward,
    grads,
    init,
    layer_outputs,
    load,
    loss,
    mse,
    overfit_check,
    ravel,
    relu,
    residual,
    save,
    sgd_step,
    summary,
    train,
)
from tests.samples import CE

Task: TypeAlias = Callable[[Layer, Params, Path], object]

X: Array = np.arange(12, dtype=np.float32).reshape(4, 3)


def stepped(net: Layer, params: Params, path: Path) -> object:
    start, step = adam()
    return step(params, params, start(params), 0.1)


def filed(net: Layer, params: Params, path: Path) -> object:
    save(path / "params.npz", params)
    return load(path / "params.npz")


TASKS: dict[str, Task] = {
    "init": lambda net, params, path: init(net, 0),
    "forward": lambda net, params, path: forward(net, params, X),
    "loss": lambda net, params, path: loss(net, mse, params, X, X),
    "grads": lambda net, params, path: grads(net, mse, params, X, X, key=0),
    "sgd_step": lambda net, params, path: sgd_step(params, params, 0.1),
    "adam": stepped,
    "calibrate": lambda net, params, path: calibrate(net, params, X),
    "train": lambda net, params, path: finish(train(net, mse, params, X, X, epochs=2, lr=0, validation=(X, X))),
    "summary": lambda net, params, path: summary(net, params),
    "layer_outputs": lambda net, params, path: layer_outputs(net, params, X),
    "activation_stats": lambda net, params, path: activation_stats(net, params, X),
    "diagnose": lambda net, params, path: diagnose(net, mse, params, X, X, key=0),
    "overfit_check": lambda net, params, path: overfit_check(net, mse, params, X, X, steps=1),
    "check_params": lambda net, params, path: check_params(net, params),
    "diff_params": lambda net, params, path: diff_params(params, params),
    "ravel": lambda net, params, path: ravel(params)[1](ravel(params)[0]),
    "files": filed,
}


def deep(kind: str, count: int) -> Layer:
    if kind == "residual":
        return chain(*[residual(chain(dense(3, 3, relu), dropout(0.5))) for _ in range(count)])
    return chain(*[layer for _ in range(count) for layer in (dense(3, 3, relu), batch_norm(3))])


def calls(task: Callable[[], object]) -> int:
    """Return how many functions are called, Python's and C's."""
    counted = [0]

    def count(frame: object, event: str, argument: object) -> None:
        counted[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        task()
    finally:
        sys.setprofile(None)
    return counted[0]


@pytest.mark.parametrize("kind", ["residual", "batch_norm"])
@pytest.mark.parametrize("name", TASKS)
def test_twice_the_layers_take_twice_the_calls(name: str, kind: str, tmp_path: Path) -> None:
    found: list[int] = []
    for count in (40, 80):
        net = deep(kind, count)
        task = partial(TASKS[name], net, calibrate(net, init(net, 0), X), tmp_path)
        task()  # what is looked up once is looked up here
        found.append(calls(task))
    assert found[1] <= 2.1 * found[0]


ROWS, COLUMNS = 40_000, 16
SIZE = ROWS * COLUMNS * 8


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Array, Array]:
    """Return a table of float64 that is locked, and a map of the same."""
    path = tmp_path_factory.mktemp("maps") / "x.npy"
    table = np.random.default_rng(0).standard_normal((ROWS, COLUMNS))
    np.save(path, table)
    table.setflags(write=False)
    return table, np.load(path, mmap_mode="r")


def peak(task: Callable[[], object]) -> int:
    """Return the most memory that was held at once, beyond what was there before."""
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("is_map", [False, True], ids=["table", "map"])
def test_no_pass_copies_a_table_whole(large: tuple[Array, Array], is_map: bool) -> None:
    x, y = large[is_map], np.zeros(ROWS, np.int8)
    net = dense(COLUMNS, 2)
    params = init(net, 0)
    for task in (
        lambda: forward(net, params, x), lambda: loss(net, CE, params, x, y), lambda: fit_scaler(x),
        lambda: accuracy(x, y), lambda: confusion_matrix(x, y),
    ):
        assert peak(task) < SIZE / 3


def test_train_reads_a_map_by_batches(large: tuple[Array, Array]) -> None:
    x, net = large[1], dense(COLUMNS, 2)
    y = np.zeros(ROWS, np.int8)
    given = partial(train, net, CE, init(net, 0), x, y, epochs=2, lr=0.1, size=1000, validation=(x, y))
    assert peak(lambda: finish(given(metrics={"accuracy": accuracy}))) < SIZE / 3
