"""Checks on arguments, and the one form that every error message has.

``"{function}: {argument} must {constraint}, got {value}"``: `problem` writes
it, everything that raises uses it.
"""

import math
import operator
from typing import SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nnfunc.types import AnyArray, Array, DType

FLOAT32: DType = np.dtype(np.float32)
FLOAT64: DType = np.dtype(np.float64)


def problem(function: str, argument: str, constraint: str, got: object) -> str:
    """Write an error message in the library's one form; `got` is a value, or words as they stand.

    Example:
        >>> problem("dense", "n_in", "be at least 1", 0)
        'dense: n_in must be at least 1, got 0'
    """
    return f"{function}: {argument} must {constraint}, got {got if isinstance(got, str) else describe(got)}"


def check_callable(function: str, argument: str, value: object, takes: str) -> None:
    """Raise TypeError unless `value` can be called.

    Example:
        >>> check_callable("loss", "penalty", 0.1, "params -> (value, grads)")
        Traceback (most recent call last):
        ...
        TypeError: loss: penalty must be a function params -> (value, grads), got 0.1
    """
    if not callable(value):
        raise TypeError(problem(function, argument, f"be a function {takes}", describe(value)))


def describe(value: object) -> str:
    """Say in a few words what a value is: an array by dtype and shape, a function by name.

    Example:
        >>> describe(np.zeros((2, 3)))
        'float64 array of shape (2, 3)'
        >>> describe([1, 2])
        '[1, 2]'
    """
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array of shape {value.shape}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the {'type' if isinstance(value, type) else 'function'} {value.__name__}"
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python prints no integer of more than some thousand digits
        text = f"a very long {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def as_size(function: str, argument: str, value: SupportsIndex, least: int = 1, bits: int = 30) -> int:
    """Return `value` as an int that is at least `least` and below 2**bits.

    Raises:
        TypeError: it is not an integer.
        ValueError: it is below `least`, or too large.

    Example:
        >>> as_size("dense", "n_in", np.int64(3))
        3
    """
    try:
        size = operator.index(value)
    except TypeError:
        size = None
    if size is None or isinstance(value, bool):
        raise TypeError(problem(function, argument, "be an integer", describe(value)))
    if size < least:
        raise ValueError(problem(function, argument, f"be at least {least}", size))
    if size >> bits:
        raise ValueError(problem(function, argument, f"be below 2**{bits}", size))
    return size


def as_number(function: str, argument: str, value: SupportsFloat, least: float = -math.inf) -> float:
    """Return `value` as a finite Python float that is at least `least`.

    A Python float never upcasts a float32 array; a NumPy float64 scalar would.

    Raises:
        TypeError: it is not a real number.
        ValueError: it is not finite, or below `least`.

    Example:
        >>> as_number("sgd_step", "lr", np.float64(0.5))
        0.5
    """
    number = as_float(function, argument, value)
    if not math.isfinite(number) or number < least:
        bound = "be finite" if least == -math.inf else f"be finite and at least {least:g}"
        raise ValueError(problem(function, argument, bound, number))
    return number


def as_float(function: str, argument: str, value: SupportsFloat) -> float:
    """Return `value`, a single real number, as a Python float, which may be infinite or NaN.

    Example:
        >>> as_float("early_stopping", "metric", np.float32("inf"))
        inf
    """
    if isinstance(value, (str, bytes)) or (isinstance(value, np.ndarray) and value.ndim):
        raise TypeError(problem(function, argument, "be a number", describe(value)))
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(problem(function, argument, "be a number", describe(value))) from error
    except OverflowError as error:
        raise ValueError(problem(function, argument, "be a number that a float can hold", describe(value))) from error


def as_dtype(function: str, dtype: DTypeLike) -> DType:
    """Return `dtype` as a NumPy dtype, float32 or float64.

    Raises:
        TypeError: it is another dtype, or none.

    Example:
        >>> as_dtype("init", "float32")
        dtype('float32')
    """
    for known in (FLOAT32, FLOAT64):
        try:
            if dtype is not None and np.dtype(dtype) == known:
                return known
        except TypeError:
            break
    raise TypeError(problem(function, "dtype", "be float32 or float64", describe(dtype)))


