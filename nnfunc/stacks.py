"""Dense layers one after another, in one go: what the verbs take where a network is nothing else.

The arithmetic, and so every bit, is that of the layers one by one. What is left
out is what lies between them: names dealt out and put together again, and locks
and checks that only a piece of the user's own needs. On networks of a few
hundred weights that is half of a step. Arguments that are in any way unusual
are declined here, and the layers' own passes say what is wrong with them.
"""

import math
from functools import partial
from types import MappingProxyType
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.activations import BACK_RULES, BackRule, relu, relu_back, relu_in_place
from nnfunc.checks import FLOAT32, FLOAT64, locked
from nnfunc.combinators import chain_parts
from nnfunc.fixed import number
from nnfunc.fusion import on_logits
from nnfunc.keys import key_path
from nnfunc.layers import column_sums, dense_forward, product
from nnfunc.losses import (
    binary_cross_entropy,
    cross_entropy,
    huber,
    mae,
    mse,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)
from nnfunc.params import ORDINARY
from nnfunc.pieces import losses_of
from nnfunc.rules import base_function, looked_up
from nnfunc.types import Array, ElementwiseFn, ForwardFn, Key, Layer, LossFn, Params
from nnfunc.walk import joined

Rule: TypeAlias = tuple[ElementwiseFn, BackRule]

Part: TypeAlias = tuple[str, str, tuple[int, int], tuple[int], Rule | None]
"""Names of W and b, their shapes, and the activation if there is one."""

# What these are given they do not change, and what they give is new: nothing to lock, check or copy.
# They stand here without their own np.errstate, as the verbs have set theirs.
_LOSSES: dict[object, LossFn] = {
    loss_fn: getattr(loss_fn, "__wrapped__", loss_fn)
    for loss_fn in (mse, mae, huber, softmax_cross_entropy, cross_entropy, sigmoid_cross_entropy, binary_cross_entropy)
}

Passed: TypeAlias = tuple[Part, Array, Array, Array, Array]
"""A part, its W, and what went through it: input, pre-activation, output."""


# What was found of a network stays as long as the network does.
_FOUND: WeakKeyDictionary[ForwardFn, tuple[Part, ...]] = WeakKeyDictionary()


def dense_stack(net: Layer) -> tuple[Part, ...]:
    """Return the parts of a network that is a dense layer, or a chain of them, of the library's activations; else nothing.

    Example:
        >>> from nnfunc import chain, dense, dropout
        >>> [part[:2] for part in dense_stack(chain(a=dense(2, 3, relu), b=dense(3, 1)))]
        [('a/W', 'a/b'), ('b/W', 'b/b')]
        >>> dense_stack(chain(dense(2, 3), dropout(0.5)))
        ()
    """
    if type(net) is not tuple or len(net) != 2 or not callable(net[0]):
        return ()
    forward = net[1]
    if not isinstance(forward, partial):  # which are equal only to themselves
        return ()
    found = _FOUND.get(forward)
    if found is None:
        found = _FOUND[forward] = _parts_of(net)
    return found


def _parts_of(net: Layer) -> tuple[Part, ...]:
    found: list[Part] = []
    for name, (_, forward) in chain_parts(net) or (("", net),):
        if not (isinstance(forward, partial) and forward.func is dense_forward):
            return ()
        n_in, n_out, rule = forward.args
        if rule is not None and base_function(rule[0]) not in BACK_RULES:
            return ()  # a user's own activation may not be given arrays that it could change
        found.append((joined(name, "W"), joined(name, "b"), (n_in, n_out), (n_out,), rule))
    return tuple(found)


