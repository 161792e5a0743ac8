"""The measurements by this library."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path

from functools import partial
from itertools import count
from typing import Any

import numpy as np

from benchmarks.workload import (
    ADAM_LR,
    BETA,
    DROPPED,
    F32,
    LIMIT,
    LR,
    PENALTY,
    Ints,
    Training,
    data,
    pieces,
    row_weights,
    weights,
)
from nnfunc import (
    Activation,
    Array,
    Layer,
    LossFn,
    Optimizer,
    Params,
    accuracy,
    activation,
    adam,
    batches,
    batch_norm,
    best_params,
    calibrate,
    chain,
    clip_by_global_norm,
    current_params,
    dense,
    dropout,
    finish,
    forward,
    freeze,
    gelu,
    init,
    l2,
    layer_norm,
    momentum,
    relu,
    residual,
    sgd,
    sgd_step,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    tanh,
    train,
    value_and_grads,
)


def own(z: Array) -> Array:
    """Return z / (1 + |z|), an activation of a user's own."""
    y: Array = z / (1 + np.abs(z))
    return y


def own_slope(z: Array) -> Array:
    """Return its elementwise derivative."""
    slope: Array = 1 / np.square(1 + np.abs(z))
    return slope


ACTIVATIONS: dict[str, Activation] = {"relu": relu, "gelu": gelu, "tanh": tanh, "own": (own, own_slope)}


def layer(kind: str, f: str, n_in: int, n_out: int) -> Layer:
    """Return a layer with its activation."""
    after = ACTIVATIONS.get(f)
    if kind in ("dense", "residual"):
        made = dense(n_in, n_out, after)
        return residual(made) if kind == "residual" else made
    if kind == "dropout":
        return dropout(DROPPED)
    norm = (batch_norm if kind == "batch_norm" else layer_norm)(n_out)
    return norm if after is None else chain(norm, activation(after))


def network(sizes: list[int], variant: str = "plain") -> tuple[Layer, Params]:
    """Return a network with the shared start values."""
    net = chain(*(layer(*piece) for piece in pieces(sizes, variant)))
    start = (array for pair in weights(sizes, variant) for array in pair)
    params = {name: next(start) if name[-1] in "Wb" else array for name, array in init(net, 0).items()}
    return net, freeze(params)


def loss_for(sizes: list[int]) -> LossFn:
    """Return the loss of a network: of classes, or of 0 and 1 for a single output."""
    return sigmoid_cross_entropy if sizes[-1] == 1 else softmax_cross_entropy


def training(
    sizes: list[int], n: int, optimizer: str, variant: str = "plain", rule: Optimizer | None = None
) -> Training:
    """Return a training step, its Adam by a `rule` of another's."""
    x, y = data(sizes, n)
    net, params = network(sizes, variant)
    loss_fn = loss_for(sizes)
    settings: dict[str, dict[str, Any]] = {"L2": {"penalty": l2(PENALTY)}, "row weights": {"weight": row_weights(n)}}
    options = settings.get(variant, {})
    noisy, clipped, steps = variant in ("dropout", "batch norm"), variant == "clipping", count()
    opt_init, opt_step = rule or (momentum(BETA) if variant == "momentum" else adam())
    state = opt_init(params)

    def descend() -> float:
        nonlocal params
        key = (0, next(steps)) if noisy else None
        value, g = value_and_grads(net, loss_fn, params, x, y, key=key, **options)
        params = sgd_step(params, clip_by_global_norm(g, LIMIT) if clipped else g, LR)
        return value

    def by_optimizer() -> float:
        nonlocal params, state
        value, g = value_and_grads(net, loss_fn, params, x, y)
        params, state = opt_step(params, g, state, LR if optimizer == "sgd" else ADAM_LR)
        return value

    step = by_optimizer if optimizer == "adam" or variant == "momentum" else descend
    return step, None, step


