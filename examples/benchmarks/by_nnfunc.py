"""The measurements by this library."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.workload import ADAM_LR, F32, LR, Ints, Step, data, start
from nnfunc import (
    accuracy,
    adam,
    best_params,
    finish,
    forward,
    mlp,
    sgd_step,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    train,
    value_and_grads,
)


def training(sizes: list[int], n: int, optimizer: str) -> tuple[Step, None]:
    """Return a training step."""
    x, y = data(sizes, n)
    net, params = mlp(sizes), start(sizes)
    loss_fn = sigmoid_cross_entropy if sizes[-1] == 1 else softmax_cross_entropy
    opt_init, opt_step = adam()
    state = opt_init(params)

    def sgd() -> float:
        nonlocal params
        value, g = value_and_grads(net, loss_fn, params, x, y)
        params = sgd_step(params, g, LR)
        return value

    def by_adam() -> float:
        nonlocal params, state
        value, g = value_and_grads(net, loss_fn, params, x, y)
        params, state = opt_step(params, g, state, ADAM_LR)
        return value

    return (sgd if optimizer == "sgd" else by_adam), None


def inference(sizes: list[int], n: int) -> tuple[Callable[[], F32], None]:
    """Return a prediction of logits."""
    x, _ = data(sizes, n)
    net, params = mlp(sizes), start(sizes)

    def predict() -> F32:
        return np.asarray(forward(net, params, x), np.float32)

    return predict, None


def run(x: F32, y: Ints, x_val: F32, y_val: Ints) -> tuple[float, float]:
    """Train 784-256-128-10 for ten epochs and return the seconds and the accuracy."""
    started = time.perf_counter()
    net, params = mlp([784, 256, 128, 10]), start([784, 256, 128, 10])
    state, _ = finish(train(
        net, softmax_cross_entropy, params, x, y, epochs=10, lr=ADAM_LR, optimizer=adam(), size=128,
        validation=(x_val, y_val), metrics={"accuracy": accuracy}, monitor=lambda report: -report["epoch"],
    ))  # fmt: skip
    seconds = time.perf_counter() - started
    return seconds, accuracy(forward(net, best_params(state), x_val), y_val)


def store(sizes: list[int], path: Path) -> None:
    """Write the params to a file."""
    np.savez(path, allow_pickle=False, **dict(start(sizes)))