def as_real(function: str, argument: str, value: ArrayLike, hint: str = "hold numbers") -> AnyArray:
    """Return `value` as a NumPy array of real numbers (float, int or bool).

    Raises:
        TypeError: it holds anything else, or is a masked array.
        ValueError: it is a ragged list.

    Example:
        >>> as_real("relu", "z", [1, 2])
        array([1, 2])
    """
    if isinstance(value, np.ndarray) and type(value) is not np.ndarray and hasattr(value, "mask"):
        raise TypeError(problem(function, argument, "be a plain array, as a mask would be lost", "a masked array"))
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(problem(function, argument, "have rows of one length", "a ragged sequence")) from error
    if array.dtype.kind not in "fiub":
        raise TypeError(problem(function, argument, hint, array))
    return array


def as_floats(function: str, argument: str, value: ArrayLike) -> Array:
    """Let float arrays pass; turn other numbers, lists and ints into float64.

    Raises:
        TypeError, ValueError: as `as_real`.

    Example:
        >>> as_floats("relu", "z", [1, 2])
        array([1., 2.])
    """
    array: AnyArray
    if type(value) is np.ndarray and value.dtype.kind == "f":
        array = value
    else:
        array = as_real(function, argument, value)
        array = array if array.dtype.kind == "f" else array.astype(np.float64)
    return array


def as_inputs(function: str, argument: str, value: ArrayLike, dtype: DType) -> Array:
    """Return network inputs as a locked array of `dtype` with at least one row.

    Lists and other array-likes are converted; so is the other of float32 and
    float64. Integer and boolean *arrays* are refused: they are most often
    pixels or codes that somebody forgot to scale.

    Raises:
        TypeError: the array's dtype is neither float32 nor float64.
        ValueError: there is no row.

    Example:
        >>> as_inputs("forward", "x", [[1, 2]], FLOAT32)
        array([[1., 2.]], dtype=float32)
    """
    array: AnyArray
    if type(value) is np.ndarray:
        array = value
        if array.dtype is not dtype and array.dtype != dtype:
            if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
                raise TypeError(
                    problem(
                        function,
                        argument,
                        f"be a float32 or float64 array (convert with {argument}.astype(np.{dtype.name}))",
                        array,
                    )
                )
            with np.errstate(over="ignore"):
                array = array.astype(dtype)
    else:
        array = as_real(function, argument, value).astype(dtype)
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(problem(function, argument, "hold at least one row", array))
    return locked(array)


def as_targets(function: str, argument: str, value: ArrayLike, dtype: DType) -> AnyArray:
    """Return targets as a locked array: floats in `dtype`, integers as they are.

    Raises:
        TypeError: they are not real numbers.

    Example:
        >>> as_targets("loss", "y", [0.5, 1.0], FLOAT32)
        array([0.5, 1. ], dtype=float32)
    """
    array: AnyArray
    if type(value) is np.ndarray and value.dtype == dtype:
        array = value
    else:
        array = as_real(function, argument, value)
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                array = array.astype(dtype, copy=False)
    return locked(array)


def locked(array: AnyArray) -> AnyArray:
    """Return a read-only view: what is handed to a user's function cannot be changed by it.

    Example:
        >>> locked(np.zeros(2))[0] = 1
        Traceback (most recent call last):
        ...
        ValueError: assignment destination is read-only
    """
    view = array.view()
    view.setflags(write=False)
    return view


def owned(array: Array) -> Array:
    """Return the array if nobody else can hold its memory, else a copy.

    A view, or a locked array, may belong to an argument of the call.

    Example:
        >>> a = np.zeros(2)
        >>> owned(a) is a, owned(locked(a)) is a
        (True, False)
    """
    flags = array.flags
    return array if flags.owndata and flags.writeable else array.copy()


def lasting(array: AnyArray) -> AnyArray:
    """Return the array itself if it can never change, else a locked copy.

    Example:
        >>> a = np.zeros(2)
        >>> lasting(a) is a, lasting(a).flags.writeable
        (False, False)
        >>> a.setflags(write=False)
        >>> lasting(a) is a, lasting(a[:1]).base is a
        (True, True)
    """
    flags = array.flags
    if not flags.writeable:
        base = array.base
        if flags.owndata or (type(base) is np.ndarray and base.flags.owndata and not base.flags.writeable):
            return array
    copy = array.copy()
    copy.setflags(write=False)
    return copy
