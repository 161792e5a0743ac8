"""Activation functions: plain arithmetic on arrays, each with its way back.

Every activation is a function ``f(z) -> y`` for callers, followed by its rule
``_f_back(dy, z, y) -> dz`` for the layers: value and derivative stand side by
side, and the table at the end puts them together. All keep the dtype, let NaN
through, and are right to the last digits from one infinity to the other: no
value near 0 is the difference of two numbers near 1. Slopes are so beside the
terms they are sums of: 1 - y^2 is right to the last digits of 1. Only far out
in gelu's tail, exp(-z^2 / 2) magnifies the rounding of its exponent.
What underflows to 0 is right, so NumPy need not report it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from nnfunc.pieces.normal import power, times_normal
from nnfunc.values.arrays import as_floats, filled, locked, number
from nnfunc.values.checks import (
    arguments_of, as_number, as_share, base_function, describe, label, looked_up, problem, require,
)
from nnfunc.values.types import Activation, Array, ElementwiseFn

BackRule: TypeAlias = Callable[[Array, Array, Array], Array]

Rule: TypeAlias = tuple[ElementwiseFn, BackRule]
"""An activation inside a layer: ``f(z) -> y`` and ``back(dy, z, y) -> dz``."""

# Beyond, sigmoid and the normal distribution function are 0 in float64 too, and so is their product with z: -infinity
# times 0 would be no number.
_FAR = -1000.0
# Values that are compared with zeros at once: they stay in the cache.
_ROW = 8192


def relu(z: Array) -> Array:
    """Return max(z, 0); the derivative at 0 is 0.

    Example:
        >>> relu(np.array([-2.0, 0.0, 3.0]))
        array([0., 0., 3.])

    Reference:
        Nair & Hinton (2010).
    """
    return relu_in_place(as_floats("relu", "z", z).copy())


def relu_in_place(z: Array) -> Array:
    """Compute `relu` in the memory of `z`, which the caller has just made.

    NumPy compares with an array of zeros three times as fast as with the number
    0, so what is of one piece is compared with a row of zeros, a row at a time.

    Example:
        >>> relu_in_place(np.array([[-2.0, 3.0]]))
        array([[0., 3.]])
    """
    if z.size < 1024 or not z.flags.c_contiguous:
        return np.maximum(z, number(0, z.dtype), out=z)
    flat, row = z.reshape(-1), filled(0, _ROW, z.dtype)
    whole = z.size - z.size % _ROW
    if whole:
        rows = flat[:whole].reshape(-1, _ROW)
        np.maximum(rows, row, out=rows)
    if whole < z.size:
        rest = flat[whole:]
        np.maximum(rest, row[: rest.size], out=rest)
    return z


def _relu_back(dy: Array, z: Array, y: Array) -> Array:
    dz: Array = dy * (y > number(0, y.dtype))
    return dz


@np.errstate(all="ignore")
def leaky_relu(z: Array, negative_slope: float = 0.01) -> Array:
    """Return z where z > 0 and negative_slope * z elsewhere.

    Args:
        z: any array.
        negative_slope: in [0, 1). For another than the default, give a layer
            ``functools.partial(leaky_relu, negative_slope=0.2)``.

    Raises:
        ValueError: `negative_slope` is outside [0, 1).

    Example:
        >>> leaky_relu(np.array([-2.0, 3.0]))
        array([-0.02,  3.  ])

    Reference:
        Maas, Hannun & Ng (2013).
    """
    z = as_floats("leaky_relu", "z", z)
    slope = as_share("leaky_relu", "negative_slope", negative_slope)
    y: Array = np.maximum(z, slope * z if slope else 0)  # as 0 times infinity is no number
    return y


def _leaky_relu_back(dy: Array, z: Array, y: Array, negative_slope: float = 0.01) -> Array:
    slope = (z > 0).astype(z.dtype)
    slope *= 1 - float(negative_slope)
    slope += float(negative_slope)
    return dy * slope


@np.errstate(all="ignore")
def elu(z: Array, alpha: float = 1.0) -> Array:
    """Return z where z > 0 and alpha * (exp(z) - 1) elsewhere.

    Args:
        z: any array.
        alpha: at least 0. For another than the default, give a layer
            ``functools.partial(elu, alpha=0.5)``.

    Raises:
        ValueError: `alpha` is negative or not finite.

    Example:
        >>> elu(np.array([-1.0, 3.0]))
        array([-0.63212056,  3.        ])

    Reference:
        Clevert, Unterthiner & Hochreiter (2016), equation 15.
    """
    z = as_floats("elu", "z", z)
    alpha = as_number("elu", "alpha", alpha, least=0)
    y: Array = np.expm1(z.clip(-np.inf, 0))
    y *= alpha
    y += relu_in_place(z.copy())
    return y


def _elu_back(dy: Array, z: Array, y: Array, alpha: float = 1.0) -> Array:
    positive = z > 0
    slope: Array = positive + float(alpha) * np.exp(z.clip(-np.inf, 0)) * ~positive
    return dy * slope


@np.errstate(all="ignore")
def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), without exp ever overflowing.

    Example:
        >>> z = np.array([2.0, 3.0]) @ np.array([0.5, -0.6]) + 0.1  # a neuron
        >>> print(f"{z:.1f} {sigmoid(z):.3f}")
        -0.7 0.332
        >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
        array([0. , 0.5, 1. ])
    """
    return _logistic(as_floats("sigmoid", "z", z))


