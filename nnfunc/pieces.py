"""Checks on the layers that users write: what they are, what they return, and where they fail."""

from collections.abc import Callable
from functools import partial
from typing import NoReturn

import numpy as np

from nnfunc.checks import describe, problem
from nnfunc.types import AnyArray, Array, DType, InputGradient, Layer, LossFn, Params, Pullback


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
    if _is_own(layer[0], "init") and _is_own(layer[1], "forward"):
        return
    parts: tuple[tuple[Callable[..., object], int], ...] = ((layer[0], 2), (layer[1], 3))
    for part, count in parts:
        if arguments_of(part, count):
            constraint = "be (init(key, dtype), forward(params, x, key))"
            raise TypeError(problem(function, argument, constraint, "functions of other arguments"))


def _is_own(part: Callable[..., object], role: str) -> bool:
    """Say whether a function is the library's own in that role: then there is nothing to find out."""
    inner = part.func if isinstance(part, partial) else part
    named = str(getattr(inner, "__name__", "")).endswith((role, "no_params"))
    return named and str(getattr(inner, "__module__", "")).startswith("nnfunc.")


def check_pair(function: str, argument: str, pair: object, form: str = "(init, forward)") -> None:
    """Raise TypeError unless `pair` is a tuple of two functions.

    Example:
        >>> from nnfunc import dense
        >>> check_pair("forward", "net", dense(2, 3))
    """
    if not (isinstance(pair, tuple) and len(pair) == 2 and callable(pair[0]) and callable(pair[1])):
        raise TypeError(problem(function, argument, f"be a pair of functions {form}", describe(pair)))


def checked_output(result: tuple[Array, Pullback], dtype: DType) -> tuple[Array, Pullback]:
    """Return what a layer's forward returned, if it is an array of `dtype` and a pullback.

    Raises:
        TypeError: it is something else.

    Example:
        >>> checked_output(np.zeros((1, 1)), np.dtype(np.float64))
        Traceback (most recent call last):
        ...
        TypeError: forward: result must be a pair (y, pullback), got float64 array of shape (1, 1)
    """
    if type(result) is not tuple or len(result) != 2 or not callable(result[1]):
        raise TypeError(problem("forward", "result", "be a pair (y, pullback)", result))
    y = result[0]
    if type(y) is not np.ndarray or y.dtype != dtype:
        raise TypeError(problem("forward", "y", f"be a {dtype} array, the dtype of x", y))
    return result


def checked_grads(result: tuple[Params, InputGradient]) -> tuple[Params, InputGradient]:
    """Return what a pullback returned, if it is gradients by name and a function.

    Raises:
        TypeError: it is something else; most often dx itself instead of a function that computes it.

    Example:
        >>> checked_grads(({}, np.zeros(1)))
        Traceback (most recent call last):
        ...
        TypeError: pullback: dx must be a function that computes it, got float64 array of shape (1,)
    """
    if type(result) is not tuple or len(result) != 2 or not hasattr(result[0], "items"):
        raise TypeError(problem("pullback", "result", "be a pair (grads by name, dx)", describe(result)))
    if not callable(result[1]):
        raise TypeError(problem("pullback", "dx", "be a function that computes it", result[1]))
    return result


def checked_dx(dx: Array, x: Array) -> Array:
    """Return a gradient with respect to `x`, if it has the shape and dtype of `x`.

    Raises:
        TypeError, ValueError: it has not.

    Example:
        >>> checked_dx(np.zeros(3), np.zeros(2))
        Traceback (most recent call last):
        ...
        ValueError: pullback: dx must have the shape (2,) of x, got float64 array of shape (3,)
    """
    if not isinstance(dx, np.ndarray) or dx.shape != x.shape:
        raise ValueError(problem("pullback", "dx", f"have the shape {x.shape} of x", describe(dx)))
    if dx.dtype != x.dtype:
        raise TypeError(problem("pullback", "dx", f"keep the dtype {x.dtype} of x", dx))
    return dx


