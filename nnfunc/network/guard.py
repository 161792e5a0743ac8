"""The one guard: the checks on layers, losses and penalties that are not the library's own.

What goes in is locked, so that it is not changed by mistake; what comes out is
checked and copied, as whoever made it may keep it. `chain`, `residual` and the
verbs put the guard around a user's layer, the verbs around losses and penalties.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import SupportsFloat

import numpy as np

from nnfunc.pieces.losses import OWN_LOSSES
from nnfunc.pieces.penalties import OWN_PENALTIES
from nnfunc.values.arrays import locked
from nnfunc.values.checks import (
    arguments_of, base_function, check_callable, check_pair, describe, looked_up, problem, require,
)
from nnfunc.values.params import unknown_names
from nnfunc.values.types import AnyArray, Array, ForwardFn, InputGradient, Key, Layer, LossFn, Params, Penalty, Pullback


def check_layer(function: str, argument: str, layer: Layer) -> None:
    """Raise TypeError unless `layer` is a pair of functions that take what `init` and `forward` take.

    Example:
        >>> from nnfunc import dense, relu
        >>> init, forward = dense(2, 3)
        >>> check_layer("chain", "layer 0", (forward, init))
        Traceback (most recent call last):
        ...
        TypeError: chain: layer 0 must be (init(key, dtype), forward(params, x, key)), got functions of other arguments
        >>> check_layer("chain", "layer 0", relu)
        Traceback (most recent call last):
        ...
        TypeError: chain: layer 0 must be a pair of functions (init, forward), got the function relu
    """
    check_pair(function, argument, layer)
    if _is_from_here(layer[0], "init", "no_params") and _is_from_here(layer[1], "forward"):
        return  # there is nothing to find out, and finding out takes time
    parts: tuple[tuple[Callable[..., object], int], ...] = ((layer[0], 2), (layer[1], 3))
    fits = not any(arguments_of(part, count) for part, count in parts)
    constraint = "be (init(key, dtype), forward(params, x, key))"
    require(fits, function, argument, constraint, "functions of other arguments", TypeError)


def _is_from_here(f: object, *endings: str) -> bool:
    """Say whether a function is the library's own, of a name that tells its arguments."""
    base = base_function(f)
    own = str(getattr(base, "__module__", "")).startswith("nnfunc.")
    return own and str(getattr(base, "__name__", "")).endswith(endings)