def _sigmoid_back(dy: Array, z: Array, y: Array) -> Array:
    return dy * (y * (1 - y))


def _logistic(z: Array) -> Array:
    """Return sigmoid(z): that of -|z|, and 1 less it above 0."""
    tail: Array = np.exp(-np.abs(z))
    tail /= tail + number(1, z.dtype)
    y = (z > number(0, z.dtype)).astype(z.dtype)
    y -= tail
    return np.abs(y)


@np.errstate(all="ignore")
def tanh(z: Array) -> Array:
    """Return the hyperbolic tangent.

    Example:
        >>> tanh(np.array([-1000.0, 0.0, 0.5]))
        array([-1.        ,  0.        ,  0.46211716])
    """
    y: Array = np.tanh(as_floats("tanh", "z", z))
    return y


def _tanh_back(dy: Array, z: Array, y: Array) -> Array:
    return dy * (1 - y * y)


@np.errstate(all="ignore")
def softplus(z: Array) -> Array:
    """Return log(1 + exp(z)), as max(z, 0) + log1p(exp(-|z|)).

    Example:
        >>> softplus(np.array([-1000.0, 0.0, 1000.0]))
        array([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])

    Reference:
        Dugas, Bengio, Belisle, Nadeau & Garcia (2001).
    """
    z = as_floats("softplus", "z", z)
    y = relu_in_place(z.copy())
    y += np.log1p(np.exp(-np.abs(z)))
    return y


def _softplus_back(dy: Array, z: Array, y: Array) -> Array:
    return dy * _logistic(z)


@np.errstate(all="ignore")
def silu(z: Array) -> Array:
    """Return z * sigmoid(z), also known as swish.

    Example:
        >>> silu(np.array([-1.0, 0.0, 1.0]))
        array([-0.26894142,  0.        ,  0.73105858])

    Reference:
        Elfwing, Uchibe & Doya (2018), equation 5.
    """
    z = as_floats("silu", "z", z)
    y = _logistic(z)
    y *= z.clip(_FAR, np.inf)
    return y


def _silu_back(dy: Array, z: Array, y: Array) -> Array:
    s = _logistic(z)
    slope = 1 - s
    slope *= z.clip(_FAR, -_FAR)
    slope += number(1, z.dtype)
    slope *= s
    slope *= dy
    return slope


@np.errstate(all="ignore")
def gelu(z: Array) -> Array:
    """Return z * Phi(z) with the normal distribution function Phi: the exact GELU.

    PyTorch and Keras default to this form; JAX defaults to an approximation by
    tanh that differs from the fourth decimal on.

    Example:
        >>> gelu(np.array([-3.0, 0.0, 1.0]))
        array([-0.00404969,  0.        ,  0.84134475])

    Reference:
        Hendrycks & Gimpel (2016), section 2.
    """
    return times_normal(as_floats("gelu", "z", z))


def _gelu_back(dy: Array, z: Array, y: Array) -> Array:
    near = z.clip(_FAR, -_FAR)
    slope = y.clip(_FAR, -_FAR)
    slope /= near  # Phi(z)
    zero = np.abs(near) < number(1e-18, z.dtype)
    if zero.any():
        slope[zero] = 0.5
    density = power(near)
    near *= number(1 / math.sqrt(2 * math.pi), z.dtype)
    near *= density
    slope += near
    slope *= dy
    return slope


@np.errstate(all="ignore")
def softmax(z: Array) -> Array:
    """Return exp(z) / sum(exp(z)) over the last axis, the row's maximum taken off first.

    Shapes:
        (..., k) to (..., k); each row sums to 1.

    Raises:
        ValueError: `z` has no axis, or an empty last one.

    Example:
        >>> softmax(np.array([[1000.0, 1000.0, -1000.0]]))
        array([[0.5, 0.5, 0. ]])
    """
    powers = np.exp(_below_max("softmax", z))
    return powers / np.add.reduce(powers, axis=-1, keepdims=True)


def _softmax_back(dy: Array, z: Array, y: Array) -> Array:
    return y * (dy - np.add.reduce(dy * y, axis=-1, keepdims=True))


