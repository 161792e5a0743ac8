"""Mistakes that hide in some rows, in the key, on the way or in what is kept, and right pieces that look like them."""

import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from nnfunc import (
    AnyArray, Array, DType, InputGradient, Key, Layer, Params, Pullback, activation, chain, dense, generator,
    glorot_uniform, layer_norm, tanh,
)
from nnfunc.testing import check_activation, check_initializer, check_layer, check_pure
from tests.layers import bare, elementwise
from tests.testing.makers import X, drawing, noisy

Check: TypeAlias = Callable[[], object]

WITH_ZEROS: Array = X * [[0.0], [1], [1], [1], [1], [1]]
WITH_EQUAL: Array = np.where(np.arange(6)[:, None] == 2, 0.5, X)
IDS: Array = np.arange(50.0)[:, None]
KEPT: Array = np.zeros(3)
POSITIVE: Array = np.abs(X) + 0.3


def plain(value: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Layer:
    return elementwise(lambda x, key: value(x), lambda dy, x: dy * slope(x))


def rows_scaled(
    size: Callable[[Array], Array], over: int, back: Callable[[Array], Array] | None = None
) -> Layer:
    """Divide each row by its size; the way back may divide by another."""

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        n = size(x)
        y, m = x / n, back(x) if back else n

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: (dy - y * np.sum(dy * y, axis=1, keepdims=True) / over) / m

        return y, pullback

    return bare(forward)


def root_mean_square(eps: float) -> Callable[[Array], Array]:
    def size(x: Array) -> Array:
        square: Array = np.mean(x * x, axis=1, keepdims=True)
        root: Array = np.sqrt(square + eps)
        return root

    return size


def length(x: Array) -> Array:
    square: Array = np.sum(x * x, axis=1, keepdims=True)
    root: Array = np.sqrt(square)
    return root


def lengths(zero: float) -> Layer:
    """Return the length of each row, with a slope at the row of zeros of one's choice."""

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        n = length(x)

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: dy * np.divide(x, n, out=np.full_like(x, zero), where=n > 0)

        return n, pullback

    return bare(forward)


def standardised(spread: Callable[[Array, Array], Array]) -> Layer:
    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        mean = np.asarray(np.mean(x, axis=1, keepdims=True))
        s = spread(x, mean)
        y = (x - mean) / s

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            centred = dy - np.mean(dy, axis=1, keepdims=True)
            return {}, lambda: (centred - y * np.mean(dy * y, axis=1, keepdims=True)) / s

        return y, pullback

    return bare(forward)


def path(key: Key) -> tuple[int, ...]:
    return key if isinstance(key, tuple) else (key,)


def keyed(seed: Callable[[tuple[int, ...]], Key]) -> Layer:
    """Return x W, where W is drawn from what becomes of the key."""

    def init(key: Key, dtype: DType) -> Params:
        return {"W": generator(seed(path(key))).normal(size=(3, 3)).astype(dtype)}

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        W = params["W"]

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {"W": x.T @ dy}, lambda: dy @ W.T

        return x @ W, pullback

    return init, forward


def scaled(factor: Callable[[Array], float]) -> Layer:
    """Multiply by a number that may depend on anything."""

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        s = factor(x)

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: s * dy

        return s * x, pullback

    return bare(forward)


def counted(factor: Callable[[int], float]) -> Callable[[Array], float]:
    calls: list[Array] = []

    def at(x: Array) -> float:
        calls.append(x)
        return factor(len(calls))

    return at


def setting(f: Callable[[], object]) -> Callable[[Array], float]:
    def at(x: Array) -> float:
        f()
        return 2.0

    return at


def gain_by_result() -> Layer:
    """Find x again as y / s, which a gain of 0 does not allow."""

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        s = params["s"]
        y = x * s

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {"s": np.add.reduce(dy * y / s, axis=0)}, lambda: dy * s

        return y, pullback

    return (lambda key, dtype: {"s": np.ones(3, dtype)}), forward


def gain_by_size() -> Layer:
    """Multiply by the absolute value of a gain, and forget its sign on the way back."""

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        s = np.abs(params["s"])

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {"s": np.add.reduce(dy * x, axis=0)}, lambda: dy * s

        return x * s, pullback

    return (lambda key, dtype: {"s": np.ones(3, dtype)}), forward


def clipped_log(x: Array) -> Array:
    return np.log(np.clip(x, 1e-7, 1 - 1e-7))


def dx_spent(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        left = [2 * dy]
        return {}, lambda: left.pop() if left else np.zeros_like(x)

    return 2 * x, pullback


def dx_kept() -> Layer:
    kept: dict[bytes, Array] = {}

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: kept.setdefault(dy.tobytes() + dy.dtype.char.encode(), 2 * dy)

        return 2 * x, pullback

    return bare(forward)


def one_off(n: int) -> Layer:
    """Return a dense layer with one wrong element in its gradient."""
    layer_init, layer_forward = dense(n, n)

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        y, pullback = layer_forward(params, x, key)

        def wrong(dy: Array) -> tuple[Params, InputGradient]:
            grads, dx = pullback(dy)
            W = np.array(grads["W"])
            W[n // 2, n // 3] *= 1.05
            return {**grads, "W": W}, dx

        return y, wrong

    return layer_init, forward


def lookup(n: int, whole: bool = False) -> Layer:
    """Return row number x of a table; `whole` refuses what is no index at all."""

    def init(key: Key, dtype: DType) -> Params:
        return {"E": generator(key).normal(size=(n, 2)).astype(dtype)}

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        if whole and ((x != np.round(x)).any() or (x < 0).any()):
            raise ValueError("lookup: x must hold indices")
        rows = x[:, 0].astype(int)

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            g = np.zeros_like(params["E"])
            np.add.at(g, rows, dy)
            return {"E": g}, lambda: np.zeros_like(x)

        return params["E"][rows], pullback

    return init, forward


def by_signs() -> Layer:
    """Multiply by the signs of weights, whose gradient passes straight through."""

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        signs = np.sign(params["W"])

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {"W": x.T @ dy}, lambda: dy @ signs.T

        return x @ signs, pullback

    return keyed(lambda key: key)[0], forward


def logarithm(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    if (x <= 0).any():
        raise ValueError("logarithm: x must be above 0")

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy / x

    return np.log(x), pullback


def quiet(x: Array) -> Array:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.exp(-x * x)


def half(x: Array) -> Array:
    return x.astype(np.float16).astype(x.dtype)


def single(x: Array) -> Array:
    return x.astype(np.float32).astype(x.dtype)


def in_tanh(z: Array) -> Array:
    return 1 - np.tanh(z) ** 2


def silent(z: Array) -> Array:
    np.seterr(all="ignore")
    return np.tanh(z)


def short_key(key: Key, shape: tuple[int, ...]) -> AnyArray:
    return np.random.default_rng([step % 1000 for step in path(key)]).normal(size=shape)


WRONG_LAYERS: dict[str, tuple[Layer, Array, str]] = {
    "eps elsewhere on the way back": (
        rows_scaled(root_mean_square(1e-5), 3, lambda x: root_mean_square(0)(x) + 1e-5), X, "gradient"),
    "a row of zeros over its length": (rows_scaled(length, 1), WITH_ZEROS, "finite"),
    "length of a row of zeros": (lengths(np.nan), WITH_ZEROS, "finite"),
    "length of one row of zeros among many": (lengths(np.nan), np.concatenate([POSITIVE] * 9 + [0 * X]), "finite"),
    "length of a row of zeros that is not given": (lengths(np.nan), X, "finite"),
    "deviation of equal values": (
        standardised(lambda x, mean: np.asarray(np.std(x, axis=1, keepdims=True))), WITH_EQUAL, "finite"),
    "variance as a difference of squares": (
        standardised(lambda x, m: np.sqrt(np.asarray(np.mean(x * x, axis=1, keepdims=True)) - m * m + 1e-5)), X,
        "offset"),
    "init by the sum of the key": (keyed(sum), X, "init"),
    "init by the sorted key": (keyed(lambda key: tuple(sorted(key))), X, "init"),
    "init by the digits of the key": (keyed(lambda key: int("".join(map(str, key)))), X, "init"),
    "init by a part of each step": (keyed(lambda key: tuple(step % 256 for step in key)), X, "init"),
    "noise by the sorted key": (
        noisy(lambda x, k: 2.0 * (generator(tuple(sorted(path(k)))).random(x.shape) < 0.5)), X, "keys"),
    "half precision on the way back": (plain(np.tanh, lambda x: half(in_tanh(x))), X, "gradient"),
    "a small part in float32": (plain(lambda x: np.tanh(x) + single(0.01 * x), lambda x: in_tanh(x) + 0.01), X,
                                "gradient|precision"),
    "slope in float32": (plain(np.tanh, lambda x: single(in_tanh(x))), X, "precision"),
    "sets NumPy's errors": (scaled(setting(lambda: np.seterr(all="ignore"))), X, "global settings"),
    "sets what is printed": (scaled(setting(lambda: np.set_printoptions(precision=3))), X, "global settings"),
    "sets what warns": (scaled(setting(lambda: warnings.simplefilter("ignore"))), X, "global settings"),
    "sets the environment": (scaled(setting(lambda: os.environ.update(NNFUNC_TRIED="1"))), X, "global settings"),
    "other batches": (scaled(lambda x: 2.0 if len(x) <= 8 else 1.0), X, "one row"),
    "batches as long as wide": (scaled(lambda x: 2.0 if len(x) == x.shape[1] else 1.0), X, "one row"),
    "every tenth call": (scaled(counted(lambda n: 2.0 if n % 10 else 2.1)), X, "same bits|arguments|calls apart"),
    "after some hundred calls": (scaled(counted(lambda n: 2.0 if n < 400 else 2.1)), X, "same at the end|keys"),
    "x found again by dividing": (gain_by_result(), X, "finite"),
    "the sign of a gain forgotten": (gain_by_size(), X, "gradient"),
    "dx once only": (bare(dx_spent), X, "calls apart"),
    "dx kept": (dx_kept(), X, "no aliasing"),
    "one element of 40,000": (one_off(200), np.random.default_rng(0).normal(size=(8, 200)), "gradient"),
}

WRONG: dict[str, tuple[Check, str]] = {
    **{f"layer: {name}": (partial(check_layer, layer, x), law) for name, (layer, x, law) in WRONG_LAYERS.items()},
    "layer: indices with a slope": (lambda: check_layer(dense(3, 2), X, x_slope=False), "form"),
    "layer: signs of weights, undeclared": (lambda: check_layer(by_signs(), X), "gradient"),
    "activation: silences NumPy": (lambda: check_activation(silent, in_tanh), "global settings"),
    "activation: slope off by 1e-5": (lambda: check_activation(np.tanh, lambda z: in_tanh(z) * (1 + 1e-5)), "gradient"),
    "activation: slope in float32": (
        lambda: check_activation(np.tanh, lambda z: in_tanh(single(z))), "gradient|precision"),
    "initializer: by the sum": (
        lambda: check_initializer(drawing(lambda k, s: generator(sum(path(k))).normal(size=s))), "keys"),
    "initializer: signs by the sum": (
        lambda: check_initializer(drawing(lambda k, s: generator(sum(path(k))).choice([-1.0, 1.0], s))), "keys"),
    "initializer: a part of the key, large": (lambda: check_initializer(drawing(short_key), (1024, 512)), "keys"),
    "initializer: fan-out, large": (
        lambda: check_initializer(drawing(lambda k, s: generator(k).normal(0, s[1] ** -0.5, s)), (1024, 256),
                                  std=1 / 32), "spread"),
    "function: draws from its argument": (
        lambda: check_pure(lambda draw: draw.normal(size=3), np.random.default_rng(0)), "arguments unchanged"),
    "function: kept": (lambda: check_pure(lambda a: KEPT, X), "no aliasing"),
    "function: every tenth call": (
        partial(check_pure, counted(lambda n: 1.0 if n % 10 else 2.0), X), "same bits"),
}

RIGHT: dict[str, Check] = {
    "layer: indices": lambda: check_layer(lookup(50), IDS),
    "layer: indices, declared": lambda: check_layer(lookup(6), np.array([[1.0], [5.0], [3.0]]), x_slope=False),
    "layer: indices alone taken": lambda: check_layer(lookup(50, whole=True), IDS),
    "layer: indices alone taken, declared": lambda: check_layer(lookup(50, whole=True), IDS, x_slope=False),
    "layer: straight through": lambda: check_layer(
        plain(np.sign, lambda x: (np.abs(x) < 1).astype(x.dtype)), X, surrogate=["x"]),
    "layer: reversed": lambda: check_layer(plain(lambda x: 1 * x, lambda x: np.full_like(x, -0.5)), X, surrogate=["x"]),
    "layer: stopped": lambda: check_layer(plain(lambda x: 1 * x, np.zeros_like), X, surrogate=["x"]),
    "layer: signs of weights": lambda: check_layer(by_signs(), X, surrogate=["W"]),
    "layer: logarithm": lambda: check_layer(bare(logarithm), POSITIVE),
    "layer: logarithm that refuses nothing": lambda: check_layer(plain(np.log, lambda x: 1 / x), POSITIVE),
    "layer: logarithm of probabilities, clipped": lambda: check_layer(
        plain(clipped_log, lambda x: ((x > 1e-7) & (x < 1 - 1e-7)) / np.clip(x, 1e-7, None)), POSITIVE / 4),
    "layer: root": lambda: check_layer(plain(np.sqrt, lambda x: 0.5 / np.sqrt(x)), POSITIVE),
    "layer: fast waves": lambda: check_layer(
        chain(dense(3, 8, (lambda z: np.sin(100 * z), lambda z: 100 * np.cos(100 * z))), dense(8, 2)), X),
    "layer: exp behind weights": lambda: check_layer(chain(dense(3, 2), activation((np.exp, np.exp))), X),
    "layer: inputs beyond float32": lambda: check_layer(dense(3, 2, tanh), 1e100 * X),
    "layer: settings for itself alone": lambda: check_layer(plain(quiet, lambda x: -2 * x * quiet(x)), X),
    "layer: rms of rows": lambda: check_layer(rows_scaled(root_mean_square(1e-5), 3), X),
    "layer: length with a slope at 0": lambda: check_layer(lengths(0.0), WITH_ZEROS),
    "layer: layer norm of equal values": lambda: check_layer(layer_norm(3), WITH_EQUAL),
    "layer: tiny inputs": lambda: check_layer(dense(3, 2, tanh), 1e-6 * X),
    "layer: large inputs": lambda: check_layer(dense(3, 2, tanh), 1e4 * X),
    "layer: tanh of inputs around a million": lambda: check_layer(chain(layer_norm(3), activation(tanh)), X + 1e6),
    "activation: sign, straight through": lambda: check_activation(
        np.sign, lambda z: (np.abs(z) < 1).astype(z.dtype), surrogate=True),
    "activation: softsign": lambda: check_activation(lambda z: z / (1 + np.abs(z)), lambda z: (1 + np.abs(z)) ** -2),
    "activation: fast waves": lambda: check_activation(lambda z: np.sin(30 * z), lambda z: 30 * np.cos(30 * z)),
    "initializer: large": lambda: check_initializer(glorot_uniform, (1024, 512), std=(2 / 1536) ** 0.5),
    "initializer: signs": lambda: check_initializer(drawing(lambda k, s: generator(k).choice([-1.0, 1.0], s))),
    "initializer: two numbers": lambda: check_initializer(drawing(lambda k, s: generator(k).normal(size=s)), (2, 1)),
}
