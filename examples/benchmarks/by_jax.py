"""The measurements by JAX: one jitted step with donated buffers, optax for Adam."""

import importlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
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
    Piece,
    Training,
    data,
    pieces,
    row_weights,
    weights,
)

jax: Any = importlib.import_module("jax")
jnp: Any = importlib.import_module("jax.numpy")


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "": lambda z: z,
    "relu": jax.nn.relu,
    "gelu": lambda z: jax.nn.gelu(z, approximate=False),
    "tanh": jnp.tanh,
    "own": lambda z: z / (1 + jnp.abs(z)),
}


def network(sizes: list[int], variant: str = "plain") -> tuple[list[Piece], Any]:
    """Return the layers of a network, and the params of each, with the shared start values."""
    plan, start = pieces(sizes, variant), iter(weights(sizes, variant))
    params = []
    for kind, _, _, n in plan:
        own = next(start) if kind in ("dense", "residual") else () if kind == "dropout" else (np.ones(n), np.zeros(n))
        params.append(tuple(jnp.asarray(a, jnp.float32) for a in own))
    return plan, params


def layer(kind: str, f: str, own: Any, x: Any, key: Any) -> Any:
    """Return the outputs of a layer."""
    if kind == "dropout":
        kept = None if key is None else jax.random.bernoulli(key, 1 - DROPPED, x.shape)
        return x if kept is None else jnp.where(kept, x / (1 - DROPPED), 0)
    if kind in ("dense", "residual"):
        y = ACTIVATIONS[f](x @ own[0] + own[1])
        return x + y if kind == "residual" else y
    axis = 0 if kind == "batch_norm" else 1
    gamma, beta, *statistics = own
    mean, var = statistics or (jnp.mean(x, axis, keepdims=True), jnp.var(x, axis, keepdims=True))
    return ACTIVATIONS[f]((x - mean) * jax.lax.rsqrt(var + 1e-5) * gamma + beta)


def logits(plan: list[Piece], params: Any, x: Any, key: Any = None) -> Any:
    """Return the outputs of the network."""
    for (kind, f, *_), own in zip(plan, params, strict=True):
        if kind == "dropout" and key is not None:
            key, drawn = jax.random.split(key)
            x = layer(kind, f, own, x, drawn)
        else:
            x = layer(kind, f, own, x, None)
    return x


def mean_loss(plan: list[Piece], params: Any, x: Any, y: Any, w: Any = None, key: Any = None) -> Any:
    """Return the mean loss, weighted if there are weights: classes, or 0 and 1 for a single output."""
    z = logits(plan, params, x, key)
    if z.shape[1] == 1:
        losses = jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))
    else:
        losses = jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, y[:, None], axis=1)[:, 0]
    return jnp.mean(losses) if w is None else jnp.dot(losses, w) / jnp.sum(w)