def guarded_forward(forward: ForwardFn, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Run a user's layer: it cannot change what it is given, and what it returns is checked.

    Example:
        >>> guarded_forward(lambda params, x, key: x, {}, np.zeros((1, 1)), None)
        Traceback (most recent call last):
        ...
        TypeError: forward: result must be a pair (y, pullback), got float64 array of shape (1, 1)
    """
    held, x = {name: locked(array) for name, array in params.items()}, locked(x)
    result = forward(held, x, key)
    if type(result) is not tuple or len(result) != 2 or not callable(result[1]):
        raise TypeError(problem("forward", "result", "be a pair (y, pullback)", result))
    y, pullback = result
    if type(y) is not np.ndarray or y.dtype != x.dtype:
        raise TypeError(problem("forward", "y", f"be a {x.dtype} array, the dtype of x", y))
    if y.ndim == 0 or len(y) != len(x):
        raise ValueError(problem("forward", "y", f"have one row for each of the {len(x)} of x", y.shape))

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        back = pullback(locked(dy))
        if type(back) is not tuple or len(back) != 2 or not hasattr(back[0], "items"):
            raise TypeError(problem("pullback", "result", "be a pair (grads by name, dx)", describe(back)))
        grads, dx = back
        if not callable(dx):
            raise TypeError(problem("pullback", "dx", "be a function that computes it", dx))
        return _fitted("pullback", "grads", held, grads), partial(_guarded_dx, dx, x)

    return y.copy(), pull


def run(function: str, forward: ForwardFn, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Run a whole network, and say which name it asked for if that is not in params.

    Example:
        >>> run("forward", lambda params, x, key: params["s"], {"W": np.zeros(1)}, np.ones((1, 1)), None)
        Traceback (most recent call last):
        ...
        ValueError: forward: params['s'] must be there, got only ['W']
    """
    try:
        return forward(params, x, key)
    except KeyError as error:
        raise ValueError(problem(function, f"params[{error}]", "be there", f"only {describe(list(params))}")) from error


def _guarded_dx(input_gradient: InputGradient, x: Array) -> Array:
    """Compute a user's dx, which must have the shape and dtype of x."""
    dx = input_gradient()
    if not isinstance(dx, np.ndarray) or dx.shape != x.shape:
        raise ValueError(problem("pullback", "dx", f"have the shape {x.shape} of x", describe(dx)))
    if dx.dtype != x.dtype:
        raise TypeError(problem("pullback", "dx", f"keep the dtype {x.dtype} of x", dx))
    return dx.copy()


def _fitted(function: str, argument: str, params: Params, grads: Params) -> dict[str, Array]:
    """Return a user's gradients copied, in the order of the params; each must fit the one of its name."""
    fitting: dict[str, Array] = {}
    for name, array in params.items():
        gradient = grads.get(name)
        if gradient is None:
            continue
        gradient = np.array(gradient)
        if gradient.shape != array.shape or gradient.dtype != array.dtype:
            constraint = f"be a {array.dtype} array of shape {array.shape}"
            kind = ValueError if gradient.shape != array.shape else TypeError
            raise kind(problem(function, f"{argument}[{name!r}]", constraint, gradient))
        fitting[name] = gradient
    if len(fitting) != len(grads):
        raise ValueError(unknown_names(function, argument, grads, params))
    return fitting


def losses_of(function: str, loss_fn: LossFn, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Return the losses of a batch, row by row, and their gradient in new memory; what a user's own loss gives is checked.

    Example:
        >>> from nnfunc import mse, relu
        >>> losses_of("loss", mse, np.ones((1, 1)), np.zeros((1, 1)))
        (array([1.]), array([[2.]]))
        >>> losses_of("loss", relu, np.zeros((1, 1)), np.zeros((1, 1)))
        Traceback (most recent call last):
        ...
        TypeError: loss: loss_fn must be a function (outputs, targets) -> (per_example, d_outputs),
        got the function relu, which takes (z)
    """
    takes = "(outputs, targets) -> (per_example, d_outputs)"
    try:
        if is_own_loss(loss_fn):
            return loss_fn(outputs, targets)
        check_callable(function, "loss_fn", loss_fn, takes)
        result = loss_fn(locked(outputs), locked(targets))
    except TypeError as error:
        others = callable(loss_fn) and arguments_of(loss_fn, 2)
        if not others:
            raise
        got = f"{describe(loss_fn)}, which takes {others}"
        raise TypeError(problem(function, "loss_fn", f"be a function {takes}", got)) from error
    if type(result) is not tuple or len(result) != 2:
        raise TypeError(problem(function, "loss_fn", "return a pair (per_example, d_outputs)", describe(result)))
    per_example, d = result
    if not isinstance(per_example, np.ndarray) or per_example.shape != (len(outputs),) or per_example.dtype.kind != "f":
        constraint = f"return per-example losses of shape ({len(outputs)},), not yet averaged"
        raise ValueError(problem(function, "loss_fn", constraint, describe(per_example)))
    if not isinstance(d, np.ndarray) or d.shape != outputs.shape:
        constraint = f"return a gradient of shape {outputs.shape}, that of the outputs"
        raise ValueError(problem(function, "loss_fn", constraint, describe(d)))
    if d.dtype != outputs.dtype:
        raise TypeError(problem(function, "loss_fn", f"keep the dtype {outputs.dtype} of the outputs", d))
    return per_example, d.copy()


def is_own_loss(loss_fn: LossFn) -> bool:
    """Say whether a loss is the library's own, with options or without.

    Example:
        >>> from nnfunc import huber
        >>> is_own_loss(partial(huber, delta=2.0)), is_own_loss(print)
        (True, False)
    """
    return looked_up(OWN_LOSSES, loss_fn) is not None


def penalty_of(function: str, penalty: Penalty, params: Params, *, finite: bool = True) -> tuple[float, Params]:
    """Return a penalty's value, which must be finite unless said otherwise, and its gradients, which must fit the params.

    Example:
        >>> penalty_of("loss", lambda params: (1.0, {}), {})
        (1.0, {})
    """
    if looked_up(OWN_PENALTIES, penalty):
        value, grads = penalty(params)
    else:
        check_callable(function, "penalty", penalty, "params -> (value, grads)")
        result = penalty({name: locked(array) for name, array in params.items()})
        is_pair = type(result) is tuple and len(result) == 2
        is_number = is_pair and isinstance(result[0], SupportsFloat) and np.ndim(result[0]) == 0
        if not (is_number and hasattr(result[1], "items")):
            raise TypeError(problem(function, "penalty", "return a pair (value, grads by name)", describe(result)))
        value, grads = float(result[0]), _fitted(function, "the penalty's grads", params, result[1])
    if finite and not math.isfinite(value):
        raise FloatingPointError(problem(function, "penalty", "be finite", value))
    return value, grads
