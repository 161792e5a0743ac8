"""By NumPy alone: the loop that anybody would write, the fewest calls that do it, and a step's matrix products."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import ADAM_LR, F32, LR, Step, data, weights
from nnfunc.activations import relu_in_place
from nnfunc.fixed import keep_freed_memory

Floats = NDArray[np.floating]


def plain(sizes: list[int], n: int, optimizer: str) -> tuple[Step, None]:
    """Return a step of gradient descent written by hand, with new arrays for the new params."""
    x, y = data(sizes, n)
    layers: list[tuple[Floats, Floats]] = [(W, b) for W, b in weights(sizes)]
    last = len(layers) - 1

    def step() -> float:
        nonlocal layers
        hidden: list[Floats] = [x]
        z: Floats = x
        for i, (W, b) in enumerate(layers):
            z = hidden[-1] @ W
            z += b
            hidden.append(np.maximum(z, 0) if i < last else z)
        if sizes[-1] == 1:
            value = float(np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))))
            d: Floats = (1 / (1 + np.exp(-z)) - y) / n
        else:
            z = z - z.max(axis=1, keepdims=True)
            powers = np.exp(z)
            total = powers.sum(axis=1, keepdims=True)
            value = float(np.mean(np.log(total[:, 0]) - z[np.arange(n), y]))
            d = powers / total
            d[np.arange(n), y] -= 1
            d /= n
        new = list(layers)
        for i in range(last, -1, -1):
            W, b = layers[i]
            new[i] = (W - LR * (hidden[i].T @ d), b - LR * d.sum(axis=0))
            if i:
                d = (d @ W.T) * (hidden[i] > 0)
        layers = new
        return value

    return step, None


def bare(sizes: list[int], n: int, optimizer: str) -> tuple[Step, None]:
    """Return a step in the fewest and fastest NumPy calls found: nothing named, checked or kept, all done in place.

    Params and gradients are views of one vector each, so that an update is a
    few calls whatever the depth. No library on NumPy can be faster than this.
    """
    x, y = data(sizes, n)
    start = weights(sizes)
    flat = np.concatenate([array for pair in start for array in pair], axis=None)
    change = np.empty_like(flat)
    m, v = np.zeros_like(flat), np.zeros_like(flat)
    layers, grads = (views(vector, start) for vector in (flat, change))
    last, t = len(start) - 1, 0
    keep_freed_memory()
    zero, one, rows, rate, b1, b2, c1, c2 = (
        np.asarray(value, np.float32) for value in (0, 1, n, LR, 0.9, 0.999, 1 - 0.9, 1 - 0.999)
    )
    ones_n, ones_k, starts = np.ones(n, np.float32), np.ones(sizes[-1], np.float32), np.arange(0, n * sizes[-1], sizes[-1])
    own = starts + y if sizes[-1] > 1 else starts

    def sgd() -> None:
        np.multiply(change, rate, out=change)
        np.subtract(flat, change, out=flat)

    def adam() -> None:
        nonlocal t
        t += 1
        np.multiply(m, b1, out=m)
        scratch = change * c1
        np.add(m, scratch, out=m)
        np.multiply(change, change, out=scratch)
        np.multiply(scratch, c2, out=scratch)
        np.multiply(v, b2, out=v)
        np.add(v, scratch, out=v)
        root = (1 - 0.999**t) ** 0.5
        np.sqrt(v, out=scratch)
        np.add(scratch, np.asarray(1e-8 * root, np.float32), out=scratch)
        np.divide(m, scratch, out=scratch)
        np.multiply(scratch, np.asarray(ADAM_LR * root / (1 - 0.9**t), np.float32), out=scratch)
        np.subtract(flat, scratch, out=flat)

    update = sgd if optimizer == "sgd" else adam

    def step() -> float:
        hidden: list[F32] = [x]
        z: F32 = x
        for i, (W, b) in enumerate(layers):
            z = product(z, W)
            z += b
            if i < last:
                relu_in_place(z)
            hidden.append(z)
        if sizes[-1] == 1:
            positive = np.maximum(z, zero)
            powers = np.abs(z)
            np.exp(np.negative(powers, out=powers), out=powers)
            tail = np.log1p(powers)
            powers += one
            d: F32 = np.exp(z - positive)
            d /= powers
            positive -= z * y
            positive += tail
            d -= y
            losses = positive.reshape(n)
        else:
            below = z - np.maximum.reduce(z.T.copy(), axis=0)[:, None]
            d = np.exp(below)
            total = d.dot(ones_k)
            d /= total[:, None]
            flat_d = d.reshape(-1)
            flat_d[own] -= ones_n
            losses = np.log(total) - below.reshape(-1).take(own)
        value = (sum(losses.tolist()) if n <= 64 else float(np.add.reduce(losses, dtype=np.float64))) / n
        d /= rows
        for i in range(last, -1, -1):
            dW, db = grads[i]
            np.matmul(hidden[i].T, d, out=dW) if dW.size > 8192 else hidden[i].T.dot(d, out=dW)
            ones_n.dot(d, out=db)
            if i:
                d = product(d, layers[i][0].T)
                d *= hidden[i] > zero
        update()
        return value

    return step, None


def views(flat: F32, like: list[tuple[F32, F32]]) -> list[tuple[F32, F32]]:
    """Return arrays of the same shapes as `like` that share the memory of one vector."""
    ends = np.cumsum([array.size for pair in like for array in pair])[:-1]
    parts = iter(np.split(flat, ends))
    return [(next(parts).reshape(W.shape), next(parts)) for W, _ in like]


def product(a: F32, b: F32) -> F32:
    """Return a matrix product by the call that is the faster for its size."""
    c: F32 = a.dot(b) if len(a) * b.shape[1] < 8192 else a @ b
    return c


def floor(sizes: list[int], n: int, optimizer: str) -> tuple[Step, None]:
    """Return the step's matrix products, into buffers that are there already."""
    draw = np.random.default_rng(0)

    def array(*shape: int) -> F32:
        return draw.standard_normal(shape, dtype=np.float32)

    acts = [array(n, size) for size in sizes]
    matrices = [array(a, b) for a, b in zip(sizes, sizes[1:], strict=False)]
    products = [(acts[i], W, array(n, sizes[i + 1])) for i, W in enumerate(matrices)]
    products += [(acts[i].T, acts[i + 1], array(*W.shape)) for i, W in enumerate(matrices)]
    products += [(acts[i + 1], W.T, array(n, sizes[i])) for i, W in enumerate(matrices) if i]

    def step() -> float:
        for a, b, out in products:
            np.matmul(a, b, out=out)
        return 0.0

    return step, None


def inference_floor(sizes: list[int], n: int) -> tuple[Callable[[], F32], None]:
    """Return the matrix products of a prediction."""
    draw = np.random.default_rng(0)
    acts = [draw.standard_normal((n, size), dtype=np.float32) for size in sizes]
    products = [(acts[i], W, acts[i + 1]) for i, (W, _) in enumerate(weights(sizes))]

    def predict() -> F32:
        for a, W, out in products:
            np.matmul(a, W, out=out)
        return acts[-1]

    return predict, None
