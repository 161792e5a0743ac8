"""Make the inputs that checkers try and compare the results, by laws that several kinds of piece share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.testing.laws import Verdict, breach
from nnfunc.testing.purity import bits
from nnfunc.values.arrays import locked
from nnfunc.values.checks import FLOAT32, FLOAT64
from nnfunc.values.keys import generator
from nnfunc.values.types import AnyArray, Array, DType, Key, Params

LAYOUT_CAUSE = "ravel, reshape or a flat index in another order"

# Where a plain exp overflows in float32 but not in float64, which is the reference there.
_LARGE = (30.0, 300.0)
_LARGEST = 1e4
_ROOM = 1e37

# Keys that must draw different numbers, group by group: in order, sum, product, digits, high bits and length.
_KEY_GROUPS: tuple[tuple[Key, ...], ...] = (
    (0, 1, 2), ((0, 1), (1, 0), (0, 2), (1, 1)), ((0, 0), (0, 1), (0, 2)), ((0, 1, 0), (0, 1, 1), (0, 0, 1)),
    ((1, 5), (2, 5)), ((1, 2), (2, 1), (3, 0), (0, 3)), ((1, 2, 3), (3, 2, 1), (2, 1, 3)),
    ((1, 6), (2, 3), (6, 1), (3, 2)), ((1, 23), (12, 3)), ((0, 1), (0, 11), (0, 101), (0, 1001)),
    ((0, 1), (0, 257), (0, 65537), (0, 2**31 + 1)),
)
_LONG_KEYS: tuple[Key, ...] = (1, 65537, 2**32 + 1, 2**64 + 1)
_PLENTY = 64
_OFFSET = 1e3


def own_rows(x: Array, accepts: Callable[[Array], bool], n: int = 5, moved: bool = True) -> Array:
    """Return n rows made of values from the same columns of `x`, or `x` itself where such rows are not accepted.

    Unless all values are whole numbers, or must not be `moved`, they are scaled
    a little, so that no two rows are equal.

    Example:
        >>> own_rows(np.array([[0.5, 1.5]]), lambda x: True).shape
        (5, 2)
    """
    draw = generator((4, x.size))
    picked = draw.integers(0, len(x), (n, *x.shape[1:]))
    rows: Array = np.take_along_axis(x, picked, axis=0) if x.ndim > 1 else x[picked]
    whole = bool((np.round(x) == x).all())
    candidates = [rows] if not moved or (whole and len(x) > 1) else []
    candidates += [rows * draw.uniform(0.6, 1.4, rows.shape), rows] if moved else []
    return next((locked(each) for each in candidates if accepts(locked(each))), x)


def in_dtype(params: Params, dtype: DType) -> Params:
    """Return locked params in another dtype.

    Example:
        >>> in_dtype({"b": np.zeros(1)}, np.dtype(np.float32))["b"].dtype
        dtype('float32')
    """
    return {name: locked(array.astype(dtype)) for name, array in params.items()}


def zeroed(params: Params) -> Params:
    """Return locked zeros in the shapes and dtypes of params.

    Example:
        >>> zeroed({"b": np.ones(2)})["b"]
        array([0., 0.])
    """
    return {name: locked(np.zeros_like(array)) for name, array in params.items()}


def backwards(params: Params) -> Params:
    """Return the same params in reverse order.

    Example:
        >>> list(backwards({"W": np.ones(1), "b": np.ones(1)}))
        ['b', 'W']
    """
    return dict(reversed(list(params.items())))


def reordered(array: AnyArray) -> AnyArray:
    """Return an equal locked array in another memory layout: columns first, every second element of a larger one.

    Example:
        >>> a = np.arange(6.0).reshape(2, 3)
        >>> b = reordered(a)
        >>> bool((a == b).all()), b.flags.c_contiguous
        (True, False)
    """
    if array.ndim == 0:
        return locked(array)
    wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype, order="F")
    view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return locked(view)


def shifted(params: Params) -> Params:
    """Return params moved away from what `init` gives, whose gains of 1 and shifts of 0 hide what is left out.

    Arrays whose values are all above 0 stay above 0.

    Example:
        >>> p = shifted({"s": np.ones(3), "b": np.zeros(2)})
        >>> bool((p["s"] > 0.5).all()), bool((p["b"] != 0).all())
        (True, True)
    """
    draw = generator((8, len(params)))
    moved: dict[str, Array] = {}
    for name, array in params.items():
        way = draw.uniform(-0.2, 0.2, array.shape)
        way += np.copysign(0.1, way)
        moved[name] = locked(array * (1 + way) if array.size and array.min() > 0 else array + way)
    return moved


def check_same_in_float32(single: Mapping[str, AnyArray], double: Mapping[str, AnyArray]) -> None:
    """Raise AssertionError if float32 gives other results than float64, beyond rounding.

    Example:
        >>> check_same_in_float32({"y": np.ones(2)}, {"y": np.full(2, 1 + 1e-6)})
    """
    size = max((float(np.max(np.abs(array), initial=0)) for array in double.values()), default=0.0)
    for name, array in double.items():
        gap = np.abs(single[name].astype(np.float64) - array)
        # Rounding may push an element across a corner; most elements are not near one.
        far = np.count_nonzero(gap > 1e-3 * (np.abs(array) + size))
        if far > 0.02 * array.size or not np.isfinite(single[name]).all():
            cause = "another formula for float32, or a difference that float32 cannot hold"
            got = first_difference(np.asarray(single[name], np.float64), array)
            breach(f"{name} in float32", "be what it is in float64, rounded", got, cause)


def close(a: AnyArray, b: AnyArray, size: float | None = None) -> bool:
    """Say whether two arrays are equal up to the rounding of numbers of a given size, or of their own.

    Example:
        >>> close(np.ones(2), np.ones(2) + 1e-12), close(np.ones(2), np.zeros(2))
        (True, False)
    """
    if a.shape != b.shape:
        return False
    own = float(np.max(np.abs(b), initial=0, where=np.isfinite(b)))
    return bool(np.allclose(a, b, rtol=1e-9, atol=1e-9 * max(own, size or 0.0), equal_nan=True))


def check_close(
    subject: str, constraint: str, found: AnyArray, expected: AnyArray, cause: str = "", *, size: float | None = None,
    shown_by: str = "",
) -> None:
    """Raise AssertionError, which says where they differ most, unless two arrays are `close`.

    Example:
        >>> check_close("y", "be the same twice", np.ones(2), np.ones(2))
    """
    if not close(found, expected, size):
        breach(subject, constraint, first_difference(found, expected), cause, shown_by=shown_by)


def first_difference(a: AnyArray, b: AnyArray) -> str:
    """Say where `a` differs most from `b`, which is what it should be.

    Example:
        >>> first_difference(np.array([1.0, 5.0]), np.array([1.0, 1.0]))
        '5 for 1 at [1] (5 times)'
    """
    if a.shape != b.shape:
        return f"shape {a.shape} for {b.shape}"
    with np.errstate(all="ignore"):
        at = np.unravel_index(int(np.nanargmax(np.abs(a - b))) if np.abs(a - b).size else 0, a.shape)
        times = float(a[at] / b[at])
    return f"{a[at]:.4g} for {b[at]:.4g} at {[int(i) for i in at]} ({times:.3g} times)"


def looks_drawn(array: Array) -> bool:
    """Say whether values look random: hardly any two are equal, and neighbours have nothing to do with each other.

    Example:
        >>> looks_drawn(np.random.default_rng(0).normal(size=(9, 9))), looks_drawn(np.eye(9))
        (True, False)
        >>> looks_drawn(np.linspace(0, 1, 81).reshape(9, 9))
        False
    """
    flat = np.asarray(array, np.float64).ravel()
    if flat.size < 6 or len(np.unique(np.abs(flat))) < 0.95 * flat.size or not np.isfinite(flat).all():
        return False
    if flat.size < 12:  # too few for statistics, but not for a pattern
        steps = np.diff(flat)
        return len(np.unique(np.abs(steps).round(9))) == steps.size and not (np.all(steps > 0) or np.all(steps < 0))
    centred = flat - flat.mean()
    along = abs(float(np.vdot(centred[1:], centred[:-1]))) / float(np.vdot(centred, centred))
    return along < 4 / math.sqrt(flat.size)


def key_law(draw: Callable[[Key], Mapping[str, Array]], subject: str, few: bool = False) -> Verdict:
    """Check that every part of a key and their order matter to what is drawn; `few` keys where a draw is long.

    Example:
        >>> from nnfunc import generator
        >>> key_law(lambda key: {"W": generator(key).normal(size=20)}, "the {name}")
        ('pass', 'differs from key to key, for 40 keys')
        >>> key_law(lambda key: {"W": np.ones(20)}, "the {name}")
        ('pass', 'draws nothing')
    """
    groups = (((0, 1), (1, 0)),) if few else _KEY_GROUPS
    found = [{key: draw(key) for key in keys} for keys in groups]
    if not few:
        try:
            found.append({key: draw(key) for key in _LONG_KEYS})
            groups = (*groups, _LONG_KEYS)
        except Exception:
            found = found[: len(groups)]  # seeds of 64 bits are refused, not mistaken for others
    first = found[0][groups[0][0]]
    told = {name: {key: bits(arrays[name]) for group in found for key, arrays in group.items()} for name in first}
    for name, by_key in told.items():
        drawn = looks_drawn(first[name])
        if len(set(by_key.values())) == 1:
            if drawn:
                constraint = "differ from key to key, as it looks drawn"
                breach(subject.format(name=name), constraint, f"the same for {len(by_key)} keys", "the key is ignored")
            continue
        for keys in groups:
            # Few values that are signs, say, may be the same by chance.
            if (drawn or first[name].size >= _PLENTY) and len({by_key[key] for key in keys}) < len(keys):
                got = f"the same for two of {', '.join(map(str, keys))}"
                cause = "the key, a part of it or their order is ignored; draw from generator(key)"
                breach(subject.format(name=name), "differ from key to key", got, cause)
    if all(len(set(by_key.values())) == 1 for by_key in told.values()):
        return "pass", "draws nothing"
    return "pass", f"differs from key to key, for {sum(map(len, groups))} keys"


def check_finite(subject: str, constraint: str, array: ArrayLike, cause: str = "") -> None:
    """Raise AssertionError unless all values are finite.

    Example:
        >>> check_finite("y", "be finite", np.ones(2))
    """
    if not np.isfinite(array).all():
        breach(subject, constraint, "nan or inf", cause)


def dtype_law(
    compute: Callable[[DType], Mapping[str, AnyArray]], subject: str, constraint: str, cause: str, alike: bool = True
) -> Verdict:
    """Try float32 and float64: results must have the dtype asked for and, if `alike`, differ by rounding only.

    `subject` and `constraint` are those of a breach, with {name} and {dtype} to be filled in.

    Example:
        >>> def doubled(dtype):
        ...     return {"y": 2.0 * np.ones(3, dtype)}
        >>> dtype_law(doubled, "{name}", "be {dtype}", "")
        ('pass', 'float32, float64')
    """
    found: list[Mapping[str, AnyArray]] = []
    for dtype in (FLOAT32, FLOAT64):
        found.append(compute(dtype))
        for name, array in found[-1].items():
            if np.asarray(array).dtype != dtype:
                breach(subject.format(name=name), constraint.format(dtype=dtype), str(array.dtype), cause)
    if alike:
        check_same_in_float32(*found)
    return "pass", "float32, float64"


def layout_law(
    plain: Mapping[str, AnyArray], strange: Mapping[str, AnyArray], of: str, size: float | None = None
) -> Verdict:
    """Compare results with those for inputs that are equal, but in another memory layout; `of` names the inputs.

    Example:
        >>> layout_law({"y": np.ones(2)}, {"y": np.zeros(2)}, "x")
        Traceback (most recent call last):
        ...
        AssertionError: y must not depend on the memory layout of x, got 0 for 1 at [0] (0 times)
          usual cause: ravel, reshape or a flat index in another order
    """
    for name, array in plain.items():
        check_close(name, f"not depend on the memory layout of {of}", strange[name], array, LAYOUT_CAUSE, size=size)
    return "pass", "columns first, strides of two"


def stable_law(everything: Callable[[Array], dict[str, Array]], x: Array) -> Verdict:
    """Try large inputs: float32 must be finite where float64 is moderate, and no NaN may appear as inputs grow.

    Example:
        >>> def naive(x):
        ...     return {"y": np.log(np.exp(x))}
        >>> with np.errstate(all="ignore"):
        ...     stable_law(naive, np.array([[1.0, -1.0]]))
        Traceback (most recent call last):
        ...
        AssertionError: y must be finite in float32 at inputs of 300, where it is 300, got inf
          usual cause: exp overflows, or log is given a 0: subtract the maximum first, use log1p, expm1 or logaddexp
    """
    unit = x / max(float(np.max(np.abs(x), initial=0)), 1e-30)
    cause = "exp overflows, or log is given a 0: subtract the maximum first, use log1p, expm1 or logaddexp"
    tried = beyond = 0
    for size in _LARGE:
        try:
            exact, rounded = everything(unit * size), everything((unit * size).astype(np.float32))
        except Exception:
            return "not applicable", f"inputs of {size:g} are refused"
        for name, reference in exact.items():
            held = np.abs(reference) < _ROOM
            tried, beyond = tried + reference.size, beyond + int(np.count_nonzero(~held))
            wrong = np.flatnonzero(~np.isfinite(rounded[name]) & held)
            if wrong.size:
                true, got = reference.flat[wrong[0]], rounded[name].flat[wrong[0]]
                constraint = f"be finite in float32 at inputs of {size:g}, where it is {true:.4g}"
                breach(name, constraint, f"{got}", cause)
    if tried == beyond:
        return "not applicable", f"all {tried} values are beyond float32"
    left_out = f", {beyond} of {tried} values beyond float32 left out" if beyond else ""
    try:
        before, after = exact, everything(unit * _LARGEST)
    except Exception:
        return "pass", f"inputs up to {_LARGE[-1]:g}, {_LARGEST:g} is refused{left_out}"
    if any(np.isinf(array).any() for array in after.values()):  # what follows from an overflow may be NaN
        return "pass", f"inputs up to {_LARGE[-1]:g}, beyond float64 at {_LARGEST:g}{left_out}"
    for name, array in after.items():
        if np.isnan(array).any() and not np.isnan(before[name]).any():
            breach(name, f"not be NaN at inputs of {_LARGEST:g}", "nan", cause)
    return "pass", f"inputs up to {_LARGEST:g}{left_out}"


def offset_law(everything: Callable[[Array], dict[str, Array]], x: Array) -> Verdict:
    """Try inputs far from 0: float32 must give what float64 gives, give or take what rounding the inputs would do.

    Example:
        >>> offset_law(lambda x: {"y": 2 * x}, np.ones((1, 2)))
        ('pass', 'inputs around 1000')
    """
    rounded = (x + _OFFSET).astype(np.float32)
    exact = rounded.astype(np.float64)
    signs = np.where(generator((5, x.size)).random(x.shape) < 0.5, -1.0, 1.0)
    try:
        single, double = everything(rounded), everything(exact)
        usual, nearby = everything(x), everything(exact * (1 + float(np.finfo(np.float32).eps) * signs))
    except Exception:
        return "not applicable", f"inputs around {_OFFSET:g} are refused"
    compared = 0
    for name, reference in double.items():
        held = np.abs(reference) < _ROOM
        if not held.any():
            continue
        compared += 1
        moved = np.max(np.abs(nearby[name] - reference), initial=0, where=held)
        room = 1e-3 * np.max(np.abs(reference), initial=0, where=held) + 100 * moved
        room += 1e-5 * np.max(np.abs(usual[name]), initial=0, where=np.isfinite(usual[name]))
        off = ~(np.abs(single[name] - reference) <= room) & held
        if np.count_nonzero(off) > 0.02 * off.size:
            got = first_difference(np.where(held, single[name], 0), np.where(held, reference, 0))
            cause = "a difference of large numbers, as in mean(x * x) - mean(x)^2: take mean((x - mean(x))^2)"
            breach(f"{name} in float32", f"be what it is in float64 for inputs around {_OFFSET:g}", got, cause)
    return ("pass", f"inputs around {_OFFSET:g}") if compared else ("not applicable", "all values are beyond float32")


def precision_law(compute: Callable[[Params], Mapping[str, AnyArray]], given: Params) -> Verdict:
    """Move what is given in float64 by less than float32 can tell apart: what is computed must follow smoothly.

    Example:
        >>> x = {"x": np.linspace(0.1, 2, 12).reshape(4, 3)}
        >>> precision_law(lambda given: {"y": np.tanh(given["x"])}, x)
        ('pass', 'no float32 on the way')
        >>> precision_law(lambda given: {"y": np.tanh(given["x"].astype(np.float32)).astype(np.float64)}, x)
        Traceback (most recent call last):
        ...
        AssertionError: y must be computed in float64 for float64 inputs, got steps as large as float32's
          usual cause: a constant, buffer or cast in float32 or float16 on the way
    """
    draw = generator((6, sum(array.size for array in given.values())))
    steps = {name: 2.0**-24 * float(np.max(np.abs(array), initial=0)) for name, array in given.items()}
    ways = {name: steps[name] * draw.uniform(0.5, 1.0, array.shape) for name, array in given.items()}
    try:
        centre, near_up, near_down, far_up, far_down, beyond = (
            compute({name: locked(np.asarray(array + by * ways[name])) for name, array in given.items()})
            for by in (0, 1, -1, 64, -64, 8192)
        )
    except Exception:
        return "not applicable", "inputs nearby are refused"
    for name, y in centre.items():
        size = float(np.max(np.abs(y), initial=0))
        moved = float(np.max(np.abs(near_up[name] - near_down[name]), initial=0))
        if not (0 < size < _ROOM and moved < 1e-4 * size):
            continue
        # The second difference of a smooth function falls with the square of the step, that of rounding does not.
        near, far = (np.abs(up[name] + down[name] - 2 * y) for up, down in ((near_up, near_down), (far_up, far_down)))
        rough = (near > 1e-12 * size + 1e-6 * moved + 0.05 * far) & (near < 1e-3 * size)
        # Where few elements change, it is a sign or a rank that does.
        changed = int(np.count_nonzero(np.abs(beyond[name] - y) > 1e-7 * np.abs(y)))
        stuck = changed > max(2, y.size / 2) and np.count_nonzero(far_up[name] != y) < 0.1 * changed
        if stuck or np.count_nonzero(rough) > 0.2 * y.size:
            cause = "a constant, buffer or cast in float32 or float16 on the way"
            breach(name, "be computed in float64 for float64 inputs", "steps as large as float32's", cause)
    return "pass", "no float32 on the way"
