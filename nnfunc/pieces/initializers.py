"""Initialisers: pure functions ``(key, shape, dtype) -> array``.

A weight matrix has shape ``(n_in, n_out)``; the fan-in is n_in and the fan-out
n_out. Numbers are drawn in float64 and rounded to `dtype`, so a float32 and a
float64 network with the same key start at the same point. The normal
initialisers draw from the plain normal distribution, as PyTorch's do (JAX and
Keras truncate it at two standard deviations).
"""

import math
from functools import partial
from typing import SupportsFloat, SupportsIndex

import numpy as np

from nnfunc.values.checks import as_dtype, as_number, as_size, as_tuple, require
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