def checked_loss(function: str, result: tuple[Array, Array], outputs: Array) -> tuple[Array, Array]:
    """Return what a loss function returned, if it is unreduced and fits the outputs.

    Raises:
        TypeError, ValueError: it is something else.

    Example:
        >>> checked_loss("loss", 0.5, np.zeros((1, 1)))
        Traceback (most recent call last):
        ...
        TypeError: loss: loss_fn must return a pair (per_example, d_outputs), got 0.5
    """
    if type(result) is not tuple or len(result) != 2:
        raise TypeError(problem(function, "loss_fn", "return a pair (per_example, d_outputs)", describe(result)))
    per_example, d_outputs = result
    if not isinstance(per_example, np.ndarray) or per_example.shape != (len(outputs),) or per_example.dtype.kind != "f":
        constraint = f"return per-example losses of shape ({len(outputs)},), not yet averaged"
        raise ValueError(problem(function, "loss_fn", constraint, describe(per_example)))
    if not isinstance(d_outputs, np.ndarray) or d_outputs.shape != outputs.shape:
        constraint = f"return a gradient of shape {outputs.shape}, that of the outputs"
        raise ValueError(problem(function, "loss_fn", constraint, describe(d_outputs)))
    if d_outputs.dtype != outputs.dtype:
        raise TypeError(problem(function, "loss_fn", f"keep the dtype {outputs.dtype} of the outputs", d_outputs))
    return result


def losses_of(function: str, loss_fn: LossFn, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Return what a loss function gives, checked; one of other arguments is told so.

    Example:
        >>> from nnfunc import relu
        >>> losses_of("loss", relu, np.zeros((1, 1)), np.zeros((1, 1)))
        Traceback (most recent call last):
        ...
        TypeError: loss: loss_fn must be a function (outputs, targets) -> (per_example, d_outputs),
        got the function relu, which takes (z)
    """
    try:
        result = loss_fn(outputs, targets)
    except TypeError as error:
        others = arguments_of(loss_fn, 2)
        if not others:
            raise
        got = f"{describe(loss_fn)}, which takes {others}"
        constraint = "be a function (outputs, targets) -> (per_example, d_outputs)"
        raise TypeError(problem(function, "loss_fn", constraint, got)) from error
    return checked_loss(function, result, outputs)


def missing_param(function: str, error: KeyError, params: Params) -> str:
    """Write the message for a layer that asked for a name which is not in params.

    Example:
        >>> missing_param("forward", KeyError("s"), {"W": np.zeros(1)})
        "forward: params['s'] must be there, got only ['W']"
    """
    return problem(function, f"params[{error}]", "be there", f"only {describe(list(params))}")


def reraise(error: Exception, name: str) -> NoReturn:
    """Raise the error again with the layer's name in it.

    In a message of the library's form the name goes before the argument, so a
    nested network spells out the whole path: ``dense: block/0/W must ...``.

    Example:
        >>> reraise(ValueError("dense: W must have shape (2, 3), got (2, 2)"), "hidden")
        Traceback (most recent call last):
        ...
        ValueError: dense: hidden/W must have shape (2, 3), got (2, 2)
    """
    if isinstance(error, KeyError):
        missing = problem("layer", f"{name}/{error.args[0]}", "be in params", "no such name")
        raise ValueError(missing) from error
    for kind in (ValueError, TypeError, FloatingPointError):
        if isinstance(error, kind):
            function, colon, rest = str(error).partition(": ")
            house = colon and " must " in rest
            raise kind(f"{function}: {name}/{rest}" if house else f"layer {name}: {error}") from error
    error.add_note(f"in layer {name}")
    raise error


def arguments_of(function: Callable[..., object], count: int) -> str:
    """Return what a function takes, if that is not so many arguments, else nothing.

    Example:
        >>> arguments_of(problem, 4), arguments_of(problem, 1)
        ('', '(function, argument, constraint, got)')
    """
    import inspect  # 10 ms, which a process that only predicts need not spend

    try:
        signature = inspect.signature(function)
    except ValueError:
        return ""  # a builtin may not tell
    try:
        signature.bind(*range(count))
    except TypeError:
        return f"({', '.join(signature.parameters)})"
    return ""
