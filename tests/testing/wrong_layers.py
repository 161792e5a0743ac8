"""Seeded bugs in layers: each looks right and is not, and stands with the law that must catch it."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from nnfunc import (
    AnyArray,
    Array,
    DType,
    InputGradient,
    Key,
    Layer,
    Params,
    Pullback,
    generator,
)
from tests.layers import bare, elementwise
from tests.testing.makers import noisy


def affine_init(key: Key, dtype: DType) -> Params:
    draw = generator(key)
    return {"W": draw.normal(size=(3, 3)).astype(dtype), "b": draw.normal(size=3).astype(dtype)}


def affine(
    dW: Callable[[Array, Array], AnyArray] | None = lambda x, dz: x.T @ dz,
    db: Callable[[Array], AnyArray] | None = lambda dz: np.add.reduce(dz, axis=0),
    dx: Callable[[Array, Array], AnyArray] = lambda dz, W: dz @ W.T,
    slope: Callable[[Array], Array] = lambda y: 1 - y * y,
    value: Callable[[Array], Array] = np.tanh,
    init: Callable[[Key, DType], Params] = affine_init,
) -> Layer:
    """Return tanh(x W + b) with one of its parts replaced."""

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        W = params["W"]
        y = value(x @ W + params["b"])

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            dz = dy * slope(y)
            grads = {}
            if dW is not None:
                grads["W"] = dW(x, dz)
            if db is not None:
                grads["b"] = db(dz)
            return grads, lambda: dx(dz, W)

        return y, pullback

    return init, forward


def mutating(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    changed: Any = x
    changed -= x.mean(axis=1, keepdims=True)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy - dy.mean(axis=1, keepdims=True)

    return changed * 1.0, pullback


def dy_mutating(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        def dx() -> Array:
            changed: Any = dy
            changed *= 2
            return np.array(changed)

        return {}, dx

    return 2 * x, pullback


def aliasing(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy[:, ::-1].copy()

    return x[:, ::-1], pullback


def remembering() -> Layer:
    calls: list[int] = []

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        calls.append(1)
        scale = 1 + 0.01 * len(calls)

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: dy * scale

        return x * scale, pullback

    return bare(forward)


def cached() -> Layer:
    """Keep what the way back needs outside of the call, as layers with self.x do."""
    cache: dict[str, Array] = {}

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        cache["x"] = x

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: 2 * cache["x"] * dy

        return x * x, pullback

    return bare(forward)


def buffered() -> Layer:
    buffer = np.empty((1, 1))

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        nonlocal buffer
        if buffer.shape != x.shape or buffer.dtype != x.dtype:
            buffer = np.empty_like(x, order="C")
        y = np.multiply(x, 3, out=buffer)

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: 3 * dy

        return y, pullback

    return bare(forward)


def stale() -> Layer:
    seen: dict[tuple[int, ...], Array] = {}

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        y = seen.setdefault(x.shape, x * x)

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: 2 * x * dy

        return y.astype(x.dtype), pullback

    return bare(forward)


def no_skip(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy * np.cos(x)

    return x + np.sin(x), pullback


def batch_centred(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy - dy.mean(axis=0)

    return x - x.mean(axis=0), pullback


def global_draw(x: Array, key: Key) -> Array:
    return np.random.rand(*x.shape) * 2


def python_draw(x: Array, key: Key) -> Array:
    return np.full(x.shape, random.random() * 2)


def root_only(x: Array, key: Key) -> Array:
    root = key[0] if isinstance(key, tuple) else key
    return (np.random.default_rng(root).random(x.shape) < 0.5) * 2.0


def int_keys_only(x: Array, key: Key) -> Array:
    step: Any = key
    return (np.random.default_rng(step + 1).random(x.shape) < 0.5) * 2.0


def needs_a_key(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    given: Any = key
    factor = (generator(given).random(x.shape) < 0.5) * 2.0

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy * factor

    return x * factor, pullback


def naive_softmax(x: Array, key: Key | None) -> Array:
    powers = np.exp(x)
    y: Array = powers / powers.sum(axis=1, keepdims=True)
    return y


def naive_softmax_back(dy: Array, x: Array) -> Array:
    y = naive_softmax(x, None)
    dz: Array = y * (dy - (dy * y).sum(axis=1, keepdims=True))
    return dz


def flat_order(x: Array, key: Key | None) -> Array:
    ramp = np.arange(x.shape[1], dtype=x.dtype)
    y: Array = (x.ravel(order="K") * np.tile(ramp, len(x))).reshape(x.shape)
    return y


def float64_init(key: Key, dtype: DType) -> Params:
    return {"W": generator(key).normal(size=(3, 3)), "b": np.zeros(3)}


def keyless_init(key: Key, dtype: DType) -> Params:
    draw = np.random.default_rng(0)
    return {"W": draw.normal(size=(3, 3)).astype(dtype), "b": draw.normal(size=3).astype(dtype)}


KEPT = affine_init(0, np.dtype(np.float64)), affine_init(0, np.dtype(np.float32))


def sharing_init(key: Key, dtype: DType) -> Params:
    return KEPT[0] if dtype == np.float64 else KEPT[1]


def mean_over(dz: Array) -> Array:
    mean: Array = np.add.reduce(dz, axis=0) / len(dz)
    return mean


def gain(dx: Callable[[Array, Array], Array]) -> Layer:
    """Scale columns by a parameter that starts at 1, with a way back to x of one's choice."""

    def init(key: Key, dtype: DType) -> Params:
        return {"s": np.ones(3, dtype)}

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        s = params["s"]

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {"s": np.add.reduce(dy * x, axis=0)}, lambda: dx(dy, s)

        return x * s, pullback

    return init, forward


