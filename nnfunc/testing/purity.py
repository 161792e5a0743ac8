"""Check that a function is pure: it depends on its arguments alone, changes nothing and shares nothing."""

from __future__ import annotations

import copy
import math
import os
import random
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged
from nnfunc.values.checks import check_callable
from nnfunc.values.types import AnyArray

Bits: TypeAlias = tuple[object, ...]

# A call on so few elements is cheap enough to be repeated until a count of calls shows.
_SMALL = 2000
_AGAIN = 16

_FOR_A_CALL = {
    "np.seterr": "with np.errstate(...)", "np.seterrcall": "with np.errstate(...)",
    "np.set_printoptions": "with np.printoptions(...)", "warnings.filters": "with warnings.catch_warnings()",
}


def check_pure(f: Callable[..., object], *args: object, report: bool = False) -> list[LawResult]:
    """Check that ``f(*args)`` is pure.

    Laws:
        No argument changes; the global random states of `random` and
        `numpy.random` and the settings of NumPy, `warnings` and the
        environment stay as they are; the same call gives the same bits again,
        also after calls with other values in between; no result shares memory
        with an array that can be written to, or with another call's result.

    Args:
        f: any function. Of what it returns, arrays, numbers, strings, tuples,
            lists, sets, mappings and objects with attributes are compared;
            functions are passed over.
        args: its arguments. They are handed over as copies with writable
            arrays, so that an attempt to change them succeeds and is seen.
        report: print a table of all laws, and raise nothing.

    Returns:
        A dict per law: ``law``, ``status`` and ``detail``.

    Raises:
        AssertionError: a law is broken; the message says which, and how.
        TypeError: `f` is no function.

    Example:
        >>> check_pure(np.add, np.ones(2), np.ones(2))[0]["status"]
        'pass'
        >>> check_pure(np.transpose, np.ones((1, 2)))
        Traceback (most recent call last):
        ...
        AssertionError: check_pure: the result must share no memory with a writable argument, got memory of argument 0
          usual cause: a view, or the argument itself, is returned; return a copy
          law: no aliasing
    """
    check_callable("check_pure", "f", f, "of the arguments given")
    return judged("check_pure", purity_laws(f, args, [f"argument {i}" for i in range(len(args))]), report)


def purity_laws(f: Callable[..., object], args: Sequence[object], names: Sequence[str], which: str = "") -> list[Law]:
    """Return the laws of purity for a call, given the names of its arguments; `which` is added to each law's name.

    Example:
        >>> [name for name, law in purity_laws(np.negative, (np.ones(2),), ["x"])]
        ['arguments unchanged', 'global random state', 'global settings', 'same bits', 'no aliasing']
        >>> purity_laws(np.negative, (np.ones(2),), ["x"], "df")[0][0]
        'arguments unchanged, df'
    """
    laws: list[Law] = [
        ("arguments unchanged", lambda: _unchanged(f, args, names)),
        ("global random state", lambda: _global_state_untouched(f, args)),
        ("global settings", lambda: _settings_untouched(f, args)), ("same bits", lambda: _repeats(f, args)),
        ("no aliasing", lambda: _no_aliasing(f, args, names)),
    ]
    return [(f"{name}, {which}" if which else name, law) for name, law in laws]


def _unchanged(f: Callable[..., object], args: Sequence[object], names: Sequence[str]) -> Verdict:
    """Check that no argument changes."""
    given = [_writable(arg) for arg in args]
    before = [bits(arg) for arg in given]
    materialised(f(*given))
    for name, arg, then in zip(names, given, before, strict=True):
        if bits(arg) != then:
            cause = "an operation in place (+=, out=, sort) on what was given; make a new array"
            breach(name, "stay as it is", "other values after the call", cause)
    return "pass", f"{len(args)} compared"


def _repeats(f: Callable[..., object], args: Sequence[object]) -> Verdict:
    """Check that the same call gives the same bits, and that a result stays as it is, whatever is called in between."""
    kept = _result(f, args)
    first = bits(kept)
    others = [[_changed(arg, *by) for arg in args] for by in ((1.5, 0.125), (-1.0, 0.0), (0.0, 0.0))]
    small = sum(array.size for array in arrays_in([args, kept])) <= _SMALL
    others = others if small else others[:1]
    for called in [args, *(each for other in others for each in (other, args)), *[args] * (_AGAIN if small else 0)]:
        try:
            again = bits(_result(f, called))
        except Exception:
            if called is args:
                raise  # other values may be refused
            continue
        if bits(kept) != first:
            cause = "a buffer is kept and written to again; return a new array"
            breach("a result", "stay as it is when the function is called again", "other values", cause)
        if called is args and again != first:
            cause = "state kept between calls, a random generator that is not made from the key, or memory never filled"
            breach("the result", "be the same bits at each call with the same arguments", "others", cause)
    return "pass", "also after calls with other values"


def _no_aliasing(f: Callable[..., object], args: Sequence[object], names: Sequence[str]) -> Verdict:
    """Check that no result shares memory with a writable argument, or with a result of another call."""
    given = [_writable(arg) for arg in args]
    results = arrays_in(materialised(f(*given)))
    for name, arg in zip(names, given, strict=True):
        for array in arrays_in(arg):
            if _share([array], results):
                cause = "a view, or the argument itself, is returned; return a copy"
                breach("the result", "share no memory with a writable argument", f"memory of {name}", cause)
    kept = [array for array in results if array.flags.writeable]
    if _share(kept, arrays_in(_result(f, args))):
        cause = "a kept array is returned, and who changes one result changes the next; return a copy"
        breach("a result", "share no memory with that of another call", "the same memory twice", cause)
    return "pass", f"{len(results)} arrays"


