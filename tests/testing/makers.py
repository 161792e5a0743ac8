"""What the wrong and the odd pieces are made with: data, noise, and optimisers and initialisers from a function."""

from collections.abc import Callable, Mapping
from typing import SupportsFloat

import numpy as np

from nnfunc import (
    AnyArray,
    Array,
    DType,
    Initializer,
    InputGradient,
    Key,
    Layer,
    Optimizer,
    Params,
    Pullback,
    State,
    freeze,
)
from tests.layers import bare

X: Array = np.random.default_rng(0).normal(size=(6, 3))
LOGITS: Array = np.random.default_rng(1).normal(size=(6, 4))
CLASSES: AnyArray = np.array([0, 3, 1, 2, 2, 0])
VALUES: Array = np.random.default_rng(2).normal(size=(6, 2))
TARGETS: Array = np.random.default_rng(3).normal(size=(6, 2))
PROBABILITIES: Array = np.array([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]])


def noisy(mask: Callable[[Array, Key], Array], at_rest: float = 1.0) -> Layer:
    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        factor = np.full(x.shape, at_rest, x.dtype) if key is None else mask(x, key).astype(x.dtype)

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: dy * factor

        return x * factor, pullback

    return bare(forward)


def each(
    slots: Mapping[str, float], rule: Callable[..., tuple[AnyArray, dict[str, AnyArray]]], counted: bool = False
) -> Optimizer:
    """Return an optimiser from a rule ``(p, g, slots, lr, t) -> (p, slots)``."""

    def init(params: Params) -> State:
        state: dict[str, AnyArray] = {
            f"{s}/{n}": np.full_like(p, fill) for s, fill in slots.items() for n, p in params.items()
        }
        return {**state, **({f"t/{n}": np.asarray(0) for n in params} if counted else {})}

    def step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
        new, after = dict(params), dict(state)
        for name, g in grads.items():
            held = {s: state[f"{s}/{name}"] for s in slots}
            t = int(state[f"t/{name}"]) + 1 if counted else 0
            new[name], changed = rule(params[name], g, held, float(lr), t)
            after.update((f"{s}/{name}", a) for s, a in changed.items())
            if counted:
                after[f"t/{name}"] = np.asarray(t)
        return freeze(new), freeze(after)

    return init, step


def drawing(draw: Callable[[Key, tuple[int, ...]], AnyArray]) -> Initializer:
    def initializer(key: Key, shape: tuple[int, ...], dtype: DType) -> Array:
        return draw(key, shape).astype(dtype)

    return initializer
