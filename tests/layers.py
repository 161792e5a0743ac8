"""Layers of a user's own, each made of a function or two."""

from collections.abc import Callable
from typing import TypeAlias

from nnfunc import Array, DType, InputGradient, Key, Layer, Params, Pullback

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
