"""Check functions of params against the laws: penalties, and what transforms gradients before a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import SupportsFloat

import numpy as np

from nnfunc.testing.gradients import Subject, gradient_law
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged, not_applicable
from nnfunc.testing.purity import purity_laws
from nnfunc.testing.samples import (
    backwards, check_close, check_finite, check_same_in_float32, dtype_law, in_dtype, precision_law, shifted, zeroed,
)
from nnfunc.values.arrays import locked
from nnfunc.values.checks import FLOAT32, FLOAT64, check_callable
from nnfunc.values.keys import generator
from nnfunc.values.params import checked_params
from nnfunc.values.types import AnyArray, Array, DType, GradTransform, Params, Penalty

# Large arrays are tried by a corner of at most so many elements along each axis.
_CORNER = 16
_NAMES = 48
_NETWORK: Params = {
    "hidden/W": np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]), "hidden/b": np.array([0.1, -0.2, 0.3]),
    "out/W": np.array([[1.0], [-2.0], [0.5]]), "out/b": np.array([0.7]),
}


def check_penalty(penalty: Penalty, params: Params | None = None, *, report: bool = False) -> list[LawResult]:
    """Check that a penalty ``params -> (value, grads)`` keeps the laws.

    Laws:
        form, also for a network without params; purity; gradients against
        slopes by differences, also away from the params given, at params of 0,
        and of params that it leaves out; gradients keep the dtype, float32 and
        float64 agree, and float64 is float64 all the way; the order of names
        does not matter; all is finite for params of 0. Where value and
        gradients are 0 whatever the params, there is nothing to try: "not
        applicable".

    Args:
        penalty: the function.
        params: to try it on; those of a small network if none.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import l2
        >>> results = check_penalty(l2(0.1))
        >>> {result["status"] for result in results}
        {'pass'}
    """
    check_callable("check_penalty", "penalty", penalty, "params -> (value, grads)")
    held, _ = checked_params("check_penalty", _NETWORK if params is None else params)
    whole = in_dtype(held, FLOAT64)
    held = _corners(penalty, whole)

    def called(case: Params) -> tuple[float, Params]:
        return penalty(in_dtype(case, FLOAT64))

    def back(case: Params, r: Array) -> Params:
        return {name: float(r.sum()) * np.asarray(array) for name, array in called(case)[1].items()}

    subject: Subject = {
        "forward": lambda case: np.array([float(called(case)[0])]), "back": back, "rows": (), "moved": _some(held),
    }
    laws: list[Law] = [
        ("form", partial(_penalty_form, penalty, whole)), *purity_laws(penalty, (dict(held),), ("params",)),
        ("gradient", partial(_penalty_gradient, penalty, subject, held)),
        ("dtype", partial(_penalty_dtype, penalty, held)),
        ("precision", partial(precision_law, partial(_flat, penalty), shifted(held))),
        ("order of names", partial(_order, partial(_flat, penalty), held)),
        ("zero params", partial(_of_zero, partial(_flat, penalty), held, "params of 0", "")),
        ("no params", partial(_penalty_of_none, penalty)),
    ]
    return judged("check_penalty", laws, report)


def _some(params: Params) -> tuple[str, ...]:
    """Return the names of params to move: all, or a few drawn from many."""
    names, few = tuple(params), generator((3, len(params))).permutation(len(params))[:_NAMES]
    return names if len(names) <= _NAMES else tuple(names[i] for i in sorted(few))


def _corners(f: Penalty | GradTransform, params: Params) -> Params:
    """Return corners of large arrays, or the params as they are where the function does not take such ones."""
    small = {name: locked(array[(slice(_CORNER),) * array.ndim]) for name, array in params.items()}
    try:
        with np.errstate(all="ignore"):
            f(small)
    except Exception:
        return params
    return small


def _penalty_form(penalty: Penalty, params: Params) -> Verdict:
    """Check that a penalty returns a finite number and gradients that fit the params."""
    result = penalty({name: np.array(array) for name, array in params.items()})
    if type(result) is not tuple or len(result) != 2 or not isinstance(result[1], Mapping):
        breach("penalty", "return a pair (value, grads by name)", result)
    value, grads = result
    if np.ndim(value) or not isinstance(value, SupportsFloat):
        breach("the value", "be one number", value, "a sum over the elements is missing")
    check_finite("the value", "be finite", value)
    for name, array in grads.items():
        if name not in params:
            breach("grads", f"have names that are in params ({', '.join(params)})", repr(name))
        if np.shape(array) != params[name].shape:
            breach(f"the gradient of {name}", f"have the parameter's shape {params[name].shape}", np.shape(array))
    return "pass", f"{len(grads)} gradients"


def _penalty_gradient(penalty: Penalty, subject: Subject, params: Params) -> Verdict:
    """Compare gradients with slopes at the params given, away from them, and at 0."""
    moved = shifted(params)
    if not any(float(value) or any(np.any(a) for a in g.values()) for value, g in map(penalty, (params, moved))):
        return not_applicable("the penalty is 0 for these params; give others as params=")
    zeros = in_dtype(zeroed(params), FLOAT64)
    smooth = all(np.isfinite(array).all() for array in _flat(penalty, zeros).values())
    status, detail = gradient_law(subject, params, moved, *([zeros] if smooth else []))
    some = f", {len(subject['moved'])} of {len(params)} names" if len(subject["moved"]) < len(params) else ""
    return status, detail + some


def _flat(penalty: Penalty, params: Params) -> dict[str, AnyArray]:
    """Return value and gradients by name."""
    value, grads = penalty(params)
    return {"the value": np.array([float(value)]), **_named(grads)}


def _scaled(params: Params, factor: float) -> Params:
    """Return locked params times a factor."""
    return {name: locked(np.asarray(array * array.dtype.type(factor))) for name, array in params.items()}


def _penalty_of_none(penalty: Penalty) -> Verdict:
    """Check that a network without params costs a finite amount, or is refused."""
    try:
        value, grads = penalty({})
    except Exception as error:
        return not_applicable(f"refused with {type(error).__name__}")
    if not math.isfinite(float(value)) or grads:
        breach("the value for no params", "be finite, without gradients", float(value), "a mean over nothing")
    return "pass", ""


def _penalty_dtype(penalty: Penalty, params: Params) -> Verdict:
    """Check that gradients keep the dtype of the params; the value is a plain number, and has none."""
    cause = "a float64 array or NumPy scalar in the arithmetic; make the rate a Python float"

    def compute(dtype: DType) -> Params:
        value, grads = penalty(in_dtype(params, dtype))
        return {"the value": np.array([float(value)], dtype), **grads}

    return dtype_law(compute, "the gradient of {name}", "keep the dtype {dtype} of the params", cause)


def _order(compute: Callable[[Params], Mapping[str, AnyArray]], given: Params) -> Verdict:
    """Check that the order of names does not matter."""
    mixed = compute(backwards(given))
    for name, array in compute(given).items():
        check_close(name, "not depend on the order of the names", mixed[name], array)
    return "pass", "reversed"


def _of_zero(compute: Callable[[Params], Mapping[str, AnyArray]], given: Params, of: str, cause: str) -> Verdict:
    """Check that all is finite for zeros."""
    for name, array in compute(zeroed(given)).items():
        check_finite(name, f"be finite for {of}", array, cause)
    return "pass", ""


def check_transform(
    transform: GradTransform, grads: Params | None = None, *, frozen: Collection[str] = (), keeps_nan: bool = True,
    report: bool = False,
) -> list[LawResult]:
    """Check that a gradient transform ``grads -> grads`` keeps the laws.

    Laws:
        form: the names and the shapes of the gradients; purity, but a gradient
        that it leaves as it is may be handed back; gradients keep the dtype,
        float32 and float64 agree, and float64 is float64 all the way; the order
        of names does not matter; gradients of 0 stay finite; large and tiny
        ones give numbers too, though their squares are beyond the dtype; NaN
        stays NaN, or is refused; what a single gradient, a 0-d one and none at
        all give is of their form, unless they are refused.

    Args:
        transform: the function.
        grads: to try it on; those of a small network if none.
        frozen: the names that it leaves out on purpose, as patterns ("hidden/*").
        keeps_nan: False declares that it takes NaN away on purpose.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from functools import partial
        >>> from nnfunc import clip_by_global_norm
        >>> results = check_transform(partial(clip_by_global_norm, limit=1.0))
        >>> {result["status"] for result in results}
        {'pass'}
        >>> def without_hidden(grads):
        ...     return {name: g for name, g in grads.items() if not name.startswith("hidden/")}
        >>> check_transform(without_hidden)
        Traceback (most recent call last):
        ...
        AssertionError: check_transform: the result must have the names of the gradients
        (hidden/W, hidden/b, out/W, out/b), got ['out/W', 'out/b']
          if it is meant, declare it: frozen=['hidden/W', 'hidden/b']
          law: form
        >>> results = check_transform(without_hidden, frozen=["hidden/*"])
    """
    check_callable("check_transform", "transform", transform, "grads -> grads")
    held, _ = checked_params("check_transform", _NETWORK if grads is None else grads)
    whole = in_dtype(held, FLOAT64)
    held = _corners(transform, whole)
    patterns = (frozen,) if isinstance(frozen, str) else tuple(frozen)
    purity = purity_laws(transform, (dict(held),), ("grads",))

    def results(given: Params) -> dict[str, AnyArray]:
        return _named(transform(given))

    laws: list[Law] = [
        ("form", partial(_transform_form, transform, whole, patterns)),
        *((name, law) for name, law in purity if name != "no aliasing"),
        ("dtype", partial(_transform_dtype, transform, held)),
        ("precision", partial(precision_law, results, shifted(held))),
        ("order of names", partial(_order, results, held)),
        ("zero gradients", partial(_of_zero, results, held, "gradients of 0", "a division by the norm")),
        ("large gradients", partial(_transform_of_large, transform, held)),
        ("tiny gradients", partial(_transform_of_tiny, transform, held)),
        ("NaN", partial(_transform_of_nan, transform, held) if keeps_nan else partial(not_applicable, "declared")),
        ("other gradients", partial(_transform_of_others, transform, held, patterns)),
    ]
    return judged("check_transform", laws, report)


def _transform_form(transform: GradTransform, grads: Params, frozen: Collection[str]) -> Verdict:
    """Check that a transform returns finite gradients of the same names, but for the frozen, and the same shapes."""
    result = transform({name: np.array(array) for name, array in grads.items()})
    if not isinstance(result, Mapping):
        breach("the result", "be a mapping of names to gradients", result)
    expected = [name for name in grads if not any(fnmatchcase(name, pattern) for pattern in frozen)]
    if set(result) != set(expected):
        but = f", but for {', '.join(frozen)}" if frozen else ""
        missing = [name for name in grads if name not in result]
        declared = f"frozen={missing}" if set(result) < set(expected) else ""
        constraint = f"have the names of the gradients ({', '.join(grads)}){but}"
        breach("the result", constraint, str(list(result)), declared_by=declared)
    for name, array in result.items():
        if not isinstance(array, np.ndarray) or array.shape != grads[name].shape:
            breach(f"the gradient of {name}", f"be an array of its shape {grads[name].shape}", array)
        check_finite(f"the gradient of {name}", "be finite for finite gradients", array)
    return "pass", f"{len(result)} gradients"


def _transform_dtype(transform: GradTransform, grads: Params) -> Verdict:
    """Check that gradients keep their dtype."""
    cause = "a float64 array or NumPy scalar in the arithmetic; make it a Python float"

    def compute(dtype: DType) -> Params:
        return transform(in_dtype(grads, dtype))

    return dtype_law(compute, "the gradient of {name}", "keep the dtype {dtype}", cause)


def _named(grads: Params) -> dict[str, AnyArray]:
    """Return gradients as messages name them."""
    return {f"the gradient of {name}": np.asarray(array) for name, array in grads.items()}


def _transform_of_large(transform: GradTransform, grads: Params) -> Verdict:
    """Try gradients whose squares, or whose sum of squares, overflow in float32 and in float64."""
    cause = "the sum of squares overflows: divide by the largest element first, or use global_norm"
    for size in (1e15, 1e25, 1e30):
        single = transform(in_dtype(_scaled(grads, size), FLOAT32))
        double = transform(_scaled(grads, size))
        held = {name: a for name, a in double.items() if np.max(np.abs(a), initial=0) < 1e37}
        for name, array in held.items():
            check_finite(f"the gradient of {name}", f"be finite in float32 for gradients of {size:g}", single[name], cause)
        try:
            check_same_in_float32(single, held)
        except AssertionError as error:
            first = str(error).partition("\n")[0].partition(" must ")[2]
            subject, constraint = "the result for gradients of", f"be the same in float32 and float64: it must {first}"
            breach(f"{subject} {size:g}", constraint.rpartition(", got ")[0], constraint.rpartition(", got ")[2], cause)
    before, after = transform(_scaled(grads, 1e100)), transform(_scaled(grads, 1e200))
    for name, array in after.items():
        if not np.isfinite(before[name]).all() or not np.any(before[name]):
            continue
        # What grows faster than its gradient may leave the range.
        if np.max(np.abs(before[name])) < 1e150 and not np.isfinite(array).all():
            breach(f"the gradient of {name}", "be finite for gradients of 1e+200", "nan or inf", cause)
        if not np.any(array):
            breach(f"the gradient of {name}", "not vanish for gradients of 1e+200", "zeros, which it is not at 1e+100", cause)
    return "pass", "1e15 to 1e30 in float32, 1e200 in float64"


def _transform_of_tiny(transform: GradTransform, grads: Params) -> Verdict:
    """Try gradients whose squares underflow."""
    for dtype, size in ((FLOAT32, 1e-15), (FLOAT32, 1e-30), (FLOAT64, 1e-100), (FLOAT64, 1e-200)):
        for name, array in transform(in_dtype(_scaled(grads, size), dtype)).items():
            cause = "a division by a norm whose squares underflow to 0"
            check_finite(f"the gradient of {name}", f"be finite for {dtype} gradients of {size:g}", array, cause)
    return "pass", "1e-30 in float32, 1e-200 in float64"


def _transform_of_nan(transform: GradTransform, grads: Params) -> Verdict:
    """Check that a NaN among the gradients stays one, or is refused."""
    plain, tried = transform(grads), 0
    for name, array in grads.items():
        if not array.size or name not in plain or not np.any(plain[name]):
            continue
        held = np.array(array)
        held.flat[0] = np.nan
        try:
            result = transform({**grads, name: locked(held)})
        except Exception:
            tried += 1
            continue
        tried += 1
        if np.isfinite(result[name]).all():
            cause = "nan_to_num, nanmax, or a comparison with NaN, which is False; a run that went wrong is not seen"
            subject = f"the gradient of {name}"
            breach(subject, "stay NaN where it is, or be refused", "finite numbers", cause, declared_by="keeps_nan=False")
    return ("pass", f"{tried} gradients") if tried else not_applicable("all gradients are 0")


def _transform_of_others(transform: GradTransform, grads: Params, frozen: Collection[str]) -> Verdict:
    """Try a gradient by itself, a 0-d one, one without elements, many, and none."""
    first = next(iter(grads.items()), ("W", np.ones(1)))
    cases: dict[str, Params] = {
        "a single gradient": dict([first]), "a 0-d gradient": {"s": np.asarray(0.5)},
        "a gradient without elements": {"e": np.zeros((0, 2)), "W": np.ones((2, 2))},
        "many gradients": {f"{i}/W": np.full((2, 2), i - 20.5) for i in range(40)}, "no gradients": {},
    }
    tried: list[str] = []
    for what, case in cases.items():
        try:
            result = transform(case)
        except Exception:
            continue  # said aloud, it misleads nobody
        tried.append(what)
        wrong = set(result) - set(case)
        if wrong:
            breach(f"the result for {what}", "have no other names", ", ".join(sorted(wrong)))
        for name, array in result.items():
            if np.shape(array) != case[name].shape or not isinstance(array, (np.ndarray, np.generic)):
                breach(f"the result for {what}", f"have its shape {case[name].shape}", array)
            check_finite(f"the result for {what}", "be finite", array)
    left = len(cases) - len(tried)
    return "pass", f"{len(tried)} kinds" + (f", {left} refused" if left else "")
