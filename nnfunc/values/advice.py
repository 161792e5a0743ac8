"""Advice: for an array that holds no plain numbers, the line that makes numbers of it and loses nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import numpy as np

from nnfunc.values.types import AnyArray

_LABELS = ("y", "targets", "labels")
_TIMES = "datetime64[us]"


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
    line = f"{name}.to_numpy(dtype=float, na_value=np.nan)"
    if hasattr(value, "to_numpy") and not any(map(_is_time, array.flat)):  # of which it would make nanoseconds
        if _works(lambda: value.to_numpy(dtype=float, na_value=np.nan)):
            has_gaps = np.isnan(value.to_numpy(dtype=float, na_value=np.nan)).any()
            return f"{line} {'makes the gaps NaN' if has_gaps else 'reads the numbers in the text'}"
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
        if _works(partial(np.unique, array)):
            return f"classes, {name} = np.unique({name}, return_inverse=True) numbers the classes"
        rows = f"np.flatnonzero([isinstance(label, str) for label in {name}]) gives the rows that have one"
        return rows if _is_text_with_gaps(array) else ""
    if array.dtype.kind == "O" and all(map(_is_date, array.flat)) and _works(partial(array.astype, _TIMES)):
        return _of_dates(f'np.asarray({name}, "{_TIMES}")', array.astype(_TIMES))
    for column in range(array.shape[1]) if array.ndim == 2 else ():
        part = array[:, column]
        if not all(is_number_type(type(item)) or _is_gap(item) for item in part) and not _works(partial(part.astype, float)):
            return _of_column(f"{held}[:, {column}]", column, part)
    return ""


def _of_column(held: str, column: int, part: AnyArray) -> str:
    """Advise on one column of several: dates, durations, or kinds of things."""
    is_object = part.dtype.kind == "O"
    if is_object and any(map(_is_date, part)) and all(_is_date(item) or _is_gap(item) for item in part):
        quoted = f'"{_TIMES}"'
        for read, given in (("", part), (".astype(str)", part.astype(str))):  # as text NumPy knows the gaps of pandas
            if _works(partial(given.astype, _TIMES)):
                return f"{_of_dates(f'{held}{read}.astype({quoted})', given.astype(_TIMES))} in column {column}"
        return ""
    if is_object and any(map(_is_time, part)):
        lengths = f'{held}.astype("timedelta64[us]") / np.timedelta64(1, "s")'
        return f"{lengths} makes numbers of column {column}" if _works(partial(part.astype, "timedelta64[us]")) else ""
    is_text = is_object and _is_text_with_gaps(part)
    if not is_text and not _works(partial(np.unique, part)):
        return ""
    # What was not in training must not get the code of another, nor may a gap that comes later stop the sorting.
    codes = "np.where(np.isin(kinds, names), np.searchsorted(names, kinds), len(names))"
    known = "with names = np.unique(kinds) of training, and len(names) for what is new"
    text = ".astype(str)" if is_text else ""
    return f"after kinds = {held}{text}, {codes} numbers the kinds in column {column}, {known}"


def _is_gap(item: object) -> bool:
    """Say whether an object stands for a value that is missing: None, or a NaN of anybody's."""
    return item is None or not hasattr(item, "__len__") and str(item) in ("nan", "<NA>", "NaT")


def _is_date(item: object) -> bool:
    """Say whether an object is a date, or a time without a zone."""
    return hasattr(item, "isoformat") and hasattr(item, "year") and not getattr(item, "tzinfo", None)


def _is_time(item: object) -> bool:
    """Say whether an object is a date, a time or a duration."""
    return hasattr(item, "isoformat") or hasattr(item, "total_seconds") or isinstance(item, np.datetime64 | np.timedelta64)


def _is_text_with_gaps(array: AnyArray) -> bool:
    """Say whether all that is no text is a gap, and is no other thing as text."""
    text = {item for item in array.flat if isinstance(item, str)}
    others = [item for item in array.flat if not isinstance(item, str)]
    return bool(text) and all(map(_is_gap, others)) and not text & set(map(str, others))


def _works(convert: Callable[[], object]) -> bool:
    """Say whether a conversion that is to be advised can be done."""
    try:
        with np.errstate(all="ignore"):
            convert()
    except Exception:
        return False
    return True