def optimiser(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return (params) -> state and (params, state, grads) -> (params, state), but for plain descent by optax."""
    if name == "sgd":
        return lambda params: (), lambda params, state, g: (jax.tree.map(lambda p, d: p - LR * d, params, g), state)
    optax: Any = importlib.import_module("optax")
    rule = optax.adam(ADAM_LR) if name == "adam" else optax.sgd(LR, BETA)

    def step(params: Any, state: Any, g: Any) -> Any:
        updates, state = rule.update(g, state)
        return optax.apply_updates(params, updates), state

    return rule.init, step


def jitted(optimizer: str, plan: list[Piece], params: Any, variant: str = "plain") -> tuple[Callable[..., Any], Any]:
    """Return a jitted step (params, state, x, y, w) -> (params, state, value), and the state."""
    initial, update = optimiser("momentum" if variant == "momentum" else optimizer)

    def objective(params: Any, x: Any, y: Any, w: Any, key: Any) -> Any:
        value = mean_loss(plan, params, x, y, w, key)
        if variant == "L2":
            value += PENALTY * sum(jnp.sum(jnp.square(a)) for own in params for a in own if a.ndim > 1)
        return value

    def step(params: Any, state: Any, x: Any, y: Any, w: Any = None) -> Any:
        inner, key = state
        key, drawn = (None, None) if key is None else jax.random.split(key)
        value, g = jax.value_and_grad(objective)(params, x, y, w, drawn)
        if variant == "clipping":
            norm = jnp.sqrt(sum(jnp.sum(jnp.square(a)) for a in jax.tree.leaves(g)))
            g = jax.tree.map(lambda d: d * jnp.minimum(1, LIMIT / norm), g)
        params, inner = update(params, inner, g)
        return params, (inner, key), value

    key = jax.random.key(0) if variant == "dropout" else None
    return jax.jit(step, donate_argnums=(0, 1)), (initial(params), key)


def training(sizes: list[int], n: int, optimizer: str, variant: str = "plain", read: bool = False) -> Training:
    """Return a training step, whose loss stays on the device unless it is to be `read`."""
    batch = [jnp.asarray(a) for a in data(sizes, n)]
    if variant == "row weights":
        batch.append(jnp.asarray(row_weights(n)))
    plan, params = network(sizes, variant)
    step_fn, state = jitted(optimizer, plan, params, variant)
    latest: Any = None

    def step() -> float:
        nonlocal params, state, latest
        params, state, latest = step_fn(params, state, *batch)
        return float(latest) if read else 0.0

    def told() -> float:
        step()
        return float(latest)

    return step, lambda: jax.block_until_ready((params, latest)), told


def epochs(sizes: list[int], n: int, size: int, optimizer: str, many: int) -> Training:
    """Return some epochs, each a single jitted scan over its batches; its mean loss is read."""
    batches = tuple(jnp.asarray(a.reshape(n // size, size, *a.shape[1:])) for a in data(sizes, n))
    plan, params = network(sizes)
    initial, update = optimiser(optimizer)

    def step(held: Any, batch: Any) -> Any:
        value, g = jax.value_and_grad(partial(mean_loss, plan))(held[0], *batch)
        return update(*held, g), value

    def epoch(params: Any, state: Any, batches: Any) -> Any:
        held, values = jax.lax.scan(step, (params, state), batches)
        return *held, jnp.mean(values)

    epoch_fn = jax.jit(epoch, donate_argnums=(0, 1))

    def run() -> float:
        nonlocal params
        state, value = initial(params), 0.0
        for _ in range(many):
            params, state, mean = epoch_fn(params, state, batches)
            value = float(mean)
        return value

    return run, None, run


def reading(sizes: list[int], n: int, optimizer: str, variant: str = "plain") -> Training:
    """Return a step after which the loss is read, as the others give it."""
    return training(sizes, n, optimizer, variant, read=True)


def served(sizes: list[int], n: int, variant: str) -> tuple[list[Piece], Any, F32]:
    """Return a network for inference, its statistics those of the rows, and the rows."""
    x, (plan, params) = data(sizes, n)[0], network(sizes, variant)
    h = jnp.asarray(x)
    for i, (kind, f, *_) in enumerate(plan):
        if kind == "batch_norm":
            params[i] += (h.mean(0), h.var(0))
        h = layer(kind, f, params[i], h, None)
    return plan, params, x


def inference(sizes: list[int], n: int, variant: str = "plain") -> tuple[Callable[[], F32], None]:
    """Return a prediction of logits, read as a NumPy array."""
    plan, params, x = served(sizes, n, variant)
    predict_fn = jax.jit(partial(logits, plan))

    def predict() -> F32:
        return np.asarray(predict_fn(params, x))

    return predict, None


def constant(sizes: list[int], n: int, variant: str = "plain") -> tuple[Callable[[], F32], None]:
    """Return a prediction by a function into which the params are compiled as constants."""
    plan, params, x = served(sizes, n, variant)
    predict_fn = jax.jit(partial(logits, plan, params))

    def predict() -> F32:
        return np.asarray(predict_fn(x))

    return predict, None


def run(x: F32, y: Ints, x_val: F32, y_val: Ints) -> tuple[float, float]:
    """Train for ten epochs with a jitted step; return the seconds, compilation included, and the accuracy.

    Rows that do not fill a batch are left out, as another shape would be compiled anew.
    """
    started = time.perf_counter()
    plan, params = network([784, 256, 128, 10])
    step, state = jitted("adam", plan, params)

    def scored(params: Any, x: Any, y: Any) -> Any:
        return mean_loss(plan, params, x, y), jnp.mean(jnp.argmax(logits(plan, params, x), 1) == y)

    score = jax.jit(scored)
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
