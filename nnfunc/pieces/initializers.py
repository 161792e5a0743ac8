"""Initialisers: pure functions ``(key, shape, dtype) -> array``.

A weight matrix has shape ``(n_in, n_out)``; the fan-in is n_in and the fan-out
n_out. Numbers are drawn in float64 and rounded to `dtype`, so a float32 and a
float64 network with the same key start at the same point. The normal
initialisers draw from the plain normal distribution, as PyTorch's do (JAX and
Keras truncate it at two standard deviations). A bias has shape ``(n_out,)``; if
its spread depends on the fan-in, its initialiser is made by `by_fans`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import SupportsFloat, SupportsIndex

import numpy as np

from nnfunc.values.arrays import as_real
from nnfunc.values.checks import as_dtype, as_number, as_size, as_tuple, check_callable, looked_up, require
from nnfunc.values.keys import generator, key_path
from nnfunc.values.types import Array, DType, Initializer, Key

Shape = tuple[int, ...]


def _fans(function: str, shape: Shape) -> tuple[int, int]:
    """Return fan-in and fan-out of a weight matrix of this shape."""
    sizes = _checked_shape(function, shape)
    require(len(sizes) == 2 and min(sizes) > 0, function, "shape", "be (n_in, n_out)", value=shape)
    return sizes[0], sizes[1]


def _checked_shape(function: str, shape: Shape) -> Shape:
    """Return a shape that an array can have."""
    sizes = [shape] if isinstance(shape, SupportsIndex) else as_tuple(function, "shape", shape, "integers")
    checked = tuple(as_size(function, "shape", size, least=0) for size in sizes)
    fits = len(checked) <= 32 and math.prod(checked) >> 48 == 0
    require(fits, function, "shape", "be that of at most 32 axes and fewer than 2**48 numbers", value=shape)
    return checked


@np.errstate(over="ignore", under="ignore")
def _normal(function: str, stddev: float, key: Key, shape: Shape, dtype: DType) -> Array:
    real, sizes = as_dtype(function, dtype), _checked_shape(function, shape)
    return generator(key_path(function, key)).normal(0.0, stddev, sizes).astype(real)


@np.errstate(over="ignore", under="ignore")
def _uniform(function: str, limit: float, key: Key, shape: Shape, dtype: DType) -> Array:
    real, sizes = as_dtype(function, dtype), _checked_shape(function, shape)
    return generator(key_path(function, key)).uniform(-limit, limit, sizes).astype(real)


@np.errstate(over="ignore", under="ignore")
def _constant(function: str, value: float, key: Key, shape: Shape, dtype: DType) -> Array:
    return np.full(_checked_shape(function, shape), value, as_dtype(function, dtype))


def glorot_uniform(key: Key, shape: Shape, dtype: DType) -> Array:
    """Draw from U(-a, a), a = sqrt(6 / (n_in + n_out)); keeps the variance through tanh and sigmoid.

    Shapes:
        `shape` is (n_in, n_out), and so is the result's.

    Raises:
        ValueError: `shape` has not two dimensions of at least 1.
        TypeError: `dtype` is not float32 or float64.

    Example:
        >>> W = glorot_uniform(0, (300, 300), np.dtype(np.float32))
        >>> bool(abs(W).max() <= 0.1), W.dtype
        (True, dtype('float32'))

    Reference:
        Glorot & Bengio (2010), equation 16.
    """
    n_in, n_out = _fans("glorot_uniform", shape)
    return _uniform("glorot_uniform", math.sqrt(6 / (n_in + n_out)), key, shape, dtype)


def glorot_normal(key: Key, shape: Shape, dtype: DType) -> Array:
    """Draw from N(0, s^2), s = sqrt(2 / (n_in + n_out)).

    Shapes:
        `shape` is (n_in, n_out), and so is the result's.

    Raises:
        ValueError: `shape` has not two dimensions of at least 1.
        TypeError: `dtype` is not float32 or float64.

    Example:
        >>> W = glorot_normal(0, (200, 200), np.dtype(np.float64))
        >>> round(float(W.std() / (2 / 400) ** 0.5), 2)
        1.0

    Reference:
        Glorot & Bengio (2010), equation 12.
    """
    n_in, n_out = _fans("glorot_normal", shape)
    return _normal("glorot_normal", math.sqrt(2 / (n_in + n_out)), key, shape, dtype)


def he_uniform(key: Key, shape: Shape, dtype: DType) -> Array:
    """Draw from U(-a, a), a = sqrt(6 / n_in).

    Shapes:
        `shape` is (n_in, n_out), and so is the result's.

    Raises:
        ValueError: `shape` has not two dimensions of at least 1.
        TypeError: `dtype` is not float32 or float64.

    Example:
        >>> W = he_uniform(0, (600, 10), np.dtype(np.float64))
        >>> bool(abs(W).max() <= 0.1)
        True

    Reference:
        He, Zhang, Ren & Sun (2015), equation 10, as a uniform distribution.
    """
    n_in, _ = _fans("he_uniform", shape)
    return _uniform("he_uniform", math.sqrt(6 / n_in), key, shape, dtype)


def he_normal(key: Key, shape: Shape, dtype: DType) -> Array:
    """Draw from N(0, s^2), s = sqrt(2 / n_in); keeps the variance through relu.

    Shapes:
        `shape` is (n_in, n_out), and so is the result's.

    Raises:
        ValueError: `shape` has not two dimensions of at least 1.
        TypeError: `dtype` is not float32 or float64.

    Example:
        >>> W = he_normal(0, (200, 200), np.dtype(np.float64))
        >>> round(float(W.std() / (2 / 200) ** 0.5), 2)
        1.0

    Reference:
        He, Zhang, Ren & Sun (2015), equation 10.
    """
    n_in, _ = _fans("he_normal", shape)
    return _normal("he_normal", math.sqrt(2 / n_in), key, shape, dtype)


def lecun_normal(key: Key, shape: Shape, dtype: DType) -> Array:
    """Draw from N(0, s^2), s = sqrt(1 / n_in).

    Shapes:
        `shape` is (n_in, n_out), and so is the result's.

    Raises:
        ValueError: `shape` has not two dimensions of at least 1.
        TypeError: `dtype` is not float32 or float64.

    Example:
        >>> W = lecun_normal(0, (200, 200), np.dtype(np.float64))
        >>> round(float(W.std() / (1 / 200) ** 0.5), 2)
        1.0

    Reference:
        LeCun, Bottou, Orr & Mueller (1998), equation 16.
    """
    n_in, _ = _fans("lecun_normal", shape)
    return _normal("lecun_normal", math.sqrt(1 / n_in), key, shape, dtype)


def normal(stddev: SupportsFloat) -> Initializer:
    """Return an initialiser that draws from N(0, stddev^2), whatever the shape.

    Raises:
        TypeError, ValueError: `stddev` is not a number of at least 0.

    Example:
        >>> normal(0.1)(0, (2, 2), np.dtype(np.float32)).shape
        (2, 2)
    """
    return partial(_normal, "normal", as_number("normal", "stddev", stddev, least=0))


def uniform(limit: SupportsFloat) -> Initializer:
    """Return an initialiser that draws from U(-limit, limit), whatever the shape.

    Raises:
        TypeError, ValueError: `limit` is not a number of at least 0.

    Example:
        >>> bool(abs(uniform(0.1)(0, (9, 9), np.dtype(np.float32))).max() <= 0.1)
        True
    """
    most = as_number("uniform", "limit", limit, least=0)
    require(most <= 2.0**1022, "uniform", "limit", "be at most 2**1022, for NumPy to draw", most)
    return partial(_uniform, "uniform", most)


def by_fans(make: Callable[[int, int], Initializer]) -> Initializer:
    """Return an initialiser that knows the fans of its layer: ``make(n_in, n_out)`` is the one that draws.

    `dense` and `mlp` give it the layer's own n_in and n_out, for W and for b, so
    that the start of another library is one line:

        PyTorch       by_fans(lambda n_in, n_out: uniform(n_in**-0.5))
        scikit-learn  by_fans(lambda n_in, n_out: uniform((6 / (n_in + n_out)) ** 0.5))

    as `w_init` and as `b_init` (scikit-learn has 2 in place of 6 for logistic units).

    Shapes:
        In a call of one's own, `shape` is (n_in, n_out), and so is the result's.

    Raises:
        TypeError: `make` is no function, or makes none.
        ValueError: in a call of one's own, `shape` has not two dimensions.

    Example:
        >>> from nnfunc import dense
        >>> start = by_fans(lambda n_in, n_out: uniform(n_in**-0.5))
        >>> init, forward = dense(400, 3, w_init=start, b_init=start)
        >>> {name: bool(abs(a).max() <= 0.05) for name, a in init(0, np.dtype(np.float32)).items()}
        {'W': True, 'b': True}
    """
    check_callable("by_fans", "make", make, "(n_in, n_out) -> initialiser", 2)
    return partial(_by_fans, make)


def _by_fans(make: Callable[[int, int], Initializer], key: Key, shape: Shape, dtype: DType) -> Array:
    """Draw by an initialiser made for the fans that the shape of a weight matrix tells."""
    return made_for("by_fans", "make", partial(_by_fans, make), *_fans("by_fans", shape))(key, shape, dtype)


def made_for(function: str, argument: str, initializer: Initializer, n_in: int, n_out: int) -> Initializer:
    """Return the initialiser that one of `by_fans` makes for these fans, or the one that is given.

    Example:
        >>> start = by_fans(lambda n_in, n_out: constant(n_in))
        >>> made_for("dense", "b_init", start, 4, 2)(0, (2,), np.dtype(np.float32))
        array([4., 4.], dtype=float32)
    """
    if isinstance(initializer, partial) and initializer.func is _by_fans:
        initializer = initializer.args[0](n_in, n_out)
    # What takes those of the library take need not be found out, which takes time.
    count = None if looked_up(_OWN, initializer) else 3
    check_callable(function, argument, initializer, "(key, shape, dtype) -> array", count, Initializer)
    return initializer


def drawn(function: str, argument: str, initializer: Initializer, key: Key, shape: Shape, dtype: DType) -> Array:
    """Return what an initialiser gives for a layer, if it is numbers in this shape.

    Example:
        >>> drawn("dense", "w_init", lambda key, shape, dtype: np.zeros(3), 0, (2,), np.dtype(np.float32))
        Traceback (most recent call last):
        ...
        ValueError: dense: w_init must return an array of shape (2,), got float64 array of shape (3,)
    """
    array = as_real(function, argument, initializer(key, shape, dtype), "give numbers")
    require(array.shape == shape, function, argument, f"return an array of shape {shape}", array)
    return array


def constant(value: SupportsFloat) -> Initializer:
    """Return an initialiser that fills with one value.

    Raises:
        TypeError, ValueError: `value` is not a finite number.

    Example:
        >>> constant(0.5)(0, (2,), np.dtype(np.float32))
        array([0.5, 0.5], dtype=float32)
    """
    return partial(_constant, "constant", as_number("constant", "value", value))


def zeros(key: Key, shape: Shape, dtype: DType) -> Array:
    """Fill with zeros: right for biases; as weights, every unit would learn the same.

    Example:
        >>> zeros(0, (2,), np.dtype(np.float32))
        array([0., 0.], dtype=float32)
    """
    return _constant("zeros", 0.0, key, shape, dtype)


_OWN: dict[object, bool] = dict.fromkeys(
    (glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_normal, zeros, _normal, _uniform, _constant), True
)
"""The functions that the library's initialisers are, or are partials of."""