def _share(some: Sequence[AnyArray], others: Sequence[AnyArray]) -> bool:
    """Say whether any of some arrays shares memory with any of others."""
    return any(np.may_share_memory(a, b) and np.shares_memory(a, b) for a in some for b in others)


def _global_state_untouched(f: Callable[..., object], args: Sequence[object]) -> Verdict:
    """Check that a call leaves the global random states as they are."""
    kept = random.getstate(), np.random.get_state(legacy=True)
    try:
        random.random()  # so that a call that seeds is seen, even if calls before it did the same
        np.random.random_sample()
        before = random.getstate(), bits(np.random.get_state(legacy=True))
        _result(f, args)
        after = random.getstate(), bits(np.random.get_state(legacy=True))
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
    for module, then, now in zip(("random", "numpy.random"), before, after, strict=True):
        if then != now:
            cause = "draw from nnfunc.generator(key) instead"
            breach(f"the global state of {module}", "stay as it is", "another", cause)
    return "pass", ""


def _settings() -> dict[str, object]:
    """Return what a function might set for everybody."""
    return {
        "np.seterr": np.geterr(), "np.seterrcall": np.geterrcall(), "np.set_printoptions": np.get_printoptions(),
        "np.setbufsize": np.getbufsize(), "warnings.filters": list(warnings.filters), "os.environ": dict(os.environ),
        "sys.setrecursionlimit": sys.getrecursionlimit(),
    }


def _settings_untouched(f: Callable[..., object], args: Sequence[object]) -> Verdict:
    """Check that a call leaves the settings of everybody as they are, whatever they are."""
    # Unusual settings, so that a call that sets the usual ones is seen.
    with np.errstate(all="call", call=_nothing), np.printoptions(precision=13), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="of one law alone")
        before = _settings()
        _result(f, args)
        after = _settings()
    for name, value in before.items():
        if after[name] != value:
            cause = f"a setting for everybody; set it for the call alone ({_FOR_A_CALL.get(name, 'and set it back')})"
            breach(f"what {name} sets", "stay as it is", "another", cause)
    return "pass", f"{len(before)} settings"


def _nothing(kind: str, flag: int) -> None:
    """Take note of no floating-point error."""


def _result(f: Callable[..., object], args: Sequence[object]) -> object:
    """Return what a call with writable copies of the arguments gives."""
    return materialised(f(*[_writable(arg) for arg in args]))


def _writable(value: object) -> object:
    """Copy a value; arrays in it become new and writable, mappings become dicts."""
    if isinstance(value, np.ndarray):
        return np.array(value, order="C" if value.flags.c_contiguous else "K")
    if isinstance(value, (dict, MappingProxyType)):
        return {name: _writable(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)(_writable(part) for part in value)
    try:
        return value if callable(value) else copy.deepcopy(value)
    except Exception:
        return value  # it cannot be copied, and is handed over as it is


def _changed(value: object, factor: float, offset: float) -> object:
    """Return a copy of a value with other numbers in all its float arrays."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind != "f":
            return value.copy()
        return value * value.dtype.type(factor) + value.dtype.type(offset)
    if isinstance(value, (dict, MappingProxyType)):
        return {name: _changed(part, factor, offset) for name, part in value.items()}
    return tuple(_changed(part, factor, offset) for part in value) if type(value) is tuple else _writable(value)


def materialised(value: object) -> object:
    """Return an iterator's values as a tuple, and anything else as it is.

    Example:
        >>> materialised(iter([1, 2]))
        (1, 2)
    """
    return tuple(value) if isinstance(value, Iterator) else value


def arrays_in(value: object) -> list[AnyArray]:
    """Return all arrays in a value, also those in tuples, lists and mappings.

    Example:
        >>> len(arrays_in((np.zeros(1), {"W": np.zeros(2)}, 3.0)))
        2
    """
    if isinstance(value, np.ndarray):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else ()
    return [array for part in parts for array in arrays_in(part)]


def bits(value: object) -> Bits:
    """Return something that tells two values apart to the last bit; functions in them are passed over.

    Example:
        >>> bits(np.zeros(1)) == bits(np.zeros(1)), bits(np.zeros(1)) == bits(-np.zeros(1))
        (True, False)
        >>> bits(float("nan")) == bits(float("nan"))
        True
    """
    if isinstance(value, np.ndarray):
        # Objects have no bytes of their own, and the padding of long doubles holds what nobody wrote.
        content = repr(value.tolist()) if value.dtype.kind == "O" or value.dtype.char in "gG" else value.tobytes()
        return "array", value.dtype.str, value.shape, content
    if isinstance(value, Mapping):
        return "mapping", *((name, bits(part)) for name, part in value.items())
    if isinstance(value, (tuple, list, deque)):
        return "sequence", *(bits(part) for part in value)
    if isinstance(value, (set, frozenset)):
        return "set", *sorted(repr(part) for part in value)
    if isinstance(value, float):
        return "float", type(value).__name__, "nan" if math.isnan(value) else value.hex()
    if isinstance(value, (np.random.Generator, np.random.RandomState)):
        return "generator", bits(value.bit_generator.state if isinstance(value, np.random.Generator) else
                                 value.get_state())
    if callable(value):
        return ("function",)
    if hasattr(value, "__dict__"):
        return "object", type(value).__name__, bits(vars(value))
    text = repr(value)
    return "value", type(value).__name__, "" if " at 0x" in text else text
