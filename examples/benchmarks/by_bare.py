"""A training step in the fewest and fastest NumPy calls that were found: what a library on NumPy can hope for.

Nothing is named, checked or kept. All memory is laid out beforehand and written
over in every step; params and gradients are views of one vector each, so that
an update is a few calls whatever the depth; and the learning rate of gradient
descent is drawn into the gradient of the loss.
"""

import math
from collections.abc import Callable

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

Pair = tuple[F32, F32]
Call = Callable[[], object]
Calls = tuple[Call, Call]
"""The call of a pass, and that of the way back."""
Layers = list[Pair]


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


def binary_loss(z: F32, y: F32 | Ints, d: F32, scale: float, weight: F32 | None = None) -> Callable[[], float]:
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


def class_loss(z: F32, y: F32 | Ints, d: F32, scale: float, weight: F32 | None = None) -> Callable[[], float]:
    """Return a function that computes the mean loss, and its gradient times n times `scale` into `d`."""
    (n, k), factor, share = z.shape, number(scale), None
    if weight is not None:
        share = weight / weight.mean()
        factor = (share * scale)[:, None]
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
        if share is not None:
            np.multiply(total, share, out=total)
        return float((sum(total.tolist()) if n <= 64 else np.add.reduce(total, dtype=np.float64)) / n)

    return compute


def sgd(params: F32, change: F32) -> Call:
    """Return a step of gradient descent; `change` already holds the learning rate times the gradient."""

    def update() -> None:
        np.subtract(params, change, out=params)

    return update


def descent_with_momentum(params: F32, change: F32) -> Call:
    """Return a step of gradient descent with momentum; `change` already holds the learning rate."""
    v, beta = np.zeros_like(change), number(BETA)

    def update() -> None:
        np.multiply(v, beta, out=v)
        np.add(v, change, out=v)
        np.subtract(params, v, out=params)

    return update


def clipped_descent(params: F32, change: F32) -> Call:
    """Return a step of gradient descent, clipped by the norm; `change` already holds the learning rate."""

    def update() -> None:
        norm = math.sqrt(change.dot(change))
        if norm > LIMIT * LR:
            np.multiply(change, number(LIMIT * LR / norm), out=change)
        np.subtract(params, change, out=params)

    return update


def adam(params: F32, g: F32) -> Call:
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


def dense(h: F32, dh: F32 | None, z: F32, dz: F32, own: Pair, grads: Pair) -> Calls:
    """Return the calls that compute z = h W + b, and the gradients from dz."""
    (W, b), (dW, db), ones_n = own, grads, np.ones(len(h), np.float32)
    transposed, turned = h.T, W.T

    def forward() -> None:
        product(h, W, z)
        np.add(z, b, out=z)

    def backward() -> None:
        product(transposed, dz, dW)
        ones_n.dot(dz, db)
        if dh is not None:
            product(dz, turned, dh)

    return forward, backward


def norm(by_rows: bool, h: F32, dh: F32, z: F32, dz: F32, own: Pair, grads: Pair) -> Calls:
    """Return the calls that normalise the rows of h, or its columns, and the gradients from dz."""
    (gamma, beta), (dgamma, dbeta), (n, k) = own, grads, h.shape
    xhat, scratch, ones_n = np.empty_like(h), np.empty_like(h), np.ones(n, np.float32)
    share = np.full(k if by_rows else n, 1 / (k if by_rows else n), np.float32)
    mean, inverse, first, second = (np.empty(n if by_rows else k, np.float32) for _ in range(4))
    eps, one = number(1e-5), number(1)

    def spread(a: F32) -> F32:
        return a[:, None] if by_rows else a

    def means(a: F32, out: F32) -> None:
        if by_rows:
            a.dot(share, out)
        else:
            share.dot(a, out)

    def forward() -> None:
        means(h, mean)
        np.subtract(h, spread(mean), out=xhat)
        np.multiply(xhat, xhat, out=scratch)
        means(scratch, inverse)
        np.add(inverse, eps, out=inverse)
        np.sqrt(inverse, out=inverse)
        np.divide(one, inverse, out=inverse)
        np.multiply(xhat, spread(inverse), out=xhat)
        np.multiply(xhat, gamma, out=z)
        np.add(z, beta, out=z)

    def backward() -> None:
        np.multiply(dz, xhat, out=scratch)
        ones_n.dot(scratch, dgamma)
        ones_n.dot(dz, dbeta)
        np.multiply(dz, gamma, out=dz)
        np.multiply(scratch, gamma, out=scratch)
        means(dz, first)
        means(scratch, second)
        np.multiply(xhat, spread(second), out=scratch)
        np.add(scratch, spread(first), out=scratch)
        np.subtract(dz, scratch, out=dz)
        np.multiply(dz, spread(inverse), out=dh)

    return forward, backward


