"""Arrays: taken from what users give, protected from change, searched for what is not finite, and small ones kept ready."""

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.values.checks import FLOAT32, problem, require
from nnfunc.values.types import AnyArray, Array, DType, Rows

# Longer arrays take so long to compute with that making them does not show.
_LONG = 1 << 14
# Between these the sum of squares has neither overflowed nor lost small terms, in float32 or float64.
_SAFE = (1e-20, 1e30)
# As many float32 squares are added in float32; more would cost digits, fewer time.
_CHUNK = 4096

# glibc gives blocks above a threshold back to the system, and what each step frees is faulted in again, page by
# page, by the next: up to a third of a step. The threshold follows the largest block that has come and gone, so
# from here on arrays of up to 31 MB are kept. This one is never touched: it takes 10 microseconds and no memory.
np.empty(31 << 20, np.uint8)


def as_real(function: str, argument: str, value: ArrayLike, hint: str = "hold numbers") -> AnyArray:
    """Return `value` as a NumPy array of real numbers (float, int or bool).

    Raises:
        TypeError: it holds anything else, or is a masked array.
        ValueError: it is a ragged list.

    Example:
        >>> as_real("relu", "z", [1, 2])
        array([1, 2])
    """
    masked = isinstance(value, np.ndarray) and type(value) is not np.ndarray and hasattr(value, "mask")
    require(not masked, function, argument, "be a plain array, as a mask would be lost", "a masked array", TypeError)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(problem(function, argument, "have rows of one length", "a ragged sequence")) from error
    require(array.dtype.kind in "fiub", function, argument, hint, array, TypeError)
    return array


def as_floats(function: str, argument: str, value: ArrayLike) -> Array:
    """Let float arrays pass; turn other numbers, lists and ints into float64.

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
    """Return network inputs as an array of `dtype` with at least one row.

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
    if type(value) is not np.ndarray:
        array = as_real(function, argument, value).astype(dtype)
    elif value.dtype == dtype:
        array = value
    else:
        constraint = f"be a float32 or float64 array (convert with {argument}.astype(np.{dtype.name}))"
        is_float = value.dtype.kind == "f" and value.dtype.itemsize in (4, 8)
        require(is_float, function, argument, constraint, value, TypeError)
        with np.errstate(over="ignore"):
            array = value.astype(dtype)
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(problem(function, argument, "hold at least one row", array))
    return array


