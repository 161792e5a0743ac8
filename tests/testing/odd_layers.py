"""Right layers, some written in unusual ways: the checker must let them pass."""

from collections.abc import Callable
from functools import partial

import numpy as np

from nnfunc import (
    Array,
    DType,
    InputGradient,
    Key,
    Layer,
    Params,
    Pullback,
    activation,
    batch_norm,
    chain,
    dense,
    dropout,
    fold_in,
    generator,
    layer_norm,
    leaky_relu,
    relu,
    residual,
    softmax,
    tanh,
)
from nnfunc.testing import check_layer
from tests.layers import bare, elementwise
from tests.testing.makers import LOGITS, X, noisy

IDS: Array = np.array([[0.0, 2.0], [1.0, 1.0], [3.0, 0.0], [2.0, 3.0]])
IMAGES: Array = np.random.default_rng(4).normal(size=(4, 3, 5))


def with_params(
    init: Callable[[Key, DType], Params], back: Callable[..., tuple[Array, Callable[[Array], tuple[Params, Array]]]]
) -> Layer:
    """Return a layer from a function ``(params, x) -> (y, dy -> (grads, dx))``."""

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        y, pull = back(params, x)

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            grads, dx = pull(dy)
            return grads, lambda: dx.copy()

        return y, pullback

    return init, forward