def dropout(h: F32, dh: F32, z: F32, dz: F32) -> Calls:
    """Return the calls that drop some values of h, and the gradient from dz."""
    draw, drawn, rate, scale = np.random.default_rng(0), np.empty_like(h), number(DROPPED), number(1 / (1 - DROPPED))
    kept, factor = np.empty(h.shape, bool), np.empty_like(h)

    def forward() -> None:
        draw.random(dtype=np.float32, out=drawn)
        np.greater_equal(drawn, rate, out=kept)
        np.multiply(kept, scale, out=factor)
        np.multiply(h, factor, out=z)

    return forward, lambda: np.multiply(dz, factor, out=dh)


def skipped(h: F32, dh: F32, z: F32, dz: F32, y: F32, dy: F32) -> tuple[Calls, Calls]:
    """Return the calls around a layer with a connection around it, y = h + z: before it and after it."""
    return (lambda: None, lambda: np.add(dh, dy, out=dh)), (lambda: np.add(h, z, out=y), lambda: np.copyto(dz, dy))


def relu(z: F32, dz: F32) -> Calls:
    """Return the calls that compute relu in place, and multiply dz by its slope."""
    mask, zero = np.empty(z.shape, bool), number(0)
    row, least = (z.reshape(-1, 8192), np.zeros(8192, np.float32)) if z.size % 8192 == 0 else (z, zero)

    def backward() -> None:
        np.greater(z, zero, out=mask)
        np.multiply(dz, mask, out=dz)

    return lambda: np.maximum(row, least, out=row), backward


def tanh(z: F32, dz: F32) -> Calls:
    """Return the calls that compute tanh in place, and multiply dz by its slope."""
    slope, one = np.empty_like(z), number(1)

    def backward() -> None:
        np.multiply(z, z, out=slope)
        np.subtract(one, slope, out=slope)
        np.multiply(dz, slope, out=dz)

    return lambda: np.tanh(z, out=z), backward


def own(z: F32, dz: F32) -> Calls:
    """Return the calls that compute z / (1 + |z|) in place, and multiply dz by its slope."""
    root, one = np.empty_like(z), number(1)

    def forward() -> None:
        np.abs(z, out=root)
        np.add(root, one, out=root)
        np.divide(one, root, out=root)
        np.multiply(z, root, out=z)

    def backward() -> None:
        np.multiply(dz, root, out=dz)
        np.multiply(dz, root, out=dz)

    return forward, backward


def gelu(z: F32, dz: F32) -> Calls:
    """Return the calls that compute gelu in place, and multiply dz by its slope.

    Its tail is Abramowitz and Stegun's 7.1.26, right to 1e-7.
    """
    size, t, tail, power = (np.empty_like(z) for _ in range(4))
    first, *others = (number(a / 2) for a in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592))
    half, one, zero, density = number(0.5), number(1), number(0), number(1 / math.sqrt(2 * math.pi))
    near, exponent = number(0.3275911 / math.sqrt(2)), number(-0.5 / math.log(2))

    def forward() -> None:
        np.abs(z, out=size)
        np.multiply(size, near, out=t)
        np.add(t, one, out=t)
        np.divide(one, t, out=t)
        np.multiply(t, first, out=tail)
        for a in others:
            np.add(tail, a, out=tail)
            np.multiply(tail, t, out=tail)
        np.multiply(size, size, out=power)
        np.multiply(power, exponent, out=power)
        np.exp2(power, out=power)
        np.multiply(tail, power, out=tail)
        np.multiply(size, tail, out=t)
        np.maximum(z, zero, out=z)
        np.subtract(z, t, out=z)

    def backward() -> None:
        np.multiply(power, density, out=power)
        np.multiply(power, size, out=power)
        np.subtract(power, tail, out=power)
        np.add(power, half, out=power)
        np.copysign(power, z, out=power)
        np.add(power, half, out=power)
        np.multiply(dz, power, out=dz)

    return forward, backward


