"""Layers of a user's own, each made of a function or two."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from recipes.branches import Combined

from nnfunc import Array, Branch, DType, InputGradient, Key, Layer, Params, Pullback, map_params

ForwardBody: TypeAlias = Callable[[Params, Array, Key | None], tuple[Array, Pullback]]


def bare(forward: ForwardBody) -> Layer:
    """Return a layer without params."""

    def init(key: Key, dtype: DType) -> Params:
        return {}

    return init, forward


def elementwise(value: Callable[[Array, Key | None], Array], back: Callable[[Array, Array], Array]) -> Layer:
    """Return a layer from ``value(x, key)`` and its way back ``back(dy, x)``."""

    def forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        y = value(x, key)

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: back(dy, x)

        return y, pullback

    return bare(forward)


def scaling(factor: float, back_factor: float) -> Layer:
    """Return a layer that multiplies, forth and back; a factor may be nan or infinite."""
    return elementwise(lambda x, key: x * factor, lambda dy, x: dy * back_factor)


def shared(branches: Sequence[Branch], x: Array) -> Combined:
    """Run one branch on each half of the columns, with the same weights, and take the difference."""
    half = x.shape[1] // 2
    (a, back_a), (b, back_b) = branches[0](x[:, :half]), branches[0](x[:, half:])

    def pullback(dy: Array) -> tuple[Sequence[Params], InputGradient]:
        (grads_a, dx_a), (grads_b, dx_b) = back_a(dy), back_b(-dy)
        return [map_params(np.add, grads_a, grads_b)], lambda: np.concatenate([dx_a(), dx_b()], axis=1)

    return a - b, pullback
