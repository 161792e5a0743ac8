"""The measurements by JAX: one jitted step with donated buffers, optax for Adam."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workload import ADAM_LR, F32, LR, Ints, Step, data, weights

jax: Any = importlib.import_module("jax")
jnp: Any = importlib.import_module("jax.numpy")


def logits(params: Any, x: Any) -> Any:
    """Return the outputs of the network."""
    for i, (W, b) in enumerate(params):
        x = x @ W + b
        if i < len(params) - 1:
            x = jax.nn.relu(x)
    return x


def mean_loss(params: Any, x: Any, y: Any) -> Any:
    """Return the mean loss: classes, or 0 and 1 for a single output."""
    z = logits(params, x)
    if z.shape[1] == 1:
        return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))
    return jnp.mean(jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, y[:, None], axis=1)[:, 0])


def jitted(optimizer: str, params: Any) -> tuple[Callable[..., Any], Any]:
    """Return a jitted step (params, state, x, y) -> (params, state, value), and the state."""
    if optimizer == "sgd":

        def sgd(params: Any, state: Any, x: Any, y: Any) -> Any:
            value, g = jax.value_and_grad(mean_loss)(params, x, y)
            return jax.tree.map(lambda p, d: p - LR * d, params, g), state, value

        return jax.jit(sgd, donate_argnums=(0, 1)), ()
    optax: Any = importlib.import_module("optax")
    adam = optax.adam(ADAM_LR)

    def by_adam(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, g = jax.value_and_grad(mean_loss)(params, x, y)
        updates, state = adam.update(g, state)
        return optax.apply_updates(params, updates), state, value

    return jax.jit(by_adam, donate_argnums=(0, 1)), adam.init(params)


def training(sizes: list[int], n: int, optimizer: str, read: bool = False) -> tuple[Step, Callable[[], object]]:
    """Return a training step, whose loss stays on the device unless it is to be `read`."""
    x, y = (jnp.asarray(a) for a in data(sizes, n))
    params = [(jnp.asarray(W), jnp.asarray(b)) for W, b in weights(sizes)]
    step_fn, state = jitted(optimizer, params)

    def step() -> float:
        nonlocal params, state
        params, state, value = step_fn(params, state, x, y)
        latest[0] = value
        return float(value) if read else 0.0

    latest: list[Any] = [None]

    def finish() -> float:
        jax.block_until_ready(params)
        return float(latest[0])

    return step, finish


def reading(sizes: list[int], n: int, optimizer: str) -> tuple[Step, Callable[[], object]]:
    """Return a step after which the loss is read, as the others give it."""
    return training(sizes, n, optimizer, read=True)


def inference(sizes: list[int], n: int) -> tuple[Callable[[], F32], None]:
    """Return a prediction of logits, read as a NumPy array."""
    x = data(sizes, n)[0]
    params = [(jnp.asarray(W), jnp.asarray(b)) for W, b in weights(sizes)]
    predict_fn = jax.jit(logits)

    def predict() -> F32:
        return np.asarray(predict_fn(params, x))

    return predict, None


def constant(sizes: list[int], n: int) -> tuple[Callable[[], F32], None]:
    """Return a prediction by a function into which the params are compiled as constants."""
    x = data(sizes, n)[0]
    params = [(jnp.asarray(W), jnp.asarray(b)) for W, b in weights(sizes)]
    predict_fn = jax.jit(lambda x: logits(params, x))

    def predict() -> F32:
        return np.asarray(predict_fn(x))

    return predict, None


def run(x: F32, y: Ints, x_val: F32, y_val: Ints) -> tuple[float, float]:
    """Train for ten epochs with a jitted step; return the seconds, compilation included, and the accuracy.

    Rows that do not fill a batch are left out, as another shape would be compiled anew.
    """
    started = time.perf_counter()
    params: Any = [(jnp.asarray(W), jnp.asarray(b)) for W, b in weights([784, 256, 128, 10])]
    step, state = jitted("adam", params)
    score = jax.jit(lambda params, x, y: (mean_loss(params, x, y), jnp.mean(jnp.argmax(logits(params, x), 1) == y)))
    draw, right = np.random.default_rng(0), 0.0
    for _ in range(10):
        order = draw.permutation(len(x))
        for first in range(0, len(x) - 127, 128):
            rows = order[first : first + 128]
            params, state, _ = step(params, state, x[rows], y[rows])
        _, share = score(params, x_val, y_val)
        right = float(share)
    return time.perf_counter() - started, right


def store(sizes: list[int], path: Path) -> None:
    """Write the params to a file."""
    np.savez(
        path, allow_pickle=False, **{f"{i}{j}": a for i, pair in enumerate(weights(sizes)) for j, a in enumerate(pair)}
    )
