"""The one guard: the checks on layers, losses and penalties that are not the library's own.

What goes in is locked, so that it is not changed by mistake; what comes out is
checked and copied, as whoever made it may keep it. `chain`, `residual` and the
verbs put the guard around a user's layer, the verbs around losses and penalties.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import SupportsFloat

import numpy as np

from nnfunc.pieces.activations import BACK_RULES
from nnfunc.pieces.losses import OWN_LOSSES
from nnfunc.pieces.masking import is_masked, unmasked
from nnfunc.pieces.penalties import OWN_PENALTIES
from nnfunc.pieces.targets import checked_losses
from nnfunc.values.arrays import locked
from nnfunc.values.checks import (
    arguments_of, base_function, check_callable, describe, looked_up, made_by_calling, problem, require,
)
from nnfunc.values.params import unknown_names
from nnfunc.values.types import (
    AnyArray, Array, Branch, CombineFn, DType, ForwardFn, InputGradient, Key, Layer, LossFn, Params, Penalty, Pullback,
)


def check_layer(function: str, argument: str, layer: Layer) -> None:
    """Raise TypeError unless `layer` is a pair of functions that take what `init` and `forward` take.

    Example:
        >>> from nnfunc import dense, relu
        >>> init, forward = dense(2, 3)
        >>> check_layer("chain", "layer 0", (forward, init))
        Traceback (most recent call last):
        ...
        TypeError: chain: layer 0 must be (init(key, dtype), forward(params, x, key)),
        got the functions (dense_forward, _dense_init) of other arguments
        >>> check_layer("chain", "layer 0", relu)
        Traceback (most recent call last):
        ...
        TypeError: chain: layer 0 must be a pair of functions (init, forward), as activation(f) is,
        got the function relu
    """
    check_is_pair(function, argument, layer)
    if _is_from_here(layer[0], "init", "no_params") and _is_from_here(layer[1], "forward"):
        return  # there is nothing to find out, and finding out takes time
    fits = not (arguments_of(layer[0], 2) or arguments_of(layer[1], 3))
    constraint = "be (init(key, dtype), forward(params, x, key))"
    require(fits, function, argument, constraint, f"{describe(layer)} of other arguments", TypeError)


def check_is_pair(function: str, argument: str, layer: Layer) -> None:
    """Raise TypeError unless `layer` is a pair of functions; the message says what would make one of what was given.

    Example:
        >>> from nnfunc import dense, relu
        >>> check_is_pair("forward", "net", (len, print))
        >>> check_is_pair("chain", "layer 0", [dense(1, 2), dense(2, 1)])
        Traceback (most recent call last):
        ...
        TypeError: chain: layer 0 must be a pair of functions (init, forward), as chain(*layers) is, got a list of 2
    """
    if not (isinstance(layer, tuple) and len(layer) == 2 and callable(layer[0]) and callable(layer[1])):
        form, got = "be a pair of functions (init, forward)", describe(layer)
        inside = layer.values() if isinstance(layer, Mapping) else layer if isinstance(layer, (list, tuple)) else ()
        if any(isinstance(each, tuple) and len(each) == 2 for each in inside):
            form += f", as chain({'**' if isinstance(layer, Mapping) else '*'}layers) is"
            got = f"a {type(layer).__name__} of {len(inside)}"
        elif looked_up(BACK_RULES, layer):
            form += ", as activation(f) is"
        raise TypeError(problem(function, argument, form + made_by_calling(layer, Layer), got))


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
    try:
        result = forward(held, x, key)
    except (TypeError, KeyError) as error:
        _check_takes(error, "forward", "the layer's forward", forward, 3, "(params, x, key)")
        _check_asked(error, held, lambda more: forward(more, x, key))
        raise
    if type(result) is not tuple or len(result) != 2 or not callable(result[1]):
        raise TypeError(problem("forward", "result", "be a pair (y, pullback)", result))
    y, pullback = result
    if type(y) is not np.ndarray or y.dtype != x.dtype:
        raise TypeError(problem("forward", "y", f"be a {x.dtype} array, the dtype of x", y))
    if y.ndim == 0 or len(y) != len(x):
        raise ValueError(problem("forward", "y", f"have one row for each of the {len(x)} of x", y.shape))

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        try:
            back = pullback(locked(dy))
        except (TypeError, KeyError) as error:
            _check_takes(error, "pullback", "the layer's pullback", pullback, 1, "(dy)")
            _check_asked(error, held, lambda more: forward(more, x, key)[1](locked(dy)))
            raise
        if type(back) is not tuple or len(back) != 2 or not hasattr(back[0], "items"):
            raise TypeError(problem("pullback", "result", "be a pair (grads by name, dx)", describe(back)))
        grads, dx = back
        if not callable(dx):
            raise TypeError(problem("pullback", "dx", "be a function that computes it", dx))
        return _fitted("pullback", "grads", held, grads), partial(_guarded_dx, dx, x)

    return y.copy(), pull


def guarded_combination(
    f: CombineFn, branches: Sequence[Branch], x: Array
) -> tuple[Array, Callable[[Array], tuple[Sequence[Params], InputGradient]]]:
    """Run a user's combination of layers: its branches are locked, and its gradients are one mapping for each.

    Example:
        >>> guarded_combination(lambda branches, x: x, [], np.zeros((1, 1)))
        Traceback (most recent call last):
        ...
        TypeError: combine: f must return a pair (y, pullback), got float64 array of shape (1, 1)
    """
    try:
        result = f([partial(_guarded_branch, branch, x.dtype) for branch in branches], x)
    except TypeError as error:
        _check_takes(error, "combine", "f", f, 2, "(branches, x)")
        raise
    if type(result) is not tuple or len(result) != 2 or not callable(result[1]):
        raise TypeError(problem("combine", "f", "return a pair (y, pullback)", describe(result)))
    y, pullback = result

    def pull(dy: Array) -> tuple[Sequence[Params], InputGradient]:
        back = pullback(dy)
        pair = type(back) is tuple and len(back) == 2 and isinstance(back[0], (tuple, list))
        if not pair or len(back[0]) != len(branches) or not all(hasattr(own, "items") for own in back[0]):
            form = f"give a pair (grads, dx), where grads holds one mapping for each of {len(branches)} branches"
            raise TypeError(problem("combine", "the pullback of f", form, describe(back)))
        return back

    return y, pull


def _guarded_branch(branch: Branch, dtype: DType, x: Array) -> tuple[Array, Pullback]:
    """Run one layer for a user's combination, which can change neither what it gave nor what it gets."""
    if type(x) is not np.ndarray or x.dtype != dtype:
        raise TypeError(problem("combine", "what f gives a branch", f"be a {dtype} array, the dtype of x", describe(x)))
    y, pullback = branch(locked(x.copy()))

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        if type(dy) is not np.ndarray or dy.shape != y.shape or dy.dtype != y.dtype:
            constraint = f"be a {y.dtype} array of shape {y.shape}, that of its output"
            raise ValueError(problem("combine", "the dy of a branch", constraint, describe(dy)))
        return pullback(locked(dy.copy()))

    return locked(y), pull


