"""Checks on arguments, and the one form that every error message has.

``"{function}: {argument} must {constraint}, got {value}"``: `problem` writes
it, `require` raises it, everything that refuses something uses one of them.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import SupportsFloat, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from nnfunc.values.types import DType

T = TypeVar("T")

FLOAT32: DType = np.dtype(np.float32)
FLOAT64: DType = np.dtype(np.float64)

_LONGEST = 1000  # characters in a message: whoever reads it wants the end of it too
# A function as Python writes it in a list or dict, and its name.
_WRITTEN = re.compile(r"<(?:built-in )?(?:function|ufunc) '?(?:\w+\.|<locals>\.)*([\w<>]+)'?(?: at \w+)?>")
_NOTE = re.compile(r" \((of the|rows|in) [^()]*\)$")


def problem(function: str, argument: str, constraint: str, got: object) -> str:
    """Write an error message in the library's one form; `got` is a value, or words as they stand.

    Example:
        >>> problem("dense", "n_in", "be at least 1", 0)
        'dense: n_in must be at least 1, got 0'
    """
    said = got if isinstance(got, str) else describe(got)
    text = f"{function}: {argument} must {constraint}, got {said}"
    if len(text) < _LONGEST:
        return text
    return f"{function}: {shortened(argument, 120)} must {shortened(constraint, 400)}, got {shortened(said, 400)}"


def shortened(text: str, length: int) -> str:
    """Return a text of at most so many characters: its beginning and its end, if it is longer.

    Example:
        >>> shortened("encoder/0/W", 11), shortened("encoder/block/0/W", 11)
        ('encoder/0/W', 'encod...0/W')
    """
    end = length // 3
    return text if len(text) <= length else f"{text[: length - end - 3]}...{text[-end:]}"


def listed(names: Collection[object]) -> str:
    """Return names with commas between them, or the first few and how many more there are.

    Example:
        >>> listed("ab"), listed([]), listed(range(30000))
        ('a, b', 'none', '0, 1, 2, 3, 4, 5, 6, 7 and 29992 more')
    """
    few = 12 if len(names) <= 12 else 8
    shown = ", ".join(shortened(str(name), 40) for name in islice(names, few)) or "none"
    return shown if len(names) <= few else f"{shown} and {len(names) - few} more"


def require(
    holds: object, function: str, argument: str, constraint: str, got: object = ..., kind: type[Exception] = ValueError,
    *, value: object = None,
) -> None:
    """Raise an error of this kind, with the message of `problem`, unless `holds` is true.

    Without `got`, `value` is described, a string in quotes.

    Example:
        >>> require(0 < 1, "dense", "n_in", "be at least 1", 0)
        >>> require(False, "train", "metrics", "be a mapping", value="accuracy")
        Traceback (most recent call last):
        ...
        ValueError: train: metrics must be a mapping, got 'accuracy'
    """
    if not holds:
        raise kind(problem(function, argument, constraint, describe(value) if got is ... else got))


def restated(error: Exception, message: str) -> Exception:
    """Return an error of the same kind, of those that the library raises, with another message.

    Example:
        >>> restated(UnicodeError("long"), "short")
        ValueError('short')
    """
    kind = next(kind for kind in (ValueError, TypeError, FloatingPointError) if isinstance(error, kind))
    return kind(message if len(message) < _LONGEST else shortened(message, _LONGEST - 1))


def noted(error: Exception, note: str) -> Exception:
    """Return an error with a note at its end, in one bracket with another that stands there.

    Example:
        >>> noted(noted(ValueError("f: y must fit, got 2"), "in member 1"), "rows of weight 0 not counted")
        ValueError('f: y must fit, got 2 (in member 1; rows of weight 0 not counted)')
    """
    text = str(error)
    return restated(error, f"{text[:-1]}; {note})" if _NOTE.search(text) else f"{text} ({note})")


def says_what_must_be(error: Exception) -> bool:
    """Say whether an error has the library's form, and is not NumPy's own, say.

    Example:
        >>> says_what_must_be(ValueError(problem("f", "y", "fit", 2))), says_what_must_be(ValueError("no"))
        (True, False)
    """
    return " must " in str(error) and ", got " in str(error)


def describe(value: object) -> str:
    """Say in a few words what a value is: an array by dtype and shape, a function by name.

    Example:
        >>> describe(np.zeros((2, 3))), describe(np.zeros((2, 3)).view(np.recarray))
        ('float64 array of shape (2, 3)', 'float64 recarray of shape (2, 3)')
        >>> describe([1, 2]), describe((np.sin, np.cos))
        ('[1, 2]', 'the functions (sin, cos)')
        >>> describe({"*": partial(np.sin), "a": [np.cos, 1]})
        "{'*': functools.partial(the function sin), 'a': [the function cos, 1]}"
    """
    if isinstance(value, np.ndarray):
        kind = "array" if type(value) is np.ndarray else type(value).__name__
        return f"{shortened(str(value.dtype), 80)} {kind} of shape {value.shape}"
    if callable(value) and hasattr(value, "__name__"):
        return shortened(f"the {'type' if isinstance(value, type) else 'function'} {value.__name__}", 80)
    if isinstance(value, partial):
        return f"a partial of the function {shortened(label(value), 60)}"
    if type(value) is tuple and 0 < len(value) < 4 and all(map(callable, value)):
        return f"the functions ({', '.join(shortened(label(each), 30) for each in value)})"
    if isinstance(value, (list, dict, MappingProxyType)) and len(value) > 80:  # more is not shown, and slow to write
        value = value[:80] if isinstance(value, list) else dict(islice(value.items(), 80))
    try:
        text = " ".join(_WRITTEN.sub(r"the function \1", repr(value)).split())
    except Exception:  # Python prints no integer of more than some thousand digits, and others raise what they like
        text = "a very long int" if isinstance(value, int) else f"a {type(value).__name__} that cannot be printed"
    return text if len(text) <= 80 else text[:77] + "..."


def label(f: object) -> str:
    """Return the name of a function, also under the options of a partial.

    Example:
        >>> from functools import partial
        >>> label(partial(label, f=1))
        'label'
    """
    return str(getattr(getattr(f, "func", f), "__name__", type(f).__name__))


def base_function(f: object) -> object:
    """Return the function inside a partial, or what is given.

    Example:
        >>> from functools import partial
        >>> base_function(partial(print, end="")) is print
        True
    """
    return f.func if isinstance(f, partial) else f


def looked_up(table: Mapping[object, T], f: object) -> T | None:
    """Return what a table holds for a function, or for the one inside a partial; nothing for what cannot be hashed.

    Example:
        >>> looked_up({np.sin: "sine"}, np.sin), looked_up({np.sin: "sine"}, [])
        ('sine', None)
    """
    try:
        return table.get(f.func if isinstance(f, partial) else f)
    except TypeError:
        return None


def check_callable(
    function: str, argument: str, value: object, takes: str, count: int | None = None, kind: object = None
) -> None:
    """Raise TypeError unless `value` can be called, and is no type.

    With `count`, it must take so many arguments; if it makes pieces of the `kind` that is wanted, the message says how.

    Example:
        >>> check_callable("loss", "penalty", 0.1, "params -> (value, grads)")
        Traceback (most recent call last):
        ...
        TypeError: loss: penalty must be a function params -> (value, grads), got 0.1
        >>> check_callable("loss", "penalty", label, "params -> (value, grads)", 2)
        Traceback (most recent call last):
        ...
        TypeError: loss: penalty must be a function params -> (value, grads), got the function label, which takes (f)
    """
    others = ""
    if callable(value) and not isinstance(value, type):
        others = "" if count is None else arguments_of(value, count)
        if not others:
            return
    got = describe(value) + (f", which takes {others}" if others else "")
    raise TypeError(problem(function, argument, f"be a function {takes}{made_by_calling(value, kind)}", got))


def made_by_calling(value: object, kind: object) -> str:
    """Say that a function makes pieces of a kind, where such a piece should stand; of others nothing.

    Example:
        >>> from nnfunc import dense
        >>> from nnfunc.values.types import Layer
        >>> made_by_calling(dense, Layer), made_by_calling(dense(2, 3), Layer)
        (', as dense(...) is', '')
    """
    base = base_function(value)
    made = getattr(base, "__annotations__", {}).get("return")
    if isinstance(made, str):  # as it is under `from __future__ import annotations`
        made = getattr(base, "__globals__", {}).get(made)
    return f", as {label(value)}(...) is" if kind is not None and made == kind else ""


def as_flag(function: str, argument: str, value: bool) -> bool:
    """Return `value`, if it is true or false and not a word or number, which Python would take for one of them.

    Example:
        >>> as_flag("momentum", "nesterov", np.True_)
        True
    """
    require(isinstance(value, (bool, np.bool_)), function, argument, "be True or False", kind=TypeError, value=value)
    return bool(value)


def check_pair(
    function: str, argument: str, pair: object, form: str = "(init, forward)", kind: object = None,
    counts: tuple[int, int] | None = None,
) -> None:
    """Raise TypeError unless `pair` is a tuple of two functions, which take as many arguments as `counts` says.

    If it makes pieces of the `kind` that is wanted, the message says how.

    Example:
        >>> check_pair("forward", "net", (len, print))
        >>> check_pair("train", "stopping", (len, print), "", counts=(0, 2))
        Traceback (most recent call last):
        ...
        TypeError: train: stopping must be a pair of functions of 0 and 2 arguments,
        got the functions (len, print), of which len takes (obj)
    """
    constraint = f"be a pair of functions{form and ' ' + form}"
    if not (isinstance(pair, tuple) and len(pair) == 2 and callable(pair[0]) and callable(pair[1])):
        raise TypeError(problem(function, argument, f"{constraint}{made_by_calling(pair, kind)}", describe(pair)))
    for part, count in zip(pair, counts or (), strict=False):
        others = arguments_of(part, count)
        if others and counts:
            got = f"{describe(pair)}, of which {label(part)} takes {others}"
            raise TypeError(problem(function, argument, f"{constraint} of {counts[0]} and {counts[1]} arguments", got))


def arguments_of(function: Callable[..., object], count: int) -> str:
    """Return what a function takes if it cannot be called with `count` arguments, else nothing.

    Example:
        >>> arguments_of(problem, 4), arguments_of(problem, 1)
        ('', '(function, argument, constraint, got)')
    """
    import inspect  # 10 ms, which a process that only predicts need not spend

    if isinstance(function, np.ufunc):  # which could be told where to put its result, and hardly ever is
        return "" if function.nin == count else f"({', '.join('xy'[: function.nin])})"
    try:
        signature = inspect.signature(function)
    except ValueError:
        return ""  # a builtin may not tell
    try:
        signature.bind(*range(count))
    except TypeError:
        given = [each for each in signature.parameters.values() if each.kind is not each.KEYWORD_ONLY]
        named = [each for each in signature.parameters.values() if each not in given and each.default is each.empty]
        return f"({', '.join([each.name for each in given] + ['*'] * bool(named) + [each.name for each in named])})"
    return ""


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
    if size < least or size >> bits:
        bound = f"be at least {least}" if size < least else f"be below 2**{bits}"
        raise ValueError(problem(function, argument, bound, size))
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
    if type(value) is float:
        number = value
    else:  # True would be 1.0, and is most often meant for another argument
        require(not isinstance(value, (bool, np.bool_)), function, argument, "be a number", kind=TypeError, value=value)
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
    # Python makes floats of text, and NumPy of a complex number's real part.
    is_real = not isinstance(value, (np.ndarray, np.generic)) or (value.ndim == 0 and value.dtype.kind in "fiub")
    if isinstance(value, (str, bytes, bytearray)) or not is_real:
        raise TypeError(problem(function, argument, "be a number", describe(value)))
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(problem(function, argument, "be a number", describe(value))) from error
    except OverflowError as error:
        raise ValueError(problem(function, argument, "be a number that a float can hold", describe(value))) from error


def above_zero(function: str, argument: str, value: SupportsFloat) -> float:
    """Return `value` as a finite Python float above 0.

    Example:
        >>> above_zero("adam", "eps", 1e-8)
        1e-08
    """
    number = as_number(function, argument, value)
    require(number > 0, function, argument, "be above 0", number)
    return number


def as_share(function: str, argument: str, value: SupportsFloat) -> float:
    """Return `value` as a float in [0, 1).

    Example:
        >>> as_share("dropout", "rate", 0.5)
        0.5
    """
    if type(value) is float and 0 <= value < 1:
        return value
    number = as_number(function, argument, value)
    require(0 <= number < 1, function, argument, "lie in [0, 1)", number)
    return number


def check_held(function: str, argument: str, number: float, dtype: DType) -> None:
    """Raise ValueError if `number` would become 0, 1 or infinite in `dtype`.

    Example:
        >>> check_held("adam", "eps", 1e-50, np.dtype(np.float32))
        Traceback (most recent call last):
        ...
        ValueError: adam: eps must be a number that float32, the dtype of params, can hold, got 1e-50
    """
    with np.errstate(all="ignore"):
        held = float(dtype.type(number))
    holds = math.isfinite(held) and (held == 0) == (number == 0) and (held < 1) == (number < 1)
    require(holds, function, argument, f"be a number that {dtype}, the dtype of params, can hold", number)


def as_tuple(function: str, argument: str, values: Iterable[T], of: str) -> tuple[T, ...]:
    """Return the members of `values`; TypeError if it has none, or in no order, not being a sequence.

    Example:
        >>> as_tuple("join_schedules", "boundaries", [1, 2], "steps")
        (1, 2)
    """
    try:
        if not isinstance(values, (str, bytes, Set, Mapping)):
            return tuple(values)
        raise TypeError
    except TypeError as error:
        raise TypeError(problem(function, argument, f"be a sequence of {of}", describe(values))) from error


def as_dtype(function: str, dtype: DTypeLike, argument: str = "dtype") -> DType:
    """Return `dtype` as a NumPy dtype, float32 or float64; TypeError if it is another, or none.

    Example:
        >>> as_dtype("init", "float32")
        dtype('float32')
    """
    for known in (FLOAT32, FLOAT64):
        try:
            if dtype is not None and np.dtype(dtype) == known:
                return known
        except Exception:  # whatever NumPy makes of what is no dtype
            break
    raise TypeError(problem(function, argument, "be float32 or float64", describe(dtype)))