def flatten(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy.reshape(x.shape).copy()

    return x.reshape(len(x), -1).copy(), pullback


def embedding(vocabulary: int, width: int) -> Layer:
    def init(key: Key, dtype: DType) -> Params:
        return {"table": generator(key).normal(size=(vocabulary, width)).astype(dtype)}

    def back(params: Params, x: Array) -> tuple[Array, Callable[[Array], tuple[Params, Array]]]:
        ids, table = x.astype(int), params["table"]

        def pull(dy: Array) -> tuple[Params, Array]:
            d = np.zeros_like(table)
            np.add.at(d, ids, dy)
            return {"table": d}, np.zeros_like(x)

        return table[ids], pull

    return with_params(init, back)


def conv1d(width: int) -> Layer:
    """Convolve the last axis of (n, channels, time) with one filter for all channels."""

    def init(key: Key, dtype: DType) -> Params:
        return {"filter": generator(key).normal(size=width).astype(dtype), "shift": np.zeros((), dtype)}

    def back(params: Params, x: Array) -> tuple[Array, Callable[[Array], tuple[Params, Array]]]:
        f = params["filter"]
        windows = np.lib.stride_tricks.sliding_window_view(x, width, axis=2)
        y: Array = np.einsum("nctw,w->nct", windows, f) + params["shift"]

        def pull(dy: Array) -> tuple[Params, Array]:
            dx = np.zeros_like(x)
            for i in range(width):
                dx[:, :, i : i + dy.shape[2]] += dy * f[i]
            return {"filter": np.einsum("nct,nctw->w", dy, windows), "shift": np.asarray(dy.sum())}, dx

        return y, pull

    return with_params(init, back)


def prelu() -> Layer:
    def init(key: Key, dtype: DType) -> Params:
        return {"slope": np.asarray(0.25, dtype)}

    def back(params: Params, x: Array) -> tuple[Array, Callable[[Array], tuple[Params, Array]]]:
        a = params["slope"]

        def pull(dy: Array) -> tuple[Params, Array]:
            return {"slope": np.asarray(np.sum(dy * np.minimum(x, 0)))}, np.where(x > 0, dy, a * dy)

        return np.where(x > 0, x, a * x), pull

    return with_params(init, back)


def low_rank(n: int, rank: int) -> Layer:
    def init(key: Key, dtype: DType) -> Params:
        return {part: generator(fold_in(key, i)).normal(size=(n, rank)).astype(dtype) for i, part in enumerate("UV")}

    def back(params: Params, x: Array) -> tuple[Array, Callable[[Array], tuple[Params, Array]]]:
        U, V = params["U"], params["V"]
        h = x @ U

        def pull(dy: Array) -> tuple[Params, Array]:
            dh = dy @ V
            return {"V": np.ascontiguousarray((h.T @ dy).T), "U": x.T @ dh}, dh @ U.T

        return h @ V.T, pull

    return with_params(init, back)


def weight_normed(n: int) -> Layer:
    def init(key: Key, dtype: DType) -> Params:
        return {"v": generator(key).normal(size=(n, 2)).astype(dtype), "g": np.ones(2, dtype)}

    def back(params: Params, x: Array) -> tuple[Array, Callable[[Array], tuple[Params, Array]]]:
        v, g = params["v"], params["g"]
        size = np.sqrt((v * v).sum(axis=0))
        W = g * v / size

        def pull(dy: Array) -> tuple[Params, Array]:
            dW = x.T @ dy
            along = (dW * v).sum(axis=0) / size
            return {"g": along, "v": g / size * (dW - along * v / size)}, dy @ W.T

        return x @ W, pull

    return with_params(init, back)


def scaled_by_buffer(params: Params, x: Array) -> tuple[Array, Callable[[Array], tuple[Params, Array]]]:
    return x * params["scale"], lambda dy: ({}, dy * params["scale"])


def fixed_scale(key: Key, dtype: DType) -> Params:
    return {"scale": np.array([1.0, 2.0, 3.0], dtype)}


def gated(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    half = x.shape[1] // 2
    a, b = x[:, :half], np.tanh(x[:, half : 2 * half])

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        def dx() -> Array:
            rest = np.zeros((len(x), x.shape[1] - 2 * half), x.dtype)
            return np.concatenate([dy * b, dy * a * (1 - b * b), rest], axis=1)

        return {}, dx

    return a * b, pullback


def sorted_columns(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    order = np.argsort(x, axis=1, kind="stable")

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        def dx() -> Array:
            d = np.empty_like(x)
            np.put_along_axis(d, order, dy, axis=1)
            return d

        return {}, dx

    return np.take_along_axis(x, order, axis=1), pullback


def largest(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    at = x.argmax(axis=1)[:, None]

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        def dx() -> Array:
            d = np.zeros_like(x)
            np.put_along_axis(d, at, dy, axis=1)
            return d

        return {}, dx

    return np.take_along_axis(x, at, axis=1), pullback


def circulant(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Smooth around a ring, by FFT."""
    kernel = np.fft.rfft(np.eye(1, x.shape[1])[0] * 0.5 + np.eye(1, x.shape[1], 1)[0] * 0.5)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        def dx() -> Array:
            return np.fft.irfft(np.fft.rfft(dy, axis=1) * np.conj(kernel), x.shape[1], axis=1).astype(x.dtype)

        return {}, dx

    return np.fft.irfft(np.fft.rfft(x, axis=1) * kernel, x.shape[1], axis=1).astype(x.dtype), pullback


def log_sum_exp(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    m = x.max(axis=1, keepdims=True)
    y = m + np.log(np.exp(x - m).sum(axis=1, keepdims=True))

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy * np.exp(x - y)

    return y, pullback


def stopped(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: np.zeros_like(x)

    return np.ones_like(x), pullback


def own_batch_norm(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Standardise by the batch in training, by nothing at inference."""
    if key is None:

        def still(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: 1 * dy

        return 1 * x, still
    mean, spread = x.mean(axis=0), np.sqrt(x.var(axis=0) + 1e-3)
    y = (x - mean) / spread

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: (dy - dy.mean(axis=0) - y * (dy * y).mean(axis=0)) / spread

    return y, pullback


def centred_over_rows(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy - dy.mean(axis=0)

    return x - x.mean(axis=0), pullback


def additive(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy.copy()

    return (x + 0 if key is None else x + 0.1 * generator(key).standard_normal(x.shape).astype(x.dtype)), pullback


def by_row(x: Array, key: Key) -> Array:
    kept = generator(key).random(len(x)) >= 0.25
    return np.broadcast_to((kept / 0.75).reshape(-1, *[1] * (x.ndim - 1)), x.shape)


def whole_batch(x: Array, key: Key) -> Array:
    return np.full(x.shape, float(generator(key).random() < 0.8) / 0.8)


def with_seed_sequence(x: Array, key: Key) -> Array:
    steps = key if isinstance(key, tuple) else (key,)
    draw = np.random.Generator(np.random.Philox(np.random.SeedSequence(steps[0], spawn_key=steps[1:])))
    return 1 + 0.2 * draw.standard_normal(x.shape)


def squashed(x: Array, key: Key | None) -> Array:
    return np.arctan(x)


LAYERS: dict[str, Callable[[], object]] = {
    "flatten": lambda: check_layer(bare(flatten), IMAGES),
    "embedding of whole numbers": lambda: check_layer(embedding(4, 3), IDS),
    "convolution on three axes": lambda: check_layer(conv1d(2), IMAGES),
    "a scalar parameter": lambda: check_layer(prelu(), X),
    "low rank, names in another order": lambda: check_layer(low_rank(3, 2), X),
    "weight norm": lambda: check_layer(weight_normed(3), X),
    "a buffer, declared": lambda: check_layer(with_params(fixed_scale, scaled_by_buffer), X, fixed=["scale"]),
    "a gate": lambda: check_layer(bare(gated), LOGITS),
    "sorting": lambda: check_layer(bare(sorted_columns), X),
    "maximum": lambda: check_layer(bare(largest), X),
    "by FFT": lambda: check_layer(bare(circulant), LOGITS),
    "log-sum-exp": lambda: check_layer(bare(log_sum_exp), X),
    "constant": lambda: check_layer(bare(stopped), X),
    "own batch norm": lambda: check_layer(bare(own_batch_norm), X),
    "rows that touch, declared": lambda: check_layer(bare(centred_over_rows), X, independent_rows=False),
    "additive noise": lambda: check_layer(bare(additive), X),
    "noise by row": lambda: check_layer(noisy(by_row), X),
    "noise for the whole batch": lambda: check_layer(noisy(whole_batch), X),
    "noise from a bit generator of its own": lambda: check_layer(noisy(with_seed_sequence), X, noise=True),
    "classic dropout": lambda: check_layer(noisy(lambda x, k: (generator(k).random(x.shape) < 0.6) * 1.0, 0.6), X),
    "biased noise, declared": lambda: check_layer(noisy(lambda x, k: generator(k).random(x.shape)), X, unbiased=False),
    "arctan": lambda: check_layer(elementwise(squashed, lambda dy, x: dy / (1 + x * x)), X),
    "quadratic": lambda: check_layer(elementwise(lambda x, k: x * x, lambda dy, x: 2 * x * dy), X),
    "dropout inside a curve": lambda: check_layer(chain(dropout(0.5), activation(tanh)), X),
    "batch norm before its bias": lambda: check_layer(
        chain(dense(3, 4), batch_norm(4), activation(relu), dense(4, 2)), X
    ),
    "a wide network with batch norm": lambda: check_layer(
        chain(dense(64, 32), batch_norm(32), activation(relu), dense(32, 10)), np.random.default_rng(1).random((8, 64))
    ),
    "residual of residual": lambda: check_layer(residual(residual(chain(dense(3, 3, tanh), layer_norm(3)))), X),
    "one row of inputs": lambda: check_layer(dense(3, 2, relu), X[:1]),
    "a row of zeros": lambda: check_layer(
        dense(3, 2, partial(leaky_relu, negative_slope=0.2)), np.zeros((2, 3)) + X[:2] * [[0], [1]]
    ),
    "float32 inputs": lambda: check_layer(dense(3, 4, softmax), X.astype(np.float32)),
    "a large network": lambda: check_layer(
        chain(dense(784, 64, relu), dense(64, 10)), np.random.default_rng(0).random((4, 784))
    ),
}