def _check_takes(
    error: Exception, function: str, argument: str, f: Callable[..., object], count: int, takes: str
) -> None:
    """Raise TypeError if it was for its arguments that a function could not be called."""
    others = arguments_of(f, count) if isinstance(error, TypeError) else ""
    if others:
        raise TypeError(problem(function, argument, f"take {takes}", others)) from error


def _check_asked(error: Exception, params: Params, again: Callable[[Params], object]) -> None:
    """Raise LookupError with the name if a layer asked for one that is not in its params; other KeyErrors are its own.

    A layer is a pure function, so this can be tried: with the name it would not fail again in the same way.
    """
    name = error.args[0] if isinstance(error, KeyError) and error.args else None
    if isinstance(name, str) and name not in params:
        try:
            again({**params, name: np.zeros(1)})
        except KeyError as other:
            if other.args == error.args:
                return
        except Exception:
            pass
        raise LookupError(name) from error


def run(function: str, forward: ForwardFn, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Run a whole network, and say which name it asked for if that is not in params.

    Example:
        >>> own = partial(guarded_forward, lambda params, x, key: params["s"])
        >>> run("forward", own, {"W": np.zeros(1)}, np.ones((1, 1)), None)
        Traceback (most recent call last):
        ...
        ValueError: forward: params['s'] must be there, got only ['W']
    """
    try:
        return forward(params, x, key)
    except LookupError as error:
        if type(error) is not LookupError:
            raise  # a user's own
        name = f"params[{error.args[0]!r}]"
        raise ValueError(problem(function, name, "be there", f"only {describe(list(params))}")) from error


def _guarded_dx(input_gradient: InputGradient, x: Array) -> Array:
    """Compute a user's dx, which must have the shape and dtype of x."""
    try:
        dx = input_gradient()
    except TypeError as error:
        _check_takes(error, "pullback", "dx", input_gradient, 0, "no argument")
        raise
    if type(dx) is not np.ndarray or dx.shape != x.shape:
        raise ValueError(problem("pullback", "dx", f"have the shape {x.shape} of x", describe(dx)))
    if dx.dtype != x.dtype:
        raise TypeError(problem("pullback", "dx", f"keep the dtype {x.dtype} of x", dx))
    return dx.copy()


def _fitted(function: str, argument: str, params: Params, grads: Params) -> dict[str, Array]:
    """Return a user's gradients copied, in the order of the params; each must fit the one of its name."""
    fitting: dict[str, Array] = {}
    for name, array in params.items():
        if name not in grads:
            continue
        given, called = grads[name], f"{argument}[{name!r}]"
        gradient = np.array(given)
        if hasattr(given, "mask"):
            raise TypeError(problem(function, called, "be a plain array, as a mask would be lost", given))
        if gradient.shape != array.shape or gradient.dtype != array.dtype:
            kind = ValueError if gradient.shape != array.shape else TypeError
            raise kind(problem(function, called, f"be a {array.dtype} array of shape {array.shape}", gradient))
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
    is_own = is_own_loss(loss_fn)
    if not is_own:
        check_callable(function, "loss_fn", loss_fn, takes)
    try:
        result = loss_fn(outputs, targets) if is_own else loss_fn(locked(outputs), locked(targets))
    except TypeError as error:
        if isinstance(loss_fn, partial) and "unexpected keyword" in str(error):
            raise TypeError(problem(function, "loss_fn", "have the options given", str(error))) from error
        check_callable(function, "loss_fn", loss_fn, takes, 2)
        if is_own or not _is_from_here(unmasked(loss_fn), ""):
            raise
        raise TypeError(problem(function, "loss_fn", f"be a function {takes}", describe(loss_fn))) from error
    if is_own:
        return result
    per_example, d = checked_losses(function, result, outputs)
    return per_example, d.copy()


def is_own_loss(loss_fn: LossFn) -> bool:
    """Say whether a loss is the library's own, with options or without.

    Example:
        >>> from nnfunc import huber
        >>> is_own_loss(partial(huber, delta=2.0)), is_own_loss(print)
        (True, False)
    """
    return looked_up(OWN_LOSSES, loss_fn) is not None or (is_masked(loss_fn) and is_own_loss(unmasked(loss_fn)))


def penalty_of(function: str, penalty: Penalty, params: Params, *, finite: bool = True) -> tuple[float, Params]:
    """Return a penalty's value, which must be finite unless said otherwise, and its gradients, which must fit the params.

    Example:
        >>> penalty_of("loss", lambda params: (1.0, {}), {})
        (1.0, {})
    """
    if looked_up(OWN_PENALTIES, penalty):
        value, grads = penalty(params)
    else:
        takes = "params -> (value, grads)"
        check_callable(function, "penalty", penalty, takes)
        try:
            result = penalty({name: locked(array) for name, array in params.items()})
        except TypeError as error:
            check_callable(function, "penalty", penalty, takes, 1, Penalty)
            if not _is_from_here(penalty, ""):
                raise
            constraint = f"be a function {takes}{made_by_calling(penalty, Penalty)}"
            raise TypeError(problem(function, "penalty", constraint, describe(penalty))) from error
        is_pair = type(result) is tuple and len(result) == 2 and hasattr(result[1], "items")
        if not (is_pair and isinstance(result[0], SupportsFloat) and np.ndim(result[0]) == 0):
            form = f"return a pair (value, grads by name){made_by_calling(penalty, Penalty)}"
            raise TypeError(problem(function, "penalty", form, describe(result)))
        value, grads = float(result[0]), _fitted(function, "the penalty's grads", params, result[1])
    if finite and not math.isfinite(value):
        raise FloatingPointError(problem(function, "penalty", "be finite", value))
    return value, grads
