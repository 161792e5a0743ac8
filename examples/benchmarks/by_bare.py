"""A training step in the fewest and fastest NumPy calls that were found: what a library on NumPy can hope for.

Nothing is named, checked or kept. All memory is laid out beforehand and written
over in every step; params and gradients are views of one vector each, so that
an update is a few calls whatever the depth; and the learning rate of gradient
descent is drawn into the gradient of the loss.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.workload import ADAM_LR, F32, LR, Ints, Training, data, weights

Layers = list[tuple[F32, F32]]


def number(value: float) -> F32:
    """Return a number as an array without axes, with which NumPy computes fastest."""
    return np.asarray(value, np.float32)


def views(flat: F32, like: Layers) -> Layers:
    """Return arrays of the same shapes as `like` that share the memory of one vector."""
    ends = np.cumsum([array.size for pair in like for array in pair])[:-1]
    parts = iter(np.split(flat, ends))
    return [(next(parts).reshape(W.shape), next(parts)) for W, _ in like]


def product(a: F32, b: F32, out: F32) -> None:
    """Compute a matrix product by the call that is the faster for its size."""
    if out.size < 8192:
        a.dot(b, out)
    else:
        np.matmul(a, b, out=out)


def binary_loss(z: F32, y: F32 | Ints, d: F32, scale: float) -> Callable[[], float]:
    """Return a function that computes the mean loss, and its gradient times n times `scale` into `d`."""
    n, zero, one, factor = len(z), number(0), number(1), number(scale)
    positive, powers, tail = (np.empty_like(z) for _ in range(3))
    losses = positive.reshape(n)

    def compute() -> float:
        np.maximum(z, zero, out=positive)
        np.abs(z, out=powers)
        np.negative(powers, out=powers)
        np.exp(powers, out=powers)
        np.log1p(powers, out=tail)
        np.add(powers, one, out=powers)
        np.subtract(z, positive, out=d)
        np.exp(d, out=d)
        np.divide(d, powers, out=d)
        np.multiply(z, y, out=powers)
        np.subtract(positive, powers, out=positive)
        np.add(positive, tail, out=positive)
        np.subtract(d, y, out=d)
        np.multiply(d, factor, out=d)
        return float(sum(losses.tolist()) / n)

    return compute


def class_loss(z: F32, y: F32 | Ints, d: F32, scale: float) -> Callable[[], float]:
    """Return a function that computes the mean loss, and its gradient times n times `scale` into `d`."""
    (n, k), factor = z.shape, number(scale)
    by_class, below, total, largest = (
        np.empty((k, n), np.float32),
        np.empty_like(z),
        np.empty_like(z[:, 0]),
        np.empty_like(z[:, 0]),
    )
    ones_n, ones_k, own = np.ones(n, np.float32), np.ones(k, np.float32), (np.arange(n) * k + y).astype(np.intp)
    flat_d, flat_below, column, largest_column = d.reshape(-1), below.reshape(-1), total[:, None], largest[:, None]

    def compute() -> float:
        np.copyto(by_class, z.T)
        np.maximum.reduce(by_class, axis=0, out=largest)
        np.subtract(z, largest_column, out=below)
        np.exp(below, out=d)
        d.dot(ones_k, total)
        np.divide(d, column, out=d)
        flat_d[own] -= ones_n
        np.multiply(d, factor, out=d)
        np.log(total, out=total)
        np.subtract(total, flat_below.take(own), out=total)
        return float((sum(total.tolist()) if n <= 64 else np.add.reduce(total, dtype=np.float64)) / n)

    return compute


def sgd(params: F32, change: F32) -> Callable[[], None]:
    """Return a step of gradient descent; `change` already holds the learning rate times the gradient."""

    def update() -> None:
        np.subtract(params, change, out=params)

    return update


def adam(params: F32, g: F32) -> Callable[[], None]:
    """Return a step of Adam."""
    m, v, scratch, t = np.zeros_like(g), np.zeros_like(g), np.empty_like(g), 0
    b1, b2, c1, c2 = (number(value) for value in (0.9, 0.999, 1 - 0.9, 1 - 0.999))

    def update() -> None:
        nonlocal t
        t += 1
        np.multiply(m, b1, out=m)
        np.multiply(g, c1, out=scratch)
        np.add(m, scratch, out=m)
        np.multiply(g, g, out=scratch)
        np.multiply(scratch, c2, out=scratch)
        np.multiply(v, b2, out=v)
        np.add(v, scratch, out=v)
        root = (1 - 0.999**t) ** 0.5
        np.sqrt(v, out=scratch)
        np.add(scratch, number(1e-8 * root), out=scratch)
        np.divide(m, scratch, out=scratch)
        np.multiply(scratch, number(ADAM_LR * root / (1 - 0.9**t)), out=scratch)
        np.subtract(params, scratch, out=params)

    return update


def training(sizes: list[int], n: int, optimizer: str) -> Training:
    """Return a training step."""
    x, y = data(sizes, n)
    start = weights(sizes)
    flat = np.concatenate([array for pair in start for array in pair], axis=None)
    change = np.empty_like(flat)
    layers, grads = views(flat, start), views(change, start)
    outputs = [np.empty((n, size), np.float32) for size in sizes[1:]]
    slopes = [np.empty_like(z) for z in outputs]
    zeros, masks = np.zeros(8192, np.float32), [np.empty(z.shape, bool) for z in outputs]
    last, ones_n, zero = len(start) - 1, np.ones(n, np.float32), number(0)
    hidden = [x, *outputs]
    transposed, turned = [h.T for h in hidden], [W.T for W, _ in layers]
    loss = (binary_loss if sizes[-1] == 1 else class_loss)(
        outputs[-1], y, slopes[-1], (LR if optimizer == "sgd" else 1) / n
    )
    update = (sgd if optimizer == "sgd" else adam)(flat, change)
    rows = [[z.reshape(-1, 8192), zeros] if z.size % 8192 == 0 else [z, zero] for z in outputs]

    def step() -> float:
        for i, (W, b) in enumerate(layers):
            z = outputs[i]
            product(hidden[i], W, z)
            np.add(z, b, out=z)
            if i < last:
                row, least = rows[i]
                np.maximum(row, least, out=row)
        value = loss()
        for i in range(last, -1, -1):
            d = slopes[i]
            product(transposed[i], d, grads[i][0])
            ones_n.dot(d, grads[i][1])
            if i:
                before = slopes[i - 1]
                product(d, turned[i], before)
                np.greater(hidden[i], zero, out=masks[i - 1])
                np.multiply(before, masks[i - 1], out=before)
        update()
        return value

    return step, None, step
