"""More checks on arguments: numbers above 0, shares of 1, numbers that a dtype can hold, sequences."""

from collections.abc import Iterable
from typing import SupportsFloat, TypeVar

import numpy as np

from nnfunc.checks import as_number, describe, problem
from nnfunc.types import DType

T = TypeVar("T")


def above_zero(function: str, argument: str, value: SupportsFloat) -> float:
    """Return `value` as a finite Python float above 0.

    Raises:
        TypeError: it is not a real number.
        ValueError: it is not finite, or not above 0.

    Example:
        >>> above_zero("adam", "eps", 1e-8)
        1e-08
    """
    number = as_number(function, argument, value)
    if number <= 0:
        raise ValueError(problem(function, argument, "be above 0", number))
    return number


def as_share(function: str, argument: str, value: SupportsFloat) -> float:
    """Return `value` as a float in [0, 1).

    Raises:
        TypeError: it is not a real number.
        ValueError: it is outside [0, 1).

    Example:
        >>> as_share("dropout", "rate", 0.5)
        0.5
    """
    number = as_number(function, argument, value)
    if not 0 <= number < 1:
        raise ValueError(problem(function, argument, "lie in [0, 1)", number))
    return number


def check_held(function: str, argument: str, number: float, dtype: DType) -> None:
    """Raise ValueError if `number` would become 0 or infinite in `dtype`.

    Example:
        >>> check_held("adam", "eps", 1e-50, np.dtype(np.float32))
        Traceback (most recent call last):
        ...
        ValueError: adam: eps must be a number that float32, the dtype of params, can hold, got 1e-50
    """
    with np.errstate(all="ignore"):
        held = float(dtype.type(number))
    if not np.isfinite(held) or (held == 0) != (number == 0):
        raise ValueError(problem(function, argument, f"be a number that {dtype}, the dtype of params, can hold", number))


def as_tuple(function: str, argument: str, values: Iterable[T], of: str) -> tuple[T, ...]:
    """Return the members of `values`.

    Raises:
        TypeError: it has none, not being a sequence.

    Example:
        >>> as_tuple("join_schedules", "boundaries", [1, 2], "steps")
        (1, 2)
    """
    try:
        return tuple(values)
    except TypeError as error:
        raise TypeError(problem(function, argument, f"be a sequence of {of}", describe(values))) from error