@np.errstate(all="ignore")
def log_softmax(z: Array) -> Array:
    """Return log(softmax(z)) over the last axis without computing softmax: z - m - log(sum(exp(z - m))).

    Shapes:
        (..., k) to (..., k).

    Raises:
        ValueError: `z` has no axis, or an empty last one.

    Example:
        >>> log_softmax(np.array([1000.0, 0.0, -1000.0]))
        array([    0., -1000., -2000.])
    """
    below = _below_max("log_softmax", z)
    is_below = below < 0
    others = np.add.reduce(np.exp(below) * is_below, axis=-1, keepdims=True)
    others += below.shape[-1] - 1 - np.count_nonzero(is_below, axis=-1, keepdims=True)  # 0, unless maxima are equal
    return below - np.log1p(others)


def _log_softmax_back(dy: Array, z: Array, y: Array) -> Array:
    dz: Array = dy - np.exp(y) * np.add.reduce(dy, axis=-1, keepdims=True)
    return dz


def _below_max(function: str, z: Array) -> Array:
    """Return z minus its row's maximum m, so that exp of it lies in [0, 1]."""
    z = as_floats(function, "z", z)
    require(z.ndim and z.shape[-1], function, "z", "have a last axis to sum over", z)
    below: Array = z - np.maximum.reduce(z, axis=-1, keepdims=True)  # perhaps -inf, and exp of it 0
    return below


BACK_RULES: dict[object, Callable[..., Array]] = {
    relu: _relu_back, leaky_relu: _leaky_relu_back, elu: _elu_back, sigmoid: _sigmoid_back, tanh: _tanh_back,
    softmax: _softmax_back, log_softmax: _log_softmax_back, softplus: _softplus_back, silu: _silu_back,
    gelu: _gelu_back,
}


def as_rule(function: str, f: Activation, argument: str = "activation") -> Rule:
    """Return an activation as a value function and its way back.

    Raises:
        TypeError: `f` is none of the library's activations, no partial over
            one with keywords only, and no pair of functions.

    Example:
        >>> f, back = as_rule("dense", (np.sin, np.cos))
        >>> z = np.zeros((1, 1))
        >>> back(np.ones((1, 1)), z, f(z))
        array([[1.]])
    """
    is_pair = isinstance(f, tuple) and len(f) == 2 and callable(f[0]) and callable(f[1])
    if isinstance(f, tuple) and is_pair and not (arguments_of(f[0], 1) or arguments_of(f[1], 1)):
        return partial(_custom_value, f[0]), partial(_custom_back, f[1])
    back = looked_up(BACK_RULES, f)
    if back is not None and callable(f):
        if not isinstance(f, partial):
            return f, back
        if not f.args:
            try:
                f(np.zeros((1, 1)))  # so that a wrong option is refused now, and not in the first step
            except TypeError as error:
                raise TypeError(problem(function, argument, "have the options given", str(error))) from error
            return f, partial(back, **f.keywords)
    names = ", ".join(map(label, BACK_RULES))
    constraint = f"be one of {names} (with options as keywords of a partial), or a pair (f, df)"
    raise TypeError(problem(function, argument, constraint, describe(f) + " of other arguments than z" * is_pair))


def as_pair(function: str, f: Activation) -> tuple[ElementwiseFn, ElementwiseFn]:
    """Return an elementwise activation as its value function and its derivative.

    Example:
        >>> f, df = as_pair("check_activation", relu)
        >>> df(np.array([-1.0, 2.0]))
        array([0., 1.])
    """
    value, back = as_rule(function, f)
    return f if isinstance(f, tuple) else (value, partial(_slope, value, back))


def is_custom(rule: Rule) -> bool:
    """Say whether a rule was made of a pair of a user's own.

    Example:
        >>> is_custom(as_rule("dense", (np.sin, np.cos))), is_custom(as_rule("dense", relu))
        (True, False)
    """
    return base_function(rule[0]) is _custom_value


def rule_name(rule: Rule) -> str:
    """Return the name of the activation in a rule.

    Example:
        >>> rule_name(as_rule("dense", partial(elu, alpha=0.5))), rule_name(as_rule("dense", (np.sin, np.cos)))
        ('elu', 'sin')
    """
    value = rule[0]
    return label(value.args[0] if is_custom(rule) and isinstance(value, partial) else value)


def _slope(value: ElementwiseFn, back: BackRule, z: Array) -> Array:
    return back(np.ones_like(z), z, value(z))


def _custom_value(f: ElementwiseFn, z: Array) -> Array:
    return _guarded("f", f, z)


def _custom_back(df: ElementwiseFn, dy: Array, z: Array, y: Array) -> Array:
    return dy * _guarded("df", df, z)


def _guarded(name: str, f: ElementwiseFn, z: Array) -> Array:
    """Return f(z) in an array of its own; `f` cannot change z, and must keep its shape and dtype."""
    value = f(locked(z))
    if type(value) is not np.ndarray or value.shape != z.shape:
        raise ValueError(problem("activation", name, f"return an array of shape {z.shape}", describe(value)))
    if value.dtype != z.dtype:
        raise TypeError(problem("activation", name, f"keep the dtype {z.dtype}", value))
    return value.copy()  # as `f` may keep what it returns
