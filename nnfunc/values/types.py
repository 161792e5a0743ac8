"""The kinds of value the library is made of, as type aliases.

There are four: **arrays**, **params** (a flat mapping of arrays), **keys**
(randomness as a value) and **layers** (pairs of pure functions). Everything
else here names the functions that take and return them.

    Array           a NumPy array of float32 or float64
    AnyArray        an array of any dtype: targets are floats, or integers where they are classes
    Rows            row numbers, fit to index an array with
    DType           float32 or float64, as a NumPy dtype object
    Params          a flat mapping of names such as "hidden/W" to arrays; gradients are the same
    State           a flat mapping of arrays, counts among them, of an optimiser, a monitor or a whole run
    Key             an int, or a tuple of ints as `fold_in` makes
    Layer           (init, forward), an InitFn and a ForwardFn
    InitFn          init(key, dtype) -> params
    ForwardFn       forward(params, x, key) -> (y, pullback); a key means a training pass, None an inference pass
    OwnForward      a forward that the library has made, or put its guard around
    Pullback        pullback(dy) -> (grads, dx); dx is a function, as nobody may ask for it
    InputGradient   dx() -> the gradient with respect to the layer's input
    Branch          a layer with its params and its key: x -> (y, pullback)
    CombineFn       f(branches, x) -> (y, pullback), where pullback(dy) -> (grads, dx) gives the gradients of each branch
    ElementwiseFn   z -> array of the same shape
    Activation      one of the library's activation functions, or a pair (f, df) of ElementwiseFn
    Initializer     initializer(key, shape, dtype) -> array
    LossFn          loss_fn(outputs, targets) -> (per_example, d_outputs), nothing averaged over rows
    Penalty         penalty(params) -> (value, grads)
    Optimizer       (init, step): init(params) -> state, and an OptimizerStep
    OptimizerStep   step(params, grads, state, lr) -> (params, state)
    GradTransform   grads -> grads, before the optimiser; clipping, say
    Schedule        step -> value; step 0 is the first update
    Monitor         (init, update): init() -> state and update(state, metric) -> state
    Metric          metric(outputs, targets) -> value
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, SupportsFloat, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating]
"""A NumPy array of float32 or float64."""

AnyArray: TypeAlias = NDArray[Any]
"""An array of any dtype: targets are floats, or integers where they are classes."""

Rows: TypeAlias = NDArray[np.intp]
"""Row numbers, fit to index an array with."""

DType: TypeAlias = np.dtype[np.floating]
"""float32 or float64, as a NumPy dtype object."""

Params: TypeAlias = Mapping[str, Array]
"""A flat mapping of names such as ``"hidden/W"`` to arrays; gradients are the same."""

Key: TypeAlias = int | tuple[int, ...]
"""Randomness as a value: an int, or a tuple of ints as `fold_in` makes."""

InputGradient: TypeAlias = Callable[[], Array]
"""Called, it computes the gradient with respect to the layer's input."""

Pullback: TypeAlias = Callable[[Array], tuple[Params, InputGradient]]
"""``pullback(dy) -> (grads, dx)``: ``dx`` is a function, as nobody may ask for it."""

InitFn: TypeAlias = Callable[[Key, DType], Params]
"""``init(key, dtype) -> params``, one half of a layer."""

ForwardFn: TypeAlias = Callable[[Params, Array, Key | None], tuple[Array, Pullback]]
"""``forward(params, x, key) -> (y, pullback)``, the other half."""

OwnForward: TypeAlias = partial[tuple[Array, Pullback]]
"""A forward that the library has made, or put its guard around."""

Layer: TypeAlias = tuple[InitFn, ForwardFn]
"""``(init, forward)``: ``init(key, dtype) -> params`` and
``forward(params, x, key) -> (y, pullback)``."""

Branch: TypeAlias = Callable[[Array], tuple[Array, Pullback]]
"""A layer with its params and its key: ``x -> (y, pullback)``."""

CombineFn: TypeAlias = Callable[
    [Sequence[Branch], Array], tuple[Array, Callable[[Array], tuple[Sequence[Params], InputGradient]]]
]
"""``f(branches, x) -> (y, pullback)``, where ``pullback(dy) -> (grads, dx)`` gives the gradients of each branch."""

ElementwiseFn: TypeAlias = Callable[[Array], Array]

Activation: TypeAlias = ElementwiseFn | tuple[ElementwiseFn, ElementwiseFn]
"""One of the library's activation functions, or a pair ``(f, df)``."""

Initializer: TypeAlias = Callable[[Key, tuple[int, ...], DType], Array]
"""``initializer(key, shape, dtype) -> array``."""

LossFn: TypeAlias = Callable[[Array, AnyArray], tuple[Array, Array]]
"""``loss_fn(outputs, targets) -> (per_example, d_outputs)``, nothing averaged over rows."""

Penalty: TypeAlias = Callable[[Params], tuple[float, Params]]
"""``penalty(params) -> (value, grads)``."""

State: TypeAlias = Mapping[str, AnyArray]
"""A flat mapping of arrays, counts among them, of an optimiser, a monitor or a whole run; in a file, text too."""

OptimizerStep: TypeAlias = Callable[[Params, Params, State, SupportsFloat], tuple[Params, State]]
"""``step(params, grads, state, lr) -> (params, state)``, one half of an optimiser."""

Optimizer: TypeAlias = tuple[Callable[[Params], State], OptimizerStep]
"""``(init, step)``: ``init(params) -> state`` and ``step(params, grads, state, lr) -> (params, state)``."""

Schedule: TypeAlias = Callable[[int], float]
"""``step -> value``; step 0 is the first update."""

GradTransform: TypeAlias = Callable[[Params], Params]
"""``grads -> grads``, applied before the optimiser; clipping, say."""

Monitor: TypeAlias = tuple[Callable[[], State], Callable[[State, SupportsFloat], State]]
"""``(init, update)``: ``init() -> state`` and ``update(state, metric) -> state``."""

Metric: TypeAlias = Callable[[Array, AnyArray], float]
"""``metric(outputs, targets) -> value``."""