def stack_outputs(net: Layer, params: Params, x: ArrayLike, key: Key | None) -> Array | None:
    """Return the outputs for a batch, or nothing if net or arguments are not of the ordinary kind.

    Example:
        >>> from nnfunc import dense
        >>> stack_outputs(dense(1, 1), {"W": np.eye(1), "b": np.ones(1)}, np.eye(1), None)
        array([[2.]])
        >>> stack_outputs(dense(1, 1), {"W": np.eye(1)}, np.eye(1), None) is None
        True
    """
    try:
        passed = None if key is not None else _forward(dense_stack(net), params, x)
    except (TypeError, ValueError):  # a net that is no pair, params that cannot be looked up in
        return None
    return None if passed is None else passed[-1][-1]


def stack_value_and_grads(
    function: str, net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, key: Key | None
) -> tuple[float, Params] | None:
    """Return the mean loss and its gradients, or nothing if arguments or results are not of the ordinary kind.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.eye(1), "b": np.zeros(1)}
        >>> value, grads = stack_value_and_grads("grads", dense(1, 1), mse, params, np.eye(1), np.zeros((1, 1)), None)
        >>> value, dict(grads)
        (1.0, {'W': array([[2.]]), 'b': array([2.])})
    """
    try:
        net, loss_fn = on_logits(net, loss_fn)
        passed = _forward(dense_stack(net), params, x)
    except (TypeError, ValueError):
        return None
    if passed is None or type(y) is not np.ndarray or y.ndim == 0 or len(y) != len(passed[-1][-1]):
        return None
    if key is not None:
        key_path(function, key)
    outputs: Array = passed[-1][-1]
    if y.dtype != outputs.dtype and y.dtype.kind not in "iu":
        return None
    own_loss = looked_up(_LOSSES, loss_fn)
    if own_loss is not None:
        per_example, d = own_loss(outputs, y)
    elif not callable(loss_fn):
        return None
    else:
        per_example, d = losses_of(function, loss_fn, locked(outputs), locked(y))
    value = mean_of(per_example)
    if not math.isfinite(value):
        return None
    return value, _backward(passed, params, d / number(len(outputs), outputs.dtype))


def mean_of(per_example: Array) -> float:
    """Return the mean of per-example losses, added in float64.

    Example:
        >>> mean_of(np.array([1.0, 2.0], np.float32))
        1.5
    """
    n = len(per_example)
    # Up to some tens of numbers, Python is done before NumPy has begun.
    return float(sum(per_example.tolist()) if n <= 64 else np.add.reduce(per_example, dtype=np.float64)) / n


def _forward(parts: tuple[Part, ...], params: Params, x: ArrayLike) -> list[Passed] | None:
    if not parts or type(params) not in ORDINARY or len(params) != 2 * len(parts):
        return None
    if type(x) is not np.ndarray or x.ndim != 2 or len(x) == 0:
        return None
    dtype = x.dtype
    if x.shape[1] != parts[0][2][0] or dtype not in (FLOAT32, FLOAT64):
        return None
    passed: list[Passed] = []
    y: Array = x
    for part in parts:
        W_name, b_name, W_shape, b_shape, rule = part
        W, b = params.get(W_name), params.get(b_name)
        if type(W) is not np.ndarray or W.shape != W_shape or W.dtype != dtype:
            return None
        if type(b) is not np.ndarray or b.shape != b_shape or b.dtype != dtype:
            return None
        h, z = y, product(y, W)
        z += b
        y = z if rule is None else relu_in_place(z) if rule[0] is relu else rule[0](z)
        passed.append((part, W, h, z, y))
    return passed


def _backward(passed: list[Passed], params: Params, dy: Array) -> Params:
    grads = dict(params)  # for the order of the names; every array is replaced
    for i in range(len(passed) - 1, -1, -1):
        (W_name, b_name, _, _, rule), W, h, z, y = passed[i]
        if rule is not None:
            dy = relu_back(dy, z, y, dy) if rule[0] is relu else rule[1](dy, z, y)
        grads[W_name] = dW = product(h.T, dy)
        grads[b_name] = db = column_sums(dy)
        dW.setflags(write=False)
        db.setflags(write=False)
        if i:  # nobody asks for the first layer's
            dy = product(dy, W.T)
    return MappingProxyType(grads)
