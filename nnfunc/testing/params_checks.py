"""Checking functions of params: penalties, and what transforms gradients."""

import math
from collections.abc import Mapping
from functools import partial
from typing import SupportsFloat

import numpy as np

from nnfunc.checks import FLOAT32, FLOAT64, check_callable, locked
from nnfunc.params import checked_params
from nnfunc.testing.gradients import Subject, gradient_law
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged
from nnfunc.testing.purity import purity_laws
from nnfunc.testing.samples import check_same_in_float32, close, first_difference, in_dtype
from nnfunc.types import Array, GradTransform, Params, Penalty

_NETWORK: Params = {
    "hidden/W": np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]),
    "hidden/b": np.array([0.1, -0.2, 0.3]),
    "out/W": np.array([[1.0], [-2.0], [0.5]]),
    "out/b": np.array([0.7]),
}


def check_penalty(penalty: Penalty, params: Params | None = None, *, report: bool = False) -> list[LawResult]:
    """Check that a penalty ``params -> (value, grads)`` keeps the laws.

    Laws:
        form; purity; gradients against slopes by differences, those it leaves
        out included; dtypes closed; the order of names is nothing; a finite
        value for params of 0.

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
    held = in_dtype(held, FLOAT64)

    def back(case: Params, r: Array) -> Params:
        return {name: float(r.sum()) * np.asarray(array) for name, array in penalty(_locked(case))[1].items()}

    subject: Subject = {
        "forward": lambda case: np.array([float(penalty(_locked(case))[0])]),
        "back": back,
        "rows": (),
        "moved": tuple(held),
    }
    laws: list[Law] = [
        ("form", partial(_penalty_form, penalty, held)),
        *purity_laws(penalty, (dict(held),), ("params",)),
        ("gradient", partial(gradient_law, subject, held)),
        ("dtype", partial(_penalty_dtype, penalty, held)),
        ("order of names", partial(_penalty_order, penalty, held)),
        ("zero params", partial(_penalty_of_zero, penalty, held)),
    ]
    return judged("check_penalty", laws, report)


def _locked(params: Params) -> Params:
    return {name: locked(array) for name, array in params.items()}


def _penalty_form(penalty: Penalty, params: Params) -> Verdict:
    result = penalty({name: np.array(array) for name, array in params.items()})
    if type(result) is not tuple or len(result) != 2 or not isinstance(result[1], Mapping):
        breach("penalty", "return a pair (value, grads by name)", result)
    value, grads = result
    if np.ndim(value) or not isinstance(value, SupportsFloat):
        breach("the value", "be one number", value, "a sum over the elements is missing")
    if not math.isfinite(value):
        breach("the value", "be finite", float(value))
    for name, array in grads.items():
        if name not in params:
            breach("grads", f"have names that are in params ({', '.join(params)})", repr(name))
        if np.shape(array) != params[name].shape:
            breach(f"the gradient of {name}", f"have the parameter's shape {params[name].shape}", np.shape(array))
    return "pass", f"{len(grads)} gradients"


def _penalty_dtype(penalty: Penalty, params: Params) -> Verdict:
    found: list[Params] = []
    for dtype in (FLOAT32, FLOAT64):
        value, grads = penalty(in_dtype(params, dtype))
        found.append({"the value": np.array([float(value)]), **grads})
        for name, array in grads.items():
            if np.asarray(array).dtype != dtype:
                cause = "a float64 array or NumPy scalar in the arithmetic; make the rate a Python float"
                breach(f"the gradient of {name}", f"keep the dtype {dtype} of the params", str(array.dtype), cause)
    check_same_in_float32(*found)
    return "pass", "float32, float64"


def _penalty_order(penalty: Penalty, params: Params) -> Verdict:
    (value, grads), (other, reordered_grads) = penalty(params), penalty(dict(reversed(list(params.items()))))
    if not np.isclose(float(value), float(other), rtol=1e-9):
        breach("the value", "not depend on the order of the names", f"{float(other):g} for {float(value):g}")
    for name, array in grads.items():
        if not close(np.asarray(reordered_grads[name]), np.asarray(array)):
            breach(f"the gradient of {name}", "not depend on the order of the names", "another")
    return "pass", ""


def _penalty_of_zero(penalty: Penalty, params: Params) -> Verdict:
    value, grads = penalty({name: locked(np.zeros_like(array)) for name, array in params.items()})
    for name, array in (("value", np.asarray(value)), *grads.items()):
        if not np.isfinite(array).all():
            breach(
                f"the {name}" if name == "value" else f"the gradient of {name}",
                "be finite for params of 0",
                "nan or inf",
            )
    return "pass", ""


def check_transform(transform: GradTransform, grads: Params | None = None, *, report: bool = False) -> list[LawResult]:
    """Check that a gradient transform ``grads -> grads`` keeps the laws.

    Laws:
        form: the names, in order, and the shapes of the gradients; purity,
        but a gradient that it leaves as it is may be handed back; dtypes
        closed; the order of names is nothing; gradients of 0 stay finite.

    Args:
        transform: the function.
        grads: to try it on; those of a small network if none.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from functools import partial
        >>> from nnfunc import clip_by_global_norm
        >>> results = check_transform(partial(clip_by_global_norm, limit=1.0))
        >>> {result["status"] for result in results}
        {'pass'}
    """
    check_callable("check_transform", "transform", transform, "grads -> grads")
    held, _ = checked_params("check_transform", _NETWORK if grads is None else grads)
    held = in_dtype(held, FLOAT64)
    purity = [law for law in purity_laws(transform, (dict(held),), ("grads",)) if law[0] != "no aliasing"]
    laws: list[Law] = [
        ("form", partial(_transform_form, transform, held)),
        *purity,
        ("dtype", partial(_transform_dtype, transform, held)),
        ("order of names", partial(_transform_order, transform, held)),
        ("zero gradients", partial(_transform_of_zero, transform, held)),
    ]
    return judged("check_transform", laws, report)


def _transform_form(transform: GradTransform, grads: Params) -> Verdict:
    result = transform({name: np.array(array) for name, array in grads.items()})
    if not isinstance(result, Mapping) or list(result) != list(grads):
        got = list(result) if isinstance(result, Mapping) else result
        breach("the result", f"have the names of the gradients, in their order ({', '.join(grads)})", got)
    for name, array in result.items():
        if not isinstance(array, np.ndarray) or array.shape != grads[name].shape:
            breach(f"the gradient of {name}", f"be an array of its shape {grads[name].shape}", array)
        if not np.isfinite(array).all():
            breach(f"the gradient of {name}", "be finite for finite gradients", "nan or inf")
    return "pass", f"{len(result)} gradients"


def _transform_dtype(transform: GradTransform, grads: Params) -> Verdict:
    found: list[Params] = []
    for dtype in (FLOAT32, FLOAT64):
        found.append(transform(in_dtype(grads, dtype)))
        for name, array in found[-1].items():
            if np.asarray(array).dtype != dtype:
                cause = "a float64 array or NumPy scalar in the arithmetic; make it a Python float"
                breach(f"the gradient of {name}", f"keep the dtype {dtype}", str(array.dtype), cause)
    check_same_in_float32(*found)
    return "pass", "float32, float64"


def _transform_order(transform: GradTransform, grads: Params) -> Verdict:
    mixed = transform(dict(reversed(list(grads.items()))))
    for name, array in transform(grads).items():
        if not close(np.asarray(mixed[name]), np.asarray(array)):
            got = first_difference(mixed[name], array)
            breach(f"the gradient of {name}", "not depend on the order of the names", got)
    return "pass", "reversed"


def _transform_of_zero(transform: GradTransform, grads: Params) -> Verdict:
    found = transform({name: locked(np.zeros_like(array)) for name, array in grads.items()})
    for name, array in found.items():
        if not np.isfinite(array).all():
            breach(f"the gradient of {name}", "be finite for gradients of 0", "nan or inf", "a division by the norm")
    return "pass", ""
