"""Advice: for an array that holds no plain numbers, the line that makes numbers of it and loses nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import numpy as np

from nnfunc.values.types import AnyArray

_LABELS = ("y", "targets", "labels")


def way_out(argument: str, value: object, array: AnyArray) -> str:
    """Return an expression that makes numbers of `value`, with a few words around it, or nothing if none is known.

    `array` is what NumPy made of the value, and what is no array is called so in the advice.

    Example:
        >>> way_out("y", np.array(["a"]), np.array(["a"]))
        'classes, y = np.unique(y, return_inverse=True) numbers the classes'
        >>> way_out("x", ["1.5"], np.array(["1.5"]))
        'np.asarray(x).astype(float) reads the numbers in the text'
    """
    name = argument.split()[-1]
    if not array.ndim or not re.fullmatch(r"\w+(\[.*\])?", name):
        return ""  # a single thing, or no expression: the path of a layer, say
    held = name if isinstance(value, np.ndarray) else f"np.asarray({name})"
    kind = array.dtype.kind
    if array.dtype.names:
        return _of_fields(held, array)
    if kind == "M":
        return _of_dates(held, array)
    if kind == "m":
        unit = np.datetime_data(array.dtype)[0]
        return f'{held} / np.timedelta64(1, "{unit if unit in "YM" else "s"}") makes numbers of them'
    if kind == "c":
        if not array.imag.any():
            return f"{held}.real is all there is, as no imaginary part is above 0"
        return f"np.stack([{held}.real, {held}.imag], axis=-1) keeps both parts"
    if kind not in "OUST" or not array.size:
        return ""
    if hasattr(value, "to_numpy") and _works(lambda: value.to_numpy(dtype=float, na_value=np.nan)):
        return f"{name}.to_numpy(dtype=float, na_value=np.nan) makes the gaps NaN"
    return _of_objects(name, held, array)


def odd_element(array: AnyArray) -> tuple[object, list[int]]:
    """Return the first element of an object array that is no real number, and where it stands.

    Example:
        >>> odd_element(np.array([1.0, None], dtype=object))
        (None, [1])
    """
    where = next(index for index, item in np.ndenumerate(array) if not is_number_type(type(item)))
    return array[where], list(where)


def is_number_type(kind: type) -> bool:
    """Say whether values of a type are real numbers: Python's, NumPy's, fractions and decimals, no arrays.

    Example:
        >>> is_number_type(bool), is_number_type(np.float32), is_number_type(str), is_number_type(np.ndarray)
        (True, True, False, False)
    """
    if issubclass(kind, np.generic):
        return issubclass(kind, np.bool_ | np.integer | np.floating) and not issubclass(kind, np.timedelta64)
    return hasattr(kind, "__float__") and not hasattr(kind, "__array__") and not hasattr(kind, "__len__")


def _of_fields(held: str, array: AnyArray) -> str:
    """Advise on an array whose columns have names."""
    if any(array.dtype[name].base.kind not in "fiub" for name in array.dtype.names or ()):
        return ""
    line = f"np.lib.recfunctions.structured_to_unstructured({held}, dtype=float)"
    return f"after import numpy.lib.recfunctions, {line} makes columns of the fields"


def _of_dates(held: str, array: AnyArray) -> str:
    """Advise on dates: days since one that stands in the advice, so that later rows are counted from the same."""
    known = array[~np.isnat(array)]
    origin = str(known.min().astype("datetime64[D]")) if known.size else "2000-01-01"
    return f'({held} - np.datetime64("{origin}")) / np.timedelta64(1, "D") counts days'


def _of_objects(name: str, held: str, array: AnyArray) -> str:
    """Advise on text, and on objects that are no numbers."""
    kinds = ("float",) if array.dtype.kind == "O" else ("int", "float")
    kind = next((each for each in kinds if _works(partial(array.astype, each))), "")
    if kind:
        gaps = "makes the gaps NaN" if np.isnan(array.astype(kind)).any() else "reads the numbers in the text"
        return f"{held}.astype({kind}) {gaps}"
    if name in _LABELS and array.ndim == 1:
        line = f"classes, {name} = np.unique({name}, return_inverse=True) numbers the classes"
        return line if _works(partial(np.unique, array)) else ""
    plain = (hasattr(a, "isoformat") and hasattr(a, "year") and not getattr(a, "tzinfo", None) for a in array.flat)
    if array.dtype.kind == "O" and all(plain):  # dates or times without a zone
        return _of_dates(f'np.asarray({name}, "datetime64[us]")', array.astype("datetime64[us]"))
    for column in range(array.shape[1]) if array.ndim == 2 else ():
        codes = f"np.searchsorted(names, {held}[:, {column}])"
        line = f"{codes} numbers the kinds in column {column}, with names = np.unique of that column in training"
        if not _works(partial(array[:, column].astype, float)):
            return line if _works(partial(np.unique, array[:, column])) else ""
    return ""


def _works(convert: Callable[[], object]) -> bool:
    """Say whether a conversion that is to be advised can be done."""
    try:
        with np.errstate(all="ignore"):
            convert()
    except Exception:
        return False
    return True