def as_targets(function: str, argument: str, value: ArrayLike, dtype: DType, n: int | None = None) -> AnyArray:
    """Return targets as an array, for n rows of x if n is given: floats in `dtype`, integers as they are.

    Raises:
        TypeError: they are not real numbers.
        ValueError: there are more or fewer than n.

    Example:
        >>> as_targets("loss", "y", [0.5, 1.0], FLOAT32, 2)
        array([0.5, 1. ], dtype=float32)
    """
    array: AnyArray
    if type(value) is np.ndarray and (value.dtype == dtype or value.dtype.kind in "iu"):
        array = value
    else:
        array = as_real(function, argument, value)
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                array = array.astype(dtype, copy=False)
    if n is not None and (array.ndim == 0 or len(array) != n):
        raise ValueError(problem(function, argument, f"have one target for each of the {n} rows of x", array))
    return array


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
    """Return the array, or a copy if it is a view or locked, and so may belong to somebody else.

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


def all_finite(*arrays: AnyArray) -> bool:
    """Say whether all values of all arrays are finite.

    Example:
        >>> all_finite(np.zeros(2), np.array([np.nan]))
        False
    """
    return all(bool(np.isfinite(array).all()) for array in arrays)


def where_not_finite(array: AnyArray) -> str:
    """Say what is not finite and where, or nothing.

    Example:
        >>> where_not_finite(np.array([[0.0, np.inf], [np.nan, 1.0]]))
        'inf at [0, 1] (2 of 4 values)'
        >>> where_not_finite(np.zeros(3))
        ''
    """
    if array.dtype.kind != "f" or all_finite(array):
        return ""
    bad = np.argwhere(~np.isfinite(array))
    return place(float(array[tuple(bad[0])]), bad[0].tolist(), len(bad), array.size)


def place(value: object, index: list[int], bad: int, size: int) -> str:
    """Say which value stands where, the first of so many bad ones out of `size`.

    Example:
        >>> place(float("nan"), [2], 1, 3)
        'nan at [2] (1 of 3 values)'
    """
    return f"{value} at {index} ({bad} of {size} values)"


def check_finite(function: str, argument: str, array: AnyArray) -> None:
    """Raise FloatingPointError, which says where, if the array has a value that is not finite.

    Example:
        >>> check_finite("global_norm", "grads['W']", np.array([0.0, np.nan]))
        Traceback (most recent call last):
        ...
        FloatingPointError: global_norm: grads['W'] must be finite, got nan at [1] (1 of 2 values)
    """
    found = where_not_finite(array)
    require(not found, function, argument, "be finite", found, FloatingPointError)


def sum_of_squares(arrays: Iterable[Array]) -> tuple[float, float]:
    """Return two factors of the sum of all squares, which is ``size * size * squares``.

    The sum neither overflows nor loses digits: `size` is 1 unless the squares
    themselves could overflow or vanish. The second factor is inf or NaN if an
    element is.

    Example:
        >>> sum_of_squares([np.array([3.0]), np.array([4.0])])
        (1.0, 25.0)
        >>> sum_of_squares([np.array([3e300]), np.array([4e300])])
        (4e+300, 1.5625)
    """
    held = list(arrays)
    squares = math.fsum([min(_squares(a), 1e300) for a in held])  # fsum itself must not overflow
    if _SAFE[0] < squares < _SAFE[1] or math.isnan(squares):
        return 1.0, squares
    largest = max((float(np.max(np.abs(a), initial=0)) for a in held), default=0.0)
    if not 0 < largest < math.inf:
        return 1.0, largest
    with np.errstate(all="ignore"):
        scaled = [(a / a.dtype.type(largest)).astype(np.float64) for a in held]
    return largest, math.fsum(float(np.vdot(s, s)) for s in scaled)


def _squares(array: Array) -> float:
    """Return the sum of the squares of one array, right to float32's last digits also where it is long."""
    if array.size < 2 * _CHUNK or array.itemsize > 4:
        return float(np.vdot(array, array))
    flat = array.ravel(order="K")
    whole = flat.size - flat.size % _CHUNK
    rows, rest = flat[:whole].reshape(-1, _CHUNK), flat[whole:]
    with np.errstate(all="ignore"):
        return float(np.add.reduce(np.vecdot(rows, rows), dtype=np.float64)) + float(np.vdot(rest, rest))


@lru_cache(maxsize=64)
def number(value: float, dtype: DType) -> Array:
    """Return a number as a locked array without axes, with which NumPy computes in half the time where arrays are small.

    Example:
        >>> number(1, np.dtype(np.float32))
        array(1., dtype=float32)
    """
    # -0.0 is found under the key 0.0, and must not stay for it
    return lasting(np.asarray(value + 0.0, dtype))


def ones(n: int, dtype: DType) -> Array:
    """Return n ones. A product with them adds up rows or columns in a third of the time of a sum.

    Example:
        >>> ones(2, np.dtype(np.float64)).dot(np.array([[1.0, 2.0], [3.0, 4.0]]))
        array([4., 6.])
    """
    return _filled(1, n, dtype) if n <= _LONG else np.ones(n, dtype)


def zeros(n: int, dtype: DType) -> Array:
    """Return n zeros. NumPy compares with them three times as fast as with the number 0.

    Example:
        >>> zeros(2, np.dtype(np.float64))
        array([0., 0.])
    """
    return _filled(0, n, dtype) if n <= _LONG else np.zeros(n, dtype)


def row_starts(n: int, k: int) -> Rows:
    """Return where n rows of k values begin when they stand one after another.

    Example:
        >>> row_starts(3, 10)
        array([ 0, 10, 20])
    """
    return _row_starts(n, k) if n <= _LONG else np.arange(0, n * k, k)


@lru_cache(maxsize=64)
def _filled(value: float, n: int, dtype: DType) -> Array:
    """Return n times one value, locked."""
    return lasting(np.full(n, value, dtype))


@lru_cache(maxsize=32)
def _row_starts(n: int, k: int) -> Rows:
    """Return the starts of rows, locked."""
    return lasting(np.arange(0, n * k, k))