def compiled(sizes: list[int], n: int, optimizer: str) -> Training:
    """Return a step by the Adam that numba compiles."""
    rule: Optimizer = importlib.import_module("compiled_adam").compiled_adam()
    return training(sizes, n, optimizer, rule=rule)


def epochs(sizes: list[int], n: int, size: int, optimizer: str, many: int) -> Training:
    """Return some epochs by `train`, rows as they stand."""
    x, y = data(sizes, n)
    net, params = network(sizes)
    options: dict[str, Any] = {"optimizer": adam(), "lr": ADAM_LR} if optimizer == "adam" else {"lr": LR}
    options |= {"epochs": many, "size": size, "order": lambda epoch, key: np.arange(n)}

    def run() -> float:
        nonlocal params
        state, reports = finish(train(net, loss_for(sizes), params, x, y, **options))
        params = current_params(state)
        return reports[-1]["loss"]

    return run, None, run


def by_hand(sizes: list[int], n: int, size: int, optimizer: str, many: int) -> Training:
    """Return some epochs by a loop of one's own."""
    x, y = data(sizes, n)
    net, params = network(sizes)
    loss_fn, order = loss_for(sizes), np.arange(n)
    opt_init, opt_step = adam() if optimizer == "adam" else sgd()
    lr = ADAM_LR if optimizer == "adam" else LR

    def run() -> float:
        nonlocal params
        state, total = opt_init(params), 0.0
        for _ in range(many):
            total = 0.0
            for rows in batches(0, n, size=size, order=order):
                value, g = value_and_grads(net, loss_fn, params, x[rows], y[rows])
                params, state = opt_step(params, g, state, lr)
                total += value * len(rows)
        return total / n

    return run, None, run


def growth() -> dict[str, Callable[[], object]]:
    """Return a step of Adam by names, and what goes through all rows, in series that double."""
    found: dict[str, Callable[[], object]] = {}
    opt_init, opt_step = adam()
    for names in (1_250 * 2**i for i in range(4)):
        params = freeze({f"{i}": np.ones(8, np.float32) for i in range(names)})
        found[f"names, Adam: {names:,}"] = partial(opt_step, params, params, opt_init(params), ADAM_LR)
    net, start = network([8, 16, 1])
    x, y = data([8, 16, 1], 1_000_000)

    def epoch(n: int) -> object:
        return finish(train(net, loss_for([8, 16, 1]), start, x[:n], y[:n], epochs=1, lr=LR, size=1024))

    for n in (125_000 * 2**i for i in range(4)):
        found[f"rows, forward: {n:,}"] = partial(forward, net, start, x[:n])
    for n in (125_000 * 2**i for i in range(4)):
        found[f"rows, epoch: {n:,}"] = partial(epoch, n)
    return found


def inference(sizes: list[int], n: int, variant: str = "plain") -> tuple[Callable[[], F32], None]:
    """Return a prediction of logits."""
    x, _ = data(sizes, n)
    net, start = network(sizes, variant)
    params = calibrate(net, start, x) if variant == "batch norm" else start

    def predict() -> F32:
        return np.asarray(forward(net, params, x), np.float32)

    return predict, None


def run(x: F32, y: Ints, x_val: F32, y_val: Ints) -> tuple[float, float]:
    """Train 784-256-128-10 for ten epochs and return the seconds and the accuracy."""
    started = time.perf_counter()
    net, params = network([784, 256, 128, 10])
    state, _ = finish(train(
        net, softmax_cross_entropy, params, x, y, epochs=10, lr=ADAM_LR, optimizer=adam(), size=128,
        validation=(x_val, y_val), metrics={"accuracy": accuracy}, monitor=lambda report: -report["epoch"],
    ))  # fmt: skip
    seconds = time.perf_counter() - started
    return seconds, accuracy(forward(net, best_params(state), x_val), y_val)


def store(sizes: list[int], path: Path) -> None:
    """Write the params to a file."""
    np.savez(path, allow_pickle=False, **dict(network(sizes)[1]))
