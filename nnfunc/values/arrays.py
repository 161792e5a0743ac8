"""Arrays: taken from what users give, protected from change, searched for what is not finite, and small ones kept ready."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.values.advice import is_number_type, odd_element, way_out
from nnfunc.values.checks import FLOAT32, describe, problem, require, shortened
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


def as_array(function: str, argument: str, value: ArrayLike) -> AnyArray:
    """Return `value` as a plain NumPy array of whatever kind, by position where it has labels.

    Raises:
        TypeError: it has a mask or is sparse, or its own conversion fails.
        ValueError: it is a ragged list.

    Example:
        >>> as_array("split_rows", "labels", ["a", "b"]).shape
        (2,)
    """
    if type(value) is np.ndarray:
        return value
    name = argument.split()[-1]
    if isinstance(value, np.ndarray) and hasattr(value, "mask"):
        constraint = f"be a plain array, as a mask would be lost ({name}.astype(float).filled(np.nan) makes the gaps NaN)"
        raise TypeError(problem(function, argument, constraint, "a masked array"))
    if hasattr(value, "toarray"):
        constraint = f"be a plain array ({name}.toarray() makes one)"
        raise TypeError(problem(function, argument, constraint, f"a {type(value).__name__}"))
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(problem(function, argument, "have rows of one length", "a ragged sequence")) from error
    except (TypeError, RuntimeError) as error:  # of another library's array, which says why
        got = f"a {type(value).__name__}: {shortened(str(error), 200)}"
        raise TypeError(problem(function, argument, "be what NumPy can make an array of", got)) from error


def as_real(function: str, argument: str, value: ArrayLike, hint: str = "hold numbers") -> AnyArray:
    """Return `value` as a NumPy array of real numbers (float, int or bool); objects that are all numbers become floats.

    Raises:
        TypeError: it holds anything else, has a mask or is sparse.
        ValueError: it is a ragged list.

    Example:
        >>> as_real("relu", "z", [1, 2])
        array([1, 2])
        >>> as_real("fit_scaler", "x", np.array([[1.5, True]], dtype=object))
        array([[1.5, 1. ]])
    """
    array = as_array(function, argument, value)
    if array.dtype.kind in "fiub":
        return array
    got = describe(array)
    if array.dtype.kind == "O":
        items = array.ravel().tolist()
        if all(map(is_number_type, set(map(type, items)))):
            return _of_numbers(function, argument, items).reshape(array.shape)
        item, index = odd_element(array)
        got += f" with {describe(item)} at {index}" if index else ""
    elif array.dtype.kind == "V" and not array.dtype.names and np.can_cast(array.dtype, np.float32):  # bfloat16
        return array.astype(np.float32)
    advice = way_out(argument, value, array) if hint == "hold numbers" else ""
    raise TypeError(problem(function, argument, hint, f"{got}; {advice}" if advice else got))


def _of_numbers(function: str, argument: str, items: list[float]) -> AnyArray:
    """Return Python numbers of several kinds as an array of one, wide enough for all."""
    array: AnyArray = np.array(items)
    if array.dtype.kind in "fiub":
        return array
    try:
        floats = [float(item) for item in items]
    except OverflowError as error:
        raise ValueError(problem(function, argument, "hold numbers that a float can hold", "a larger one")) from error
    lost = [item for item, held in zip(items, floats, strict=True) if isinstance(item, int) and item != held]
    require(not lost, function, argument, "hold whole numbers that a float holds exactly", value=lost[:1])
    return np.array(floats)


def in_dtype(function: str, argument: str, array: AnyArray, dtype: DType) -> Array:
    """Return an array in `dtype`; FloatingPointError if a number becomes infinite there.

    Example:
        >>> in_dtype("loss", "y", np.array([1e300]), FLOAT32)
        Traceback (most recent call last):
        ...
        FloatingPointError: loss: y must hold numbers that float32 can hold (params in float64 hold more), got 1e+300 at [0] (1 of 1 values)
    """
    try:
        with np.errstate(over="raise", under="ignore", invalid="ignore"):
            return array.astype(dtype, copy=False)
    except FloatingPointError as error:
        with np.errstate(all="ignore"):
            lost = np.isfinite(array) & ~np.isfinite(array.astype(dtype))
        constraint = f"hold numbers that {dtype} can hold{' (params in float64 hold more)' if dtype == FLOAT32 else ''}"
        raise FloatingPointError(problem(function, argument, constraint, place(array, lost))) from error


def check_exact(function: str, argument: str, array: AnyArray, dtype: DType) -> None:
    """Raise TypeError if integers, which may be row numbers or names of things, would become others in `dtype`.

    Example:
        >>> check_exact("forward", "x", np.array([2**24, 2**25]), FLOAT32)
        >>> check_exact("forward", "x", np.array([[2**24 + 1]]), FLOAT32)
        Traceback (most recent call last):
        ...
        TypeError: forward: x must hold whole numbers that float32 holds exactly (standardize(x, scaler) for quantities,
        np.where(np.isin(x, names), np.searchsorted(names, x), len(names)).astype(float) for identifiers, with
        scaler = fit_scaler(x) and names = np.unique(x) of training), got 16777217 at [0, 0] (1 of 1 values)
    """
    most = 2 ** (np.finfo(dtype).nmant + 1)
    if array.dtype.kind not in "iu" or not array.size or max(-int(array.min()), int(array.max())) <= most:
        return
    step = np.maximum(array & (~array + 1), 1)  # the largest power of two in each: what is left of it must fit
    odd = array // step
    lost = (odd > most) | (odd < -most) if array.dtype.kind == "i" else odd > most
    if lost.any():
        constraint = (
            f"hold whole numbers that {dtype} holds exactly (standardize({argument}, scaler) for quantities,"
            f" np.where(np.isin({argument}, names), np.searchsorted(names, {argument}), len(names)).astype(float) for"
            f" identifiers, with scaler = fit_scaler({argument}) and names = np.unique({argument}) of training)"
        )
        raise TypeError(problem(function, argument, constraint, place(array, lost)))


def as_floats(function: str, argument: str, value: ArrayLike) -> Array:
    """Let float arrays pass; turn other numbers, lists and ints into float64.

    Example:
        >>> as_floats("relu", "z", [1, 2])
        array([1., 2.])
    """
    if type(value) is np.ndarray and value.dtype.kind == "f":
        return value
    array = as_real(function, argument, value)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def as_inputs(function: str, argument: str, value: ArrayLike, dtype: DType) -> Array:
    """Return network inputs as an array of `dtype` with at least one row.

    Lists and other array-likes are converted; so are booleans and the other of
    float32 and float64. Integer *arrays* are refused: they are most often
    pixels or codes that somebody forgot to scale.

    Raises:
        FloatingPointError: a number is beyond what `dtype` can hold.
        TypeError: the array's dtype is neither float32 nor float64, or it holds
            whole numbers that would become others in `dtype`.
        ValueError: there is no row.

    Example:
        >>> as_inputs("forward", "x", [[1, 2]], FLOAT32)
        array([[1., 2.]], dtype=float32)
    """
    array: AnyArray
    if type(value) is np.ndarray and value.dtype == dtype:
        array = value
    else:
        array = as_real(function, argument, value)
        if array.dtype.kind in "iu":
            check_exact(function, argument, array, dtype)
        if type(value) is np.ndarray and value.dtype.kind not in "Ob":
            constraint = f"be a float32 or float64 array (convert with {argument}.astype(np.{dtype.name}))"
            is_float = value.dtype.kind == "f" and value.dtype.itemsize in (4, 8)
            require(is_float, function, argument, constraint, value, TypeError)
        array = in_dtype(function, argument, array, dtype)
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
            array = in_dtype(function, argument, array, dtype)
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


def is_read_only_map(value: object) -> bool:
    """Say whether an array is a file's, mapped into memory and opened for reading, which nothing here can change.

    Example:
        >>> is_read_only_map(locked(np.zeros(2)))
        False
    """
    base: object = value if isinstance(value, np.ndarray) and not value.flags.writeable else None
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap) and memoryview(base).readonly


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
    return "" if array.dtype.kind != "f" or all_finite(array) else place(array, ~np.isfinite(array))


def place(array: AnyArray, bad: AnyArray) -> str:
    """Say which value stands where, the first of the bad ones in an array, and how many there are.

    Example:
        >>> place(np.array([1.0, 2.0, -3.0]), np.array([False, False, True]))
        '-3.0 at [2] (1 of 3 values)'
    """
    where = np.argwhere(bad)
    return f"{array[tuple(where[0])]!s} at {where[0].tolist()} ({len(where)} of {array.size} values)"


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
    return filled(1, n, dtype) if n <= _LONG else np.ones(n, dtype)


def row_starts(n: int, k: int) -> Rows:
    """Return where n rows of k values begin when they stand one after another.

    Example:
        >>> row_starts(3, 10)
        array([ 0, 10, 20])
    """
    return _row_starts(n, k) if n <= _LONG else np.arange(0, n * k, k)


@lru_cache(maxsize=64)
def filled(value: float, n: int, dtype: DType) -> Array:
    """Return n times one value, locked and kept ready.

    Example:
        >>> filled(0, 2, np.dtype(np.float64))
        array([0., 0.])
    """
    return lasting(np.full(n, value, dtype))


@lru_cache(maxsize=32)
def _row_starts(n: int, k: int) -> Rows:
    """Return the starts of rows, locked."""
    return lasting(np.arange(0, n * k, k))
