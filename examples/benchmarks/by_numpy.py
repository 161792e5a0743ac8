"""By NumPy alone: the loop that anybody would write, and the floor, a step's matrix products."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.by_bare import product
from benchmarks.workload import F32, LR, Training, data, weights

Floats = NDArray[np.floating]


def plain(sizes: list[int], n: int, optimizer: str) -> Training:
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

    return step, None, step


def floor(sizes: list[int], n: int, optimizer: str) -> Training:
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
            product(a, b, out)
        return 0.0

    return step, None, step


def inference_floor(sizes: list[int], n: int) -> tuple[Callable[[], F32], None]:
    """Return the matrix products of a prediction."""
    draw = np.random.default_rng(0)
    acts = [draw.standard_normal((n, size), dtype=np.float32) for size in sizes]
    products = [(acts[i], W, acts[i + 1]) for i, (W, _) in enumerate(weights(sizes))]

    def predict() -> F32:
        for a, W, out in products:
            product(a, W, out)
        return acts[-1]

    return predict, None