def kept_dx() -> Layer:
    buffers: dict[object, Array] = {}

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            out = buffers.setdefault((dy.shape, dy.dtype), np.empty_like(dy, order="C"))
            return {}, lambda: np.multiply(dy, 3, out=out)

        return 3 * x, pullback

    return bare(forward)


def falsy_key(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    factor = (generator(key).random(x.shape) < 0.5) * x.dtype.type(2) if key else np.ones_like(x)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy * factor

    return x * factor, pullback


LAYERS: dict[str, tuple[Layer, str]] = {
    "dW twice": (affine(dW=lambda x, dz: 2 * x.T @ dz), "gradient"),
    "dW averaged": (affine(dW=lambda x, dz: x.T @ dz / len(x)), "gradient"),
    "dW transposed": (affine(dW=lambda x, dz: dz.T @ x), "gradient"),
    "dW of the wrong sign": (affine(dW=lambda x, dz: -x.T @ dz), "gradient"),
    "db missing": (affine(db=None), "gradient"),
    "dW missing": (affine(dW=None), "gradient"),
    "db averaged": (affine(db=mean_over), "gradient"),
    "db not summed": (affine(db=lambda dz: dz), "form"),
    "db of the first row": (affine(db=lambda dz: dz[0].copy()), "gradient"),
    "dx by W, not its transpose": (affine(dx=lambda dz, W: dz @ W), "gradient"),
    "dx zero": (affine(dx=lambda dz, W: np.zeros_like(dz)), "gradient"),
    "slope of sigmoid": (affine(slope=lambda y: y * (1 - y)), "gradient"),
    "slope forgotten": (affine(slope=np.ones_like), "gradient"),
    "slope at y for z": (affine(slope=lambda y: 1 - np.tanh(y) ** 2), "gradient"),
    "dW a hair off": (affine(dW=lambda x, dz: 1.001 * (x.T @ dz)), "gradient"),
    "dW upcast": (affine(dW=lambda x, dz: (x.T @ dz).astype(np.float64)), "dtype"),
    "y upcast": (affine(value=lambda z: np.tanh(z.astype(np.float64))), "dtype"),
    "y in float32": (affine(value=lambda z: np.tanh(z.astype(np.float32)).astype(z.dtype)), "gradient"),
    "init upcast": (affine(init=float64_init), "init"),
    "init ignores its key": (affine(init=keyless_init), "init"),
    "init shares": (affine(init=sharing_init), "init"),
    "dx without the gain, which starts at 1": (gain(lambda dy, s: dy.copy()), "gradient"),
    "dx of another size in float32": (gain(lambda dy, s: dy * s * (1 if dy.dtype == np.float64 else 2)), "dtype"),
    "dx clipped": (gain(lambda dy, s: np.clip(dy * s, -100, 100)), "linear way back"),
    "dx twice for a single row": (gain(lambda dy, s: dy * s * (2 if len(dy) == 1 else 1)), "one row|gradients add up"),
    "dx in a kept buffer": (kept_dx(), "same bits|calls apart"),
    "key 0 taken for none": (bare(falsy_key), "keys"),
    "last step of the key only": (
        noisy(lambda x, key: generator(key if isinstance(key, int) else key[-1]).random(x.shape) * 2),
        "keys",
    ),
    "changes x": (bare(mutating), "arguments unchanged"),
    "changes dy": (bare(dy_mutating), "arguments unchanged"),
    "y is a view of x": (bare(aliasing), "no aliasing"),
    "counts calls": (remembering(), "same bits"),
    "keeps x outside": (cached(), "calls apart"),
    "writes to a kept buffer": (buffered(), "same bits"),
    "keeps results by shape": (stale(), "gradient"),
    "skip term dropped": (bare(no_skip), "gradient"),
    "batch statistics at inference": (bare(batch_centred), "one row"),
    "global draws": (noisy(global_draw), "global random state"),
    "draws of random": (noisy(python_draw), "global random state"),
    "fresh entropy": (noisy(lambda x, key: np.random.default_rng().random(x.shape) * 2), "same bits"),
    "one mask for every key": (noisy(lambda x, key: (np.random.default_rng(0).random(x.shape) < 0.5) * 2.0), "keys"),
    "root of the key only": (noisy(root_only), "keys"),
    "int keys only": (noisy(int_keys_only), "form"),
    "dropout unscaled": (noisy(lambda x, key: (generator(key).random(x.shape) < 0.7) * 1.0), "keys"),
    "dropout scaled the wrong way": (noisy(lambda x, key: (generator(key).random(x.shape) < 0.7) / 0.3), "keys"),
    "dropout scaled by the drop rate": (
        noisy(lambda x, key: (generator(key).random(x.shape) < 0.7) * 1.0, 0.3),
        "keys",
    ),
    "noise without a key": (bare(needs_a_key), "form"),
    "exp overflows": (elementwise(naive_softmax, naive_softmax_back), "stable"),
    "depends on the memory order": (
        elementwise(flat_order, lambda dy, x: dy * np.arange(3, dtype=x.dtype)),
        "memory layout",
    ),
}
