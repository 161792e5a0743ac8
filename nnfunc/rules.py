"""Activations inside layers: a value function with its back rule, the library's own or a user's pair."""

from collections.abc import Mapping
from functools import partial
from typing import TypeVar

import numpy as np

from nnfunc.activations import BACK_RULES, BackRule, elu, gelu, leaky_relu, relu, silu
from nnfunc.checks import describe, locked, owned, problem
from nnfunc.types import Activation, Array, ElementwiseFn

T = TypeVar("T")

_RULES: dict[object, BackRule] = dict(BACK_RULES.items())

RELU_FAMILY = frozenset({relu, leaky_relu, elu, silu, gelu})
"""Those that are near max(z, 0): He's spread suits them, Glorot's the rest."""


def base_function(f: object) -> object:
    """Return the function inside a partial, or what is given.

    Example:
        >>> base_function(partial(leaky_relu, negative_slope=0.2)) is leaky_relu
        True
    """
    return f.func if isinstance(f, partial) else f


def looked_up(table: Mapping[object, T], f: object) -> T | None:
    """Return what a table holds for a function, or none; of functions that cannot be hashed it holds nothing.

    Example:
        >>> looked_up({np.sin: "sine"}, np.sin), looked_up({np.sin: "sine"}, [])
        ('sine', None)
    """
    try:
        return table.get(f)
    except TypeError:
        return None


def with_back_rule(function: str, f: Activation) -> tuple[ElementwiseFn, BackRule]:
    """Return an activation as a value function and its back rule.

    Raises:
        TypeError: `f` is none of the library's activations, no partial over
            one with keywords only, and no pair of functions.

    Example:
        >>> f, back = with_back_rule("dense", (np.sin, np.cos))
        >>> z = np.zeros((1, 1))
        >>> back(np.ones((1, 1)), z, f(z))
        array([[1.]])
    """
    if isinstance(f, tuple) and len(f) == 2 and callable(f[0]) and callable(f[1]):
        return partial(_custom_value, f[0]), partial(_custom_back, f[1])
    base = base_function(f)
    back = looked_up(_RULES, base)
    if callable(f) and back is not None:
        if not isinstance(f, partial):
            return f, back
        if not f.args:
            try:
                f(np.zeros((1, 1)))  # a wrong option is met here, not in the first step
            except TypeError as error:
                raise TypeError(problem(function, "activation", "have the options given", str(error))) from error
            return f, partial(back, **f.keywords)
    names = ", ".join(rule.__name__ for rule in BACK_RULES)
    constraint = f"be one of {names} (with options as keywords of a partial), or a pair (f, df)"
    raise TypeError(problem(function, "activation", constraint, describe(f)))


def as_pair(function: str, f: Activation) -> tuple[ElementwiseFn, ElementwiseFn]:
    """Return an elementwise activation as its value function and its derivative.

    Example:
        >>> f, df = as_pair("check_activation", relu)
        >>> df(np.array([-1.0, 2.0]))
        array([0., 1.])
    """
    value, back = with_back_rule(function, f)
    return f if isinstance(f, tuple) else (value, partial(_slope, value, back))


def _slope(value: ElementwiseFn, back: BackRule, z: Array) -> Array:
    return back(np.ones_like(z), z, value(z))


def _custom_value(f: ElementwiseFn, z: Array) -> Array:
    return _like("f", f, z)


def _custom_back(df: ElementwiseFn, dy: Array, z: Array, y: Array) -> Array:
    return dy * _like("df", df, z)


def _like(name: str, f: ElementwiseFn, z: Array) -> Array:
    """Return f(z) in an array of its own; it must have the shape and dtype of z, and cannot change it."""
    value = f(locked(z))
    if not isinstance(value, np.ndarray) or value.shape != z.shape:
        raise ValueError(problem("activation", name, f"return an array of shape {z.shape}", value))
    if value.dtype != z.dtype:
        raise TypeError(problem("activation", name, f"keep the dtype {z.dtype}", describe(value)))
    return owned(value)