ACTIVATIONS: dict[str, Callable[[F32, F32], Calls]] = {"relu": relu, "gelu": gelu, "tanh": tanh, "own": own}


def network(plan: list[Piece], x: F32, layers: Layers, grads: Layers) -> tuple[list[Call], list[Call], F32, F32]:
    """Return the calls of a pass and of the way back, the outputs and their gradient."""
    calls: list[Calls] = []
    h, dh = x, None
    pairs = iter(zip(layers, grads, strict=True))
    for kind, f, _, n_out in plan:
        z, dz, y, dy = (np.empty((len(x), n_out), np.float32) for _ in range(4))
        after = [ACTIVATIONS[f](z, dz)] if f else []
        if kind == "dense":
            calls += [dense(h, dh, z, dz, *next(pairs)), *after]
        elif dh is None:
            raise ValueError(f"benchmark: the first layer must be dense, got {kind}")
        elif kind == "residual":
            before, last = skipped(h, dh, z, dz, y, dy)
            calls += [before, dense(h, dh, z, dz, *next(pairs)), *after, last]
            z, dz = y, dy
        elif kind == "dropout":
            calls.append(dropout(h, dh, z, dz))
        else:
            calls += [norm(kind == "layer_norm", h, dh, z, dz, *next(pairs)), *after]
        h, dh = z, dz
    assert dh is not None
    return [forward for forward, _ in calls], [backward for _, backward in reversed(calls)], h, dh


def drawn(sizes: list[int], variant: str) -> tuple[list[Piece], F32, Layers]:
    """Return the layers of a network, its params as one vector, and what they look like."""
    plan, start = pieces(sizes, variant), iter(weights(sizes, variant))
    like = [
        next(start) if kind in ("dense", "residual") else (np.ones(n, np.float32), np.zeros(n, np.float32))
        for kind, _, _, n in plan
        if kind != "dropout"
    ]
    return plan, np.concatenate([array for pair in like for array in pair], axis=None), like


def training(sizes: list[int], n: int, optimizer: str, variant: str = "plain") -> Training:
    """Return a training step."""
    x, y = data(sizes, n)
    plan, flat, like = drawn(sizes, variant)
    change = np.empty_like(flat)
    layers, grads = views(flat, like), views(change, like)
    forwards, backwards, outputs, slope = network(plan, x, layers, grads)
    loss = (binary_loss if sizes[-1] == 1 else class_loss)(
        outputs, y, slope, (LR if optimizer == "sgd" else 1) / n, row_weights(n) if variant == "row weights" else None
    )
    rules = {"adam": adam, "momentum": descent_with_momentum, "clipping": clipped_descent}
    update = rules.get(variant if optimizer == "sgd" else optimizer, sgd)(flat, change)
    both = zip(layers, grads, strict=True) if variant == "L2" else ()
    penalised, rate = [(W, dW, np.empty_like(W)) for (W, _), (dW, _) in both], number(2 * LR * PENALTY)

    def step() -> float:
        for call in forwards:
            call()
        value = loss()
        for call in backwards:
            call()
        for W, dW, scratch in penalised:
            value += PENALTY * float(np.vdot(W, W))
            np.multiply(W, rate, out=scratch)
            np.add(dW, scratch, out=dW)
        update()
        return value

    return step, None, step


def inference(sizes: list[int], n: int, variant: str = "plain") -> tuple[Callable[[], F32], None]:
    """Return a prediction of logits, a batch norm drawn into the layer before it."""
    x, _ = data(sizes, n)
    plan, flat, like = drawn(sizes, variant)
    layers = views(flat, like)
    if variant == "batch norm":
        plan, layers, h = pieces(sizes), weights(sizes, variant), x
        for i, (W, b) in enumerate(layers[:-1]):
            z = h.dot(W) + b
            inverse = 1 / np.sqrt(z.var(0) + np.float32(1e-5))
            layers[i] = W, b = W * inverse, (b - z.mean(0)) * inverse
            h = np.maximum(h.dot(W) + b, 0)
    calls, _, outputs, _ = network(plan, x, layers, layers)

    def predict() -> F32:
        for call in calls:
            call()
        return outputs

    return predict, None
