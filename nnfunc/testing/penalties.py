"""Check functions of params against the laws: penalties, and what transforms gradients before a step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import SupportsFloat

import numpy as np

from nnfunc.testing.gradients import Subject, gradient_law
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged
from nnfunc.testing.purity import purity_laws
from nnfunc.testing.samples import backwards, check_finite, close, dtype_law, first_difference, in_dtype, zeroed
from nnfunc.values.checks import FLOAT64, check_callable
from nnfunc.values.params import checked_params
from nnfunc.values.types import Array, DType, GradTransform, Params, Penalty

_NETWORK: Params = {
    "hidden/W": np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]), "hidden/b": np.array([0.1, -0.2, 0.3]),
    "out/W": np.array([[1.0], [-2.0], [0.5]]), "out/b": np.array([0.7]),
}


def check_penalty(penalty: Penalty, params: Params | None = None, *, report: bool = False) -> list[LawResult]:
    """Check that a penalty ``params -> (value, grads)`` keeps the laws.

    Laws:
        form; purity; gradients against slopes by differences, also of params
        that it leaves out; gradients keep the dtype, and float32 and float64
        agree; the order of names does not matter; all is finite for params of 0.

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

    def called(case: Params) -> tuple[float, Params]:
        return penalty(in_dtype(case, FLOAT64))

    def back(case: Params, r: Array) -> Params:
        return {name: float(r.sum()) * np.asarray(array) for name, array in called(case)[1].items()}

    subject: Subject = {
        "forward": lambda case: np.array([float(called(case)[0])]), "back": back, "rows": (), "moved": tuple(held),
    }
    laws: list[Law] = [
        ("form", partial(_penalty_form, penalty, held)), *purity_laws(penalty, (dict(held),), ("params",)),
        ("gradient", partial(gradient_law, subject, held)), ("dtype", partial(_penalty_dtype, penalty, held)),
        ("order of names", partial(_penalty_order, penalty, held)),
        ("zero params", partial(_penalty_of_zero, penalty, held)),
    ]
    return judged("check_penalty", laws, report)


def _penalty_form(penalty: Penalty, params: Params) -> Verdict:
    """Check that a penalty returns a finite number and gradients that fit the params."""
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
    """Check that gradients keep the dtype of the params; the value is a plain number, and has none."""
    cause = "a float64 array or NumPy scalar in the arithmetic; make the rate a Python float"

    def compute(dtype: DType) -> Params:
        value, grads = penalty(in_dtype(params, dtype))
        return {"the value": np.array([float(value)], dtype), **grads}

    return dtype_law(compute, "the gradient of {name}", "keep the dtype {dtype} of the params", cause)


def _penalty_order(penalty: Penalty, params: Params) -> Verdict:
    """Check that the order of names matters neither to the value nor to the gradients."""
    (value, grads), (other, other_grads) = penalty(params), penalty(backwards(params))
    if not np.isclose(float(value), float(other), rtol=1e-9):
        breach("the value", "not depend on the order of the names", f"{float(other):g} for {float(value):g}")
    for name, array in grads.items():
        if not close(np.asarray(other_grads[name]), np.asarray(array)):
            breach(f"the gradient of {name}", "not depend on the order of the names", "another")
    return "pass", ""


def _penalty_of_zero(penalty: Penalty, params: Params) -> Verdict:
    """Check that value and gradients are finite for params of 0."""
    value, grads = penalty(zeroed(params))
    check_finite("the value", "be finite for params of 0", value)
    for name, array in grads.items():
        check_finite(f"the gradient of {name}", "be finite for params of 0", array)
    return "pass", ""


def check_transform(transform: GradTransform, grads: Params | None = None, *, report: bool = False) -> list[LawResult]:
    """Check that a gradient transform ``grads -> grads`` keeps the laws.

    Laws:
        form: the names, in order, and the shapes of the gradients; purity,
        but a gradient that it leaves as it is may be handed back; gradients
        keep the dtype, and float32 and float64 agree; the order of names does
        not matter; gradients of 0 stay finite.

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
    purity = purity_laws(transform, (dict(held),), ("grads",))
    laws: list[Law] = [
        ("form", partial(_transform_form, transform, held)),
        *((name, law) for name, law in purity if name != "no aliasing"),
        ("dtype", partial(_transform_dtype, transform, held)),
        ("order of names", partial(_transform_order, transform, held)),
        ("zero gradients", partial(_transform_of_zero, transform, held)),
    ]
    return judged("check_transform", laws, report)


def _transform_form(transform: GradTransform, grads: Params) -> Verdict:
    """Check that a transform returns finite gradients of the same names and shapes."""
    result = transform({name: np.array(array) for name, array in grads.items()})
    if not isinstance(result, Mapping) or list(result) != list(grads):
        got = list(result) if isinstance(result, Mapping) else result
        breach("the result", f"have the names of the gradients, in their order ({', '.join(grads)})", got)
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


def _transform_order(transform: GradTransform, grads: Params) -> Verdict:
    """Check that the order of names does not matter."""
    mixed = transform(backwards(grads))
    for name, array in transform(grads).items():
        if not close(np.asarray(mixed[name]), np.asarray(array)):
            got = first_difference(mixed[name], array)
            breach(f"the gradient of {name}", "not depend on the order of the names", got)
    return "pass", "reversed"


def _transform_of_zero(transform: GradTransform, grads: Params) -> Verdict:
    """Check that gradients of 0 stay finite."""
    for name, array in transform(zeroed(grads)).items():
        check_finite(f"the gradient of {name}", "be finite for gradients of 0", array, "a division by the norm")
    return "pass", ""
